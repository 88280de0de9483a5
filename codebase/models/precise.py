"""Products that keep the precision of their tensors, where the networks' are taken in bf16."""

import contextlib

import torch


def precise(like: torch.Tensor) -> contextlib.AbstractContextManager:
    """A context for the products of densities and distances, which cancel or are sorted.

    Args:
        like: a tensor of theirs, for its device.
    """
    return torch.autocast(like.device.type, enabled=False)
