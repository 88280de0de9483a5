"""A trained run opened again, by its name or folder: its model from a checkpoint, and its flags."""

import argparse
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codebase.catalogue import CATALOGUE, recognised
from codebase.data import datasets
from codebase.errors import UserError, nearest
from codebase.files import checkpoints, records
from codebase.files.weights import weights_of
from codebase.flag import DATA, Flag, number
from codebase.models.base import Model
from codebase.runs import record
from codebase.sides import X_DIM, sized

# Training flags that later versions have, {name: what a training without it did}.
AIDS = {"schedule": "constant", "ema": 0.0, "validation": 0, "without": None}


@dataclass(frozen=True)
class SavedRun:
    """A model as a checkpoint holds it.

    Attributes:
        folder: the run's.
        model: on the CPU, in evaluation mode.
        step: the iteration the checkpoint was saved at.
        data: name of the dataset it was trained on.
        seed: of its training.
        kind: the model's name in the catalogue.
        settings: {flag: value} of the model.
        training: {"iterations": step, …}, and the recorded batch_size and lr.
        data_path: where the data lay, if they are one's own file or folder.
        x_dim: how many pixels its images have.
    """

    folder: Path
    model: Model
    step: int
    data: str
    seed: int = 0
    kind: str = ""
    settings: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    data_path: str = ""
    x_dim: int = X_DIM

    def dataset(self, data_dir: str | Path = "data", labels: bool = True) -> datasets.Dataset:
        """What it was trained on, from data_dir, or one's own from where it lay.

        Args:
            labels: whether they are needed, as everything that is drawn of a run needs them.
        Raises:
            UserError: as `datasets.load`, where the run is known to be of other data, and without
                labels that are needed.
        """
        dataset = self._loaded(data_dir)
        if labels:
            dataset.need_labels("what is drawn of a run")
        record.check_data(self.folder, dataset)
        return dataset

    def _loaded(self, data_dir):
        if not self.data_path:
            return datasets.load(self.data, data_dir)
        before, found = Path(self.data_path), None
        moved = Path(data_dir) / before.name
        for path in (before, moved):
            if path.exists():
                found = datasets.load(str(path))
                if record.trained_on(self.folder) in (None, found.sha256()):
                    return found
        if found is None and not self.data.startswith(datasets.OWN):  # MNIST in a file
            return datasets.load(self.data, data_dir)
        if found is None:
            raise UserError(
                f"{before}, which {self.folder} was trained on, is not there any more, nor is "
                f"{moved}: --data_dir names the folder that holds it now."
            )
        return found  # other data, which the caller says


def _with_whole_id(name):
    """A run's name whose id has all four digits."""
    return re.sub(r"run=(\d{1,3})(?!\d)", lambda m: f"run={int(m[1]):04d}", name)


def open_run(run: str | Path, step: int | None = None) -> SavedRun:
    """Opens a run, at its last checkpoint unless a step is given.

    Its record says which model it is, and with which settings. A checkpoint of the assignment's
    three that other scripts wrote, with nothing beside it, is recognised by its weights.

    Args:
        run: its name in checkpoints/, or a folder.
    Raises:
        UserError: there is no such run or checkpoint, or it does not hold what the record says.
    """
    folder = find_run(run)
    steps = {int(m[1]): p for p in folder.glob("model-*.pt") if (m := _STEP.fullmatch(p.name))}
    if not steps:
        raise UserError(f"{folder} holds no checkpoint (model-‹step›.pt) as yet.")
    step = max(steps) if step is None else step
    if step not in steps:
        there = ", ".join(map(str, sorted(steps)))
        raise UserError(f"{folder} holds no checkpoint of step {step}; it has those of {there}.")
    path, recorded = steps[step], folder / "flags.json"
    flags: dict[str, Any] = {"data": "mnist", "seed": 0}
    flags |= records.read(recorded) if recorded.exists() else {}
    data, at, x_dim = _data_of(flags, recorded)
    state = weights_of(checkpoints.load(path), path)
    entry, sizes = _entry_of(flags, state, path, recorded)
    _check(flags, (SEED, *entry.flags), recorded)
    sizes |= sized(x_dim) if at else {}
    try:
        model = entry.build(flags, folder.name, sizes)
    except (TypeError, ValueError) as error:  # sizes that no model has
        raise UserError(f"{path} holds no model of this project.") from error
    checkpoints.fill(model, state, path)
    model.steps_taken.fill_(step)
    own = entry.matters(flags)
    settings = {flag.name: flags.get(flag.name, flag.default) for flag in own}
    settings |= {f.name: sizes[f.argument] for f in own if f.argument in sizes}
    training = {"iterations": step} | {k: flags[k] for k in ("batch_size", "lr") if k in flags}
    aids = {k: flags[k] for k, usual in AIDS.items() if flags.get(k, usual) != usual}
    own_data = flags["seed"], entry.name, settings, training | aids, at, sizes.get("x_dim", X_DIM)
    return SavedRun(folder, model.eval(), step, data, *own_data)


def _data_of(flags, recorded):
    """Name and path of the data, and how many pixels the images have."""
    data, at, x_dim = flags["data"], flags.get("data_path", ""), flags.get("x_dim", X_DIM)
    known = {*DATA} - {"auto"}
    own = isinstance(data, str) and isinstance(at, str) and at and data.startswith(datasets.OWN)
    if data not in known and not own:
        raise UserError(f"{recorded} names the data {data!r}, expected one of {sorted(known)}.")
    if not isinstance(at, str) or type(x_dim) is not int or x_dim < 1:
        raise UserError(f"{recorded} is no run's: data_path is {at!r}, x_dim {x_dim!r}.")
    return data, at, x_dim


SEED = Flag("seed", "random seed", type=number(int, 0))


def _entry_of(flags, state, path, recorded):
    """The model's entry of the catalogue, and the sizes that only its weights tell."""
    if "model" in flags:
        if flags["model"] not in CATALOGUE:
            raise UserError(
                f"{recorded} names the model {flags['model']!r}; the models are "
                f"{', '.join(CATALOGUE)}."
            )
        return CATALOGUE[flags["model"]], {}
    try:
        return recognised(state)
    except (LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path} holds no model of this project.") from error


def _check(flags, known, recorded):
    """Raises a UserError unless every recorded flag is one that could have been typed."""
    for flag in known:
        value = flags.get(flag.name, flag.default)
        try:
            fits = flag.type(str(value)) == value and value in (flag.choices or [value])
        except argparse.ArgumentTypeError:
            fits = False
        if not fits:
            raise UserError(f"{recorded} is no run's: {flag.name} is {value!r}.")


_STEP = re.compile(r"model-(\d+)\.pt")


def find_run(run: str | Path) -> Path:
    """The folder of a run given by its name or as a path.

    Raises:
        UserError: there is none; it names those there are.
    """
    for folder in (checkpoints.ROOT / run, Path(run)):
        if run and folder.is_dir():
            return folder
    names = sorted(p.name for p in checkpoints.ROOT.glob("*/") if any(p.glob("model-*.pt")))
    there = f"{checkpoints.ROOT} holds {', '.join(names)}" if names else "train one first"
    raise UserError(
        f"There is no run {run!r}, neither as a folder nor in checkpoints; {there}."
        f"{nearest(_with_whole_id(str(run)), names)}"
    )
