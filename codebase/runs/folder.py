"""Where a run lies: its name, its folder, what is in there already, and who may write to it."""

import contextlib
import os
import platform
import shutil

import filelock

from codebase.engine.devices import device
from codebase.engine.precision import resolve
from codebase.errors import UserError
from codebase.files import checkpoints, disk, logs, records

LOCKS = "lock", "owner.json"
# Flags that change no number of a run.
NEUTRAL = {"device", "threads", "data_dir", "dataset", "run", "train", "iter_save"}
NEUTRAL |= {
    "save_every_seconds",
    "resume",
    "overwrite",
    "runs",
    "jobs",
    "eval_iw",
    "figures",
    "graph",
    "stack",
}
WAY_OUT = "--overwrite 1 deletes it and starts anew; --run N takes another run id."


class Place:
    """A run's name and folder. Nothing is touched before `claim` or `clear`.

    Args:
        parser: the script's parser, for its defaults.
        args: what it parsed; a seed that was not given becomes the run id, and a precision of
            "auto" what that is on the device.
        layout: the contract's name without its run id, such as "model=vae_z=10".
        named: flags that have their place in the layout. Any other flag that changes the numbers
            is appended to the name when it is not at its default.
        data: name of the dataset.
    """

    def __init__(self, parser, args, layout, named, data):
        self.args = args
        args.seed = args.run if args.seed is None else args.seed
        here = device(args.device)
        args.precision = resolve(args.precision, here)
        defaults = vars(parser.parse_args([]))
        defaults |= {"seed": args.run, "precision": resolve("auto", here)}
        self.flags = {k: v for k, v in vars(args).items() if k not in NEUTRAL}
        self.flags["data"] = data
        defaults["data"] = "mnist"
        self.changed = {k: v for k, v in self.flags.items() if v != defaults[k]}
        unusual = {k: v for k, v in self.changed.items() if k not in {*named, "iter_max"}}
        self.name = run_name(layout, args.run, unusual)
        self.folder = checkpoints.ROOT / self.name
        self.state_path = self.folder / "resume.pt"
        # What --train 0 finds is kept apart: the run's own record is of its training.
        self.output = self.folder if args.train else self.folder / f"evaluation-{args.iter_max:05d}"
        self.results_path = self.output / "results.json"
        self.lock = None

    def claim(self):
        """Makes the folder this process's own, for a run that is new or goes on.

        Raises:
            UserError: the run is finished, has other flags, or another process trains it.
        """
        self._lock()
        if self.args.overwrite:
            self._empty()
        if self.results_path.exists():
            raise UserError(f"The run {self.folder} exists and is finished. {WAY_OUT}")
        self.refuse_others()
        disk.sweep(self.folder)
        records.write(self.folder / "flags.json", self.flags)

    def refuse_others(self):
        """Raises a UserError if what lies in the folder is not this run, or may not go on."""
        recorded = self.folder / "flags.json"
        if recorded.exists():
            before = records.read(recorded, WAY_OUT)
            changed = sorted(k for k in self.flags if before.get(k) != self.flags[k])
            if changed:
                was = ", ".join(f"{k} was {before.get(k)}, is {self.flags[k]}" for k in changed)
                raise UserError(f"The run {self.folder} exists with other flags ({was}). {WAY_OUT}")
            if self.args.resume == "0" and not self.results_path.exists():
                raise UserError(f"The run {self.folder} exists, unfinished. {WAY_OUT}")
        elif self.state_path.exists() or any(self.folder.glob("model-*.pt")):
            raise UserError(f"The run {self.folder} exists, without its flags.json. {WAY_OUT}")

    def clear(self):
        """Deletes the run, or with --train 0 the numbers of its evaluation.

        Raises:
            UserError: another process trains it.
        """
        if not self.args.train:
            self.results_path.unlink(missing_ok=True)
        elif self.folder.exists():
            self._lock()
            self._empty()
            self.release()

    def release(self):
        """Lets other processes have the folder."""
        if self.lock:
            self.lock.release()
            self.lock = None

    def tidy(self):
        """Removes what only an unfinished run needs, and releases the folder."""
        self.state_path.unlink(missing_ok=True)
        self.release()
        for name in LOCKS:  # what is finished is refused without them
            with contextlib.suppress(OSError):  # another process is just finding that out
                (self.folder / name).unlink()

    def _empty(self):
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in LOCKS:
                path.unlink()
        logs.delete(self.name)

    def _lock(self):
        """Makes this process the folder's only writer until it ends, however it ends.

        The lock is the operating system's, so that of a process which died is gone with it; on a
        shared folder it holds as far as that file system keeps locks between hosts.
        """
        disk.make_folder(self.folder)
        try:
            lock = filelock.FileLock(self.folder / LOCKS[0])
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UserError(
                f"The run {self.folder} is being trained by {self._owner()}. Wait for it, stop it, "
                "or take another run id with --run N."
            ) from None
        except OSError as error:
            raise UserError(f"{self.folder} cannot be written: {error.strerror}.") from error
        self.lock = lock
        owner = {"pid": os.getpid(), "host": platform.node()}
        records.write(self.folder / LOCKS[1], owner)

    def _owner(self):
        try:
            owner = records.read(self.folder / LOCKS[1])
            return f"process {owner['pid']} on {owner['host']}"
        except (UserError, KeyError):
            return "another process"


def run_name(layout, run, unusual):
    """A run's name: its layout, its id, and {flag: value} of what else sets it apart."""
    parts = [f"{k}={str(v).removesuffix('.0')}" for k, v in sorted(unusual.items())]
    return "_".join([layout, f"run={run:04d}", *parts])
