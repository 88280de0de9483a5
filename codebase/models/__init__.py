"""The three latent-variable models of the assignment."""
