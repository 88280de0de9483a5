"""Every figure a run can have: which apply, and the files they go to."""

import time

from codebase.data import datasets
from codebase.errors import UserError
from codebase.figures import charts, comparisons, images, maps, paths, style
from codebase.figures.captions import CAPTIONS
from codebase.figures.study import Study
from codebase.files import disk, records
from codebase.runs.saved import open_run

# Each with what a study must have for it; in the order a reader meets them.
FIGURES = {
    "samples": (images.samples, lambda s: s.generative),
    "reconstructions": (images.reconstructions, lambda s: s.generative),
    "components": (images.components, lambda s: s.mixture),
    "class_conditional": (images.class_conditional, lambda s: s.labelled and s.generative),
    "style_transfer": (images.style_transfer, lambda s: s.labelled and s.generative),
    "kl_per_dimension": (charts.kl_bars, lambda s: s.generative),
    "traversals": (paths.traversals, lambda s: s.generative),
    "interpolation": (paths.interpolation, lambda s: s.generative),
    "arithmetic": (paths.arithmetic, lambda s: s.generative),
    "map": (maps.plane, lambda s: s.generative and s.z_dim == 2),
    "manifold": (paths.manifold, lambda s: s.generative and s.z_dim == 2 and not s.labelled),
    "pca": (maps.pca, lambda s: s.generative and s.z_dim > 2),
    "tsne": (maps.tsne, lambda s: s.generative and s.z_dim > 2),
    "clustering": (maps.clustering, lambda s: s.mixture),
    "calibration": (charts.calibration, lambda s: s.labelled),
    "mistakes": (images.mistakes, lambda s: s.labelled),
    "likelihood": (charts.likelihood, lambda s: s.generative),
    "outliers": (charts.outliers, lambda s: s.generative),
}
# Each with the setting it compares runs by, which are alike in the others.
COMPARISONS = {
    "samples_by_z": (comparisons.samples_by_z, "z"),
    "rate_distortion": (comparisons.rate_distortion, "beta"),
    "clustering_by_k": (comparisons.clustering_by_k, "k"),
}
NUMBERS, INDEX = "numbers.json", "index.md"


def draw(study, folder, only=()):
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
    wanted = {
        name: (name, study)
        for name, (_, applies) in FIGURES.items()
        if applies(study) and (not only or name in only)
    }
    return _write(wanted, folder, study.name, {name: name for name in FIGURES})


def compare(studies, folder, only=()):
    """Writes the figures that put runs side by side, for the runs that differ as they must.

    Returns:
        How many there were to draw.
    """
    wanted = {}
    for name, (_, setting) in COMPARISONS.items():
        for kind, group in alike(studies, setting).items():
            if not only or name in only:
                wanted[f"{name}_{kind}"] = name, group
    every = {f"{name}_{kind}": name for name in COMPARISONS for kind in ("vae", "gmvae", "ssvae")}
    return _write(wanted, folder, "Runs side by side", every)


def alike(studies, setting):
    """Studies that differ in one setting: {kind: the largest such group, of two or more}.

    Of runs with the same value, replicates, the first stands for all.
    """
    groups = {}
    for study in studies:
        rest = study.settings | {setting: None}
        if study.settings[setting] is not None:
            group = groups.setdefault((study.kind, study.dataset.name, *rest.values()), {})
            group.setdefault(study.settings[setting], study)
    largest = {}
    for (kind, *_), group in groups.items():
        if len(group) > max(1, len(largest.get(kind, ()))):
            largest[kind] = list(group.values())
    return largest


def render(name, subject):
    """A figure, drawn, and the numbers behind it; to be saved within `style.styled()` too.

    Args:
        name: in FIGURES, or in COMPARISONS.
        subject: a Study, or a list of them.
    """
    return (FIGURES | COMPARISONS)[name][0](subject)


def _write(wanted, folder, title, every):
    """Draws and saves figures, and describes what the folder holds then.

    Args:
        wanted: {file name: (figure, subject)}.
        every: {file name: figure}, of all that the folder may hold.
    """
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
    for file, name in every.items():
        if (folder / f"{file}.png").exists():
            heading, caption = CAPTIONS[name]
            parts += [f"## {heading}", f"![{heading}]({file}.png)", caption]
    with disk.atomic(folder / INDEX) as file:
        file.write(("\n\n".join(parts) + "\n").encode())
    seconds = time.perf_counter() - began
    print(f"{len(wanted)} figures in {folder} ({seconds:.0f} s); captions in {folder / INDEX}")
    return len(wanted)


# From runs on disk


def open_study(run, data_dir="data"):
    """The Study of a run at its last checkpoint, given its name or folder, and that folder.

    Raises:
        UserError: as `open_run` and `SavedRun.dataset`.
    """
    opened = open_run(run)
    dataset = opened.dataset(data_dir)
    others = other_datasets(opened.data, data_dir)
    return Study(opened.model, dataset, opened.model.name, opened.seed, others), opened.folder


def other_datasets(name, data_dir):
    """Test images of the other datasets that need no download: {name: uint8 (N, 784)}."""
    others = [n for n in (*datasets.TORCHVISION, "digits") if n != name]
    there = [n for n in others if n == "digits" or datasets.on_disk(n, data_dir)]
    return {n: datasets.load(n, data_dir).test_x for n in there}


def draw_runs(runs, out, data_dir="data", only=()):
    """The figures of every run in its own folder, and those that compare them in `out`.

    Args:
        runs: names or folders.
    Raises:
        UserError: a run cannot be read, or `only` names no figure or none that applies.
    """
    known = [*FIGURES, *COMPARISONS]
    if unknown := [name for name in only if name not in known]:
        raise UserError(f"--only {' '.join(unknown)}: the figures are {', '.join(known)}.")
    opened = [open_study(run, data_dir) for run in runs]  # all, before the first is drawn
    drawn = sum(draw(study, folder / "figures", only) for study, folder in opened)
    drawn += compare([study for study, _ in opened], out, only)
    if not drawn:
        raise UserError(f"--only {' '.join(only)}: nothing of that applies to these runs.")
