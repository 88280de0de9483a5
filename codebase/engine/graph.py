"""A whole training step captured once as a CUDA graph and replayed.

On a GPU a step of these models is some hundred small kernels, and launching them one by one from
Python takes longer than running them. A replay launches all of them at once.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch

from codebase.data.batches import Batches
from codebase.engine.step import Step, Taken

WARM_UP = 3  # plain steps before a capture: they load kernels and allocate what is kept

Sizes = tuple[torch.Size, ...]  # of a minibatch's positions in every `Batches`


def captured(step: Step) -> "Step | CapturedStep":
    """The step, replayed if its minibatches come from `Batches` on a CUDA device."""
    loader = step.stream.loader
    on_gpu = isinstance(loader, Batches) and loader.x.is_cuda
    return CapturedStep(step, Cuda(step.stream.generators())) if on_gpu else step


class CapturedStep:
    """What the plain step does, replayed where minibatches of those sizes were captured before.

    An epoch's last, smaller minibatch has a graph of its own. The first steps of each size are
    plain ones. Nothing is done twice, so the minibatches and random numbers are those of plain
    steps.

    A replay repeats what the device did and runs no Python: a loss that itself changes from step
    to step, by a number that Python keeps, stays as it was when it was captured.

    Args:
        step: a `engine.step.Step` on minibatches from `Batches`.
        device: captures and replays; see `Cuda`.
    """

    def __init__(self, step: Step, device: "Cuda") -> None:
        self.step, self.device = step, device
        self.parameters = [p for p in step.model.parameters() if p.requires_grad]
        self.seen: Counter[Sizes] = Counter()
        self.graphs: dict[Sizes, tuple[list[torch.Tensor], Callable[[], Any]]] = {}
        self.latest: Sizes | None = None
        self.failed = False

    def __call__(self) -> Taken:
        """Takes a step.

        Returns:
            As `engine.step.Step`; x and y hold until the next call.
        """
        sources = self.step.stream.next()
        sizes = tuple(positions.shape for positions in sources)
        self.seen[sizes] += 1
        if sizes not in self.graphs and self.seen[sizes] > WARM_UP and not self.failed:
            self._capture(sizes, sources)
        if sizes not in self.graphs:
            self.latest = None
            return self.device.aside(lambda: self.step(sources))
        return self._replay(sizes, sources)

    def _capture(self, sizes, sources):
        buffers = [positions.clone() for positions in sources]
        for p in self.parameters:
            p.grad = None  # so that the graph's gradients lie in its own memory

        def step():
            taken = self.step(buffers)
            return *taken, [p.grad for p in self.parameters]

        try:
            self.graphs[sizes] = buffers, self.device.captured(step)
        except RuntimeError as error:
            self.failed = True
            reason = str(error).splitlines()[0].rstrip(".")
            print(f"\nThe step cannot be captured as a CUDA graph ({reason}); going on without.")

    def _replay(self, sizes, sources):
        buffers, replay = self.graphs[sizes]
        for buffer, positions in zip(buffers, sources, strict=True):
            buffer.copy_(positions)
        values, x, y, gradients = replay()
        if self.latest != sizes:
            self.latest = sizes
            for p, gradient in zip(self.parameters, gradients, strict=True):
                p.grad = gradient
        return values.clone(), x, y  # the next replay writes over what the graph hands back


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
