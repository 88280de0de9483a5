"""Several sessions trained as one."""

from collections.abc import Callable, Sequence

import torch

from codebase.engine.graph import captured
from codebase.engine.randomness import random_state, set_random_state
from codebase.engine.schedules import Schedule
from codebase.engine.session import Session, named, take_up_noise
from codebase.engine.stack import NotStackable, Stack, StackedStep, Streams
from codebase.engine.step import Taken
from codebase.errors import UserError


class StackedSession:
    """Sessions that are trained by one step, and look like one to the loop.

    What the step computes for each is what its own would with the same noise and minibatch. The
    noise is drawn for all at once, so a model's depends on which others it is trained with. A
    session that fails keeps no other back.

    Args:
        sessions: of models that differ in nothing but their weights, with minibatches of one size
            from `Batches` of the same images, all come to the same iteration.
        lr: a learning rate, or a `Schedule` of it.
        precision, graph, fuse: as for `train`.
        on_failure: called with each session that fails.
    Raises:
        NotStackable: they cannot be trained together; they are as before.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        lr: float | Schedule = 1e-3,
        precision: str = "fp32",
        graph: bool = False,
        fuse: bool = False,
        on_failure: Callable[[Session], object] | None = None,
    ) -> None:
        if len({session.start for session in sessions}) > 1:
            raise NotStackable("the trainings have not come to the same iteration")
        if any(len(session.plain_step.optimizers) > 1 for session in sessions):
            raise NotStackable("a model is trained by several players")
        if any(session.plain_step.average or session.selection for session in sessions):
            raise NotStackable("an average or the best of the weights is kept")
        streams = Streams([session.stream for session in sessions])
        stack = Stack([session.model for session in sessions])
        _try(stack, streams)
        self.sessions, self.start, self.on_failure = sessions, sessions[0].start, on_failure
        self.seconds = max(session.seconds for session in sessions)
        self.stream = streams
        self._notes: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.plain_step = StackedStep(stack, streams, lr, precision)
        self.plain_step.take_over([session.plain_step for session in sessions])
        self.step = captured(self.plain_step, fuse) if graph else self.plain_step

    def begin(self) -> None:
        """As `Session.begin`, for all."""
        take_up_noise(self.sessions)
        for session in self.sessions:
            session.model.train()

    def note(self, taken: Taken) -> None:
        """As `Session.note`."""
        values, x, y = taken
        self._notes.append((values, self.stream.drawn()))
        self._latest = x, y

    def look(self, iteration: int) -> dict[str, float]:
        """As `Session.look`, each at its own part; the means of those that have not failed."""
        noted, drawn = zip(*self._notes, strict=True)
        self._notes = []
        values, norms = torch.stack(noted, dim=1).cpu(), self.plain_step.gradient_norms()

        def judge(session, k):
            x, y = (t[k] for t in self._latest)
            own = [positions[k] for positions in drawn]
            rows = named(self.plain_step.tags, values[k])
            return session.judge(iteration, rows, norms[k], x, y, own)

        found = self._each(judge)
        return {tag: sum(row[tag] for row in found) / len(found) for tag in (found or [{}])[0]}

    def evaluate(self, iteration: int) -> None:
        """As `Session.evaluate`, for each."""
        self._each(lambda session, k: session.evaluate(iteration))

    def save(
        self, iteration: int, checkpoint: bool, stopped: bool = False, seconds: float = 0.0
    ) -> None:
        """As `Session.save`, each in its own files."""
        moments = self.plain_step.moments()
        company = [session.model.name for session in self.sessions]
        how = checkpoint, stopped, seconds
        self._each(lambda s, k: s.write(iteration, moments[k], company, *how))

    def saved_in(self, iteration: int) -> str:
        """Where the first one's checkpoint lies, in words."""
        alive = [session for session in self.sessions if session.failure is None]
        if not alive:
            return "every run had failed"
        beside = f" and beside it for {len(alive) - 1} other runs" if alive[1:] else ""
        return alive[0].saved_in(iteration) + beside

    @property
    def failure(self) -> UserError | OSError | None:
        """Why the first one failed, once all have; None before."""
        failures = [session.failure for session in self.sessions]
        return failures[0] if all(failures) else None

    @property
    def models(self) -> int:
        """How many are trained."""
        return len(self.sessions)

    def _each(self, do):
        """What do(session, its number) gives for each that has not failed, in that or before."""
        found = []
        for k, session in enumerate(self.sessions):
            if session.failure is None:
                try:
                    found.append(do(session, k))
                except (UserError, OSError) as failure:
                    session.failure = failure
                    if self.on_failure:
                        self.on_failure(session)
        return found


def _try(stack, streams):
    """Raises NotStackable if the models' loss does what torch.vmap cannot batch."""
    buffers = [(buffer, buffer.clone()) for buffer in stack.buffers()]  # a loss may move averages
    of_device, own = random_state(), [g.get_state() for g in streams.generators()]
    first = torch.zeros(len(stack.models), 1, dtype=torch.long, device=streams.device)
    try:
        _, _, batch = streams.at([first for _ in streams.parts()])
        stack.loss(*batch)
    except Exception as error:  # whatever a loss raises when its tensors are batched ones
        raise NotStackable(str(error).split("\n")[0].split(". ")[0].rstrip(".")) from error
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
        set_random_state(of_device)
        for generator, state in zip(streams.generators(), own, strict=True):
            generator.set_state(state)
