"""A model with a classifier, trained on few labels: its accuracy, and what its nets draw."""

from functools import partial

import torch
from torch.nn import functional as F

from codebase import figures
from codebase.data import subsets
from codebase.data.batches import grey
from codebase.engine.randomness import seeded
from codebase.evaluation.bounds import subset_bounds
from codebase.evaluation.classifier import classification
from codebase.evaluation.collapse import collapsed
from codebase.evaluation.numbers import Numbers
from codebase.evaluation.tables import table
from codebase.files import logs
from codebase.models.base import LatentVariableModel
from codebase.runs.run import Run
from codebase.tasks.likelihood import (
    COLUMNS,
    draw,
    draw_curves,
    draw_figures,
    log_bounds,
    log_grid,
    log_latents,
    log_test,
    title,
    warn_of_failure,
)


def evaluate(run: Run, model: LatentVariableModel, step: int) -> None:
    """Logs accuracy and cross-entropy on half of the test images, to be quick, and of generative
    nets the bound on the test subset, in between checkpoints.
    """
    _log_classification(run, model, step, every=2)
    if model.abilities.bounds:
        log_bounds(run, model, step)


def watch(run: Run, model: LatentVariableModel, step: int) -> None:
    """The same at a checkpoint, by the protocol, and what generative nets draw."""
    _log_classification(run, model, step)
    if model.abilities.bounds:
        x, _ = subsets.test_subset(run.dataset, model.abilities.pixels)
        log_test(run, subset_bounds(model, x, run_iwae=False), step)
        if model.y_dim:
            with seeded(run.settings.seed):
                grid = class_conditional(model, 10)
            log_grid(run.writer, "class_conditional", grid, step, columns=10)


def report(run: Run, model: LatentVariableModel) -> None:
    """Accuracy, confusion matrix and, where they were trained, what the nets draw."""
    numbers, confusion = _classification(run, model)
    groups = {"test": numbers}
    print(f"\n{title(run)}")
    columns = {f"test ({len(run.dataset.test_x):,} grey images)": numbers}
    print(table(columns, run.settings.bands))
    pictures = {"confusion matrix": partial(_draw_confusion, run, confusion)}
    pictures["curves"] = partial(draw_curves, run)
    if model.abilities.bounds:
        x, _ = subsets.test_subset(run.dataset, model.abilities.pixels)
        groups["subset"] = subset_bounds(model, x, run_iwae=False)
        print("\nbound on the test subset, nats per image")
        print(table({f"test subset ({len(x)})": groups["subset"]}))
        bound = groups["subset"]
        fallen = collapsed(bound["kl_z" if model.y_dim else "kl"].value, None, model.z_dim)
        warn_of_failure(fallen, bound["nelbo"].value, x.shape[1])
        if model.y_dim:
            pictures["digits of every class"] = partial(draw_classes, run, model, x[::10])
        else:
            pictures["samples and reconstructions"] = partial(draw, run, model, x)
        pictures["latents in the log"] = partial(log_latents, run, model)
    run.finish(groups, pictures, confusion=confusion.tolist())
    draw_figures(run, model)


def _draw_confusion(run: Run, confusion: torch.Tensor) -> None:
    figures.save_confusion(run.folder.output / "confusion.png", confusion)


def draw_classes(
    run: Run, model: LatentVariableModel, x: torch.Tensor, y: torch.Tensor | None = None
) -> None:
    """A row of digits per label, and images x (N, D) with every label, as pictures.

    Args:
        y: one-hot labels (N, Y) that the images' z are of; None: the likeliest.
    """
    with seeded(run.settings.seed):
        grid = class_conditional(model, COLUMNS)
        if y is None:
            y = F.one_hot(predicted(model, x), model.y_dim)
        rows = analogies(model, x, y)
    output = run.folder.output
    figures.save_grid(output / "class_conditional.png", grid, COLUMNS)
    figures.save_grid(output / "analogies.png", rows, model.y_dim + 1)


def class_conditional(model: LatentVariableModel, columns: int) -> torch.Tensor:
    """Mean pixels, a row per label, a column per z: (Y · columns, 784)."""
    z = model.sample_z(columns)
    z = z.expand(model.y_dim, *z.shape)
    return model.compute_sigmoid_given(z, model.labels(z)).flatten(0, 1)


def analogies(model: LatentVariableModel, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """An image, then its z decoded with every label: (B, 784), one-hot (B, Y) → (B·(1+Y), 784)."""
    z = model.posterior(x, y.to(x)).mean
    drawn = model.compute_sigmoid_given(z.expand(model.y_dim, *z.shape), model.labels(z))
    return torch.cat([x.unsqueeze(0), drawn]).transpose(0, 1).flatten(0, 1)  # from (1 + Y, B, 784)


def predicted(model: LatentVariableModel, x: torch.Tensor) -> torch.Tensor:
    """The likeliest label of each image, (B,)."""
    return model.label_posterior(x).mode


def _log_classification(run, model, step, every=1):
    run.writer.lay_out(logs.CLASSIFIER | (logs.BOUND if model.abilities.bounds else {}))
    numbers, _ = _classification(run, model, every)
    log_test(run, numbers, step)


def _classification(
    run: Run, model: LatentVariableModel, every: int = 1
) -> tuple[Numbers, torch.Tensor]:
    """Of all test images, or of every second, …"""
    return classification(model, grey(run.dataset.test_x[::every]), run.dataset.test_y[::every])
