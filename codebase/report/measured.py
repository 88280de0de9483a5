"""What the report is made of: numbers, pictures and comparisons of the runs on disk."""

from argparse import Namespace
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image

from codebase.data import datasets, subsets
from codebase.errors import UserError
from codebase.figures import style
from codebase.files import disk
from codebase.report import compare, numbers, sweep
from codebase.report.recorded import BETAS, Recorded, Runs, Z, of_beta

DIGITS = "samples", "samples_probabilities"


@dataclass(frozen=True)
class Report:
    """Everything the sections are made of."""

    args: Namespace
    dataset: datasets.Dataset
    runs: dict[str, Runs]  # by experiment's key
    rows: dict[str, list[numbers.Row]]  # by the same key
    points: list[sweep.Point]  # one for every β
    pairs: list[compare.Pair]
    drawn: dict[str, tuple[Recorded, list[Path]] | None]  # of "vae", "gmvae": DIGITS' pictures
    figure: Path | None  # of β

    @property
    def comparable(self) -> bool:
        """Whether the reference bands apply."""
        return _comparable(self.args, self.dataset)


def _comparable(args, dataset):
    return dataset.name == "mnist" and args.iter_max is None


def measure(
    args: Namespace,
    dataset: datasets.Dataset,
    runs: dict[str, Runs],
    out: Path,
    device: torch.device,
) -> Report:
    """Measures and draws what the sections show, the pictures in the folder `out`.

    Args:
        runs: {key in EXPERIMENTS: its `Runs`}.
    Raises:
        UserError: a picture or a checkpoint is damaged, or the folder cannot be written.
    """
    test = subsets.binarized_test(dataset)
    x = subsets.test_subset(dataset)[0][::10]  # one of each class
    comparable = _comparable(args, dataset)
    rows = {
        key: numbers.rows(key, runs[key], "subset", numbers.BOUNDS, comparable)
        for key in ("vae", "gmvae")
    } | {
        key: numbers.rows(key, runs[key], "test", ("accuracy", "ce"), comparable)
        for key in ("ssvae_gw=0", "ssvae_gw=1")
    }
    points = [sweep.point(beta, runs[of_beta(beta)], x, test, device) for beta in BETAS]
    pairs = compare.pairs(runs["vae"], runs["gmvae"], test, device)
    drawn = {key: _drawn(runs[key], key, out) for key in ("vae", "gmvae")}
    figure = out / "beta.png" if any(p.runs for p in points) else None
    if figure:
        with style.styled():
            style.save(sweep.figure(points, x, Z), out, figure.stem, kinds=["png"])
    return Report(args, dataset, runs, rows, points, pairs, drawn, figure)


def _drawn(runs, key, out):
    """Copies the pictures of 200 digits of the first run that has them.

    Returns:
        The run and the copies' paths; None if no run has them.
    Raises:
        UserError: one is damaged.
    """
    for run in runs.found:
        paths = [run.folder / f"{kind}.png" for kind in DIGITS]
        if all(path.exists() for path in paths):
            return run, [_copied(path, out / f"{key}_{path.name}") for path in paths]
    return None


def _copied(path, to):
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError) as error:
        raise UserError(
            f"{path} is damaged: {error}. Without it, it is shown as missing."
        ) from error
    with disk.atomic(to) as file:
        file.write(path.read_bytes())
    return to


def record(report: Report, sha256: str) -> dict:
    """What results.json holds; sha256 is the data's."""
    return {
        "dataset": {"name": report.dataset.name, "sha256": sha256},
        "runs": report.args.runs,
        "iter_max": report.args.iter_max,
        "reference_applies": report.comparable,
        "numbers": {
            key: {row.name: numbers.record(row) for row in rows}
            for key, rows in report.rows.items()
        },
        "beta": [sweep.record(p, Z) for p in report.points],
        "pairs": [asdict(p) | {"unpaired_se": p.unpaired_se} for p in report.pairs],
        "pairs_over_seeds": {
            name: d and asdict(d)
            for name in compare.NAMES
            for d in [compare.over_seeds(report.pairs, name)]
        },
        "missing": {
            key: {str(i): why for i, why in runs.missing.items()}
            for key, runs in report.runs.items()
            if runs.missing
        },
    }
