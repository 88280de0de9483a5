"""A model that only draws images: what its players say, how varied and how new its samples are.

It has no bound, and no number of the kind is made up for it; `run.py use quality` judges its
samples by a classifier's features.
"""

from functools import partial
from typing import Any

import torch

from codebase import figures
from codebase.data import subsets
from codebase.data.batches import grey
from codebase.engine.randomness import seeded
from codebase.evaluation import features, samples
from codebase.evaluation.bounds import CHUNK
from codebase.evaluation.numbers import Number, Numbers
from codebase.evaluation.tables import table
from codebase.files import logs
from codebase.models.gan import GAN
from codebase.runs.run import Run
from codebase.tasks.likelihood import COLUMNS, ROWS, draw_curves, log_grid, log_test, title

QUICK = 1_000  # images looked at between checkpoints
ALIKE = 0.5  # of the data's variety: samples with less have collapsed


def evaluate(run: Run, model: GAN, step: int) -> None:
    """Logs what the discriminator says of test images and samples, in between checkpoints."""
    run.writer.lay_out(logs.GAME)
    log_test(run, game(model, _some(run)), step)


def watch(run: Run, model: GAN, step: int) -> None:
    """The same at a checkpoint, and samples; a warning if these have collapsed."""
    evaluate(run, model, step)
    with seeded(run.settings.seed):
        drawn = model.sample_x(100)
    log_grid(run.writer, "samples", drawn, step)
    if why := collapse({"variety": Number(samples.variety(drawn, _some(run)), None)}):
        print(f"*** WARNING: at iteration {step:,} the generator has collapsed: {why}.")


def report(run: Run, model: GAN) -> None:
    """What the discriminator says, variety, distance to the nearest training image; 200 samples."""
    test = subsets.test_images(run.dataset, "grey")
    drawn = draw(model, len(test))
    numbers = game(model, test, drawn)
    (train, _), _ = subsets.training(run.dataset, run.args.without, run.args.validation)
    (some, others), images = (x[:QUICK] for x in (drawn, test)), grey(train)
    near = {
        "samples": samples.nearest(some, images),
        "test images": samples.nearest(others, images),
    }
    numbers |= {f"to nearest training image, {k}": Number.of(v.cpu()) for k, v in near.items()}
    more = entropy(run, drawn, numbers)
    print(f"\n{title(run)}: no bound of log p(x), for it has no density")
    print(table({f"{len(test):,} samples and test images": numbers}))
    print("value: E log D(x) + E log(1 − D(x̃)), −1.386 where the discriminator cannot tell;")
    print("variety: samples' mean squared distance over the test images'; ± over the images")
    print(f"FID and its like: python run.py use quality {run.name}")
    pictures = {
        "samples": partial(_draw, run, model),
        "curves": partial(draw_curves, run),
    }
    run.finish({"test": numbers}, pictures, **more)
    if why := collapse(numbers):
        print(f"*** WARNING: the generator has collapsed: {why}.")


@torch.no_grad()
def game(model: GAN, x: torch.Tensor, drawn: torch.Tensor | None = None) -> Numbers:
    """What the discriminator says of images of the data and of as many samples.

    Args:
        x: (N, D) grey, on the model's device.
        drawn: (N, D); drawn now, always the same, by default.
    Returns:
        {"value", "D of test images", "D of samples", "right", "variety": Number}.
    """
    drawn = draw(model, len(x)) if drawn is None else drawn
    real, fake = (
        torch.cat([model.discriminator(part) for part in t.split(CHUNK)]).cpu().double()
        for t in (x, drawn)
    )
    log_sigmoid = torch.nn.functional.logsigmoid
    found = {
        "value": log_sigmoid(real) + log_sigmoid(-fake),
        "D of test images": real.sigmoid(),
        "D of samples": fake.sigmoid(),
        "right": ((real > 0).double() + (fake < 0).double()) / 2,
    }
    numbers = {name: Number.of(values) for name, values in found.items()}
    return numbers | {"variety": Number(samples.variety(drawn, x), None)}


def draw(model: GAN, n: int) -> torch.Tensor:
    """The same N samples every time, (n, D)."""
    with seeded():
        return torch.cat([model.sample_x(min(CHUNK, n - i)) for i in range(0, n, CHUNK)])


def entropy(run: Run, drawn: torch.Tensor, numbers: Numbers) -> dict[str, Any]:
    """Adds the class entropy of samples, if the data's classifier was ever trained.

    Returns:
        What the record says of the classifier.
    """
    if not run.dataset.labelled or not features.path_of(run.dataset).exists():
        return {}
    judge = features.features_of(run.dataset)
    _, classes = judge.of(drawn.cpu())
    numbers["class entropy"] = Number(samples.class_entropy(classes), None)
    return {"features": judge.path.name, "features_sha256": judge.sha256}


def collapse(numbers: Numbers) -> str:
    """Why the samples are said to have collapsed, "" if they have not.

    Args:
        numbers: "variety", and perhaps "class entropy".
    """
    found, few = numbers["variety"].value, numbers.get("class entropy")
    if few and samples.few_classes(few.value):
        return f"its samples are of few classes, with an entropy of {few.value:.2f} nats"
    if not found >= ALIKE:
        return f"its samples vary {found:.2f} times as much as the data"
    return ""


def _some(run):
    return subsets.test_images(run.dataset, "grey")[:QUICK]


def _draw(run: Run, model: GAN) -> None:
    with seeded(run.settings.seed):
        drawn = model.sample_x(ROWS * COLUMNS)
    figures.save_grid(run.folder.output / "samples.png", drawn, COLUMNS)
