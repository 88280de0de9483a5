"""A finished run, read back from its folder: its flags, its model, its data."""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from codebase import checkpoints, datasets, records
from codebase.errors import UserError
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE

KIND = re.compile(r"model=(vae|gmvae|ssvae)_")


@dataclass(frozen=True)
class Finished:
    """What a run left behind, trained model and all, on the CPU."""

    name: str
    folder: Path
    kind: str  # vae, gmvae or ssvae
    seed: int
    data_dir: str
    model: object
    dataset: datasets.Dataset


def read(run, data_dir=None):
    """The finished run of that name, under checkpoints/, or in that folder.

    Args:
        run: name or folder.
        data_dir: where the dataset lies; None is where it lay for the training.
    Raises:
        UserError: there is no such run, it is not finished, or a file of it is damaged.
    """
    folder = find(run)
    path = folder / "results.json"
    if not path.is_file():
        raise UserError(
            f"The run {folder} is not finished: it has no results.json. The command that "
            "trains it goes on with it."
        )
    results = records.read(path)
    try:
        name, flags, data = results["run"], dict(results["flags"]), results["data"]["name"]
        kind = KIND.match(name).group(1)
        step, seed = int(flags["iter_max"]), int(flags.get("seed") or 0)
        model = _model(kind, flags, name)
        data_dir = str(flags["data_dir"]) if data_dir is None else data_dir
        if data not in (*datasets.TORCHVISION, "digits"):
            raise ValueError(f"data {data!r}")
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is damaged: it is no results.json of a run ({error!r})."
        ) from error
    checkpoints.load_weights(model, folder / f"model-{step:05d}.pt")
    dataset = datasets.load(data, data_dir)
    return Finished(name, folder, kind, seed, data_dir, model.eval(), dataset)


def find(run):
    """The folder of a run, given its name or the folder itself.

    Raises:
        UserError: there is none; it names the runs that come closest.
    """
    for folder in (checkpoints.ROOT / run, Path(run)):
        if run and folder.is_dir():
            return folder
    there = [p.name for p in checkpoints.ROOT.glob("model=*") if p.is_dir()]
    close = difflib.get_close_matches(run, there, n=3, cutoff=0)
    hint = f" There is {', '.join(close)}." if close else ""
    raise UserError(
        f"There is no run {run!r}: neither {checkpoints.ROOT / run} nor {run!r} is a folder.{hint}"
    )


def _model(kind, flags, name):
    if kind == "ssvae":
        kingma = bool(flags.get("labeled_elbo", 0))
        weights = float(flags["gw"]), float(flags["cw"])
        return SSVAE("v1", name, *weights, labeled_elbo=kingma)
    z, beta = int(flags["z"]), float(flags.get("beta", 1))
    k = int(flags["k"]) if kind == "gmvae" else 1
    if not (z <= 10_000 and k <= 100_000):  # as the scripts' flags have it
        raise ValueError(f"z {z}, k {k}")
    if kind == "gmvae":
        return GMVAE("v1", z, k, name, beta)
    return VAE("v1", name, z, beta)
