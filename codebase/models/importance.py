"""Objectives of several samples an image: IWAE and its kin, and gradients that vary less.

With w = p(x, z) / q(z|x) at M samples z ~ q(z|x), kl + rec is −log w, and w̃ = w / Σ w.
"""

from typing import TYPE_CHECKING

import torch
from torch import nn

from codebase import utils as ut
from codebase.models.objectives import Objective, summaries

if TYPE_CHECKING:
    from codebase.models.base import LatentVariableModel, Loss

Terms = tuple[torch.Tensor, torch.Tensor]  # kl and rec, (M, B) each


def terms_of(model: "LatentVariableModel", x: torch.Tensor, samples: int) -> Terms:
    """log q(z|x)/p(z) and −log p(x|z) of M samples of each image, (M, B) each."""
    z, log_q = model.posterior(x).rsample_and_log_prob((samples,))  # (M, B, Z)
    return log_q - model.prior().log_prob(z), -model.likelihood(z).log_prob(x)


def bound(kl: torch.Tensor, rec: torch.Tensor) -> torch.Tensor:
    """−log 1/M Σ w, of terms (M, …): (…)."""
    return -ut.log_mean_exp(-(kl + rec), dim=0)


class Iwae(Objective):
    """−log 1/M Σ w (Burda et al., 2016).

    Args:
        samples: M.
    """

    def __init__(self, z_dim: int, samples: int = 5) -> None:
        super().__init__(z_dim)
        self.samples = samples

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        kl, rec = terms_of(model, x, self.samples)
        loss = bound(kl, rec).mean()
        return summaries(loss, kl, rec, iwae=loss)


class Miwae(Objective):
    """The mean of several IWAE bounds of M samples each (Rainforth et al., 2018).

    Args:
        samples: M, in each bound.
        groups: how many bounds.
    """

    def __init__(self, z_dim: int, samples: int = 5, groups: int = 2) -> None:
        super().__init__(z_dim)
        self.samples, self.groups = samples, groups

    def grouped(self, model: "LatentVariableModel", x: torch.Tensor) -> Terms:
        """kl and rec, (M, groups, B) each."""
        kl, rec = terms_of(model, x, self.samples * self.groups)
        shape = (self.samples, self.groups)
        return kl.unflatten(0, shape), rec.unflatten(0, shape)

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        kl, rec = self.grouped(model, x)
        loss = bound(kl, rec).mean()
        return summaries(loss, kl, rec, iwae=loss)


class Piwae(Miwae):
    """The encoder minimizes the mean of several bounds, everything else one of all samples.

    That is MIWAE's for the one, whose gradient more samples make noisier, and IWAE's for the other
    (Rainforth et al., 2018). Two players, each with samples of its own.
    """

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        kl, rec = self.grouped(model, x)
        if player == "encoder":
            loss = bound(kl, rec).mean()
            return loss, {"train/encoder": loss}
        loss = bound(kl.flatten(0, 1), rec.flatten(0, 1)).mean()
        return summaries(loss, kl, rec, iwae=loss)

    def players(self, model: nn.Module) -> dict[str, list[nn.Parameter]]:
        parts = model.get_submodule("enc"), model.get_submodule("posterior_part")
        return {"encoder": [p for part in parts for p in part.parameters() if p.requires_grad]}


class Ciwae(Iwae):
    """mix · (kl + rec) + (1 − mix) · IWAE, of the same samples (Rainforth et al., 2018).

    Args:
        samples: M.
        mix: in [0, 1].
    """

    def __init__(self, z_dim: int, samples: int = 5, mix: float = 0.05) -> None:
        super().__init__(z_dim, samples)
        self.mix = mix

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        kl, rec = terms_of(model, x, self.samples)
        iwae = bound(kl, rec).mean()
        loss = self.mix * (kl + rec).mean() + (1 - self.mix) * iwae
        return summaries(loss, kl, rec, iwae=iwae)


class Renyi(Iwae):
    """−1/(1 − α) log 1/M Σ w^(1−α) (Li & Turner, 2016): IWAE at α = 0, −ELBO at 1.

    Args:
        samples: M.
        alpha: α ≥ 0; below 0 it would bound nothing.
    """

    def __init__(self, z_dim: int, samples: int = 5, alpha: float = 0.5) -> None:
        super().__init__(z_dim, samples)
        self.alpha = alpha

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        kl, rec = terms_of(model, x, self.samples)
        share = 1 - self.alpha
        if abs(share) < 1e-4:
            loss = (kl + rec).mean()
        else:
            loss = (bound(share * kl, share * rec) / share).mean()
        return summaries(loss, kl, rec, iwae=bound(kl, rec).mean())


class Dreg(Iwae):
    """IWAE's bound with the doubly reparameterized gradient (Tucker et al., 2019).

    The gradient that reaches q through the samples is Σ w̃² ∂ log w/∂z, with q's parameters held in
    log q; everything else, the decoder and the prior, has IWAE's Σ w̃ ∂ log w. So has an encoder
    that stands in the prior too, as far as it does (VampPrior). At M = 1 it is `Stl`.

    Args:
        samples: M.
    """

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        q, prior = model.posterior(x), model.prior()
        z = q.rsample((self.samples,))  # (M, B, Z)
        held = q.detached()

        def terms(z):
            return held.log_prob(z) - prior.log_prob(z), -model.likelihood(z).log_prob(x)

        with torch.no_grad():
            kl, rec = terms(z)
            share = (-(kl + rec)).softmax(0)  # w̃, (M, B)
        # The same z, of which a gradient comes back times w̃.
        scaled = z.detach() + share.unsqueeze(-1) * (z - z.detach())
        kl, rec = terms(scaled)
        slope = (share * (kl + rec)).sum(0).mean()
        iwae = bound(kl.detach(), rec.detach()).mean()
        return summaries(iwae + slope - slope.detach(), kl, rec, iwae=iwae)


class Stl(Objective):
    """−ELBO without the part of its gradient whose mean is 0: sticking the landing.

    q's parameters are held in log q(z|x) (Roeder et al., 2017).
    """

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        q = model.posterior(x)
        z = q.rsample()
        kl = q.detached().log_prob(z) - model.prior().log_prob(z)
        rec = -model.likelihood(z).log_prob(x)
        return summaries((kl + rec).mean(), kl, rec)
