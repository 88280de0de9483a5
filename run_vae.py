"""Problem 1: train, evaluate and sample a VAE on binarized MNIST (a β-VAE with --beta)."""

from codebase.command import main

if __name__ == "__main__":
    main("vae", __doc__)
