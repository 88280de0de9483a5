"""Training what the report lacks, by the scripts themselves, each a process of its own."""

import contextlib
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from codebase.errors import UserError
from codebase.report.recorded import Experiment, Runs

PROJECT = Path(__file__).resolve().parents[2]


def train_missing(runs: Runs, again: Callable[[], Runs], args: Namespace, dataset: str) -> None:
    """Trains the runs of an experiment that are missing, then evaluates what was not.

    Args:
        runs: the `Runs` on disk.
        again: called without arguments, gives them as they are now.
        args: the report's flags.
        dataset: the data, as --dataset takes them.
    Raises:
        UserError: a script did not succeed.
    """
    if runs.missing:
        _call(command(runs.experiment, args, dataset, train=2 if runs.experiment.iwae else 1))
        runs = again()
    if runs.lacks_iwae():
        _call(command(runs.experiment, args, dataset, train=0))


def command(experiment: Experiment, args: Namespace, dataset: str, train: int) -> list[str]:
    """The command line that trains (or with train 0 evaluates) every run of an experiment.

    Runs that are finished already are the script's to leave alone.
    """
    flags = experiment.flags | experiment.unusual
    flags |= {"runs": args.runs, "jobs": args.jobs, "train": train, "dataset": dataset}
    flags |= {"data_dir": args.data_dir, "threads": args.threads, "device": args.device}
    if args.iter_max:
        flags["iter_max"] = args.iter_max
    words = [word for flag, value in flags.items() for word in (f"--{flag}", str(value))]
    return [sys.executable, str(PROJECT / experiment.script), *words]


def _call(words):
    shown = " ".join(["python", Path(words[1]).name, *words[2:]])
    print(f"\n+ {shown}", flush=True)
    process = subprocess.Popen(words)
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        status = process.wait()
    except KeyboardInterrupt:  # the terminal's Ctrl-C has reached the script too; it is saving
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    if status:
        raise UserError(
            f"{shown} ended with status {status}; what it said is above. What is finished stays, "
            "and the same command goes on from there."
        )
