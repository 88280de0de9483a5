"""A mean and how far it may be off."""

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Number:
    """A mean and its standard error (None where it was drawn only once)."""

    value: float
    se: float | None

    @classmethod
    def of(cls, values):
        """Mean and standard error of independent values."""
        n = len(values)
        values = torch.as_tensor(values, dtype=torch.float64)
        return cls(values.mean().item(), values.std().item() / math.sqrt(n) if n > 1 else None)
