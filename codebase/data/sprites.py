"""Sprites made by a program: 28 × 28 images of five independent factors, every combination once.

In the manner of dSprites (Matthey et al., 2017), but with shapes that no rotation but the whole one
brings onto themselves, so that the angle can be told of every image.
"""

import math
from functools import cache
from typing import Literal

import numpy as np
import torch

FACTORS = {"shape": 3, "scale": 6, "angle": 20, "x": 16, "y": 16}  # the last varies fastest
ORDERED = False, True, True, True, True  # whether a factor's values have an order
TEST = 10_000  # images
SIDE, FINE = 28, 4  # pixels; points along each side of a pixel
RADII = 5.0, 8.2  # pixels from a shape's centre to its farthest point: the smallest, the largest
STEP = 3  # points between neighbouring places, ¾ of a pixel
L_SHAPE = (0, 0), (5, 0), (5, 2), (2, 2), (2, 8), (0, 8)
ARROW = (-1, -4), (1, -4), (1, 1), (3.5, 1), (0, 5), (-3.5, 1), (-1, 1)
HALF_DISC = tuple((math.cos(a), math.sin(a)) for a in np.linspace(0, math.pi, 181))
OUTLINES = HALF_DISC, L_SHAPE, ARROW

Part = Literal["train", "test"]


def grid() -> np.ndarray:
    """Every combination of factors, (92160, 5) int64: a row for each image, counted from 0."""
    return np.indices(tuple(FACTORS.values())).reshape(len(FACTORS), -1).T


@cache
def _order():
    """A fixed shuffle of the combinations; the first TEST are the test images."""
    return np.random.default_rng(0).permutation(math.prod(FACTORS.values()))


def factors(part: Part) -> torch.Tensor:
    """The factors of the training or the test images, in their order: (N, 5) int64."""
    return torch.from_numpy(grid()[_rows(part)])


def _rows(part):
    return _order()[:TEST] if part == "test" else _order()[TEST:]


def tensors() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training images (82160, 784) uint8, 0 or 255, their shapes (82160,), and those for testing.

    A seed that is always the same splits them.
    """
    x = images()
    found = []
    for part in ("train", "test"):
        found += [torch.from_numpy(x[_rows(part)]), factors(part)[:, 0].clone()]
    return found[0], found[1], found[2], found[3]


def images() -> np.ndarray:
    """An image for each row of `grid`: (92160, 784) uint8.

    A pixel is white where at least half of its 16 points lie in the shape. Shapes turn about their
    centroid, which lies at ¾ of a pixel times (place − 7½) from the image's centre.
    """
    shapes, scales, angles, places, _ = FACTORS.values()
    reach = STEP * (places - 1)  # from the first place to the last
    width = SIDE * FINE + reach
    drawn = np.stack(
        [
            _drawn(OUTLINES[shape], radius * FINE, 2 * math.pi * turn / angles, width)
            for shape in range(shapes)
            for radius in np.linspace(*RADII, scales)
            for turn in range(angles)
        ]
    )
    white = (_points_of_pixels(drawn) >= FINE**2 // 2).view(np.uint8) * np.uint8(255)
    out = np.empty((len(drawn), places, places, SIDE, SIDE), np.uint8)
    for i in range(places):
        for j in range(places):
            # a window that begins farther left shows the shape farther right
            left, top = reach - STEP * i, reach - STEP * j
            rows = white[:, top : top + SIDE * FINE : FINE]
            out[:, i, j] = rows[:, :, left : left + SIDE * FINE : FINE]
    return out.reshape(-1, SIDE * SIDE)


def _points_of_pixels(drawn):
    """How many points of the pixel that begins at each are set: (N, W, W) → (N, W − 3, W − 3)."""
    n = drawn.shape[1] - FINE + 1
    rows = sum(drawn[:, k : k + n].astype(np.uint8) for k in range(FINE))
    return sum(rows[:, :, k : k + n] for k in range(FINE))


def _drawn(outline, radius, angle, width):
    """Which of width × width points lie in a polygon, turned about its centroid in their middle."""
    corners = _centred(np.array(outline, float)) * radius
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    at = np.arange(width) - (width - 1) / 2
    x, y = np.meshgrid(at, at)
    inside = np.zeros(x.shape, bool)
    ends = corners @ turn
    for (x0, y0), (x1, y1) in zip(ends, np.roll(ends, -1, 0), strict=True):
        if y0 != y1:  # an edge that the ray to the right crosses
            inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside


def _centred(corners):
    """A polygon with its centroid at 0 and its farthest corner at distance 1."""
    x, y = corners.T
    x1, y1 = np.roll(corners, -1, 0).T
    cross = x * y1 - x1 * y
    centre = np.array([((x + x1) * cross).sum(), ((y + y1) * cross).sum()]) / (3 * cross.sum())
    moved = corners - centre
    return moved / np.linalg.norm(moved, axis=1).max()
