"""Image files of a folder: grey, one frame, all of one size."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from codebase.errors import UserError

KINDS = ".png", ".bmp", ".gif", ".tif", ".tiff", ".jpg", ".jpeg"
LABELS = tuple(map(str, range(10)))
BROKEN = OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError, Warning


@dataclass(frozen=True)
class Files:
    """The image files of a folder, in the order of their names.

    Attributes:
        labels: of each, the name of the folder that it lies in.
        labelled: whether they lie in such folders; otherwise there are no labels.
    """

    folder: Path
    paths: list[Path]
    labels: list[int]
    labelled: bool


def of_folder(folder: Path) -> Files:
    """Those that lie in a folder, or all in folders 0 to 9 of it; other files are passed over.

    Raises:
        UserError: it holds no images, or some in it and some below, or below others than those.
    """
    direct = _images(folder)
    below = {path.name: found for path in _listed(folder) if (found := _below(path))}
    if direct and below:
        raise UserError(
            f"{folder} holds images, and its folder {min(below)} too: put all in folders of "
            "labels, or none."
        )
    if other := sorted(set(below) - set(LABELS)):
        raise UserError(
            f"{folder} holds images in a folder {other[0]}, expected labels, 0 to 9, as the names "
            "of folders."
        )
    if not direct and not below:
        raise UserError(f"{folder} holds no images, expected files {', '.join(KINDS)}.")
    labels = [int(name) for name in sorted(below) for _ in below[name]]
    paths = direct or [path for name in sorted(below) for path in below[name]]
    return Files(folder, paths, labels, bool(below))


def _listed(folder):
    try:
        return sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}.") from error


def _images(folder):
    return [
        path
        for path in _listed(folder)
        if path.suffix.lower() in KINDS and not path.name.startswith(".") and not path.is_dir()
    ]


def _below(path):
    return _images(path) if path.is_dir() and not path.name.startswith(".") else []


def read(parts: Sequence[Sequence[Path]], check: Callable[[str, int, int], None]) -> list:
    """The pixels of files, uint8 (N, S²) for each part.

    Args:
        check: (name, height, width), raises a UserError for sizes that are not taken.
    Raises:
        UserError: a file cannot be read or is of colours, or two are of different sizes.
    """
    first, size, found = parts[0][0], None, []
    for paths in parts:
        rows = []
        for path in paths:
            pixels = _pixels(path, check)
            size = size or pixels.shape
            if pixels.shape != size:
                raise UserError(
                    f"{first} is of {size[0]} × {size[1]}, {path} of {pixels.shape[0]} × "
                    f"{pixels.shape[1]} pixels, expected one size."
                )
            rows.append(pixels.reshape(-1))
        found.append(torch.from_numpy(np.stack(rows)))
    return found


def _pixels(path, check):
    """Grey values (H, W) of a file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                check(str(path), image.height, image.width)  # before anything is unpacked
                if (frames := getattr(image, "n_frames", 1)) > 1:
                    raise UserError(f"{path} has {frames} frames, expected one image.")
                return _grey(image, path)
    except BROKEN as error:
        reason = getattr(error, "strerror", None) or "it is no image, or damaged"
        raise UserError(f"{path} cannot be read: {reason}.") from error


def _grey(image, path):
    """(H, W) uint8, where every channel says the same and nothing is transparent."""
    if image.mode == "L" and "transparency" not in image.info:
        return np.array(image)
    if image.mode in ("1", "P", "L", "LA", "PA", "RGB", "RGBA"):
        red, green, blue, alpha = np.moveaxis(np.array(image.convert("RGBA")), -1, 0)
        if (alpha < 255).any():
            raise UserError(f"{path} has transparent pixels, expected grey ones.")
        if (red == green).all() and (red == blue).all():
            return np.ascontiguousarray(red)
        raise UserError(f"{path} is of colours, expected grey values: convert it first.")
    raise UserError(f"{path} has pixels of the kind {image.mode}, expected 8 bits of grey.")
