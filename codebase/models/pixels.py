"""Distributions of grey pixels. Of each the mass or density is that of the image's 256 levels.

A level k of 0 … 255 is the pixel k/255. A density needs pixels that fill the interval, dequantized
ones: (k + u)/256 with u uniform in [0, 1). The log mass that it gives an image's levels is at least
E_u log density − D log 256 (Theis et al., 2016). So −log p is in nats of 256 levels for each of
these, and not to be put beside nats of binary pixels.
"""

import abc
import math

import torch
from torch.nn import functional as F

from codebase.models.distributions import Distribution

LEVELS = 256
HALF = 0.5 / (LEVELS - 1)  # of the distance of two levels
SMALL = 0.01  # where a series is nearer than the closed form


class Density(Distribution):
    """Independent pixels with a density, each of whose 256 intervals counts as a level."""

    @abc.abstractmethod
    def log_density(self, value: torch.Tensor) -> torch.Tensor:
        """Of each dequantized pixel, (…, D) → (…, D)."""

    @abc.abstractmethod
    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Pixels, (*shape, …, D), some outside of [0, 1] perhaps."""

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Σ_d log density − D log 256: (…, D) → (…)."""
        return self.log_density(value).sum(-1) - value.shape[-1] * math.log(LEVELS)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """Pixels in [0, 1], (*shape, …, D)."""
        return self.draw(shape).clamp(0, 1)


class Gaussian(Density):
    """N(m, v), v a number for all pixels.

    Args:
        m: means, (…, D).
        v: variance, ().
    """

    def __init__(self, m: torch.Tensor, v: torch.Tensor) -> None:
        self.m, self.v = m, v

    @property
    def mean(self) -> torch.Tensor:
        """m, (…, D)."""
        return self.m

    def log_density(self, value: torch.Tensor) -> torch.Tensor:
        return -0.5 * ((value - self.m).square() / self.v + torch.log(2 * math.pi * self.v))

    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        m = self.m.expand(*shape, *self.m.shape)
        return m + self.v.sqrt() * torch.randn_like(m)


class ContinuousBernoulli(Density):
    """p(x) = C λ^x (1 − λ)^(1−x) on [0, 1] (Loaiza-Ganem & Cunningham, 2019).

    By logits ℓ = logit λ: log p(x) = ℓx − softplus(ℓ) + log(ℓ / tanh(ℓ/2)); the mean is
    ½ + ½ coth(ℓ/2) − 1/ℓ, which is not λ.

    Args:
        logits: (…, D).
    """

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits

    def _away(self):
        """Whether the closed form holds, and logits at which it can be taken everywhere."""
        away = self.logits.abs() > SMALL
        # Where it is not used it must be finite all the same, or its gradient is 0 · ∞.
        return away, torch.where(away, self.logits, torch.ones_like(self.logits))

    def log_density(self, value: torch.Tensor) -> torch.Tensor:
        away, safe = self._away()
        series = math.log(2) + self.logits.square() / 12
        log_c = torch.where(away, torch.log(safe / torch.tanh(safe / 2)), series)
        return self.logits * value - F.softplus(self.logits) + log_c

    @property
    def mean(self) -> torch.Tensor:
        """(…, D)."""
        away, safe = self._away()
        exact = 0.5 + 0.5 / torch.tanh(safe / 2) - 1 / safe
        return torch.where(away, exact, 0.5 + self.logits / 12)

    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        """By the inverse distribution function, from the side where the density is larger."""
        away, safe = self._away()
        u = torch.rand_like(self.logits.expand(*shape, *self.logits.shape))
        a = safe.abs()
        t = -torch.log(u + (1 - u) * torch.exp(-a)) / a
        return torch.where(away, torch.where(safe > 0, 1 - t, t), u)


class LogCosh(Density):
    """p(x) ∝ cosh(a t)^(−1/a), t = (x − m)/s: like a Gaussian near m, like a Laplace far away.

    ∫ cosh(at)^(−1/a) dt = B(1/(2a), ½)/a makes it a density (Chen et al., 2019, minimize the bare
    logarithm).

    Args:
        m: (…, D).
        s: scale, ().
        a: how soon it is like a Laplace.
    """

    def __init__(self, m: torch.Tensor, s: torch.Tensor, a: float) -> None:
        self.m, self.s, self.a = m, s, a

    @property
    def mean(self) -> torch.Tensor:
        """m, (…, D)."""
        return self.m

    def log_density(self, value: torch.Tensor) -> torch.Tensor:
        t = ((value - self.m) / self.s).abs()
        # log cosh(at) without an e^(at), which float32 would not hold.
        cost = t + (torch.log1p(torch.exp(-2 * self.a * t)) - math.log(2)) / self.a
        p = 0.5 / self.a
        log_whole = math.lgamma(p) + math.lgamma(0.5) - math.lgamma(p + 0.5) - math.log(self.a)
        return -cost - log_whole - self.s.log()

    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        """(1 + tanh(at))/2 has the distribution Beta(1/(2a), 1/(2a)), the ratio of two Gammas."""
        m = self.m.expand(*shape, *self.m.shape)
        p = 0.5 / self.a
        # log Gamma(p) as log Gamma(p + 1) + log(u)/p: of a small p the Gamma itself is 0.
        logs = [
            torch._standard_gamma(torch.full_like(m, p + 1)).log()
            + torch.rand_like(m).clamp(min=1e-30).log() / p
            for _ in range(2)
        ]
        return m + self.s * (logs[0] - logs[1]) / (2 * self.a)


class DiscretizedLogistic(Distribution):
    """The mass of a logistic law between the middles of levels, the ends open.

    As Kingma et al. (2016) have it:
    P(x) = σ((x + h − m)/s) − σ((x − h − m)/s), h = 1/510; at 0 the second is 0, at 1 the first 1.

    Args:
        m: (…, D).
        s: scale, ().
    """

    def __init__(self, m: torch.Tensor, s: torch.Tensor) -> None:
        self.m, self.s = m, s

    @property
    def mean(self) -> torch.Tensor:
        """m, (…, D)."""
        return self.m

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Σ_d log P, of pixels k/255: (…, D) → (…)."""
        upper = (value + HALF - self.m) / self.s
        lower = (value - HALF - self.m) / self.s
        # σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b−a)): no difference of numbers that are nearly one.
        inside = torch.log(-torch.expm1(-2 * HALF / self.s))
        below = torch.where(value < HALF, torch.zeros_like(upper), F.logsigmoid(-lower) + inside)
        ends = torch.where(value > 1 - HALF, F.logsigmoid(-lower), F.logsigmoid(upper) + below)
        return ends.sum(-1)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """Levels k/255, (*shape, …, D); no gradient passes."""
        m = self.m.expand(*shape, *self.m.shape)
        u = torch.rand_like(m).clamp(1e-6, 1 - 1e-6)
        return ((m + self.s * torch.logit(u)).clamp(0, 1) * (LEVELS - 1)).round() / (LEVELS - 1)
