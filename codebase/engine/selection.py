"""The best weights so far, by a number that is measured now and then: smaller is better."""

import math
from collections.abc import Callable
from typing import Any

import torch

from codebase.models.base import Model


class Selection:
    """Keeps the weights at which a model was best.

    Args:
        model: a `Model`.
        measure: gives the number; draws nothing from torch's generators.
    Attributes:
        value, step: the best number, and after how many steps it was.
    """

    def __init__(self, model: Model, measure: Callable[[], float]) -> None:
        self.model, self.measure = model, measure
        self.value, self.step = math.inf, 0
        self.weights: dict[str, torch.Tensor] = {}

    def consider(self, step: int) -> float:
        """Measures the model as it is, and keeps its weights if it has never been better."""
        value = self.measure()
        if value < self.value:
            own = self.model.state_dict()
            self.weights = {name: t.detach().clone() for name, t in own.items()}
            self.value, self.step = value, step
        return value

    def put(self) -> None:
        """Gives the model its best weights, if it has been measured."""
        if self.step:
            self.model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """value, step and weights, which belong together wherever a training is taken up."""
        return {"value": self.value, "step": self.step, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave.

        Raises:
            ValueError: it has no weights of this model.
        """
        own, weights = self.model.state_dict(), dict(state["weights"])
        shapes = [{name: t.shape for name, t in some.items()} for some in (own, weights)]
        if state["step"] and shapes[0] != shapes[1]:
            raise ValueError("its best weights are of another model")
        self.value, self.step = float(state["value"]), int(state["step"])
        self.weights = {name: t.to(own[name]) for name, t in weights.items()}
