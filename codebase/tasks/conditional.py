"""A model of images given their labels: its bounds with and without these, and a row per digit."""

from functools import partial

import torch

from codebase.data import subsets
from codebase.data.batches import one_hot
from codebase.engine.randomness import seeded
from codebase.evaluation.bounds import CHUNK, image_terms, numbers_of, subset_bounds
from codebase.evaluation.codes import active_units
from codebase.evaluation.collapse import collapsed
from codebase.evaluation.numbers import Number, Numbers
from codebase.evaluation.tables import table
from codebase.files import logs
from codebase.models.semisupervised import SemiSupervisedModel
from codebase.runs.run import Run
from codebase.tasks.classifier import class_conditional, draw_classes
from codebase.tasks.likelihood import (
    draw_curves,
    draw_figures,
    log_bounds,
    log_grid,
    log_latents,
    log_test,
    title,
    warn_of_failure,
)


def evaluate(run: Run, model: SemiSupervisedModel, step: int) -> None:
    """Logs the bounds on the test subset, in between checkpoints."""
    run.writer.lay_out(logs.BOUND)
    log_bounds(run, model, step)


def watch(run: Run, model: SemiSupervisedModel, step: int) -> None:
    """Logs the bounds on the test subset, and a row of drawings for every label."""
    run.writer.lay_out(logs.BOUND)
    x, _ = subsets.test_subset(run.dataset, model.abilities.pixels)
    log_test(run, subset_bounds(model, x, run_iwae=False), step)
    with seeded(run.settings.seed):
        grid = class_conditional(model, 10)
    log_grid(run.writer, "class_conditional", grid, step, columns=10)


def report(run: Run, model: SemiSupervisedModel) -> None:
    """Bounds of log p(x) and log p(x|y), accuracy by Bayes' rule, and a row of digits per label."""
    x, labels = subsets.test_subset(run.dataset, model.abilities.pixels)
    test, y = subsets.test_images(run.dataset, model.abilities.pixels), run.dataset.test_y
    subset = subset_bounds(model, x, run_iwae=False)
    full = numbers_of(image_terms(model, test)) | _given(model, test, y)
    active = active_units(model, test)
    print(f"\n{title(run)}: nats per image, smaller is better")
    print(table({f"test subset ({len(x)})": subset, f"all test images ({len(test):,})": full}))
    print("nelbo bounds log p(x), nelbo given y log p(x|y); accuracy is that of q(y|x) ∝ exp ELBO")
    print(f"active latent dimensions: {active} of {model.z_dim}")
    fallen = collapsed(subset["kl_z"].value, active, model.z_dim)
    warn_of_failure(fallen, subset["nelbo"].value, x.shape[1])
    pictures = {
        "digits of every class": partial(draw_classes, run, model, x[::10], labels[::10]),
        "curves": partial(draw_curves, run),
        "latents in the log": partial(log_latents, run, model),
    }
    run.finish({"subset": subset, "test": full}, pictures, active_units=active)
    draw_figures(run, model)


def _given(model: SemiSupervisedModel, x: torch.Tensor, y: torch.Tensor) -> Numbers:
    """−ELBO(x|y) at the true labels, and how often q(y|x) is right, of all test images."""
    rows, right = [], []
    with seeded():
        for part, of_part in zip(x.split(CHUNK), y.split(CHUNK), strict=True):
            terms = model.negative_elbo_terms_given(part, one_hot(of_part).to(part))
            rows.append(torch.stack(terms))
            right.append(model.label_posterior(part).mode == of_part)
    kl, rec = torch.cat(rows, dim=1).cpu().double()
    found = {"nelbo given y": kl + rec, "kl given y": kl, "rec given y": rec}
    found["accuracy"] = torch.cat(right).cpu().double()
    return {name: Number.of(values) for name, values in found.items()}
