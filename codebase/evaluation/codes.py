"""Codes of images: where their posteriors lie."""

import torch
from torch.nn import functional as F

from codebase.evaluation.bounds import CHUNK
from codebase.evaluation.collapse import active
from codebase.models.base import LatentVariableModel


@torch.no_grad()
def likeliest_label(model: LatentVariableModel, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What the model's posterior takes beside images (B, D): nothing, or their labels.

    Returns:
        (): a model without labels; else the likeliest of q(y|x), one-hot (B, Y), alone in a tuple.
    """
    if not model.y_dim:
        return ()
    return (F.one_hot(model.label_posterior(x).mode, model.y_dim).to(x),)


@torch.no_grad()
def posterior_moments(
    model: LatentVariableModel, x: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of each image's q(z|x), or of its q(z|x, y) at the likeliest label y.

    Args:
        x: (N, D), of the pixels that the model is of.
    Returns:
        mean, variance: (N, Z) each.
    """
    parts = []
    for part in x.split(CHUNK):
        q = model.posterior(part, *likeliest_label(model, part))
        parts.append((q.mean, q.variance))
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def active_units(model: LatentVariableModel, x: torch.Tensor) -> int:
    """How many latent dimensions say anything of the images (N, D): see `collapse.active`."""
    means, _ = posterior_moments(model, x)
    return int(active(means).sum())
