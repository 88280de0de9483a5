"""What an entry of the catalogue is. Imports no torch."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codebase import axes
from codebase.flag import IN_NAME, Flag

FAMILY = "codebase.models.family:FamilyVAE"  # takes a factory for each axis

if TYPE_CHECKING:
    from codebase.models.base import Model


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue.

    Args:
        name: what one types, and what begins its runs' names.
        line: what it is, in one line.
        source: who thought of it.
        claim: what is reported of it there, as far as it was read; "" where nothing was.
        model: "module:Class"; imported when it is built. A constructor takes `name`, what the
            flags' `argument`s say, and `x_dim`, the number of pixels, which is 784 without it.
        task: the module of codebase.tasks that measures and draws it.
        iter_max: iterations it is trained for.
        own: a `Flag` for each of its settings.
        reference: where evaluation.reference.BANDS has the bands of its default flags, formatted
            with their values; "" where there are none.
        parts: of a model that is put together from parts (see `axes`), {axis: its own} where that
            is not the VAE's; None: of one that is not. With other parts than these, the
            assignment's two are models of the family too.
        lr: Adam's learning rate.
    """

    name: str
    line: str
    source: str
    claim: str
    model: str
    task: str
    iter_max: int
    own: tuple[Flag, ...]
    reference: str = ""
    parts: Mapping[str, str] | None = None
    lr: float = 1e-3

    @property
    def flags(self) -> tuple[Flag, ...]:
        """Its own, then those of the axes."""
        found = {flag.name: flag for flag in self.own}
        if self.parts is not None:
            found = {f.name: f for f in axes.flags(self.parts)} | found
        own = [flag.name for flag in self.own]
        return tuple(found[name] for name in dict.fromkeys([*own, *found]))

    def defaults(self) -> dict[str, Any]:
        """{flag: its default}."""
        return {flag.name: flag.default for flag in self.flags}

    @property
    def recipe(self) -> dict[str, Any]:
        """{flag: its default} of the training flags whose defaults are the model's own."""
        return {"iter_max": self.iter_max, "lr": self.lr}

    def matters(self, values: Mapping[str, Any]) -> tuple[Flag, ...]:
        """The flags that make the model what it is: its own, and what was chosen beyond.

        Args:
            values: {flag: value}.
        """
        values = self.defaults() | dict(values)
        if self.parts is None or self._plain(values):
            return self.own
        names = {*axes.AXES, *axes.read(values)} | {flag.name for flag in self._used(values)}
        return tuple(flag for flag in self.flags if flag.name in names)

    def check(self, values: Mapping[str, Any]) -> None:
        """Raises a UserError for parts that do not go together, and flags that no part reads."""
        if self.parts is not None:
            axes.check(self.defaults() | dict(values), self.defaults())

    def _plain(self, values: Mapping[str, Any]) -> bool:
        """Whether it is the assignment's own model, with nothing chosen that that does not know."""
        usual, own = self.defaults(), {flag.name for flag in self.own}
        beyond = (name for name in usual if name not in own)
        return self.model != FAMILY and all(values[name] == usual[name] for name in beyond)

    def layout(self, values: Mapping[str, Any]) -> str:
        """The first part of a run's name, such as "model=vae_z=10".

        Args:
            values: {flag: value}.
        """
        used = self._used(self.defaults() | dict(values))
        parts = [flag.written(values[flag.name]) for flag in used if flag.names == IN_NAME]
        return "_".join([f"model={self.name}", *parts])

    def _used(self, values: Mapping[str, Any]) -> tuple[Flag, ...]:
        """Its own flags, but for those of a part in whose place another was chosen."""
        if self.parts is None:
            return self.own
        unread = axes.unread(values)
        return tuple(flag for flag in self.own if flag.name not in unread)

    def build(
        self, values: Mapping[str, Any], name: str, sizes: Mapping[str, int] | None = None
    ) -> "Model":
        """The model, untrained, as one of this house (see models.adapter).

        Args:
            values: {flag: value}; a flag that is not there is at its default.
            name: of the run, names the checkpoint folder.
            sizes: {argument: value} for the constructor, in the place of what the flags say.
        """
        from codebase.models.adapter import adapted

        values = self.defaults() | dict(values)
        if self.parts is None or self._plain(values):
            made, own, arguments = self.model, self.own, {}
        else:
            read, used = axes.read(values), self._used(values)
            made, own = FAMILY, tuple(flag for flag in used if flag.name not in read)
            arguments = {axis: part.factory(values) for axis, part in axes.chosen(values).items()}
        for flag in own:
            value = values[flag.name]
            if flag.argument and not (flag.beyond and value == flag.default):
                arguments[flag.argument] = value
        module, cls = made.split(":")
        constructor = getattr(importlib.import_module(module), cls)
        return adapted(constructor(name=name, **arguments | dict(sizes or {})))
