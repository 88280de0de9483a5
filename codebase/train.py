"""The one training loop."""

import math
import time
import zlib
from dataclasses import dataclass

import torch

from codebase.engine.clock import Stopwatch
from codebase.engine.graph import captured
from codebase.engine.randomness import set_random_state
from codebase.engine.session import Training
from codebase.engine.signals import noted_signals
from codebase.errors import UserError
from codebase.files import checkpoints
from codebase.starter import reset_weights

LOOK_EVERY = 50  # iterations between looks at the numbers; only a look waits for the device


@dataclass
class Trained:
    """What the loop did: its last iteration, its seconds, in how many steps, of how many models."""

    step: int
    steps: int
    seconds: float
    models: int


def train(
    model,
    train_loader,
    labeled_subset,
    device,
    tqdm,
    writer,
    iter_max=math.inf,
    iter_save=math.inf,
    model_name="model",
    y_status="none",
    reinitialize=False,
    *,
    lr=1e-3,
    precision="fp32",
    graph=False,
    state_path=None,
    save_every_seconds=math.inf,
    on_checkpoint=None,
    on_step=None,
):
    """Minimizes model.loss by Adam, one redrawn binary minibatch a step.

    Checkpoints go to checkpoints/‹model.name› every iter_save iterations and at the end.
    SIGINT and SIGTERM save one too, then end the program with status 128 + signal.

    Args:
        model: `loss, summaries = model.loss(*batch)`; summaries are scalars by tag.
        train_loader: iterates (grey x in [0, 1], y), one epoch each time; a `Batches` is
            binarized on its device.
        labeled_subset: (xl (L, 784), uint8 or in [0, 1], and one-hot yl), or `Batches` of
            the like; looked at only if y_status is "semisup".
        device: where the model lies.
        tqdm: the progress bar's class.
        writer: a TensorBoard writer, or None.
        iter_max, iter_save: iterations in all, and between checkpoints.
        model_name: kept for the starter code's scripts; the checkpoint's folder is model.name.
        y_status: "none": the batch is (x,); "semisup": (x, xl, yl).
        reinitialize: resets every layer first.
        lr: Adam's learning rate.
        precision: of the matrix products: "fp32", "tf32" or "bf16".
        graph: replays the step as a CUDA graph, with `Batches` on such a device; not for a
            loss that changes from step to step by a number that Python keeps.
        state_path: file an interrupted training goes on from, bit for bit on a CPU; written every
            save_every_seconds (looked at every LOOK_EVERY iterations) and at every checkpoint.
            Needs `Batches`.
        save_every_seconds: at least that long between two writings of it.
        on_checkpoint: called with the iteration after each checkpoint.
        on_step: called with the seconds trained so far after every iteration.
    Returns:
        Trained.
    Raises:
        UserError: a term of the loss is not finite (the checkpoints before stay), or a file
            cannot be written or read.
        SystemExit: after a signal.
        ValueError: an argument is out of its range.
    """
    _check_arguments(y_status, iter_max, iter_save, save_every_seconds, lr)
    if reinitialize:
        model.apply(reset_weights)
    training = Training(
        model,
        train_loader,
        labeled_subset,
        device,
        writer,
        y_status,
        lr=lr,
        state_path=state_path,
        on_checkpoint=on_checkpoint,
    )
    return loop(
        training.step(precision),
        [training],
        tqdm,
        iter_max,
        iter_save,
        graph=graph,
        save_every_seconds=save_every_seconds,
        on_step=on_step,
    )


def loop(
    step,
    trainings,
    tqdm,
    iter_max=math.inf,
    iter_save=math.inf,
    *,
    graph=False,
    save_every_seconds=math.inf,
    on_step=None,
    on_failure=None,
):
    """Takes step after step, and looks at their numbers every LOOK_EVERY of them.

    Args:
        step: a `engine.step.Step` for these trainings.
        trainings: a `Training` each of the models that it trains, all from the same iteration on.
            One that fails keeps no other back.
        on_failure: called with each training that fails.
        The others as for `train`.
    Returns:
        Trained.
    Raises:
        UserError, OSError: every training has failed; the first one's reason.
        SystemExit: after a signal.
    """
    advance = captured(step) if graph else step
    _take_up_noise(trainings)
    for training in trainings:
        training.model.train()
    i = start = trainings[0].start
    clock, saved_at, unlooked = Stopwatch(), time.monotonic(), []
    total = None if iter_max == math.inf else iter_max
    with noted_signals() as received, tqdm(total=total, initial=start) as bar, clock:
        while i < iter_max:
            i += 1
            values, x, y = advance()
            unlooked.append((values, step.stream.drawn()))
            bar.update(1)

            stopped = bool(received)  # a signal after this line stops the next step
            checkpoint = stopped or i == iter_max or i % iter_save == 0
            if checkpoint or i % LOOK_EVERY == 0:
                bar.set_postfix(_look(trainings, step, i, unlooked, x, y, on_failure))
                unlooked.clear()
                # Saved only here, so that what is saved has been looked at.
                if checkpoint or time.monotonic() - saved_at > save_every_seconds:
                    with clock.stopped():
                        _save(trainings, step, i, checkpoint, stopped, on_failure)
                    saved_at = time.monotonic()
            if on_step:
                on_step(clock.so_far())
            if stopped or all(training.failure for training in trainings):
                break
    alive = [training.model.name for training in trainings if not training.failure]
    if not (alive or (received and on_failure)):
        raise trainings[0].failure
    if received:
        if alive:
            others = f" and beside it for {len(alive) - 1} other runs" if alive[1:] else ""
            path = checkpoints.model_path(alive[0], i)
            print(f"Stopped by {received[0].name} at iteration {i}; saved in {path}{others}.")
        raise SystemExit(128 + received[0])
    return Trained(i, i - start, clock.seconds, len(trainings))


def _take_up_noise(trainings):
    """Sets torch's generators to where the first training has them, whatever was drawn since.

    Trainings that go on in other company than before may all have saved the same place; there
    they would meet the same noise again, so another is drawn from their names and the iteration.
    """
    company = [training.model.name for training in trainings]
    if all(training.goes_on_with(company) for training in trainings):
        set_random_state(trainings[0].random)
    else:
        torch.manual_seed(zlib.crc32(f"{company} {trainings[0].start}".encode()))


def _look(trainings, step, i, unlooked, x, y, on_failure):
    """Has each training look at its own part; what of the latest numbers the bar shows."""
    values, drawn = zip(*unlooked, strict=True)
    # (n, T) or (models, n, T): everything since the last look, in one transfer.
    values, norms = torch.stack(values, dim=-2).cpu(), step.gradient_norms()

    def look(training, k):
        rows = [dict(zip(step.tags, row, strict=True)) for row in step.part(values, k).tolist()]
        own_x, own_y = step.part(x, k), step.part(y, k)
        return training.look(i, rows, norms[k], own_x, own_y, lambda row: step.part(drawn[row], k))

    found = _each(trainings, look, on_failure)
    means = {tag: sum(row[tag] for row in found) / len(found) for tag in (found or [{}])[0]}
    return {tag.split("/")[-1]: f"{value:.2f}" for tag, value in means.items()}


def _save(trainings, step, i, checkpoint, stopped, on_failure):
    moments, company = step.moments(), [training.model.name for training in trainings]

    def save(training, k):
        training.save(i, moments[k], company, checkpoint, stopped)

    _each(trainings, save, on_failure)


def _each(trainings, do, on_failure):
    """What do(training, its number) gives for each that has not failed, in that or before."""
    found = []
    for k, training in enumerate(trainings):
        if training.failure is None:
            try:
                found.append(do(training, k))
            except (UserError, OSError) as failure:
                training.failure = failure
                if on_failure:
                    on_failure(training)
    return found


def _check_arguments(y_status, iter_max, iter_save, save_every_seconds, lr):
    if y_status not in ("none", "semisup"):
        raise ValueError(f"y_status is 'none' or 'semisup', got {y_status!r}")
    numbers = {"iter_max": iter_max, "save_every_seconds": save_every_seconds, "lr": lr}
    for name, number in numbers.items():
        if not number >= 0:
            raise ValueError(f"{name} must be at least 0, got {number}")
    if not iter_save >= 1:
        raise ValueError(f"iter_save must be at least 1, got {iter_save}")
