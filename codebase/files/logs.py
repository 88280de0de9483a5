"""TensorBoard logs: the contract's writer, and one whose troubles are clear sentences."""

import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from codebase.errors import UserError
from codebase.files import disk
from codebase.sides import side_of

if TYPE_CHECKING:
    import torch
    from torch.utils.tensorboard import SummaryWriter

Writer: TypeAlias = "SummaryWriter | Log | None"

ROOT = Path("logs")
# Charts of several curves, for the CUSTOM SCALARS dashboard: {section: {title: regular expression
# of the tags}}. Runs whose layouts agree share their charts there.
BOUND = {
    "Bound, in nats": {
        "test subset: nelbo = kl + rec": r"test/(nelbo|kl|kl_z|kl_y|rec)$",
        "minibatch: elbo = −kl − rec": r"gen/(elbo|kl_z|kl_y|rec)$",
    }
}
ERROR = {
    "Squared error, summed over pixels": {
        "minibatch, test images": r"(gen|test)/error$",
        "minibatch: loss, penalty": r"(train/loss|gen/penalty)$",
    }
}
GAME = {
    "Game": {
        "what the players lose": r"gan/(discriminator|generator)$",
        "D of images and samples": r"(gan/d_(real|drawn)|test/D of .*)$",
        "value, on test images": r"test/value$",
    }
}
CLASSIFIER = {"Classifier": {"accuracy: minibatch, test set": r"(class/acc|test/accuracy)$"}}


def log_summaries(writer: Writer, summaries: Mapping[str, Any], global_step: int) -> None:
    """Writes one scalar per tag; a writer of None writes nothing."""
    if writer is not None:
        for tag, value in summaries.items():
            writer.add_scalar(tag, value, global_step)


def delete(name: str) -> None:
    """Deletes logs/‹name› if it is there.

    Raises:
        UserError: it cannot be deleted.
    """
    disk.delete(ROOT / name)


def scalars(name: str) -> dict[str, list[tuple[int, float]]]:
    """What logs/‹name› holds, without what a stretch that was lost had logged.

    Returns:
        {tag: [(iteration, number), …]}; empty if there is no such log.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not (ROOT / name).is_dir():
        return {}
    log = EventAccumulator(str(ROOT / name), size_guidance={"scalars": 0}).Reload()  # 0: all
    return {tag: [(e.step, e.value) for e in log.Scalars(tag)] for tag in log.Tags()["scalars"]}


def plain_writer(path: Path, **options: Any) -> "SummaryWriter":
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(path), **options)


class Log:
    """A TensorBoard writer on logs/‹name›, whose methods raise a UserError where the disk fails.

    Args:
        name: the run's.
        purge_step: what the log holds from this step on, of a stretch that was lost, is hidden.
    """

    def __init__(self, name: str, purge_step: int | None = None) -> None:
        self.path, self._laid_out = ROOT / name, False
        threading.excepthook = _leave_to_the_caller
        self._writer = self._guarded(plain_writer)(self.path, purge_step=purge_step)

    def __getattr__(self, name: str) -> Any:
        return self._guarded(getattr(self._writer, name))

    def _guarded(self, method):
        def call(*args, **kwargs):
            try:
                return method(*args, **kwargs)
            except OSError as error:
                raise UserError(
                    f"The log {self.path} cannot be written: {error.strerror or error}. "
                    f"{disk.what_is_left(self.path)}"
                ) from error

        return call

    def lay_out(self, layout: Mapping[str, Mapping[str, str]]) -> None:
        """Puts several curves into one chart: BOUND, ERROR, CLASSIFIER, merged."""
        if not self._laid_out:  # once a process: the dashboard takes the first
            self.add_custom_scalars(
                {
                    section: {title: ["Multiline", [tags]] for title, tags in charts.items()}
                    for section, charts in layout.items()
                }
            )
            self._laid_out = True

    def add_latents(
        self, means: "torch.Tensor", x: "torch.Tensor", y: "torch.Tensor | None", step: int
    ) -> None:
        """Logs posterior means for the projector, each with its image and its label.

        Args:
            means: (N, Z).
            x, y: the images (N, D) in [0, 1] and their labels (N,), or None.
        """
        # The writer would complain of what a process that was killed here has left.
        shutil.rmtree(self.path / f"{step:05d}", ignore_errors=True)
        side = side_of(x.shape[1])
        pictures = (1 - x).view(-1, 1, side, side).expand(-1, 3, -1, -1)  # ink on paper
        labels = None if y is None else y.tolist()
        self.add_embedding(means, labels, pictures, step, tag="posterior_mean")

    def add_results(
        self, flags: Mapping[str, Any], metrics: Mapping[str, float], step: int
    ) -> None:
        """Logs a run's hyperparameters and its final numbers, final_‹group›/‹name›."""
        from torch.utils.tensorboard.summary import hparams

        metrics = {f"final_{name}": value for name, value in metrics.items()}
        # The writer's own add_hparams would open a second log beside the run's. The first of the
        # three summaries lists this run's flags and numbers as everyone's: where runs of several
        # models lie together, the dashboard would show no others. It finds them without.
        _, *session = hparams(flags, metrics)
        for summary in session:
            self._guarded(self._writer.file_writer.add_summary)(summary)
        for name, value in metrics.items():
            self.add_scalar(name, value, step)


def _leave_to_the_caller(failure):
    """Says nothing of a disk error in TensorBoard's thread: the writer's next method raises it."""
    if not issubclass(failure.exc_type, OSError):
        threading.__excepthook__(failure)
