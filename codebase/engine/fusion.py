"""The longest stretch of a recording that only computes, compiled into one call."""

import operator
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map_only

from codebase.engine.passes import Calls
from codebase.engine.recording import Call


def fused(calls: Calls, results: Any) -> tuple[Calls, Any]:
    """The same, with one call in the place of that stretch; numbers differ by rounding.

    Inductor makes one loop of operations that go over the same elements, which saves the way to
    memory and back. Random numbers are drawn by torch's own operations, so they stay the same. What
    draws from a generator of its own, or writes to lasting memory, stands outside.

    Raises:
        Exception: whatever the compiler does, where there is none for example.
    """
    made = {id(t) for call in calls for t in _new(call)}
    stretch = max(_stretches(calls, made), key=len)
    if not stretch:
        return calls, results
    first, last = calls.index(stretch[0]), calls.index(stretch[-1])
    after = {id(t) for call in calls[last + 1 :] for t in call.takes}
    needed = after | {id(t) for t in tree_leaves(results) if isinstance(t, torch.Tensor)}
    graph, taken, given = _graph(stretch, needed)
    kernel = torch.compile(graph, dynamic=False, fullgraph=True, options={"fallback_random": True})
    bare = [t.detach() for t in taken]
    with torch.no_grad():
        kernel(*bare)  # compiled now, and not while something is compared or timed
    call = Call(_Kernel(kernel), tuple(taken), {}, tuple(given))
    return [*calls[:first], call, *calls[last + 1 :]], results


class _Kernel:
    """A compiled function in an operator's place."""

    tags = ()

    def __init__(self, function):
        self.function = function

    def __call__(self, *args):
        return self.function(*[t.detach() if t.requires_grad else t for t in args])


def _stretches(calls, made):
    """Calls in a row that draw from no generator of their own and write to nothing that lasts."""
    found: list[Calls] = [[]]
    for call in calls:
        own = any(isinstance(v, torch.Generator) for v in (*call.args, *call.kwargs.values()))
        if own or any(id(t) not in made for t in call.writes):
            found.append([])
        else:
            found[-1].append(call)
    return found


def _new(call):
    """Its results that it was not given."""
    taken = {id(t) for t in call.takes}
    return [t for t in call.gives if id(t) not in taken]


def _graph(stretch, needed):
    """A module of the calls, the tensors that it takes, and those it gives that are needed."""
    graph = torch.fx.Graph()
    taken: list[torch.Tensor] = []
    nodes: dict[int, torch.fx.Node] = {}

    def node_of(of):
        return tree_map_only(torch.Tensor, lambda t: nodes[id(t)], of)

    made = {id(t) for call in stretch for t in _new(call)}
    for call in stretch:
        for t in call.takes:
            if id(t) not in made and id(t) not in nodes:
                nodes[id(t)] = graph.placeholder(f"taken_{len(taken)}")
                taken.append(t)
    for call in stretch:
        node = graph.call_function(call.function, node_of(call.args), node_of(call.kwargs))
        if isinstance(call.result, torch.Tensor):
            nodes[id(call.result)] = node
        else:
            for i, t in enumerate(call.result or ()):
                if t is not None:
                    nodes[id(t)] = graph.call_function(operator.getitem, (node, i))
    given = {id(t): t for call in stretch for t in _new(call) if id(t) in needed}
    graph.output(tuple(nodes[key] for key in given))
    return torch.fx.GraphModule({}, graph), taken, list(given.values())
