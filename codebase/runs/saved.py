"""A trained run opened again, by its name or folder: its model from a checkpoint, and its flags."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from codebase.data import datasets
from codebase.errors import UserError
from codebase.files import checkpoints, records
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE


@dataclass(frozen=True)
class SavedRun:
    """A model as a checkpoint holds it.

    Attributes:
        folder: the run's.
        model: a VAE, GMVAE or SSVAE on the CPU.
        step: the iteration the checkpoint was saved at.
        data: name of the dataset it was trained on.
        seed: of its training.
    """

    folder: Path
    model: torch.nn.Module
    step: int
    data: str
    seed: int = 0


def open_run(run, step=None):
    """Opens a run, at its last checkpoint unless a step is given.

    Kind and sizes of the model are read off the checkpoint, so one that other scripts wrote, with
    nothing beside it, opens too.

    Args:
        run: its name in checkpoints/, or a folder.
    Raises:
        UserError: there is no such run or checkpoint, or it does not hold one of the three models.
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
    flags = {"data": "mnist", "seed": 0, "gw": 1.0, "beta": 1.0}
    flags |= records.read(recorded) if recorded.exists() else {}
    for name, kind in (("seed", int), ("gw", (int, float)), ("beta", (int, float))):
        if not (isinstance(flags[name], kind) and flags[name] >= 0):
            raise UserError(f"{recorded} is no run's: {name} is {flags[name]!r}.")
    data = flags["data"]
    if data not in (known := {"digits", *datasets.TORCHVISION}):
        raise UserError(f"{recorded} names the data {data!r}, expected one of {sorted(known)}.")
    state = checkpoints.load(path)
    model = _model_of(state, path, flags["gw"], flags["beta"])
    model.name = folder.name
    checkpoints.fit(model, state, path)
    return SavedRun(folder, model.eval(), step, data, flags["seed"])


_STEP = re.compile(r"model-(\d+)\.pt")


def find_run(run):
    """The folder of a run given by its name or as a path.

    Raises:
        UserError: there is none; it names those there are.
    """
    for folder in (checkpoints.ROOT / run, Path(run)):
        if run and folder.is_dir():
            return folder
    names = sorted(p.name for p in checkpoints.ROOT.glob("*/") if any(p.glob("model-*.pt")))
    there = f"{checkpoints.ROOT} holds {', '.join(names)}" if names else "train one first"
    raise UserError(f"There is no run {run!r}, neither as a folder nor in checkpoints; {there}.")


def _model_of(state, path, gw, beta):
    """An untrained model of the kind and size that a state_dict has.

    With gw = 0 an SSVAE's encoder and decoder were never trained; the state does not say so.
    """
    try:
        z = len(state["enc.net.4.bias"]) // 2
        if "cls.net.4.bias" in state:
            y = len(state["cls.net.4.bias"])
            return SSVAE(gen_weight=gw, z_dim=z, y_dim=y)
        if "z_pre" in state:
            return GMVAE(z_dim=z, k=state["z_pre"].shape[1] // 2, beta=beta)
        return VAE(z_dim=z, beta=beta)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} holds no model of this project.") from error
