"""One model in training: its numbers looked at and logged, its state saved."""

import math

import torch

from codebase.data.stream import Stream
from codebase.engine import resume
from codebase.engine.randomness import random_state
from codebase.engine.step import Step, adam
from codebase.errors import UserError
from codebase.files import checkpoints, disk, records
from codebase.files.logs import log_summaries


class Training:
    """A model in training: where its minibatches come from, its numbers go and its files lie.

    Args:
        The same as for `train`.
    Attributes:
        stream, optimizer: of its minibatches and steps.
        start: the iteration it goes on from.
        failure: the UserError or OSError that ended it, or None.
    Raises:
        UserError: the file at state_path is of another training, or no folder can be made.
        ValueError: a state_path without `Batches`.
    """

    def __init__(
        self,
        model,
        train_loader,
        labeled_subset,
        device,
        writer,
        y_status="none",
        *,
        lr=1e-3,
        state_path=None,
        on_checkpoint=None,
    ):
        self.semisup = y_status == "semisup"
        self.model, self.writer, self.failure = model, writer, None
        self.state_path, self.on_checkpoint = state_path, on_checkpoint
        self.stream = Stream(train_loader, labeled_subset if self.semisup else None, device)
        if state_path and not self.stream.own:
            raise ValueError("state_path needs a train_loader that is a data.Batches")
        self.optimizer = adam(model, lr)
        self.start = 0
        if state_path and state_path.exists():
            restored = resume.restore(state_path, model, self.optimizer, self.stream)
            self.start, self.company = restored
        self.random = random_state()
        disk.make_folder(checkpoints.model_path(model.name, 0).parent)

    def step(self, precision="fp32"):
        """The `engine.step.Step` that trains it alone."""
        return Step(self.model, self.optimizer, self.stream, precision)

    def goes_on_with(self, company):
        """Whether it has been with those and no others so far, so that its noise is theirs."""
        return not self.start or self.company == company

    def look(self, step, rows, grad_norm, x, y, drawn):
        """Logs the latest summaries, once every number since the last look was finite.

        If one was not, the minibatch that broke is written down, for replay.

        Args:
            rows: the summaries by tag of each iteration since the last look.
            grad_norm: of the latest gradient. Taken at every step it would cost a twentieth of
                it; a broken gradient between two looks breaks the weights, so that the next
                iteration's terms tell.
            x, y: the latest unlabelled minibatch.
            drawn: gives the positions of a row's minibatch in the training set, or None.
        Returns:
            The latest summaries.
        Raises:
            UserError: a number was not finite.
        """
        summaries = rows[-1]
        summaries["train/grad_norm"] = grad_norm
        broken = [i for i, row in enumerate(rows) if not all(map(math.isfinite, row.values()))]
        if broken:
            self._break(step - len(rows) + 1 + broken[0], broken[0], rows, drawn)
        if self.semisup:
            summaries["class/acc"] = _accuracy(self.model, x, y)
        log_summaries(self.writer, summaries, step)
        return summaries

    def _break(self, iteration, row, rows, drawn):
        wrong = {tag: v for tag, v in rows[row].items() if not math.isfinite(v)}
        # Loss and gradient are last to blame: they go wrong because a term does.
        terms = [tag for tag in wrong if not tag.startswith("train/")] or list(wrong)[:1]
        message = _stopped(iteration, ", ".join(f"{tag} is {wrong[tag]}" for tag in terms))
        if drawn(row) is not None:
            path = checkpoints.ROOT / self.model.name / f"nonfinite-{iteration:05d}.json"
            replay = {"iteration": iteration, "terms": terms}
            replay["train_positions"] = drawn(row).tolist()
            if row:
                replay["train_positions_before"] = drawn(row - 1).tolist()
            records.write(path, replay)
            message += f" The minibatch's positions in the training set are in {path}."
        raise UserError(message)

    def save(self, step, moments, company, checkpoint, stopped=False):
        """Saves the state to go on from, and at a checkpoint the weights.

        Args:
            moments: Adam's state, by the parameter's number.
            company: names of the models that share its noise.
            stopped: whether the training ends here, before its end; nobody is called then.
        Raises:
            UserError: a weight is not finite, so that no such file replaces a good one; or a file
                cannot be written.
        """
        if not torch.stack([torch.isfinite(p).all() for p in self.model.parameters()]).all():
            raise UserError(_stopped(step, "a weight is not finite"))
        if checkpoint:
            checkpoints.save(checkpoints.model_path(self.model.name, step), self.model.state_dict())
            if self.on_checkpoint and not stopped:
                self.on_checkpoint(step)
        if self.writer is not None:
            self.writer.flush()
        if self.state_path:  # last: what it has gone past is not done again
            resume.save(self.state_path, step, self.model, moments, self.stream, company)


def _stopped(iteration, reason):
    return (
        f"Training stopped at iteration {iteration}: {reason}. "
        "The checkpoints saved before are intact; a smaller --lr usually helps."
    )


@torch.no_grad()
def _accuracy(model, x, y):
    """Share of the unlabelled minibatch that the classifier gets right."""
    return (model.cls(x).argmax(-1) == y).float().mean().item()
