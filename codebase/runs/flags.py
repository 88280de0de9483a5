"""The scripts' command line: flags, ranges, defaults. Imports no torch, so --help is quick."""

import argparse
import math
import signal
import sys
from pathlib import Path

from codebase.errors import UserError
from codebase.runs import ranks


class Parser(argparse.ArgumentParser):
    """A wrong flag ends with status 2 and one line that says what was expected."""

    def error(self, message):
        print(f"{self.prog}: error: {message}", file=sys.stderr)
        raise SystemExit(2)


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Adds every flag's default, but for those whose help says it in words."""

    def _get_help_string(self, action):
        return action.help if action.default is None else super()._get_help_string(action)


def number(kind, low=-math.inf, high=math.inf, *, above=None):
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

    def convert(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        inside = low <= value <= high and (above is None or value > above)
        if not inside or abs(value) == math.inf:
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")
        return value

    return convert


def switch(text):
    """An argparse type: 0 or 1."""
    return number(int, 0, 1)(text)


def plain_parser(description):
    """A parser without flags as yet, for scripts that train nothing."""
    return Parser(description=description, formatter_class=_Formatter, allow_abbrev=False)


def parser(description, *, iter_max):
    """The flags every script that trains has; each adds its own to `model` and calls `parse_args`.

    Returns:
        The parser and its group of flags of the model.
    """
    p = plain_parser(description)
    model = p.add_argument_group("model")

    training = p.add_argument_group("training")
    add = training.add_argument
    add("--iter_max", type=number(int, 1), default=iter_max, help="training iterations")
    add("--batch_size", type=number(int, 1, 10_000), default=97, help="images per minibatch")
    add("--lr", type=number(float, above=0), default=1e-3, help="Adam's learning rate")
    add("--seed", type=number(int, 0, 2**32 - 1), help="random seed (default: the run id)")
    _add_threads(add)
    _add_device(add)
    add(
        "--precision",
        choices=["auto", "fp32", "tf32", "bf16"],
        default="auto",
        help="of the matrix products in training; auto: bf16 where the device multiplies it "
        "natively, else fp32",
    )
    add(
        "--graph",
        type=switch,
        default=1,
        help="1: on a CUDA GPU the step is captured once and replayed; 0: it is not, as a loss "
        "needs that Python changes from step to step",
    )

    run = p.add_argument_group("run")
    add = run.add_argument
    add("--run", type=number(int, 0, 9999), default=0, help="run id, for replicates")
    add(
        "--runs",
        type=number(int, 1, 10_000),
        metavar="N",
        help="train the runs --run … --run + N − 1, the id being the seed, and tabulate their mean "
        "± standard error; finished ones are not repeated (default: one run, without table)",
    )
    add(
        "--jobs",
        type=number(int, 1, 1024),
        default=1,
        help="processes on this machine that share the N runs, one CPU thread each unless "
        "--threads says otherwise",
    )
    add(
        "--stack",
        choices=["auto", "0", "1"],
        default="auto",
        help="1: a process trains its share of the N runs at the same time, as one model of "
        "stacked parameters; 0: one after the other; auto: 1 on a CUDA GPU",
    )
    add(
        "--train",
        type=number(int, 0, 2),
        default=1,
        help="0: evaluate the checkpoint of --iter_max; 1: train, then evaluate; "
        "2: the same, with the slower bounds too",
    )
    add("--iter_save", type=number(int, 1), default=10_000, help="iterations between checkpoints")
    add(
        "--save_every_seconds",
        type=number(float, above=0),
        default=60.0,
        help="seconds between saves of the state an interrupted run goes on from",
    )
    add(
        "--resume",
        choices=["auto", "0"],
        default="auto",
        help="auto: go on with an unfinished run of the same flags; 0: refuse to",
    )
    add("--overwrite", type=switch, default=0, help="1: delete a run of this name and start anew")
    add("--figures", type=switch, default=0, help="1: draw what was learned too (run_figures.py)")

    _add_data(p)
    return p, model


def _add_threads(add):
    add(
        "--threads",
        type=number(int, 0, 1024),
        default=0,
        help="CPU threads; 0: one for every core that no other process is using",
    )


def _add_device(add):
    add(
        "--device",
        choices=["auto", "cpu", "cuda", "mps"],
        default="auto",
        help="where to compute; auto: a CUDA GPU if there is one, else the CPU",
    )


def _add_data(p):
    add = p.add_argument_group("data").add_argument
    add(
        "--dataset",
        choices=["auto", "mnist", "fashion", "kmnist", "digits"],
        default="auto",
        help="auto: MNIST if it is on disk or can be downloaded, else the small digits "
        "that come with scikit-learn",
    )
    add("--data_dir", default="data", help="folder that holds or receives MNIST/raw and its like")


def report_parser(description):
    """The flags of the report: what it is made of, and how the scripts it calls are to train."""
    p = plain_parser(description)
    add = p.add_argument
    add(
        "--train",
        type=switch,
        nargs="?",
        const=1,
        default=0,
        help="1, or no value: first train what is missing, with the scripts themselves",
    )
    add("--runs", type=number(int, 1, 10_000), default=5, help="runs per experiment, 0 … N − 1")
    add("--iter_max", type=number(int, 1), help="training iterations (default: each script's own)")
    add("--jobs", type=number(int, 1, 1024), default=1, help="runs trained at a time")
    _add_threads(add)
    _add_device(add)
    add("--out", default="report", help="folder for report.md, report.html and results.json")
    _add_data(p)
    return p


def evaluation(p):
    """The flag of scripts whose models have an IWAE bound."""
    p.add_argument_group("evaluation").add_argument(
        "--eval_iw",
        type=number(int, 0, 1_000_000),
        default=0,
        help="also the IWAE bound with so many samples on all test images; 0: not "
        "(5,000 take minutes)",
    )


def weight(value):
    """A weight as the contract writes it in names, 001; one that is not whole as it is, 0.5."""
    return f"{int(value):03d}" if value == int(value) else str(value)


def script(main):
    """Runs a script's main; what is no mistake of the program ends it with one line.

    The status is 2 for a UserError and for trouble with files, 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a console without β shows a question mark
    ranks.end_with_the_launcher()
    try:
        main()
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from what was saved.", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    except (UserError, OSError) as error:
        complain(error)
        raise SystemExit(2) from None


def complain(error):
    """Prints the one line of an error, as argparse would."""
    print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr, flush=True)
