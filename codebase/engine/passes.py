"""What need not be done again when a recording is.

A pass takes the recorded calls and what the function gave, and hands back fewer calls and tensors
that stand for the same. None changes a number. A tensor that no call makes any more is a constant:
it stays as the recording left it.
"""

from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map_only

from codebase.engine.recording import Call, storage

Calls = list[Call]
Instead = dict[int, torch.Tensor]  # what takes the place of a tensor, by its id

aten = torch.ops.aten
# They take no more of their first argument than shape and type.
LIKE = {
    *(aten.ones_like.default, aten.zeros_like.default, aten.full_like.default),
    *(aten.new_ones.default, aten.new_zeros.default, aten.new_full.default),
}


def simplified(calls: Calls, results: Any) -> tuple[Calls, Any]:
    """All passes, in the order in which one makes room for the next."""
    for shorten in (without_views, without_constants, without_copies, without_dead_ends):
        calls, results = shorten(calls, results)
    return calls, results


def without_views(calls: Calls, results: Any) -> tuple[Calls, Any]:
    """Of the views of one place one is taken, and those of lasting memory only while recording.

    A view lies in the memory of what it was taken of: a detached tensor, the transpose of a
    transpose. Memory lasts that no call makes, a weight's.
    """
    made = _made(calls)
    first: dict[Any, torch.Tensor] = {}
    instead: Instead = {}
    kept = []
    for call in calls:
        for t in (*call.takes, *call.gives):
            if first.setdefault(_place(t), t) is not t:
                instead[id(t)] = first[_place(t)]
        is_view = call.gives and not call.writes and not _fresh(call)
        if not is_view or any(id(t) not in instead and storage(t) in made for t in call.gives):
            kept.append(call)
    return _replaced(kept, results, instead)


def without_constants(calls: Calls, results: Any) -> tuple[Calls, Any]:
    """What depends on no minibatch, no weight and no chance is computed only while recording.

    The gradient of the loss with respect to itself is such, and what the mean's backward makes of
    it.
    """
    written = {storage(t) for call in calls for t in call.writes}
    constant: set[int] = set()
    kept = []
    for call in calls:
        takes = [] if call.function in LIKE else call.takes
        if (
            call.gives
            and not call.random
            and all(id(t) in constant for t in takes)
            and not any(storage(t) in written for t in (*call.gives, *takes))
        ):
            constant |= {id(t) for t in call.gives}
        else:
            kept.append(call)
    return kept, results


def without_copies(calls: Calls, results: Any) -> tuple[Calls, Any]:
    """A copy is the original, where nothing is written to either.

    While it is recorded, autograd copies each gradient; otherwise it keeps what it is given.
    """
    made = _made(calls)
    written = [storage(t) for call in calls for t in call.writes]
    instead: Instead = {}
    for call in calls:
        if call.function is aten.copy_.default:
            copy, original, writes = call.args[0], call.args[1], 1
        elif call.function is aten.clone.default:
            copy, original, writes = call.result, call.args[0], 0
        else:
            continue
        inner = storage(copy) in made and storage(original) in made
        alike = _place(copy)[2:] == _place(original)[2:]
        free = written.count(storage(copy)) == writes and storage(original) not in written
        if inner and alike and free:
            instead[id(copy)] = instead.get(id(original), original)
    kept = [call for call in calls if not any(id(t) in instead for t in call.gives)]
    return _replaced(kept, results, instead)


def without_dead_ends(calls: Calls, results: Any) -> tuple[Calls, Any]:
    """Without calls that draw nothing, write nowhere, and whose results nobody takes."""
    needed = {id(t) for t in tree_leaves(results)}
    kept: Calls = []
    for call in reversed(calls):
        if call.random or call.writes or any(id(t) in needed for t in call.gives):
            needed |= {id(t) for t in call.takes}
            kept.insert(0, call)
    return kept, results


def _place(t):
    """Where a tensor lies and how: two of one place are one."""
    return storage(t), t.storage_offset(), t.shape, t.stride(), t.dtype


def _fresh(call):
    """Those of its results that lie in memory of their own."""
    taken = {storage(t) for t in call.takes}
    return [t for t in call.gives if storage(t) not in taken]


def _made(calls):
    """The memory that calls make."""
    return {storage(t) for call in calls for t in _fresh(call)}


def _replaced(calls, results, instead):
    """The same with other tensors taken and handed back."""

    def new(of):
        return tree_map_only(torch.Tensor, lambda t: instead.get(id(t), t), of)

    renamed = [Call(c.function, new(c.args), new(c.kwargs), c.result) for c in calls]
    return renamed, new(results)
