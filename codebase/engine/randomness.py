"""The state of torch's random generators."""

import contextlib
from collections.abc import Iterator

import torch


def random_state() -> dict[str, torch.Tensor]:
    """The state of torch's global generators, on the CPU and on an accelerator in use."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, torch.Tensor]) -> None:
    """Puts the generators back to what `random_state` gave."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])


@contextlib.contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """No gradients, and torch's generators seeded; they are as before once the block ends.

    So a number does not depend on when it is taken, nor training on whether it was.
    """
    before = random_state()
    torch.manual_seed(seed)
    try:
        with torch.no_grad():
            yield
    finally:
        set_random_state(before)
