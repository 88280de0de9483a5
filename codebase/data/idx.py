"""Files in the idx format, in which MNIST and its like are published; also packed by gzip."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch

from codebase.errors import UserError
from codebase.files import disk

IDX_FILES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
BROKEN = OSError, EOFError, zlib.error  # what unpacking raises


def read(path: Path, shape: tuple, advice: str) -> torch.Tensor:
    """The uint8 tensor in an idx file of unsigned bytes.

    Args:
        shape: it must have; a first size of None may be any from 1.
        advice: how the error ends.
    Raises:
        UserError: the file cannot be read or is another.
    """
    content = _content(path)
    start = 4 + 4 * len(shape)
    if shape[0] is None:
        shape = int.from_bytes(content[4:8].tobytes(), "big"), *shape[1:]
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    expected = start + torch.Size(shape).numel()
    if len(content) != expected:
        raise UserError(f"{path} has {len(content):,} bytes, expected {expected:,}; {advice}")
    found = content[:start].tobytes()
    if found != header or not shape[0]:
        raise UserError(
            f"{path} begins with {found.hex()}, expected {header.hex()} (an idx file of "
            f"unsigned bytes of shape {' × '.join(map(str, shape))}); {advice}"
        )
    return torch.from_numpy(content[start:].reshape(shape))


def _content(path):
    """The bytes of a file, unpacked."""
    try:
        if path.suffix == ".gz":
            return np.frombuffer(bytearray(gzip.decompress(path.read_bytes())), np.uint8)
        return np.fromfile(path, np.uint8)
    except BROKEN as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read: {reason}.") from error


def unpacked(path: Path) -> Path | None:
    """Unpacks a .gz beside itself, whoever packed it.

    Returns:
        The unpacked file, or path where none can be written there; None if path is damaged.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except BROKEN:
        return None
    try:
        with disk.atomic(path.with_suffix("")) as file:
            file.write(content)
    except UserError:  # on a disk that can only be read
        return path
    return path.with_suffix("")
