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
    add("--add", type=folder, metavar="RUN", help="first copy this finished run's record there")
    add("--over", type=folder, metavar="RUN", help="the VAE's run that --add's is held against")
    args = p.parse_args()

    from codebase.report import comparison, evidence, neighbours

    results, out = Path(args.results), Path(args.out)
    if args.add:
        over = Path(args.over) if args.over else None
        print(f"added: {evidence.add(Path(args.add), over, results)}")
        neighbours.keep_picture(Path(args.add), results, out)
    written = [*comparison.write(results, out), neighbours.write(results, out)]
    print(f"written: {', '.join(map(str, written))}")


if __name__ == "__main__":
    script(main)
