"""Several models of one kind trained as one, by a step whose products are batched over them.

A GPU has done one such model's product before the next is launched; with their parameters stacked
it does those of thirty models in little more time.
"""

import torch
from torch import nn
from torch.func import functional_call, stack_module_state

from codebase.data.stream import Stream
from codebase.engine.graph import captured
from codebase.engine.randomness import random_state, set_random_state
from codebase.engine.session import named, take_up_noise
from codebase.engine.step import Step, tensors
from codebase.errors import UserError


class NotStackable(ValueError):
    """These models cannot be trained as one."""


class StackedSession:
    """Sessions that are trained by one step, and look like one to the loop.

    What the step computes for each is what its own would with the same noise and minibatch. The
    noise is drawn for all at once, so a model's depends on which others it is trained with. A
    session that fails keeps no other back.

    Args:
        sessions: of models that differ in nothing but their weights, with minibatches of one size
            from `Batches` of the same images, all come to the same iteration.
        lr, precision, graph: as for `train`.
        on_failure: called with each session that fails.
    Raises:
        NotStackable: they cannot be trained together; they are as before.
    """

    def __init__(self, sessions, lr=1e-3, precision="fp32", graph=False, on_failure=None):
        if len({session.start for session in sessions}) > 1:
            raise NotStackable("the trainings have not come to the same iteration")
        if any(len(session.plain_step.optimizers) > 1 for session in sessions):
            raise NotStackable("a model is trained by several players")
        streams = Streams([session.stream for session in sessions])
        stack = Stack([session.model for session in sessions])
        _try(stack, streams)
        self.sessions, self.start, self.on_failure = sessions, sessions[0].start, on_failure
        self.stream, self._notes = streams, []
        self.plain_step = StackedStep(stack, streams, lr, precision)
        self.plain_step.take_over([session.plain_step for session in sessions])
        self.step = captured(self.plain_step) if graph else self.plain_step

    def begin(self):
        """As `Session.begin`, for all."""
        take_up_noise(self.sessions)
        for session in self.sessions:
            session.model.train()

    def note(self, taken):
        """As `Session.note`."""
        values, x, y = taken
        self._notes.append((values, self.stream.drawn()))
        self._latest = x, y

    def look(self, iteration):
        """As `Session.look`, each at its own part; the means of those that have not failed."""
        values, drawn = zip(*self._notes, strict=True)
        self._notes = []
        values, norms = torch.stack(values, dim=1).cpu(), self.plain_step.gradient_norms()

        def judge(session, k):
            x, y = (t[k] for t in self._latest)
            own = [positions[k] for positions in drawn]
            rows = named(self.plain_step.tags, values[k])
            return session.judge(iteration, rows, norms[k], x, y, own)

        found = self._each(judge)
        return {tag: sum(row[tag] for row in found) / len(found) for tag in (found or [{}])[0]}

    def save(self, iteration, checkpoint, stopped=False):
        """As `Session.save`, each in its own files."""
        moments = self.plain_step.moments()
        company = [session.model.name for session in self.sessions]
        self._each(lambda s, k: s.write(iteration, moments[k], company, checkpoint, stopped))

    def saved_in(self, iteration):
        """Where the first one's checkpoint lies, in words."""
        alive = [session for session in self.sessions if session.failure is None]
        if not alive:
            return "every run had failed"
        beside = f" and beside it for {len(alive) - 1} other runs" if alive[1:] else ""
        return alive[0].saved_in(iteration) + beside

    @property
    def failure(self):
        """Why the first one failed, once all have; None before."""
        failures = [session.failure for session in self.sessions]
        return failures[0] if all(failures) else None

    @property
    def models(self):
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


class StackedStep(Step):
    """A step of a `Stack`; summaries, x and y have the model as their first dimension."""

    def part(self, found, k):
        """What of it is model k's."""
        return found[k]

    def gradient_norms(self):
        """Euclidean norm of each model's latest gradient."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norms = [torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1) for g in gradients]
        return torch.linalg.vector_norm(torch.stack(norms), dim=0).tolist()

    def moments(self):
        """Adam's state for each model: {player: {parameter's number: state}}."""
        ((player, optimizer),) = self.optimizers.items()
        state = optimizer.state_dict()["state"].items()
        return [
            {
                player: {
                    number: {key: t if key == "step" else t[k] for key, t in of_parameter.items()}
                    for number, of_parameter in state
                }
            }
            for k in range(len(self.model.models))
        ]

    def take_over(self, steps):
        """Puts together what the models' own optimizers have, and takes it from them."""
        (optimizer,) = self.optimizers.values()
        states = [next(iter(own.moments()[0].values())) for own in steps]
        state = {
            number: {
                key: t if key == "step" else torch.stack([own[number][key] for own in states])
                for key, t in of_parameter.items()
            }
            for number, of_parameter in states[0].items()
        }
        settings = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": settings})
        for own in steps:
            own.optimizers = {}  # its moments would be kept twice


class Stack:
    """Models whose parameters and buffers lie stacked, (models, …) each.

    The models' own become views of them, so that a model can be evaluated, saved and loaded as
    before. What a model keeps in other attributes, a β for example, is taken from the first.

    Args:
        models: of one class and size.
    Raises:
        NotStackable: they are not.
    """

    def __init__(self, models):
        self.models, apart = models, [_Loss(model) for model in models]
        self._one = apart[0]
        shapes = [{name: t.shape for name, t in model.state_dict().items()} for model in models]
        if len(set(map(type, models))) > 1 or any(own != shapes[0] for own in shapes):
            raise NotStackable("the models are not of one class and size")
        self._parameters, self._buffers = stack_module_state(apart)
        for k, model in enumerate(apart):
            for name, own in model.named_parameters():
                own.data = self._parameters[name].data[k]
            for name, own in model.named_buffers():
                own.data = self._buffers[name][k]

    def parameters(self):
        """The stacked ones, in the order of a model's own."""
        return self._parameters.values()

    def players(self):
        """As `Model.players`."""
        return {"model": [p for p in self.parameters() if p.requires_grad]}

    def advance(self):
        """Counts a training step of each model."""
        self._buffers["model.steps_taken"].add_(1)

    def loss(self, *batch):
        """The sum of the models' losses, of which each has its own gradient; summaries (models,).

        Args:
            batch: what a model's loss takes, with the model as the first dimension.
        """
        of_each = torch.vmap(
            lambda state, *batch: functional_call(self._one, state, batch), randomness="different"
        )
        losses, summaries = of_each(self._parameters | self._buffers, *batch)
        return losses.sum(), summaries


class _Loss(nn.Module):
    """A model whose loss can be called with other parameters; that takes a forward."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *batch):
        loss, summaries = self.model.loss(*batch)
        return loss, tensors(summaries, loss)


def _try(stack, streams):
    """Raises NotStackable if the models' loss does what torch.vmap cannot batch."""
    of_device, own = random_state(), [g.get_state() for g in streams.generators()]
    first = torch.zeros(len(stack.models), 1, dtype=torch.long, device=streams.device)
    try:
        _, _, batch = streams.at([first for _ in streams.parts()])
        stack.loss(*batch)
    except Exception as error:  # whatever a loss raises when its tensors are batched ones
        raise NotStackable(str(error).split("\n")[0].split(". ")[0].rstrip(".")) from error
    finally:
        set_random_state(of_device)
        for generator, state in zip(streams.generators(), own, strict=True):
            generator.set_state(state)


class Streams(Stream):
    """The minibatches of several streams side by side, (streams, B, …).

    Each stream shuffles for itself; the pixels of all are drawn by the generators of the first.

    Raises:
        NotStackable: the streams are not of the same images, or do not lie on a device.
    """

    def __init__(self, streams):
        first = streams[0]
        sources = [[part.x for part in stream.parts()] for stream in streams]
        same = (all(map(torch.equal, own, sources[0])) for own in sources)
        if not all(stream.own for stream in streams) or not all(same):
            raise NotStackable("the streams are not `Batches` of the same images")
        labelled = first.labelled
        if isinstance(labelled, tuple):
            labelled = tuple(map(torch.stack, zip(*(s.labelled for s in streams), strict=True)))
        own = first.loader, labelled, first.device, first.pixels, first.classes, first.dtype
        super().__init__(*own)
        self.streams = streams

    def next(self):
        """The positions of every stream's next minibatch, (streams, B), in every `Batches`."""
        found = (stream.next() for stream in self.streams)
        sources = [torch.stack(positions) for positions in zip(*found, strict=True)]
        self.latest = sources[0]
        return sources

    def drawn(self):
        """Positions in the dataset of the last minibatches' images, (streams, B)."""
        return self.latest
