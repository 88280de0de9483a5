"""A whole training step captured once and replayed.

On a GPU a step of these models is some hundred small kernels, and launching them one by one from
Python takes longer than running them. A replay launches all of them at once, as a CUDA graph. On a
CPU it is the same operations one after the other, without autograd's bookkeeping (see replay.py).
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from codebase.data.batches import Batches
from codebase.engine.replay import Cpu
from codebase.engine.step import Step, Taken

WARM_UP = 3  # plain steps before a capture: they load kernels and allocate what is kept

Sizes = tuple[torch.Size, ...]  # of a minibatch's positions in every `Batches`


def captured(step: Step, fuse: bool = False) -> "Step | CapturedStep":
    """The step, replayed if its minibatches come from `Batches` on a CPU or CUDA device.

    It is the plain one where the model says that no step of its repeats another.

    Args:
        fuse: compiles what is replayed on a CPU.
    """
    loader = step.stream.loader
    if not isinstance(loader, Batches) or step.model.steps_differ:
        return step
    generators, kind = step.stream.generators(), loader.x.device.type
    if kind == "cpu":
        return CapturedStep(step, Cpu(generators, fuse))
    return CapturedStep(step, Cuda(generators)) if kind == "cuda" else step


class Device(Protocol):
    """What captures functions and replays them."""

    def aside(self, function: Callable[[], Any]) -> Any:
        """function(), so that capturing finds everything in place."""

    def captured(self, function: Callable[[], Any]) -> Callable[[], Any]:
        """A function that replays function(), which is not executed by that, or has no effect.

        Raises:
            RuntimeError: it does what cannot be captured. Weights and generators are as before.
        """


class CapturedStep:
    """What the plain step does, replayed where minibatches of those sizes were captured before.

    An epoch's last, smaller minibatch has a graph of its own. The first steps of each size are
    plain ones. Nothing is done twice, so the minibatches and random numbers are those of plain
    steps.

    A replay repeats what the device did and runs no Python: a loss that itself changes from step
    to step, by a number that Python keeps, would stay as it was when it was captured. Where such
    a number is an attribute of the model, steps are plain ones from its first change on.

    Args:
        step: a `engine.step.Step` on minibatches from `Batches`.
        device: captures and replays.
    Attributes:
        capturing: seconds spent in capturing, which say nothing of how long a step takes.
    """

    def __init__(self, step: Step, device: Device) -> None:
        self.step, self.device = step, device
        self.parameters = [p for p in step.model.parameters() if p.requires_grad]
        self.seen: Counter[Sizes] = Counter()
        self.graphs: dict[Sizes, tuple[list[torch.Tensor], Callable[[], Any]]] = {}
        self.latest: list[Any] | None = None  # the gradients that the parameters have
        self.kept: list[tuple[dict[str, Any], str, Any]] = []  # as the graphs were captured
        self.failed = False
        self.capturing = 0.0

    def __call__(self) -> Taken:
        """Takes a step.

        Returns:
            As `engine.step.Step`; x and y hold until the next call.
        """
        sources = self.step.stream.next()
        sizes = tuple(positions.shape for positions in sources)
        self.seen[sizes] += 1
        if any(own.get(name) != number for own, name, number in self.kept):
            self._give_up("can no longer be replayed", "a number that the model keeps has changed")
        if sizes not in self.graphs and self.seen[sizes] > WARM_UP and not self.failed:
            self._capture(sizes, sources)
        if sizes not in self.graphs:
            return self._plain(sources)
        return self._replay(sizes, sources)

    def _plain(self, sources):
        self.latest, before = None, None if self.failed else _numbers(self.step.model)
        taken = self.device.aside(lambda: self.step(sources))
        if before is not None and _numbers(self.step.model) != before:
            self._give_up("cannot be captured", "the model counts in Python")
        return taken

    def _capture(self, sizes, sources):
        buffers = [positions.clone() for positions in sources]
        for p in self.parameters:
            p.grad = None  # so that the graph's gradients lie in its own memory

        def step():
            taken = self.step(buffers)
            return *taken, [p.grad for p in self.parameters]

        began = time.perf_counter()
        try:
            self.graphs[sizes] = buffers, self.device.captured(step)
            self.kept = _kept(self.step.model)
        except RuntimeError as error:
            self._give_up("cannot be captured", str(error).splitlines()[0].rstrip("."))
        self.capturing += time.perf_counter() - began

    def _give_up(self, what, reason):
        self.failed, self.graphs, self.kept = True, {}, []
        print(f"\nThe step {what} ({reason}); going on without.")

    def _replay(self, sizes, sources):
        buffers, replay = self.graphs[sizes]
        for buffer, positions in zip(buffers, sources, strict=True):
            buffer.copy_(positions)
        values, x, y, gradients = replay()
        if self.latest is not gradients:
            self.latest = gradients
            for p, gradient in zip(self.parameters, gradients, strict=True):
                p.grad = gradient
        return values.clone(), x, y  # the next replay writes over what the graph hands back


def _kept(model):
    """The numbers and words that a model's modules, or those of a `Stack`, keep as attributes:
    [(attributes, name, number or word)].
    """
    kinds = (int, float, complex, str)
    return [
        (vars(part), name, value)
        for part in model.modules()
        for name, value in vars(part).items()
        if isinstance(value, kinds)
    ]


def _numbers(model):
    return [(name, value) for _, name, value in _kept(model)]


class Cuda:
    """Captures functions on a stream of its own.

    Args:
        generators: what the functions draw from beside torch's global generator.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self.generators = generators
        self.index, self.stream = torch.cuda.current_device(), torch.cuda.Stream()

    def aside(self, function: Callable[[], Any]) -> Any:
        """function(), on the stream that captures, so that capturing finds everything in place."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = function()
        torch.cuda.current_stream().wait_stream(self.stream)
        return result

    def captured(self, function: Callable[[], Any]) -> Callable[[], Any]:
        """Captures function(), which is not executed by that.

        Returns:
            A function that replays it; each call hands back the same tensors, filled anew.
        Raises:
            RuntimeError: it does what cannot be captured, such as waiting for the device. Weights
                and generators are as before.
        """
        generators = [torch.cuda.default_generators[self.index], *self.generators]
        before = [generator.clone_state() for generator in generators]
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:  # the global one is registered by torch
            graph.register_generator_state(generator)
        try:
            # The outer context goes back to the caller's stream whatever a failed capture does.
            with (
                torch.cuda.stream(self.stream),
                torch.cuda.graph(graph, stream=self.stream),
            ):
                results = function()
        except RuntimeError:
            for generator, state in zip(generators, before, strict=True):
                generator.graphsafe_set_state(state)  # a broken capture leaves them capturing
            raise

        def replay():
            graph.replay()
            return results

        return replay
