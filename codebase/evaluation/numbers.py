"""A mean and how far it may be off."""

import math
from collections.abc import Sequence
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


Numbers = dict[str, Number]
