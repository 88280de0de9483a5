"""A VAE of images given their labels (Sohn, Lee & Yan, 2015)."""

import torch
from torch import nn

from codebase.models.base import Abilities, Loss
from codebase.models.distributions import Bernoulli, Categorical, DiagonalGaussian
from codebase.models.nns import v1
from codebase.models.objectives import summaries
from codebase.models.priors import StandardNormalPrior
from codebase.models.semisupervised import SemiSupervisedModel, check_labels


class CVAE(StandardNormalPrior, SemiSupervisedModel):
    """A Gaussian latent vector per image, whose label is known.

        z ~ N(0, I)                                       (Z,)
        x ~ Π_j Bernoulli(logits = dec(z, y)_j)           (D,)
        q(z|x, y) = N(m, diag v),  m, v = enc(x, y)       (Z,)

    Minimized is −ELBO(x|y), with the label of every image. Where the label is not given it is
    summed out with p(y) = 1/Y, and q(y|x) is Bayes' rule with bounds in the place of likelihoods,
    q(y|x) ∝ exp ELBO(x|y), each estimated from one sample of z.

    Args:
        name: names the checkpoint folder.
        z_dim, y_dim, x_dim: Z, Y and D.
    Raises:
        ValueError: z_dim, y_dim or x_dim < 1; in the methods, labels that are not one-hot (…, Y).
    """

    abilities = Abilities(bounds=True, reconstructions=True, samples=True, conditional=True)

    def __init__(
        self, name: str = "cvae", z_dim: int = 10, y_dim: int = 10, x_dim: int = v1.X_DIM
    ) -> None:
        super().__init__(name)
        self.z_dim, self.y_dim, self.x_dim = z_dim, y_dim, x_dim
        self.enc = v1.Encoder(z_dim, y_dim, x_dim=x_dim)
        self.dec = v1.Decoder(z_dim, y_dim, x_dim=x_dim)
        v1.check_size("y_dim", y_dim)
        self._init_prior()

    def posterior(self, x: torch.Tensor, y: torch.Tensor) -> DiagonalGaussian:
        """q(z|x, y): (B, D), one-hot (…, B or 1, Y) → a `DiagonalGaussian` over (…, B, Z)."""
        return DiagonalGaussian(*self.enc(x, y))

    def likelihood(self, z: torch.Tensor, y: torch.Tensor) -> Bernoulli:
        """p(x|z, y): (…, B, Z), one-hot (…, B or 1, Y) → a `Bernoulli` over (…, B, D)."""
        return Bernoulli(self.dec(z, y))

    def label_posterior(self, x: torch.Tensor) -> Categorical:
        """q(y|x) ∝ exp ELBO(x|y), of one sample of z for each label: over (B, Y)."""
        kl_z, rec = self.negative_elbo_terms_given(x, self.labels(x))  # (Y, B) each
        return Categorical(-(kl_z + rec).T)

    @property
    def steps_differ(self) -> bool:
        """No: in training every label is known, and there is none to leave out."""
        return False

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> Loss:
        """−ELBO(x|y), to be minimized, and what to log.

        Args:
            x: (B, D) in {0, 1}.
            y: (B, Y) one-hot.
        """
        check_labels(x, y, self.y_dim)
        kl_z, rec = self.negative_elbo_terms_given(x, y)
        return summaries((kl_z + rec).mean(), kl_z, rec)

    def networks(self) -> dict[str, nn.Sequential]:
        """Encoder, and decoder to the pixels' probabilities."""
        return {
            "encoder": self.enc.net,
            "decoder": nn.Sequential(*self.dec.net, nn.Sigmoid()),
        }
