"""Writes the README's results table from the runs recorded in this folder.

python results/table.py            # rewrite README.md
cp checkpoints/<run>/results.json results/<run>.json   # how a run gets recorded
"""

import math
import statistics
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
sys.path.insert(0, str(HERE.parent))

from codebase import records  # noqa: E402
from codebase.errors import UserError  # noqa: E402
from codebase.reference import BANDS, verdict  # noqa: E402

MARKS = "<!-- results -->\n", "<!-- end of results -->\n"
PROBLEMS = {
    "vae": ("VAE", "model=vae_z=10_run=????", "subset"),
    "gmvae": ("GMVAE", "model=gmvae_z=10_k=500_run=????", "subset"),
    "ssvae_gw=0": ("SSVAE, gw = 0", "model=ssvae_gw=000_cw=100_run=????", "test"),
    "ssvae_gw=1": ("SSVAE, gw = 1", "model=ssvae_gw=001_cw=100_run=????", "test"),
}


def recorded(pattern):
    """The numbers of the recorded runs of that name, in the order of their ids."""
    return [numbers(file) for file in sorted(HERE.glob(pattern + ".json"))]


def numbers(file):
    """{group: {name: value}} of a results.json.

    Raises:
        UserError: it is damaged or something else.
    """
    try:
        groups = records.read(file)["numbers"].items()
        return {g: {name: float(n["value"]) for name, n in ns.items()} for g, ns in groups}
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise UserError(f"{file} is no results.json ({error!r}).") from error


def table():
    """The table in Markdown: a row per number, mean ± standard error over the training runs."""
    lines = [
        "| | | reference | this project | runs | inside the band |",
        "|---|---|---|---|---|---|",
    ]
    for problem, (title, pattern, group) in PROBLEMS.items():
        runs = recorded(pattern)
        for name, band in BANDS[problem].items():
            values = [r[group][name] for r in runs if name in r.get(group, {})]
            lines.append(_row(title, name, band, values))
            title = ""
    return "\n".join(lines) + "\n"


def _row(title, name, band, values):
    digits = 3 if name == "accuracy" else 2
    reference = f"{band[0]:g} ± {band[1]:g}"
    if not values:
        return f"| {title} | {name} | {reference} | not run | 0 | |"
    text = f"{statistics.fmean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values) / math.sqrt(len(values)):.{digits}f}"
    inside = sum(verdict(v, band) == "in" for v in values)
    return (
        f"| {title} | {name} | {reference} | {text} | {len(values)} | {inside} of {len(values)} |"
    )


def updated(readme):
    """The README's text with the table as the recorded runs have it now."""
    before, rest = readme.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    return before + MARKS[0] + table() + MARKS[1] + after


if __name__ == "__main__":
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8")
