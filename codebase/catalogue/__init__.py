"""Every model by its name: how it is built, its flags, what is measured of it. Imports no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from codebase.catalogue import assignment, autoencoders, conditional, family, latents, neighbours
from codebase.catalogue.entry import FAMILY as FAMILY
from codebase.catalogue.entry import Entry
from codebase.catalogue.flags import dimensions as dimensions
from codebase.catalogue.presets import PRESETS as PRESETS
from codebase.catalogue.presets import Preset as Preset
from codebase.errors import UserError, nearest
from codebase.sides import sized

if TYPE_CHECKING:
    import torch

_PARTS = assignment, family, latents, conditional, neighbours, autoencoders
CATALOGUE = {entry.name: entry for part in _PARTS for entry in part.ENTRIES}


def entry_of(name: str) -> Entry:
    """The entry of a name.

    Raises:
        UserError: there is none; it names those there are.
    """
    if name not in CATALOGUE:
        raise UserError(
            f"There is no model {name!r}; the models are {', '.join(CATALOGUE)}."
            f"{nearest(name, CATALOGUE | PRESETS)}"
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
    z, x_dim = len(state["enc.net.4.bias"]) // 2, len(state["dec.net.4.bias"])
    sizes = {"z_dim": z} | sized(x_dim)
    if "cls.net.4.bias" in state:
        found = sizes | {"y_dim": len(state["cls.net.4.bias"])}
        usual = {"z_dim": 64, "y_dim": 10}  # a solution's constructor takes neither
        return CATALOGUE["ssvae"], {k: v for k, v in found.items() if v != usual.get(k)}
    if "z_pre" in state:
        return CATALOGUE["gmvae"], sizes | {"k": state["z_pre"].shape[1] // 2}
    return CATALOGUE["vae"], sizes
