"""Semi-supervised models with an auxiliary variable, drawn first (Maaløe et al., 2016)."""

import abc

import torch
from torch import nn

from codebase import utils as ut
from codebase.models.auxiliary import Auxiliary, gaussian
from codebase.models.distributions import (
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    Distribution,
    kl,
)
from codebase.models.nns.parts import rectified
from codebase.models.nns.v1 import X_DIM, check, check_size, joint
from codebase.models.priors import StandardNormalPrior
from codebase.models.semisupervised import SemiSupervisedModel, check_weights

DRAWS = 10  # of a, over which q(y|x) is averaged
LABELS = 10


class AuxiliaryLabels(StandardNormalPrior, SemiSupervisedModel):
    """A model whose q(y|a, x) and q(z|a, x, y) are given an a that is drawn first, from q(a|x).

    With one sample of a, and of z for each label,

        −ELBO(x) = E_q(a|x) { KL(q(y|a, x) ‖ p(y)) + E_q(y|a, x) [
            KL(q(z|a, x, y) ‖ p(z)) + log q(a|x) − log p(a|·) − log p(x|·) ] }

    kl_z has all of it that is of a and z. By q(y|x) = E_q(a|x) q(y|a, x), the mean over ten draws,
    images are classified.

    Args:
        name: names the checkpoint folder.
        z_dim, a_dim: sizes of z and a.
        gen_weight, class_weight, labeled_elbo, prune: as for the `SSVAE`.
        sees_x: q(y|a, x) and q(z|a, x, y) look at x, not only at a.
        x_dim: D, the number of pixels.
    Raises:
        ValueError: a weight is negative, or both are 0, or a size < 1.
    """

    y_dim = LABELS
    seldom = 0.01

    def __init__(
        self,
        name: str,
        z_dim: int,
        a_dim: int,
        gen_weight: float,
        class_weight: float,
        labeled_elbo: bool,
        prune: bool,
        sees_x: bool = True,
        x_dim: int = X_DIM,
    ) -> None:
        check_size("z_dim", z_dim)
        check_size("a_dim", a_dim)
        check_size("x_dim", x_dim)
        check_weights(gen_weight, class_weight)
        super().__init__(name)
        self.a_dim, self.own_dim, self.sees_x = a_dim, z_dim, sees_x
        self.x_dim = x_dim
        self.gen_weight, self.class_weight = gen_weight, class_weight
        self.labeled_elbo, self.prune = labeled_elbo, prune
        seen = a_dim + (x_dim if sees_x else 0)
        self.enc_a = self.net(x_dim, 2 * a_dim)
        self.cls = self.net(seen, LABELS)
        self.enc = self.net(seen + LABELS, 2 * z_dim)
        self._init_prior()

    def net(self, inputs: int, outputs: int) -> nn.Sequential:
        """One of the model's networks, before it is trained."""
        return rectified(inputs, outputs)

    @abc.abstractmethod
    def p_a(self, x: torch.Tensor, z: torch.Tensor, y: torch.Tensor) -> DiagonalGaussian:
        """p(a|·), over (…, B, A)."""

    @abc.abstractmethod
    def p_x(self, a: torch.Tensor, z: torch.Tensor, y: torch.Tensor) -> Bernoulli:
        """p(x|·), over (…, B, D)."""

    def q_a(self, x: torch.Tensor) -> DiagonalGaussian:
        """q(a|x), over (B, A)."""
        check("x", x, self.x_dim)
        return gaussian(self.enc_a, x)

    def q_y(self, x: torch.Tensor, a: torch.Tensor) -> Categorical:
        """q(y|a, x), over (…, B, Y)."""
        return Categorical(joint(self.cls, a, x if self.sees_x else None))

    def q_z(self, x: torch.Tensor, a: torch.Tensor, y: torch.Tensor) -> DiagonalGaussian:
        """q(z|a, x, y), over (…, B, Z)."""
        return gaussian(self.enc, a, x if self.sees_x else None, y)

    def p_z(self) -> DiagonalGaussian:
        """p(z) = N(0, I), over (Z,)."""
        return DiagonalGaussian(*(t.expand(self.own_dim) for t in self.z_prior))

    def auxiliary(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """a ~ q(a|x), (B, A), and log q(a|x), (B,)."""
        q = self.q_a(x)
        a = q.rsample()
        return a, q.log_prob(a)

    def label_posterior(self, x: torch.Tensor, *drawn: torch.Tensor) -> Categorical:
        """q(y|a, x) of the a that was drawn, or without one q(y|x): over (B, Y)."""
        if drawn:
            return self.q_y(x, drawn[0])
        each = self.q_y(x, self.q_a(x).rsample((DRAWS,)))
        return Categorical(ut.log_mean_exp(each.log_probs, dim=0))

    def negative_elbo_terms_given(
        self, x: torch.Tensor, y: torch.Tensor, *drawn: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(kl_z, rec) of each image with its label known; the costs of a are in kl_z."""
        a, log_q = drawn or self.auxiliary(x)
        q = self.q_z(x, a, y)
        z = q.rsample()
        of_a = log_q - self.p_a(x, z, y).log_prob(a)
        kl_z, rec = kl(q, self.p_z(), z) + of_a, -self.p_x(a, z, y).log_prob(x)
        return kl_z, rec.expand_as(kl_z)  # what x depends on may be the same for every label

    def q_a_by_label(self, x: torch.Tensor, y: torch.Tensor) -> DiagonalGaussian:
        """q(a|x), so that every label that an image meets draws its own a: over (…, B, A)."""
        q = self.q_a(x)
        shape = (*torch.broadcast_shapes(y.shape[:-1], x.shape[:-1]), self.a_dim)
        return DiagonalGaussian(q.m.expand(shape), q.v.expand(shape))


class ADGM(AuxiliaryLabels):
    """An auxiliary deep generative model: a makes q(z|x, y) = ∫ q(a|x) q(z|a, x, y) da richer.

        y ~ Categorical(1/Y),  z ~ N(0, I)                (Y,) one-hot, (Z,)
        x ~ Π_j Bernoulli(logits = dec(z, y)_j)           (D,)
        q(a|x), q(y|a, x), q(z|a, x, y), p(a|x, z, y)     of which the last belongs to no image

    Args:
        name: names the checkpoint folder.
        z_dim, a_dim: Z and A.
        The others as for `AuxiliaryLabels`.
    """

    def __init__(
        self,
        name: str = "adgm",
        gen_weight: float = 1,
        class_weight: float = 100,
        *,
        z_dim: int = 64,
        a_dim: int = 64,
        labeled_elbo: bool = False,
        prune: bool = False,
        x_dim: int = X_DIM,
    ) -> None:
        weights = gen_weight, class_weight
        super().__init__(name, z_dim, a_dim, *weights, labeled_elbo, prune, x_dim=x_dim)
        self.z_dim = z_dim
        self.back = self.net(x_dim + z_dim + LABELS, 2 * a_dim)
        self.dec = self.net(z_dim + LABELS, x_dim)

    def p_a(self, x: torch.Tensor, z: torch.Tensor, y: torch.Tensor) -> DiagonalGaussian:
        return gaussian(self.back, x, z, y)

    def p_x(self, a: torch.Tensor, z: torch.Tensor, y: torch.Tensor) -> Bernoulli:
        return self.likelihood(z, y)

    def posterior(self, x: torch.Tensor, y: torch.Tensor) -> Distribution:
        """q(z|x, y): (B, D), one-hot (…, B or 1, Y) → an `Auxiliary` over (…, B, Z)."""
        return Auxiliary(
            self.q_a_by_label(x, y), lambda a: self.q_z(x, a, y), lambda z: self.p_a(x, z, y)
        )

    def likelihood(self, z: torch.Tensor, y: torch.Tensor) -> Bernoulli:
        """p(x|z, y): (…, B, Z), one-hot (…, B or 1, Y) → a `Bernoulli` over (…, B, D)."""
        check("z", z, self.z_dim)
        return Bernoulli(joint(self.dec, z, y))

    def networks(self) -> dict[str, nn.Sequential]:
        """The decoder, to the pixels' probabilities."""
        return {"decoder": nn.Sequential(*self.dec, nn.Sigmoid())}
