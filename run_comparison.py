"""Write the pages that hold the models beside each other, from the records in results/."""

from pathlib import Path

from codebase.command import script
from codebase.flag import folder
from codebase.runs.flags import Parser

ROOT = Path(__file__).resolve().parent


def main():
    p = Parser(__doc__)
    add = p.add_argument
    add("--results", type=folder, default=str(ROOT / "results"), help="folder of the records")
    add(
        "--out",
        type=folder,
        default=str(ROOT / "docs"),
        help="receives comparison.md and .html, neighbours.md",
    )
    add(
        "--add",
        type=folder,
        nargs="+",
        default=[],
        metavar="RUN",
        help="first copy these finished runs' records there, names or folders, each with its "
        "difference to the VAE's run of its seed that lies beside it",
    )
    add("--over", type=folder, metavar="RUN", help="the run that they are held against instead")
    args = p.parse_args()

    from codebase.errors import UserError
    from codebase.report import comparison, neighbours
    from codebase.runs.saved import find_run

    results, out = Path(args.results), Path(args.out)
    if not results.is_dir() and not args.add:
        raise UserError(f"There is no folder {results} of records; --results names one.")
    over = find_run(args.over) if args.over else None
    comparison.take_up([find_run(run) for run in args.add], over, results, out)
    written = [*comparison.write(results, out), neighbours.write(results, out)]
    print(f"written: {', '.join(map(str, written))}")


if __name__ == "__main__":
    script(main)
