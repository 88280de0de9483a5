"""A model that completes images: what unseen pixels cost, and several completions of each."""

from functools import partial

import torch

from codebase import figures
from codebase.data import subsets
from codebase.engine.randomness import seeded
from codebase.evaluation.bounds import CHUNK
from codebase.evaluation.numbers import Number, Numbers
from codebase.evaluation.tables import table
from codebase.files import logs
from codebase.models.complete import QUADRANTS, Completion
from codebase.runs.run import Run
from codebase.tasks.likelihood import draw_curves, log_grid, log_test, title

SAMPLES = 100  # importance samples of each image
COMPLETIONS = 8  # in a row of the picture


def evaluate(run: Run, model: Completion, step: int) -> None:
    """Logs what unseen pixels of the test subset cost, in between checkpoints."""
    run.writer.lay_out(logs.BOUND)
    x, _ = subsets.test_subset(run.dataset)
    log_test(run, costs(model, x, samples=10), step)


def watch(run: Run, model: Completion, step: int) -> None:
    """The same at a checkpoint, and completions of ten images."""
    evaluate(run, model, step)
    log_grid(run.writer, "completions", _rows(run, model), step, columns=COMPLETIONS + 3)


def report(run: Run, model: Completion) -> None:
    """What the unseen pixels cost, by model and baseline, and a picture of completions."""
    test = subsets.test_images(run.dataset)
    full = costs(model, test, SAMPLES)
    print(f"\n{title(run)}: nats per image of unseen pixels, smaller is better")
    print(table({f"all test images ({len(test):,})": full}))
    print(f"seen: {', '.join(QUADRANTS[: model.seen])}; ± standard error over the images")
    pictures = {
        "completions": partial(_draw, run, model),
        "curves": partial(draw_curves, run),
    }
    run.finish({"test": full}, pictures)


def costs(model: Completion, x: torch.Tensor, samples: int) -> Numbers:
    """−log p(x_u|x_s) of binarized images: bounds by one and more samples, and the baseline's.

    Args:
        x: (N, D) in {0, 1}.
        samples: of each image, for the importance-weighted bound and for prior samples.
    Returns:
        {"nelbo", "kl", "rec", "iwae-M", "prior-M", "baseline", "gain": Number}; the gain is what
        the importance-weighted bound is better than the baseline by, image by image.
    """
    rows = []
    with seeded():
        for part in x.split(CHUNK):
            kl, rec = model.negative_elbo_terms(part)
            iwae = model.negative_iwae(part, samples)
            prior = model.negative_iwae(part, samples, own=False)
            rows.append(torch.stack([kl, rec, iwae, prior, model.baseline_cost(part)]))
    kl, rec, iwae, prior, baseline = torch.cat(rows, dim=1).cpu().double()
    found = {"nelbo": kl + rec, "kl": kl, "rec": rec, f"iwae-{samples}": iwae}
    found |= {f"prior-{samples}": prior, "baseline": baseline, "gain": baseline - iwae}
    return {name: Number.of(values) for name, values in found.items()}


def _rows(run: Run, model: Completion) -> torch.Tensor:
    """Input, the baseline's guess, completions and truth of ten images, a row for each."""
    x = subsets.test_subset(run.dataset)[0][::10]
    with seeded(run.settings.seed):
        drawn, guess = model.complete(x, COMPLETIONS), model.guess(x)
    seen = torch.where(model.mask > 0, x, 0.3)  # grey where nothing is known
    return torch.cat([seen[None], guess[None], drawn, x[None]]).transpose(0, 1).flatten(0, 1)


def _draw(run: Run, model: Completion) -> None:
    path = run.folder.output / "completions.png"
    figures.save_grid(path, _rows(run, model), COMPLETIONS + 3)
