"""A model that takes noise away: its bound and its parts, and samples by two ways."""

from collections.abc import Callable
from functools import partial

import torch

from codebase import figures
from codebase.data import subsets
from codebase.engine.randomness import seeded
from codebase.evaluation.bounds import CHUNK
from codebase.evaluation.numbers import Number, Numbers
from codebase.evaluation.tables import table
from codebase.files import logs
from codebase.models.diffusion import Diffusion
from codebase.models.latent_diffusion import LatentDiffusion
from codebase.runs import progress
from codebase.runs.run import Run
from codebase.tasks.likelihood import (
    COLUMNS,
    ROWS,
    draw_curves,
    draw_figures,
    log_grid,
    log_test,
    save_by_image,
    title,
    warn_of_failure,
)

Denoising = Diffusion | LatentDiffusion

STRATA = 20  # times drawn of each test image, one of every twentieth of the whole
DDIM = 20  # steps of the short way


def evaluate(run: Run, model: Denoising, step: int) -> None:
    """Logs the bound on the test subset, in between checkpoints."""
    run.writer.lay_out(logs.BOUND)
    x, _ = subsets.test_subset(run.dataset)
    log_test(run, numbers(terms(model, x, STRATA)), step)


def watch(run: Run, model: Denoising, step: int) -> None:
    """The same at a checkpoint, and samples by the short way."""
    evaluate(run, model, step)
    with seeded(run.settings.seed):
        log_grid(run.writer, "samples", model.sample_x(100, ddim=_short(model)), step)


def report(run: Run, model: Denoising) -> None:
    """The bound on the test subset and on all test images, and 200 samples by each way."""
    x, _ = subsets.test_subset(run.dataset)
    test = subsets.test_images(run.dataset)
    whole = isinstance(model, LatentDiffusion)  # a small network: all times of all images
    of_images = terms(model, test, None if whole else STRATA, "bounds")
    subset, full = numbers(terms(model, x, None)), numbers(of_images)
    print(f"\n{title(run)}: nats per image, an upper bound of −log p(x), smaller is better")
    print(table({f"test subset ({len(x)})": subset, f"all test images ({len(test):,})": full}))
    times = model.denoiser.process.times
    few = "" if whole else f", of which all test images are given {min(STRATA, times)} each"
    print(f"± standard error over the images; at all {times} times{few}")
    warn_of_failure(False, subset["nelbo"].value, x.shape[1])
    ways: dict[str, int | None] = {"samples": None, "samples_ddim": _short(model)}
    pictures: dict[str, Callable[[], None]] = {
        name: partial(_draw, run, model, name, ddim) for name, ddim in ways.items()
    }
    pictures["curves"] = partial(draw_curves, run)
    pictures["bounds of each image"] = partial(save_by_image, run, of_images)
    run.finish({"subset": subset, "test": full}, pictures, likelihood="bound")
    draw_figures(run, model)  # type: ignore[arg-type]  # its abilities say what can be drawn


def terms(
    model: Denoising, x: torch.Tensor, strata: int | None, bar: str = ""
) -> dict[str, torch.Tensor]:
    """The bound of each image and its parts, {name: (N,) float64 on the CPU}, in nats.

    Args:
        x: binary, (N, D).
        strata: as for `Denoiser.terms`.
        bar: title of a bar over parts of the images; "": there is none.
    """
    parts = x.split(CHUNK)
    moved = progress.over(parts, bar, "parts") if bar else parts
    with seeded():
        found = [model.bound_terms(part, strata) for part in moved]
    whole = {name: torch.cat([f[name] for f in found]).cpu().double() for name in found[0]}
    beside = "kl, normal prior"
    if beside in whole:
        own, rec = whole["kl"], whole["rec"]
        added = {"nelbo, normal prior": whole.pop(beside) + rec}
        added["gain"] = added["nelbo, normal prior"] - own - rec
        return {"nelbo": own + rec} | whole | added
    return {"nelbo": torch.stack(list(whole.values())).sum(0)} | whole


def numbers(of_images: dict[str, torch.Tensor]) -> Numbers:
    """{name: its mean, with the standard error over the images}."""
    return {name: Number.of(values) for name, values in of_images.items()}


def _short(model: Denoising) -> int:
    return min(DDIM, model.denoiser.process.times)


def _draw(run: Run, model: Denoising, name: str, ddim: int | None) -> None:
    bar = partial(progress.over, title=name, unit="steps")
    with seeded(run.settings.seed):
        drawn = model.sample_x(ROWS * COLUMNS, ddim, bar)
    figures.save_grid(run.folder.output / f"{name}.png", drawn, COLUMNS)
