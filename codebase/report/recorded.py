"""The experiments of the assignment, and what runs of them have left in checkpoints/."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch

from codebase.errors import UserError
from codebase.evaluation.numbers import Number, Numbers
from codebase.evaluation.summary import numbers, over_runs
from codebase.files import checkpoints, records
from codebase.models.base import LatentVariableModel
from codebase.runs.saved import open_run
from codebase.runs.settings import run_name

BETAS = 0.1, 0.5, 1.0, 2.0, 4.0, 10.0
Z, K = 10, 500  # of the VAE and the GMVAE, as their scripts have them


@dataclass(frozen=True)
class Experiment:
    """A script and its flags, to be run several times.

    Args:
        title: what tables call it.
        script: in the project's folder.
        layout: its runs' name up to the run id.
        iter_max: the script's own.
        flags: what sets it apart and has its place in the layout.
        unusual: what sets it apart and is appended to the name.
        iwae: whether its IWAE bounds are wanted.
    """

    title: str
    script: str
    layout: str
    iter_max: int
    flags: dict = field(default_factory=dict)
    unusual: dict = field(default_factory=dict)
    iwae: bool = False


def _vae(beta):
    return Experiment(
        "VAE" if beta == 1 else f"VAE, β = {beta:g}",
        "run_vae.py",
        f"model=vae_z={Z}",
        20_000,
        unusual={} if beta == 1 else {"beta": beta},
        iwae=beta == 1,
    )


def _ssvae(gw):
    title, layout = f"SSVAE, gw = {gw}", f"model=ssvae_gw={gw:03d}_cw=100"
    return Experiment(title, "run_ssvae.py", layout, 30_000, flags={"gw": gw})


EXPERIMENTS = {
    "vae": _vae(1.0),
    "gmvae": Experiment(
        "GMVAE",
        "run_gmvae.py",
        f"model=gmvae_z={Z}_k={K}",
        20_000,
        iwae=True,
    ),
    "ssvae_gw=0": _ssvae(0),
    "ssvae_gw=1": _ssvae(1),
} | {f"beta={beta:g}": _vae(beta) for beta in BETAS if beta != 1}


def of_beta(beta: float) -> str:
    """The key in EXPERIMENTS of the VAE with that β."""
    return "vae" if beta == 1 else f"beta={beta:g}"


@dataclass(frozen=True)
class Recorded:
    """A finished run.

    Args:
        numbers: {group: {name: Number}}.
        content: the rest of its results.json.
    """

    id: int
    name: str
    iter_max: int
    numbers: dict[str, Numbers]
    content: dict

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return checkpoints.ROOT / self.name

    def number(self, group: str, name: str) -> Number | None:
        """One of its numbers; None if it was not taken."""
        return self.numbers.get(group, {}).get(name)

    def model(self, device: torch.device) -> LatentVariableModel | None:
        """The trained model; None if its checkpoint is not on disk.

        Raises:
            UserError: the checkpoint is damaged or of no model of this project.
        """
        if not checkpoints.model_path(self.name, self.iter_max).exists():
            return None
        model = open_run(self.folder, self.iter_max).model.to(device)
        return cast(LatentVariableModel, model)  # as every experiment's is


@dataclass(frozen=True)
class Runs:
    """The finished runs of an experiment, and of those that are not there, the reason why."""

    experiment: Experiment
    found: list[Recorded]
    missing: dict[int, str]

    @property
    def wanted(self) -> int:
        """How many runs there should be."""
        return len(self.found) + len(self.missing)

    def numbers(self, group: str, name: str) -> list[Number]:
        """One number of every run that has it."""
        numbers = (run.number(group, name) for run in self.found)
        return [number for number in numbers if number is not None]

    def mean(self, group: str, name: str) -> tuple[Number | None, float | None]:
        """Mean and standard error over the runs, and one run's noise; None, None without runs."""
        values = self.numbers(group, name)
        return over_runs(values) if values else (None, None)

    def lacks_iwae(self) -> bool:
        """Whether a finished run was not evaluated with the IWAE bounds that are wanted."""
        return self.experiment.iwae and any(not r.number("subset", "iwae-1") for r in self.found)


def read(
    experiment: Experiment, runs: int, dataset: str, sha256: str, iter_max: int | None = None
) -> Runs:
    """What is on disk of runs 0 … runs − 1 of an experiment.

    Args:
        dataset, sha256: name and hash of the data they must have been trained on.
        iter_max: the iterations they must have been trained for; None is the script's own.
    Raises:
        UserError: a results.json is damaged.
    """
    iter_max = iter_max or experiment.iter_max
    found, missing = [], {}
    for i in range(runs):
        data = {} if dataset == "mnist" else {"data": dataset}
        name = run_name(experiment.layout, i, experiment.unusual | data)
        path = checkpoints.ROOT / name / "results.json"
        if not path.exists():
            missing[i] = "not run"
            continue
        content = _content(path)
        if content["iter_max"] != iter_max:
            missing[i] = f"trained for {content['iter_max']:,} iterations instead"
        elif content["sha256"] != sha256:
            missing[i] = "trained on other data of that name"
        else:
            groups = content.pop("numbers")
            again = path.parent / f"evaluation-{iter_max:05d}" / path.name
            if again.exists():  # of the same weights, with --train 0: maybe the IWAE bounds too
                more = _content(again)
                if more["sha256"] == sha256:
                    more = more["numbers"]
                    groups = {g: more.get(g, {}) | members for g, members in groups.items()}
            found.append(Recorded(i, name, iter_max, groups, content))
    return Runs(experiment, found, missing)


def _content(path):
    """A results.json, what the report reads from it, checked.

    Raises:
        UserError: it is damaged or something else.
    """
    advice = f"Delete {Path(path).parent} and train that run again, or restore the file."
    try:
        found, content = numbers(path), records.read(path)
        for name, n in ((name, n) for members in found.values() for name, n in members.items()):
            if not math.isfinite(n.value) or not (n.se is None or 0 <= n.se < math.inf):
                raise ValueError(f"{name} is {n.value} ± {n.se}")
        return {
            "numbers": found,
            "iter_max": int(content["flags"]["iter_max"]),
            "sha256": str(content["data"]["sha256"]),
            "training": dict(content["training"] or {}),
            "versions": dict(content["versions"]),
        }
    except UserError as error:
        raise UserError(f"{error} {advice}") from error
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no results.json of a run ({error!r}). {advice}") from error
