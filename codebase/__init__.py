"""VAE, GMVAE and SSVAE on binarized MNIST."""

__version__ = "1.0"
