"""The one training loop."""

import math
import time
from dataclasses import dataclass

import torch

from codebase import checkpoints, data, records, resume
from codebase.errors import UserError
from codebase.graph import captured
from codebase.precision import products
from codebase.process import Stopwatch, noted_signals

LOOK_EVERY = 50  # iterations between looks at the numbers; only a look waits for the device


@dataclass
class Trained:
    """What a run of `train` did: its last iteration, and the seconds it spent in how many steps."""

    step: int
    steps: int
    seconds: float


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
        train_loader: iterates (grey x in [0, 1], y), one epoch each time; a `data.Batches` is
            binarized on its device.
        labeled_subset: (xl (L, 784), uint8 or in [0, 1], and one-hot yl), or `data.Batches` of
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
        graph: replays the step as a CUDA graph, with `data.Batches` on such a device; not for a
            loss that changes from step to step by a number that Python keeps.
        state_path: file an interrupted training goes on from, bit for bit on a CPU; written every
            save_every_seconds (looked at every LOOK_EVERY iterations) and at every checkpoint.
            Needs `data.Batches`.
        save_every_seconds: at least that long between two writings of it.
        on_checkpoint: called with the iteration after each checkpoint.
        on_step: called with the seconds trained so far after every iteration.
    Returns:
        Trained.
    Raises:
        UserError: a term of the loss is not finite (the checkpoints before stay), or a file
            cannot be written or read.
        ValueError: an argument is out of its range.
    """
    _check_arguments(y_status, iter_max, iter_save, save_every_seconds, lr)
    if reinitialize:
        model.apply(reset_weights)
    stream = data.Stream(train_loader, labeled_subset if y_status == "semisup" else None, device)
    if state_path and not stream.own:
        raise ValueError("state_path needs a train_loader that is a data.Batches")
    optimizer = adam(model, lr)
    step = start = 0
    if state_path and state_path.exists():
        step = start = resume.restore(state_path, model, optimizer, stream)
    plain = Step(model, optimizer, stream, precision)
    advance = captured(plain) if graph else plain
    checkpoints.make_folder(checkpoints.model_path(model.name, 0).parent)

    def save(checkpoint):
        _refuse_broken(model, step)
        if checkpoint:
            checkpoints.save(checkpoints.model_path(model.name, step), model.state_dict())
            if on_checkpoint and not stopped:
                on_checkpoint(step)
        if writer is not None:
            writer.flush()
        if state_path:  # last: what it has gone past is not done again
            resume.save(state_path, step, model, optimizer, stream)

    model.train()
    clock, saved_at, unlooked = Stopwatch(), time.monotonic(), []
    total = None if iter_max == math.inf else iter_max
    with noted_signals() as received, tqdm(total=total, initial=start) as bar, clock:
        while step < iter_max:
            step += 1
            values, x, y = advance()
            unlooked.append((values, stream.drawn()))
            bar.update(1)

            stopped = bool(received)  # a signal after this line stops the next step
            checkpoint = stopped or step == iter_max or step % iter_save == 0
            if checkpoint or step % LOOK_EVERY == 0:
                summaries = _look(unlooked, plain.tags, step, model)
                if y_status == "semisup":
                    summaries["class/acc"] = _accuracy(model, x, y)
                bar.set_postfix({tag.split("/")[-1]: f"{v:.2f}" for tag, v in summaries.items()})
                log_summaries(writer, summaries, step)
                unlooked.clear()
                # Saved only here, so that what is saved has been looked at.
                if checkpoint or time.monotonic() - saved_at > save_every_seconds:
                    with clock.stopped():
                        save(checkpoint)
                    saved_at = time.monotonic()
            if on_step:
                on_step(clock.so_far())
            if stopped:
                break
    if received:
        path = checkpoints.model_path(model.name, step)
        print(f"Stopped by {received[0].name} at iteration {step}; saved in {path}.")
        raise SystemExit(128 + received[0])
    return Trained(step, step - start, clock.seconds)


def _check_arguments(y_status, iter_max, iter_save, save_every_seconds, lr):
    if y_status not in ("none", "semisup"):
        raise ValueError(f"y_status is 'none' or 'semisup', got {y_status!r}")
    numbers = {"iter_max": iter_max, "save_every_seconds": save_every_seconds, "lr": lr}
    for name, number in numbers.items():
        if not number >= 0:
            raise ValueError(f"{name} must be at least 0, got {number}")
    if not iter_save >= 1:
        raise ValueError(f"iter_save must be at least 1, got {iter_save}")


class Step:
    """Draws a minibatch and minimizes its loss by a step of Adam; waits for nothing.

    Args:
        model, optimizer, precision: as for `update`.
        stream: a `data.Stream`.
    Attributes:
        tags: of the summaries.
    """

    def __init__(self, model, optimizer, stream, precision="fp32"):
        self.model, self.optimizer, self.stream = model, optimizer, stream
        self.precision, self.tags = precision, []

    def __call__(self):
        """Takes a step.

        Returns:
            The summaries in the order of the tags, (T,), and the unlabelled minibatch's x and y.
        """
        return self.take(self.stream.next())

    def take(self, sources):
        """The step on the minibatch that lies at sources (see `data.Stream.take`)."""
        x, y, batch = self.stream.take(sources)
        summaries = update(self.model, self.optimizer, batch, self.precision)
        self.tags = list(summaries)
        return torch.stack(list(summaries.values())), x, y


def update(model, optimizer, batch, precision="fp32"):
    """One step: forward, backward, Adam. Waits for nothing.

    Returns:
        The loss's summaries, detached.
    """
    with products(precision, batch[0].device):
        loss, summaries = model.loss(*batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return {tag: _tensor(value, loss).detach() for tag, value in summaries.items()}


def _tensor(value, like):
    """A summary as a tensor; a solution may log plain numbers, 0 for a term it leaves out."""
    if isinstance(value, torch.Tensor):
        return value.to(like)
    return torch.full_like(like, value)  # filled where it lies, which a graph can replay


def adam(model, lr=1e-3):
    """Adam with the default betas over what the model trains, fused where torch has that."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    device = parameters[0].device.type
    fused = device in ("cpu", "cuda")
    return torch.optim.Adam(parameters, lr=lr, fused=fused, capturable=device == "cuda")


def _look(unlooked, tags, step, model):
    """The latest summaries as floats, once every number since the last look was finite.

    With them "train/grad_norm", the Euclidean norm of the latest gradient. If one is not finite,
    the minibatch that broke is written down, for replay, and the run ends.
    """
    values = torch.stack([values for values, _ in unlooked]).tolist()
    rows = [dict(zip(tags, row, strict=True)) for row in values]  # one per iteration
    # Taken at every step it would cost a twentieth of it. A broken gradient between two looks
    # breaks the weights, so that the next iteration's terms tell.
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    rows[-1]["train/grad_norm"] = torch.nn.utils.get_total_norm(gradients).item()
    broken = [i for i, row in enumerate(rows) if not all(map(math.isfinite, row.values()))]
    if not broken:
        return rows[-1]

    row = broken[0]
    iteration = step - len(unlooked) + 1 + row
    wrong = {tag: v for tag, v in rows[row].items() if not math.isfinite(v)}
    # Loss and gradient are last to blame: they go wrong because a term does.
    terms = [tag for tag in wrong if not tag.startswith("train/")] or list(wrong)[:1]
    message = _stopped(iteration, ", ".join(f"{tag} is {wrong[tag]}" for tag in terms))
    drawn = [positions for _, positions in unlooked[max(row - 1, 0) : row + 1]]
    if drawn[-1] is not None:
        path = checkpoints.ROOT / model.name / f"nonfinite-{iteration:05d}.json"
        replay = {"iteration": iteration, "terms": terms}
        replay["train_positions"] = drawn[-1].tolist()
        if row:
            replay["train_positions_before"] = drawn[0].tolist()
        records.write(path, replay)
        message += f" The minibatch's positions in the training set are in {path}."
    raise UserError(message)


def _refuse_broken(model, step):
    """Raises a UserError if a weight is not finite, so that no such file replaces a good one."""
    if not all(torch.isfinite(p).all() for p in model.parameters()):
        raise UserError(_stopped(step, "a weight is not finite"))


def _stopped(iteration, reason):
    return (
        f"Training stopped at iteration {iteration}: {reason}. "
        "The checkpoints saved before are intact; a smaller --lr usually helps."
    )


@torch.no_grad()
def _accuracy(model, x, y):
    """Share of the unlabelled minibatch that the classifier gets right."""
    return (model.cls(x).argmax(-1) == y).float().mean().item()


def log_summaries(writer, summaries, global_step):
    """Writes one scalar per tag; a writer of None writes nothing."""
    if writer is not None:
        for tag, value in summaries.items():
            writer.add_scalar(tag, value, global_step)


def reset_weights(m):
    """Draws a layer's weights anew if it has any, for model.apply."""
    if hasattr(m, "reset_parameters"):
        m.reset_parameters()
