"""Several models of one kind trained as one, by a step whose products are batched over them.

A GPU has done one such model's product before the next is launched; with their parameters stacked
it does those of thirty models in little more time.
"""

import torch
from torch import nn
from torch.func import functional_call, stack_module_state

from codebase.data.stream import Stream
from codebase.engine.randomness import random_state, set_random_state
from codebase.engine.step import Step, adam, tensors


class NotStackable(ValueError):
    """These models cannot be trained as one."""


def step_of(trainings, lr=1e-3, precision="fp32"):
    """The step that trains all of them, from the iteration that all of them have come to.

    What it computes for each is what `engine.step.Step` does with the same noise and minibatch. The
    noise is drawn for all at once, so a model's depends on which others it is trained with.

    Args:
        trainings: `Training`s of models that differ in nothing but their weights, with
            minibatches of one size from `Batches` of the same images.
        lr: Adam's learning rate.
        precision: as for `engine.step.update`.
    Raises:
        NotStackable: they cannot be trained together; they are as before.
    """
    if len({training.start for training in trainings}) > 1:
        raise NotStackable("the trainings have not come to the same iteration")
    streams = Streams([training.stream for training in trainings])
    stack = Stack([training.model for training in trainings])
    _try(stack, streams)
    optimizer = adam(stack, lr)
    _put_together(optimizer, [training.optimizer for training in trainings])
    for training in trainings:
        training.optimizer = None  # its moments would be kept twice
    return StackedStep(stack, optimizer, streams, precision)


def _try(stack, streams):
    """Raises NotStackable if the models' loss does what torch.vmap cannot batch."""
    of_device, own = random_state(), [g.get_state() for g in streams.generators()]
    first = torch.zeros(len(stack.models), 1, dtype=torch.long, device=streams.device)
    try:
        _, _, batch = streams.take([first for _ in streams.parts()])
        stack.loss(*batch)
    except Exception as error:  # whatever a loss raises when its tensors are batched ones
        raise NotStackable(str(error).split("\n")[0].split(". ")[0].rstrip(".")) from error
    finally:
        set_random_state(of_device)
        for generator, state in zip(streams.generators(), own, strict=True):
            generator.set_state(state)


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
        """Adam's state for each model, by the parameter's number."""
        state = self.optimizer.state_dict()["state"].items()
        return [
            {
                number: {key: t if key == "step" else t[k] for key, t in of_parameter.items()}
                for number, of_parameter in state
            }
            for k in range(len(self.model.models))
        ]


def _put_together(optimizer, apart):
    """Gives the optimizer of a stack what the models' own have; none has made a step of its own."""
    states = [own.state_dict()["state"] for own in apart]
    state = {
        number: {
            key: t if key == "step" else torch.stack([own[number][key] for own in states])
            for key, t in of_parameter.items()
        }
        for number, of_parameter in states[0].items()
    }
    settings = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": settings})


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
        super().__init__(first.loader, labelled, first.device)
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
