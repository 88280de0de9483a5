"""The VAE beside its neighbours: likelihood, samples and what they cost, from results/."""

import math
from collections.abc import Sequence
from pathlib import Path

from codebase.files import disk, records
from codebase.report.columns import FID, QUALITY, Cell, Column, iterations, runs, shown
from codebase.report.evidence import Group, groups
from codebase.report.page import MISSING, table

NAME = "neighbours"
PICTURE = "samples.png"  # of a run, 200 of its model's
# What each stands for; of the family's models the one with the best bound is shown.
FAMILY = "the family's best"
KINDS = {
    "vae": "a VAE",
    FAMILY: "a VAE of other parts",
    "gan": "a game of two networks",
    "vae-gan": "a VAE in such a game",
    "made": "pixel after pixel, a masked MLP",
    "pixelcnn": "pixel after pixel, masked convolutions",
    "transformer": "patch after patch, attention",
    "diffusion": "noise taken away, of pixels",
    "latent-diffusion": "noise taken away, of a VAE's codes",
}
BOUND = ("numbers", "test", "iwae-500"), ("numbers", "test", "nelbo"), ("numbers", "test", "nll")


def write(results: Path, out: Path) -> Path:
    """Writes neighbours.md into a folder, which holds the pictures in neighbours/.

    Raises:
        UserError: a record cannot be read, or the folder not be written.
    """
    path = out / f"{NAME}.md"
    disk.make_folder(out)
    with disk.atomic(path) as file:
        file.write(page(results, out).encode())
    return path


def keep_picture(run: Path, results: Path, out: Path) -> Path | None:
    """Copies a run's samples to the page's folder, where it is among those in the model's row.

    Args:
        run: its folder; its record is among the results.
    Returns:
        The copy; None: it has none, or the page does not show it, or others of its model.
    Raises:
        UserError: a record cannot be read, or the picture not be copied.
    """
    name = records.read(run / "results.json")["run"]
    rows = [g for _, g in _chosen(groups(results)) if name in {r["run"] for r in g.runs.values()}]
    if not rows or not (run / PICTURE).exists():
        return None
    target = _picture(out, rows[0].name)
    disk.make_folder(target.parent)
    with disk.atomic(target) as file:
        file.write((run / PICTURE).read_bytes())
    return target


def page(results: Path, out: Path) -> str:
    """The page in Markdown.

    Args:
        results: folder of the records.
        out: folder of the page, for the pictures that lie there.
    Raises:
        UserError: a record cannot be read.
    """
    chosen = _chosen(groups(results))
    rows = [
        [kind, group.name, group.flags, *(cell(group) for _, cell in COLUMNS)]
        for kind, group in chosen
    ]
    heading = ["what it is", "model", "flags", *(name for name, _ in COLUMNS)]
    parts = [INTRODUCTION, table(heading, rows), "## 200 samples of each"]
    for kind, group in chosen:
        path = _picture(out, group.name)
        caption = f"`{group.name}`, {kind}"
        shown_as = f"![{caption}]({NAME}/{path.name})" if path.exists() else f"*{MISSING}*"
        parts += [f"{caption}:", shown_as]
    return "\n\n".join(parts) + "\n"


def _picture(out, model):
    return out / NAME / f"{model}.png"


def _chosen(found: Sequence[Group]) -> list[tuple[str, Group]]:
    """(what it is, its runs) for each row: of several settings of a model, the best."""
    mnist = [g for g in found if g.data == "mnist"]
    family = [
        g
        for g in mnist
        if g.entry.task == "likelihood" and g.name != "vae" and not g.grey and g.number(*BOUND[0])
    ]
    chosen = []
    for name, kind in KINDS.items():
        own = family if name == FAMILY else [g for g in mnist if g.name == name]
        if name == "vae":
            own = [g for g in own if not g.settings]
        if own:
            chosen.append((kind, min(own, key=_order)))
    return chosen


def _order(group):
    """Those that were run first, then by nats, then by FID, then those that have neither."""
    kinds = enumerate((BOUND, (FID,)))
    found = [(i, n[0].value) for i, paths in kinds for path in paths if (n := group.number(*path))]
    return not group.runs, *(found[0] if found else (math.inf, 0.0)), -group.iterations


# Columns


def _kind_of_nats(group):
    """Whether its nats are exact, a bound, or not there; those of grey pixels do not compare."""
    task = group.entry.task
    if group.grey:
        return "of grey levels"
    if task == "exact":
        return "exact"
    if task == "adversarial":
        return "none"
    return "bound, 500 samples" if group.number(*BOUND[0]) else "bound, one sample"


def _none(cell: Cell) -> Cell:
    """Empty where there is no likelihood of binary pixels."""
    return lambda g: "" if g.entry.task == "adversarial" or g.grey else cell(g)


def _seconds(*path: str) -> Cell:
    def cell(group):
        seconds = group.median(*path)
        if seconds is None:
            return None
        return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.2g}"

    return cell


FLOOR = (*QUALITY, "numbers", "training images: the floor", "FID")
COLUMNS: list[Column] = [
    ("nats", _none(shown(*BOUND))),
    ("which", _kind_of_nats),
    ("FID", shown(FID)),
    ("floor", shown(FLOOR)),
    ("class entropy", shown((*QUALITY, "numbers", "samples", "class entropy"))),
    ("iterations", iterations),
    ("s to train", _seconds("training", "seconds")),
    ("s for 1,000 samples", _seconds(*QUALITY, "seconds_for_1000_samples")),
    ("runs", runs),
]

INTRODUCTION = f"""# The VAE and its neighbours

Written by `python run_comparison.py` from the records in `results/`. All are trained by the same
loop on MNIST, binarized but for the GAN and the VAE-GAN, which see grey pixels; nats are of the
same bits of all 10,000 test images. A number is the mean over runs of other seeds, ± its standard
error over them; of a single run ± over the images. What nobody has measured is *{MISSING}*.

- *nats*: −log p(x) per image where it is *exact*, otherwise a bound from above; less is better. A
  GAN has no density, and the VAE-GAN's is of 256 grey levels, see [comparison.md](comparison.md).
- *FID*: of 10,000 samples by the features of this project's own classifier (`run.py use quality`),
  drawn as 0s and 1s; less is better. *floor*: that of as many training images. *class entropy*: in
  nats, of the classes that the samples are taken for; log 10 = 2.30 where all are alike.
- *s to train* and *s for 1,000 samples*: medians over the runs, of whatever machine it was.

Which is for what: an autoregressive model gives the likelihood itself and draws slowly; a GAN draws
at once and gives no likelihood; a VAE draws at once, bounds the likelihood and codes an image in a
few numbers; diffusion bounds it and draws by as many steps as it has times, over pixels without
codes, over a VAE's codes with them."""
