"""Downloads from torchvision's mirrors: whole files or none."""

import contextlib
import os
import shutil
import socket
import tempfile
import zlib
from http.client import HTTPException
from pathlib import Path

from codebase.data import places
from codebase.errors import UserError

TIMEOUT = 20  # seconds a download may be silent


def fetch(name: str, data_dir: Path, missing: list[str]) -> None:
    """Downloads what is missing of a dataset's four files, trying every mirror of torchvision's.

    The files are fetched and unpacked in a folder of their own and moved into place whole, so
    that neither a kill nor a second process can leave half a file behind.

    Raises:
        UserError: none of the mirrors gave them, or they cannot be written.
    """
    from torchvision import datasets

    raw, new = places.own(name, data_dir), not data_dir.exists()
    original = getattr(datasets, places.TORCHVISION[name])
    tried = []
    print(f"Downloading {original.__name__} to {raw}")
    try:
        raw.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data_dir, prefix="download-") as staging:
            target = places.own(name, Path(staging))
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
    made = [raw, raw.parent, data_dir] if new else [raw, raw.parent]
    for folder in made:  # not left behind empty, as if there were something
        with contextlib.suppress(OSError):
            folder.rmdir()
    raise UserError(
        f"{original.__name__} is not in {raw} and could not be downloaded. Tried: "
        f"{'; '.join(tried)}. {places.described(name, data_dir)} Put the four files (or their .gz) "
        f"into {raw}, name their folder with --data_dir, or go on without network with --dataset "
        "digits."
    )


@contextlib.contextmanager
def _timeout(seconds):
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
