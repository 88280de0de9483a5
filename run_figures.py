"""Draws what finished runs have learned: samples, latent maps, kl, calibration, outliers."""

from codebase.command import script
from codebase.flag import folder, number
from codebase.runs.flags import Parser


def main():
    p = Parser(__doc__)
    add = p.add_argument
    add("runs", nargs="+", type=folder, metavar="RUN", help="a run's name, or its folder")
    add(
        "--out",
        type=folder,
        default="figures",
        help="folder of figures that compare runs",
    )
    add("--only", nargs="+", default=[], metavar="FIGURE", help="names of figures (default: all)")
    add("--data_dir", type=folder, default="data", help="folder of the datasets")
    add(
        "--threads", type=number(int, 0, 1024), default=0, help="CPU threads; 0: torch's own choice"
    )
    args = p.parse_args()

    from pathlib import Path

    import torch

    from codebase.figures.book import draw_runs

    if args.threads:
        torch.set_num_threads(args.threads)
    draw_runs(args.runs, Path(args.out), args.data_dir, args.only)


if __name__ == "__main__":
    script(main)
