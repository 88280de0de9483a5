"""How far each factor of the data has a latent dimension of its own: four scores, 1 at best.

Each takes codes (N, Z), the posterior means of N images, and their factors (N, F), whole numbers.
Codes without any information score 0, but for `factor_vae`, whose least is a guess, and for DCI
where there is one dimension or one factor: it has nothing to be divided among, and scores 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codebase.errors import UserError
from codebase.evaluation.collapse import ACTIVE
from codebase.evaluation.numbers import Number, Numbers

BINS = 20  # of each dimension's histogram
TREES, DEPTH, LEAF = 10, 12, 5  # of a forest; its trees' depth, images in a leaf
BATCH, VOTES = 64, 5_000  # images with one factor fixed; such batches, as many again to learn from
# How the scores were come by, for whoever compares them.
NOTES = (
    f"of the dimensions whose means vary by more than {ACTIVE:g}, where there are such",
    f"MIG by {BINS}-bin histograms of the posterior means, not by an integral over q(z|x)",
    f"DCI by random forests of {TREES} trees, on half of the images; informativeness: how often "
    "they name the other half's factors rightly",
    "SAP by the squared correlation; of a factor without order, by the share of variance between",
    f"FactorVAE score of {VOTES:,} votes of {BATCH} images, ± over the votes",
)


def scores(codes: np.ndarray, factors: np.ndarray, ordered: Sequence[bool]) -> Numbers:
    """{name: Number} of the four, DCI's three apart, and what `factor_vae` has for a guess.

    Of the dimensions that say anything of an image (see `collapse.active`), if any do: histograms
    and trees would find the traces in the means of others, which the posterior's noise drowns.

    Args:
        codes, factors: (N, Z) and (N, F).
        ordered: of each factor, whether its values have an order.
    Raises:
        UserError: fewer than 100 images, a factor that never changes, or codes that are not finite.
    """
    codes, factors = _checked(codes, factors)
    awake = codes.var(0) > ACTIVE
    codes = codes[:, awake] if awake.any() else codes
    parts = dci(codes, factors)
    votes, guess = factor_vae(codes, factors)
    return {
        "MIG": Number(mig(codes, factors), None),
        "DCI disentanglement": Number(parts.disentanglement, None),
        "DCI completeness": Number(parts.completeness, None),
        "DCI informativeness": Number(parts.informativeness, None),
        "SAP": Number(sap(codes, factors, ordered), None),
        "FactorVAE": Number(votes, float(np.sqrt(votes * (1 - votes) / VOTES))),
        "FactorVAE of a guess": Number(guess, None),
    }


def _checked(codes, factors):
    codes, factors = np.asarray(codes, float), np.asarray(factors)
    if not len(codes) == len(factors) >= 100:
        raise UserError(
            f"Disentanglement is measured on 100 images or more with their factors; here are "
            f"{len(codes)} codes and {len(factors)} rows of factors."
        )
    if (factors == factors[0]).all(0).any():
        raise UserError("A factor is the same in all images, so that no code can tell it.")
    if not np.isfinite(codes).all():
        raise UserError("Some codes are not finite.")
    return codes, factors


# MIG


def mig(codes: np.ndarray, factors: np.ndarray) -> float:
    """mean_k (I(z_j; v_k) − the next largest I) / H(v_k), j what tells most (Chen et al., 2018).

    By histograms of BINS equal bins of each dimension: not comparable with integrals over q(z|x).
    """
    found = told(codes, factors)
    entropies = np.array([information(v[:, None], v[:, None])[0, 0] for v in factors.T])
    return float((_gap(found) / entropies).mean())


def told(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """I(z_j; v_k) by histograms, in nats: (N, Z), (N, F) → (Z, F)."""
    return information(np.stack([_binned(column) for column in codes.T], axis=1), factors)


def _binned(column):
    low, high = column.min(), column.max()
    if high <= low:
        return np.zeros(len(column), int)
    return np.minimum((BINS * (column - low) / (high - low)).astype(int), BINS - 1)


def information(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """I of every pair of columns of whole numbers, in nats: (N, A), (N, B) → (A, B)."""
    return np.array([[_information(i, k) for k in b.T] for i in a.T])


def _information(a, b):
    """Σ p(a, b) log p(a, b)/(p(a) p(b)), of counts."""
    _, a = np.unique(a, return_inverse=True)
    _, b = np.unique(b, return_inverse=True)
    counts = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(counts, (a, b), 1)
    p = counts / counts.sum()
    apart = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    there = p > 0
    return float((p[there] * np.log(p[there] / apart[there])).sum())


def _gap(values):
    """The largest of each column less the next; a lone row has 0 below it: (Z, F) → (F,)."""
    ordered = np.sort(np.vstack([values, np.zeros_like(values[:1])]), axis=0)
    return ordered[-1] - ordered[-2]


# DCI


@dataclass(frozen=True)
class Dci:
    """Three scores of Eastwood & Williams (2018).

    Args:
        disentanglement: whether a dimension is of one factor.
        completeness: whether a factor is of one dimension.
        informativeness: how often the forests name a factor of an unseen image rightly.
    """

    disentanglement: float
    completeness: float
    informativeness: float


def dci(codes: np.ndarray, factors: np.ndarray) -> Dci:
    """From the importances of dimensions in forests that name each factor, by scikit-learn.

    The forests split on any dimension at every node, so that what says nothing more is not used.
    They learn from every other image, and are tried on the rest.
    """
    from sklearn.ensemble import RandomForestClassifier

    importances, right = [], []
    for factor in factors.T:
        forest = RandomForestClassifier(
            TREES, max_depth=DEPTH, min_samples_leaf=LEAF, max_features=None, random_state=0
        )
        forest.fit(codes[::2], factor[::2])
        importances.append(forest.feature_importances_)
        right.append(forest.score(codes[1::2], factor[1::2]))
    return Dci(*of_importances(np.stack(importances, axis=1)), float(np.mean(right)))


def of_importances(r: np.ndarray) -> tuple[float, float]:
    """Disentanglement and completeness of importances (Z, F) ≥ 0.

    Σ_j ρ_j (1 − H_F(r_j·)), ρ_j the dimension's share of all importance, and
    mean_k (1 − H_Z(r_·k)); logarithms to the base F for a dimension, to the base Z for a factor.
    """
    shares = r.sum(1) / max(r.sum(), 1e-300)
    disentanglement = float((shares * (1 - _entropy(r))).sum())
    return disentanglement, float((1 - _entropy(r.T)).mean())


def _entropy(rows):
    """Of each row, normalized, from 0 to 1; 1 where it is all 0: (A, B) → (A,)."""
    size = rows.shape[1]
    if size == 1:
        return np.zeros(len(rows))
    total = rows.sum(1, keepdims=True)
    p = np.where(total > 0, rows / np.maximum(total, 1e-300), 1 / size)
    return -(p * np.log(np.maximum(p, 1e-300))).sum(1) / np.log(size)


# SAP


def sap(codes: np.ndarray, factors: np.ndarray, ordered: Sequence[bool]) -> float:
    """The mean gap of the two dimensions that tell most of a factor by a line (Kumar et al. 2018).

    How much: the squared correlation; of a factor without order the share of the dimension's
    variance that lies between the factor's values.
    """
    found = [
        [_correlation(z, v) if has_order else _between(z, v) for z in codes.T]
        for v, has_order in zip(factors.T, ordered, strict=True)
    ]
    return float(_gap(np.array(found).T).mean())


def _correlation(z, v):
    z, v = z - z.mean(), v - v.mean()
    both = (z * z).sum() * (v * v).sum()
    return (z * v).sum() ** 2 / both if both > 0 else 0.0


def _between(z, v):
    z = z - z.mean()
    means = [(z[v == value].mean(), (v == value).sum()) for value in np.unique(v)]
    total = (z * z).sum()
    return sum(n * m**2 for m, n in means) / total if total > 0 else 0.0


# FactorVAE score


def factor_vae(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """How often the dimension that varies least names the factor that is fixed (Kim & Mnih 2018).

    In a batch of images with one factor fixed, the dimension of the least variance over that of all
    images has a vote; what each votes for is the majority of VOTES batches, and the score is of as
    many others. Dimensions whose codes vary by ACTIVE at most have no vote.

    Returns:
        The score, and that of always naming the commonest factor.
    """
    variance = codes.var(0)
    awake = np.flatnonzero(variance > ACTIVE)
    rng = np.random.default_rng(seed)
    fixed = rng.integers(factors.shape[1], size=2 * VOTES)
    counted = np.bincount(fixed[:VOTES], minlength=factors.shape[1])
    guess = float((fixed[VOTES:] == counted.argmax()).mean())
    if not len(awake):
        return guess, guess
    scaled = codes[:, awake] / np.sqrt(variance[awake])
    values = [np.unique(v, return_inverse=True)[1] for v in factors.T]
    at = [[np.flatnonzero(v == value) for value in range(v.max() + 1)] for v in values]
    least = np.empty(2 * VOTES, int)
    for i, k in enumerate(fixed):
        of = at[k][values[k][rng.integers(len(codes))]]  # the value of an image
        least[i] = scaled[of[rng.integers(len(of), size=BATCH)]].var(0).argmin()
    table = np.zeros((len(awake), factors.shape[1]))
    np.add.at(table, (least[:VOTES], fixed[:VOTES]), 1)
    return float((table.argmax(1)[least[VOTES:]] == fixed[VOTES:]).mean()), guess
