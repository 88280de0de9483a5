"""run.py gap: the gap of a finished run's bound, and whether family or encoder is to blame."""

import argparse
import time
from collections.abc import Sequence
from functools import partial

from codebase.errors import UserError
from codebase.flag import Flag, number
from codebase.runs.flags import DATA, THREADS, Parser


def parser() -> Parser:
    """The flags."""
    p = Parser(
        "gap: log p(x) − ELBO of a run, split into what the family of its posteriors costs "
        "(approximation) and what its encoder does (amortization).",
        "run.py gap",
    )
    p.add_argument("run", help="a run's name in checkpoints/, or its folder")
    at_least_one = partial(number, int, 1)
    p.add(
        [
            Flag("images", "test images, the first of them", type=at_least_one(), default=100),
            Flag("steps", "of the search from each start", type=at_least_one(), default=500),
            Flag("samples", "importance samples for log p", type=at_least_one(), default=5_000),
            THREADS,
            *(flag for flag in DATA if flag.name == "data_dir"),
        ]
    )
    return p


def main(words: Sequence[str]) -> None:
    """Measures it, prints it and writes gap.json beside the run's other numbers.

    Args:
        words: of the command line, behind `gap`.
    Raises:
        UserError: there is no such run, or it has no such gap.
    """
    measure(parser().parse_args(words))


def measure(args: argparse.Namespace) -> None:
    """As `main`, for flags that are parsed."""
    from codebase.data import subsets
    from codebase.engine import cores
    from codebase.evaluation.gap import Effort, gaps
    from codebase.evaluation.numbers import recorded
    from codebase.evaluation.tables import table
    from codebase.files import records
    from codebase.models.base import LatentVariableModel
    from codebase.runs import progress
    from codebase.runs.saved import open_run

    began = time.perf_counter()
    with cores.FreeCores() as watched:
        run = open_run(args.run)
        if not isinstance(run.model, LatentVariableModel):
            raise UserError(f"{run.folder.name} has no bound.")
        dataset = run.dataset(args.data_dir, labels=False)
    cores.use(args.threads, watched.count)
    x = subsets.test_images(dataset, run.model.abilities.pixels)[: args.images]
    bar = partial(progress.over, title="gap", unit="parts")
    found = gaps(run.model, x, Effort(steps=args.steps, iw=args.samples), bar)
    print(f"\n{run.folder.name} after {run.step:,} iterations: nats per image")
    print(table({f"test images ({len(x)})": found}, None))
    print("± standard error over the images; log p is a lower bound, so approximation is one too")
    content = {
        "iterations": run.step,
        "images": len(x),
        "steps": args.steps,
        "samples": args.samples,
        "numbers": recorded(found),
        "seconds": round(time.perf_counter() - began, 1),
    }
    path = run.folder / "gap.json"
    records.write(path, content)
    print(f"\nwritten to {path}")
