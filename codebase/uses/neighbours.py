"""An image's label by those of its nearest neighbours, in codes, in pixels and in PCA."""

from argparse import Namespace

import torch

from codebase.data.batches import CLASSES
from codebase.evaluation.numbers import Number, Numbers
from codebase.evaluation.pca import Pca
from codebase.uses.subject import Found, Subject

KS = 1, 5, 15
CHUNK = 1_000  # images looked up at once


def measure(subject: Subject, args: Namespace) -> Found:
    """The share of test images that their k nearest training images name rightly."""
    (x, y), (test_x, test_y) = subject.train, subject.test
    pca = Pca.of(x, subject.size)
    coded = {
        "codes": (subject.codes(x), subject.codes(test_x)),
        f"PCA of {len(pca.axes)}": (pca.encode(x), pca.encode(test_x)),
    }
    spaces = {}
    for name, (points, queries) in coded.items():
        spaces[name] = points, queries
        spaces[f"{name}, standardised"] = standardised(points, queries)
    spaces["pixels"] = x, test_x
    found = {name: accuracies(*both, y, test_y) for name, both in spaces.items()}
    return Found(
        f"accuracy by nearest neighbours among {len(x):,} training images",
        found,
        ("standardised: every dimension divided by its standard deviation on the training images",),
        {"size": subject.size, "pixels": subject.pixels},
    )


def standardised(points: torch.Tensor, queries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both, (N, Z) and (M, Z), by the means and standard deviations of the points.

    A dimension in which the points are all alike says nothing, and becomes 0.
    """
    mean, s = points.mean(0), points.std(0)
    scale = torch.where(s > 1e-6, 1 / s.clamp(min=1e-6), torch.zeros_like(s))
    return (points - mean) * scale, (queries - mean) * scale


def nearest(points: torch.Tensor, queries: torch.Tensor, k: int) -> torch.Tensor:
    """Positions of the k nearest points, nearest first: (N, Z), (M, Z) → (M, k)."""
    squares = points.square().sum(1)
    parts = []
    for part in queries.split(CHUNK):
        distances = squares - 2 * part @ points.T  # but for the query's own square
        parts.append(distances.topk(k, dim=1, largest=False).indices)
    return torch.cat(parts)


def accuracies(
    points: torch.Tensor, queries: torch.Tensor, y: torch.Tensor, truth: torch.Tensor
) -> Numbers:
    """{"k = 1": share named rightly, …}, by the commonest label, of equally common the smallest."""
    at = nearest(points, queries, min(max(KS), len(points)))
    named = y[at]  # (M, k)
    found = {}
    for k in KS:
        votes = torch.nn.functional.one_hot(named[:, :k], CLASSES).sum(1)
        found[f"k = {k}"] = Number.of((votes.argmax(1) == truth).cpu().double())
    return found
