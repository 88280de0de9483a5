"""How long a long run will take, said before it starts, from a short measurement."""

import time

import torch

from codebase.data import subsets
from codebase.data.batches import Batches, grey, seeded_generator
from codebase.data.stream import Stream
from codebase.engine import cores, resume
from codebase.engine.average import Average
from codebase.engine.graph import captured
from codebase.engine.memory import keep_memory
from codebase.engine.step import Step
from codebase.evaluation.bounds import image_iwae
from codebase.models.base import Model
from codebase.runs import ranks
from codebase.runs.folder import Folder
from codebase.runs.progress import in_words, speed
from codebase.runs.settings import Settings

WARM_UP, SECONDS, IMAGES = 10, 2.0, 3  # steps, of measuring, test images whose bound is timed


def say(name: str, settings: Settings) -> None:
    """Prints how long a run takes on this machine, unless it is finished or not to be trained.

    Args:
        name: of the preset.
        settings: the run's; of several, the first one's.
    """
    args = settings.args
    first = settings.of_run(args.run)
    if not args.train or ranks.world() > 1 or (not args.overwrite and Folder(first).finished()):
        return
    keep_memory()  # as the run does
    before = torch.get_num_threads()
    cores.use(args.threads, settings.free)
    try:
        model = first.trainable(first.name)
        step, bound = seconds_a_step(first, model), _seconds_a_bound(first, model)
        threads, differ = torch.get_num_threads(), model.steps_differ
    finally:
        torch.set_num_threads(before)
    left = args.iter_max - _done(first)
    # The steps that differ are those of models of few labels, the more of which are left out the
    # longer it has learned.
    words = (
        f"{name}: {left:,} iterations take {'less than' if differ else 'about'} "
        f"{in_words(left * step)} here, at "
        f"{speed(1 / step)} a second with {threads} CPU thread{'s' if threads > 1 else ''}"
    )
    if bound:
        n = len(settings.dataset.test_x)
        words += f", and IWAE-{args.eval_iw} of {n:,} test images {in_words(n * bound)} more"
    each = f" That is for each of {args.runs} runs." if (args.runs or 1) > 1 else ""
    print(f"{words}.{each} Stopped, the same command goes on from what was saved.", flush=True)


def _done(settings):
    """Iterations that an unfinished run has behind it."""
    path = Folder(settings).state_path
    if settings.args.overwrite or not path.exists():
        return 0
    return min(resume.read(path)["step"], settings.args.iter_max)


def seconds_a_step(settings: Settings, model: Model) -> float:
    """Of training, measured for a moment; the model is trained by that. It is never compiled.

    Args:
        model: of these settings, as it is to be trained.
    """
    args, data = settings.args, settings.dataset.to(settings.device)
    model.prepare(lambda: grey(data.train_x))
    shuffling = seeded_generator(settings.seed, settings.device)
    (x, y), _ = subsets.training(data, args.without, args.validation)
    loader = Batches(x, y, args.batch_size, shuffling)
    stream = Stream(loader, settings.labelled(data), settings.device, model.abilities.pixels)
    step = Step(model.train(), stream, settings.lr, settings.precision)
    if args.ema:
        step.average = Average(model, args.ema)
    taken = captured(step) if args.graph else step
    for _ in range(WARM_UP):
        values, *_ = taken()
    values.sum().item()  # waits for the device
    began, n = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        values, *_ = taken()
        values.sum().item()
        n += 1
    return (time.perf_counter() - began) / n


def _seconds_a_bound(settings, model):
    """Of a test image's importance-weighted bound; None without --eval_iw."""
    iw = getattr(settings.args, "eval_iw", 0)
    if not iw:
        return None
    x = subsets.test_images(settings.dataset, model.abilities.pixels)[:IMAGES]
    x = x.to(settings.device)
    model.eval()
    image_iwae(model, x[:1], iw, settings.precision)
    began = time.perf_counter()
    image_iwae(model, x, iw, settings.precision)
    return (time.perf_counter() - began) / len(x)
