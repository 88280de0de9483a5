"""Models that train one part after another, by the steps they have taken."""

from typing import Any, cast

import torch

from codebase.models.base import Model


class Staged(Model):
    """A model whose loss asks in Python how many steps were taken.

    The counter is kept where Python can read it while the loss of several is batched: it is the
    buffer itself, which is one number for all that are trained as one. It is read at every step,
    which on a GPU waits for the device.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._keep_counter()

    def _apply(self, *args, **kwargs):
        moved = super()._apply(*args, **kwargs)
        self._keep_counter()
        return moved

    def _keep_counter(self):
        self.__dict__["_counter"] = self.steps_taken

    @property
    def steps_counted(self) -> int:
        """`steps_taken`, as a number."""
        return int(cast(torch.Tensor, self.__dict__["_counter"]))
