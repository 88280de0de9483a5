"""A recording as a Python function, which does the same again without autograd."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from codebase.engine.recording import Call

LITERALS = (bool, int, str, type(None))  # floats are passed as they are: not all have a literal


def compiled(calls: Iterable[Call], results: Any) -> Callable[[], Any]:
    """A function that makes the calls one after the other and hands back results.

    It is straight Python, one line for a call, and lets go of a tensor after the last call that
    takes it, so that the next finds its memory warm.

    Args:
        calls: as a `Recorder` has them.
        results: tensors in lists and tuples, made by the calls or not.
    """
    writer = _Writer()
    calls = list(calls)
    made: dict[int, str] = {}
    last: dict[int, int] = {id(t): i for i, c in enumerate(calls) for t in (*c.takes, *c.gives)}
    handed_back = {id(t) for t in tree_leaves(results)}
    lines = []
    for i, call in enumerate(calls):
        text = writer.call(call)
        outside = {id(t) for t in call.takes}
        for t in call.gives:
            if id(t) not in outside:
                made[id(t)] = writer.names[id(t)] = f"t{len(made)}"
        lines.append(_target(call, made, outside) + text)
        over = {id(t) for t in (*call.takes, *call.gives)}
        dead = [made[k] for k in over if k in made and last[k] == i and k not in handed_back]
        if dead:
            lines.append(f"del {', '.join(dead)}")
    lines.append(f"return {writer.value(results)}")
    source = "\n    ".join(["def replay():", *lines])
    exec(source, writer.space)
    return torch.no_grad()(writer.space["replay"])


class _Writer:
    """Names for what a line of source speaks of; `space` holds what is no literal."""

    def __init__(self):
        self.names, self.space, self.kept = {}, {}, []

    def call(self, call):
        values = [self.value(a) for a in call.args]
        values += [f"{k}={self.value(v)}" for k, v in call.kwargs.items()]
        return f"{self._named(call.function, 'f')}({', '.join(values)})"

    def value(self, value):
        if isinstance(value, (list, tuple)):
            inner = ", ".join(map(self.value, value))
            return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * bool(value)})"
        return repr(value) if type(value) in LITERALS else self._named(value, "c")

    def _named(self, thing, letter):
        if id(thing) not in self.names:
            self.names[id(thing)] = name = f"{letter}{len(self.space)}"
            self.space[name] = thing
        return self.names[id(thing)]


def _target(call, made, outside):
    """What stands to the left of a call."""
    if not any(id(t) not in outside for t in call.gives):
        return ""
    if isinstance(call.result, torch.Tensor):
        return f"{made[id(call.result)]} = "
    names = [made.get(id(t), "_") for t in call.result]
    return f"{', '.join(names)}, = "
