"""The state_dict in what other people's training has saved."""

from collections.abc import Collection
from pathlib import Path
from typing import TypeGuard

import torch

from codebase.errors import UserError

State = dict[str, torch.Tensor]

WRAPPERS = "state_dict", "model_state_dict", "model"  # what stands beside is of the optimizer
WRAPPED = "module", "_orig_mod"  # what DataParallel and torch.compile put into names
LIGHTNING = "model"  # where all begin so


def weights_of(found: object, path: Path, expected: Collection[str] = ()) -> object:
    """The weights under the names that the model gave them; what was taken off is said.

    Args:
        found: what a file holds.
        path: the file's.
        expected: names that the model has; what has more of them as it is stays so.
    Returns:
        A state_dict, or what was found if there is none in it.
    Raises:
        UserError: there are several.
    """
    inside = _inside(found)
    if len(inside) > 1:
        raise UserError(
            f"{path} holds several state_dicts ({', '.join(inside)}): save the one you mean alone."
        )
    state, taken = found, []
    if inside:
        ((key, state),) = inside.items()
        taken.append(f"under {key!r}")
    if _is_state(state):
        bare = _bare(state)
        known = [len(set(expected) & names.keys()) for names in (state, bare)]
        if bare.keys() != state.keys() and len(bare) == len(state) and known[0] <= known[1]:
            (example, *_) = sorted(state.keys() - bare.keys())
            taken.append(f"with names like {example}")
            state = bare
    if taken:
        print(f"{path} holds its weights {', '.join(taken)}; they are taken as they are meant.")
    return state


def _inside(found: object) -> dict[str, State]:
    """The state_dicts by the keys they lie under, where found is none itself."""
    if not isinstance(found, dict) or _is_state(found):
        return {}
    return {key: found[key] for key in WRAPPERS if _is_state(found.get(key))}


def _is_state(value: object) -> TypeGuard[State]:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in value.items())
    )


def _bare(state: State) -> State:
    """The state_dict under the names that the model itself gives."""
    names = {name: [p for p in name.split(".") if p not in WRAPPED] for name in state}
    if all(parts[:1] == [LIGHTNING] for parts in names.values()):
        names = {name: parts[1:] for name, parts in names.items()}
    return {".".join(names[name]): value for name, value in state.items()}
