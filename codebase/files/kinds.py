"""What a file is that is no checkpoint, told by its first bytes."""

import re
import zipfile
from pathlib import Path

# What it begins with, what it is, what to do.
BEGINNINGS = (
    (
        rb"\s*version https://git-lfs",
        "a Git LFS pointer, not the file itself: git lfs pull gets it",
    ),
    (
        rb"\s*(<!doctype|<html|<\?xml|<head)",
        "a web page, not the file that it offers: download that",
    ),
    (rb"\x1f\x8b", "packed by gzip: unpack it with gunzip"),
    (rb"BZh|\xfd7zXZ|\x28\xb5\x2f\xfd", "packed by bzip2, xz or zstd: unpack it"),
    (rb"\x89HDF", "an HDF5 file, as Keras writes them, not one of torch.save"),
    (rb"\x93NUMPY", "a NumPy array, not a file of torch.save"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|%PDF", "a picture or a document"),
    (rb"[\[{]\s*[\"\[{\d}\]]", "a JSON text"),
    (rb".{8}\{\s*\"", "a safetensors file: torch.save what safetensors.torch.load_file reads"),
)
TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # soon after the start of torch's older format
SAVE = "load it where you trust it, and torch.save the model's state_dict()"


def kind_of(path: Path) -> str | None:
    """What a file is, in words, if it is none that torch.save has written; None if it may be one.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "empty, so it is damaged"
    for beginning, kind in BEGINNINGS:
        if re.match(beginning, start, re.IGNORECASE | re.DOTALL):
            return kind
    if start[257:262] == b"ustar":
        return "a tar archive: unpack it"
    if start.startswith(b"PK"):
        return _kind_of_zip(path)
    if TORCH not in start[:64]:
        if re.match(rb"\x80[\x02-\x05]", start):
            return f"a pickle of protocol {start[1]}, not a file of torch.save: {SAVE}"
        if re.match(rb"c[\w.]+\n\w+\n", start):
            return f"a pickle, not a file of torch.save: {SAVE}"
    return _protocol(start)


def _protocol(pickled):
    """What torch does not say of its own files in another pickle protocol than its usual 2."""
    if pickled[:1] == b"\x80" and pickled[1:2] > b"\x02":
        return f"a file of torch.save with pickle_protocol={pickled[1]}: {SAVE} without that"
    return None


def _kind_of_zip(path):
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            pickled = [name for name in names if name.rsplit("/", 1)[-1] == "data.pkl"]
            if any("/code/" in name for name in names):
                return f"a TorchScript program, not a state_dict: {SAVE}"
            if not pickled:
                return "a zip archive of something else: unpack it, if the checkpoint is in it"
            with archive.open(pickled[0]) as content:
                return _protocol(content.read(2))
    except Exception:  # damaged, which zipfile says in many ways; whoever reads it says how
        return None
