"""A mean and how far it may be off."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Number:
    """A mean and its standard error (None where it was drawn only once)."""

    value: float
    se: float | None

    @classmethod
    def of(cls, values: Sequence[float] | torch.Tensor) -> "Number":
        """Mean and standard error of independent values."""
        n = len(values)
        v = torch.as_tensor(values, dtype=torch.float64)
        return cls(v.mean().item(), v.std().item() / math.sqrt(n) if n > 1 else None)

    def record(self) -> dict[str, float | None]:
        """As it stands in a JSON file."""
        return {"value": self.value, "se": self.se}


Numbers = dict[str, Number]


def recorded(numbers: Mapping[str, Number]) -> dict[str, dict[str, float | None]]:
    """{name: as `Number.record`}."""
    return {name: n.record() for name, n in numbers.items()}
