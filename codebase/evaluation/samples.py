"""How like the data samples are, by features of a classifier, and whether they are copies.

Two sets of features, (N, F) of the data and (M, F) of samples, taken in float64 throughout. What
the numbers come to for two sets of one law is the floor that every one of them is read beside: it
depends on N, M and the features.
"""

import math

import torch

from codebase.evaluation.numbers import Number, Numbers

NEAREST = 5  # k of precision, recall, density and coverage
BLOCK = 1_000  # images of each set that one estimate of KID is made of
ROWS = 500  # distances of so many rows at a time
FEW_CLASSES = 0.75  # of log Y: samples with less class entropy than that have collapsed


def _wide(t):
    """In float64, on the CPU, for MPS has none."""
    return t.cpu().double()


def frechet(a: torch.Tensor, b: torch.Tensor) -> float:
    """The Fréchet distance of Gaussians fitted to two sets (Heusel et al., 2017).

        |m_a − m_b|² + tr(C_a + C_b − 2 (C_a^½ C_b C_a^½)^½)

    Its mean over draws is above that of endless sets, by the more the smaller they are.

    Args:
        a, b: (N, F), (M, F); N, M ≥ 2.
    """
    a, b = _wide(a), _wide(b)
    return frechet_of_gaussians(a.mean(0), torch.cov(a.T), b.mean(0), torch.cov(b.T))


def frechet_of_gaussians(
    m_a: torch.Tensor, c_a: torch.Tensor, m_b: torch.Tensor, c_b: torch.Tensor
) -> float:
    """The same, of means (F,) and covariances (F, F)."""
    c_a, c_b = torch.atleast_2d(c_a), torch.atleast_2d(c_b)
    root = _root(c_a)
    shared = torch.linalg.eigvalsh(root @ c_b @ root).clamp(min=0).sqrt().sum()
    apart = (m_a - m_b).square().sum()
    return (apart + c_a.trace() + c_b.trace() - 2 * shared).item()


def _root(c):
    values, vectors = torch.linalg.eigh(c)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def kid(a: torch.Tensor, b: torch.Tensor, block: int = BLOCK) -> Number:
    """Squared MMD with k(u, v) = (u·v / F + 1)³, unbiased (Bińkowski et al., 2018).

        1/(n(n−1)) Σ_{i≠j} k(a_i, a_j) + 1/(n(n−1)) Σ_{i≠j} k(b_i, b_j) − 2/n² Σ_ij k(a_i, b_j)

    The mean over disjoint blocks of n of each set, with its standard error over the blocks. It may
    be negative.

    Args:
        a, b: (N, F), (M, F), in an order that says nothing.
        block: n ≥ 2, or what there is if that is less.
    """
    n = min(block, len(a), len(b))
    pairs = zip(_wide(a).split(n), _wide(b).split(n), strict=False)
    return Number.of([_mmd(u, v) for u, v in pairs if len(u) == len(v) == n])


def _mmd(a, b):
    n, size = a.shape

    def kernel(u, v):
        return (u @ v.T / size + 1) ** 3

    within = sum(k.sum() - k.trace() for k in (kernel(a, a), kernel(b, b)))
    return (within / (n * (n - 1)) - 2 * kernel(a, b).mean()).item()


def neighbourhoods(real: torch.Tensor, drawn: torch.Tensor, k: int = NEAREST) -> Numbers:
    """Precision, recall (Kynkäänniemi et al., 2019), density and coverage (Naeem et al., 2020).

    A point's ball reaches to the k-th nearest other point of its own set.

        precision  the share of samples in a ball of the data
        recall     the share of data in a ball of the samples
        density    1/k of how many balls of the data a sample is in, on average
        coverage   the share of the data's balls with a sample in them

    Two large sets of one law have density 1 and coverage 1 − 2^−k.

    Args:
        real, drawn: (N, F), (M, F); N, M > k.
    Returns:
        Each with a standard error as if its terms were independent.
    Raises:
        ValueError: there are no more points than k.
    """
    if min(len(real), len(drawn)) <= k:
        raise ValueError(f"more than {k} of each set are needed, got {len(real)} and {len(drawn)}")
    real, drawn = _wide(real), _wide(drawn)
    of_real, of_drawn = (_reach(points, k) for points in (real, drawn))
    inside, covered = [], torch.zeros_like(of_real, dtype=torch.bool)
    for part in drawn.split(ROWS):
        near = _apart(part, real) <= of_real
        inside.append(near.sum(1))
        covered |= near.any(0)
    recalled = [(_apart(part, drawn) <= of_drawn).any(1) for part in real.split(ROWS)]
    balls = torch.cat(inside)
    found = {"precision": balls > 0, "recall": torch.cat(recalled), "density": balls / k}
    found["coverage"] = covered
    return {name: Number.of(terms.double()) for name, terms in found.items()}


def _reach(points, k):
    """Squared distance to the k-th nearest other point, (N,)."""
    # Its own distance, 0 but for rounding, is the smallest.
    near = [_apart(part, points).topk(k + 1, largest=False).values for part in points.split(ROWS)]
    return torch.cat(near)[:, -1]


def _apart(a, b):
    """Squared distances, (N, F), (M, F) → (N, M)."""
    squares = a.square().sum(1, keepdim=True) + b.square().sum(1)
    return (squares - 2 * a @ b.T).clamp(min=0)


def class_entropy(classes: torch.Tensor, count: int = 10) -> float:
    """−Σ_y p_y log p_y of how often each class is among samples (N,), in nats: log 10 at most."""
    shares = _wide(torch.bincount(classes, minlength=count)) / len(classes)
    return torch.special.entr(shares).sum().item()


def few_classes(entropy: float, expected: float = math.log(10)) -> bool:
    """Whether samples of so much class entropy have collapsed, where the data have so much."""
    return entropy < FEW_CLASSES * expected


def variety(drawn: torch.Tensor, real: torch.Tensor) -> float:
    """How far samples lie apart beside how far the data do: mean squared distances, their ratio.

    Args:
        drawn, real: images, (M, D) and (N, D).
    """
    apart = (_wide(x).var(0).sum() for x in (drawn, real))
    return (next(apart) / next(apart)).item()


def nearest(x: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """The distance of each image to the nearest of others: (N, D), (M, D) → (N,)."""
    found = [_apart(part, images).min(1).values.sqrt() for part in x.split(ROWS)]
    return torch.cat(found)
