"""One page of evidence: every model of the catalogue beside the others, from results/."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from codebase.catalogue import CATALOGUE
from codebase.evaluation.numbers import Number
from codebase.files import disk, records
from codebase.report.evidence import Group, groups
from codebase.report.page import MISSING, html, table

NAME = "comparison"
SORT = Path(__file__).with_name("comparison.js")
MARKS = """th[aria-sort=ascending]::after { content: " ▲"; }
th[aria-sort=descending]::after { content: " ▼"; }
"""
STEP_COST = Path("family") / "cost.json"
GREY_PIXELS = "gaussian", "continuous-bernoulli", "logcosh", "logistic"  # likelihoods of such
DISENTANGLED = "vae", "capacity", "tc", "dip", "factor", "joint"  # shown, run or not
SCORES = "MIG", "DCI disentanglement", "DCI completeness", "SAP", "FactorVAE"
IWAE = ("numbers", "test", "iwae-5000"), ("numbers", "test", "iwae-500")  # the best there is

Cell = Callable[[Group], str | None]  # None: missing
Column = tuple[str, Cell]
Found = tuple[Number, int] | None


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
    path = results / STEP_COST
    steps = records.read(path).get("step", {}) if path.exists() else {}
    found = groups(results)
    mnist = [g for g in found if g.data == "mnist"]
    parts = [INTRODUCTION]
    for title, words, belongs, columns in (
        ("Binary pixels", BINARY, _binary, [*_nats(), *_codes(), *_cost(steps)]),
        ("Grey pixels", GREY, _grey, [*_nats(), *_codes(), *_cost(steps)]),
        ("Samples alone", SAMPLES, _of("adversarial"), [*_samples_alone(), *_cost(steps)]),
        ("Completion", COMPLETION, _of("completion"), [*_completion(), *_cost(steps)]),
        ("Autoencoders", AUTOENCODERS, _of("reconstruction"), [*_errors(), *_cost(steps)]),
    ):
        parts += [f"## {title}", words, _table([g for g in mnist if belongs(g)], columns)]
    parts += ["## Disentanglement", SPRITES, _disentanglement(found)]
    none = [f"{g.name}" for g in mnist if not g.runs]
    parts += ["## What was not run", f"{len(none)} of the above: {', '.join(none) or 'nothing'}."]
    return "\n\n".join(parts) + "\n"


# What belongs where


def _of(task):
    return lambda group: group.entry.task == task


def _binary(group):
    apart = "completion", "reconstruction", "adversarial"
    return group.entry.task not in apart and not _grey(group)


def _grey(group):
    """Whether its pixels are not binary: by its parts, or by what a run was given."""
    usual = (group.entry.parts or {}).get("likelihood", "bernoulli")
    given = re.search(r"--likelihood (\S+)", group.settings)
    return (given[1] if given else usual) in GREY_PIXELS


# Columns


def _nats() -> list[Column]:
    over = ("over_vae", "iwae-5000"), ("over_vae", "iwae-500")
    return [
        ("test images", _bits),
        ("nelbo", _shown(*_either("nelbo"), *_either("nll"))),
        ("kl", _of_latents(_kl)),
        ("rec", _of_latents(_shown(*_either("rec")))),
        ("IWAE", _of_bounds(_shown(*IWAE))),
        ("samples", _of_bounds(_samples)),
        ("IWAE − VAE's", _of_bounds(_shown(*over, sign=True))),
        ("accuracy", _accuracy),
        _fid(),
    ]


def _either(name):
    """Where a bound lies: of all test images, or else of the 100."""
    return ("numbers", "test", name), ("numbers", "subset", name)


def _bits(group):
    if not group.runs:
        return None
    return "all" if _first(group, _either("nelbo")[0], _either("nll")[0]) else "100"


def _kl(group):
    """The sum of its parts."""
    parts = [_first(group, *_either(name)) for name in ("kl", "kl_z", "kl_y")]
    there = [found[0].value for found in parts if found]
    return _digits(sum(there), 2) if there else None


def _samples(group):
    if not _first(group, *IWAE):
        return None
    return "5,000" if group.number(*IWAE[0]) else "500"


def _of_bounds(cell: Cell) -> Cell:
    """Of the models whose runs measure the importance-weighted bound."""
    return lambda group: cell(group) if group.entry.task == "likelihood" else ""


def _of_latents(cell: Cell) -> Cell:
    """Of the models that have any."""
    return lambda group: "" if group.entry.task == "exact" else cell(group)


def _accuracy(group):
    if group.entry.task not in ("classifier", "conditional"):
        return ""
    return _shown(("numbers", "test", "accuracy"), digits=4)(group)


def _codes() -> list[Column]:
    neighbours = ("uses", "neighbours", "numbers", "codes", "k = 5")
    linear = ("uses", "labels", "numbers", "1,000 labels", "codes as they are")
    return [
        ("active", _of_latents(_shown(("active_units",), digits=1))),
        ("5-NN", _of_latents(_shown(neighbours, digits=4))),
        ("linear, 1,000 labels", _of_latents(_shown(linear, digits=4))),
    ]


def _fid() -> Column:
    return "FID", _shown(("uses", "quality", "numbers", "samples", "FID"))


def _samples_alone() -> list[Column]:
    names = "variety", "class entropy"
    return [_fid(), *((name, _shown(("numbers", "test", name), digits=3)) for name in names)]


def _errors() -> list[Column]:
    return [
        ("squared error", _shown(("numbers", "test", "error"))),
        ("PCA's", _shown(("numbers", "pca", "error"))),
        *_codes(),
    ]


def _completion() -> list[Column]:
    names = "nelbo", "kl", "rec", "iwae-100", "baseline", "gain"
    return [(name, _shown(("numbers", "test", name))) for name in names]


def _cost(steps: Mapping[str, float]) -> list[Column]:
    def seconds(group):
        found = group.number("training", "seconds")
        return f"{found[0].value:,.0f}" if found else None

    def step(group):
        if group.settings or group.name not in CATALOGUE:
            return ""
        return f"{steps[group.name]:.2f}" if group.name in steps else None

    return [
        ("iterations", lambda group: f"{group.iterations:,}"),
        ("s", seconds),
        ("step", step),
        ("runs", lambda group: f"{len(group.runs)}" if group.runs else None),
    ]


def _disentanglement(found):
    there = [g for g in found if g.number("uses", "disentangle", "numbers", "score", "MIG")]
    for name in DISENTANGLED:
        entry = CATALOGUE[name]
        if not any(g.name == name and not g.settings for g in there):
            there.append(Group(name, entry, "", entry.iter_max, "sprites", {}))
    order = list(CATALOGUE)
    there.sort(key=lambda g: (order.index(g.entry.name), g.settings))
    columns: list[Column] = [
        (name, _shown(("uses", "disentangle", "numbers", "score", name), digits=3))
        for name in SCORES
    ]
    rec = ("rec", _shown(("numbers", "test", "rec")))
    return _table(there, [*columns, rec, *_cost({})])


# Cells


def _table(rows: Sequence[Group], columns: Sequence[Column]) -> str:
    heading = ["model", "flags", *(name for name, _ in columns)]
    cells = [[g.name, g.settings, *(cell(g) for _, cell in columns)] for g in rows]
    return table(heading, cells)


def _first(group: Group, *paths: tuple[str, ...]) -> Found:
    return next(filter(None, (group.number(*path) for path in paths)), None)


def _shown(*paths: tuple[str, ...], digits: int = 2, sign: bool = False) -> Cell:
    return lambda group: _text(group, _first(group, *paths), digits, sign)


def _text(group, found, digits, sign=False):
    """Mean ± standard error; (n) where not every run has the number."""
    if not found:
        return None
    number, n = found
    text = _digits(number.value, digits, sign)
    if number.se is not None:
        text += f" ± {number.se:.{digits}f}"
    return text + (f" ({n})" if n < len(group.runs) else "")


def _digits(value, digits, sign=False):
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


# Words

INTRODUCTION = f"""# Every model beside the others

Written by `python run_comparison.py` from the records in `results/`; in comparison.html a click on
a heading sorts. A number is the mean over the runs, which differ in their seeds only, ± its
standard error over them; of a single run ± its own, over the images. (n): only n of the runs have
it. A row without flags is the model, or the preset, at its defaults. What nobody has measured is
*{MISSING}*, and empty what the model has not. *step*: its time over the VAE's, one thread; *s*: of
training, on whatever machine it was."""
BINARY = """Nats per image, summed over pixels and dimensions; less is better. Training bits are
drawn anew at every step. Test bits are one draw, by a fixed seed, the same for all: of *all* 10,000
images, or of *100* of them, whose numbers lie some nats away and do not compare with the others'.
*IWAE − VAE's* is the mean difference of the bounds to the VAE of the same seed, a preset's to
ladder-vae, image by image on the same bits, ± over the seeds, of a single run over the images.
Where there is no bound but the likelihood itself, *nelbo* is that. *FID* is by the features of this
project's own classifier (`run.py use quality`). *5-NN* and *linear* are accuracies, of the five
nearest training images and of a linear classifier of 1,000 labels, both on the codes."""
GREY = "Nats per image of 256 grey levels: they do not compare with those of binary pixels."
SAMPLES = "Models that draw images and bound nothing; *variety* and *class entropy* of the samples."
COMPLETION = """Nats per image of the pixels that are not seen; *gain* is what the bound is better
than a feed-forward network by."""
AUTOENCODERS = """Squared error per image of grey pixels, summed over them, on all test images,
beside that of PCA with as many dimensions; *5-NN* and *linear* as above."""
SPRITES = """Of sprites, whose factors are known (`--dataset sprites`, then `run.py use
disentangle`): 1 is best, and 0 what noise has, but for FactorVAE's score, where that is 0.2. MIG is
by 20-bin histograms of the posterior means: it does not compare with integrals over q(z|x)."""
