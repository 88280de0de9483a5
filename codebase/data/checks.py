"""Images and labels that people bring: taken as what they obviously are, or refused in a sentence.

Looking at their values waits for the device, so it is done once, where they come in.
"""

from typing import Any, NoReturn

import torch
from torch.nn import functional as F

from codebase.errors import UserError


def images(x: Any, name: str, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Pixels in [0, 1], (N, D), of a dtype; None: float32, or x's own if it has decimals.

    Raises:
        UserError: see `pixels`.
    """
    x = pixels(x, name)
    if x.dtype == torch.uint8:
        x = x.float() / 255
    return x.to(dtype or x.dtype)


def pixels(x: Any, name: str) -> torch.Tensor:
    """Images as (N, D): uint8 grey values, or what has decimals in [0, 1].

    Integers and booleans become uint8; where all are 0 or 1 those are black and white. Decimals
    beside [0, 1] are refused: what they were before somebody scaled them cannot be known.

    Raises:
        UserError: it names the argument, what was found and what is expected.
    """
    x = _tensor(x, name)
    if x.dim() < 2:
        _refuse(name, f"has shape {tuple(x.shape)}", "(N, 784), a row of pixels for each image")
    low, high = _ends(x)
    if x.is_floating_point():
        if not 0 <= low <= high <= 1:
            advice = "; divide by 255" if low >= 0 and 1 < high <= 255 else ""
            _refuse(name, f"holds {_range(low, high)}", f"pixels in [0, 1]{advice}")
        return x.flatten(1)
    if not 0 <= low <= high <= 255:
        _refuse(name, f"holds {_range(low, high)}", "grey values from 0 to 255")
    x = x.flatten(1).to(torch.uint8)
    return x if high > 1 else x * 255


def labels(y: Any, n: int, classes: int, name: str) -> torch.Tensor:
    """The labels of n images as (n,) int64, from that, from whole floats, or from one-hot rows.

    Raises:
        UserError: they are something else, or not from 0 to classes − 1.
    """
    y = _tensor(y, name)
    if y.shape == (n, classes):
        if not (((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all()):
            _refuse(name, "has rows that are not one-hot", f"one 1 and {classes - 1} 0s in each")
        return y.long().argmax(1)
    if y.shape != (n,):
        expected = f"({n},), a label for each image, or one-hot ({n}, {classes})"
        _refuse(name, f"has shape {tuple(y.shape)}", expected)
    whole = y.long()
    if not ((whole == y) & (whole >= 0) & (whole < classes)).all():
        _refuse(name, f"holds {_range(*_ends(y))}", f"whole labels from 0 to {classes - 1}")
    return whole


def pairs(
    labelled: Any, classes: int, name: str = "labeled_subset"
) -> tuple[torch.Tensor, torch.Tensor]:
    """(xl, yl) of a semi-supervised training as `pixels` and rows of label probabilities.

    Raises:
        UserError: see `pixels` and `labels`.
    """
    try:
        x, y = labelled
    except (TypeError, ValueError):
        raise UserError(f"{name} is {type(labelled).__name__}, expected (xl, yl).") from None
    x, y = pixels(x, f"{name}[0]"), _tensor(y, f"{name}[1]")
    soft = y.is_floating_point() and y.shape == (len(x), classes) and (y >= 0).all()
    if soft and torch.allclose(y.sum(1), torch.ones_like(y[:, 0]), atol=1e-3):
        return x, y
    return x, F.one_hot(labels(y, len(x), classes, f"{name}[1]"), classes).float()


def _tensor(t: Any, name: str) -> torch.Tensor:
    try:
        return torch.as_tensor(t)
    except (RuntimeError, TypeError, ValueError):
        raise UserError(f"{name} is {type(t).__name__}, expected a tensor.") from None


def _ends(t):
    """The least and the largest value; 0 and 0 of nothing."""
    if not t.numel():
        return 0, 0
    low, high = (t.byte() if t.dtype == torch.bool else t).aminmax()
    return low.item(), high.item()


def _range(low, high):
    if -torch.inf < low <= high < torch.inf:
        return f"values from {low:.4g} to {high:.4g}"
    return "values that are not finite"


def _refuse(name: str, found: str, expected: str) -> NoReturn:
    raise UserError(f"{name} {found}, expected {expected}.")
