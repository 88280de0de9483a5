"""The items that need a training: run by the project's own loop, judged by its own evaluation.

The submission's files train in their sandbox; only the weights come out of it. The numbers are then
computed here, by this project's models, so they are of the weights and not of what the submission
says about them.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np

from grading.failures import Failure
from grading.messages import Note
from grading.sandbox import Limits, Session
from grading.submission import GRADED, Refused, read

SHORT = 1_000  # iterations
SHORT_SLACK = {"accuracy": 0.1}  # against this project's own short training; else nats
SHORT_NATS = 5.0
BATCH_SIZE = 97
START_SECONDS = 300
SECONDS_PER_ITERATION = 0.5  # a slow machine's SSVAE takes a tenth of it


@dataclasses.dataclass(frozen=True)
class Task:
    """An item: which model, how built, how long the assignment trains it, and its bands' name."""

    item: str
    model: str
    arguments: dict
    iterations: int
    bands: str


TASKS = (
    Task("1.3", "VAE", {"z_dim": 10}, 20_000, "vae"),
    Task("2.2", "GMVAE", {"z_dim": 10, "k": 500}, 20_000, "gmvae"),
    Task("3.1", "SSVAE", {"gen_weight": 0, "class_weight": 100}, 30_000, "ssvae_gw=0"),
    Task("3.3", "SSVAE", {"gen_weight": 1, "class_weight": 100}, 30_000, "ssvae_gw=1"),
)


def judged(found, outcomes, launcher, args):
    """Lines about each submission's trainings: {name: [line, …]}.

    Args:
        found: [(name, path)].
        outcomes: of the judging; what could not be judged is not trained.
        args: what grade.py parsed.
    Raises:
        Refused: the data set is not there.
    """
    from codebase import datasets
    from codebase.errors import UserError

    try:
        dataset = datasets.load("mnist", Path(args.data_dir or "data"))
    except UserError as error:
        raise Refused(f"--train {args.train}: {error}") from error
    bands = _full_bands() if args.train == "full" else _short_bands(dataset, launcher, args)
    lines = {}
    for (name, path), (_, verdict) in zip(found, outcomes, strict=True):
        if isinstance(verdict, str):
            continue
        submission = read(name, path)
        lines[name] = []
        for task in TASKS:
            print(f"{name}: {task.item} …", file=sys.stderr)
            lines[name] += _lines(task, submission, dataset, launcher, args, bands)
    return lines


def _lines(task, submission, dataset, launcher, args, bands):
    try:
        state = _trained(task, submission, dataset, launcher, args)
        numbers = _numbers(task, state, dataset, run_iwae=args.train == "full")
    except Failure as failure:
        return [f"- {task.item}: {failure.note.say(args.lang)}"]
    lines = []
    for name, (centre, half_width) in bands[task.item].items():
        low, high = centre - half_width, centre + half_width
        said = Note(
            "train.band",
            name=name,
            value=f"{numbers[name]:.4g}",
            low=f"{low:.4g}",
            high=f"{high:.4g}",
        )
        mark = "✓" if low <= numbers[name] <= high else "✗"
        lines.append(f"- {task.item} {mark} {said.say(args.lang)}")
    return lines


def _trained(task, submission, dataset, launcher, args):
    """The weights that the submission's model has after training."""
    from codebase import data

    iterations = SHORT if args.train == "short" else task.iterations
    # Only what is graded and the networks are the submission's: the loop and the data are ours.
    files = {
        path: content
        for path, content in submission.files.items()
        if path in GRADED or path.startswith("models/")
    }
    submission = dataclasses.replace(submission, files=files)
    labelled_x, labelled_y = data.labelled(dataset)
    arrays = {
        "train_x": dataset.train_x.numpy(),
        "train_y": dataset.train_y.numpy(),
        "labelled_x": data.grey(labelled_x).numpy(),
        "labelled_y": labelled_y.numpy(),
    }
    limits = Limits(
        START_SECONDS + iterations * SECONDS_PER_ITERATION, int(args.memory * (1 << 30))
    )
    session = Session(launcher, submission.assemble, limits)
    try:
        _, state = session.ask(
            "training",
            arrays,
            model=task.model,
            arguments=task.arguments,
            semisup=task.model == "SSVAE",
            iterations=iterations,
            batch_size=BATCH_SIZE,
            seed=args.seed or 0,
        )
    finally:
        session.close()
    return state


def _numbers(task, state, dataset, run_iwae=False):
    """{name: value} of trained weights, by this project's models and protocol."""
    import torch

    from codebase import data, evaluate
    from codebase.models.gmvae import GMVAE
    from codebase.models.ssvae import SSVAE
    from codebase.models.vae import VAE

    model = {"VAE": VAE, "GMVAE": GMVAE, "SSVAE": SSVAE}[task.model](**task.arguments)
    try:
        model.load_state_dict({name: torch.tensor(np.array(a)) for name, a in state.items()})
    except RuntimeError as error:
        raise Failure(Note("other_networks")) from error
    if task.model == "SSVAE":
        numbers, _ = evaluate.classification(model, data.grey(dataset.test_x), dataset.test_y)
    else:
        numbers = evaluate.subset_bounds(model, data.test_subset(dataset)[0], run_iwae)
    return {name: number.value for name, number in numbers.items()}


def _full_bands():
    from codebase.reference import BANDS

    return {task.item: BANDS[task.bands] for task in TASKS}


def _short_bands(dataset, launcher, args):
    """The numbers of this project's own code after as short a training, and what is near them."""
    ours = read("", Path(__file__).resolve().parent.parent / "codebase")
    bands = {}
    for task in TASKS:
        numbers = _numbers(task, _trained(task, ours, dataset, launcher, args), dataset)
        asked = ("accuracy",) if task.model == "SSVAE" else ("nelbo", "kl", "rec")
        bands[task.item] = {
            name: (numbers[name], SHORT_SLACK.get(name, SHORT_NATS)) for name in asked
        }
    return bands
