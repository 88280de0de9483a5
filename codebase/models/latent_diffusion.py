"""Diffusion over a VAE's codes: a prior that is learned once the VAE stands still."""

import math

import torch

from codebase import utils as ut
from codebase.models.base import Abilities, Loss
from codebase.models.distributions import Bernoulli, DiagonalGaussian
from codebase.models.nns.denoisers import TimedMLP
from codebase.models.nns.v1 import X_DIM, Decoder, Encoder, check_size
from codebase.models.noising import FEATURES, Denoiser, Process, Progress
from codebase.models.staged import Staged

KEPT = 0.99  # of the codes' mean and variance, at a step


class LatentDiffusion(Staged):
    """A VAE with the prior N(0, I), and diffusion over its codes, which takes that prior's place.

        z ~ q(z|x) = N(m(x), diag v(x)),  u = (z − a) / s
        −log p(x) ≤ rec + [bound of −log p(u)] + Σ_j log s_j − H(q(z|x))

    The diffusion learns from sampled codes, which pass no gradient on, from the first step on.
    After `vae_steps` the VAE is trained no more, and a and s stand still, running means and
    standard deviations of the codes before. Before it is trained the diffusion is N(0, I) over u,
    and its bound tight (see `Denoiser`). After Rombach et al. (2022) and Vahdat et al. (2021).

    Args:
        name: names the checkpoint folder.
        z_dim: Z.
        vae_steps: steps in which the VAE is trained.
        times: T of the diffusion.
        hidden: width of its network's layers.
        layers: how many there are.
        x_dim: D, the number of pixels.
    Raises:
        ValueError: a size < 1, or T < 2.
    """

    abilities = Abilities(samples=True)
    centre: torch.Tensor
    spread: torch.Tensor

    def __init__(
        self,
        name: str = "latent-diffusion",
        z_dim: int = 10,
        vae_steps: int = 10_000,
        times: int = 200,
        hidden: int = 128,
        layers: int = 3,
        x_dim: int = X_DIM,
    ) -> None:
        check_size("z_dim", z_dim)
        check_size("vae_steps", vae_steps)
        super().__init__(name)
        self.x_dim, self.vae_steps = x_dim, vae_steps
        self.width = z_dim  # z_dim is of models whose prior has a density
        self.enc, self.dec = Encoder(z_dim, x_dim=x_dim), Decoder(z_dim, x_dim=x_dim)
        net = TimedMLP(z_dim, FEATURES, hidden, layers)
        self.denoiser = Denoiser(net, Process(times, highest=6.0, wide=True), bits=False)
        self.register_buffer("centre", torch.zeros(z_dim))  # a
        self.register_buffer("spread", torch.ones(z_dim))  # s²

    @property
    def steps_differ(self) -> bool:
        """They do: the VAE's weights have gradients at first."""
        return True

    @property
    def frozen(self) -> bool:
        """Whether the VAE is trained no more."""
        return self.steps_counted > self.vae_steps

    def loss(self, x: torch.Tensor) -> Loss:
        """‖ε − ε̂‖², and −ELBO of the VAE while it is trained; averaged over images (B, D).

        gen/elbo is minus the VAE's bound, of the prior N(0, I); gen/elbo_diffusion that of the
        diffusion, at one time per image, noisy.
        """
        frozen = self.frozen
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            q, z, kl, rec = self._coded(x)
        codes = z.detach()
        if self.training and not frozen:
            self._follow(codes)
        u, process = self._scaled(codes), self.denoiser.process
        (t,) = process.evenly(len(x))
        error, term = self.denoiser.term(u, t)
        of_u = process.prior_kl(u) + process.times * term
        bound = (rec + of_u + self._volume() - _entropy(q)).mean().detach()
        nelbo = (kl + rec).mean()
        loss = error.mean() if frozen else error.mean() + nelbo
        return loss, {"train/loss": loss, "gen/elbo": -nelbo, "gen/elbo_diffusion": -bound}

    def bound_terms(self, x: torch.Tensor, strata: int | None = None) -> dict[str, torch.Tensor]:
        """Parts of −log p(x)'s bound for each binary image, with one z, in nats.

        Args:
            x: (B, D).
            strata: see `Denoiser.terms`.
        Returns:
            {"kl": what the diffusion bounds KL(q(z|x) ‖ p(z)) by, "rec": (B,)}, which add up; and
            beside them {"kl, normal prior": (B,)}, by formula.
        """
        q, z, kl, rec = self._coded(x)
        of_u = torch.stack(list(self.denoiser.terms(self._scaled(z), strata).values())).sum(0)
        return {"kl": of_u + self._volume() - _entropy(q), "rec": rec, "kl, normal prior": kl}

    def sample_z(
        self, batch: int, ddim: int | None = None, progress: Progress = iter
    ) -> torch.Tensor:
        """Codes from the diffusion, (batch, Z)."""
        u = self.denoiser.sample(batch, self.width, ddim, progress)
        return self.centre + self.spread.sqrt() * u

    def sample_x(
        self, batch: int, ddim: int | None = None, progress: Progress = iter
    ) -> torch.Tensor:
        """Images from the model, (batch, D) in {0, 1}."""
        return Bernoulli(self.dec(self.sample_z(batch, ddim, progress))).sample()

    def _coded(self, x):
        """q(z|x), a sample (B, Z), and (kl, rec) of the VAE, (B,) each."""
        q = DiagonalGaussian(*self.enc(x))
        z = q.rsample()
        kl = ut.kl_normal(q.m, q.v, torch.zeros_like(q.m), torch.ones_like(q.v))
        return q, z, kl, -Bernoulli(self.dec(z)).log_prob(x)

    def _scaled(self, z):
        return (z - self.centre) / self.spread.sqrt()

    def _volume(self):
        """Σ_j log s_j."""
        return 0.5 * self.spread.log().sum()

    def _follow(self, z):
        """Brings a and s² up to date with codes (B, Z)."""
        off = (z - self.centre).square().mean(0)
        self.spread.copy_(KEPT * self.spread + (1 - KEPT) * off)
        self.centre.copy_(KEPT * self.centre + (1 - KEPT) * z.mean(0))


def _entropy(q):
    """H(q) in nats, (B,)."""
    return 0.5 * (q.v.log() + math.log(2 * math.pi) + 1).sum(-1)
