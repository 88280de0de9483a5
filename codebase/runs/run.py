"""One run of a script: its data, seeds, log, training and results.json."""

import contextlib
import functools
import platform
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch

from codebase import starter
from codebase.data import datasets
from codebase.data.batches import Batches, seeded_generator
from codebase.engine import cores, resume
from codebase.engine.devices import device, name_of
from codebase.engine.memory import keep_memory
from codebase.engine.session import Training
from codebase.errors import UserError
from codebase.files import disk, logs, records
from codebase.runs import ranks
from codebase.runs.folder import Place
from codebase.train import loop


class Run(Place):
    """Everything a script does that is not its model.

    Opening a run loads the dataset, names the run and seeds torch, before any weight exists.
    `fit` sees to what lies in the run's folder: a finished run is refused, an unfinished one of
    the same flags goes on. As a context manager it closes its log and lets the folder go.

    Args:
        parser, args, layout, named: as for Place.
        dataset: loaded already; None loads the one that args name.
        free: how many cores are free, if that is known already.
    Raises:
        UserError: no data, or no such device; in `fit`, a run of this name exists already.
    """

    def __init__(self, parser, args, layout, named, dataset=None, free=None):
        self.began = time.perf_counter()
        self.device = device(args.device)
        keep_memory()
        self.threads_before = torch.get_num_threads()
        known = args.threads or free
        with contextlib.nullcontext() if known else cores.FreeCores() as watched:
            dataset = dataset or datasets.load(args.dataset, args.data_dir)
            self.dataset = dataset.to(self.device)
        self.free = free if known else watched.count
        cores.take(args.threads, self.free)
        super().__init__(parser, args, layout, named, dataset.name)
        self.writer = self.trained = None

        print(f"{self.name}\n{self._describe_data()}; {self.device}, {_threads()}")
        torch.manual_seed(args.seed)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.writer:
            with contextlib.suppress(UserError):  # `finish` has closed what is to be kept
                self.writer.close()
        self.release()
        torch.set_num_threads(self.threads_before)  # the next run may find other cores free

    def _describe_data(self):
        n, m = len(self.dataset.train_x), len(self.dataset.test_x)
        comparable = self.dataset.name == "mnist"
        remark = "" if comparable else " (its numbers do not compare with MNIST's)"
        return f"data: {self.dataset.name}, {n:,} training and {m:,} test images{remark}"

    def _open_log(self):
        state = resume.read(self.state_path) if self.state_path.exists() else {"step": 0}
        start = state["step"]
        if start:
            if not self.args.threads:
                torch.set_num_threads(state["threads"])  # another number rounds differently
            print(f"Going on with this run from iteration {start}, with {_threads()}")
        else:
            logs.delete(self.name)  # of a start that was stopped before its first save
        self.writer = logs.Log(self.name, purge_step=start + 1 if start else None)

    def fit(self, model, labelled=None, watch=None):
        """Trains the model, or with --train 0 loads the checkpoint of --iter_max.

        Args:
            model: moved to the run's device already.
            labelled: the labelled pairs of a semi-supervised model.
            watch: called as watch(run, model, step) at every checkpoint.
        """
        if self.args.train:
            training = self.begin(model, labelled, watch)
            self.trained = self.loop(training.step(self.args.precision), [training])
        else:
            starter.load_model_by_name(model, self.args.iter_max, self.device)
            disk.make_folder(self.output)

    def begin(self, model, labelled=None, watch=None):
        """Makes the folder this run's, opens its log, and puts the model where it was, if it was.

        Args:
            The same as for `fit`.
        Returns:
            A Training.
        """
        self.claim()
        self._open_log()
        x, y = self.dataset.train_x, self.dataset.train_y
        shuffling = seeded_generator(self.args.seed, self.device)
        return Training(
            model,
            Batches(x, y, self.args.batch_size, shuffling),
            labelled,
            self.device,
            self.writer,
            "none" if labelled is None else "semisup",
            lr=self.args.lr,
            state_path=self.state_path,
            on_checkpoint=(lambda step: watch(self, model, step)) if watch else None,
        )

    def loop(self, step, trainings, on_failure=None):
        """The training loop, by this run's flags; the arguments are those of `train.loop`."""
        from tqdm import tqdm

        if ranks.world() > 1:  # their bars would write over each other
            tqdm = functools.partial(tqdm, disable=True)
        args = self.args
        return loop(
            step,
            trainings,
            tqdm,
            args.iter_max,
            args.iter_save,
            graph=bool(args.graph),
            save_every_seconds=args.save_every_seconds,
            on_step=None if args.threads else cores.Retreat(),
            on_failure=on_failure,
        )

    def finish(self, numbers, **extra):
        """Writes results.json and the log's hyperparameters, and says where everything lies.

        Args:
            numbers: {group: {name: Number}}.
            extra: further content of results.json.
        """
        results = {
            "run": self.name,
            "flags": vars(self.args),
            "data": {"name": self.dataset.name, "sha256": self.dataset.sha256()},
            "device": {"kind": str(self.device), "name": name_of(self.device)},
            "versions": _versions(),
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "training": self._training(),
            "numbers": {
                group: {name: {"value": n.value, "se": n.se} for name, n in members.items()}
                for group, members in numbers.items()
            },
            "seconds": round(time.perf_counter() - self.began, 1),
        } | extra
        records.write(self.results_path, results)
        if self.writer:
            flat = {f"{g}/{name}": n.value for g, ns in numbers.items() for name, n in ns.items()}
            kind = self.name.partition("_")[0].removeprefix("model=")
            self.writer.add_results({"model": kind} | self.flags, flat, self.args.iter_max)
            self.writer.close()
            self.tidy()
        print(f"\nresults and pictures: {self.output}\ncurves: tensorboard --logdir {logs.ROOT}")

    def _training(self):
        if self.trained is None:
            return None  # --train 0
        t = self.trained
        return {
            "iterations": t.step,
            "iterations_in_this_stretch": t.steps,
            "seconds": round(t.seconds, 2),
            "iterations_per_second": round(t.steps / t.seconds, 1) if t.seconds else None,
            "threads": torch.get_num_threads(),
            "runs_at_once": t.models,
        }


def _threads():
    n = torch.get_num_threads()
    return f"{n} CPU thread{'s' if n > 1 else ''}"


def _versions():
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "git_commit": _git_commit(),
    }


def _git_commit():
    """The project's commit, with "+" if files it tracks differ from it; None outside git."""
    here = Path(__file__).parent
    try:
        commit, changes = (
            subprocess.run(
                ["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changes else "")
