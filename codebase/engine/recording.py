"""What a function asks of torch, written down operation by operation while it is executed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# An index by whole numbers is as large as they are many; only one by a mask is not.
OF_MASK = (torch.bool, torch.uint8)


class NotRepeatable(RuntimeError):
    """What was recorded would not do the same again with other numbers."""


@dataclass(frozen=True, eq=False)
class Call:
    """An operation below autograd, what it was given and what it gave.

    Attributes:
        function: an operator of torch.ops.
        args, kwargs: numbers, tensors, and lists of them.
        result: a tensor, a tuple or list of them, or None.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any

    @property
    def takes(self) -> list[torch.Tensor]:
        """The tensors among its arguments."""
        return _tensors((self.args, self.kwargs))

    @property
    def gives(self) -> list[torch.Tensor]:
        """The tensors among its results."""
        return _tensors(self.result)

    @property
    def writes(self) -> list[torch.Tensor]:
        """The tensors among its arguments that it changes."""
        return list(_written(self.function, self.args, self.kwargs))

    @property
    def random(self) -> bool:
        """Whether it draws random numbers."""
        return torch.Tag.nondeterministic_seeded in self.function.tags


class Recorder(TorchDispatchMode):
    """Within it operations are executed as ever, and written down.

    Autograd's own are among them: what is written down needs no autograd to be done again.

    Attributes:
        calls: in their order. They hold every tensor that was made, so that each is known by its
            identity.
        before: (tensor, what was in it) for each tensor from outside that was written to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.before: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._known: set[int] = set()  # those made within, and those that were written to

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        _refuse(func, args)
        for t in _written(func, args, kwargs):
            if id(t) not in self._known:
                self._known.add(id(t))
                self.before.append((t, t.detach().clone()))
        result = func(*args, **kwargs)
        if func.namespace == "profiler":  # a name that Adam gives itself in a profile
            return result
        self.calls.append(Call(func, args, kwargs, result))
        self._known |= {id(t) for t in self.calls[-1].gives}
        return result

    @torch.no_grad()
    def undo(self) -> None:
        """Puts back what was written over, but for random generators."""
        for t, was in self.before:
            t.copy_(was)


@torch.no_grad()
def recorded(function: Callable[[], Any]) -> tuple[Recorder, Any]:
    """Executes function(), and puts back what it has written over.

    Returns:
        The recorder, and what the function gave.
    Raises:
        NotRepeatable: it did what depends on numbers that may be others next time. Any other
            error of the function is passed on. What was written over is back in either case.
    """
    recorder = Recorder()
    try:
        with torch.enable_grad(), recorder:
            return recorder, function()
    finally:
        recorder.undo()


def storage(t: torch.Tensor) -> int:
    """What tells the memory that a tensor lies in from any other."""
    return t.untyped_storage()._cdata


def _tensors(of: Any) -> list[torch.Tensor]:
    return [t for t in tree_leaves(of) if isinstance(t, torch.Tensor)]


def _written(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Iterator[torch.Tensor]:
    # Fused optimizers say that they write to the gradients, and do only where those were scaled.
    scaled = kwargs.get("grad_scale") is not None
    if function._schema.is_mutable:
        for i, argument in enumerate(function._schema.arguments):
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            if argument.name != "grads" or scaled:
                given = args[i] if i < len(args) else kwargs.get(argument.name)
                yield from _tensors(given)


def _refuse(function: Any, args: Sequence[Any]) -> None:
    """Raises NotRepeatable for an operation whose result's size or kind depends on numbers."""
    if function is torch.ops.aten.index.Tensor:
        depends = any(t.dtype in OF_MASK for t in _tensors(args[1]))
    else:
        tags = torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape
        depends = any(tag in function.tags for tag in tags)
    if depends:
        raise NotRepeatable(f"what {function.name()} gives depends on the numbers")
