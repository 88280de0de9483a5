"""How a flag of the command line is declared: what it takes, and whether it names a run.

Imports no torch, so that --help is quick.
"""

import argparse
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codebase.errors import nearest

# What a flag has to do with the name of a run.
IN_NAME = "stands in it, as `written` says"
IF_CHANGED = "is appended to it where it is not at its default"
RECORDED = "makes it another run, but its name does not say so"
NEUTRAL = "nothing: it changes no number of the run"


@dataclass(frozen=True)
class Flag:
    """A flag.

    Args:
        name: as it is typed, without the dashes.
        help: one line.
        type, default, choices, nargs, const, metavar: as argparse has them.
        names: IN_NAME, IF_CHANGED, RECORDED or NEUTRAL.
        written: its part of the name, written(value), if IN_NAME.
        aliases: other ways to type it, with their dashes.
        argument: of the model's constructor, that it is passed on as; "" for none.
        beyond: passed on only where it is not at its default, because the assignment's own
            constructors, which a solution may have, know no such argument.
    """

    name: str
    help: str
    type: Callable[[str], Any] = str
    default: object = None
    choices: tuple[str, ...] | None = None
    metavar: str | None = None
    names: str = IF_CHANGED
    written: Callable[[Any], str] = str
    aliases: tuple[str, ...] = ()
    argument: str = ""
    beyond: bool = False


def number(
    kind: type, low: float = -math.inf, high: float = math.inf, *, above: float | None = None
) -> Callable[[str], Any]:
    """An argparse type: a finite int or float with low ≤ value ≤ high, or value > above."""
    name = "a whole number" if kind is int else "a number"
    if above is not None:
        wanted = f"{name} above {above}"
    elif high < math.inf:
        wanted = f"{name} from {low} to {high}"
    elif low > -math.inf:
        wanted = f"{name}, at least {low}"
    else:
        wanted = f"a finite {name.removeprefix('a ')}"

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        inside = low <= value <= high and (above is None or value > above)
        if not inside or abs(value) == math.inf:
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")
        return value

    return convert


def folder(text: str) -> str:
    """An argparse type: a folder; ~ is the user's own, which a shell leaves as it is after a =."""
    path = os.path.expanduser(text)
    if not path or path.startswith("~"):
        raise argparse.ArgumentTypeError(f"expected a folder, got {text!r}")
    return path


DATA = "auto", "mnist", "fashion", "kmnist", "digits", "sprites", "fixed-mnist", "custom"


def data(text: str) -> str:
    """An argparse type: a dataset's name, or the path of one's own file or folder."""
    if text in DATA:
        return text
    path = os.path.expanduser(text)
    if os.path.basename(path) == path and not path.endswith(".npz") and not os.path.exists(path):
        raise argparse.ArgumentTypeError(
            f"expected {', '.join(DATA)}, an .npz file or a folder, got {text!r}."
            f"{nearest(text, DATA)}"
        )
    return path


def switch(text: str) -> int:
    """An argparse type: 0 or 1."""
    return number(int, 0, 1)(text)


def auto_or_switch(text: str) -> str | int:
    """An argparse type: auto, 0 or 1."""
    if text in ("auto", "0", "1"):
        return text if text == "auto" else int(text)
    raise argparse.ArgumentTypeError(f"expected auto, 0 or 1, got {text!r}")


def weight(value: float) -> str:
    """A weight as the contract writes it in names, 001; one that is not whole as it is, 0.5."""
    return f"{int(value):03d}" if value == int(value) else str(value)


def whole(
    name: str,
    line: str,
    default: int,
    *,
    least: int = 1,
    most: float = math.inf,
    argument: str = "",
) -> Flag:
    """A flag for a whole number, and the argument of that name or another."""
    kind = number(int, least, most)
    return Flag(name, line, type=kind, default=default, argument=argument or name)


def real(
    name: str,
    line: str,
    default: float,
    *,
    least: float = 0,
    most: float = math.inf,
    argument: str = "",
) -> Flag:
    """A flag for a number, and the argument of that name or another."""
    kind = number(float, least, most)
    return Flag(name, line, type=kind, default=default, argument=argument or name)


def one_of(name: str, line: str, *choices: str) -> Flag:
    """A flag for one of some words, the first by default, and the argument of that name."""
    return Flag(name, line, default=choices[0], choices=choices, argument=name)
