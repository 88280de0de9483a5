"""Diffusion on binary pixels (Ho, Jain & Abbeel, 2020)."""

import torch

from codebase.models.base import Abilities, Loss, Model
from codebase.models.nns.denoisers import TimedMLP, UNet
from codebase.models.nns.v1 import X_DIM, check
from codebase.models.noising import FEATURES, Denoiser, Process, Progress
from codebase.sides import side_of


class Diffusion(Model):
    """Images drawn by taking the noise out of noise: x₀ = 2x − 1, see `noising.Denoiser`.

    Minimized is ‖ε − ε̂(x_t, t)‖², summed over pixels, at a time t per image (Ho et al.'s simple
    loss, which bounds nothing), or the bound itself at that time. Logged as gen/elbo is the bound,
    minus T times its term at t and KL_T: unbiased, and noisy.

    Args:
        name: names the checkpoint folder.
        net: "mlp", of `hidden` and `layers`, or "unet", of `channels`.
        times: T.
        noising: the schedule, see `Process`.
        objective: "simple", or "bound".
        hidden, layers, channels: of the networks.
        x_dim: D.
    Raises:
        ValueError: no such net, schedule or objective, or a size that does not fit.
    """

    abilities = Abilities(samples=True)

    def __init__(
        self,
        name: str = "diffusion",
        net: str = "mlp",
        times: int = 200,
        noising: str = "logsnr",
        objective: str = "simple",
        hidden: int = 512,
        layers: int = 3,
        channels: int = 16,
        x_dim: int = X_DIM,
    ) -> None:
        if net not in ("mlp", "unet") or objective not in ("simple", "bound"):
            raise ValueError(
                f"net is mlp or unet and objective simple or bound, got {net!r} and {objective!r}"
            )
        super().__init__(name)
        self.x_dim, self.objective = x_dim, objective
        made = (
            TimedMLP(x_dim, FEATURES, hidden, layers)
            if net == "mlp"
            else UNet(side_of(x_dim), FEATURES, channels)
        )
        self.denoiser = Denoiser(made, Process(times, noising), bits=True)

    def loss(self, x: torch.Tensor) -> Loss:
        """What the class says, averaged over binary images (B, D)."""
        x0 = self._scaled(x)
        process = self.denoiser.process
        (t,) = process.evenly(len(x))
        error, term = self.denoiser.term(x0, t)
        nelbo = (process.prior_kl(x0) + process.times * term).mean()
        loss = error.mean() if self.objective == "simple" else nelbo
        return loss, {"train/loss": loss, "gen/elbo": -nelbo}

    def bound_terms(self, x: torch.Tensor, strata: int | None = None) -> dict[str, torch.Tensor]:
        """Parts of −log p(x)'s bound for each binary image: see `Denoiser.terms`."""
        return self.denoiser.terms(self._scaled(x), strata)

    def sample_x(
        self, batch: int, ddim: int | None = None, progress: Progress = iter
    ) -> torch.Tensor:
        """Images from the model, (batch, D) in {0, 1}: see `Denoiser.sample`."""
        return self.denoiser.sample(batch, self.x_dim, ddim, progress)

    def _scaled(self, x):
        """{0, 1} → {−1, 1}."""
        check("x", x, self.x_dim)
        return 2 * x - 1
