"""The command line of every script that trains, and of the report. Imports no torch."""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from codebase import __version__
from codebase.catalogue import Entry
from codebase.errors import nearest
from codebase.flag import NEUTRAL, RECORDED, Flag, auto_or_switch, data, folder, number, switch


def _neutral(*flags):
    """The same flags, none of which makes a run another."""
    return tuple(replace(flag, names=NEUTRAL) for flag in flags)


THREADS = Flag(
    "threads",
    "CPU threads; 0: one for every core that no other process is using",
    type=number(int, 0, 1024),
    default=0,
    names=NEUTRAL,
)
DEVICE = Flag(
    "device",
    "where to compute; auto: a CUDA GPU if there is one, else the CPU",
    default="auto",
    choices=("auto", "cpu", "cuda", "mps"),
    names=NEUTRAL,
)
LR_END = 1e-5

TRAINING = (
    Flag("iter_max", "training iterations", type=number(int, 1), names=RECORDED),
    Flag("batch_size", "images per minibatch", type=number(int, 1, 10_000), default=97),
    Flag("lr", "Adam's learning rate", type=number(float, above=0), default=1e-3),
    Flag(
        "schedule",
        "of the learning rate: constant; cosine, from --lr down to --lr_end; burda, eight stages, "
        "each three times as long as the last",
        default="constant",
        choices=("constant", "cosine", "burda"),
    ),
    Flag(
        "lr_end",
        "learning rate at the end of a schedule that is not constant",
        type=number(float, above=0),
        default=LR_END,
    ),
    Flag(
        "ema",
        "decay of a moving average of the weights, which is evaluated and saved in the place of "
        "the latest, 0.999 for example; 0: none",
        type=number(float, 0, 0.999_999),
        default=0.0,
    ),
    Flag(
        "validation",
        "training images held out, drawn once; the weights that have the smallest nelbo on them "
        "at an evaluation are the run's; 0: none",
        type=number(int, 0, 1_000_000),
        default=0,
    ),
    Flag("seed", "random seed (default: the run id)", type=number(int, 0, 2**32 - 1)),
    THREADS,
    DEVICE,
    Flag(
        "precision",
        "of the matrix products in training; auto: bf16 where the device multiplies it natively, "
        "else fp32",
        default="auto",
        choices=("auto", "fp32", "tf32", "bf16"),
    ),
    Flag(
        "graph",
        "1: on a CPU or CUDA GPU the step is captured once and replayed; 0: it is not, as a loss "
        "needs that Python changes from step to step",
        type=switch,
        default=1,
        names=NEUTRAL,
    ),
    Flag(
        "compile",
        "1: what is replayed on a CPU is compiled too, by a C++ compiler and in about a minute the "
        "first time; its numbers differ from the others by rounding; auto: where there is a "
        "compiler and the training is long enough to repay it",
        type=auto_or_switch,
        default=0,
    ),
)
RUN = _neutral(
    Flag("run", "run id, for replicates", type=number(int, 0, 9999), default=0),
    Flag(
        "runs",
        "train the runs --run … --run + N − 1, the id being the seed, and tabulate their mean ± "
        "standard error; finished ones are not repeated (default: one run, without table)",
        type=number(int, 1, 10_000),
        metavar="N",
    ),
    Flag(
        "jobs",
        "processes on this machine that share the N runs, one CPU thread each unless --threads "
        "says otherwise",
        type=number(int, 1, 1024),
        default=1,
    ),
    Flag(
        "stack",
        "1: a process trains its share of the N runs at the same time, as one model of stacked "
        "parameters; 0: one after the other; auto: 1 on a CUDA GPU",
        default="auto",
        choices=("auto", "0", "1"),
    ),
    Flag(
        "train",
        "0: evaluate the checkpoint of --iter_max; 1: train, then evaluate; 2: the same, with the "
        "slower bounds too",
        type=number(int, 0, 2),
        default=1,
    ),
    Flag("iter_save", "iterations between checkpoints", type=number(int, 1), default=10_000),
    Flag(
        "iter_eval",
        "iterations between evaluations on test images, for the curves",
        type=number(int, 1),
        default=1_000,
    ),
    Flag(
        "save_every_seconds",
        "seconds between saves of the state an interrupted run goes on from",
        type=number(float, above=0),
        default=60.0,
    ),
    Flag(
        "resume",
        "auto: go on with an unfinished run of the same flags; 0: refuse to",
        default="auto",
        choices=("auto", "0"),
    ),
    Flag("overwrite", "1: delete a run of this name and start anew", type=switch, default=0),
    Flag("figures", "1: draw what was learned too (run_figures.py)", type=switch, default=0),
)
DATA = (
    Flag(
        "dataset",
        "auto: MNIST if it is on disk or can be downloaded, else the small digits that come with "
        "scikit-learn; mnist, fashion, kmnist, digits; sprites: made by a program, of known "
        "factors; fixed-mnist: MNIST's bits as the literature has fixed them, in its three files; "
        "custom: your own images, in files like MNIST's; or the path of your own .npz file or "
        "folder of images, square, up to 64 × 64 pixels",
        default="auto",
        type=data,
        metavar="NAME|PATH",
        names=NEUTRAL,  # what "auto" comes to is recorded in its place, as "data"
    ),
    Flag(
        "data_dir",
        "folder that holds the files, or receives MNIST/raw and its like",
        type=folder,
        default="data",
        names=NEUTRAL,
    ),
    Flag(
        "without",
        "digit that is left out of training, to be found as an outlier (default: none)",
        type=number(int, 0, 9),
        metavar="DIGIT",
    ),
)
# Of the tasks that have such.
EVALUATION = {
    "likelihood": (
        Flag(
            "eval_iw",
            "also the IWAE bound with so many samples on all test images; 0: not; from 5,000 on, "
            "which take minutes, with a hundredth and a tenth of them too",
            type=number(int, 0, 1_000_000),
            default=0,
            names=NEUTRAL,
        ),
    )
}


class Parser(argparse.ArgumentParser):
    """Takes `Flag`s; a wrong one ends with status 2 and one line that says what was expected."""

    def __init__(self, description: str | None, prog: str | None = None) -> None:
        super().__init__(
            prog=prog, description=description, formatter_class=_Formatter, allow_abbrev=False
        )
        self.add_argument(
            "--version", action="version", version=f"{__version__}", help="print it and end"
        )
        self.flags: list[Flag] = []

    def add(self, flags: Iterable[Flag], group: str | None = None) -> None:
        """Adds flags, under a heading of their own if one is given."""
        place = self.add_argument_group(group) if group else self
        for flag in flags:
            options: dict[str, Any] = {
                "choices": flag.choices,
                "metavar": flag.metavar,
                "type": flag.type,
            }
            place.add_argument(
                f"--{flag.name}",
                *flag.aliases,
                default=flag.default,
                help=flag.help,
                **{k: v for k, v in options.items() if v is not None},
            )
            self.flags.append(flag)

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            flags = [name for flag in self.flags for name in (f"--{flag.name}", *flag.aliases)]
            flags += self._option_string_actions  # those that are no `Flag`
            word = unknown.split()[0].split("=")[0]
            message += "." + (_whose(word) or nearest(word, dict.fromkeys(flags)))
        print(f"{self.prog}: error: {message}", file=sys.stderr)
        raise SystemExit(2)


def _whose(word):
    """ " … is a flag of …", where models of the catalogue have such a flag; else ""."""
    from codebase.catalogue import CATALOGUE

    has = [
        e.name for e in CATALOGUE.values() if word.removeprefix("--") in {f.name for f in e.flags}
    ]
    if not has or not word.startswith("--"):
        return ""
    some = ", ".join(has[:3]) + (", …" if len(has) > 3 else "")
    return f" {word} is a flag of `python run.py NAME`, NAME being {some}."


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Adds every flag's default, but for those whose help says it in words."""

    def _get_help_string(self, action):
        said = action.default in (None, [])
        return action.help if said else super()._get_help_string(action)


def parser_of(
    entry: Entry, description: str | None = None, prog: str | None = None, axes: bool = True
) -> Parser:
    """The parser of a model of the catalogue.

    Args:
        axes: whether other parts may be chosen, as the assignment's scripts do not ask.
    """
    source = f" ({entry.source})" if entry.source else ""
    p = Parser(description or f"{entry.name}: {entry.line}{source}.", prog)
    p.add(entry.own, "model")
    if axes:
        p.add((flag for flag in entry.flags if flag not in entry.own), "parts")
    training = [replace(f, default=entry.recipe.get(f.name, f.default)) for f in TRAINING]
    p.add(training, "training")
    p.add(RUN, "run")
    p.add(DATA, "data")
    if entry.task in EVALUATION:
        p.add(EVALUATION[entry.task], "evaluation")
    return p


def report_parser(description: str | None) -> Parser:
    """The flags of the report: what it is made of, and how the scripts it calls are to train."""
    p = Parser(description)
    p.add_argument(
        "--train",
        type=switch,
        nargs="?",
        const=1,
        default=0,
        help="1, or no value: first train what is missing, with the scripts themselves",
    )
    p.add(
        [
            Flag("runs", "runs per experiment, 0 … N − 1", type=number(int, 1, 10_000), default=5),
            Flag(
                "iter_max",
                "training iterations (default: each script's own)",
                type=number(int, 1),
            ),
            Flag("jobs", "runs trained at a time", type=number(int, 1, 1024), default=1),
            THREADS,
            DEVICE,
            Flag(
                "out",
                "folder for report.md, report.html and results.json",
                type=folder,
                default="report",
            ),
        ]
    )
    p.add((flag for flag in DATA if flag.name in ("dataset", "data_dir")), "data")
    return p


def complain(error: object) -> None:
    """Prints the one line of an error, as argparse would."""
    print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr, flush=True)
