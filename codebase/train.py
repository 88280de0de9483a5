"""train() of the contract, and the one loop that it shares with every script."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from codebase.data.stream import Labelled, Loader
from codebase.engine.clock import Stopwatch
from codebase.engine.session import Session
from codebase.engine.signals import noted_signals
from codebase.engine.stacked_session import StackedSession
from codebase.files.logs import Writer
from codebase.starter import reset_weights

LOOK_EVERY = 50  # iterations between looks at the numbers; only a look waits for the device


@dataclass
class Trained:
    """What a training came to.

    Args:
        step: its last iteration.
        steps: how many of them were taken since it was last interrupted.
        seconds: of all iterations.
        models: how many were trained as one.
    """

    step: int
    steps: int
    seconds: float
    models: int


def train(
    model: nn.Module,
    train_loader: Loader,
    labeled_subset: Labelled | None,
    device: torch.device | str,
    tqdm: Callable[..., Any],
    writer: Writer,
    iter_max: float = math.inf,
    iter_save: float = math.inf,
    model_name: str = "model",
    y_status: str = "none",
    reinitialize: bool = False,
    *,
    lr: float = 1e-3,
    precision: str = "fp32",
    graph: bool = False,
    fuse: bool = False,
    state_path: Path | None = None,
    save_every_seconds: float = math.inf,
    on_checkpoint: Callable[[int], object] | None = None,
    on_step: Callable[[float], object] | None = None,
) -> Trained:
    """Minimizes model.loss by Adam, one redrawn binary minibatch a step.

    Checkpoints go to checkpoints/‹model.name› every iter_save iterations and at the end.
    SIGINT and SIGTERM save one too, then end the program with status 128 + signal.

    Args:
        model: `loss, summaries = model.loss(*batch)`; summaries are scalars by tag.
        train_loader: iterates (grey x in [0, 1], y), one epoch each time; a `Batches` is
            binarized on its device.
        labeled_subset: (xl (L, 784), uint8 or in [0, 1], and labels yl, one-hot or not), or
            `Batches` of the like, one-hot; looked at only if y_status is "semisup".
        device: where the model lies.
        tqdm: the progress bar's class.
        writer: a TensorBoard writer, or None.
        iter_max, iter_save: iterations in all, and between checkpoints.
        model_name: kept for the starter code's scripts; the checkpoint's folder is model.name.
        y_status: "none": the batch is (x,); "semisup": (x, xl, yl); "fullsup": (x, one-hot y).
        reinitialize: resets every layer first.
        lr: Adam's learning rate.
        precision: of the matrix products: "fp32", "tf32" or "bf16".
        graph: captures the step and replays it, with `Batches` on a CPU or CUDA GPU; not for a
            loss that changes from step to step by a number that Python keeps outside the model.
        fuse: compiles what is replayed on a CPU, so that numbers differ by rounding.
        state_path: file an interrupted training goes on from, bit for bit on a CPU; written every
            save_every_seconds (looked at every LOOK_EVERY iterations) and at every checkpoint.
            Needs `Batches`.
        save_every_seconds: at least that long between two writings of it.
        on_checkpoint: called with the iteration after each checkpoint.
        on_step: called after every iteration with the seconds of them so far, those in which a
            step was captured left out.
    Returns:
        Trained.
    Raises:
        UserError: a term of the loss is not finite (the checkpoints before stay), a file cannot
            be written or read, or the data are no images and labels (see data.checks).
        SystemExit: after a signal.
        ValueError: an argument is out of its range.
    """
    _check_arguments(y_status, iter_max, iter_save, save_every_seconds, lr)
    if reinitialize:
        model.apply(reset_weights)
    session = Session(
        model,
        train_loader,
        labeled_subset,
        device,
        writer,
        y_status,
        lr=lr,
        precision=precision,
        graph=graph,
        fuse=fuse,
        state_path=state_path,
        on_checkpoint=on_checkpoint,
    )
    return loop(session, tqdm, iter_max, iter_save, save_every_seconds, on_step)


def loop(
    session: Session | StackedSession,
    tqdm: Callable[..., Any],
    iter_max: float = math.inf,
    iter_save: float = math.inf,
    save_every_seconds: float = math.inf,
    on_step: Callable[[float], object] | None = None,
    iter_eval: float = math.inf,
) -> Trained:
    """Takes step after step, and looks at their numbers every LOOK_EVERY of them.

    Args:
        session: a `Session`, or a `StackedSession`.
        iter_eval: iterations between evaluations.
        The others as for `train`.
    Returns:
        Trained.
    Raises:
        UserError, OSError: the session has failed.
        SystemExit: after a signal.
    """
    session.begin()
    i, clock, saved_at = session.start, Stopwatch(), time.monotonic()
    total = None if iter_max == math.inf else iter_max
    with noted_signals() as received, tqdm(total=total, initial=i) as bar, clock:
        while i < iter_max:
            i += 1
            session.note(session.step())
            bar.update(1)

            stopped = bool(received)  # a signal after this line stops the next step
            due = i == iter_max or i % iter_save == 0
            checkpoint = stopped or due
            evaluation = i % iter_eval == 0 and not due  # what is due has its own
            if checkpoint or evaluation or i % LOOK_EVERY == 0:
                latest = session.look(i)
                bar.set_postfix(_in_short(latest))
                if evaluation:
                    with clock.stopped():
                        session.evaluate(i)
                # Saved only here, so that what is saved has been looked at.
                if checkpoint or time.monotonic() - saved_at > save_every_seconds:
                    with clock.stopped():
                        seconds = session.seconds + clock.seconds
                        session.save(i, checkpoint, not due, seconds)
                    saved_at = time.monotonic()
            if on_step:
                on_step(clock.so_far() - session.step.capturing)
            if stopped or session.failure:
                break
    if received:
        print(f"Stopped by {received[0].name} at iteration {i}; {session.saved_in(i)}.")
        raise SystemExit(128 + received[0])
    if session.failure:
        raise session.failure
    return Trained(i, i - session.start, session.seconds + clock.seconds, session.models)


def _in_short(summaries):
    """What the bar says: the loss and its parts. The parts' sum and the gradient are in the log."""
    left_out = ("gen/elbo", "gen/elbo_labeled", "train/grad_norm")
    return {
        tag.split("/")[-1]: f"{v:.1f}" if 10 <= abs(v) < 10_000 else f"{v:.2g}"
        for tag, v in summaries.items()
        if tag not in left_out
    }


def _check_arguments(y_status, iter_max, iter_save, save_every_seconds, lr):
    if y_status not in ("none", "semisup", "fullsup"):
        raise ValueError(f"y_status is 'none', 'semisup' or 'fullsup', got {y_status!r}")
    numbers = {"iter_max": iter_max, "save_every_seconds": save_every_seconds, "lr": lr}
    for name, number in numbers.items():
        if not number >= 0:
            raise ValueError(f"{name} must be at least 0, got {number}")
    if not iter_save >= 1:
        raise ValueError(f"iter_save must be at least 1, got {iter_save}")
