"""The best weights so far, by a number that is measured now and then: smaller is better."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codebase.files import checkpoints
from codebase.models.base import Model

NAME = "best.pt"


class Selection:
    """Keeps the weights at which a model was best, in a file.

    Args:
        model: a `Model`.
        measure: gives the number; draws nothing from torch's generators.
        path: of the file.
    Attributes:
        value, step: the best number, and after how many steps it was.
    """

    def __init__(self, model: Model, measure: Callable[[], float], path: Path) -> None:
        self.model, self.measure, self.path = model, measure, path
        self.value, self.step = math.inf, 0

    def consider(self, step: int) -> float:
        """Measures the model as it is, and keeps its weights if it has never been better."""
        value = self.measure()
        if value < self.value:
            checkpoints.save(self.path, self.model.state_dict())
            self.value, self.step = value, step
        return value

    def put(self) -> None:
        """Gives the model its best weights, if it has been measured.

        Raises:
            UserError: the file is gone or damaged.
        """
        if self.step:
            device = next(self.model.parameters()).device
            checkpoints.fill(self.model, checkpoints.load(self.path, device), self.path)

    def state_dict(self) -> dict[str, Any]:
        """value and step."""
        return {"value": self.value, "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        self.value, self.step = float(state["value"]), int(state["step"])
