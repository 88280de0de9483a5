"""What a command line comes to on this machine, resolved once, before anything else happens."""

import os
import shutil
import time
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from codebase.catalogue import Entry
from codebase.data import datasets, subsets
from codebase.data.stream import Labelled
from codebase.engine import cores
from codebase.engine.devices import device
from codebase.engine.precision import resolve
from codebase.engine.schedules import Schedule
from codebase.errors import UserError
from codebase.evaluation.reference import BANDS, Band
from codebase.flag import IF_CHANGED, NEUTRAL, Flag
from codebase.models.base import Model
from codebase.runs import ranks
from codebase.runs.flags import LR_END, Parser
from codebase.runs.record import SHA256
from codebase.sides import side_of, sized

COMPILED_FROM = 10_000  # iterations; fewer do not repay the half minute that compiling takes


@dataclass(frozen=True)
class Settings:
    """A run, before it begins: what is to be trained, on what, where, and under which name.

    Attributes:
        entry: its model's, of the catalogue.
        flags: every `Flag` of the script, but for those of parts that were not chosen.
        args: their values, as they were given.
        device: where to compute.
        precision: of the products in training: "fp32", "tf32" or "bf16".
        native: what --precision auto comes to on the device.
        dataset: loaded.
        free: how many cores are free, if that is known already.
        began: when the command did, by time.perf_counter.
        more: how many runs this process does after it.
    """

    entry: Entry
    flags: tuple[Flag, ...]
    args: Namespace
    device: torch.device
    precision: str
    native: str
    dataset: datasets.Dataset
    free: float | None = None
    began: float = 0.0
    more: int = 0

    @property
    def seed(self) -> int:
        """The seed of every random number: the run id, unless --seed was given."""
        return self.args.run if self.args.seed is None else self.args.seed

    @property
    def compile(self) -> int:
        """Whether the replayed step is compiled, 0 or 1: what the command and the machine say, and
        never the clock, so that the same command gives the same bits.
        """
        args = self.args
        if args.compile != "auto":
            return args.compile
        repaid = args.iter_max >= COMPILED_FROM and self.device.type == "cpu"
        return int(repaid and args.graph and _compiler_is_there())

    @property
    def lr(self) -> float | Schedule:
        """Adam's learning rate, or a schedule of it."""
        args = self.args
        if args.schedule == "constant":
            return args.lr
        return Schedule(args.schedule, args.lr, args.lr_end, args.iter_max)

    @property
    def values(self) -> dict[str, Any]:
        """{flag: value}, with what the seed, --precision auto and --compile auto come to."""
        own = {"seed": self.seed, "precision": self.precision, "compile": self.compile}
        return vars(self.args) | own

    @property
    def identity(self) -> dict[str, Any]:
        """What makes it this run and no other: {flag: value}, with the model, and the data's name
        and hash.
        """
        values = self.values
        own = {flag.name: values[flag.name] for flag in self.flags if flag.names != NEUTRAL}
        data = {"data": self.dataset.name, SHA256: self.dataset.sha256()}
        return {"model": self.entry.name, **own, **data}

    @property
    def whereabouts(self) -> dict[str, Any]:
        """Where one's own data lie, and how many pixels their images have; {} of other data."""
        data = self.dataset
        return {"data_path": data.path, "x_dim": data.x_dim} if data.path else {}

    @property
    def changed(self) -> dict[str, Any]:
        """{flag: value} of its identity, where there is a default and that is not it."""
        usual = {flag.name: flag.default for flag in self.flags}
        usual |= {"seed": self.args.run, "precision": self.native}
        usual |= {"data": "mnist", "model": self.entry.name}
        return {k: v for k, v in self.identity.items() if v != usual.get(k, v)}

    @property
    def name(self) -> str:
        """The run's: its layout, its id, and what else sets it apart."""
        in_it = {flag.name for flag in self.flags if flag.names != IF_CHANGED}
        apart = {k: v for k, v in self.changed.items() if k not in in_it}
        return run_name(self.entry.layout(self.values), self.args.run, apart)

    def model(self, name: str) -> Model:
        """The model, untrained, for images of the data's size.

        Args:
            name: of the run.
        Raises:
            UserError: there is none of such sizes.
        """
        return built(self.entry, self.values, name, sized(self.dataset.x_dim))

    def trainable(self, name: str) -> Model:
        """The same on the run's device, and free to leave out what weighs nothing where steps may
        differ.

        Raises:
            UserError: there is none of such sizes, or --compile 1 has nothing to compile.
        """
        model = self.model(name).to(self.device)
        if self.device.type == "cpu" and self.args.stack != "1":
            model.allow_data_dependent_shapes()
        if self.args.compile == 1 and model.steps_differ:
            raise UserError(
                f"--compile 1 compiles a step that is replayed, and those of {name} differ from "
                "each other; leave it out."
            )
        return model

    def labelled(self, dataset: datasets.Dataset) -> Labelled | None:
        """The labelled pairs, as `train` takes them; None for a model that has no --n_labels.

        Args:
            dataset: this one, on whatever device.
        Raises:
            UserError: --n_labels is more than there are.
        """
        args = self.args
        if "n_labels" not in args:
            return None
        return subsets.labelled(dataset, args.n_labels, args.label_seed, self.seed, args.validation)

    @property
    def bands(self) -> dict[str, Band] | None:
        """{number: (centre, half-width)} of the reference; None where none compares.

        They hold at the default flags, whatever rounding does: precision, and compiled or not.
        """
        return BANDS.get(self.problem)

    @property
    def problem(self) -> str:
        """The assignment's, by which its references are found; "" where none compares."""
        reference = self.entry.reference
        rounding = "precision", "compile"
        apart = {k for k in self.changed if k not in rounding and f"{{{k}" not in reference}
        return "" if apart else reference.format(**self.values)

    def of_run(self, i: int) -> "Settings":
        """The settings that would start run i alone."""
        args = vars(self.args) | {"run": i, "runs": None, "jobs": 1, "overwrite": 0}
        return replace(self, args=Namespace(**args), began=time.perf_counter())


def built(entry: Entry, values: Mapping[str, Any], name: str, sizes: Mapping[str, int]) -> Model:
    """`Entry.build`, which refuses sizes that the model does not take in one sentence.

    Raises:
        UserError: there is no such model.
    """
    try:
        return entry.build(values, name, sizes)
    except ValueError as error:
        raise UserError(f"There is no {entry.name} of these flags: {error}.") from error
    except TypeError as error:
        if "x_dim" not in sizes or "x_dim" not in str(error):
            raise
        side = side_of(sizes["x_dim"])
        raise UserError(
            f"The {entry.name} in codebase/models/ is of 28 × 28 pixels and takes no x_dim, which "
            f"images of {side} × {side} need."
        ) from error


def run_name(layout: str, run: int, apart: Mapping[str, Any]) -> str:
    """A run's name: its layout, its id, and {flag: value} of what else sets it apart."""
    parts = [f"{k}={str(v).removesuffix('.0')}" for k, v in sorted(apart.items())]
    return "_".join([layout, f"run={run:04d}", *parts])


def settings_of(entry: Entry, parser: Parser, args: Namespace) -> Settings:
    """Checks a command line, finds its device and loads its data.

    Args:
        entry: of the catalogue.
        parser: the `Parser` that parsed args.
    Raises:
        UserError: flags that do not go together, no such device, no data.
    """
    began = time.perf_counter()
    check(args)
    here = device(args.device)
    if args.compile == 1 and here.type != "cpu":
        raise UserError(f"--compile 1 compiles what a CPU replays, and this run is on {here}.")
    if args.runs and here.type == "cuda":
        ranks.claim_a_gpu()  # before anything else touches one
    precisions = resolve(args.precision, here), resolve("auto", here)
    free = None
    if args.threads or args.runs:
        dataset = _dataset(args)
    else:
        with cores.FreeCores() as watched:  # while there is something else to wait for
            dataset = _dataset(args)
        free = watched.count
    if entry.task in ("classifier", "conditional"):
        dataset.need_labels(entry.name)
    if args.without is not None:
        dataset.need_labels("--without")
        if entry.task == "classifier":
            raise UserError(
                f"--without {args.without} is for models that are trained without labels."
            )
    if args.figures:
        dataset.need_labels("--figures 1")
    unread = {f.name for f in entry.flags} - {f.name for f in entry.matters(vars(args))}
    flags = tuple(flag for flag in parser.flags if flag.name not in unread)
    return Settings(entry, flags, args, here, *precisions, dataset, free, began)


def _dataset(args: Namespace) -> datasets.Dataset:
    """The dataset, on the CPU; what "auto" is, and downloads, rank 0 sees to before the others."""
    if ranks.world() == 1:
        return datasets.load(args.dataset, args.data_dir)
    first = datasets.load(args.dataset, args.data_dir) if ranks.rank() == 0 else None
    name = ranks.gathered(first.source if first else "")[0]
    return first or datasets.load(name, args.data_dir)


def _compiler_is_there():
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def check(args: Namespace) -> None:
    """Raises a UserError for flags that do not go together, or not with torchrun."""
    if args.schedule != "constant" and args.lr_end > args.lr:
        raise UserError(f"--lr_end {args.lr_end:g} is above --lr {args.lr:g}, where it begins.")
    if args.schedule == "constant" and args.lr_end != LR_END:
        raise UserError(
            f"--lr_end {args.lr_end:g} changes nothing here: it is for --schedule cosine or burda."
        )
    if args.compile == 1 and not args.graph:
        raise UserError("--compile 1 compiles what is replayed, and --graph 0 replays nothing.")
    if args.compile == 1 and not _compiler_is_there():
        raise UserError("--compile 1 needs a C++ compiler: g++, or what CXX names, is not there.")
    shared = ranks.world() > 1 and not ranks.launched_here()
    if args.runs is None:
        if args.jobs > 1 or shared:
            way = "torchrun" if shared else f"--jobs {args.jobs}"
            raise UserError(f"{way} shares the runs of --runs N among processes; give --runs too.")
        if args.stack == "1":
            raise UserError("--stack 1 trains the runs of --runs N as one; give --runs too.")
        return
    if args.runs > 1 and args.seed is not None:
        raise UserError(
            f"--seed {args.seed} with --runs {args.runs} would train one run {args.runs} times; "
            "leave it out, and each run's id is its seed."
        )
    if args.run + args.runs > 10_000:
        raise UserError(
            f"--run {args.run} --runs {args.runs} goes beyond 9999, the largest run id."
        )
    if shared and args.jobs > 1:
        raise UserError(f"torchrun has started the processes; leave --jobs {args.jobs} out.")
    if shared and (args.overwrite or args.resume == "0"):
        raise UserError(
            "--overwrite 1 and --resume 0 are for one start; torchrun starts ranks again. Delete "
            "the folders in checkpoints/, or use --jobs."
        )
