"""The rows of the assignment's tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from codebase.evaluation.numbers import Number
from codebase.evaluation.reference import BANDS, verdict
from codebase.evaluation.tables import text
from codebase.report.recorded import Runs

BOUNDS = "nelbo", "kl", "rec", "iwae-1", "iwae-10", "iwae-100", "iwae-1000"


@dataclass(frozen=True)
class Row:
    """A number of an experiment, over its runs.

    Args:
        values: {run's name: value}, of the runs that have it.
        mean: with the standard error over the runs; None without any.
        noise: standard error of one run's estimate; None if not known.
        band: (centre, half-width), None where no reference applies.
        elsewhere: the same number on all test images, over the runs; None if not taken.
    """

    name: str
    values: dict[str, float]
    mean: Number | None
    noise: float | None
    band: tuple[float, float] | None
    elsewhere: Number | None = None

    @property
    def inside(self) -> int | None:
        """How many runs lie inside the band; None where there is none."""
        if self.band is None:
            return None
        return sum(verdict(value, self.band) == "in" for value in self.values.values())


def rows(key: str, runs: Runs, group: str, names: Sequence[str], comparable: bool) -> list[Row]:
    """A `Row` for every name.

    Args:
        key: the experiment's, for the bands.
        runs: its `Runs`.
        group: "subset" or "test".
        comparable: whether the reference bands apply.
    """
    bands = BANDS.get(key, {}) if comparable else {}
    return [
        Row(
            name,
            {run.name: n.value for run in runs.found if (n := run.number(group, name))},
            *runs.mean(group, name),
            bands.get(name),
            runs.mean("test", name)[0] if group == "subset" else None,
        )
        for name in names
    ]


def cells(row: Row, wanted: int) -> list[str | None]:
    """What a table shows of a row: mean ± s.e., runs, and with a band that and the runs inside."""
    n = len(row.values)
    band = [f"{row.band[0]:g} ± {row.band[1]:g}", f"{row.inside} of {n}"] if row.band else ["", ""]
    mean = text(row.mean) if row.mean else None
    noise = "" if row.noise is None else f"{row.noise:.2g}"
    return [row.name, band[0], mean, f"{n} of {wanted}", band[1] if n else "", noise]


def hundredths(number: Number) -> str:
    """A Number in two decimals, as numbers are that stand in one column to be compared."""
    return _fixed(number, 2)


def tenths(number: Number | None) -> str | None:
    """A Number in one decimal; None for None."""
    return None if number is None else _fixed(number, 1)


def short(number: Number | None) -> str:
    """A Number's value in three digits, from 100 on in one decimal; "?" for None."""
    if number is None:
        return "?"
    return f"{number.value:.3g}" if abs(number.value) < 100 else f"{number.value:.1f}"


def _fixed(number, digits):
    se = "" if number.se is None else f" ± {number.se:.{digits}f}"
    return f"{number.value:.{digits}f}{se}".replace("-", "−")


def record(row: Row) -> dict:
    """The row for results.json."""
    return {
        "values": row.values,
        "mean": row.mean and row.mean.value,
        "se_over_runs": row.mean and row.mean.se,
        "se_of_one_estimate": row.noise,
        "reference": row.band,
        "inside": row.inside,
        "all_test_images": row.elsewhere and {"mean": row.elsewhere.value, "se": row.elsewhere.se},
    }
