"""Numbers in words: aligned columns, a number with its standard error."""

from collections.abc import Mapping, Sequence

from codebase.evaluation.numbers import Number, Numbers
from codebase.evaluation.reference import Band, verdict


def table(columns: Mapping[str, Numbers], bands: Mapping[str, Band] | None = None) -> str:
    """Numbers as aligned text, a row per name.

    Args:
        columns: {heading: {name: Number}}; the first one is compared with the bands.
        bands: {name: (centre, half-width)}, or None where nothing compares.
    """
    (first, *others) = columns
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    rows = [["", first, *(["reference", ""] if bands else []), *others]]
    for name in names:
        row = [name, text(columns[first].get(name))]
        if bands:
            band, number = bands.get(name), columns[first].get(name)
            row += (
                [f"{band[0]:g} ± {band[1]:g}", verdict(number.value, band)]
                if band and number
                else ["", ""]
            )
        rows.append(row + [text(columns[other].get(name)) for other in others])
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words as lines, each column as wide as its widest word."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["   ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def text(number: Number | None) -> str:
    """A number ± its standard error, in as many digits as tell something; None is nothing."""
    if number is None:
        return ""
    digits = 4 if abs(number.value) < 1 else 2
    if number.se is None:
        return f"{number.value:.{digits}f}"
    se_digits = digits if number.se >= 10.0**-digits or number.se == 0 else digits + 2
    return f"{number.value:.{digits}f} ± {number.se:.{se_digits}f}"
