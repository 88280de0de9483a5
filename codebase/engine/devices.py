"""Where to compute."""

import platform
from collections.abc import Callable

import torch

from codebase.errors import UserError


def device(name: str) -> torch.device:
    """The device that --device names; what is float32 is computed in it, but in `products`.

    Raises:
        UserError: this machine has none.
    """
    torch.backends.cudnn.allow_tf32 = False  # torch rounds convolutions, of evaluations too
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    available: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
    }
    if name in available and not available[name]():
        raise UserError(f"--device {name}: this machine has none that torch can use; try cpu.")
    return torch.device(name)


def name_of(device: torch.device) -> str:
    """What the maker calls it, as far as the system says."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()
