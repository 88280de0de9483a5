"""What a part is: a choice on an axis."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from codebase.flag import Flag

# What one part may need of another.
DENSITY = "the density of any z, not of its own samples alone"
UNSCALED = "no scale of the pixels that it would have to train"
GAUSSIAN = "a mean and a variance for each dimension, independent of the others"


@dataclass(frozen=True)
class Part:
    """A choice on an axis.

    Args:
        name: what one types.
        line: what it is, in one line.
        source: who thought of it.
        made: "module:Class" of what is made of it; imported when it is built.
        flags: those it reads; a flag's `argument` is the constructor's.
        has: which of DENSITY, GAUSSIAN, … it can give another part.
        needs: {axis: what the part chosen there must have}.
    """

    name: str
    line: str
    source: str
    made: str
    flags: tuple[Flag, ...] = ()
    has: tuple[str, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)

    def factory(self, values: Mapping[str, Any]) -> Callable[..., Any]:
        """Its class, with what its flags say as arguments.

        Args:
            values: {flag: value}; a flag that is not there is at its default.
        """
        module, cls = self.made.split(":")
        arguments = {flag.argument: values.get(flag.name, flag.default) for flag in self.flags}
        return partial(getattr(importlib.import_module(module), cls), **arguments)
