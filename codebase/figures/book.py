"""Every figure a run can have: which apply, and the files they go to."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from codebase.data import datasets
from codebase.errors import UserError
from codebase.figures import charts, coding, comparisons, images, maps, outliers, paths, style
from codebase.figures.captions import CAPTIONS
from codebase.figures.study import Study
from codebase.files import disk, records
from codebase.models.base import LatentVariableModel
from codebase.runs.saved import open_run

# Each with the traits that a study must have for it; in the order a reader meets them.
FIGURES: dict[str, tuple[Callable[[Study], style.Drawn], set[str]]] = {
    "samples": (images.samples, {"samples"}),
    "reconstructions": (images.reconstructions, {"reconstructions"}),
    "components": (images.components, {"reconstructions", "mixture"}),
    "class_conditional": (images.class_conditional, {"samples", "labels"}),
    "style_transfer": (images.style_transfer, {"reconstructions", "labels"}),
    "filters": (coding.filters, {"filters"}),
    "activations": (coding.activations, {"points"}),
    "restored": (coding.restored, {"noise"}),
    "kl_per_dimension": (charts.kl_bars, {"reconstructions", "bounds"}),
    "traversals": (paths.traversals, {"reconstructions"}),
    "interpolation": (paths.interpolation, {"reconstructions", "every class"}),
    "arithmetic": (paths.arithmetic, {"reconstructions", "every class"}),
    "map": (maps.plane, {"reconstructions", "plane"}),
    "manifold": (paths.manifold, {"samples", "plane", "no labels", "gaussians"}),
    "pca": (maps.pca, {"reconstructions", "space"}),
    "tsne": (maps.tsne, {"reconstructions", "space"}),
    "clustering": (maps.clustering, {"reconstructions", "mixture"}),
    "calibration": (charts.calibration, {"classifier"}),
    "mistakes": (images.mistakes, {"classifier"}),
    "likelihood": (charts.likelihood, {"bounds"}),
    "outliers": (outliers.chart, {"bounds"}),
}
# Each with the traits, and the setting it compares runs by, which are alike in the others.
COMPARISONS: dict[str, tuple[Callable[[list[Study]], style.Drawn], set[str], str]] = {
    "samples_by_z": (comparisons.samples_by_z, {"samples", "bounds"}, "z"),
    "rate_distortion": (comparisons.rate_distortion, {"bounds"}, "beta"),
    "reconstructions_by_z": (coding.reconstructions_by_z, {"points"}, "z"),
    "activations_by_weight": (coding.activations_by_weight, {"points"}, "weight"),
    "clustering_by_k": (comparisons.clustering_by_k, {"reconstructions", "mixture"}, "k"),
}
NUMBERS, INDEX = "numbers.json", "index.md"


def applicable(study: Study) -> list[str]:
    """Names of the figures that mean something for a model, by what it declares."""
    return [name for name, (_, traits) in FIGURES.items() if traits <= study.traits]


def draw(study: Study, folder: Path, only: Sequence[str] = ()) -> int:
    """Writes the figures that apply to a run, and the numbers behind them, into a folder.

    Args:
        folder: receives ‹figure›.png and .svg, and of all that are there then, numbers.json and
            index.md with their captions.
        only: names of figures; empty: all of them.
    Returns:
        How many there were to draw.
    Raises:
        UserError: a file cannot be written.
    """
    wanted = [name for name in applicable(study) if not only or name in only]
    n = study.training.get("iterations")
    title = study.name if n is None else f"{study.name}, after {n:,} iterations"
    return _write({name: (name, study) for name in wanted}, folder, title)


def compare(studies: list[Study], folder: Path, only: Sequence[str] = ()) -> int:
    """Writes the figures that put runs side by side, for the runs that differ as they must.

    Returns:
        How many there were to draw.
    """
    wanted = {
        f"{name}_{kind}": (name, group)
        for name, (_, traits, setting) in COMPARISONS.items()
        for kind, group in alike([s for s in studies if traits <= s.traits], setting).items()
        if not only or name in only
    }
    return _write(wanted, folder, "Runs side by side")


def alike(studies: list[Study], setting: str) -> dict[str, list[Study]]:
    """Studies that differ in one setting: {kind: the largest such group, of two or more}.

    Of runs with the same value, replicates, the first stands for all.
    """
    groups: dict[tuple[str, ...], dict[Any, Study]] = {}
    for study in studies:
        if setting in study.settings:
            rest = sorted(item for item in study.settings.items() if item[0] != setting)
            group = groups.setdefault((study.kind, study.dataset.name, str(rest)), {})
            group.setdefault(study.settings[setting], study)
    largest: dict[str, list[Study]] = {}
    for (kind, *_), group in groups.items():
        if len(group) > max(1, len(largest.get(kind, ()))):
            largest[kind] = list(group.values())
    return largest


def render(name: str, subject: Study | list[Study]) -> style.Drawn:
    """A figure, drawn, and the numbers behind it; to be saved within `style.styled()` too.

    Args:
        name: in FIGURES, or in COMPARISONS.
        subject: a Study, or a list of them.
    """
    with torch.no_grad():
        if isinstance(subject, Study):
            return FIGURES[name][0](subject)
        return COMPARISONS[name][0](subject)


def _write(wanted, folder, title):
    """Draws and saves {file name: (figure, subject)}, and describes what lies there then."""
    if not wanted:
        return 0
    from tqdm import tqdm

    began = time.perf_counter()
    disk.make_folder(folder)
    path = folder / NUMBERS
    numbers = records.read(path, "Delete it.") if path.exists() else {}
    for file, (name, subject) in tqdm(wanted.items(), desc="figures", leave=False):
        with style.styled():
            fig, numbers[file] = render(name, subject)
            style.save(fig, folder, file)
    records.write(path, numbers)
    parts = [f"# {title}"]
    for name in (*FIGURES, *COMPARISONS):
        heading, caption = CAPTIONS[name]
        for file in sorted(folder.glob(f"{name}.png" if name in FIGURES else f"{name}_*.png")):
            parts += [f"## {heading}", f"![{heading}]({file.name})", caption]
    with disk.atomic(folder / INDEX) as file:
        file.write(("\n\n".join(parts) + "\n").encode())
    seconds = time.perf_counter() - began
    print(f"{len(wanted)} figures in {folder} ({seconds:.0f} s); captions in {folder / INDEX}")
    return len(wanted)


# From runs on disk


def open_study(run: str, data_dir: str | Path = "data") -> tuple[Study, Path]:
    """The Study of a run at its last checkpoint, given its name or folder, and that folder.

    Raises:
        UserError: as `open_run` and `SavedRun.dataset`.
    """
    opened = open_run(run)
    dataset = opened.dataset(data_dir)
    model = cast(LatentVariableModel, opened.model)  # or less; its traits say what can be drawn
    study = Study(
        *(model, dataset, model.name, opened.seed),
        others=datasets.others(opened.data, data_dir, dataset.x_dim),
        kind=opened.kind,
        settings=opened.settings,
        training=opened.training,
    )
    return study, opened.folder


def draw_runs(
    runs: Sequence[str], out: Path, data_dir: str | Path = "data", only: Sequence[str] = ()
) -> None:
    """The figures of every run in its own folder, and those that compare them in `out`.

    Args:
        runs: names or folders.
    Raises:
        UserError: a run cannot be read, `only` names no figure or none that applies, or
            no figure at all does.
    """
    known = [*FIGURES, *COMPARISONS]
    if unknown := [name for name in only if name not in known]:
        raise UserError(f"--only {' '.join(unknown)}: the figures are {', '.join(known)}.")
    opened = [open_study(run, data_dir) for run in runs]  # all, before the first is drawn
    for study, folder in opened:
        if (folder / "resume.pt").exists():  # what is finished has none
            print(f"{study.name} is unfinished: drawn after {study.training['iterations']:,} steps")
    drawn = sum(draw(study, folder / "figures", only) for study, folder in opened)
    drawn += compare([study for study, _ in opened], out, only)
    if not drawn and not only:
        raise UserError(f"{', '.join(runs)}: there is no figure of what these do.")
    if not drawn:
        raise UserError(f"--only {' '.join(only)}: nothing of that applies to these runs.")
