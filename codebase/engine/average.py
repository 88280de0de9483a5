"""An exponential moving average of a model's weights, which is evaluated in their place."""

import contextlib
from collections.abc import Iterator

import torch

from codebase.files import checkpoints
from codebase.models.base import Model


class Average:
    """a ← d·a + (1 − d)·w after every step, from a = 0; the average is a / (1 − dᵗ) after t.

    Args:
        model: whose weights w are averaged, those that are trained.
        decay: d, in (0, 1).
    """

    def __init__(self, model: Model, decay: float) -> None:
        self.model, self.decay = model, decay
        self.weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.sums = {name: torch.zeros_like(p) for name, p in self.weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the weights as they are after a step."""
        torch._foreach_lerp_([*self.sums.values()], [*self.weights.values()], 1 - self.decay)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the averages as its weights; at the end its own again."""
        own = {name: p.detach().clone() for name, p in self.weights.items()}
        self.put()
        try:
            yield
        finally:
            self._fill(own)

    def put(self) -> None:
        """Gives the model the averages as its weights, if it has been trained at all."""
        taken = int(self.model.steps_taken)
        if taken:
            share = 1 - self.decay**taken
            self._fill({name: (t / share).to(t.dtype) for name, t in self.sums.items()})

    @torch.no_grad()
    def _fill(self, values):
        for name, p in self.weights.items():
            p.copy_(values[name])

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The sums a, by the weight's name."""
        return self.sums

    def load_state_dict(self, sums: dict[str, torch.Tensor]) -> None:
        """Takes up what `state_dict` gave.

        Raises:
            ValueError: it is that of another model.
        """
        if sums.keys() != self.sums.keys():
            raise ValueError("the average is of other weights")
        for name, own in self.sums.items():
            if fault := checkpoints.misfit(sums[name], own):
                raise ValueError(f"the average of {name} {fault}")
            own.copy_(sums[name])
