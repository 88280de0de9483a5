"""Write explore.html, a page that draws with a trained model in the browser, for trained runs."""

from codebase.command import script
from codebase.flag import folder, number
from codebase.runs.flags import Parser


def main():
    p = Parser(__doc__)
    p.add_argument(
        "runs",
        nargs="+",
        type=folder,
        metavar="RUN",
        help="a run's name in checkpoints/, or folder",
    )
    p.add_argument("--step", type=number(int, 0), help="of the checkpoint (default: the last)")
    p.add_argument("--data_dir", type=folder, default="data", help="folder of the datasets")
    p.add_argument(
        "--export",
        choices=["onnx"],
        help="write encoder, decoder and classifier as ONNX files instead",
    )
    args = p.parse_args()

    from codebase import explorer
    from codebase.explorer import export

    if args.export:
        export.write_all(args.runs, args.step)
    else:
        explorer.write_all(args.runs, args.step, args.data_dir)


if __name__ == "__main__":
    script(main)
