"""Writes the tables of README.md and docs/performance.md from the runs recorded in this folder.

python results/table.py
cp checkpoints/<run>/results.json results/<run>.json   # how a run gets recorded
"""

import math
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from codebase.evaluation import summary  # noqa: E402
from codebase.evaluation.reference import BANDS, PUBLIC, verdict  # noqa: E402

PROBLEMS = {
    "vae": ("VAE", "model=vae_z=10_run=????", "subset"),
    "gmvae": ("GMVAE", "model=gmvae_z=10_k=500_run=????", "subset"),
    "ssvae_gw=0": ("SSVAE, gw = 0", "model=ssvae_gw=000_cw=100_run=????", "test"),
    "ssvae_gw=1": ("SSVAE, gw = 1", "model=ssvae_gw=001_cw=100_run=????", "test"),
}


def recorded(folder, problem, name):
    """A number of every recorded run that has it, in the order of the run ids.

    Raises:
        UserError: a file is damaged or something else.
    """
    _, pattern, group = PROBLEMS[problem]
    runs = [summary.numbers(file) for file in sorted(folder.glob(pattern + ".json"))]
    return [run[group][name] for run in runs if name in run.get(group, {})]


def beside_the_bands():
    """A row per number: reference, public solutions, mean ± standard error over the training runs.

    The last columns count the runs, and those in the band.

    Returns:
        The table in Markdown.
    """
    lines = [
        "| | | reference | public solutions | this project | runs | inside the band |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, name, problem in _rows():
        (centre, half), found = BANDS[problem][name], recorded(HERE, problem, name)
        inside = sum(verdict(number.value, BANDS[problem][name]) == "in" for number in found)
        cells = [title, name, f"{centre:g} ± {half:g}", PUBLIC.get(problem, {}).get(name, "")]
        cells.append(_text(found, name))
        cells += [str(len(found)), f"{inside} of {len(found)}" if found else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def by_precision():
    """A row per number: in bf16, in fp32, and the difference with its standard error.

    Returns:
        The table in Markdown.
    """
    return _beside({"bf16": HERE, "fp32": HERE / "fp32"}, _rows())


def by_compiling():
    """The same of compiled steps, in fp32, and others, where both were run."""
    folders = {"compiled": HERE / "compiled", "not compiled": HERE / "fp32"}
    return _beside(folders, _rows(*folders.values()))


def _beside(folders, rows):
    """The rows' numbers in the runs of two folders, {heading: folder}, and their difference."""
    one, other = folders
    lines = [f"| | | {one} | runs | {other} | runs | difference |", "|---|---|---|---|---|---|---|"]
    for title, name, problem in rows:
        pair = [recorded(folder, problem, name) for folder in folders.values()]
        cells = [title, name]
        for found in pair:
            cells += [_text(found, name), str(len(found))]
        first, second = (summary.over_runs(f)[0] if len(f) > 1 else None for f in pair)
        if first and second:
            error, digits = math.hypot(first.se, second.se), _digits(name)
            cells.append(f"{first.value - second.value:+.{digits}f} ± {error:.{digits}f}")
        else:
            cells.append("")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _rows(*folders):
    """(title, name, problem) of each number that runs of all the folders have; the title only
    where it changes.
    """
    for problem, (title, _, _) in PROBLEMS.items():
        for name in BANDS[problem]:
            if all(recorded(folder, problem, name) for folder in folders):
                yield title, name, problem
                title = ""


def _digits(name):
    return 3 if name == "accuracy" else 2


def _text(found, name):
    if not found:
        return "not run"
    mean, digits = summary.over_runs(found)[0], _digits(name)
    error = "" if mean.se is None else f" ± {mean.se:.{digits}f}"
    return f"{mean.value:.{digits}f}{error}"


TABLES = {
    ROOT / "README.md": {"results": beside_the_bands},
    ROOT / "docs" / "performance.md": {"precision": by_precision, "compiled": by_compiling},
}


def updated(path):
    """The text of one of TABLES' files with its tables as the recorded runs have them now."""
    text = path.read_text(encoding="utf-8")
    for name, table in TABLES[path].items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        before, rest = text.split(begin)
        text = before + begin + table() + end + rest.split(end)[1]
    return text


if __name__ == "__main__":
    for path in TABLES:
        path.write_text(updated(path), encoding="utf-8")
