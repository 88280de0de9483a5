"""Files that are written whole or not at all, and the folders they lie in."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from codebase.errors import UserError

UNFINISHED = ".tmp"  # ends the name of a file that is being written


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[IO[bytes]]:
    """Gives a binary file to write to; `path` holds its content once the block ends, or stays.

    The folder has to be there: one that is deleted under a run is not made again in silence.

    Raises:
        UserError: the file cannot be written; what was at `path` is as before.
    """
    path = Path(path)
    try:
        file = tempfile.NamedTemporaryFile(  # noqa: SIM115 — closed before it is renamed
            dir=path.parent, prefix=f".{path.name}-", suffix=UNFINISHED, delete=False
        )
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(file.name, 0o666 & ~_umask())
            os.replace(file.name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(file.name)
            raise
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}. {what_is_left(path.parent)}"
        ) from error


def what_is_left(folder: Path) -> str:
    """A sentence on what was saved in a folder that a file cannot be written to."""
    if folder.is_dir():
        return "What was saved before is intact."
    return f"{folder} is gone: since it was made, somebody has deleted or moved it."


def _umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


def sweep(folder: str | Path) -> None:
    """Deletes what a process killed in the middle of `atomic` left in a folder of nobody else's."""
    for path in Path(folder).glob(f".*{UNFINISHED}"):
        path.unlink()


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, if they are not there.

    Raises:
        UserError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be made: {error.strerror or error}.") from error


def delete(path: Path) -> None:
    """Deletes a file, a folder with all that is in it, or a link (not what it points to), if there.

    Raises:
        UserError: it cannot be deleted.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        where = error.filename or path
        raise UserError(f"{where} cannot be deleted: {error.strerror or error}.") from error
