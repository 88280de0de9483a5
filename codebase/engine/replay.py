"""A function of tensors recorded once and replayed on the CPU, without autograd and without Python
of its own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from codebase.engine.fusion import fused
from codebase.engine.passes import simplified
from codebase.engine.program import compiled
from codebase.engine.recording import NotRepeatable, recorded

ROUNDING = 1e-4  # of the largest number of a tensor
TRIED = 2  # times a replay is compared with what it replays, with other numbers each time


class Cpu:
    """Captures functions by recording their operations; see `engine.graph.CapturedStep`.

    Args:
        generators: what the functions draw from beside torch's global generator.
        fuse: compiles what is replayed; its numbers are then the function's to rounding only, and
            the same every time. Where that cannot be, a line says so, and it is not compiled.
    """

    def __init__(self, generators: Sequence[torch.Generator], fuse: bool = False) -> None:
        self.generators, self.fuse = generators, fuse

    def aside(self, function: Callable[[], Any]) -> Any:
        """function()."""
        return function()

    def captured(self, function: Callable[[], Any]) -> Callable[[], Any]:
        """Captures function(), which changes nothing by that.

        Returns:
            A function that replays it; each call hands back other tensors.
        Raises:
            RuntimeError: it is none that can be replayed: sizes depend on numbers, or a replay
                gives something else than the function. Weights and generators are as before.
        """
        before = self._random()
        try:
            recorder, results = recorded(function)
            program = simplified(recorder.calls, results)
            written = [t for t, _ in recorder.before]
            expected = self._tried(function, written, before)

            def same(replay, alike):
                return all(map(alike, expected, self._tried(replay, written, before)))

            if self.fuse:
                try:
                    replay = compiled(*fused(*program))
                    if same(replay, _alike):
                        return replay
                    reason = "it would give other numbers"
                except RuntimeError as error:  # of the compiler
                    reason = str(error).splitlines()[0].rstrip(".")
                self.fuse = False
                print(f"\nThe step cannot be compiled ({reason}); it is replayed as it is.")
            replay = compiled(*program)
            if not same(replay, _same):
                raise NotRepeatable("a replay gives other numbers")
        finally:
            self._set_random(before)
        return replay

    def _tried(self, do, written, random):
        """All that do() gives and changes, several times in a row; what it changed is then back."""
        self._set_random(random)
        was, found = [t.detach().clone() for t in written], []
        try:
            for _ in range(TRIED):
                given = tree_leaves(do())
                found += [None if t is None else t.detach().clone() for t in (*given, *written)]
        finally:
            with torch.no_grad():
                for t, old in zip(written, was, strict=True):
                    t.copy_(old)
        return found + self._random()

    def _random(self):
        return [torch.get_rng_state(), *(g.get_state() for g in self.generators)]

    def _set_random(self, states):
        torch.set_rng_state(states[0])
        for generator, state in zip(self.generators, states[1:], strict=True):
            generator.set_state(state)


def _same(a, b):
    """Whether two tensors have the same numbers, or neither is there."""
    if a is None or b is None:
        return a is b
    return torch.equal(a, b) or torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)


def _alike(a, b):
    """The same for numbers that were rounded otherwise, beside the largest of them."""
    if a is None or b is None or not a.is_floating_point():
        return _same(a, b)
    near = (a - b).abs() <= ROUNDING * a.abs().max()
    return bool((near | (a == b) | (a.isnan() & b.isnan())).all())
