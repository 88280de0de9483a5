"""Problem 2: train, evaluate and sample a VAE whose prior is a learned mixture of Gaussians."""

from codebase.command import main

if __name__ == "__main__":
    main("gmvae", __doc__)
