"""Problem 3: what is logged, measured and drawn of a model with a classifier."""

import torch
from torch.nn import functional as F

from codebase import figures
from codebase.data import subsets
from codebase.data.batches import grey
from codebase.engine.randomness import seeded
from codebase.evaluation.bounds import subset_bounds
from codebase.evaluation.classifier import classification
from codebase.evaluation.reference import BANDS
from codebase.evaluation.tables import table
from codebase.files import logs
from codebase.tasks import likelihood


def watch_classifier(run, model, step):
    """Logs test accuracy and cross-entropy at a checkpoint, and of the generative nets the bound
    on the test subset and what they draw.
    """
    run.writer.lay_out(logs.CLASSIFIER | (logs.BOUND if model.gen_weight else {}))
    numbers, _ = _classification(run, model)
    likelihood.log_test(run, numbers, step)
    if model.gen_weight:
        x, _ = subsets.test_subset(run.dataset)
        likelihood.log_test(run, subset_bounds(model, x, run_iwae=False), step)
        with seeded(run.args.seed):
            grid = class_conditional(model, 10)
        likelihood.log_grid(run.writer, "class_conditional", grid, step, columns=10)


def report_classifier(run, model):
    """Problem 3: accuracy, confusion matrix and, where they were trained, what the nets draw."""
    numbers, confusion = _classification(run, model)
    groups = {"test": numbers}
    print(f"\n{likelihood.title(run)}")
    usual = run.changed.keys() <= {"gw", "precision"}
    bands = BANDS.get(f"ssvae_gw={run.args.gw:g}") if usual else None
    print(table({f"test ({len(run.dataset.test_x):,} grey images)": numbers}, bands))
    if model.gen_weight:
        x, _ = subsets.test_subset(run.dataset)
        groups["subset"] = subset_bounds(model, x, run_iwae=False)
        print("\nbound on the test subset, nats per image")
        print(table({f"test subset ({len(x)})": groups["subset"]}))
        likelihood.warn_of_collapse(groups["subset"]["kl_z"].value < 0.1)
        with seeded(run.args.seed):
            grid = class_conditional(model, likelihood.COLUMNS)
            rows = analogies(model, x[::10], F.one_hot(predicted(model, x[::10]), model.y_dim))
        figures.save_grid(run.output / "class_conditional.png", grid, likelihood.COLUMNS)
        figures.save_grid(run.output / "analogies.png", rows, model.y_dim + 1)
        likelihood.log_latents(run, model)
    figures.save_confusion(run.output / "confusion.png", confusion)
    run.finish(groups, confusion=confusion.tolist())
    likelihood.draw_figures(run, model)


def class_conditional(model, columns):
    """Pixel probabilities, a row per label, a column per z: (Y · columns, 784)."""
    z = model.sample_z(columns)
    labels = torch.eye(model.y_dim, device=z.device).unsqueeze(1)  # (Y, 1, Y)
    z = z.expand(model.y_dim, *z.shape)
    return model.compute_sigmoid_given(z, labels).flatten(0, 1)


def analogies(model, x, y):
    """An image, then its z decoded with every label: (B, 784), one-hot (B, Y) → (B·(1+Y), 784)."""
    z, _ = model.enc(x, y.to(x))
    labels = torch.eye(model.y_dim, device=z.device).unsqueeze(1)  # (Y, 1, Y)
    drawn = model.compute_sigmoid_given(z.expand(model.y_dim, *z.shape), labels)  # (Y, B, 784)
    return torch.cat([x.unsqueeze(0), drawn]).transpose(0, 1).flatten(0, 1)


def predicted(model, x):
    """The likeliest label of each image, (B,)."""
    return model.cls(x).argmax(-1)


def _classification(run, model):
    x, y = grey(run.dataset.test_x), run.dataset.test_y
    return classification(model, x, y)
