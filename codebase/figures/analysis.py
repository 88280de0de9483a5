"""The numbers behind the figures, as pure functions: kl by dimension, clusters, calibration."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from codebase import utils as ut

ACTIVE = 0.01  # variance of a dimension's posterior mean above which it counts (Burda et al., 2016)


# Where the kl goes


def kl_per_dimension(m, v):
    """KL(N(m_d, v_d) ‖ N(0, 1)) = ½ (m_d² + v_d − 1 − log v_d) of every dimension, in nats.

    Its sum over d is the KL of the diagonal Gaussian to N(0, I).

    Args:
        m, v: means and variances (v > 0), (…, Z).
    Returns:
        (…, Z).
    """
    return 0.5 * (m.square() + v - 1 - v.log())


def mixture_kl_terms(z, m, v, prior_m, prior_v):
    """log q(z) − log p(z) for a uniform mixture prior, split by dimension and component, in nats.

    With r_k = p(k|z) the prior's own responsibilities,

        log q(z) − log p(z) = Σ_d [log q(z_d) − Σ_k r_k log N(z_d; m_kd, v_kd)] + KL(r ‖ 1/K):

    what the code says within the components, dimension by dimension, and in choosing among them.

    Args:
        z, m, v: samples and the posteriors' means and variances, (B, Z).
        prior_m, prior_v: of the components, (1, K, Z).
    Returns:
        (B, Z) and (B,).
    """
    kl, choice = z.new_empty(z.shape), z.new_empty(len(z))
    step = max(5_000_000 // prior_m.numel(), 1)  # rows whose (rows, K, Z) terms are held at once
    for i in range(0, len(z), step):
        rows = slice(i, i + step)
        log_n = _log_normal_1d(z[rows].unsqueeze(1), prior_m, prior_v)  # (rows, K, Z)
        log_r = log_n.sum(-1).log_softmax(-1)  # (rows, K)
        r = log_r.exp()
        kl[rows] = _log_normal_1d(z[rows], m[rows], v[rows]) - (r.unsqueeze(-1) * log_n).sum(1)
        choice[rows] = ut.kl_cat(r, log_r, -np.log(prior_m.shape[1]))
    return kl, choice


def _log_normal_1d(x, m, v):
    return -0.5 * ((x - m).square() / v + v.log() + math.log(2 * math.pi))


def nearest_component(z, prior_m, prior_v):
    """argmax_k p(k|z) under a uniform mixture of diagonal Gaussians: (B, Z), (1, K, Z) → (B,)."""
    step = max(5_000_000 // prior_m.numel(), 1)
    parts = [ut.log_normal(p.unsqueeze(1), prior_m, prior_v).argmax(1) for p in z.split(step)]
    return torch.cat(parts)


def active(means):
    """Dimensions whose posterior mean varies over the images by more than 0.01: (N, Z) → (Z,)."""
    return means.var(0) > ACTIVE


# Ways through the latent space


def lerp(a, b, t):
    """The point a + t (b − a) of the straight line from a to b."""
    return a + t * (b - a)


def slerp(a, b, t):
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


def mixture_quantiles(m, v, p):
    """Where the distribution function of 1/K Σ_k N(m_k, v_k) is p: (K,), (K,), (Q,) → (Q,).

    Found on a grid of 20,001 points that reaches 8 standard deviations beyond the outermost means.
    """
    s = v.sqrt()
    grid = torch.linspace((m - 8 * s).min().item(), (m + 8 * s).max().item(), 20_001)
    cdf = sum(torch.special.ndtr((grid - m_k) / s_k) for m_k, s_k in zip(m, s, strict=True)) / len(
        m
    )
    return torch.from_numpy(np.interp(p.numpy(), cdf.numpy(), grid.numpy())).float()


# Scores


def knn_accuracy(codes, labels, neighbours=10):
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


def clustering_scores(clusters, labels):
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


def contingency(clusters, labels, k=None, classes=None):
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


def calibration(confidence, right, bins=15):
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


def auroc(inside, outside):
    """P(an outlier scores below an image of the model's kind), ties half: 1 is perfect, ½ chance.

    Args:
        inside, outside: scores such as log p(x), (N,) and (M,) arrays.
    """
    from sklearn.metrics import roc_auc_score

    is_inside = np.r_[np.ones(len(inside)), np.zeros(len(outside))]
    return float(roc_auc_score(is_inside, np.r_[inside, outside]))
