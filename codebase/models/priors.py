"""Priors p(z): parts that make a distribution over (Z,), and the one that contract models share."""

import abc
from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from codebase import utils as ut
from codebase.models import flows
from codebase.models.distributions import DiagonalGaussian, Distribution, Mixture

DRAWS = 4_096  # of a flow prior, by which its mean and variance are said

Posterior = Callable[[torch.Tensor], Distribution]  # images (B, D) → q(z|x) over (B, Z)


class StandardNormalPrior:
    """p(z) = N(0, I), for a model with z_dim; every checkpoint carries its two constants."""

    z_dim: int

    def _init_prior(self) -> None:
        self.z_prior_m = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.z_prior_v = nn.Parameter(torch.ones(1), requires_grad=False)

    @property
    def z_prior(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The prior's mean and variance, (1,) each."""
        return self.z_prior_m, self.z_prior_v

    def prior(self) -> Distribution:
        """p(z), a `DiagonalGaussian` over (Z,)."""
        return DiagonalGaussian(*(t.expand(self.z_dim) for t in self.z_prior))


class Prior(nn.Module, abc.ABC):
    """Makes p(z) from its parameters.

    Args:
        z_dim, x_dim: Z and D.
    """

    def __init__(self, z_dim: int, x_dim: int) -> None:
        super().__init__()
        self.z_dim, self.x_dim = z_dim, x_dim

    @abc.abstractmethod
    def forward(self, posterior: Posterior) -> Distribution:
        """p(z), a distribution over (Z,).

        Args:
            posterior: the model's, images (…, D) → q(z|x).
        """

    def prepare(self, images: Callable[[], torch.Tensor]) -> None:
        """May ask for the training images, (N, D) grey in [0, 1], before the first step."""


class StandardNormal(Prior):
    """N(0, I)."""

    m: torch.Tensor
    v: torch.Tensor

    def __init__(self, z_dim: int, x_dim: int) -> None:
        super().__init__(z_dim, x_dim)
        self.register_buffer("m", torch.zeros(z_dim), persistent=False)
        self.register_buffer("v", torch.ones(z_dim), persistent=False)

    def forward(self, posterior: Posterior) -> DiagonalGaussian:
        return DiagonalGaussian(self.m, self.v)


class GaussianMixture(Prior):
    """1/K Σ_k N(m_k, diag v_k), m and v learned, as the assignment's GMVAE has it.

    Args:
        k: K, the number of components.
    """

    def __init__(self, z_dim: int, x_dim: int, k: int = 500) -> None:
        super().__init__(z_dim, x_dim)
        self.pre = nn.Parameter(torch.randn(2 * k, z_dim) / (k * z_dim) ** 0.5)

    def forward(self, posterior: Posterior) -> Mixture:
        return Mixture(DiagonalGaussian(*ut.gaussian_parameters(self.pre, dim=0)))


class Vamp(Prior):
    """1/K Σ_k q(z|u_k), the posteriors of K learned images u (Tomczak & Welling, 2018).

    Args:
        k: K, the number of pseudo-inputs.
        pseudo: what they begin as: "random", or "data", K training images.
    """

    def __init__(self, z_dim: int, x_dim: int, k: int = 500, pseudo: str = "random") -> None:
        super().__init__(z_dim, x_dim)
        self.pseudo = pseudo
        self.pre = nn.Parameter(torch.randn(k, x_dim))

    @torch.no_grad()
    def prepare(self, images: Callable[[], torch.Tensor]) -> None:
        if self.pseudo == "data":
            grey = images()
            chosen = torch.randint(len(grey), (len(self.pre),), device=grey.device)
            self.pre.copy_(torch.logit(grey[chosen].to(self.pre), eps=0.01))

    @property
    def images(self) -> torch.Tensor:
        """The pseudo-inputs u in (0, 1), (K, D)."""
        return torch.sigmoid(self.pre)

    def forward(self, posterior: Posterior) -> Mixture:
        return Mixture(posterior(self.images))


class RealNVP(Prior):
    """f(z) ~ N(0, I), f a few affine couplings that take turns (Dinh et al., 2017).

    Args:
        couplings: how many.
        hidden: width of each one's two hidden layers.
    """

    noise: torch.Tensor

    def __init__(self, z_dim: int, x_dim: int, couplings: int = 6, hidden: int = 128) -> None:
        super().__init__(z_dim, x_dim)
        self.chain = nn.ModuleList(
            flows.Coupling(z_dim, hidden, odd=i % 2 == 1) for i in range(couplings)
        )
        self.register_buffer("noise", flows.fixed_noise(DRAWS, z_dim), persistent=False)

    def flow(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """f(z), and log |det ∂f/∂z|: (…, Z) → (…, Z), (…)."""
        total = z.new_zeros(z.shape[:-1])
        for part in self.chain:
            z, log_det = part(z)
            total = total + log_det
        return z, total

    def inverse(self, u: torch.Tensor) -> torch.Tensor:
        """z of f(z) = u."""
        for part in reversed(list(self.chain)):
            u = cast(flows.Coupling, part).inverse(u)
        return u

    def forward(self, posterior: Posterior) -> flows.Pulled:
        return flows.Pulled(self.flow, self.inverse, self.noise)


class Maf(RealNVP):
    """f(z) ~ N(0, I), f a few autoregressive flows, the order of dimensions turned between.

    The density takes one pass, a sample Z of them (Papamakarios et al., 2017).

    Args:
        couplings: how many flows.
        hidden: width of each one's two hidden layers.
    """

    def __init__(self, z_dim: int, x_dim: int, couplings: int = 3, hidden: int = 128) -> None:
        super().__init__(z_dim, x_dim, 0)
        self.chain = nn.ModuleList(
            flows.Autoregressive(z_dim, hidden, backwards=i % 2 == 1) for i in range(couplings)
        )
