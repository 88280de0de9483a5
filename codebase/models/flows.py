"""Invertible functions with the log of their Jacobian's determinant, and what is drawn by them.

A flow maps z (…, Z) to (u (…, Z), log |det ∂u/∂z| (…)).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from codebase.models.distributions import DiagonalGaussian, Distribution

Flow = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that gives 0 before it is trained."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def fixed_noise(draws: int, z_dim: int) -> torch.Tensor:
    """N(0, I) of a generator of its own, the same every time: (draws, Z)."""
    return torch.randn(draws, z_dim, generator=torch.Generator().manual_seed(0))


# Distributions


class Pushed(Distribution):
    """A Gaussian pushed through flows: z = f(z₀), log q(z) = log q₀(z₀) − log |det ∂f/∂z₀|.

    f is not inverted, so the density is known of its own samples alone.

    Args:
        base: q₀, over (…, Z).
        flows: f, the first one first.
        noise: (S, Z) of N(0, I); mean and variance are those of its S draws, the same every time.
    """

    def __init__(self, base: DiagonalGaussian, flows: Sequence[Flow], noise: torch.Tensor) -> None:
        self.base, self.flows, self.noise = base, flows, noise

    def _push(self, z):
        log_det = z.new_zeros(z.shape[:-1])
        for flow in self.flows:
            z, more = flow(z)
            log_det = log_det + more
        return z, log_det

    def _draws(self):
        lead = [1] * (self.base.m.dim() - 1)
        noise = self.noise.view(len(self.noise), *lead, -1)
        return self._push(self.base.m + self.base.v.sqrt() * noise)[0]  # (S, …, Z)

    @property
    def mean(self) -> torch.Tensor:
        """Of the S draws, (…, Z)."""
        return self._draws().mean(0)

    @property
    def variance(self) -> torch.Tensor:
        """Of each dimension over the S draws, (…, Z)."""
        return self._draws().var(0)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """f(z₀), z₀ ~ q₀: (*shape, …, Z)."""
        return self.rsample_and_log_prob(shape)[0]

    def rsample_and_log_prob(
        self, shape: tuple[int, ...] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Samples and their log density, (*shape, …, Z) and (*shape, …)."""
        z, log_q = self.base.rsample_and_log_prob(shape)
        z, log_det = self._push(z)
        return z, log_q - log_det

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Raises a TypeError: f would have to be inverted."""
        raise TypeError("a pushed Gaussian has the density of its own samples alone")


class Pulled(Distribution):
    """z with f(z) ~ N(0, I): log p(z) = log N(f(z); 0, I) + log |det ∂f/∂z|.

    Args:
        flow: f.
        inverse: f⁻¹.
        noise: (S, Z) of N(0, I); mean and variance are those of its S draws, the same every time.
    """

    def __init__(
        self, flow: Flow, inverse: Callable[[torch.Tensor], torch.Tensor], noise: torch.Tensor
    ) -> None:
        self.flow, self.inverse, self.noise = flow, inverse, noise

    @property
    def mean(self) -> torch.Tensor:
        """Of the S draws, (Z,)."""
        return self.inverse(self.noise).mean(0)

    @property
    def variance(self) -> torch.Tensor:
        """Of each dimension over the S draws, (Z,)."""
        return self.inverse(self.noise).var(0)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """f⁻¹(u), u ~ N(0, I): (*shape, Z)."""
        like = self.noise[0]
        return self.inverse(torch.randn_like(like.expand(*shape, *like.shape)))

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """(…, Z) → (…)."""
        u, log_det = self.flow(value)
        return log_det - 0.5 * (u.square().sum(-1) + u.shape[-1] * math.log(2 * math.pi))


# Flows with weights of their own


class Coupling(nn.Module):
    """u_b = z_b · e^s(z_a) + t(z_a), u_a = z_a (Dinh et al., 2017); log det = Σ s.

    s = 2 tanh(h/2) is bounded; the last layer begins at 0, so f begins as the identity.

    Args:
        z_dim: Z.
        hidden: width of the two hidden layers.
        odd: whether a is the dimensions 1, 3, …; otherwise it is 0, 2, ….
    """

    a: torch.Tensor

    def __init__(self, z_dim: int, hidden: int, odd: bool) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(z_dim, hidden),
            nn.ELU(),
            nn.Linear(hidden, hidden),
            nn.ELU(),
            zero_linear(hidden, 2 * z_dim),
        )
        a = (torch.arange(z_dim) % 2 == odd).float()
        self.register_buffer("a", a, persistent=False)

    def _scale_and_shift(self, z):
        h, t = (self.net(self.a * z).to(z.dtype) * (1 - self.a).repeat(2)).chunk(2, dim=-1)
        return 2 * torch.tanh(h / 2), t  # both 0 in a

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        s, t = self._scale_and_shift(z)
        return z * s.exp() + t, s.sum(-1)

    def inverse(self, u: torch.Tensor) -> torch.Tensor:
        """z of f(z) = u; a, which s and t are functions of, is the same in both."""
        s, t = self._scale_and_shift(u)
        return (u - t) * (-s).exp()


class Made(nn.Module):
    """Two numbers for every z_i that depend on the dimensions before i alone.

    A hidden unit of degree d sees the first d dimensions and is seen by those behind them; units of
    degree 0 see the context alone, which all of them see (Germain et al., 2015). The last layer
    begins at 0.

    Args:
        z_dim: Z.
        hidden: width of the two hidden layers.
        context: H, the width of what is given beside z; 0 for none.
        backwards: whether "before" means behind.
    """

    first: torch.Tensor
    second: torch.Tensor
    last: torch.Tensor

    def __init__(self, z_dim: int, hidden: int, context: int = 0, backwards: bool = False) -> None:
        super().__init__()
        place = torch.arange(1, z_dim + 1)
        place = place.flip(0) if backwards else place
        degree = torch.arange(hidden) % z_dim  # 0 … Z − 1
        self.one, self.two = nn.Linear(z_dim, hidden), nn.Linear(hidden, hidden)
        self.three = zero_linear(hidden, 2 * z_dim)
        self.context = nn.Linear(context, hidden, bias=False) if context else None
        masks = {
            "first": degree[:, None] >= place,
            "second": degree[:, None] >= degree,
            "last": (place[:, None] > degree).repeat(2, 1),
        }
        for name, mask in masks.items():  # as the weights lie, (outputs, inputs)
            self.register_buffer(name, mask.float(), persistent=False)

    def forward(
        self, z: torch.Tensor, context: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(…, Z) and (…, H) → (…, Z) each."""
        one, two, three = self.one, self.two, self.three
        h = F.linear(z, one.weight * self.first, one.bias)
        if self.context is not None and context is not None:
            h = h + self.context(context)
        h = F.linear(F.elu(h), two.weight * self.second, two.bias)
        found = F.linear(F.elu(h), three.weight * self.last, three.bias).to(z.dtype)
        a, b = found.chunk(2, dim=-1)
        return a, b


class Autoregressive(nn.Module):
    """u_i = (z_i − μ_i(z_<i)) · e^−α_i(z_<i) (Papamakarios et al., 2017); log det = −Σ α.

    α = 2 tanh(h/2) is bounded, and f begins as the identity. The inverse takes Z passes.

    Args:
        z_dim, hidden, backwards: as for `Made`.
    """

    def __init__(self, z_dim: int, hidden: int, backwards: bool) -> None:
        super().__init__()
        self.made, self.z_dim = Made(z_dim, hidden, backwards=backwards), z_dim

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        m, h = self.made(z)
        alpha = 2 * torch.tanh(h / 2)
        return (z - m) * (-alpha).exp(), -alpha.sum(-1)

    def inverse(self, u: torch.Tensor) -> torch.Tensor:
        """z of f(z) = u: after i passes the first i dimensions are right."""
        z = torch.zeros_like(u)
        for _ in range(self.z_dim):
            m, h = self.made(z)
            z = u * (2 * torch.tanh(h / 2)).exp() + m
        return z


class InverseAutoregressive(nn.Module):
    """u_i = σ_i(z_<i, h) · z_i + μ_i(z_<i, h) (Kingma et al., 2016); log det = Σ log σ.

    σ = 2 sigmoid is in (0, 2), and f begins as the identity.

    Args:
        z_dim, hidden, context, backwards: as for `Made`.
    """

    def __init__(self, z_dim: int, hidden: int, context: int, backwards: bool) -> None:
        super().__init__()
        self.made = Made(z_dim, hidden, context, backwards)

    def forward(self, z: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        m, s = self.made(z, context)
        return torch.sigmoid(s) * 2 * z + m, (F.logsigmoid(s) + math.log(2)).sum(-1)


# Flows whose parameters are given, an image's own


def planar(
    z: torch.Tensor, w: torch.Tensor, u: torch.Tensor, b: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """z + û tanh(wᵀz + b) (Rezende & Mohamed, 2015); log det = log(1 + (1 − tanh²) wᵀû).

    û = u + (softplus(wᵀu + c) − 1 − wᵀu) w/‖w‖² has wᵀû > −1, so that f can be inverted; with
    c = log(e − 1) u = 0 gives û = 0, the identity.

    Args:
        z, w, u: (…, Z) each.
        b: (…).
    """
    wu, ww = (w * u).sum(-1), w.square().sum(-1) + 1e-12
    to_softplus = F.softplus(wu + math.log(math.e - 1)) - 1  # 0 at 0
    u = u + ((to_softplus - wu) / ww).unsqueeze(-1) * w
    t = torch.tanh((w * z).sum(-1) + b)
    return z + u * t.unsqueeze(-1), torch.log1p((1 - t.square()) * to_softplus)


def radial(
    z: torch.Tensor, centre: torch.Tensor, a: torch.Tensor, b: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """z + β h (z − centre), h = 1/(α + r), r = ‖z − centre‖ (Rezende & Mohamed, 2015).

    log det = (Z − 1) log(1 + βh) + log(1 + βh − βrh²). α = softplus(a), and β = α (softplus(b + c)
    − 1) > −α, so that f can be inverted; with c = log(e − 1) b = 0 gives the identity.

    Args:
        z, centre: (…, Z) each.
        a, b: (…).
    """
    alpha = F.softplus(a) + 1e-6
    beta = alpha * (F.softplus(b + math.log(math.e - 1)) - 1)
    away = z - centre
    r = (away.square().sum(-1) + 1e-12).sqrt()
    h = 1 / (alpha + r)
    log_det = (z.shape[-1] - 1) * torch.log1p(beta * h) + torch.log1p(beta * h * (1 - r * h))
    return z + (beta * h).unsqueeze(-1) * away, log_det


def reflect(z: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """z − 2 v vᵀz / ‖v‖², a Householder reflection: (…, Z), (…, Z) → (…, Z)."""
    share = (v * z).sum(-1, keepdim=True) / (v.square().sum(-1, keepdim=True) + 1e-12)
    return z - 2 * share * v


class Reflected(Distribution):
    """N(H m, H diag(v) Hᵀ), H = H_T … H_1 a product of reflections, orthogonal.

    Args:
        base: N(m, diag v), over (…, Z).
        axes: what H_1, H_2, … reflect along, (…, Z) each.
    """

    def __init__(self, base: DiagonalGaussian, axes: Sequence[torch.Tensor]) -> None:
        self.base, self.axes = base, axes

    def _forth(self, z):
        for v in self.axes:
            z = reflect(z, v)
        return z

    def _back(self, z):
        for v in reversed(self.axes):
            z = reflect(z, v)
        return z

    @property
    def mean(self) -> torch.Tensor:
        """(…, Z)."""
        return self._forth(self.base.m)

    @property
    def variance(self) -> torch.Tensor:
        """Of each dimension, Σ_j H_ij² v_j: (…, Z)."""
        eye = torch.eye(self.base.m.shape[-1]).to(self.base.m)
        lead = [1] * (self.base.m.dim() - 1)
        columns = self._forth(eye.view(-1, *lead, len(eye)))  # (j, …, i)
        return (columns.square() * self.base.v.movedim(-1, 0).unsqueeze(-1)).sum(0)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """H z₀, z₀ ~ N(m, diag v): (*shape, …, Z)."""
        return self._forth(self.base.rsample(shape))

    def rsample_and_log_prob(
        self, shape: tuple[int, ...] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A reflection changes no volume: the density is z₀'s."""
        z, log_q = self.base.rsample_and_log_prob(shape)
        return self._forth(z), log_q

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """log N(Hᵀ value; m, diag v): (…, Z) → (…)."""
        return self.base.log_prob(self._back(value))

    def detached(self) -> "Reflected":
        """The same, of parameters that pass no gradients on."""
        return Reflected(self.base.detached(), [v.detach() for v in self.axes])

    def log_det(self) -> torch.Tensor:
        """½ log det of the covariance, (…)."""
        return 0.5 * self.base.v.log().sum(-1)
