"""What a run says of itself: flags.json from its start, results.json once it is finished.

Both hold its identity (`Settings.identity`), so that a file that outlived its run is found out.
"""

import contextlib
from pathlib import Path
from typing import Any

from codebase.data.datasets import OWN, Dataset
from codebase.errors import UserError
from codebase.files import records

SHA256 = "data_sha256"  # of the data, in an identity
LATER = "model", SHA256  # what earlier flags.json do not name


def of_flags(path: Path, advice: str = "") -> dict:
    """The identity in a flags.json.

    Raises:
        UserError: it is damaged; the sentence ends with the advice.
    """
    return records.read(path, advice)


def of_results(path: Path, advice: str = "") -> dict:
    """The identity in a results.json; of an earlier one, what follows from its other content.

    Raises:
        UserError: it is damaged or something else; the sentence ends with the advice.
    """
    content = records.read(path, advice)
    if "identity" in content:
        parts: tuple[Any, ...] = (content["identity"],)
    else:
        data = content.get("data")
        sha256 = {SHA256: data.get("sha256")} if isinstance(data, dict) else {}
        parts = content.get("flags", {}), {"model": content.get("model")}, sha256
    if not all(isinstance(part, dict) for part in parts):
        raise UserError(f"{path} is damaged: it does not say which run it is of. {advice}".rstrip())
    # Earlier ones have the flags as they were typed.
    return {k: v for part in parts for k, v in part.items() if v is not None and v != "auto"}


def compare(run: Path, mine: dict, before: dict, advice: str = "") -> None:
    """Compares a run's identity with the one that was recorded.

    Raises:
        UserError: they differ; it says in what, and ends with the advice.
    """
    changed = sorted(k for k in mine if before.get(k) != mine[k])
    if changed == [SHA256]:
        flag = "--dataset" if mine["data"].startswith(OWN) else "--data_dir"
        raise UserError(f"{_other_data(run, mine, before[SHA256], flag)}. {advice}".rstrip())
    if changed:
        was = ", ".join(f"{k} was {before.get(k)}, is {mine[k]}" for k in changed)
        raise UserError(f"The run {run} exists with other flags ({was}). {advice}".rstrip())


def _other_data(run, mine, before, flag):
    return (
        f"The run {run} was trained on other data of the name {mine['data']} than are given now "
        f"(sha256 {str(before)[:12]}…, now {mine[SHA256][:12]}…); {flag} names the right ones"
    )


def trained_on(folder: Path) -> str | None:
    """The hash of the data that the run in a folder is of; None where its record does not say."""
    for read, name in ((of_flags, "flags.json"), (of_results, "results.json")):
        with contextlib.suppress(UserError):  # missing or damaged: it says nothing
            sha256 = read(folder / name).get(SHA256)
            if isinstance(sha256, str):
                return sha256
    return None


def check_data(run: Path, dataset: Dataset, flag: str = "--data_dir") -> None:
    """Compares a dataset with what the run in a folder was trained on.

    Args:
        flag: names other data.
    Raises:
        UserError: the run is known to be of other data.
    """
    before = trained_on(run)
    mine = {"data": dataset.name, SHA256: dataset.sha256()}
    if before not in (None, mine[SHA256]):
        raise UserError(f"{_other_data(run, mine, before, flag)}.")
