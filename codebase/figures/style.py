"""One look for every figure: its size, type and colours, grids of digits on axes, and files."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.style import context

from codebase.figures import colours
from codebase.figures.grids import gap_of, grid
from codebase.files.disk import atomic
from codebase.sides import side_of

WIDTH = 3.5  # inches: a column of a two-column page, at which the type below is 6 to 8 points
DPI = 300

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = colours.EIGHT
GREY, DIGITS = colours.GREY, colours.DIGITS
CMAP = "cividis"

Drawn = tuple[Figure, dict]  # a figure, and the numbers behind it

STYLE = {
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
    "figure.titlesize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "legend.frameon": False,
    "image.cmap": CMAP,
    "image.interpolation": "none",
    "svg.hashsalt": "figures",  # the same figure gives the same file
}


def styled() -> AbstractContextManager:
    """The style, for a block that draws and saves, whatever the user's own settings are."""
    return context(["default", STYLE])


def figure(height: float) -> Figure:
    """An empty figure, a column wide and `height` inches high, that fits its parts together."""
    return Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")


def save(fig: Figure, folder: Path, name: str, kinds: Sequence[str] = ("png", "svg")) -> None:
    """Writes folder/‹name›.png, WIDTH · DPI pixels wide, and folder/‹name›.svg."""
    for kind in kinds:
        # An SVG says when it was made unless told not to.
        metadata = {"Date": None} if kind == "svg" else None
        with atomic(folder / f"{name}.{kind}") as file:
            fig.savefig(file, format=kind, dpi=DPI, metadata=metadata)


def digits(
    ax: Axes,
    images: torch.Tensor,
    columns: int,
    column_labels: Sequence = (),
    row_labels: Sequence = (),
    gaps: Sequence[int] = (),
    space: float = 1 / 2,
) -> np.ndarray:
    """Draws images (N, D) in rows of `columns`, labelled above and at the left.

    Args:
        gaps: rows that are followed by more space, a share of an image's side.
    Returns:
        The images' upper left corners, (N, 2), in the axes' coordinates.
    """
    side = side_of(images.shape[-1])
    gap, more = gap_of(side), round(space * side)
    cell = side + gap
    pixels = grid(images, columns)
    pixels = np.insert(pixels, [cell * (row + 1) for row in gaps for _ in range(more)], 255, axis=0)
    rows = -(-len(images) // columns)
    left = gap - 0.5 + cell * np.arange(columns)
    top = gap - 0.5 + np.array([cell * r + more * sum(g < r for g in gaps) for r in range(rows)])
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    ax.set_xticks(left[: len(column_labels)] + side / 2, column_labels)
    ax.set_yticks(top[: len(row_labels)] + side / 2, row_labels)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.tick_params(length=0, pad=2)
    ax.spines[:].set_visible(False)
    return np.stack([np.tile(left, rows), np.repeat(top, columns)], axis=1)[: len(images)]


def captioned(ax: Axes, images: torch.Tensor, columns: int, captions: Sequence[str]) -> None:
    """Draws images (N, D) in rows of `columns`, each with two lines of text below."""
    rows = -(-len(images) // columns)
    corners = digits(ax, images, columns, gaps=range(rows), space=0.6)
    side = side_of(images.shape[-1])
    below = side + side / 28
    for (x, y), text in zip(corners, captions, strict=True):
        ax.text(x + side / 2, y + below, text, ha="center", va="top", fontsize=6, linespacing=1)


def frame(x: float, y: float, side: int) -> Rectangle:
    """A box around the digit of that side whose upper left corner is (x, y)."""
    return Rectangle((x, y), side, side, fill=False, edgecolor=VERMILLION, linewidth=0.8)


def latent(d: int) -> str:
    """What dimension d of z is called, in figures and explorer: as in Python, z[:, d]."""
    return f"z[{d}]"
