"""TensorBoard logs: the contract's writer, and one whose troubles are clear sentences."""

import shutil
import threading
from pathlib import Path

from codebase import checkpoints
from codebase.errors import UserError

ROOT = Path("logs")


def prepare_writer(model_name, overwrite_existing=False):
    """A TensorBoard writer on logs/‹model_name›, for a run without log or checkpoints as yet.

    Args:
        model_name: the run's name.
        overwrite_existing: deletes those of an earlier run.
    Raises:
        UserError: there are some, and they are not to be overwritten.
    """
    for path in (ROOT / model_name, checkpoints.ROOT / model_name):
        if path.exists():
            if not overwrite_existing:
                raise UserError(
                    f"{path} exists; pass overwrite_existing=True to delete it, or another name."
                )
            shutil.rmtree(path)
    return _writer(ROOT / model_name)


def delete(name):
    """Deletes logs/‹name› if it is there."""
    if (ROOT / name).exists():
        shutil.rmtree(ROOT / name)


def _writer(path, **options):
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(path), **options)


class Log:
    """A TensorBoard writer on logs/‹name›, whose methods raise a UserError where the disk fails.

    Args:
        name: the run's.
        purge_step: what the log holds from this step on, of a stretch that was lost, is hidden.
    """

    def __init__(self, name, purge_step=None):
        self.path = ROOT / name
        threading.excepthook = _leave_to_the_caller
        self._writer = self._guarded(_writer)(self.path, purge_step=purge_step)

    def __getattr__(self, name):
        return self._guarded(getattr(self._writer, name))

    def _guarded(self, method):
        def call(*args, **kwargs):
            try:
                return method(*args, **kwargs)
            except OSError as error:
                raise UserError(
                    f"The log {self.path} cannot be written: {error.strerror or error}. "
                    "What was saved before is intact."
                ) from error

        return call

    def add_results(self, flags, metrics, step):
        """Logs a run's hyperparameters and final numbers."""
        from torch.utils.tensorboard.summary import hparams

        # The writer's own add_hparams would open a second log beside the run's.
        for summary in hparams(flags, metrics):
            self._guarded(self._writer.file_writer.add_summary)(summary)
        for name, value in metrics.items():
            self.add_scalar(name, value, step)


def _leave_to_the_caller(failure):
    """Says nothing of a disk error in TensorBoard's thread: the writer's next method raises it."""
    if not issubclass(failure.exc_type, OSError):
        threading.__excepthook__(failure)
