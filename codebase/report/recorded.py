"""The experiments of the assignment, and what runs of them have left in checkpoints/."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from codebase import checkpoints, records
from codebase.errors import UserError
from codebase.evaluate import Number
from codebase.models.gmvae import GMVAE
from codebase.models.vae import VAE
from codebase.runs import run_name

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
        build: makes its model, where the report needs one.
    """

    title: str
    script: str
    layout: str
    iter_max: int
    flags: dict = field(default_factory=dict)
    unusual: dict = field(default_factory=dict)
    iwae: bool = False
    build: object = None


def _vae(beta):
    return Experiment(
        "VAE" if beta == 1 else f"VAE, β = {beta:g}",
        "run_vae.py",
        f"model=vae_z={Z}",
        20_000,
        unusual={} if beta == 1 else {"beta": beta},
        iwae=beta == 1,
        build=lambda: VAE(z_dim=Z),
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
        build=lambda: GMVAE(z_dim=Z, k=K),
    ),
    "ssvae_gw=0": _ssvae(0),
    "ssvae_gw=1": _ssvae(1),
} | {f"beta={beta:g}": _vae(beta) for beta in BETAS if beta != 1}


def of_beta(beta):
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
    numbers: dict
    content: dict
    build: object

    @property
    def folder(self):
        """Where its files lie."""
        return checkpoints.ROOT / self.name

    def number(self, group, name):
        """One of its numbers; None if it was not taken."""
        return self.numbers.get(group, {}).get(name)

    def model(self, device):
        """The trained model; None if its checkpoint is not on disk.

        Raises:
            UserError: the checkpoint is damaged or of another model.
        """
        path = checkpoints.model_path(self.name, self.iter_max)
        if not path.exists():
            return None
        model = self.build().to(device)
        checkpoints.load_weights(model, path, device)
        return model


@dataclass(frozen=True)
class Runs:
    """The finished runs of an experiment, and of those that are not there, the reason why."""

    experiment: Experiment
    found: list
    missing: dict  # {run id: reason}

    @property
    def wanted(self):
        """How many runs there should be."""
        return len(self.found) + len(self.missing)

    def numbers(self, group, name):
        """One number of every run that has it."""
        numbers = (run.number(group, name) for run in self.found)
        return [number for number in numbers if number is not None]

    def mean(self, group, name):
        """Mean and standard error over the runs; None if there are none."""
        values = [number.value for number in self.numbers(group, name)]
        return Number.of(values) if values else None

    def noise(self, group, name):
        """Standard error of one run's estimate, the root of the runs' mean square; None if none."""
        squares = [n.se**2 for n in self.numbers(group, name) if n.se is not None]
        return math.sqrt(sum(squares) / len(squares)) if squares else None

    def lacks_iwae(self):
        """Whether a finished run was not evaluated with the IWAE bounds that are wanted."""
        return self.experiment.iwae and any(not r.number("subset", "iwae-1") for r in self.found)


def read(experiment, runs, dataset, sha256, iter_max=None):
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
        if content["flags"]["iter_max"] != iter_max:
            missing[i] = f"trained for {content['flags']['iter_max']:,} iterations instead"
        elif content["data"]["sha256"] != sha256:
            missing[i] = "trained on other data of that name"
        else:
            numbers = content.pop("numbers")
            again = path.parent / f"evaluation-{iter_max:05d}" / path.name
            if again.exists():  # of the same weights, with --train 0
                numbers = {g: _content(again)["numbers"].get(g, {}) | n for g, n in numbers.items()}
            found.append(Recorded(i, name, iter_max, numbers, content, experiment.build))
    return Runs(experiment, found, missing)


def _content(path):
    """A results.json, with what the report reads from it checked and its numbers as Numbers.

    Raises:
        UserError: it is damaged or something else.
    """
    advice = f"Delete {Path(path).parent} and train that run again, or restore the file."
    content = records.read(path, advice)
    try:
        numbers = {
            group: {name: _number(n) for name, n in members.items()}
            for group, members in content["numbers"].items()
        }
        flags, data = content["flags"], content["data"]
        checked = {
            "flags": {"iter_max": int(flags["iter_max"])},
            "data": {"sha256": str(data["sha256"])},
            "training": dict(content["training"] or {}),
            "versions": dict(content["versions"]),
            "active_units": content.get("active_units"),
        }
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no results.json of a run ({error!r}). {advice}") from error
    return checked | {"numbers": numbers}


def _number(entry):
    value, se = float(entry["value"]), entry["se"]
    se = None if se is None else float(se)
    if not math.isfinite(value) or not (se is None or 0 <= se < math.inf):
        raise ValueError(f"{value} ± {se}")
    return Number(value, se)
