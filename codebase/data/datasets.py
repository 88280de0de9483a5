"""Datasets as uint8 tensors: MNIST, Fashion-MNIST, KMNIST from disk or download, and digits."""

import contextlib
import hashlib
import os
import shutil
import socket
import tempfile
import zlib
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path

import torch

from codebase.errors import UserError

TIMEOUT = 20  # seconds a download may be silent
IDX_FILES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
TORCHVISION = {"mnist": "MNIST", "fashion": "FashionMNIST", "kmnist": "KMNIST"}
TENSORS = "train_x", "train_y", "test_x", "test_y"


@dataclass(frozen=True)
class Dataset:
    """Grey images (N, 784) as uint8 and labels (N,) as int64, for training and for testing."""

    name: str
    train_x: torch.Tensor
    train_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor
    found: dict = field(default_factory=dict, init=False, repr=False, compare=False)  # once

    def to(self, device):
        """The same dataset on another device."""
        there = replace(self, **{name: getattr(self, name).to(device) for name in TENSORS})
        there.found.update(self.found)
        return there

    def sha256(self):
        """Hash of every byte of images and labels, in the order of the fields."""
        if "sha256" not in self.found:
            digest = hashlib.sha256()
            for name in TENSORS:
                digest.update(getattr(self, name).to("cpu", torch.uint8).numpy().tobytes())
            self.found["sha256"] = digest.hexdigest()
        return self.found["sha256"]


def load(name="auto", data_dir="data"):
    """The dataset of that name; "auto" is MNIST where it is to be had, otherwise digits.

    Args:
        name: "mnist", "fashion", "kmnist" (four files each, used from data_dir or downloaded into
            it), "digits" (comes with scikit-learn) or "auto".
        data_dir: folder in torchvision's layout, data_dir/MNIST/raw and its like.
    Raises:
        UserError: the files are missing and cannot be downloaded, or are not what they should be.
    """
    if name == "digits":
        return _digits()
    if name != "auto":
        return _idx(name, Path(data_dir))
    try:
        _fetch("mnist", Path(data_dir))
    except UserError as error:
        print(
            f"\n*** NO MNIST. {error}\n*** Going on with the small digits of scikit-learn "
            "(1,347 training images): their numbers do not compare with MNIST's.\n"
        )
        return _digits()
    return _idx("mnist", Path(data_dir))


def _digits():
    """scikit-learn's 1,797 scans of 8 × 8 at 28 × 28, split 1,347 to 450 stratified."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    scans = load_digits()
    small = torch.from_numpy(scans.images).unsqueeze(1) / 16  # (N, 1, 8, 8), float64
    large = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear")
    x = (large * 255).round().to(torch.uint8).flatten(1)
    y = torch.from_numpy(scans.target).long()
    train, test = train_test_split(range(len(y)), test_size=450, stratify=y, random_state=0)
    return Dataset("digits", x[train], y[train], x[test], y[test])


def _idx(name, data_dir):
    """One of torchvision's MNIST-like datasets, every file checked before it is read."""
    from torchvision import datasets

    _fetch(name, data_dir)
    raw = _raw(name, data_dir)
    for file, shape in IDX_FILES.items():
        _check_idx(raw / file, shape)
    tensors = []
    for train in (True, False):
        part = getattr(datasets, TORCHVISION[name])(data_dir, train=train)
        if part.targets.max() > 9:
            raise UserError(
                f"{raw / list(IDX_FILES)[1 if train else 3]} holds the label "
                f"{part.targets.max()}, expected 0 to 9; replace the file."
            )
        tensors += [part.data.flatten(1), part.targets]
    return Dataset(name, *tensors)


def on_disk(name, data_dir="data"):
    """Whether one of torchvision's datasets lies there, all four files of it."""
    return all((_raw(name, Path(data_dir)) / file).is_file() for file in IDX_FILES)


def _raw(name, data_dir):
    return data_dir / TORCHVISION[name] / "raw"


def _check_idx(path, shape):
    """Raises a UserError unless the file is an idx file of unsigned bytes of that shape."""
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    expected = len(header) + torch.Size(shape).numel()
    try:
        with path.open("rb") as file:
            found_header = file.read(len(header))
            found = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    advice = "delete it, and the next start downloads it again, or put a good copy there."
    if found != expected:
        raise UserError(f"{path} has {found:,} bytes, expected {expected:,}; {advice}")
    if found_header != header:
        raise UserError(
            f"{path} begins with {found_header.hex()}, expected {header.hex()} (an idx file of "
            f"unsigned bytes of shape {' × '.join(map(str, shape))}); {advice}"
        )


def _fetch(name, data_dir):
    """Downloads what is missing of a dataset's four files, trying every mirror of torchvision's.

    The files are fetched and unpacked in a folder of their own and moved into place whole, so
    that neither a kill nor a second process can leave half a file behind. Packed files already in
    place are used if their checksum is right.
    """
    raw = _raw(name, data_dir)
    try:
        missing = [file for file in IDX_FILES if not (raw / file).exists()]
    except OSError as error:
        raise UserError(f"{raw} cannot be read: {error.strerror}.") from error
    if not missing:
        return
    from torchvision import datasets

    original = getattr(datasets, TORCHVISION[name])
    tried = []
    print(f"Downloading {original.__name__} to {raw}")
    try:
        raw.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data_dir, prefix="download-") as staging:
            target = _raw(name, Path(staging))
            target.mkdir(parents=True)
            for packed in raw.glob("*.gz"):
                shutil.copy(packed, target)
            for mirror in original.mirrors:
                # torchvision turns to the next mirror only when the first cannot be reached, not
                # when it hangs or sends something else; so each is a dataset class of its own.
                one = type(original.__name__, (original,), {"mirrors": [mirror]})
                try:
                    with _timeout(TIMEOUT):
                        one(staging, download=True)
                    for file in missing:
                        os.replace(target / file, raw / file)
                    return
                except (OSError, RuntimeError, HTTPException, EOFError, zlib.error) as error:
                    reason = " ".join(str(error).split("got: ")[-1].split())
                    tried.append(f"{mirror} ({reason or type(error).__name__})")
    except OSError as error:
        tried.append(f"{raw} cannot be written ({error.strerror})")
    for folder in (raw, raw.parent):  # not left behind empty, as if there were something
        with contextlib.suppress(OSError):
            folder.rmdir()
    raise UserError(
        f"{original.__name__} is not in {raw} and could not be downloaded. Tried: "
        f"{'; '.join(tried)}. Put the files {', '.join(IDX_FILES)} (or their .gz) into {raw}, name "
        "their folder with --data_dir, or go on without network with --dataset digits."
    )


@contextlib.contextmanager
def _timeout(seconds):
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
