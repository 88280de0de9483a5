"""What the scripts do with a trained model: numbers, table and pictures."""

from functools import partial

import torch
from tqdm import tqdm

from codebase import figures
from codebase.data import subsets
from codebase.data.batches import grey
from codebase.engine import randomness
from codebase.evaluation.bounds import (
    active_units,
    full_bounds,
    full_iwae,
    posteriors,
    subset_bounds,
)
from codebase.evaluation.reference import BANDS
from codebase.evaluation.tables import table
from codebase.files import logs

ROWS, COLUMNS = 10, 20  # the assignment's picture of 200 digits
PROJECTED = 1_000  # test images whose latents TensorBoard's projector shows


def watch_bounds(run, model, step):
    """Logs the bounds on the test subset, samples and reconstructions, at a checkpoint."""
    run.writer.lay_out(logs.BOUND)
    x, _ = subsets.test_subset(run.dataset)
    log_test(run, subset_bounds(model, x, run_iwae=False), step)
    with randomness.seeded(run.args.seed):
        samples = model.sample_sigmoid(100)
        again = model.compute_sigmoid_given(model.enc(x)[0])
    log_grid(run.writer, "samples", samples, step)
    log_grid(run.writer, "reconstructions", figures.reconstructions(x, again), step)


def report_bounds(run, model, problem):
    """Problems 1 and 2: bounds on the test subset and on all test images, and 200 digits."""
    x, _ = subsets.test_subset(run.dataset)
    run_iwae = run.args.train != 1
    subset = subset_bounds(model, x, run_iwae, least=5)
    test = subsets.binarized_test(run.dataset)
    full = full_bounds(model, test) if hasattr(model, "negative_elbo_terms") else {}
    if iw := run.args.eval_iw:
        bar = partial(tqdm, desc=f"iwae-{iw}", unit=" images")
        full[f"iwae-{iw}"] = full_iwae(model, test, iw, run.args.precision, bar)
    active = active_units(model, test)
    print(f"\n{title(run)}: nats per image, smaller is better")
    columns = {
        f"test subset ({len(x)})": subset,
        f"all test images ({len(run.dataset.test_x):,})": full,
    }
    print(table(columns, None if run.changed.keys() - {"precision"} else BANDS[problem]))
    print("± standard error: of the repeated estimate (subset), over the images (all)")
    print(f"active latent dimensions: {active} of {model.z_dim}")
    warn_of_collapse(active < model.z_dim / 5 or subset["kl"].value < 0.1)

    with randomness.seeded(run.args.seed):
        z = model.sample_z(ROWS * COLUMNS)
        probabilities = model.compute_sigmoid_given(z)
        samples = torch.bernoulli(probabilities)
        again = model.compute_sigmoid_given(model.enc(x)[0])
    figures.save_grid(run.output / "samples.png", samples, COLUMNS)
    figures.save_grid(run.output / "samples_probabilities.png", probabilities, COLUMNS)
    pairs = figures.reconstructions(x, again)
    figures.save_grid(run.output / "reconstructions.png", pairs, COLUMNS)
    log_latents(run, model)
    run.finish({"subset": subset, "test": full}, active_units=active)
    draw_figures(run, model)


def draw_figures(run, model):
    if run.args.figures:
        from codebase.figures import book  # scikit-learn and matplotlib take seconds to import

        others = book.other_datasets(run.dataset.name, run.args.data_dir)
        study = book.Study(model, run.dataset, run.name, run.args.seed, others)
        book.draw(study, run.output / "figures")


def warn_of_collapse(collapsed):
    if collapsed:
        print("*** WARNING: the posterior has collapsed; z says next to nothing about x.")


def title(run):
    note = "" if run.dataset.name == "mnist" else f" — {run.dataset.name.upper()}, NOT MNIST"
    return f"{run.name} after {run.args.iter_max:,} iterations{note}"


def log_test(run, numbers, step):
    logs.log_summaries(run.writer, {f"test/{name}": n.value for name, n in numbers.items()}, step)


def log_latents(run, model):
    """Posterior means of test images for the projector, once the model is trained."""
    if run.writer is None:
        return  # --train 0
    every = slice(None, None, -(-len(run.dataset.test_x) // PROJECTED))
    means, _ = posteriors(model, subsets.binarized_test(run.dataset)[every])
    x, y = grey(run.dataset.test_x[every]), run.dataset.test_y[every]
    run.writer.add_latents(means, x, y, run.args.iter_max)


def log_grid(writer, tag, images, step, columns=COLUMNS):
    writer.add_image(tag, figures.grid(images, columns), step, dataformats="HW")
