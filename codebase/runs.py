"""One run of a script: its name, folder, seeds, log, training and results.json."""

import contextlib
import os
import platform
import shutil
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

import filelock
import numpy as np
import torch

from codebase import checkpoints, data, datasets, logs, records, resume, threads
from codebase.errors import UserError
from codebase.precision import resolve
from codebase.process import keep_memory
from codebase.train import train

LOCKS = "lock", "owner.json"
# Flags that change no number of a run.
NEUTRAL = {"device", "threads", "data_dir", "dataset", "run", "train", "iter_save"}
NEUTRAL |= {"save_every_seconds", "resume", "overwrite", "graph"}


class Run:
    """Everything a script does that is not its model.

    Opening a run loads the dataset, names the run and seeds torch, before any weight exists.
    `fit` sees to what lies in the run's folder: a finished run is refused, an unfinished one of
    the same flags goes on.

    Args:
        parser: the script's parser, for its defaults.
        args: what it parsed.
        layout: the contract's name without its run id, such as "model=vae_z=10".
        named: flags that have their place in the layout. Any other flag that changes the numbers
            is appended to the name when it is not at its default.
    Raises:
        UserError: no data, or no such device; in `fit`, a run of this name exists already.
    """

    def __init__(self, parser, args, layout, named):
        self.args, self.began = args, time.perf_counter()
        self.device = _device(args.device)
        keep_memory()
        with threads.FreeCores() as free:
            self.dataset = datasets.load(args.dataset, args.data_dir).to(self.device)
        threads.take(args.threads, free.count)
        args.seed = args.run if args.seed is None else args.seed
        args.precision = resolve(args.precision, self.device)
        defaults = vars(parser.parse_args([])) | {"seed": args.run}
        defaults["precision"] = resolve(defaults["precision"], self.device)
        self.flags = {k: v for k, v in vars(args).items() if k not in NEUTRAL}
        self.flags["data"] = self.dataset.name
        defaults["data"] = "mnist"
        self.changed = {k: v for k, v in self.flags.items() if v != defaults[k]}
        unusual = {k: v for k, v in self.changed.items() if k not in {*named, "iter_max"}}
        parts = [f"{k}={_general(v)}" for k, v in sorted(unusual.items())]
        self.name = "_".join([layout, f"run={args.run:04d}", *parts])
        self.folder = checkpoints.ROOT / self.name
        self.state_path = self.folder / "resume.pt"
        self.results_path = self.folder / "results.json"
        # What --train 0 finds is kept apart: the run's own record is of its training.
        self.output = self.folder if args.train else self.folder / f"evaluation-{args.iter_max:05d}"
        self.writer = self.training = None

        print(f"{self.name}\n{self._describe_data()}; {self.device}, {_threads()}")
        torch.manual_seed(args.seed)

    def _describe_data(self):
        n, m = len(self.dataset.train_x), len(self.dataset.test_x)
        comparable = self.dataset.name == "mnist"
        remark = "" if comparable else " (its numbers do not compare with MNIST's)"
        return f"data: {self.dataset.name}, {n:,} training and {m:,} test images{remark}"

    def _claim(self):
        """Makes the run's folder ours, or says why not."""
        self._lock()
        recorded = self.folder / "flags.json"
        if self.args.overwrite:
            for path in self.folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name not in LOCKS:
                    path.unlink()
            logs.delete(self.name)
        way_out = "--overwrite 1 deletes it and starts anew; --run N takes another run id."
        if self.results_path.exists():
            raise UserError(f"The run {self.folder} exists and is finished. {way_out}")
        if recorded.exists():
            before = records.read(recorded, way_out)
            changed = sorted(k for k in self.flags if before.get(k) != self.flags[k])
            if changed:
                was = ", ".join(f"{k} was {before.get(k)}, is {self.flags[k]}" for k in changed)
                raise UserError(f"The run {self.folder} exists with other flags ({was}). {way_out}")
            if self.args.resume == "0":
                raise UserError(f"The run {self.folder} exists, unfinished. {way_out}")
        elif self.state_path.exists() or any(self.folder.glob("model-*.pt")):
            raise UserError(f"The run {self.folder} exists, without its flags.json. {way_out}")
        checkpoints.sweep(self.folder)
        records.write(recorded, self.flags)

    def _lock(self):
        """Makes this process the folder's only writer until it ends, however it ends.

        The lock is the operating system's, so that of a process which died is gone with it; on a
        shared folder it holds as far as that file system keeps locks between hosts.
        """
        checkpoints.make_folder(self.folder)
        try:
            self.lock = filelock.FileLock(self.folder / LOCKS[0])
            self.lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UserError(
                f"The run {self.folder} is being trained by {self._owner()}. Wait for it, stop it, "
                "or take another run id with --run N."
            ) from None
        except OSError as error:
            raise UserError(f"{self.folder} cannot be written: {error.strerror}.") from error
        owner = {"pid": os.getpid(), "host": platform.node()}
        records.write(self.folder / LOCKS[1], owner)

    def _owner(self):
        try:
            owner = records.read(self.folder / LOCKS[1])
            return f"process {owner['pid']} on {owner['host']}"
        except (UserError, KeyError):
            return "another process"

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
        args = self.args
        if not args.train:
            checkpoints.load_model_by_name(model, args.iter_max, self.device)
            checkpoints.make_folder(self.output)
            return
        from tqdm import tqdm

        self._claim()
        self._open_log()
        loader = data.Batches(
            self.dataset.train_x,
            self.dataset.train_y,
            args.batch_size,
            data.generator(args.seed, self.device),
        )
        self.training = train(
            model,
            loader,
            labelled,
            self.device,
            tqdm,
            self.writer,
            iter_max=args.iter_max,
            iter_save=args.iter_save,
            y_status="none" if labelled is None else "semisup",
            lr=args.lr,
            precision=args.precision,
            graph=bool(args.graph),
            state_path=self.state_path,
            save_every_seconds=args.save_every_seconds,
            on_checkpoint=(lambda step: watch(self, model, step)) if watch else None,
            on_look=None if args.threads else threads.Retreat(),
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
            "device": {"kind": str(self.device), "name": _device_name(self.device)},
            "versions": _versions(),
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "training": self._training(),
            "numbers": {
                group: {name: {"value": n.value, "se": n.se} for name, n in members.items()}
                for group, members in numbers.items()
            },
            "seconds": round(time.perf_counter() - self.began, 1),
        } | extra
        records.write(self.output / "results.json", results)
        if self.writer:
            flat = {f"{g}/{name}": n.value for g, ns in numbers.items() for name, n in ns.items()}
            self.writer.add_results(self.flags, flat, self.args.iter_max)
            self.writer.close()
            self.state_path.unlink(missing_ok=True)
            self.lock.release()
            for name in LOCKS:  # what is finished is refused without them
                with contextlib.suppress(OSError):  # another process is just finding that out
                    (self.folder / name).unlink()
        print(f"\nresults and pictures: {self.output}\ncurves: tensorboard --logdir {logs.ROOT}")

    def _training(self):
        if self.training is None:
            return None  # --train 0
        t = self.training
        return {
            "iterations": t.step,
            "iterations_in_this_stretch": t.steps,
            "seconds": round(t.seconds, 2),
            "iterations_per_second": round(t.steps / t.seconds, 1) if t.seconds else None,
            "threads": torch.get_num_threads(),
        }


def _general(value):
    return str(value).removesuffix(".0")


def _device(name):
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    available = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if name in available and not available[name]():
        raise UserError(f"--device {name}: this machine has none that torch can use; try cpu.")
    return torch.device(name)


def _device_name(device):
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


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
