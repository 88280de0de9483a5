"""The columns of the page of evidence: what a cell says of a group of runs."""

from collections.abc import Callable, Mapping

from codebase.catalogue import CATALOGUE
from codebase.evaluation.numbers import Number
from codebase.report.evidence import HELD_AGAINST, Group

IWAE = ("numbers", "test", "iwae-5000"), ("numbers", "test", "iwae-500")  # the best there is

QUALITY = "uses", "quality"
FID = (*QUALITY, "numbers", "samples", "FID")

Cell = Callable[[Group], str | None]  # None: missing
Column = tuple[str, Cell]
Found = tuple[Number, int] | None


def nats() -> list[Column]:
    """Bounds of log p(x) with the bits they are of, and what else is of images, not of codes."""
    return [
        ("test images", _bits),
        ("nelbo", _always(shown(*_either("nelbo"), *_either("nll")))),
        ("kl", _always(_of_latents(_kl))),
        ("rec", _always(_of_latents(shown(*_either("rec"))))),
        ("IWAE", _of_bounds(shown(*IWAE))),
        ("samples", _of_bounds(_samples)),
        ("IWAE − VAE's", _of_bounds(_over)),
        ("accuracy", _accuracy),
        _fid(),
    ]


def _either(name):
    """Where a bound lies: of all test images, or else of the 100."""
    return ("numbers", "test", name), ("numbers", "subset", name)


def _bits(group):
    if not group.runs:
        return None
    if _first(group, _either("nelbo")[0], _either("nll")[0]):
        return "all"
    return "100" if _first(group, *_either("nelbo")) else ""


def _kl(group):
    """The sum of its parts."""
    parts = [_first(group, *_either(name)) for name in ("kl", "kl_z", "kl_y")]
    there = [found[0].value for found in parts if found]
    return _digits(sum(there), 2) if there else None


def _samples(group):
    if not _first(group, *IWAE):
        return None
    return "5,000" if group.number(*IWAE[0]) else "500"


def _over(group):
    if group.name in HELD_AGAINST and not group.settings:
        return ""
    return shown(("over_vae", "iwae-5000"), ("over_vae", "iwae-500"), sign=True)(group)


def _of_bounds(cell: Cell) -> Cell:
    """Of the models whose runs measure the importance-weighted bound."""
    return lambda group: cell(group) if group.entry.task == "likelihood" else ""


def _of_latents(cell: Cell) -> Cell:
    """Empty, not missing, where a model has no latents of a posterior's."""
    without = "exact", "diffusion"
    return lambda group: cell(group) or ("" if group.entry.task in without else None)


def _always(cell: Cell) -> Cell:
    """Of what every run measures that has it: empty, not missing, where runs have it not."""

    def measured(group):
        found = cell(group)
        return "" if found is None and group.runs else found

    return measured


def _accuracy(group):
    if group.entry.task not in ("classifier", "conditional"):
        return ""
    return shown(("numbers", "test", "accuracy"), digits=4)(group)


def codes() -> list[Column]:
    """What the codes say: active units, and labels by two classifiers."""
    neighbours = ("uses", "neighbours", "numbers", "codes", "k = 5")
    linear = ("uses", "labels", "numbers", "1,000 labels", "codes as they are")
    return [
        ("active", _always(_of_latents(shown(("active_units",), digits=1)))),
        ("5-NN", _of_latents(shown(neighbours, digits=4))),
        ("linear, 1,000 labels", _of_latents(shown(linear, digits=4))),
    ]


def _fid() -> Column:
    return "FID", shown(FID)


def samples_alone() -> list[Column]:
    """Of models that draw images and bound nothing."""
    names = "variety", "class entropy"
    return [_fid(), *((name, shown(("numbers", "test", name), digits=3)) for name in names)]


def errors() -> list[Column]:
    """Of autoencoders."""
    return [
        ("squared error", shown(("numbers", "test", "error"))),
        ("PCA's", _always(shown(("numbers", "pca", "error")))),
        *codes(),
    ]


def completion() -> list[Column]:
    """Of models that complete images."""
    names = "nelbo", "kl", "rec", "iwae-100", "baseline", "gain"
    return [(name, shown(("numbers", "test", name))) for name in names]


def iterations(group: Group) -> str:
    """The cell with how long its runs were trained for."""
    return f"{group.iterations:,}"


def runs(group: Group) -> str | None:
    """The cell with how many they are."""
    return f"{len(group.runs)}" if group.runs else None


def cost(steps: Mapping[str, float]) -> list[Column]:
    """Iterations, seconds of training, a step's time over the VAE's, and how many runs.

    Args:
        steps: {model: that ratio}.
    """

    def seconds(group):
        found = group.median("training", "seconds")
        return None if found is None else f"{found:,.0f}"

    def step(group):
        if group.settings or group.name not in CATALOGUE:
            return ""
        ratio = 1.0 if group.name == "vae" else steps.get(group.name)
        return None if ratio is None else f"{ratio:.1f}"  # more is noise

    return [
        ("iterations", iterations),
        ("s", seconds),
        ("step", step),
        ("runs", runs),
    ]


# Cells


def _first(group: Group, *paths: tuple[str, ...]) -> Found:
    return next(filter(None, (group.number(*path) for path in paths)), None)


def shown(*paths: tuple[str, ...], digits: int = 2, sign: bool = False) -> Cell:
    """A cell with the first of some numbers (see `Group.number`) that the runs have.

    Args:
        digits: behind the point.
        sign: whether a + is shown.
    """
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
