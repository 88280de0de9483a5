"""The state an interrupted training goes on from, bit for bit on a CPU."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from codebase.data.stream import Stream
from codebase.engine.randomness import random_state, set_random_state
from codebase.engine.step import Moments, Step
from codebase.errors import UserError
from codebase.files import checkpoints
from codebase.models.base import Model

ADVICE = "Start anew with --overwrite 1."


def save(
    path: Path,
    iteration: int,
    model: Model,
    moments: Moments,
    stream: Stream,
    company: Iterable[str],
    seconds: float,
    kept: Mapping[str, Any] | None = None,
) -> None:
    """Writes everything the iterations after this one depend on, atomically.

    Args:
        moments: Adam's state, {player: {parameter's number: state}}.
        company: names of the models that shared its noise.
        seconds: trained for so far.
        kept: {name: state} of what else there is.
    """
    state = {
        "step": iteration,
        "threads": torch.get_num_threads(),
        "model": model.state_dict(),
        "optimizer": moments,
        "stream": stream.state_dict(),
        "random": random_state(),
        "company": list(company),
        "seconds": seconds,
        **(kept or {}),
    }
    checkpoints.save(path, state)


def read(path: Path) -> dict[str, Any]:
    """What `save` wrote.

    Raises:
        UserError: it is damaged or something else; the sentence says how to go on.
    """
    try:
        state = checkpoints.load(path, "cpu")
    except UserError as error:
        raise UserError(f"{error} {ADVICE}") from error
    least = {"step": 0, "threads": 1}
    whole = isinstance(state, dict) and all(type(state.get(k)) is int for k in least)
    if not whole or any(state[k] < n for k, n in least.items()):
        raise UserError(f"{path} holds no state of a training.{checkpoints.others(path)} {ADVICE}")
    return state


def restore(
    path: Path, step: Step, kept: Mapping[str, Any] | None = None
) -> tuple[int, list[str], float]:
    """Puts what `save` wrote back into a `Step`, its model and stream, and torch's generators.

    The optimizers keep their own settings; their moments and step counts are the file's.

    Args:
        kept: {name: what has a load_state_dict} of what else there is.
    Returns:
        The iteration it was saved after, the company it was in, and the seconds it took.
    Raises:
        UserError: as `read`, and when the state is that of another training.
    """
    state, advice = read(path), f"{checkpoints.others(path)} {ADVICE}"
    try:
        checkpoints.fill(step.model, state["model"], path, advice)
        step.load_moments(state["optimizer"])
        for name, own in (kept or {}).items():
            own.load_state_dict(state[name])
        step.stream.load_state_dict(state["stream"])
        set_random_state(state["random"])
        step.model.steps_taken.fill_(state["step"])
        # Earlier files name no company and no seconds.
        company = list(map(str, state.get("company", [step.model.name])))
        seconds = float(state.get("seconds", 0.0))
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise UserError(f"{path} is not the state of this training ({reason}).{advice}") from error
    return state["step"], company, seconds
