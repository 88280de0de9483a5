"""Outliers by what a model says of an image: its squared error, or its bound."""

import math
from argparse import Namespace
from typing import cast

import torch

from codebase.data import datasets
from codebase.engine.randomness import seeded
from codebase.errors import UserError
from codebase.evaluation.bounds import CHUNK
from codebase.evaluation.codes import redrawn
from codebase.evaluation.numbers import Number
from codebase.evaluation.pca import Pca
from codebase.models.autoencoders import squared_error
from codebase.models.base import LatentVariableModel
from codebase.uses.subject import Found, Subject

REPEATS = 5  # samples of z for a bound


def measure(subject: Subject, args: Namespace) -> Found:
    """AUROC of the digit that was left out, and of other datasets' test images."""
    x, y = subject.test
    inside = x if subject.without is None else x[y != subject.without]
    outside = {}
    if subject.without is not None:
        outside[f"digit {subject.without}"] = x[y == subject.without]
    for name, images in datasets.others(
        subject.dataset.name, args.data_dir, subject.dataset.x_dim
    ).items():
        outside[name] = subject.as_taken(images)
    if not outside:
        raise UserError("There is nothing to compare with: train with --without DIGIT.")
    pca = Pca.of(subject.train[0], subject.size)
    ways = {"squared error": lambda t: squared_error(t, redrawn(subject.model, t))}
    if subject.model.abilities.bounds:
        ways = {"nelbo": lambda t: bounds(cast(LatentVariableModel, subject.model), t)} | ways
    if len(pca.axes) < x.shape[1]:
        ways[f"PCA of {len(pca.axes)}"] = lambda t: squared_error(t, pca.decode(pca.encode(t)))
    columns = {}
    for name, way in ways.items():
        usual = way(inside)
        columns[name] = {of: auroc(usual, way(images)) for of, images in outside.items()}
    notes = ["1: every outlier scores above every test image, ½: chance, 0: the other way round"]
    if subject.without is None:
        notes.append("a digit as the outlier takes a run that was trained with --without DIGIT")
    return Found(f"AUROC of outliers against {len(inside):,} test images", columns, tuple(notes))


def bounds(model: LatentVariableModel, x: torch.Tensor) -> torch.Tensor:
    """−ELBO of each image, the mean of REPEATS samples, (N, D) → (N,) in nats."""
    with seeded():
        parts = [
            torch.stack([_nelbo(model, part) for _ in range(REPEATS)]).mean(0)
            for part in x.split(CHUNK)
        ]
    return torch.cat(parts)


def _nelbo(model, x):
    return torch.stack(model.negative_elbo_terms(x)).sum(0)


def auroc(usual: torch.Tensor, odd: torch.Tensor) -> Number:
    """P(an outlier scores above a usual image), ties half, with its standard error.

    That of DeLong et al. (1988): from the shares of the usual images below each outlier, and of
    the outliers above each usual image.

    Args:
        usual, odd: scores, (N,) and (M,), N, M ≥ 2.
    """
    usual, odd = (t.cpu().double().contiguous() for t in (usual, odd))
    below, above = _share_below(usual, odd), 1 - _share_below(odd, usual)
    se = math.sqrt(below.var().item() / len(odd) + above.var().item() / len(usual))
    return Number(below.mean().item(), se)


def _share_below(of, at):
    """The share of `of` below each of `at`, those that are equal half."""
    ordered = of.sort().values
    low, high = (torch.searchsorted(ordered, at, right=right) for right in (False, True))
    return (low + high).double() / 2 / len(of)
