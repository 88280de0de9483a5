"""A run's folder: what is in there already, and who may write to it."""

import contextlib
import os
import platform

import filelock

from codebase.errors import UserError
from codebase.files import checkpoints, disk, logs, records
from codebase.runs import record
from codebase.runs.settings import Settings

LOCKS = "lock", "owner.json"
FLAGS = "flags.json"
WAY_OUT = "--overwrite 1 deletes it and starts anew; --run N takes another run id."


class Folder:
    """Where a run lies: what is in there already, and who may write to it.

    Nothing is touched before `claim` or `clear`.

    Args:
        settings: the run's `Settings`.
    Attributes:
        path: checkpoints/‹run›.
        state_path: of the state that an interrupted training goes on from.
        output: receives numbers and pictures; what --train 0 finds is kept apart, because the
            run's own record is of its training.
        results_path: of the record.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.args = settings, settings.args
        self.path = checkpoints.ROOT / settings.name
        self.state_path = self.path / "resume.pt"
        again = f"evaluation-{self.args.iter_max:05d}"
        self.output = self.path if self.args.train else self.path / again
        self.results_path = self.output / "results.json"
        self.lock: filelock.BaseFileLock | None = None

    def claim(self) -> None:
        """Makes the folder this process's own, for a run that is new or goes on.

        Raises:
            UserError: the run is finished, has other flags or data, or another process trains it;
                or with --overwrite 1 it cannot be deleted.
        """
        self._lock()
        if self.args.overwrite:
            self._empty()
        if self.finished():
            self._unlock()
            raise UserError(
                f"The run {self.path} exists and is finished. --train 0 evaluates it again; "
                f"{WAY_OUT}"
            )
        self.refuse_others()
        disk.sweep(self.path)
        records.write(self.path / FLAGS, self.settings.identity | self.settings.whereabouts)

    def finished(self) -> bool:
        """Whether there is a record, and of this run.

        Raises:
            UserError: it is damaged, or one of another run, which it has outlived.
        """
        if not self.results_path.exists():
            return False
        before = record.of_results(self.results_path, WAY_OUT)
        # An earlier record says less; numbers measured again hardly depend on the precision.
        said = {k: v for k, v in self.settings.identity.items() if k in before}
        if not self.args.train:
            said.pop("precision", None)
        record.compare(self.path, said, before, WAY_OUT)
        return True

    def refuse_others(self) -> None:
        """Raises a UserError if what lies in the folder is not this run, or may not go on."""
        recorded = self.path / FLAGS
        if not self.args.train:
            data = self.settings.dataset
            if recorded.exists():
                record.of_flags(recorded, "Delete it.")  # or its data go unchecked
            record.check_data(self.path, data, "--dataset" if data.path else "--data_dir")
            return
        if recorded.exists():
            mine = self.settings.identity
            # The folder's name says the model too; where the hash is missing, nothing compares. A
            # flag that there was not yet was at its default.
            earlier = {k: mine[k] for k in record.LATER}
            earlier |= {f.name: f.default for f in self.settings.flags if f.name in mine}
            before = earlier | record.of_flags(recorded, WAY_OUT)
            record.compare(self.path, mine, before, WAY_OUT)
            if self.args.resume == "0" and not self.results_path.exists():
                raise UserError(f"The run {self.path} exists, unfinished. {WAY_OUT}")
        elif self.state_path.exists() or any(self.path.glob("model-*.pt")):
            raise UserError(f"The run {self.path} exists, without its {FLAGS}. {WAY_OUT}")

    def look_for_others(self) -> None:
        """Raises a UserError if another process trains the run."""
        if self.args.train and (self.path / LOCKS[0]).exists():
            self._lock()
            self.release()

    def clear(self) -> None:
        """Deletes the run, or with --train 0 the numbers of its evaluation.

        Raises:
            UserError: another process trains it.
        """
        if not self.args.train:
            disk.delete(self.results_path)
        elif self.path.exists():
            self._lock()
            self._empty()
            self.release()

    def release(self) -> None:
        """Lets other processes have the folder."""
        if self.lock:
            self.lock.release()
            self.lock = None

    def tidy(self) -> None:
        """Removes what only an unfinished run needs, and releases the folder."""
        self.state_path.unlink(missing_ok=True)
        self._unlock()

    def _unlock(self):
        """Releases the folder of a finished run, which has no locks."""
        self.release()
        for name in LOCKS:  # what is finished is refused without them
            with contextlib.suppress(OSError):  # another process is just finding that out
                (self.path / name).unlink()

    def _empty(self):
        """Deletes the run, its record first and its flags last.

        Whatever it is stopped by, what is left is then an unfinished run of the flags it says, or
        nothing.
        """
        order = {self.results_path.name: -1, FLAGS: 1}
        for path in sorted(self.path.iterdir(), key=lambda path: order.get(path.name, 0)):
            if path.name not in LOCKS:
                disk.delete(path)
        logs.delete(self.settings.name)

    def _lock(self):
        """Makes this process the folder's only writer until it ends, however it ends.

        The lock is the operating system's, so that of a process which died is gone with it; on a
        shared folder it holds as far as that file system keeps locks between hosts.
        """
        disk.make_folder(self.path)
        try:
            lock = filelock.FileLock(self.path / LOCKS[0])
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UserError(
                f"The run {self.path} is being trained by {self._owner()}. Wait for it, stop it, "
                "or take another run id with --run N."
            ) from None
        except OSError as error:
            raise UserError(f"{self.path} cannot be written: {error.strerror}.") from error
        self.lock = lock
        owner = {"pid": os.getpid(), "host": platform.node()}
        records.write(self.path / LOCKS[1], owner)

    def _owner(self):
        try:
            owner = records.read(self.path / LOCKS[1])
            return f"process {owner['pid']} on {owner['host']}"
        except (UserError, KeyError):
            return "another process"
