"""Grade submissions of the assignment by what their code computes.

Each submission runs in a process of its own, confined as far as the platform allows; 61 of the
assignment's 100 points can be earned by code. See docs/grading.md.
"""

import argparse
import io
import math
import sys


def main():
    p = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    natural = _number(int, lambda n: n >= 0, "a whole number, at least 0")
    counted = _number(int, lambda n: n >= 1, "a whole number, at least 1")
    amount = _number(float, lambda x: 0 < x < math.inf, "a number above 0")
    p.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a zip, a folder that holds a submission, or a folder of such zips and folders",
    )
    p.add_argument(
        "--lang",
        choices=("en", "es"),
        default="en",
        help="language of the feedback (default: %(default)s)",
    )
    p.add_argument(
        "--out",
        default="grades",
        help="folder for grades.csv and the feedback files (default: %(default)s)",
    )
    p.add_argument("--seed", type=natural, help="of the inputs (default: drawn anew)")
    p.add_argument("--jobs", type=counted, help="submissions at a time (default: one per CPU core)")
    p.add_argument(
        "--seconds",
        type=amount,
        default=20.0,
        help="wall-clock limit per check (default: %(default)g)",
    )
    p.add_argument(
        "--memory", type=amount, default=4.0, help="memory limit, in GiB (default: %(default)g)"
    )
    p.add_argument(
        "--train",
        choices=("short", "full"),
        help="also train the models: 1,000 iterations each, or the assignment's",
    )
    p.add_argument("--data_dir", help="folder of MNIST, for --train")
    args = p.parse_args()
    for stream in (sys.stdout, sys.stderr):  # a name in letters that a terminal does not have
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    from grading.batch import grade_all

    return grade_all(args)


def _number(kind, allowed, expected):
    """A type for argparse."""

    def number(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not allowed(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return number


if __name__ == "__main__":
    sys.exit(main())
