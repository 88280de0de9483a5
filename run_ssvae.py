"""Problem 3: train a semi-supervised VAE on 100 labels and evaluate its classifier."""

from codebase.command import main

if __name__ == "__main__":
    main("ssvae", __doc__)
