"""Discrete latents as one-hots in one tensor, alone and beside other latents."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from codebase.models.distributions import (
    DiagonalGaussian,
    Distribution,
    closed_form,
    dimension_by_dimension,
    kl,
    kl_by_dimension,
)


def one_hot(chosen: torch.Tensor, n: int) -> torch.Tensor:
    """Which of n each number is, (…) → bool (…, n), without waiting for the device.

    torch.nn.functional.one_hot looks whether a number is too large.
    """
    return chosen.unsqueeze(-1) == torch.arange(n, device=chosen.device)


class OneHots(Distribution):
    """N independent choices of one in C, as one-hots side by side.

    Args:
        logits: log probabilities but for a constant, (…, N, C).
    Attributes:
        log_probs: log probabilities, (…, N, C).
    """

    def __init__(self, logits: torch.Tensor) -> None:
        self.log_probs = F.log_softmax(logits, dim=-1)

    @property
    def mean(self) -> torch.Tensor:
        """The probabilities, (…, N·C)."""
        return self.log_probs.exp().flatten(-2)

    @property
    def variance(self) -> torch.Tensor:
        """Of each place, (…, N·C)."""
        return self.mean * (1 - self.mean)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """One-hots, (*shape, …, N·C), by the Gumbel-max trick; no gradient passes a choice."""
        noisy = self._noisy(shape)
        chosen = noisy.argmax(-1, keepdim=True)
        return torch.zeros_like(noisy).scatter(-1, chosen, 1.0).flatten(-2)

    def relaxed(self, temperature: torch.Tensor | float) -> torch.Tensor:
        """A Gumbel-softmax sample, (…, N·C): softmax((log p + g) / τ), g ~ Gumbel(0, 1).

        It carries gradients, and becomes a draw of one-hots as τ falls to 0; at τ > 0 it lies
        inside the simplex, so a cost at it is no bound (Jang et al. 2017, Maddison et al. 2017).
        """
        return F.softmax(self._noisy(()) / temperature, dim=-1).flatten(-2)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Σ_n log p(choice n), of one-hots (…, N·C) → (…)."""
        value = value.unflatten(-1, self.log_probs.shape[-2:])
        return (value * self.log_probs).sum((-2, -1))

    def _noisy(self, shape):
        log_p = self.log_probs.expand(*shape, *self.log_probs.shape)
        uniform = torch.rand_like(log_p).clamp_min(torch.finfo(log_p.dtype).tiny)
        return log_p - torch.log(-torch.log(uniform))


class Product(Distribution):
    """Independent parts, their values side by side: (…, N_1 + N_2 + …).

    Args:
        parts: distributions over (…, N_i).
    """

    def __init__(self, *parts: Distribution) -> None:
        self.parts = parts
        self.sizes = [part.mean.shape[-1] for part in parts]

    @property
    def mean(self) -> torch.Tensor:
        """(…, N)."""
        return torch.cat([part.mean for part in self.parts], dim=-1)

    @property
    def variance(self) -> torch.Tensor:
        """(…, N)."""
        return torch.cat([part.variance for part in self.parts], dim=-1)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """(*shape, …, N)."""
        return torch.cat([part.rsample(shape) for part in self.parts], dim=-1)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """The sum of the parts': (…, N) → (…)."""
        values = value.split(self.sizes, dim=-1)
        return _sum([p.log_prob(v) for p, v in zip(self.parts, values, strict=True)])


def kl_of_parts(q: Product | OneHots, p: Product | OneHots) -> list[torch.Tensor]:
    """KL of each part, (…) each, of a pair whose parts all have a formula."""
    pairs = _pairs(q, p)
    return [kl(a, b, a.mean) for a, b in pairs]


def _pairs(q, p):
    if isinstance(q, OneHots):
        return [(q, p)]
    return list(zip(q.parts, p.parts, strict=True))


def _sum(terms: Sequence[torch.Tensor]) -> torch.Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


@closed_form(OneHots, OneHots)
def _kl_of_choices(q: OneHots, p: OneHots) -> torch.Tensor:
    return _places(q, p).sum(-1)


@closed_form(Product, Product)
def _kl_of_products(q: Product, p: Product) -> torch.Tensor:
    return _sum(kl_of_parts(q, p))


@dimension_by_dimension(OneHots, OneHots)
def _places(q: OneHots, p: OneHots) -> torch.Tensor:
    """q (log q − log p) of every place, (…, N·C)."""
    return (q.log_probs.exp() * (q.log_probs - p.log_probs)).flatten(-2)


@dimension_by_dimension(Product, Product)
def _of_every_part(q: Product, p: Product) -> torch.Tensor | None:
    found = []
    for a, b in zip(q.parts, p.parts, strict=True):
        by_dimension = kl_by_dimension(a, b)
        if by_dimension is None:
            return None
        found.append(by_dimension)
    return torch.cat(found, dim=-1)


def gaussian_and_choice(m: torch.Tensor, v: torch.Tensor, logits: torch.Tensor) -> Product:
    """N(m, diag v) beside one choice of C: (…, Z) each and (…, C)."""
    return Product(DiagonalGaussian(m, v), OneHots(logits.unsqueeze(-2)))
