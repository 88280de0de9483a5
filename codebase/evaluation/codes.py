"""Codes of images: where their posteriors lie, and how many dimensions these differ in."""

import torch
from torch.nn import functional as F

from codebase.engine.randomness import seeded
from codebase.evaluation.bounds import CHUNK
from codebase.evaluation.collapse import active
from codebase.models.base import CodingModel
from codebase.models.distributions import Distribution


def likeliest_label(model: CodingModel, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What the model's posterior takes beside images (B, D): nothing, or their labels.

    Returns:
        (): a model without labels; else the likeliest of q(y|x), one-hot (B, Y), alone in a tuple.
    """
    if not model.y_dim:
        return ()
    return (F.one_hot(model.label_posterior(x).mode, model.y_dim).to(x),)


def posterior_of(model: CodingModel, x: torch.Tensor) -> Distribution:
    """q(z|x), or q(z|x, y) at each image's likeliest label y, a distribution over (B, Z)."""
    return model.posterior(x, *likeliest_label(model, x))


def codes(model: CodingModel, x: torch.Tensor) -> torch.Tensor:
    """What each image is redrawn from, the mean of `posterior_of`, the same every time.

    Args:
        x: (N, D), of the pixels that the model is of.
    Returns:
        (N, Z).
    """
    with seeded():  # some models draw for it
        return torch.cat([posterior_of(model, part).mean for part in x.split(CHUNK)])


def redrawn(model: CodingModel, x: torch.Tensor) -> torch.Tensor:
    """Mean pixels at the codes of images, the same every time: (N, D) → (N, D)."""
    with seeded():
        return torch.cat([_redrawn(model, part) for part in x.split(CHUNK)])


def _redrawn(model, x):
    y = likeliest_label(model, x)
    return model.likelihood(model.posterior(x, *y).mean, *y).mean


def active_units(model: CodingModel, x: torch.Tensor) -> int:
    """How many latent dimensions say anything of the images (N, D): see `collapse.active`."""
    return int(active(codes(model, x)).sum())
