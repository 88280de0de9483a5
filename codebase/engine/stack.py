"""Several models of one kind trained as one, by a step whose products are batched over them.

A GPU has done one such model's product before the next is launched; with their parameters stacked
it does those of thirty models in little more time.
"""

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.func import functional_call, stack_module_state

from codebase.data.stream import Stream
from codebase.engine.step import Moments, Step, tensors
from codebase.models.base import Loss, Model


class NotStackable(ValueError):
    """These models cannot be trained as one."""


class StackedStep(Step["Stack"]):
    """A step of a `Stack`; summaries, x and y have the model as their first dimension."""

    def gradient_norms(self) -> list[float]:
        """Euclidean norm of each model's latest gradient."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norms = [torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1) for g in gradients]
        return torch.linalg.vector_norm(torch.stack(norms), dim=0).tolist()

    def moments(self) -> list[Moments]:
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

    def take_over(self, steps: Sequence[Step]) -> None:
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

    def __init__(self, models: Sequence[Model]) -> None:
        self.models, apart = models, [_Loss(model) for model in models]
        self._one = apart[0]
        shapes = [{name: t.shape for name, t in model.state_dict().items()} for model in models]
        if len(set(map(type, models))) > 1 or any(own != shapes[0] for own in shapes):
            raise NotStackable("the models are not of one class and size")
        self._parameters, self._buffers = stack_module_state(apart)
        for k, model in enumerate(apart):
            for name, own in model.named_parameters():
                own.data = self._parameters[name].data[k]
            for name, buffer in model.named_buffers():
                buffer.data = self._buffers[name][k]

    def parameters(self) -> Iterable[nn.Parameter]:
        """The stacked ones, in the order of a model's own."""
        return self._parameters.values()

    def modules(self) -> Iterable[nn.Module]:
        """Of every model."""
        return itertools.chain.from_iterable(model.modules() for model in self.models)

    def buffers(self) -> Iterable[torch.Tensor]:
        """The stacked ones."""
        return self._buffers.values()

    def players(self) -> dict[str, list[nn.Parameter]]:
        """As `Model.players`."""
        return {"model": [p for p in self.parameters() if p.requires_grad]}

    @property
    def steps_taken(self) -> torch.Tensor:
        """By each, (), for they are taken together."""
        return self._buffers["model.steps_taken"][0]

    @property
    def betas(self) -> tuple[float, float]:
        """As for a `Model`."""
        return self.models[0].betas

    @property
    def steps_differ(self) -> bool:
        """As for a `Model`."""
        return self.models[0].steps_differ

    def advance(self) -> None:
        """Counts a training step of each model."""
        self._buffers["model.steps_taken"].add_(1)

    def loss(self, *batch: torch.Tensor) -> Loss:
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

    def __init__(self, streams: Sequence[Stream]) -> None:
        first = streams[0]
        sources = [[part.x for part in stream.parts()] for stream in streams]
        same = (all(map(torch.equal, own, sources[0])) for own in sources)
        if not all(stream.own for stream in streams) or not all(same):
            raise NotStackable("the streams are not `Batches` of the same images")
        labelled = first.labelled
        if isinstance(labelled, tuple):
            xl, yl = map(torch.stack, zip(*(s.labelled for s in streams), strict=True))
            labelled = xl, yl
        own = first.loader, labelled, first.device, first.pixels, first.classes, first.dtype
        super().__init__(*own)
        self.streams = streams

    def next(self) -> list[torch.Tensor]:
        """The positions of every stream's next minibatch, (streams, B), in every `Batches`."""
        found = (stream.next() for stream in self.streams)
        sources = [torch.stack(positions) for positions in zip(*found, strict=True)]
        self.latest = sources[0]
        return sources

    def drawn(self) -> torch.Tensor:
        """Positions in the dataset of the last minibatches' images, (streams, B)."""
        return self.latest
