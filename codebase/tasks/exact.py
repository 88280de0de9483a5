"""A model whose likelihood is exact: its nats, samples, and images completed from a half."""

from functools import partial

import torch

from codebase import figures
from codebase.data import subsets
from codebase.engine.randomness import seeded
from codebase.evaluation.numbers import Number
from codebase.evaluation.tables import table
from codebase.models.autoregressive import Autoregressive
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

CHUNK = 250  # images at a time: a transformer's attention of more would fill a gigabyte
COMPLETIONS = 8  # in a row of the picture
LAYOUT = {"−log p(x), in nats": {"minibatch, test subset": r"(gen|test)/nll$"}}


def evaluate(run: Run, model: Autoregressive, step: int) -> None:
    """Logs −log p(x) of the test subset, in between checkpoints."""
    run.writer.lay_out(LAYOUT)
    x, _ = subsets.test_subset(run.dataset)
    log_test(run, {"nll": Number.of(costs(model, x))}, step)


def watch(run: Run, model: Autoregressive, step: int) -> None:
    """The same at a checkpoint, and samples."""
    evaluate(run, model, step)
    with seeded(run.settings.seed):
        log_grid(run.writer, "samples", model.sample_x(100), step)


def report(run: Run, model: Autoregressive) -> None:
    """−log p(x) of the test subset and of all test images; 200 samples, and ten images' halves."""
    x, _ = subsets.test_subset(run.dataset)
    test = subsets.test_images(run.dataset)
    of_images = {"nll": costs(model, test, "likelihoods")}
    subset, full = ({"nll": Number.of(c)} for c in (costs(model, x), of_images["nll"]))
    print(f"\n{title(run)}: exact nats per image, smaller is better")
    print(table({f"test subset ({len(x)})": subset, f"all test images ({len(test):,})": full}))
    print("nll: −log p(x) itself, no bound; ± standard error over the images")
    warn_of_failure(False, subset["nll"].value, x.shape[1])
    pictures = {
        "samples": partial(_draw_samples, run, model),
        "completions": partial(_draw_completions, run, model, x[::10]),
        "curves": partial(draw_curves, run),
        "likelihoods of each image": partial(save_by_image, run, of_images),
    }
    run.finish({"subset": subset, "test": full}, pictures, likelihood="exact")
    draw_figures(run, model)  # type: ignore[arg-type]  # its abilities say what can be drawn


def costs(model: Autoregressive, x: torch.Tensor, bar: str = "") -> torch.Tensor:
    """−log p(x) of each image, (N, D) → (N,) float64 on the CPU, in nats.

    Args:
        bar: title of a bar over parts of them; "": there is none.
    """
    parts = x.split(CHUNK)
    moved = progress.over(parts, bar, "parts") if bar else parts
    with seeded():
        return torch.cat([-model.log_prob(part) for part in moved]).cpu().double()


def completed(model: Autoregressive, x: torch.Tensor, seed: int) -> torch.Tensor:
    """Upper half, completions and truth of images (N, D), a row for each: (N·(2 + n), D)."""
    seen = model.parts // 2
    copies = x.repeat_interleave(COMPLETIONS, 0)
    bar = partial(progress.over, title="completions", unit="parts")
    with seeded(seed):
        drawn = model.complete(copies, seen, bar).view(len(x), COMPLETIONS, -1)
    given = torch.full_like(x, 0.3)  # grey where nothing is known
    known = x.shape[1] * seen // model.parts
    given[:, :known] = x[:, :known]
    return torch.cat([given[:, None], drawn, x[:, None]], dim=1).flatten(0, 1)


def _draw_samples(run: Run, model: Autoregressive) -> None:
    bar = partial(progress.over, title="samples", unit="parts")
    with seeded(run.settings.seed):
        drawn = model.sample_x(ROWS * COLUMNS, bar)
    figures.save_grid(run.folder.output / "samples.png", drawn, COLUMNS)


def _draw_completions(run: Run, model: Autoregressive, x: torch.Tensor) -> None:
    path = run.folder.output / "completions.png"
    figures.save_grid(path, completed(model, x, run.settings.seed), COMPLETIONS + 2)
