"""Learning rates that change while a model trains."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

STAGES = 8  # of Burda et al.


def cosine(progress: torch.Tensor, end: float) -> torch.Tensor:
    """From 1 to end along half a cosine (Loshchilov & Hutter, 2017, without restarts)."""
    return end + (1 - end) * (1 + torch.cos(math.pi * progress)) / 2


def burda(progress: torch.Tensor, end: float) -> torch.Tensor:
    """Stages i = 0 … 7, the next three times as long, at end^(i/7) (Burda et al., 2016)."""
    # Stage i begins after 1 + 3 + … + 3^(i−1) parts of the 1 + 3 + … + 3^7.
    begins = (3.0 ** torch.arange(1, STAGES, device=progress.device) - 1) / (3.0**STAGES - 1)
    stage = (progress >= begins).sum()
    return torch.exp(math.log(end) * stage / (STAGES - 1))


SHAPES: dict[str, Callable[[torch.Tensor, float], torch.Tensor]] = {
    "cosine": cosine,
    "burda": burda,
}


@dataclass(frozen=True)
class Schedule:
    """A learning rate for every step.

    Args:
        shape: a name of SHAPES: what share of the first learning rate is left, by how far the
            training has come.
        first, last: the learning rate at the first step, and after the last.
        steps: of the whole training.
    """

    shape: str
    first: float
    last: float
    steps: int

    def __call__(self, taken: torch.Tensor) -> torch.Tensor:
        """The learning rate of the next step, (), once so many were taken; on their device."""
        progress = (taken.float() / self.steps).clamp(0, 1)
        return self.first * SHAPES[self.shape](progress, self.last / self.first)
