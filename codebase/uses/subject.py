"""A finished run with its data, as every use asks for it, and what a use finds."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch

from codebase.data import subsets
from codebase.data.batches import as_pixels, seeded_generator
from codebase.data.datasets import Dataset
from codebase.errors import UserError
from codebase.evaluation.codes import codes
from codebase.evaluation.numbers import Numbers
from codebase.models.autoencoders import Autoencoder
from codebase.models.base import CodingModel
from codebase.runs import record
from codebase.runs.saved import SavedRun, open_run


@dataclass(frozen=True)
class Found:
    """What a use has found.

    Args:
        title: what the numbers are.
        columns: {heading: {name: Number}}, of the table and the record.
        notes: lines below the table.
        extra: further content of the record.
    """

    title: str
    columns: dict[str, Numbers]
    notes: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


class Subject:
    """A run whose model codes images, or draws them, and the images as it takes them.

    Args:
        run: opened.
        dataset: what it was trained on, with labels.
        without: the digit that it was trained without, or None.
        held_out: how many training images were held out for validation.
        samples: whether it is enough that the model draws images.
    Raises:
        UserError: the model gives images no codes.
    """

    def __init__(
        self,
        run: SavedRun,
        dataset: Dataset,
        without: int | None = None,
        held_out: int = 0,
        samples: bool = False,
    ) -> None:
        model = run.model
        coding = isinstance(model, CodingModel) and model.abilities.reconstructions
        if not coding and not (samples and model.abilities.samples):
            raise UserError(f"{run.folder.name} gives images no codes, which its uses are of.")
        self.run, self.dataset, self.without, self.held_out = run, dataset, without, held_out
        self.model = cast(CodingModel, model)
        self.name, self.pixels = run.folder.name, model.abilities.pixels

    @classmethod
    def of(cls, run: str, data_dir: str | Path, samples: bool = False) -> "Subject":
        """Opens a run by its name or folder, with its data; `samples` as for the class.

        Raises:
            UserError: it cannot be opened, or codes no images.
        """
        opened = open_run(run)
        recorded = opened.folder / "flags.json"
        flags = record.of_flags(recorded) if recorded.exists() else {}
        left_out = flags.get("without"), flags.get("validation", 0)
        return cls(opened, opened.dataset(data_dir), *left_out, samples)

    @property
    def size(self) -> int:
        """How many numbers of a code may differ from 0."""
        return self.model.code_size if isinstance(self.model, Autoencoder) else self.model.z_dim

    def as_taken(self, x: torch.Tensor) -> torch.Tensor:
        """Grey images as the model takes them, binary ones drawn once by a fixed seed."""
        return as_pixels(x, self.pixels, seeded_generator(0))

    @cached_property
    def train(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The images and labels it was trained on, (N, D) and (N,), as it takes them."""
        (x, y), _ = subsets.training(self.dataset, self.without, self.held_out)
        return self.as_taken(x), y

    @cached_property
    def test(self) -> tuple[torch.Tensor, torch.Tensor]:
        """All test images and labels."""
        return subsets.test_images(self.dataset, self.pixels), self.dataset.test_y

    def codes(self, x: torch.Tensor) -> torch.Tensor:
        """(N, D) → (N, Z)."""
        return codes(self.model, x)
