"""Bounds by the assignment's protocol, with standard errors, in bounded memory."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch

from codebase.engine.precision import products
from codebase.engine.randomness import seeded
from codebase.errors import UserError
from codebase.evaluation.numbers import Number, Numbers
from codebase.models.base import LatentVariableModel, Model

CHUNK = 1_000  # images at a time
IMPORTANCE_SAMPLES = 1, 10, 100, 1000
SUBSET_REPEATS = 100
IWAE_REPEATS = 5  # at least, for a standard error; the protocol has one for m ≥ 100


def subset_bounds(
    model: Model,
    x: torch.Tensor,
    run_iwae: bool = True,
    least: int = 1,
    repeats: int | None = None,
) -> Numbers:
    """The assignment's protocol: each bound's mean over repeats on the binarized test subset.

    Args:
        model: has negative_elbo_bound(x), and negative_iwae_bound(x, iw) for the IWAE bounds.
        x: (100, 784) in {0, 1}.
        run_iwae: also the IWAE bounds with m = 1, 10, 100, 1000 samples, max(100 // m, least)
            repeats each.
        repeats: of nelbo and its parts; None: the protocol's 100.
    Returns:
        {"nelbo", "kl", …, "rec": Number, "iwae-1": Number, …} in nats; the standard error is that
        of the repeats, the estimator's own noise. A solution of the assignment that has no IWAE
        bound as yet goes without.
    Raises:
        UserError: x is grey, and the model is of binary pixels.
    """
    _check_pixels(model, x)
    with seeded():
        rows = _repeat(lambda: model.negative_elbo_bound(x), repeats or SUBSET_REPEATS)
        names = ("nelbo", "kl", "rec") if rows.shape[1] == 3 else ("nelbo", "kl_z", "kl_y", "rec")
        numbers = {name: Number.of(column) for name, column in zip(names, rows.T, strict=True)}
        try:
            for m in IMPORTANCE_SAMPLES if run_iwae else ():
                m_repeats = max(100 // m, least)
                rows = _repeat(partial(model.negative_iwae_bound, x, m), m_repeats)
                numbers[f"iwae-{m}"] = Number.of(rows[:, 0])
        except NotImplementedError:
            print("The model's negative_iwae_bound is not implemented: no IWAE bounds.")
    return numbers


def _repeat(bound: Callable[[], tuple[torch.Tensor, ...]], repeats: int) -> torch.Tensor:
    return torch.stack([torch.stack(bound()) for _ in range(repeats)]).cpu()  # (repeats, terms)


def image_terms(model: LatentVariableModel, x: torch.Tensor) -> torch.Tensor:
    """The terms of −ELBO of every image, one sample each: (kl, rec) or (kl_z, kl_y, rec).

    The noise is seeded, so models with latents of one size are given the same draws.

    Args:
        model: has negative_elbo_terms(x), each image's terms.
        x: (N, 784) in {0, 1}.
    Returns:
        (terms, N) float64 on the CPU, in nats.
    Raises:
        UserError: x is grey, and the model is of binary pixels.
    """
    _check_pixels(model, x)
    with seeded():
        parts = [torch.stack(model.negative_elbo_terms(part)) for part in x.split(CHUNK)]
    return torch.cat(parts, dim=1).cpu().double()


def full_bounds(model: LatentVariableModel, x: torch.Tensor) -> Numbers:
    """nelbo, kl and rec on a whole binarized test set, with the standard error over its images.

    Args:
        model, x: as for `image_terms`.
    """
    return numbers_of(image_terms(model, x))


def numbers_of(terms: torch.Tensor) -> Numbers:
    """nelbo, kl and rec with the standard error over the images, of `image_terms`, (terms, N)."""
    names = ("kl", "rec") if len(terms) == 2 else ("kl_z", "kl_y", "rec")
    numbers = {"nelbo": Number.of(terms.sum(0))}
    return numbers | {name: Number.of(row) for name, row in zip(names, terms, strict=True)}


def image_iwae(
    model: Model,
    x: torch.Tensor,
    iw: int,
    precision: str = "fp32",
    progress: Callable[[Sequence[torch.Tensor]], Iterable[torch.Tensor]] = iter,
) -> torch.Tensor:
    """The IWAE bound of every image, by the same noise for models with latents of one size.

    An image at a time: `negative_iwae_bound` decodes its samples in parts that fit the processor's
    cache, which larger ones would not make faster.

    Args:
        model: has negative_iwae_bound(x, iw).
        x: (N, 784) in {0, 1}.
        iw: importance samples of each image.
        precision: of the networks' products; bf16 moved IWAE-1000 by less than 0.01 nats.
        progress: wraps the images, as tqdm does.
    Returns:
        (N,) float64 on the CPU, in nats.
    """
    _check_pixels(model, x)
    with seeded(), products(precision, x.device):
        bounds = [model.negative_iwae_bound(i, iw)[0] for i in progress(x.split(1))]
    return torch.stack(bounds).cpu().double()


def _check_pixels(model: Model, x: torch.Tensor) -> None:
    if model.abilities.pixels == "binary" and not ((x == 0) | (x == 1)).all():
        raise UserError(
            "Bounds are evaluated on binary pixels; these are grey, and a Bernoulli likelihood of "
            "grey pixels bounds nothing. Binarize them first."
        )
