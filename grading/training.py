"""The items that need a training: run by the project's own loop, judged by its own evaluation.

The submission's files train in their sandbox; only the weights come out of it. The numbers are then
computed here, by this project's models, so they are of the weights and not of what the submission
says about them.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from grading.failures import Failure
from grading.judge import assembly
from grading.messages import Note
from grading.project import CODEBASE
from grading.sandbox import Limits, Session
from grading.submission import read
from grading.tree import Refused
from grading.work import side_by_side

SHORT = 1_000  # iterations
# About our own short training: four to eight standard deviations of the difference between two
# seeds of it, which are 1.5, 0.55 and 1.9 nats and 0.017.
SHORT_SLACK = {"nelbo": 6.0, "kl": 3.0, "rec": 8.0, "accuracy": 0.1}
BATCH_SIZE = 97
START_SECONDS = 60
SECONDS_PER_ITERATION = 0.5  # a slow machine's SSVAE takes a fifth of it


@dataclass(frozen=True)
class Task:
    """An item: which model, how built, how long the assignment trains it, what it asks to report,
    and its bands' name."""

    item: str
    model: str
    arguments: dict
    iterations: int
    asked: tuple[str, ...]
    bands: str


BOUNDS = ("nelbo", "kl", "rec")
TASKS = (
    Task("1.3", "VAE", {"z_dim": 10}, 20_000, BOUNDS, "vae"),
    Task("2.2", "GMVAE", {"z_dim": 10, "k": 500}, 20_000, BOUNDS, "gmvae"),
    Task(
        "3.1", "SSVAE", {"gen_weight": 0, "class_weight": 100}, 30_000, ("accuracy",), "ssvae_gw=0"
    ),
    Task(
        "3.3", "SSVAE", {"gen_weight": 1, "class_weight": 100}, 30_000, ("accuracy",), "ssvae_gw=1"
    ),
)


@dataclass(frozen=True)
class Job:
    """A training: whose (None: this project's own), of what, with which stand-ins."""

    name: str | None
    submission: object
    standins: tuple[str, ...]
    task: Task


def dataset(args):
    """MNIST.

    Raises:
        Refused: it is not there.
    """
    from codebase.data import datasets
    from codebase.errors import UserError

    try:
        return datasets.load("mnist", Path(args.data_dir or "data"))
    except UserError as error:
        raise Refused("no_data", message=error) from error


def judged(found, outcomes, dataset, launcher, args):
    """Lines about each submission's trainings: {name: [line, …]}.

    Args:
        found: [(name, path)].
        outcomes: of the judging: what could not be judged is not trained, and what was stood in for
            there is here too.
        dataset: codebase.data.datasets.Dataset.
        args: what grade.py parsed.
    Raises:
        Refused: this project's own code could not be trained.
    """
    jobs = _jobs(found, outcomes, args.train)
    results = [None] * len(jobs)
    work = side_by_side(lambda job: _trained(job, dataset, launcher, args), zip(jobs), args.jobs)
    for done, (i, result) in enumerate(work, 1):
        results[i] = _evaluated(jobs[i].task, result, dataset)
        print(f"[{done}/{len(jobs)}] {jobs[i].name or '*'}: {jobs[i].task.item}", file=sys.stderr)
    done = list(zip(jobs, results, strict=True))
    bands = _short_bands(done, args) if args.train == "short" else _full_bands()
    lines = {job.name: [Note(f"train.{args.train}").say(args.lang), ""] for job in jobs if job.name}
    for job, result in done:
        if job.name:
            lines[job.name] += _lines(job.task, result, bands[job.task.item], args.lang)
    return lines


def _jobs(found, outcomes, length):
    ours = read("", CODEBASE)
    jobs = [Job(None, ours, (), task) for task in TASKS] if length == "short" else []
    for (name, path), (_, verdict) in zip(found, outcomes, strict=True):
        if isinstance(verdict, Note):
            continue
        submission = read(name, path)
        # The project trains with its own networks, because it evaluates with them.
        files = {
            path: data
            for path, data in submission.files.items()
            if not path.startswith("models/nns")
        }
        submission = replace(submission, files=files)
        jobs += [
            Job(name, submission, verdict.standins.get(task.model, ()), task) for task in TASKS
        ]
    return jobs


def _trained(job, dataset, launcher, args):
    """The weights that the submission's model has after training, or the Failure."""
    from codebase.data import subsets
    from codebase.data.batches import grey

    task = job.task
    iterations = SHORT if args.train == "short" else task.iterations
    labelled_x, labelled_y = subsets.labelled(dataset)
    arrays = {
        "train_x": dataset.train_x.numpy(),
        "train_y": dataset.train_y.numpy(),
        "labelled_x": grey(labelled_x).numpy(),
        "labelled_y": labelled_y.numpy(),
    }
    seconds = START_SECONDS + iterations * SECONDS_PER_ITERATION
    limits = Limits(seconds, int(args.memory * (1 << 30)))
    session = Session(launcher, assembly(job.submission, job.standins, whole=True), limits)
    try:
        return session.ask(
            "training",
            arrays,
            model=task.model,
            arguments=task.arguments,
            semisup=task.model == "SSVAE",
            iterations=iterations,
            batch_size=BATCH_SIZE,
            seed=args.seed or 0,
        )[1]
    except Failure as failure:
        return failure
    finally:
        session.close()


def _evaluated(task, state, dataset):
    """{name: value} of trained weights, by this project's models and protocol, or the Failure."""
    import torch

    from codebase.data import subsets
    from codebase.data.batches import grey
    from codebase.evaluation.bounds import subset_bounds
    from codebase.evaluation.classifier import classification
    from codebase.models.gmvae import GMVAE
    from codebase.models.ssvae import SSVAE
    from codebase.models.vae import VAE

    if isinstance(state, Failure):
        return state
    model = {"VAE": VAE, "GMVAE": GMVAE, "SSVAE": SSVAE}[task.model](**task.arguments)
    try:
        model.load_state_dict({name: torch.tensor(np.array(a)) for name, a in state.items()})
    except RuntimeError:
        return Failure(Note("other_networks"))
    if task.model == "SSVAE":
        numbers, _ = classification(model, grey(dataset.test_x), dataset.test_y)
    else:
        numbers = subset_bounds(model, subsets.test_subset(dataset)[0], run_iwae=False)
    return {name: numbers[name].value for name in task.asked}


def _full_bands():
    from codebase.evaluation.reference import BANDS

    return {task.item: BANDS[task.bands] for task in TASKS}


def _short_bands(done, args):
    """What is near the numbers of this project's own code after as short a training."""
    bands = {}
    for job, result in done:
        if job.name is None:
            if isinstance(result, Failure):
                raise Refused("own_training", message=result.note.say(args.lang))
            bands[job.task.item] = {n: (value, SHORT_SLACK[n]) for n, value in result.items()}
    return bands


def _lines(task, result, bands, language):
    if isinstance(result, Failure):
        return [f"- {task.item}: {result.note.say(language)}"]
    lines = []
    for name, value in result.items():
        centre, half_width = bands[name]
        low, high = centre - half_width, centre + half_width
        mark = "✓" if low <= value <= high else "✗"
        said = Note(
            "train.band", name=name, value=f"{value:.4g}", low=f"{low:.4g}", high=f"{high:.4g}"
        )
        lines.append(f"- {task.item} {mark} {said.say(language)}")
    return lines
