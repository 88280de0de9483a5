"""Distributions as plain objects of tensors, in the language of torch.distributions.

A model makes them from its parameters when it is asked for its prior, posterior or likelihood;
they own no weights. Densities are in nats, summed over the last dimension. Shapes: B images, Z
latent dimensions, D pixels, K components, Y labels, … whatever stands before.
"""

import abc
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from codebase import utils as ut
from codebase.models.precise import precise

Formula = Callable[[Any, Any], torch.Tensor]  # of q and p

# {(type of q, type of p): their KL in closed form}
_FORMULAS: dict[tuple[type, type], Formula] = {}
_BY_DIMENSION: dict[tuple[type, type], Callable[[Any, Any], torch.Tensor | None]] = {}


class Distribution(abc.ABC):
    """What can be sampled and has a density.

    A subclass has `rsample` and `log_prob`, or where the density comes with the sample (a flow)
    `rsample_and_log_prob`; and `mean` and `variance` if it knows them.
    """

    if TYPE_CHECKING:  # said to readers only: a subclass may have them as attributes too

        @property
        def mean(self) -> torch.Tensor: ...

        @property
        def variance(self) -> torch.Tensor: ...

    @abc.abstractmethod
    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """Samples that carry gradients, (*shape, …)."""

    @abc.abstractmethod
    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Log density, the last dimension summed: (…, N) → (…)."""

    def rsample_and_log_prob(
        self, shape: tuple[int, ...] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Samples and their log density, by one pass where that costs less than two."""
        value = self.rsample(shape)
        return value, self.log_prob(value)

    def detached(self) -> "Distribution":
        """The same, of parameters that pass no gradients on; of those whose density is known.

        Raises:
            TypeError: of others.
        """
        raise TypeError(f"a {type(self).__name__} has no parameters to be held")

    def sample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """Samples without gradients, (*shape, …)."""
        with torch.no_grad():
            return self.rsample(shape)


class DiagonalGaussian(Distribution):
    """N(m, diag v).

    Args:
        m, v: mean and variance (not standard deviation), (…, N) each.
    """

    def __init__(self, m: torch.Tensor, v: torch.Tensor) -> None:
        self.m, self.v = m, v

    @property
    def mean(self) -> torch.Tensor:
        """(…, N)."""
        return self.m

    @property
    def variance(self) -> torch.Tensor:
        """(…, N)."""
        return self.v

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """m + √v · ε, ε ~ N(0, I) from torch's global generator: (*shape, …, N)."""
        m, v = (t.expand(*shape, *t.shape) if shape else t for t in (self.m, self.v))
        return ut.sample_gaussian(m, v)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Σ_n log N(value_n; m_n, v_n): (…, N) → (…)."""
        return ut.log_normal(value, self.m, self.v)

    def detached(self) -> "DiagonalGaussian":
        """The same, of parameters that pass no gradients on."""
        return DiagonalGaussian(self.m.detach(), self.v.detach())


class Point(Distribution):
    """All at one point, as a function without probabilities gives it; it has no density.

    Args:
        at: the point, (…, N).
    """

    def __init__(self, at: torch.Tensor) -> None:
        self.at = at

    @property
    def mean(self) -> torch.Tensor:
        """The point, (…, N)."""
        return self.at

    @property
    def variance(self) -> torch.Tensor:
        """0, (…, N)."""
        return torch.zeros_like(self.at)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """The point, (*shape, …, N)."""
        return self.at.expand(*shape, *self.at.shape)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Raises a TypeError."""
        raise TypeError("a point has no density")


class FullGaussian(Distribution):
    """N(m, L Lᵀ).

    Args:
        m: mean, (…, N).
        factor: L, lower triangular with a positive diagonal, (…, N, N).
    """

    def __init__(self, m: torch.Tensor, factor: torch.Tensor) -> None:
        self.m, self.factor = m, factor

    @property
    def mean(self) -> torch.Tensor:
        """(…, N)."""
        return self.m

    @property
    def variance(self) -> torch.Tensor:
        """Of each dimension, the diagonal of L Lᵀ: (…, N)."""
        return self.factor.square().sum(-1)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """m + L ε, ε ~ N(0, I): (*shape, …, N)."""
        return self.rsample_and_log_prob(shape)[0]

    def rsample_and_log_prob(
        self, shape: tuple[int, ...] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The density comes with ε: no system is solved."""
        noise = torch.randn_like(self.m.expand(*shape, *self.m.shape))
        # All samples as columns of one product: L is not copied for each of them.
        columns = noise.reshape(-1, *self.m.shape).movedim(0, -1)  # (…, N, S)
        with precise(noise):
            turned = self.factor @ columns
        value = self.m + turned.movedim(-1, 0).reshape(noise.shape)
        return value, self._log_prob_of(noise)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """log N(value; m, L Lᵀ): (…, N) → (…)."""
        centred = (value - self.m).unsqueeze(-1)
        return self._log_prob_of(
            torch.linalg.solve_triangular(self.factor, centred, upper=False).squeeze(-1)
        )

    def _log_prob_of(self, noise):
        one = torch.ones_like(noise[..., :1])
        return ut.log_normal(noise, torch.zeros_like(one), one) - self.log_det()

    def detached(self) -> "FullGaussian":
        """The same, of parameters that pass no gradients on."""
        return FullGaussian(self.m.detach(), self.factor.detach())

    def log_det(self) -> torch.Tensor:
        """log det L, (…)."""
        return self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class Mixture(Distribution):
    """1/K Σ_k of K distributions, all of one kind.

    Args:
        components: a distribution over (K, Z), one component a row.
    """

    def __init__(self, components: Distribution) -> None:
        self.components = components
        self.k = len(components.mean)

    @property
    def mean(self) -> torch.Tensor:
        """(Z,)."""
        return self.components.mean.mean(0)

    @property
    def variance(self) -> torch.Tensor:
        """Of each dimension, (Z,): the mean of the variances and the variance of the means."""
        parts = self.components
        return parts.variance.mean(0) + parts.mean.var(0, correction=0)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """A component for each sample, uniformly, then a draw from it: (*shape, Z)."""
        of_each = torch.randint(self.k, shape, device=self.components.mean.device)
        if isinstance(self.components, DiagonalGaussian):
            return ut.sample_gaussian(self.components.m[of_each], self.components.v[of_each])
        every = self.components.rsample(shape)  # (*shape, K, Z)
        at = of_each[..., None, None].expand(*shape, 1, every.shape[-1])
        return every.gather(-2, at).squeeze(-2)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """log 1/K Σ_k p_k(value): (…, Z) → (…)."""
        if isinstance(self.components, DiagonalGaussian):
            m, v = (t.unsqueeze(0) for t in (self.components.m, self.components.v))
            flat = value.reshape(-1, value.shape[-1])
            return ut.log_normal_mixture(flat, m, v).view(value.shape[:-1])
        return ut.log_mean_exp(self.log_prob_by_component(value), dim=-1)

    def log_prob_by_component(self, value: torch.Tensor) -> torch.Tensor:
        """log p_k(value): (…, Z) → (…, K)."""
        return self.components.log_prob(value.unsqueeze(-2))


class Bernoulli(Distribution):
    """Independent binary pixels.

    Args:
        logits: log odds, (…, D).
    """

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits

    @property
    def mean(self) -> torch.Tensor:
        """Probability that each pixel is 1, (…, D)."""
        return torch.sigmoid(self.logits)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """Pixels in {0, 1}, (*shape, …, D); no gradient passes a draw of bits."""
        mean = self.mean
        return torch.bernoulli(mean.expand(*shape, *mean.shape))

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Σ_d log Bernoulli(value_d; σ(logits_d)): (…, D) in {0, 1} → (…)."""
        logits = self.logits
        if value.shape != logits.shape:  # a solution's function may not broadcast
            value, logits = torch.broadcast_tensors(value, logits)
        return ut.log_bernoulli_with_logits(value, logits)

    def entropy(self) -> torch.Tensor:
        """Σ_d H(x_d), in nats, (…): 0 where every pixel is certain, D log 2 where none is."""
        on, off = F.logsigmoid(self.logits), F.logsigmoid(-self.logits)
        return -(on.exp() * on + off.exp() * off).sum(-1)


class Categorical:
    """One of Y labels.

    Args:
        logits: log probabilities but for a constant, (…, Y).
    Attributes:
        log_probs, probs: log probabilities and probabilities, (…, Y).
    """

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits
        self.log_probs = F.log_softmax(logits, dim=-1)
        self.probs = self.log_probs.exp()

    @property
    def mode(self) -> torch.Tensor:
        """The likeliest label, (…)."""
        return self.logits.argmax(-1)

    def kl_to_uniform(self) -> torch.Tensor:
        """KL to 1/Y for each label, (…)."""
        return ut.kl_cat(self.probs, self.log_probs, -math.log(self.logits.shape[-1]))


def closed_form(q: type, p: type) -> Callable[[Formula], Formula]:
    """Registers a function of q and p as the KL of a pair of types."""

    def register(formula: Formula) -> Formula:
        _FORMULAS[q, p] = formula
        return formula

    return register


def dimension_by_dimension(
    q: type, p: type
) -> Callable[[Callable[[Any, Any], torch.Tensor | None]], Callable[[Any, Any], Any]]:
    """Registers a function of q and p as what each dimension has of their KL, (…, N)."""

    def register(formula):
        _BY_DIMENSION[q, p] = formula
        return formula

    return register


def kl_by_dimension(q: Distribution, p: Distribution) -> torch.Tensor | None:
    """What each dimension has of KL(q ‖ p), (…, N); None where that is not known."""
    formula = _BY_DIMENSION.get((type(q), type(p)))
    return None if formula is None else formula(q, p)


@dimension_by_dimension(DiagonalGaussian, DiagonalGaussian)
def _kl_of_each(q: DiagonalGaussian, p: DiagonalGaussian) -> torch.Tensor:
    return ut.kl_normal(*(t.unsqueeze(-1) for t in (q.m, q.v, p.m, p.v)))


@closed_form(DiagonalGaussian, DiagonalGaussian)
def _kl_of_gaussians(q: DiagonalGaussian, p: DiagonalGaussian) -> torch.Tensor:
    return ut.kl_normal(q.m, q.v, p.m, p.v)


@closed_form(FullGaussian, DiagonalGaussian)
def _kl_of_full_and_diagonal(q: FullGaussian, p: DiagonalGaussian) -> torch.Tensor:
    ratio = (q.variance + (q.m - p.m).square()) / p.v
    return 0.5 * (ratio - 1 + p.v.log()).sum(-1) - q.log_det()


def kl(
    q: Distribution, p: Distribution, z: torch.Tensor, log_q: torch.Tensor | None = None
) -> torch.Tensor:
    """KL(q ‖ p), (…): exact where the pair has a formula, else unbiased, log q(z) − log p(z).

    Args:
        z: a sample of q, (…, Z).
        log_q: log q(z), if it came with the sample.
    """
    if formula := _FORMULAS.get((type(q), type(p))):
        return formula(q, p)
    return (q.log_prob(z) if log_q is None else log_q) - p.log_prob(z)


def sample_and_kl(q: Distribution, p: Distribution) -> tuple[torch.Tensor, torch.Tensor]:
    """A sample z ~ q, (…, Z), and KL(q ‖ p) as `kl` gives it, (…)."""
    if (type(q), type(p)) in _FORMULAS:
        z = q.rsample()
        return z, kl(q, p, z)
    z, log_q = q.rsample_and_log_prob()
    return z, kl(q, p, z, log_q)
