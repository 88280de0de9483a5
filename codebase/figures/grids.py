"""Pictures of a script's own: grids of digits, pixel by pixel, confusion matrix and curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from codebase.files.disk import atomic
from codebase.sides import side_of


def gap_of(side: int) -> int:
    """Pixels between images of that side in a grid, 2 of MNIST's."""
    return max(round(side / 14), 1)


def grid(images: torch.Tensor, columns: int) -> np.ndarray:
    """Images in rows, left to right, top to bottom, on one grey-level canvas.

    Args:
        images: (N, D) in [0, 1]; what is darker or lighter still is drawn black or white.
        columns: images in a row.
    Returns:
        (H, W) uint8 array, ink dark on white as on paper.
    """
    rows = -(-len(images) // columns)
    side = side_of(images.shape[-1])
    gap = gap_of(side)
    cells = torch.zeros(rows * columns, side, side)
    cells[: len(images)] = images.detach().cpu().float().clamp(0, 1).view(-1, side, side)
    cells = torch.nn.functional.pad(cells, (gap, 0, gap, 0))
    cell = side + gap
    canvas = cells.view(rows, columns, cell, cell).transpose(1, 2).reshape(rows * cell, -1)
    canvas = torch.nn.functional.pad(canvas, (0, gap, 0, gap))
    return (255 - canvas * 255).round().to(torch.uint8).numpy()


def save_grid(path: Path, images: torch.Tensor, columns: int) -> None:
    """Writes a grid as a PNG, every pixel enlarged so that an image takes about 56 of them."""
    zoom = max(round(56 / side_of(images.shape[-1])), 1)
    pixels = np.kron(grid(images, columns), np.ones((zoom, zoom), dtype=np.uint8))
    with atomic(path) as file:
        Image.fromarray(pixels).save(file, format="PNG")


def reconstructions(x: torch.Tensor, again: torch.Tensor, columns: int = 20) -> torch.Tensor:
    """Rows in pairs: images above, the mean pixels they are reconstructed with below.

    Args:
        x, again: (N, D) each, N a multiple of columns.
    Returns:
        (2N, D).
    """
    pairs = torch.stack([t.view(-1, columns, t.shape[-1]) for t in (x, again)], dim=1)
    return pairs.flatten(0, 2)


def save_confusion(path: Path, confusion: torch.Tensor) -> None:
    """Draws the (Y, Y) counts of true label (rows) against predicted (columns), as a PNG."""
    from codebase.figures import charts, style  # matplotlib takes a second to import

    with style.styled():
        style.save(charts.confusion(confusion), path.parent, path.stem, kinds=["png"])


def save_curves(path: Path, scalars: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Draws what a training has logged, {tag: [(iteration, number), …]}, as a PNG."""
    from codebase.figures import curves, style

    with style.styled():
        style.save(curves.figure(scalars), path.parent, path.stem, kinds=["png"])
