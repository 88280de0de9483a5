"""A model that only redraws images: its squared error beside that of PCA, and pictures."""

from functools import partial

import torch

from codebase import figures
from codebase.data import subsets
from codebase.data.batches import as_pixels
from codebase.engine.randomness import seeded
from codebase.evaluation.codes import codes, redrawn
from codebase.evaluation.collapse import active
from codebase.evaluation.numbers import Number
from codebase.evaluation.pca import Pca
from codebase.evaluation.tables import table
from codebase.files import logs
from codebase.models.autoencoders import Autoencoder, DenoisingAutoencoder, squared_error
from codebase.runs.run import Run
from codebase.tasks.likelihood import (
    COLUMNS,
    draw_curves,
    draw_figures,
    log_grid,
    log_latents,
    log_test,
    save_by_image,
    title,
)

QUICK = 1_000  # test images looked at between checkpoints


def evaluate(run: Run, model: Autoencoder, step: int) -> None:
    """Logs the squared error on some of the test images, in between checkpoints."""
    run.writer.lay_out(logs.ERROR)
    every = -(-len(run.dataset.test_x) // QUICK)
    _log_error(run, model, step, subsets.test_images(run.dataset, model.abilities.pixels)[::every])


def watch(run: Run, model: Autoencoder, step: int) -> None:
    """Logs it on all of them, and reconstructions, at a checkpoint."""
    run.writer.lay_out(logs.ERROR)
    _log_error(run, model, step, subsets.test_images(run.dataset, model.abilities.pixels))
    x, _ = subsets.test_subset(run.dataset, model.abilities.pixels)
    log_grid(run.writer, "reconstructions", figures.reconstructions(x, redrawn(model, x)), step)


def report(run: Run, model: Autoencoder) -> None:
    """The squared error of the test images, beside that of PCA, and pictures."""
    x, _ = subsets.test_subset(run.dataset, model.abilities.pixels)
    test = subsets.test_images(run.dataset, model.abilities.pixels)
    of_images = {"error": errors(model, test)}
    groups = {"test": {"error": Number.of(of_images["error"])}}
    columns = {_named(model): groups["test"]}
    size = model.code_size
    if size < test.shape[1]:
        pca = Pca.of(trained_on(run, model), size)
        of_images["pca"] = squared_error(test, pca.decode(pca.encode(test))).cpu().double()
        groups["pca"] = {"error": Number.of(of_images["pca"])}
        columns[f"PCA of {size}"] = groups["pca"]
    z = codes(model, test)
    used, zero = int(active(z).sum()), (z == 0).cpu().double().mean().item()
    print(f"\n{title(run)}: squared error per image, summed over pixels, smaller is better")
    print(table(columns))
    print(f"± standard error over all {len(test):,} test images")
    print(f"active latent dimensions: {used} of {model.z_dim}")
    if zero:
        print(f"numbers of the codes that are 0: {zero:.1%}")
    pictures = {
        "reconstructions": partial(_draw, run, model, x),
        "curves": partial(draw_curves, run),
        "errors of each image": partial(save_by_image, run, of_images),
        "latents in the log": partial(log_latents, run, model),
    }
    if isinstance(model, DenoisingAutoencoder):
        pictures["restored images"] = partial(_draw_restored, run, model, x)
    run.finish(groups, pictures, active_units=used, zero_share=zero)
    draw_figures(run, model)


def errors(model: Autoencoder, x: torch.Tensor) -> torch.Tensor:
    """The squared error of each image, (N, D) → (N,) float64 on the CPU."""
    return squared_error(x, redrawn(model, x)).cpu().double()


def trained_on(run: Run, model: Autoencoder) -> torch.Tensor:
    """The training images, (N, D), as the model takes them."""
    (x, _), _ = subsets.training(run.dataset, run.args.without, run.args.validation)
    return as_pixels(x, model.abilities.pixels)


def _named(model):
    size = model.code_size
    return f"{size} numbers" if size == model.z_dim else f"{size} of {model.z_dim} numbers"


def _log_error(run, model, step, x):
    log_test(run, {"error": Number.of(errors(model, x))}, step)


def _draw(run: Run, model: Autoencoder, x: torch.Tensor) -> None:
    pairs = figures.reconstructions(x, redrawn(model, x))
    figures.save_grid(run.folder.output / "reconstructions.png", pairs, COLUMNS)


def _draw_restored(run: Run, model: DenoisingAutoencoder, x: torch.Tensor) -> None:
    """Noisy above, restored below."""
    with seeded(run.settings.seed):
        noisy = model.noise(x)
    pairs = figures.reconstructions(noisy, redrawn(model, noisy))
    figures.save_grid(run.folder.output / "restored.png", pairs, COLUMNS)
