"""Semi-supervised learning on the codes of a VAE: models M1 and M1+M2 of Kingma et al. (2014)."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from codebase.models.base import Abilities, Loss
from codebase.models.distributions import (
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    kl,
    sample_and_kl,
)
from codebase.models.nns.v1 import X_DIM, joint, mlp
from codebase.models.sdgm import SDGM
from codebase.models.semisupervised import check_labels
from codebase.models.vae import VAE
from codebase.sides import sized


class M1(VAE):
    """A VAE of all images, and a classifier of the labelled ones' codes.

        q(y|x) = Categorical(logits = W m(x) + b),  m(x) the mean of q(z|x)

    W and b are trained by the cross-entropy as the VAE goes on, which learns nothing from them.

    Args:
        name: names the checkpoint folder.
        z_dim, x_dim: Z and D.
    """

    abilities = Abilities(bounds=True, reconstructions=True, samples=True, classifier=True)

    def __init__(self, name: str = "m1", z_dim: int = 50, x_dim: int = X_DIM) -> None:
        super().__init__(name=name, z_dim=z_dim, **sized(x_dim))  # type: ignore[arg-type]
        self.cls = nn.Linear(z_dim, 10)

    def label_posterior(self, x: torch.Tensor) -> Categorical:
        """q(y|x): (B, D) → a `Categorical` over (B, Y)."""
        return Categorical(self.cls(self.posterior(x).mean.detach()))

    def loss(self, x: torch.Tensor, xl: torch.Tensor, yl: torch.Tensor) -> Loss:  # type: ignore[override]
        """mean[−ELBO(x)] + mean[−log q(yl|xl)], which share no weight, and what to log.

        Args:
            x: (B, D) images in {0, 1}.
            xl, yl: (L, D) and one-hot (L, Y), the labelled pairs.
        """
        check_labels(xl, yl, 10)
        loss, found = super().loss(x)
        ce = F.cross_entropy(self.label_posterior(xl).logits, yl)
        return loss + ce, found | {"train/loss": loss + ce, "class/ce": ce}


class M1M2(SDGM):
    """M1 of all images, and M2 of its codes a.

        y ~ Categorical(1/Y),  z ~ N(0, I)                (Y,) one-hot, (Z,)
        a ~ N(m, diag v),  m, v = back(z, y)              (A,)
        x ~ Π_j Bernoulli(logits = dec(a)_j)              (D,)
        q(a|x), q(y|a), q(z|a, y)

    M1, that is enc_a and dec, is trained by its own −ELBO with the prior N(0, I) of a, as if M2
    were not there; M2 by −ELBO(a) of M1's samples, which it does not move. In bounds of log p(x)
    M2 is M1's prior.

    Args:
        name: names the checkpoint folder.
        z_dim, a_dim: Z and A.
        The others as for `SDGM`.
    """

    def __init__(
        self,
        name: str = "m1m2",
        gen_weight: float = 1,
        class_weight: float = 100,
        *,
        z_dim: int = 50,
        a_dim: int = 50,
        labeled_elbo: bool = False,
        x_dim: int = X_DIM,
    ) -> None:
        super().__init__(
            name,
            gen_weight,
            class_weight,
            z_dim=z_dim,
            a_dim=a_dim,
            labeled_elbo=labeled_elbo,
            sees_x=False,
            x_dim=x_dim,
        )
        self.dec = self.net(a_dim, x_dim)

    def net(self, inputs: int, outputs: int) -> nn.Sequential:
        """v1's with ELU, by which q(y|a) of few codes is smoother."""
        return mlp(inputs, outputs, nn.ELU)

    @property
    def steps_differ(self) -> bool:
        """Where labels are pruned, whatever M2 weighs: its costs are in every log."""
        return self.prune

    def p_x(self, a: torch.Tensor, z: torch.Tensor, y: torch.Tensor) -> Bernoulli:
        return Bernoulli(joint(self.dec, a))

    def loss(self, x: torch.Tensor, xl: torch.Tensor, yl: torch.Tensor) -> Loss:
        """M1's mean[−ELBO(x)] + gw · M2's mean[−ELBO(a)] + cw · mean[−log q(yl|al)], and a log.

        With labeled_elbo, gw also weighs M2's mean[−ELBO(al, yl)].

        Args:
            x: (B, D) unlabelled images in {0, 1}.
            xl, yl: (L, D) and one-hot (L, Y), the labelled pairs.
        """
        check_labels(xl, yl, self.y_dim)
        q = self.q_a(x)
        a, kl_1 = sample_and_kl(q, self._p_1())
        rec = -self.p_x(a, a, a).log_prob(x)
        a, al = a.detach(), self.q_a(xl).rsample().detach()
        label = self.q_y(x, a)
        kl_y = label.kl_to_uniform()
        (kl_z,) = self.expected(label.probs, lambda y, a: [self._cost(a, y)], a)
        ce = F.cross_entropy(self.q_y(xl, al).logits, yl)
        loss = (kl_1 + rec).mean() + self.gen_weight * (kl_z + kl_y).mean()
        loss = loss + self.class_weight * ce
        if self.labeled_elbo:
            loss = loss + self.gen_weight * (self._cost(al, yl).mean() + math.log(self.y_dim))
        kl_z = kl_z + q.log_prob(a)
        found = {"gen/elbo": -(kl_z + kl_y + rec).mean(), "gen/elbo_m1": -(kl_1 + rec).mean()}
        found |= {"gen/kl_z": kl_z.mean(), "gen/kl_y": kl_y.mean(), "gen/rec": rec.mean()}
        return loss, {"train/loss": loss, "class/ce": ce} | found

    def _p_1(self):
        """M1's own prior of a, N(0, I)."""
        return DiagonalGaussian(*(t.expand(self.a_dim) for t in self.z_prior))

    def _cost(self, a, y):
        """M2's −log p(a|y) bound of each a with each label, (…, B)."""
        q = self.q_z(a, a, y)
        z = q.rsample()
        return kl(q, self.p_z(), z) - self.p_a(a, z, y).log_prob(a)
