"""Posteriors q(z|x): parts that make a distribution over (B, Z) from what the encoder says."""

import abc
from functools import partial

import torch
from torch import nn

from codebase.models import flows
from codebase.models.distributions import (
    DiagonalGaussian,
    Distribution,
    FullGaussian,
    closed_form,
)

DRAWS = 32  # of a flow's posterior, by which its mean and variance are said


class Posterior(nn.Module, abc.ABC):
    """Makes q(z|x) from the encoder's mean, variance and last hidden layer.

    What a subclass adds starts out as nothing: q is N(m, diag v), the VAE's, before the first step.

    Args:
        z_dim: Z.
        features: H, the width of the encoder's last hidden layer.
    Attributes:
        mean_is_m: whether the posterior's mean is the encoder's m.
    """

    mean_is_m = True

    def __init__(self, z_dim: int, features: int) -> None:
        super().__init__()
        self.z_dim, self.features = z_dim, features

    @abc.abstractmethod
    def forward(self, m: torch.Tensor, v: torch.Tensor, h: torch.Tensor) -> Distribution:
        """q(z|x), a distribution over (…, Z).

        Args:
            m, v: mean and variance, (…, Z) each.
            h: the last hidden layer, (…, H).
        """


class Diagonal(Posterior):
    """N(m, diag v)."""

    def forward(self, m: torch.Tensor, v: torch.Tensor, h: torch.Tensor) -> DiagonalGaussian:
        return DiagonalGaussian(m, v)


class Full(Posterior):
    """N(m, L Lᵀ), L lower triangular with √v on its diagonal.

    Below the diagonal stands a linear function of h that begins at 0.
    """

    places: torch.Tensor

    def __init__(self, z_dim: int, features: int) -> None:
        super().__init__(z_dim, features)
        self.below: nn.Module = flows.zero_linear(features, z_dim * (z_dim - 1) // 2)
        rows, columns = torch.tril_indices(z_dim, z_dim, -1)
        diagonal = torch.arange(z_dim) * (z_dim + 1)
        places = torch.cat([rows * z_dim + columns, diagonal])
        self.register_buffer("places", places, persistent=False)

    def forward(self, m: torch.Tensor, v: torch.Tensor, h: torch.Tensor) -> FullGaussian:
        flat = m.new_zeros(*m.shape[:-1], self.z_dim**2)
        places = self.places.expand(*m.shape[:-1], -1)
        entries = torch.cat([self.below(h).to(m.dtype), v.sqrt()], dim=-1)
        factor = flat.scatter(-1, places, entries).unflatten(-1, (self.z_dim, self.z_dim))
        return FullGaussian(m, factor)


class Flowing(Posterior):
    """N(m, diag v) pushed through a few flows. Its density is known of its own samples alone.

    Args:
        steps: how many flows.
    """

    mean_is_m = False
    noise: torch.Tensor

    def __init__(self, z_dim: int, features: int, steps: int) -> None:
        super().__init__(z_dim, features)
        self.steps = steps
        self.register_buffer("noise", flows.fixed_noise(DRAWS, z_dim), persistent=False)

    @abc.abstractmethod
    def of_images(self, h: torch.Tensor) -> list[flows.Flow]:
        """The flows of images whose last hidden layer is h, (…, H)."""

    def forward(self, m: torch.Tensor, v: torch.Tensor, h: torch.Tensor) -> flows.Pushed:
        return flows.Pushed(DiagonalGaussian(m, v), self.of_images(h.to(m.dtype)), self.noise)


class Planar(Flowing):
    """z ← z + û tanh(wᵀz + b) a few times, û, w and b linear functions of h.

    û begins at 0, the identity; w begins where its layer does.

    Args:
        steps: how many times.
    """

    def __init__(self, z_dim: int, features: int, steps: int = 8) -> None:
        super().__init__(z_dim, features, steps)
        self.directions = nn.Linear(features, steps * z_dim)
        self.shifts = flows.zero_linear(features, steps * (z_dim + 1))

    def of_images(self, h: torch.Tensor) -> list[flows.Flow]:
        w = self.directions(h).to(h.dtype).chunk(self.steps, dim=-1)
        ub = self.shifts(h).to(h.dtype).chunk(self.steps, dim=-1)
        return [
            partial(flows.planar, w=a, u=t[..., :-1], b=t[..., -1])
            for a, t in zip(w, ub, strict=True)
        ]


class Radial(Flowing):
    """z ← z + β h(r) (z − c) a few times, the centres c, α and β linear functions of h.

    β begins at 0, the identity.

    Args:
        steps: how many times.
    """

    def __init__(self, z_dim: int, features: int, steps: int = 8) -> None:
        super().__init__(z_dim, features, steps)
        self.centres = nn.Linear(features, steps * (z_dim + 1))  # and a
        self.pulls = flows.zero_linear(features, steps)

    def of_images(self, h: torch.Tensor) -> list[flows.Flow]:
        ca = self.centres(h).to(h.dtype).chunk(self.steps, dim=-1)
        b = self.pulls(h).to(h.dtype).unbind(-1)
        return [
            partial(flows.radial, centre=t[..., :-1], a=t[..., -1], b=pull)
            for t, pull in zip(ca, b, strict=True)
        ]


class Iaf(Flowing):
    """z_i ← σ_i(z_<i, h) z_i + μ_i(z_<i, h) a few times, the order of dimensions turned between.

    Args:
        steps: how many times.
        hidden: width of each flow's two hidden layers.
    """

    def __init__(self, z_dim: int, features: int, steps: int = 2, hidden: int = 128) -> None:
        super().__init__(z_dim, features, steps)
        self.nets = nn.ModuleList(
            flows.InverseAutoregressive(z_dim, hidden, features, backwards=i % 2 == 1)
            for i in range(steps)
        )

    def of_images(self, h: torch.Tensor) -> list[flows.Flow]:
        return [partial(net, context=h) for net in self.nets]


class Householder(Posterior):
    """N(m, diag v) turned by reflections z ← z − 2 v vᵀz / ‖v‖², v linear functions of h.

    A Gaussian with covariances, of fewer numbers than all of them (Tomczak & Welling, 2016). Two
    reflections along one axis are none; they begin in such pairs where their number is even.

    Args:
        steps: how many reflections.
    """

    mean_is_m = False

    def __init__(self, z_dim: int, features: int, steps: int = 8) -> None:
        super().__init__(z_dim, features)
        self.steps = steps
        self.axes = nn.Linear(features, steps * z_dim)
        with torch.no_grad():
            for t in (self.axes.weight, self.axes.bias):
                rows = t.unflatten(0, (steps, z_dim))
                rows[1::2] = rows[: 2 * (steps // 2) : 2]

    def forward(self, m: torch.Tensor, v: torch.Tensor, h: torch.Tensor) -> flows.Reflected:
        axes = self.axes(h).to(m.dtype).chunk(self.steps, dim=-1)
        return flows.Reflected(DiagonalGaussian(m, v), axes)


@closed_form(flows.Reflected, DiagonalGaussian)
def _kl_of_reflected_and_diagonal(q: flows.Reflected, p: DiagonalGaussian) -> torch.Tensor:
    ratio = (q.variance + (q.mean - p.m).square()) / p.v
    return 0.5 * (ratio - 1 + p.v.log()).sum(-1) - q.log_det()
