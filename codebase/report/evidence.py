"""Records of finished runs under results/, by what they are runs of; and how one gets there."""

import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codebase.catalogue import CATALOGUE, PRESETS, Entry, Preset
from codebase.errors import UserError
from codebase.evaluation.numbers import Number
from codebase.files import disk, records
from codebase.flag import NEUTRAL
from codebase.runs.flags import DATA, TRAINING

KEPT = "run", "model", "flags", "data", "device", "versions", "finished", "training", "numbers"
MORE = "active_units", "zero_share", "unit"
OVER, USES, ADDED = "over_vae", "uses", "comparison"
PER_IMAGE = "per_image.npz"  # of a run, the bounds of each test image
GREY_PIXELS = "gaussian", "continuous-bernoulli", "logcosh", "logistic"  # likelihoods of such
GREY_MODELS = ("vae-gan",)  # whose likelihood is no choice
HELD_AGAINST = "vae", "ladder-vae"  # models and presets, by those of the same bits
# Of the flags, said in other columns or only where odd, or what a row is the mean over.
APART = "iter_max", "seed", "label_seed", "precision"


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seeds, and which images are labelled.

    Args:
        name: of the model, or of the preset that they are runs of.
        entry: the model's.
        settings: flags that are not at their defaults, as they are typed; "" without any.
        iterations: they were trained for.
        data: the dataset's name.
        runs: {(seed, label seed): record}; none: nobody has run it.
    """

    name: str
    entry: Entry
    settings: str
    iterations: int
    data: str
    runs: Mapping[tuple[int, int], dict[str, Any]]

    @property
    def grey(self) -> bool:
        """Whether its nats are not of binary pixels: by what it is, or by what a run was given."""
        usual = (self.entry.parts or {}).get("likelihood", "bernoulli")
        given = re.search(r"--likelihood (\S+)", self.settings)
        return self.entry.name in GREY_MODELS or (given[1] if given else usual) in GREY_PIXELS

    @property
    def flags(self) -> str:
        """What was typed beside the name: its settings, and its length where that is not usual."""
        preset = PRESETS.get(self.name)
        usual = preset.values["iter_max"] if preset else self.entry.iter_max
        length = "" if self.iterations == usual else f"--iter_max {self.iterations}"
        return f"{self.settings} {length}".strip()

    def number(self, *path: str) -> tuple[Number, int] | None:
        """A number of the records at {a: {b: …}}, {"value", "se"} or [value, se] or plain.

        Returns:
            Its mean over the runs that have it, and how many do; of a lone one, and of one that
            does not depend on the run, its own standard error, over images or labels, as the
            record has it. None: none has it.
        """
        found = [n for record in self.runs.values() if (n := _number(record, path))]
        if not found:
            return None
        if len({n.value for n in found}) == 1:
            return found[0], len(found)
        return Number.of([n.value for n in found]), len(found)

    def median(self, *path: str) -> float | None:
        """The same number's median over the runs, which one on a busy machine does not move."""
        found = [n.value for record in self.runs.values() if (n := _number(record, path))]
        return statistics.median(found) if found else None


def _number(record, path):
    at = record
    for key in path:
        at = at.get(key) if isinstance(at, dict) else None
    if isinstance(at, dict):
        at = at.get("value"), at.get("se")
    value, se = at if isinstance(at, list | tuple) else (at, None)
    return None if value is None else Number(float(value), None if se is None else float(se))


def groups(results: Path) -> list[Group]:
    """What has been run, in the catalogue's order, with a `Group` for whatever has not been.

    A run that stands in several records is counted once: by one that has an importance-weighted
    bound of all test images, of those by the one with most numbers, and the latest. Of runs that
    were made in bf16 and in fp32, which a machine chooses by what it has, those in fp32 are a group
    of their own.

    Raises:
        UserError: a record cannot be read.
    """
    found: dict[tuple, dict[bool, dict[tuple[int, int], dict]]] = {}
    for path in sorted(results.rglob("*.json")):
        record = records.read(path)
        if not {"run", "flags", "numbers", "training"} <= record.keys():
            continue
        try:
            flags = record["flags"]
            key, seeds = _key(record), (int(flags["seed"]), int(flags.get("label_seed", 0)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is no record of a run ({error!r}).") from error
        if key:
            own = found.setdefault(key, {}).setdefault(_in_fp32(record), {})
            own[seeds] = max(own.get(seeds, record), record, key=_rank)
    there = [
        _group(key, runs, " --precision fp32" * (fp32 and len(both) > 1))
        for key, both in found.items()
        for fp32, runs in both.items()
    ]
    usual = {(e.name, e.name, "", e.iter_max): e for e in CATALOGUE.values()}
    for preset in PRESETS.values():
        entry = CATALOGUE[preset.entry]
        values = preset.values
        usual[preset.name, entry.name, "", values["iter_max"]] = entry
    for (name, _, settings, iterations), entry in usual.items():
        if not any(g.data == "mnist" and _usual(g, name, settings, iterations) for g in there):
            there.append(Group(name, entry, settings, iterations, "mnist", {}))
    order = [*CATALOGUE, *PRESETS]
    return sorted(
        there, key=lambda g: (order.index(g.name), bool(g.settings), -g.iterations, g.settings)
    )


def _usual(group, name, settings, iterations):
    return (group.name, group.settings, group.iterations) == (name, settings, iterations)


def _rank(record):
    bound = any(name.startswith("iwae") for name in record["numbers"].get("test", {}))
    return (
        bound,
        sum(map(len, record["numbers"].values())),
        len(record.get(USES, {})),
        record["finished"],
    )


def _key(record):
    """(name, model, settings, iterations, data), or None for a model that is no longer there."""
    flags = record["flags"]
    model = record.get("model") or record["run"].removeprefix("model=").split("_")[0]
    if model not in CATALOGUE or not record["training"]:
        return None
    entry = CATALOGUE[model]
    name, usual = model, entry.defaults()
    for preset in PRESETS.values():
        if preset.entry == model and _is_of(preset, flags):
            name, usual = preset.name, usual | dict(preset.values)
    known = [*entry.matters(usual | flags), *TRAINING, *DATA]
    usual = {flag.name: flag.default for flag in known} | entry.recipe | usual
    changed = [
        f"--{flag.name} {flags[flag.name]}"
        for flag in dict.fromkeys(known)
        if flag.names != NEUTRAL
        and flag.name not in APART
        and flags.get(flag.name, usual[flag.name]) != usual[flag.name]
    ]
    iterations = record["training"]["iterations"]
    return name, model, " ".join(changed), iterations, record["data"]["name"]


def _in_fp32(record):
    return record["flags"].get("precision") in (None, "fp32")  # None: before there was another


def _group(key, runs, more=""):
    name, model, settings, iterations, data = key
    return Group(name, CATALOGUE[model], f"{settings}{more}".strip(), iterations, data, runs)


def _is_of(preset: Preset, flags: Mapping[str, Any]) -> bool:
    """Whether flags are a preset's, as far as they make a run another, its length aside."""
    entry = CATALOGUE[preset.entry]
    naming = {f.name for f in (*entry.flags, *TRAINING) if f.names != NEUTRAL} - {"iter_max"}
    return all(flags.get(k) == v for k, v in preset.values.items() if k in naming)


# How a run gets there


def add(run: Path, over: Path | None, results: Path) -> Path:
    """Copies what a finished run has found to results/comparison/, with what it was used for.

    Args:
        run: its folder.
        over: that of the VAE's run it is held against, image by image on the same bits; None: the
            one of its seed that lies beside it, if there is one that compares.
    Returns:
        The file.
    Raises:
        UserError: one of them is not finished, or they were evaluated on other data or pixels.
    """
    record = records.read(run / "results.json", "Only a finished run has one.")
    kept = {key: record[key] for key in (*KEPT, *MORE) if key in record}
    kept["flags"].pop("data_dir", None)  # of the machine
    uses = {p.stem.removeprefix("use-"): records.read(p) for p in sorted(run.glob("use-*.json"))}
    for what, use in uses.items():
        at, end = use.get("iterations"), record["training"]["iterations"]
        if at != end:
            raise UserError(
                f"use-{what}.json in {run} is of iteration {at}, and the run has {end}: "
                f"`run.py use {what} {run.name}` again, or delete it."
            )
    if uses:
        kept[USES] = uses
    over = over or _beside(run, record)
    if over:
        other = records.read(over / "results.json", "Only a finished run has one.")
        if other["data"] != record["data"]:
            raise UserError(f"{run.name} and {over.name} were not evaluated on the same images.")
        if is_grey(other) != is_grey(record):
            raise UserError(
                f"{run.name} and {over.name} do not compare: one has nats of binary pixels, the "
                "other of grey ones."
            )
        kept[OVER] = {"of": other["run"]} | differences(run, over)
    target = results / ADDED / f"{record['run']}.json"
    if target.exists() and _key(before := records.read(target)) != _key(kept):
        raise UserError(
            f"{target} is of {before['training']['iterations']:,} iterations and its own flags, "
            f"and {run} is another training ({record['training']['iterations']:,}). Delete it "
            "first, if this one is to take its place."
        )
    disk.make_folder(target.parent)
    records.write(target, kept)
    return target


def _beside(run, record):
    """The run in the same folder that this one is held against by default, or None."""
    key, seed = _key(record), record["flags"]["seed"]
    if not key or not (run / PER_IMAGE).exists() or is_grey(record):
        return None
    reference = HELD_AGAINST[key[0] in PRESETS]
    for path in sorted(run.parent.glob(f"model=vae_*run={seed:04d}*/{PER_IMAGE}")):
        other = records.read(path.with_name("results.json"))
        group = _group(_key(other), {})
        alike = other["data"] == record["data"] and (group.name, group.flags) == (reference, "")
        if alike and path.parent != run:
            return path.parent
    return None


def is_grey(record: Mapping[str, Any]) -> bool:
    """Whether a run's nats are not of binary pixels."""
    key = _key(record)
    return key is not None and _group(key, {}).grey


def differences(run: Path, over: Path) -> dict[str, list[float]]:
    """{bound: [mean, s.e.]} of a run's bound minus another's, image by image.

    Raises:
        UserError: one of them has no bounds of each image.
    """
    paths = [folder / PER_IMAGE for folder in (run, over)]
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} is not there: the run has no bounds of each image.")
    mine, theirs = map(np.load, paths)
    found = {}
    for name in set(mine.files) & set(theirs.files):
        d = mine[name].astype(float) - theirs[name].astype(float)
        found[name] = [float(d.mean()), float(d.std(ddof=1) / math.sqrt(len(d)))]
    return dict(sorted(found.items()))
