"""Codebooks, and priors over sequences of their entries."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from codebase.models.distributions import Distribution
from codebase.models.onehots import one_hot

DECAY = 0.99  # of the averages (van den Oord et al. 2017, appendix)
RARELY = 1e-5  # what n does not fall below, so that an entry that nothing chooses stays as it is


def nearest(found: torch.Tensor, entries: torch.Tensor) -> torch.Tensor:
    """The number of the nearest entry, argmin_k |found − e_k|²: (…, W), (K, W) → (…).

    The differences are squared as they are: in expanded squares two near entries lose their order.
    """
    return (found.unsqueeze(-2) - entries).square().sum(-1).argmin(-1)


class Codebook(nn.Module):
    """K entries, of which each vector chooses the nearest.

    Averaged, an entry e is s/n, with n how often it was chosen of late and s the sum of what chose
    it: n ← γn + (1 − γ) count, s ← γs + (1 − γ) Σ, after the choice. Otherwise it is a parameter.

    Args:
        k: K. width: W.
        averaged: whether entries are averages.
        decay: γ.
    """

    count: torch.Tensor
    total: torch.Tensor

    def __init__(self, k: int, width: int, averaged: bool = True, decay: float = DECAY) -> None:
        super().__init__()
        self.averaged, self.decay = averaged, decay
        first = torch.randn(k, width) / width**0.5
        if averaged:
            self.register_buffer("count", torch.ones(k))
            self.register_buffer("total", first)
        else:
            self.own = nn.Parameter(first)

    @property
    def entries(self) -> torch.Tensor:
        """e, (K, W)."""
        if not self.averaged:
            return self.own
        return self.total / self.count.unsqueeze(-1)

    @torch.no_grad()
    def begin(self, entries: torch.Tensor) -> None:
        """Begins with these, (K, W), each as if chosen once: s = n·e."""
        if self.averaged:
            self.count.fill_(1)
            self.total.copy_(entries)
        else:
            self.own.copy_(entries)

    def forward(self, found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Numbers (…) of the nearest entries, and these, (…, W), of vectors (…, W)."""
        entries = self.entries
        chosen = nearest(found.detach(), entries.detach())
        return chosen, entries[chosen]

    @torch.no_grad()
    def go_on(self, found: torch.Tensor, one_hots: torch.Tensor) -> None:
        """Moves the averages by the choices of vectors (B, L, W), one-hot (B, L, K)."""
        if self.averaged:
            found, one_hots = found.flatten(0, -2), one_hots.flatten(0, -2)
            sums = (one_hots.unsqueeze(-1) * found.unsqueeze(-2)).sum(0)  # (K, W)
            kept = (RARELY / self.count).clamp(min=self.decay)
            self.count.mul_(kept).add_(one_hots.sum(0), alpha=1 - self.decay)
            self.total.mul_(kept.unsqueeze(-1)).add_(sums, alpha=1 - self.decay)


class CodePrior(nn.Module):
    """Π_l p(k_l | k_<l) by one hidden layer whose units each see the first few codes only.

    Unit h sees the codes before place m_h and speaks to place m_h and those after (Germain et al.
    2015, with groups of K inputs and outputs).

    Args:
        codes: L. k: K. hidden: units.
    """

    inwards: torch.Tensor
    outwards: torch.Tensor

    def __init__(self, codes: int, k: int, hidden: int = 256) -> None:
        super().__init__()
        self.codes, self.k = codes, k
        self.first, self.last = nn.Linear(codes * k, hidden), nn.Linear(hidden, codes * k)
        nn.init.normal_(self.last.weight, std=0.01)  # so that it begins near the uniform prior
        nn.init.zeros_(self.last.bias)
        place = torch.arange(codes).repeat_interleave(k)  # of each input and output
        begins = torch.arange(hidden) % max(codes - 1, 1) + 1  # m_h, 1 … L − 1
        self.register_buffer("inwards", place < begins.unsqueeze(-1), persistent=False)
        self.register_buffer("outwards", place.unsqueeze(-1) >= begins, persistent=False)

    def forward(self, one_hots: torch.Tensor) -> torch.Tensor:
        """log p(k_l = · | k_<l): one-hot (…, L, K) → (…, L, K)."""
        h = F.linear(one_hots.flatten(-2), self.first.weight * self.inwards, self.first.bias)
        out = F.linear(F.elu(h), self.last.weight * self.outwards, self.last.bias)
        return F.log_softmax(out.to(self.last.weight.dtype).unflatten(-1, (self.codes, self.k)), -1)

    def log_prob(self, one_hots: torch.Tensor) -> torch.Tensor:
        """log p(k_1 … k_L): one-hot (…, L, K) → (…)."""
        return (self(one_hots) * one_hots).sum((-2, -1))


class Codes(Distribution):
    """A z that is certain; as a choice of codes its log probability is 0.

    Args:
        z: (…, Z).
    """

    def __init__(self, z: torch.Tensor) -> None:
        self.z = z

    @property
    def mean(self) -> torch.Tensor:
        """z, (…, Z)."""
        return self.z

    @property
    def variance(self) -> torch.Tensor:
        """0, (…, Z)."""
        return torch.zeros_like(self.z)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        return self.z.expand(*shape, *self.z.shape)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        return value.new_zeros(value.shape[:-1])


class CodeSequence(Distribution):
    """L entries of a codebook side by side, (L·W,), by a prior over their numbers.

    Mean and variance are those of entries that are all as likely.

    Args:
        entries: (K, W).
        codes: L.
        prior: of the numbers; None: each 1/K.
    """

    def __init__(self, entries: torch.Tensor, codes: int, prior: CodePrior | None = None) -> None:
        self.entries, self.codes, self.prior = entries, codes, prior

    @property
    def mean(self) -> torch.Tensor:
        """(L·W,)."""
        return self.entries.mean(0).repeat(self.codes)

    @property
    def variance(self) -> torch.Tensor:
        """(L·W,)."""
        return self.entries.var(0, correction=0).repeat(self.codes)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """(*shape, L·W), one place after the other."""
        k = len(self.entries)
        one_hots = self.entries.new_zeros(*shape, self.codes, k)
        for place in range(self.codes):
            log_p = (
                one_hots[..., place, :]
                if self.prior is None
                else self.prior(one_hots)[..., place, :]
            )
            uniform = torch.rand_like(log_p).clamp_min(torch.finfo(log_p.dtype).tiny)
            drawn = (log_p - torch.log(-torch.log(uniform))).argmax(-1)
            one_hots[..., place, :] = one_hot(drawn, k).to(one_hots)
        return self.entries[one_hots.argmax(-1)].flatten(-2)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """log p(k), k the entries nearest to the parts of (…, L·W) → (…)."""
        k = len(self.entries)
        if self.prior is None:
            return value.new_full(value.shape[:-1], -self.codes * math.log(k))
        chosen = nearest(value.unflatten(-1, (self.codes, -1)), self.entries)
        return self.prior.log_prob(one_hot(chosen, k).to(value))
