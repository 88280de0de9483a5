"""The numbers behind the figures, as pure functions: kl by dimension, clusters, calibration."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from codebase import utils as ut
from codebase.models.distributions import (
    DiagonalGaussian,
    Distribution,
    Mixture,
    kl_by_dimension,
    sample_and_kl,
)

TABLE = 5_000_000  # numbers in the largest table held at once


# Where the kl goes


def kl_terms(q: Distribution, p: Distribution) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """KL(q ‖ p) in nats, split: what each dimension has, and by name what no single one has.

    Where the pair says its own, as diagonal Gaussians do, a dimension has that. With a mixture of
    these as p, "k" is the choice of its component (`mixture_kl_terms`). Otherwise a dimension has
    what the Gaussians of its mean and variance have, and "rest" is what KL(q ‖ p) has beyond them:
    how the dimensions depend on each other, and what is not Gaussian. "k" and "rest" are of one
    sample z ~ q where the pair has no formula.

    Args:
        q: over (…, Z).
        p: over (Z,).
    Returns:
        (…, Z) and {name: (…)}, which together sum to KL(q ‖ p).
    """
    if (
        isinstance(q, DiagonalGaussian)
        and isinstance(p, Mixture)
        and isinstance(p.components, DiagonalGaussian)
    ):
        kl, choice = mixture_kl_terms(q.rsample(), q, p.components)
        return kl, {"k": choice}
    kl = kl_per_dimension(q, p)
    if kl_by_dimension(q, p) is not None:
        return kl, {}
    return kl, {"rest": sample_and_kl(q, p)[1] - kl.sum(-1)}


def kl_per_dimension(q: Distribution, p: Distribution) -> torch.Tensor:
    """KL(N(m_d, v_d) ‖ N(m′_d, v′_d)) of every dimension, in nats: (…, Z).

    m and v are the means and variances of q, m′ and v′ those of p. Of diagonal Gaussians the sum
    over d is KL(q ‖ p). A pair of distributions may say its own (see `kl_by_dimension`).
    """
    if (known := kl_by_dimension(q, p)) is not None:
        return known
    return ut.kl_normal(*(t.unsqueeze(-1) for t in (q.mean, q.variance, p.mean, p.variance)))


def mixture_kl_terms(
    z: torch.Tensor, q: DiagonalGaussian, components: DiagonalGaussian
) -> tuple[torch.Tensor, torch.Tensor]:
    """log q(z) − log p(z) for a uniform mixture p, split by dimension and component, in nats.

    With r_k = p(k|z) the mixture's own responsibilities,

        log q(z) − log p(z) = Σ_d [log q(z_d) − Σ_k r_k log N(z_d; m_kd, v_kd)] + KL(r ‖ 1/K):

    what the code says within the components, dimension by dimension, and in choosing among them.

    Args:
        z: samples of q, (…, Z).
        components: of p, over (K, Z).
    Returns:
        (…, Z) and (…).
    """
    within, choice = [], []
    for rows in z.flatten(0, -2).split(max(TABLE // components.mean.numel(), 1)):
        log_n = _log_normal_1d(rows.unsqueeze(1), components)  # (rows, K, Z)
        log_r = log_n.sum(-1).log_softmax(-1)  # (rows, K)
        r = log_r.exp()
        within.append((r.unsqueeze(-1) * log_n).sum(1))
        choice.append(ut.kl_cat(r, log_r, -np.log(len(components.mean))))
    kl = _log_normal_1d(z, q) - torch.cat(within).view_as(z)
    return kl, torch.cat(choice).view(z.shape[:-1])


def _log_normal_1d(x, of):
    m, v = of.mean, of.variance
    return -0.5 * ((x - m).square() / v + v.log() + math.log(2 * math.pi))


def nearest_component(z: torch.Tensor, mixture: Mixture) -> torch.Tensor:
    """argmax_k p(k|z), the component under which z is likeliest: (N, Z) → (N,)."""
    parts = z.split(max(TABLE // mixture.components.mean.numel(), 1))
    return torch.cat([mixture.log_prob_by_component(part).argmax(-1) for part in parts])


# Ways through the latent space


def lerp(a: torch.Tensor, b: torch.Tensor, t: float) -> torch.Tensor:
    """The point a + t (b − a) of the straight line from a to b."""
    return a + t * (b - a)


def slerp(a: torch.Tensor, b: torch.Tensor, t: float) -> torch.Tensor:
    """The point at t of the arc from a to b about the origin: (…, Z), (…, Z), t in [0, 1].

    The direction turns evenly along the great circle, sin((1−t)Ω)/sin Ω · â + sin(tΩ)/sin Ω · b̂
    with Ω the angle between a and b (Shoemake, 1985), and the norm goes evenly from |a| to |b|.
    Where no one arc is the shortest, between vectors that point the same or opposite ways or to
    and from the origin, the way is straight.
    """
    norm_a, norm_b = (end.norm(dim=-1, keepdim=True) for end in (a, b))
    unit_a, unit_b = a / norm_a.clamp(min=1e-12), b / norm_b.clamp(min=1e-12)
    omega = (unit_a * unit_b).sum(-1, keepdim=True).clamp(-1, 1).acos()
    sine = omega.sin()
    arc = (((1 - t) * omega).sin() * unit_a + (t * omega).sin() * unit_b) / sine
    no_arc = (sine.abs() < 1e-3) | (norm_a * norm_b == 0)
    return torch.where(no_arc, lerp(a, b, t), lerp(norm_a, norm_b, t) * arc)


def mixture_quantiles(m: torch.Tensor, v: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """Where the distribution function of 1/K Σ_k N(m_k, v_k) is p: (K,), (K,), (Q,) → (Q,).

    Found on a grid of 20,001 points that reaches 8 standard deviations beyond the outermost means.
    """
    s = v.sqrt()
    grid = torch.linspace((m - 8 * s).min().item(), (m + 8 * s).max().item(), 20_001)
    cdf = sum(torch.special.ndtr((grid - m_k) / s_k) for m_k, s_k in zip(m, s, strict=True))
    cdf = cdf / len(m)
    return torch.from_numpy(np.interp(p.numpy(), cdf.numpy(), grid.numpy())).float()


# Scores


def knn_accuracy(codes: np.ndarray, labels: np.ndarray, neighbours: int = 10) -> float:
    """Share of points whose label their nearest neighbours get right, by five-fold crossvalidation.

    Args:
        codes: (N, D) array.
        labels: (N,) integers.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    neighbours = KNeighborsClassifier(neighbours)
    return float(cross_val_score(neighbours, codes, labels, cv=folds).mean())


def clustering_scores(clusters: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """How well clusters found without labels agree with them.

    accuracy: the share of images in the class their cluster is matched with, at most one cluster a
    class, by the best such matching (Hungarian); purity: the same with every cluster given to its
    commonest class; nmi: mutual information over the mean entropy; ari: adjusted Rand index.

    Args:
        clusters, labels: (N,) integers ≥ 0.
    Returns:
        {"accuracy", "purity", "nmi", "ari": float}
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    counts = contingency(clusters, labels)
    matched = linear_sum_assignment(counts, maximize=True)
    return {
        "accuracy": float(counts[matched].sum() / counts.sum()),
        "purity": float(counts.max(0).sum() / counts.sum()),
        "nmi": float(normalized_mutual_info_score(labels, clusters)),
        "ari": float(adjusted_rand_score(labels, clusters)),
    }


def contingency(
    clusters: np.ndarray, labels: np.ndarray, k: int | None = None, classes: int | None = None
) -> np.ndarray:
    """How many images of each class (row) lie in each cluster (column): (classes, K) counts."""
    counts = np.zeros((classes or labels.max() + 1, k or clusters.max() + 1), dtype=int)
    np.add.at(counts, (labels, clusters), 1)
    return counts


@dataclass(frozen=True)
class Calibration:
    """By bin of confidence: its mean, the share of right answers, how many; and the error."""

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray
    ece: float


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> Calibration:
    """How far a classifier's confidence is from its accuracy.

    ECE = Σ_b n_b/N · |accuracy_b − confidence_b| over bins of equal width (Guo et al., 2017).

    Args:
        confidence: (N,) the probability given to the predicted label, in (0, 1].
        right: (N,) whether that label is the true one.
    Returns:
        Calibration; empty bins have count 0 and NaN elsewhere.
    """
    at = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(at, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(at, confidence, minlength=bins) / count
        accuracy = np.bincount(at, right, minlength=bins) / count
    ece = np.nansum(count * np.abs(accuracy - mean_confidence)) / len(confidence)
    return Calibration(mean_confidence, accuracy, count, float(ece))


def wilson(share: np.ndarray, n: np.ndarray, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a share of n trials, which is wide where n is small even at 0 and 1.

    The p with |share − p| ≤ z √(p (1 − p) / n) (Wilson, 1927); z = 1.96 covers 95 %.

    Args:
        share: (…,) in [0, 1], of n.
        n: (…,) counts; NaN comes of 0.
    Returns:
        Its lower and upper ends, (…,) each, in [0, 1].
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) * z / (1 + z**2 / n)
    return (centre - half).clip(0, 1), (centre + half).clip(0, 1)


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """P(an outlier scores below an image of the model's kind), ties half: 1 is perfect, ½ chance.

    Args:
        inside, outside: scores such as log p(x), (N,) and (M,) arrays.
    """
    from sklearn.metrics import roc_auc_score

    is_inside = np.r_[np.ones(len(inside)), np.zeros(len(outside))]
    return float(roc_auc_score(is_inside, np.r_[inside, outside]))
