"""run.py use WHAT RUN: what a finished run is good for. Imports no torch at first."""

import importlib
import time
from collections.abc import Sequence
from functools import partial

from codebase.errors import UserError, nearest
from codebase.flag import Flag, number
from codebase.runs.flags import DATA, THREADS, Parser

at_least_one = partial(number, int, 1)
SEEDS = Flag("label_seeds", "draws of the labelled images", type=at_least_one(), default=3)
STEPS = Flag("steps", "of Adam with the labels", type=at_least_one(), default=500)
NOISE = Flag(
    "noise",
    "what spoils the images (default: what the run was trained against, else gaussian)",
    choices=("gaussian", "masking", "saltpepper"),
)
RATE = Flag(
    "rate",
    "of the noise: the standard deviation, or how many of the pixels (default: the run's, or 0.3)",
    type=number(float, 0),
)
SAMPLES = Flag("samples", "images of each kind", type=number(int, 1, 1_000_000), default=10_000)
# {what: a line, its flags}; each is a module of this room with measure(subject, args).
USES: dict[str, tuple[str, tuple[Flag, ...]]] = {
    "neighbours": ("the label of an image's nearest neighbours, in codes, pixels and PCA", ()),
    "anomaly": ("images of a digit left out of training, and of other data, as outliers", ()),
    "denoise": ("noise taken away, beside median and Wiener filters", (NOISE, RATE)),
    "compress": ("bits per image, beside zlib and PNG on the same pixels", ()),
    "quality": (
        "how like the data its samples are, beside how like them other data is",
        (SAMPLES,),
    ),
    "disentangle": ("whether factors have dimensions of their own, of a run on sprites", ()),
    "labels": ("a classifier of 100 and 1,000 labels on the encoder", (SEEDS, STEPS)),
}


def listed() -> str:
    """What uses there are, a line each."""
    width = max(map(len, USES))
    return "\n".join(f"  {what.ljust(width)}  {line}" for what, (line, _) in USES.items())


def parser(what: str) -> Parser:
    """The flags of a use."""
    line, flags = USES[what]
    p = Parser(f"{what}: {line}.", f"run.py use {what}")
    p.add_argument("run", help="a run's name in checkpoints/, or its folder")
    p.add([*flags, THREADS, *(flag for flag in DATA if flag.name == "data_dir")])
    return p


def main(words: Sequence[str]) -> None:
    """Measures it, prints it and writes use-‹what›.json beside the run's other numbers.

    Args:
        words: of the command line, behind `use`.
    Raises:
        UserError: there is no such use or run, or the run's model is not up to it.
    """
    if not words or words[0].startswith("-"):
        print(f"usage: run.py use WHAT RUN [flags]; run.py use WHAT --help lists them\n{listed()}")
        return
    what = words[0]
    if what not in USES:
        raise UserError(
            f"There is no use {what!r}; they are {', '.join(USES)}.{nearest(what, USES)}"
        )
    args = parser(what).parse_args(words[1:])

    from codebase.engine import cores
    from codebase.evaluation.numbers import recorded
    from codebase.evaluation.tables import table
    from codebase.files import records
    from codebase.uses.subject import Subject

    began = time.perf_counter()
    with cores.FreeCores() as watched:
        subject = Subject.of(args.run, args.data_dir, samples=what == "quality")
    cores.use(args.threads, watched.count)
    found = importlib.import_module(f"codebase.uses.{what}").measure(subject, args)
    print(f"\n{subject.name} after {subject.run.step:,} iterations: {found.title}")
    print(table(found.columns))
    for note in found.notes:
        print(note)
    content = {
        "use": what,
        "run": subject.name,
        "iterations": subject.run.step,
        "data": subject.dataset.name,
        "without": subject.without,
        **found.extra,
        "numbers": {column: recorded(numbers) for column, numbers in found.columns.items()},
        "seconds": round(time.perf_counter() - began, 1),
    }
    path = subject.run.folder / f"use-{what}.json"
    records.write(path, content)
    print(f"\nwritten to {path}")
