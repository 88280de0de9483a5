"""What a step asks of the machine: floating-point operations, and bytes read and written."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


class Bytes(TorchDispatchMode):
    """Counts the bytes of every operator's operands and results, but for views, which move none.

    Attributes:
        moved: their sum, as if nothing were found in a cache.
    """

    def __init__(self):
        super().__init__()
        self.moved = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not _is_view(func):
            tensors = (t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor))
            self.moved += sum(t.nbytes for t in tensors)
        return out


def _is_view(func):
    aliases = [r.alias_info for r in func._schema.returns if r.alias_info is not None]
    return any(not alias.is_write for alias in aliases)


def of(step):
    """Operations of the matrix products that a call makes, and bytes that all of it moves."""
    with FlopCounterMode(display=False) as operations, Bytes() as traffic:
        step()
    return {"operations": operations.get_total_flops(), "bytes": traffic.moved}
