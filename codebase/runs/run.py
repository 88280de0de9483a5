"""One run: its seed, log, training and record."""

import contextlib
import functools
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from types import ModuleType
from typing import Any

import torch

from codebase import starter
from codebase.data import subsets
from codebase.data.batches import CLASSES, Batches, as_pixels, grey, seeded_generator
from codebase.data.stream import Labelled
from codebase.engine import cores, resume
from codebase.engine.devices import name_of
from codebase.engine.memory import keep_memory
from codebase.engine.selection import Selection
from codebase.engine.session import Session
from codebase.errors import UserError
from codebase.evaluation import features
from codebase.evaluation.bounds import full_bounds
from codebase.evaluation.numbers import Numbers, recorded
from codebase.files import disk, logs, records
from codebase.models.base import Model
from codebase.runs import progress, record
from codebase.runs.folder import Folder
from codebase.runs.pictures import failures, warn
from codebase.runs.settings import Settings
from codebase.runs.versions import versions
from codebase.sides import side_of
from codebase.train import Trained, loop

# Bar, iterations, between checkpoints, seconds between saves, what watches the cores, iterations
# between evaluations.
Pace = tuple[Callable[..., Any], int, int, float, cores.Retreat | None, int]


def do(settings: Settings, task: ModuleType) -> None:
    """Trains, evaluates and records a run.

    Args:
        settings: its `Settings`.
        task: a module of codebase.tasks.
    Raises:
        UserError: a run of this name exists already, or the training failed.
    """
    with Run(settings) as run:
        model = run.build()
        if settings.args.train:
            session = run.session(model, task)
            run.trained = loop(session, *run.pace())
            session.settle(run.trained.step)
        else:
            run.load(model)
        task.report(run, model.eval())


class Run:
    """A run that has begun: everything around its model.

    As a context manager it takes its threads and seeds torch, before any weight exists; at the end
    it closes its log and lets its folder go.

    Args:
        settings: its `Settings`.
    Attributes:
        folder: its `Folder`.
        writer: its log, once there is a session.
        trained: what the loop did; None with --train 0.
        selection: what keeps its best weights, or None.
        free: how many cores were free when it began.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.args = settings, settings.args
        self.name, self.device = settings.name, settings.device
        self.dataset = settings.dataset.to(settings.device)
        self.folder = Folder(settings)
        self.writer: logs.Log | Any = None
        self.trained: Trained | None = None
        self.selection: Selection | None = None

    def __enter__(self) -> "Run":
        keep_memory()
        self._threads_before = torch.get_num_threads()
        self.free = self.settings.free
        if self.free is None and not self.args.threads:
            with cores.FreeCores() as watched:
                pass
            self.free = watched.count
        cores.use(self.args.threads, self.free)
        more = self.settings.more
        after = f" ({progress.runs(more)} after it)" if more else ""
        print(f"{self.name}{after}\n{self._describe_data()}; {self.device}, {_threads()}")
        torch.manual_seed(self.settings.seed)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.writer:
            with contextlib.suppress(UserError):  # `finish` has closed what is to be kept
                self.writer.close()
        self.folder.release()
        torch.set_num_threads(self._threads_before)  # the next run may find other cores free

    def _describe_data(self):
        n, m = len(self.dataset.train_x), len(self.dataset.test_x)
        comparable = self.dataset.name == "mnist"
        remark = "" if comparable else " (its numbers do not compare with MNIST's)"
        size = ""
        if self.dataset.path:
            side = side_of(self.dataset.x_dim)
            size = f" of {side} × {side}"
        return f"data: {self.dataset.name}, {n:,} training and {m:,} test images{size}{remark}"

    def labelled(self) -> Labelled | None:
        """The labelled pairs that it learns, and says where a digit has none; None without any."""
        n = getattr(self.args, "n_labels", CLASSES)
        if n < CLASSES:
            without = f"{CLASSES - n} of {CLASSES} digits"
            print(f"*** WARNING: --n_labels {n} leaves {without} without a label.")
        return self.settings.labelled(self.dataset)

    def build(self) -> Model:
        """The model, untrained, on the run's device.

        Raises:
            UserError: --compile 1 has nothing to compile.
        """
        return self.settings.trainable(self.name)

    def load(self, model: Model) -> None:
        """Loads the checkpoint of --iter_max into the model.

        Raises:
            UserError: there is none that fits, or the run was trained on other data.
        """
        self.folder.refuse_others()
        starter.load_model_by_name(model, self.args.iter_max, self.device)
        disk.make_folder(self.folder.output)

    def session(self, model: Model, task: ModuleType | None = None) -> Session:
        """Makes the folder this run's, opens its log, and puts the model where it was, if it was.

        Args:
            model: on the run's device.
            task: has watch(run, model, step) for every checkpoint, evaluate(…) for in between.
        Returns:
            A Session.
        Raises:
            UserError: the run is finished, has other flags, or another process trains it.
        """
        labelled = self.labelled()
        self.folder.claim()
        self._open_log()
        (x, y), held_out = subsets.training(self.dataset, self.args.without, self.args.validation)
        model.prepare(lambda: grey(x))
        features.give(model.modules(), self.dataset)
        self.selection = self._selection(model, held_out)
        shuffling = seeded_generator(self.settings.seed, self.device)
        return Session(
            model,
            Batches(x, y, self.args.batch_size, shuffling),
            labelled,
            self.device,
            self.writer,
            _y_status(model, labelled),
            lr=self.settings.lr,
            precision=self.settings.precision,
            graph=bool(self.args.graph),
            fuse=bool(self.settings.compile),
            decay=self.args.ema,
            selection=self.selection,
            state_path=self.folder.state_path,
            on_checkpoint=functools.partial(task.watch, self, model) if task else None,
            on_evaluation=functools.partial(task.evaluate, self, model) if task else None,
        )

    def _selection(self, model, held_out):
        """What keeps the best weights by the held-out images, None without any."""
        if not len(held_out):
            return None
        if not model.abilities.bounds:
            raise UserError(
                f"--validation {self.args.validation} selects by nelbo, and {self.name} has no "
                "bound; leave it out."
            )
        x = as_pixels(held_out, model.abilities.pixels, seeded_generator(0, self.device))

        def nelbo():
            return full_bounds(model, x)["nelbo"].value

        return Selection(model, nelbo)

    def _open_log(self):
        path = self.folder.state_path
        state = resume.read(path) if path.exists() else {"step": 0}
        start = state["step"]
        if start:
            if not self.args.threads:
                torch.set_num_threads(state["threads"])  # another number rounds differently
            print(f"Going on with this run from iteration {start}, with {_threads()}")
        else:
            logs.delete(self.name)  # of a start that was stopped before its first save
        self.writer = logs.Log(self.name, purge_step=start + 1 if start else None)

    def pace(self) -> Pace:
        """What `train.loop` takes beside the session: bar, lengths, and who watches the cores."""
        args = self.args
        bar = functools.partial(progress.bar, self.name, self.settings.more)
        watch = None if args.threads else cores.Retreat()
        return bar, args.iter_max, args.iter_save, args.save_every_seconds, watch, args.iter_eval

    def finish(
        self,
        numbers: Mapping[str, Numbers],
        pictures: Mapping[str, Callable[[], None]],
        **extra: Any,
    ) -> None:
        """Writes results.json, then logs the numbers, draws, and says where everything lies.

        Once the record is written nothing can fail any more: what cannot be drawn is a warning.

        Args:
            numbers: {group: {name: Number}}.
            pictures: {what it is: draws and saves it}.
            extra: further content of results.json.
        """
        records.write(self.folder.results_path, self._record(numbers) | extra)
        if self.writer:
            logged = {"final numbers in the log": lambda: self._log_results(numbers)}
            pictures = {**logged, **pictures, "end of the log": self.writer.close}
        failed = failures(pictures)
        if self.writer:
            self.folder.tidy()
        output = self.folder.output
        print(f"\nresults and pictures: {output}\ncurves: tensorboard --logdir {logs.ROOT}")
        warn(failed, "the same command with --train 0 draws the pictures again")

    def _record(self, numbers):
        return {
            "run": self.name,
            "model": self.settings.entry.name,
            "identity": self.settings.identity,
            "flags": self.settings.values,
            "data": {"name": self.dataset.name, "sha256": self.dataset.sha256()},
            "device": {"kind": str(self.device), "name": name_of(self.device)},
            "versions": versions(),
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "training": self._training(),
            "numbers": {group: recorded(members) for group, members in numbers.items()},
            "seconds": round(time.perf_counter() - self.settings.began, 1),
        }

    def _log_results(self, numbers: Mapping[str, Numbers]) -> None:
        flat = {f"{g}/{name}": n.value for g, ns in numbers.items() for name, n in ns.items()}
        flags = {k: v for k, v in self.settings.identity.items() if k != record.SHA256}
        self.writer.add_results(flags, flat, self.args.iter_max)

    def _training(self) -> dict[str, Any] | None:
        if self.trained is None:
            return None  # --train 0
        t, best = self.trained, self.selection
        selected = {"selected": {"step": best.step, "nelbo": best.value}} if best else {}
        return selected | {
            "iterations": t.step,
            "iterations_in_this_stretch": t.steps,
            "seconds": round(t.seconds, 2),
            "iterations_per_second": round(t.step / t.seconds, 1) if t.seconds else None,
            "threads": torch.get_num_threads(),
            "runs_at_once": t.models,
        }


def _y_status(model, labelled):
    """Which labels the model is trained with, as `train` calls it."""
    if model.abilities.conditional:
        return "fullsup"
    return "none" if labelled is None else "semisup"


def _threads():
    n = torch.get_num_threads()
    return f"{n} CPU thread{'s' if n > 1 else ''}"
