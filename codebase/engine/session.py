"""One model in training: its numbers looked at and logged, its state saved."""

import contextlib
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from codebase.data import checks
from codebase.data.batches import CLASSES, Batches
from codebase.data.stream import Labelled, Loader, Stream
from codebase.engine import resume
from codebase.engine.average import Average
from codebase.engine.graph import captured
from codebase.engine.randomness import random_state, seeded, set_random_state
from codebase.engine.schedules import Schedule
from codebase.engine.selection import Selection
from codebase.engine.step import Moments, Step, Taken
from codebase.errors import UserError
from codebase.files import checkpoints, disk, records
from codebase.files.logs import Writer, log_summaries
from codebase.models.adapter import adapted


class Session:
    """A model in training: where its minibatches come from, its numbers go and its files lie.

    The loop calls `begin`, then `step` and `note` at every iteration, `look`, `evaluate` and `save`
    at some. It goes on from the iteration `start`, which took `seconds` to come to.

    Args:
        lr: a learning rate, or a `Schedule` of it.
        decay: of an `Average` of the weights, which is evaluated and saved in the place of the
            latest; 0: none is kept.
        selection: a `Selection` of the best weights, measured at every evaluation and checkpoint.
        on_evaluation: called with the iteration by `evaluate`.
        The others as for `train`.
    Attributes:
        step: a `Step`, or what replays it.
        start: the iteration it goes on from.
        company: names of the models that it shared its noise with so far.
        failure: the UserError or OSError that ended it while others went on, or None.
        models: how many are trained, one.
    Raises:
        UserError: the file at state_path is of another training, no folder can be made, or
            labeled_subset is not what it should be (see `checks.pairs`).
        ValueError: a state_path without `Batches`.
    """

    models = 1
    failure: UserError | OSError | None = None

    def __init__(
        self,
        model: nn.Module,
        train_loader: Loader,
        labeled_subset: Labelled | None,
        device: torch.device | str,
        writer: Writer,
        y_status: str = "none",
        *,
        lr: float | Schedule = 1e-3,
        precision: str = "fp32",
        graph: bool = False,
        fuse: bool = False,
        decay: float = 0,
        selection: Selection | None = None,
        state_path: Path | None = None,
        on_checkpoint: Callable[[int], object] | None = None,
        on_evaluation: Callable[[int], object] | None = None,
    ) -> None:
        self.model, self.writer = adapted(model), writer
        self.state_path = state_path
        self.on_checkpoint, self.on_evaluation = on_checkpoint, on_evaluation
        self.semisup = y_status == "semisup"
        classes = self.model.y_dim or CLASSES
        labelled = labeled_subset if self.semisup else None
        if self.semisup and not isinstance(labelled, Batches):
            labelled = checks.pairs(labelled, classes)
        if y_status == "fullsup" and isinstance(train_loader, Batches):  # others tell as they come
            checks.labels(train_loader.y, len(train_loader.y), classes, "y of train_loader")
        self.stream = Stream(
            train_loader,
            labelled,
            device,
            self.model.abilities.pixels,
            classes if y_status == "fullsup" else 0,
            next(model.parameters()).dtype,
        )
        if state_path and not self.stream.own:
            raise ValueError("state_path needs a train_loader that is a data.batches.Batches")
        self.plain_step, self.selection = Step(self.model, self.stream, lr, precision), selection
        if decay:
            self.plain_step.average = Average(self.model, decay)
        self.start, self.company, self.seconds = 0, [self.model.name], 0.0
        if state_path and state_path.exists():
            before = resume.restore(state_path, self.plain_step, self._kept())
            self.start, self.company, self.seconds = before
        self.random = random_state()
        self.step = captured(self.plain_step, fuse) if graph else self.plain_step
        self._notes: list[tuple[torch.Tensor, torch.Tensor | None]] = []
        disk.make_folder(checkpoints.model_path(self.model.name, 0).parent)

    def begin(self) -> None:
        """Sets torch's generators to where this session has them, and the model to training."""
        take_up_noise([self])
        self.model.train()

    def note(self, taken: Taken) -> None:
        """Keeps what a step handed back until it is looked at; nothing waits for the device."""
        values, x, y = taken
        self._notes.append((values, self.stream.drawn()))
        self._latest = x, y

    def look(self, iteration: int) -> dict[str, float]:
        """Judges and logs the numbers noted since the last look, in one transfer.

        Returns:
            The latest summaries.
        Raises:
            UserError: a number was not finite.
        """
        values, drawn = zip(*self._notes, strict=True)
        self._notes = []
        (norm,) = self.plain_step.gradient_norms()
        rows = named(self.plain_step.tags, torch.stack(values).cpu())
        return self.judge(iteration, rows, norm, *self._latest, drawn)

    def evaluate(self, iteration: int) -> None:
        """Has the model evaluated between checkpoints, if anyone is to; training goes on as if not.

        Raises:
            UserError: the log cannot be written.
        """
        with self._as_evaluated():
            self._select(iteration)
            if self.on_evaluation:
                self.on_evaluation(iteration)

    def save(
        self, iteration: int, checkpoint: bool, stopped: bool = False, seconds: float = 0.0
    ) -> None:
        """Saves the state to go on from, and at a checkpoint the weights.

        Args:
            stopped: whether the checkpoint is one only because the training is stopped here.
            seconds: trained for, before it was last interrupted too.
        Raises:
            UserError: a weight is not finite, so that no such file replaces a good one; or a file
                cannot be written.
        """
        (moments,) = self.plain_step.moments()
        self.write(iteration, moments, [self.model.name], checkpoint, stopped, seconds)

    def settle(self, iteration: int) -> None:
        """Gives the model the weights it is to be used with, once it is trained.

        Those are the best where a selection is made, and replace the last checkpoint's.

        Raises:
            UserError: they cannot be read, or written.
        """
        if self.selection:
            self.selection.put()
            checkpoints.save(
                checkpoints.model_path(self.model.name, iteration), self.model.state_dict()
            )
        elif self.plain_step.average:
            self.plain_step.average.put()

    @contextlib.contextmanager
    def _as_evaluated(self):
        """The model is what it will be once it is trained: in evaluation mode, with its averaged
        weights if such are kept. What is drawn meanwhile, the training does not miss.
        """
        average = self.plain_step.average
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            # A callback may want gradients, which `seeded` has none of.
            averaged = average.in_place() if average else contextlib.nullcontext()
            with seeded(), torch.enable_grad(), averaged:
                yield
        finally:
            for module, training in modes:
                module.training = training

    def _kept(self):
        """{name: what has a state beside the model and the step}."""
        kept = {"average": self.plain_step.average, "selection": self.selection}
        return {name: own for name, own in kept.items() if own}

    def _select(self, iteration):
        if self.selection:
            value = self.selection.consider(iteration)
            log_summaries(self.writer, {"validation/nelbo": value}, iteration)

    def saved_in(self, iteration: int) -> str:
        """Where the checkpoint of an iteration lies, in words."""
        return f"saved in {checkpoints.model_path(self.model.name, iteration)}"

    # A part of the above that a session of several models does for each.

    def judge(
        self,
        iteration: int,
        rows: list[dict[str, float]],
        grad_norm: float,
        x: torch.Tensor,
        y: torch.Tensor,
        drawn: Sequence[torch.Tensor | None],
    ) -> dict[str, float]:
        """Logs the latest summaries, once every number since the last look was finite.

        If one was not, the minibatch that broke is written down, for replay.

        Args:
            rows: the summaries by tag of each iteration since the last look.
            grad_norm: of the latest gradient. Taken at every step it would cost a twentieth of
                it; a broken gradient between two looks breaks the weights, so that the next
                iteration's terms tell.
            x, y: the latest unlabelled minibatch.
            drawn: of each row the positions of its minibatch in the training set, or None.
        Returns:
            The latest summaries.
        Raises:
            UserError: a number was not finite.
        """
        summaries = rows[-1]
        summaries["train/grad_norm"] = grad_norm
        broken = [i for i, row in enumerate(rows) if not all(map(math.isfinite, row.values()))]
        if broken:
            self._break(iteration - len(rows) + 1 + broken[0], broken[0], rows, drawn)
        if self.semisup and self.model.abilities.classifier:
            with seeded():  # some models draw for it
                right = self.model.label_posterior(x).mode == y
            summaries["class/acc"] = right.float().mean().item()
        log_summaries(self.writer, summaries, iteration)
        return summaries

    def _break(self, iteration, row, rows, drawn):
        wrong = {tag: v for tag, v in rows[row].items() if not math.isfinite(v)}
        # Loss and gradient are last to blame: they go wrong because a term does.
        terms = [tag for tag in wrong if not tag.startswith("train/")] or list(wrong)[:1]
        message = _stopped(iteration, ", ".join(f"{tag} is {wrong[tag]}" for tag in terms))
        if drawn[row] is not None:
            path = checkpoints.ROOT / self.model.name / f"nonfinite-{iteration:05d}.json"
            replay = {"iteration": iteration, "terms": terms}
            replay["train_positions"] = drawn[row].tolist()
            if row:
                replay["train_positions_before"] = drawn[row - 1].tolist()
            records.write(path, replay)
            message += f" The minibatch's positions in the training set are in {path}."
        raise UserError(message)

    def write(
        self,
        iteration: int,
        moments: Moments,
        company: list[str],
        checkpoint: bool,
        stopped: bool,
        seconds: float,
    ) -> None:
        """Writes checkpoint, log and state, in this order.

        Args:
            moments: Adam's state, {player: {parameter's number: state}}.
            company: names of the models that share its noise.
            checkpoint: whether the weights are saved too, and `on_checkpoint` told, unless it is
                one only because the training is stopped.
            seconds: as for `save`.
        """
        if not torch.stack([torch.isfinite(p).all() for p in self.model.parameters()]).all():
            raise UserError(_stopped(iteration, "a weight is not finite"))
        if checkpoint:
            path = checkpoints.model_path(self.model.name, iteration)
            with self._as_evaluated():
                checkpoints.save(path, self.model.state_dict())
                if not stopped:
                    self._select(iteration)
                    if self.on_checkpoint:
                        self.on_checkpoint(iteration)
        if self.writer is not None:
            self.writer.flush()
        if self.state_path:  # last: what it has gone past is not done again
            resume.save(
                self.state_path,
                iteration,
                self.model,
                moments,
                self.stream,
                company,
                seconds,
                {name: own.state_dict() for name, own in self._kept().items()},
            )


def take_up_noise(sessions: Sequence[Session]) -> None:
    """Sets torch's generators to where the first session has them, whatever was drawn since.

    Sessions that go on in other company than before may all have saved the same place; there
    they would meet the same noise again, so another is drawn from their names and the iteration.
    """
    company = [session.model.name for session in sessions]
    if all(not session.start or session.company == company for session in sessions):
        set_random_state(sessions[0].random)
    else:
        torch.manual_seed(zlib.crc32(f"{company} {sessions[0].start}".encode()))


def named(tags: Sequence[str], values: torch.Tensor) -> list[dict[str, float]]:
    """Rows of numbers, (n, T), as [{tag: number}]."""
    return [dict(zip(tags, row, strict=True)) for row in values.tolist()]


def _stopped(iteration, reason):
    return (
        f"Training stopped at iteration {iteration}: {reason}. "
        "The checkpoints saved before are intact; a smaller --lr usually helps."
    )
