"""VAE, GMVAE and SSVAE on binarized MNIST."""
