"""Every model by its name: how it is built, its flags, what is measured of it. Imports no torch."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codebase.errors import UserError, nearest
from codebase.flag import IN_NAME, Flag, number, switch, weight

if TYPE_CHECKING:
    import torch

    from codebase.models.base import Model


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue.

    Args:
        name: what one types, and what begins its runs' names.
        line: what it is, in one line.
        source: who thought of it.
        model: "module:Class"; imported when it is built. A constructor takes `name` and what the
            flags' `argument`s say.
        task: the module of codebase.tasks that measures and draws it.
        iter_max: iterations it is trained for.
        flags: a `Flag` for each of its settings.
        reference: where evaluation.reference.BANDS has the bands of its default flags, formatted
            with their values; "" where there are none.
    """

    name: str
    line: str
    source: str
    model: str
    task: str
    iter_max: int
    flags: tuple[Flag, ...]
    reference: str = ""

    def layout(self, values: Mapping[str, Any]) -> str:
        """The first part of a run's name, such as "model=vae_z=10".

        Args:
            values: {flag: value}.
        """
        parts = [flag.written(values[flag.name]) for flag in self.flags if flag.names == IN_NAME]
        return "_".join([f"model={self.name}", *parts])

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

        module, cls = self.model.split(":")
        arguments = {}
        for flag in self.flags:
            value = values.get(flag.name, flag.default)
            if flag.argument and not (flag.beyond and value == flag.default):
                arguments[flag.argument] = value
        constructor = getattr(importlib.import_module(module), cls)
        return adapted(constructor(name=name, **arguments | dict(sizes or {})))


def dimensions(default: int) -> Flag:
    """The flag --z."""
    return Flag(
        "z",
        "latent dimensions",
        type=number(int, 1, 10_000),
        default=default,
        names=IN_NAME,
        written=lambda z: f"z={z:02d}",
        argument="z_dim",
    )


def components(default: int) -> Flag:
    """The flag --k."""
    return Flag(
        "k",
        "mixture components",
        type=number(int, 1, 100_000),
        default=default,
        names=IN_NAME,
        written=lambda k: f"k={k:03d}",
        argument="k",
    )


BETA = Flag(
    "beta",
    "weight of kl in the loss, rec + β·kl",
    type=number(float, 0),
    default=1.0,
    argument="beta",
    beyond=True,
)

_ENTRIES = (
    Entry(
        "vae",
        "one Gaussian latent vector per image; a β-VAE with --beta",
        "Kingma & Welling 2014; Higgins et al. 2017",
        "codebase.models.vae:VAE",
        "likelihood",
        20_000,
        (dimensions(10), BETA),
        "vae",
    ),
    Entry(
        "gmvae",
        "a VAE whose prior is a learned mixture of Gaussians",
        "Stanford CS236, homework 2",
        "codebase.models.gmvae:GMVAE",
        "likelihood",
        20_000,
        (dimensions(10), components(500), BETA),
        "gmvae",
    ),
    Entry(
        "ssvae",
        "a VAE with a label, known for 100 images and inferred for the others (M2)",
        "Kingma et al. 2014",
        "codebase.models.ssvae:SSVAE",
        "classifier",
        30_000,
        (
            Flag(
                "gw",
                "weight of −ELBO in the loss",
                type=number(float, 0),
                default=1.0,
                names=IN_NAME,
                written=lambda gw: f"gw={weight(gw)}",
                aliases=("-gw",),
                argument="gen_weight",
            ),
            Flag(
                "cw",
                "weight of the cross-entropy",
                type=number(float, 0),
                default=100.0,
                names=IN_NAME,
                written=lambda cw: f"cw={weight(cw)}",
                aliases=("-cw",),
                argument="class_weight",
            ),
            Flag(
                "labeled_elbo",
                "1: Kingma's objective, ELBO(x, y) too",
                type=switch,
                default=0,
                argument="labeled_elbo",
                beyond=True,
            ),
            Flag(
                "n_labels",
                "labelled images, of every digit as many as that allows; below 10 some have none",
                type=number(int, 1, 60_000),
                default=100,
            ),
            Flag("label_seed", "draws other labelled images", type=number(int, 0), default=0),
        ),
        "ssvae_gw={gw:g}",
    ),
)
CATALOGUE = {entry.name: entry for entry in _ENTRIES}


def entry_of(name: str) -> Entry:
    """The entry of a name.

    Raises:
        UserError: there is none; it names those there are.
    """
    if name not in CATALOGUE:
        raise UserError(
            f"There is no model {name!r}; the models are {', '.join(CATALOGUE)}."
            f"{nearest(name, CATALOGUE)}"
        )
    return CATALOGUE[name]


def recognised(state: Mapping[str, "torch.Tensor"]) -> tuple[Entry, dict[str, int]]:
    """Which of the assignment's three models a bare checkpoint holds, and its settings.

    Args:
        state: a state_dict with the contract's keys.
    Returns:
        Its entry, and the sizes that the weights have, {argument: value}.
    Raises:
        LookupError, TypeError, AttributeError: it holds none of them.
    """
    z = len(state["enc.net.4.bias"]) // 2
    if "cls.net.4.bias" in state:
        found = {"z_dim": z, "y_dim": len(state["cls.net.4.bias"])}
        usual = {"z_dim": 64, "y_dim": 10}  # a solution's constructor takes neither
        return CATALOGUE["ssvae"], {k: v for k, v in found.items() if v != usual[k]}
    if "z_pre" in state:
        return CATALOGUE["gmvae"], {"z_dim": z, "k": state["z_pre"].shape[1] // 2}
    return CATALOGUE["vae"], {"z_dim": z}
