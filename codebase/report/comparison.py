"""One page of evidence: every model of the catalogue beside the others, from results/."""

from collections.abc import Sequence
from pathlib import Path

from codebase.catalogue import CATALOGUE
from codebase.files import disk, records
from codebase.report import evidence, neighbours
from codebase.report.columns import (
    Column,
    codes,
    completion,
    cost,
    errors,
    nats,
    samples_alone,
    shown,
)
from codebase.report.evidence import Group, groups
from codebase.report.page import MISSING, html, table

NAME = "comparison"
SORT = Path(__file__).with_name("comparison.js")
MARKS = """th[aria-sort=ascending]::after { content: " ▲"; }
th[aria-sort=descending]::after { content: " ▼"; }
@media screen and (min-width: 60rem) {  /* as wide as the window, beyond the text */
  .table { width: 96vw; margin-left: calc((100% - 96vw) / 2); }
}
"""
STEP_COST = Path("comparison") / "cost.json"
DISENTANGLED = "vae", "capacity", "tc", "dip", "factor", "joint"  # shown, run or not
SCORES = "MIG", "DCI disentanglement", "DCI completeness", "SAP", "FactorVAE"


def write(results: Path, out: Path) -> list[Path]:
    """Writes comparison.md and comparison.html into a folder.

    Raises:
        UserError: a record cannot be read, or the folder not be written.
    """
    text = page(results)
    disk.make_folder(out)
    written = []
    for kind, content in (("md", text), ("html", sortable(html(text, out)))):
        written.append(out / f"{NAME}.{kind}")
        with disk.atomic(written[-1]) as file:
            file.write(content.encode())
    return written


def take_up(runs: Sequence[Path], over: Path | None, results: Path, out: Path) -> None:
    """Copies finished runs' records to the results, and their samples where a page shows them.

    Args:
        runs: their folders.
        over: as for `evidence.add`.
    Raises:
        UserError: one of them is not finished, or does not compare.
    """
    for run in runs:
        print(f"added: {evidence.add(run, over, results)}")
        neighbours.keep_picture(run, results, out)


def sortable(page_of_html: str) -> str:
    """The page with the lines of script that sort a table by the heading that is clicked."""
    script = f"<script>\n{SORT.read_text(encoding='utf-8')}</script>\n</body>"
    marked = page_of_html.replace("</style>", f"{MARKS}</style>")
    return marked.replace("</body>", script)


def page(results: Path) -> str:
    """The page in Markdown, of the records under a folder.

    Raises:
        UserError: a record cannot be read.
    """
    steps, found = step_costs(results), groups(results)
    mnist = [g for g in found if g.data == "mnist"]
    parts = [INTRODUCTION]
    for title, words, belongs, columns in (
        ("Binary pixels", BINARY, _binary, [*nats(), *codes(), *cost(steps)]),
        ("Grey pixels", GREY, lambda group: group.grey, [*nats(), *codes(), *cost(steps)]),
        ("Samples alone", SAMPLES, _of("adversarial"), [*samples_alone(), *cost(steps)]),
        ("Completion", COMPLETION, _of("completion"), [*completion(), *cost(steps)]),
        ("Autoencoders", AUTOENCODERS, _of("reconstruction"), [*errors(), *cost(steps)]),
    ):
        parts += [f"## {title}", words, _table([g for g in mnist if belongs(g)], columns)]
    parts += ["## Disentanglement", SPRITES, _disentanglement(found)]
    none = [f"{g.name}" for g in mnist if not g.runs]
    parts += [
        "## What was not run at its defaults",
        f"{len(none)} of the above: {', '.join(none) or 'nothing'}.",
    ]
    return "\n\n".join(parts) + "\n"


def step_costs(results: Path) -> dict[str, float]:
    """{model: a step's time over the VAE's, the median}, as benchmarks.family has measured it.

    Raises:
        UserError: the record cannot be read.
    """
    path = results / STEP_COST
    found = records.read(path).get("step", {}) if path.exists() else {}
    return {model: of_model["ratio"] for model, of_model in found.items()}


# What belongs where


def _of(task):
    return lambda group: group.entry.task == task


def _binary(group):
    apart = "completion", "reconstruction", "adversarial"
    return group.entry.task not in apart and not group.grey


def _disentanglement(found):
    there = [g for g in found if g.number("uses", "disentangle", "numbers", "score", "MIG")]
    for name in DISENTANGLED:
        entry = CATALOGUE[name]
        if not any(g.name == name and not g.settings for g in there):
            there.append(Group(name, entry, "", entry.iter_max, "sprites", {}))
    order = list(CATALOGUE)
    there.sort(key=lambda g: (order.index(g.entry.name), g.settings))
    columns: list[Column] = [
        (name, shown(("uses", "disentangle", "numbers", "score", name), digits=3))
        for name in SCORES
    ]
    rec = ("rec", shown(("numbers", "test", "rec")))
    return _table(there, [*columns, rec, *cost({})])


def _table(rows: Sequence[Group], columns: Sequence[Column]) -> str:
    heading = ["model", "flags", *(name for name, _ in columns)]
    cells = [[g.name, g.flags, *(cell(g) for _, cell in columns)] for g in rows]
    return table(heading, cells)


# Words

INTRODUCTION = f"""# Every model beside the others

Written by `python run_comparison.py` from the records in `results/`; in comparison.html a click on
a heading sorts. A number is the mean over the runs, which differ in their seeds only (of few
labels, in the labelled images too), ± its standard error over them; of a single run ± its own, over
the images. (n): only n of the runs have it. A row without flags is the model, or the preset, at its
defaults. What nobody has measured is *{MISSING}*, and empty what the model has not. *step*: its
time over the VAE's, one thread; *s*: of training, the median over the runs, on whatever machine it
was, its products in bf16 where that has them."""
BINARY = """Nats per image, summed over pixels and dimensions; less is better. Training bits are
drawn anew at every step. Test bits are one draw, by a fixed seed, the same for all: of *all* 10,000
images, or of *100* of them, whose numbers lie some nats away and do not compare with the others'.
*IWAE − VAE's* is the mean difference of the bounds to the VAE of the same seed, a preset's to
ladder-vae, image by image on the same bits, ± over the seeds, of a single run over the images.
Where there is no bound but the likelihood itself, *nelbo* is that. *FID* is by the features of this
project's own classifier (`run.py use quality`). *5-NN* and *linear* are accuracies, of the five
nearest training images and of a linear classifier of 1,000 labels, both on the codes."""
GREY = "Nats per image of 256 grey levels: they do not compare with those of binary pixels."
SAMPLES = """Models that draw images and bound nothing. *variety*: the samples' mean squared
distance from each other over the test images'; *class entropy*, in nats, of the digits that the
samples are taken for: log 10 = 2.30 where all are alike."""
COMPLETION = """Nats per image of the pixels that are not seen; *gain* is what the bound is better
than a feed-forward network by."""
AUTOENCODERS = """Squared error per image of grey pixels, summed over them, on all test images,
beside that of PCA with as many dimensions; *5-NN* and *linear* as above."""
SPRITES = """Of sprites, whose factors are known (`--dataset sprites`, then `run.py use
disentangle`): 1 is best, and 0 what noise has, but for FactorVAE's score, where that is 0.2. MIG is
by 20-bin histograms of the posterior means: it does not compare with integrals over q(z|x)."""
