"""Several runs' numbers in words: a row per run, then mean ± standard error over the runs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from codebase.errors import UserError
from codebase.evaluation.numbers import Number, Numbers
from codebase.evaluation.reference import Band, verdict
from codebase.evaluation.tables import aligned, text
from codebase.files import records

ByRun = Mapping[int, dict[str, Numbers]]  # {run id: {group: …}}


def numbers(path: Path) -> dict[str, Numbers]:
    """{group: {name: Number}} of a results.json, the active units among those of the test set.

    Raises:
        UserError: it is damaged or something else.
    """
    results = records.read(path)
    try:
        found = {
            group: {
                name: Number(float(n["value"]), None if n["se"] is None else float(n["se"]))
                for name, n in members.items()
            }
            for group, members in results["numbers"].items()
        }
        if "active_units" in results:
            active = Number(float(results["active_units"]), None)
            found.setdefault("test", {})["active units"] = active
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no results.json ({error!r}).") from error
    return found


def summary(runs: ByRun, bands: Mapping[str, Band] | None = None) -> str:
    """Two tables as text: each run's numbers, and each number over the runs.

    Args:
        runs: {run id: {group: {name: Number}}}, at least one.
        bands: {name: (centre, half-width)} for the first group's numbers, or None.
    """
    groups = _names(runs.values())
    return "\n\n".join(
        [*(_by_run(runs, group, names) for group, names in groups.items()), _over(runs, bands)]
    )


def over_runs(values: Sequence[Number]) -> tuple[Number, float | None]:
    """Mean and standard error over training runs, and the noise of one run's own estimate.

    Args:
        values: each run's Number.
    Returns:
        Number of the values, and the root mean square of their own standard errors (None where
        one has none). The noise is part of what the first one's standard error measures.
    """
    errors = [n.se for n in values if n.se is not None]
    noise = None
    if len(errors) == len(values):
        noise = math.sqrt(math.fsum(se**2 for se in errors) / len(errors))
    return Number.of([n.value for n in values]), noise


def _names(runs: Iterable[dict[str, Numbers]]) -> dict[str, dict[str, None]]:
    """{group: names}, in the order they first appear."""
    groups: dict[str, dict[str, None]] = {}
    for run in runs:
        for group, members in run.items():
            groups.setdefault(group, {}).update(dict.fromkeys(members))
    return groups


def _by_run(runs: ByRun, group: str, names: Iterable[str]) -> str:
    rows = [[f"{group}, run", *names]]
    for run, found in runs.items():
        values = (found.get(group, {}).get(name) for name in names)
        rows.append([str(run), *(text(Number(n.value, None)) if n else "" for n in values)])
    return aligned(rows)


def _over(runs: ByRun, bands: Mapping[str, Band] | None) -> str:
    rows = [["", "mean ± s.e.", "runs", "noise"]]
    if bands:
        rows[0] += ["reference", "inside"]
    for place, (group, names) in enumerate(_names(runs.values()).items()):
        for name in names:
            values = [run[group][name] for run in runs.values() if name in run.get(group, {})]
            mean, own = over_runs(values)
            noise = "" if own is None else f"{own:.2g}"
            rows.append([f"{group} {name}", text(mean), str(len(values)), noise])
            if bands:
                band = bands.get(name) if place == 0 else None
                inside = band and sum(verdict(n.value, band) == "in" for n in values)
                rows[-1] += (
                    [f"{band[0]:g} ± {band[1]:g}", f"{inside} of {len(values)}"]
                    if band
                    else ["", ""]
                )
    return aligned(rows)
