"""A model that bounds log p(x): its bounds, samples and reconstructions."""

from functools import partial
from typing import Any, cast

import numpy as np
import torch

from codebase import figures
from codebase.data import datasets, subsets
from codebase.data.batches import grey
from codebase.engine.randomness import seeded
from codebase.evaluation import bounds
from codebase.evaluation.bounds import image_iwae, image_terms, numbers_of, subset_bounds
from codebase.evaluation.codes import active_units, codes
from codebase.evaluation.collapse import collapsed
from codebase.evaluation.divergence import diverged
from codebase.evaluation.numbers import Number, Numbers
from codebase.evaluation.reference import words
from codebase.evaluation.tables import table
from codebase.files import disk, logs
from codebase.models.base import CodingModel, LatentVariableModel
from codebase.runs import progress
from codebase.runs.pictures import failures, warn
from codebase.runs.run import Run

ROWS, COLUMNS = 10, 20  # the assignment's picture of 200 digits
REPEATS = 10  # of the bounds between checkpoints, which take under 1% of 1,000 iterations' time
PROJECTED = 1_000  # test images whose latents TensorBoard's projector shows


def evaluate(run: Run, model: LatentVariableModel, step: int) -> None:
    """Logs the bounds on the test subset, in between checkpoints."""
    run.writer.lay_out(logs.BOUND)
    log_bounds(run, model, step)


def watch(run: Run, model: LatentVariableModel, step: int) -> None:
    """Logs the bounds on the test subset, samples and reconstructions, at a checkpoint."""
    run.writer.lay_out(logs.BOUND)
    x, _ = subsets.test_subset(run.dataset, model.abilities.pixels)
    log_test(run, subset_bounds(model, x, run_iwae=False), step)
    with seeded(run.settings.seed):
        samples = model.sample_sigmoid(100)
        again = model.compute_sigmoid_given(codes(model, x))
    log_grid(run.writer, "samples", samples, step)
    log_grid(run.writer, "reconstructions", figures.reconstructions(x, again), step)


def report(run: Run, model: LatentVariableModel) -> None:
    """Bounds on the test subset and on all test images, a table of them, and 200 digits."""
    x, _ = subsets.test_subset(run.dataset, model.abilities.pixels)
    test = subsets.test_images(run.dataset, model.abilities.pixels)
    subset = subset_bounds(model, x, run_iwae=run.args.train != 1, least=bounds.IWAE_REPEATS)
    terms = image_terms(model, test)
    full, of_images = numbers_of(terms), {"nelbo": terms.sum(0)}
    for iw in tightening(run.args.eval_iw):
        bar = partial(progress.over, title=f"iwae-{iw}", unit="images")
        own = of_images[f"iwae-{iw}"] = image_iwae(model, test, iw, run.settings.precision, bar)
        full[f"iwae-{iw}"] = Number.of(own)
    full |= further(run, model, test)
    active = active_units(model, test)
    print(f"\n{title(run)}: {unit(model)}, smaller is better")
    columns = {f"test subset ({len(x)})": subset, f"all test images ({len(test):,})": full}
    print(table(columns, run.settings.bands))
    print("± standard error: of the repeated estimate (subset), over the images (all)")
    print(words(run.settings.problem), end="\n" if run.settings.bands else "")
    print(f"active latent dimensions: {active} of {model.z_dim}")
    fallen = collapsed(subset["kl"].value, active, model.z_dim)
    warn_of_failure(fallen, subset["nelbo"].value, x.shape[1], levels_of(model))
    pictures = {
        "samples and reconstructions": partial(draw, run, model, x),
        "curves": partial(draw_curves, run),
        "bounds of each image": partial(save_by_image, run, of_images),
        "latents in the log": partial(log_latents, run, model),
    }
    measured = {"active_units": active, "unit": unit(model)}
    run.finish({"subset": subset, "test": full}, pictures, **measured)
    draw_figures(run, model)


def tightening(iw: int) -> tuple[int, ...]:
    """What --eval_iw comes to: of 5,000 samples or more also a hundredth and a tenth of them.

    How far the last two lie apart tells how tight the bound is.
    """
    if iw < 5_000:
        return (iw,) if iw else ()
    return iw // 100, iw // 10, iw


def further(run: Run, model: LatentVariableModel, test: torch.Tensor) -> Numbers:
    """What only a model of this kind has, of all test images: see `Model.further`."""
    y = run.dataset.test_y if run.dataset.labelled else None
    with seeded():
        found = model.further(test, y)
    return {name: Number.of(t.cpu()) for name, t in found.items()}


def draw(run: Run, model: LatentVariableModel, x: torch.Tensor) -> None:
    """Samples, their probabilities, and reconstructions of images x (N, D), as pictures."""
    with seeded(run.settings.seed):
        likelihood = model.likelihood(model.sample_z(ROWS * COLUMNS))
        means, samples = likelihood.mean, likelihood.sample()
        again = model.compute_sigmoid_given(codes(model, x))
    output = run.folder.output
    figures.save_grid(output / "samples.png", samples, COLUMNS)
    figures.save_grid(output / "samples_probabilities.png", means, COLUMNS)
    pairs = figures.reconstructions(x, again)
    figures.save_grid(output / "reconstructions.png", pairs, COLUMNS)


# What other tasks do too


def save_by_image(run: Run, of_images: dict[str, torch.Tensor]) -> None:
    """Writes what runs are compared by, image by image, in the order of the test set."""
    arrays: dict[str, Any] = {name: values.float().numpy() for name, values in of_images.items()}
    with disk.atomic(run.folder.output / "per_image.npz") as file:
        np.savez(file, **arrays)


def draw_figures(run: Run, model: CodingModel) -> None:
    """With --figures 1, what run_figures.py draws; a warning if it cannot be."""
    if run.args.figures:
        failed = failures({"figures": partial(_draw_figures, run, model)})
        warn(failed, f"python run_figures.py {run.name} draws them")


def _draw_figures(run: Run, model: CodingModel) -> None:
    from codebase.figures import book  # scikit-learn and matplotlib take seconds to import

    others = datasets.others(run.dataset.name, run.args.data_dir, run.dataset.x_dim)
    able = cast(LatentVariableModel, model)  # or less; its traits say what can be drawn
    training = {"iterations": run.args.iter_max}
    study = book.Study(*(able, run.dataset, run.name, run.settings.seed, others), training=training)
    book.draw(study, run.folder.output / "figures")


def draw_curves(run: Run) -> None:
    """Draws what the run has logged, if its log is there and has more than one point."""
    scalars = logs.scalars(run.name)
    if any(len(points) > 1 for points in scalars.values()):
        figures.save_curves(run.folder.output / "curves.png", scalars)


def levels_of(model: LatentVariableModel) -> int:
    """How many a pixel has: 2 of a binary one, 256 of a grey one, dequantized or not."""
    return 2 if model.abilities.pixels == "binary" else 256


def unit(model: LatentVariableModel) -> str:
    """What its numbers are in; those of grey pixels do not compare with those of binary ones."""
    levels = levels_of(model)
    return "nats per image" if levels == 2 else f"nats per image of {levels} grey levels"


def warn_of_failure(collapsed: bool, nelbo: float, pixels: int, levels: int = 2) -> None:
    """Prints a warning if the training diverged (see `diverged`), or the posterior collapsed."""
    if diverged(nelbo, pixels, levels):
        print(f"*** WARNING: the training has diverged (nelbo {nelbo:.3g}); try a smaller --lr.")
    elif collapsed:
        print("*** WARNING: the posterior has collapsed; z says next to nothing about x.")


def title(run: Run) -> str:
    """The run's name, iterations and, if they are not MNIST, its data."""
    note = "" if run.dataset.name == "mnist" else f" — {run.dataset.name.upper()}, NOT MNIST"
    return f"{run.name} after {run.args.iter_max:,} iterations{note}"


def log_bounds(run: Run, model: LatentVariableModel, step: int) -> None:
    """Logs the bounds on the test subset, means of REPEATS samples drawn at once, to be quick."""
    x, _ = subsets.test_subset(run.dataset, model.abilities.pixels)
    log_test(run, subset_bounds(model, x.repeat(REPEATS, 1), run_iwae=False, repeats=1), step)


def log_test(run: Run, numbers: Numbers, step: int) -> None:
    """Logs {name: Number} of a test set."""
    logs.log_summaries(run.writer, {f"test/{name}": n.value for name, n in numbers.items()}, step)


def log_latents(run: Run, model: CodingModel) -> None:
    """Logs codes of test images for the projector, once the model is trained."""
    if run.writer is None:
        return  # --train 0
    every = slice(None, None, -(-len(run.dataset.test_x) // PROJECTED))
    found = codes(model, subsets.test_images(run.dataset, model.abilities.pixels)[every])
    x = grey(run.dataset.test_x[every])
    y = run.dataset.test_y[every] if run.dataset.labelled else None
    run.writer.add_latents(found, x, y, run.args.iter_max)


def log_grid(
    writer: Any, tag: str, images: torch.Tensor, step: int, columns: int = COLUMNS
) -> None:
    """Logs images as one picture."""
    writer.add_image(tag, figures.grid(images, columns), step, dataformats="HW")
