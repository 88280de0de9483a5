"""What spoils images: Gaussian noise, masking, salt and pepper."""

from dataclasses import dataclass

import torch

KINDS = "gaussian", "masking", "saltpepper"


@dataclass(frozen=True)
class Noise:
    """Fresh noise at every call, from torch's global generator.

        gaussian    x + rate · ε, ε ~ N(0, I), which leaves [0, 1]
        masking     a pixel is 0 with probability rate
        saltpepper  a pixel is 0 with probability rate/2, and 1 with probability rate/2

    (Vincent et al., 2008, 2010.)

    Args:
        kind: one of KINDS.
        rate: a standard deviation or a probability.
    Raises:
        ValueError: there is no such kind, or the rate is none.
    """

    kind: str
    rate: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        most = float("inf") if self.kind == "gaussian" else 1.0
        if not 0 <= self.rate <= most:
            raise ValueError(f"rate of {self.kind} must be from 0 to {most:g}, got {self.rate}")

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Images in [0, 1], (…, D), with noise."""
        if self.kind == "gaussian":
            return x + self.rate * torch.randn_like(x)
        u = torch.rand_like(x)
        if self.kind == "masking":
            return torch.where(u < self.rate, torch.zeros_like(x), x)
        spoiled = torch.where(u < self.rate / 2, torch.zeros_like(x), torch.ones_like(x))
        return torch.where(u < self.rate, spoiled, x)
