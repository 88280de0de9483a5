"""One training step: draw a minibatch, minimize its loss by Adam. Waits for nothing."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import nn

from codebase.data.stream import Stream
from codebase.engine.average import Average
from codebase.engine.precision import gradients, products
from codebase.engine.schedules import Schedule
from codebase.files import checkpoints
from codebase.models.base import Model

if TYPE_CHECKING:
    from codebase.engine.stack import Stack

Taken = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # a step's summaries (T,), and its x and y
Moments = dict[str, dict[int, Any]]  # Adam's state: {player: {parameter's number: state}}

M = TypeVar("M", Model, "Stack")  # what a step trains


class Step(Generic[M]):
    """Draws a minibatch and has each player minimize its loss by a step of Adam.

    A subclass may train several models by one step; what it hands over has the model as its first
    dimension then.

    Args:
        model: a `models.base.Model`.
        stream: a `data.stream.Stream`.
        lr: Adam's learning rate, or a `Schedule` of it.
        precision: of the products in the loss: "fp32", "tf32" or "bf16".
    Attributes:
        optimizers: {player: its Adam}.
        average: an `Average` that every step brings up to date, or None.
        tags: of the summaries.
    """

    average: Average | None = None
    capturing = 0.0  # seconds, as a captured step has them

    def __init__(
        self,
        model: M,
        stream: Stream,
        lr: float | Schedule = 1e-3,
        precision: str = "fp32",
    ) -> None:
        self.model: M = model
        self.stream, self.precision = stream, precision
        self.tags: list[str] = []
        self.schedule = lr if isinstance(lr, Schedule) else None
        first = lr.first if isinstance(lr, Schedule) else lr
        self.optimizers = {
            name: adam(own, first, self.schedule is not None, model.betas)
            for name, own in model.players().items()
        }

    def __call__(self, sources: list[Any] | None = None) -> Taken:
        """Takes a step.

        Args:
            sources: where the minibatch lies (see `Stream.at`); None: the stream's next.
        Returns:
            The summaries in the order of the tags, (T,), and the unlabelled minibatch's x and y.
        """
        x, y, batch = self.stream.at(sources or self.stream.next())
        summaries = self.update(batch)
        self.tags = list(summaries)
        return torch.stack(list(summaries.values()), dim=-1), x, y

    def update(self, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """Forward, backward and Adam on a minibatch, for one player after the other.

        Returns:
            {tag: scalar}, detached.
        """
        if self.schedule:
            rate = self.schedule(self.model.steps_taken)
            for optimizer in self.optimizers.values():
                optimizer.param_groups[0]["lr"].copy_(rate)
        self.model.advance()
        alone = len(self.optimizers) == 1
        summaries: dict[str, torch.Tensor] = {}
        for player, optimizer in self.optimizers.items():
            asked = {} if alone else {"player": player}
            with products(self.precision, batch[0].device):
                loss, found = self.model.loss(*batch, **asked)
            optimizer.zero_grad(set_to_none=True)
            # Of several, each moves its own parameters only.
            own = None if alone else optimizer.param_groups[0]["params"]
            with gradients(self.precision, batch[0].device):
                loss.backward(inputs=own)
            optimizer.step()
            found = tensors(found, loss)
            summaries |= {tag: value.detach() for tag, value in found.items()}
        if self.average:
            self.average.update()
        return summaries

    def gradient_norms(self) -> list[float]:
        """Euclidean norm of each model's latest gradient."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        return [torch.nn.utils.get_total_norm(gradients).item()]

    def moments(self) -> list[Moments]:
        """Adam's state for each model: {player: {parameter's number: state}}."""
        return [{name: own.state_dict()["state"] for name, own in self.optimizers.items()}]

    def load_moments(self, moments: dict[str, Any]) -> None:
        """Goes on from what `moments` gave for one model; the optimizers keep their settings.

        Raises:
            ValueError, LookupError: it is that of another model.
        """
        if not moments.keys() <= self.optimizers.keys():
            moments = {"model": moments}  # as it was saved when no model had several players
        for player, optimizer in self.optimizers.items():
            _load_moments(optimizer, moments.get(player, {}))


def _load_moments(optimizer, moments):
    """Adam's state by the parameter's number; a parameter without a gradient so far has none."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, found in moments.items():
        like = parameters[range(len(parameters)).index(number)]
        expected = {"step": torch.tensor(0.0), "exp_avg": like, "exp_avg_sq": like}
        if found.keys() != expected.keys():
            raise ValueError(f"parameter {number} of the optimizer has {', '.join(found)}")
        for key, value in found.items():
            if fault := checkpoints.misfit(value, expected[key]):
                raise ValueError(f"{key} of the optimizer's parameter {number} {fault}")
    settings = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": settings})


def tensors(
    summaries: Mapping[str, torch.Tensor | float], like: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Summaries as tensors; a solution may log plain numbers, 0 for a term it leaves out."""
    return {
        # A number is filled in where it lies, which a graph can replay.
        tag: value.to(like) if isinstance(value, torch.Tensor) else torch.full_like(like, value)
        for tag, value in summaries.items()
    }


def adam(
    parameters: Iterable[nn.Parameter],
    lr: float = 1e-3,
    scheduled: bool = False,
    betas: tuple[float, float] = (0.9, 0.999),
) -> torch.optim.Adam:
    """Adam, fused where torch has that.

    Args:
        scheduled: whether lr is to change; it is a tensor then, which a graph finds changed.
        betas: decays of its averages.
    """
    parameters = list(parameters)
    device = parameters[0].device
    fused = device.type in ("cpu", "cuda")
    rate: float | torch.Tensor = torch.tensor(lr, device=device) if scheduled else lr
    capturable = device.type == "cuda"
    return torch.optim.Adam(parameters, lr=rate, betas=betas, fused=fused, capturable=capturable)
