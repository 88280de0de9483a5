"""What lies in a zip or a folder: one listing for both, of which nothing is written to disk."""

import contextlib
import errno
import io
import os
import stat
import zipfile
import zlib
from pathlib import Path

try:
    import lzma
except ImportError:  # a Python built without it
    lzma = None

from grading.messages import Note

MAX_UNPACKED = 50 << 20
MAX_ENTRIES = 5_000
MAX_DEPTH = 64
MAX_NAME = 100  # characters of a file's name
KEPT = (".py", ".json")
ARCHIVES = (
    ".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".xz", ".txz", ".bz2", ".tbz2", ".zst",
)  # fmt: skip
IGNORED = {"__MACOSX", "__pycache__", ".git", ".venv", "venv", "node_modules", "site-packages"}
# What reading a damaged or foreign archive can raise.
BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError,
    *((lzma.LZMAError,) if lzma else ()),
)  # fmt: skip


class Refused(Exception):
    """This cannot be graded; the note says what, where and what to do."""

    def __init__(self, key, **values):
        self.note = Note(f"refused.{key}", **values)
        super().__init__(self.note.say("en"))


def counts(parts):
    """Whether a file could be of use: Python or JSON, under names that an import could ask for."""
    *folders, file = parts
    stem, dot, suffix = file.rpartition(".")
    return (
        dot + suffix in KEPT and not IGNORED & set(parts) and len(stem) <= MAX_NAME
        and stem.isidentifier() and all(len(name) <= MAX_NAME for name in folders)
    )  # fmt: skip


class Tree:
    """Files by their parts, with their sizes in bytes; what is no file that counts is only named.

    A context manager. What could never be of use, such as data, logs or a link in a virtual
    environment, costs nothing and is never refused.

    Attributes:
        path: of the zip or folder.
        sizes: {parts: bytes} of the files that count.
        names: of everything that lies there, for a message.
        deeper: of files that count and lie too deep.
    """

    def __init__(self, path):
        self.path, self.sizes, self.names, self.deeper = path, {}, [], []
        self._read = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Let go of what is open."""

    def read(self, parts):
        """The content of a file that counts.

        Raises:
            Refused: with what was read before it is too much.
        """
        data = self._content(parts, MAX_UNPACKED - self._read + 1)
        self._read += len(data)
        if self._read > MAX_UNPACKED:
            raise self._too_large(parts)
        return data

    def admit(self, wanted):
        """Refuse what would be too much of the files of these parts, before any is read."""
        if self.deeper:
            raise Refused("too_deep", path=self.path, entry=self.deeper[0], most=MAX_DEPTH)
        if len(wanted) > MAX_ENTRIES:
            fullest = max({p[:-1] for p in wanted}, key=[p[:-1] for p in wanted].count)
            raise Refused(
                "too_many", path=self.path, count=len(wanted), most=MAX_ENTRIES,
                entry="/".join(fullest) or ".",
            )  # fmt: skip
        if sum(self.sizes[parts] for parts in wanted) > MAX_UNPACKED:
            raise self._too_large(max(wanted, key=self.sizes.get))

    def _too_large(self, parts):
        entry = "/".join(parts)
        return Refused("too_large", path=self.path, size=MAX_UNPACKED >> 20, entry=entry)

    def _note(self, parts, size):
        """List one file."""
        self.names.append("/".join(parts))
        if counts(parts) and len(parts) > MAX_DEPTH:
            self.deeper.append("/".join((*parts[:3], "…", parts[-1])))
        elif counts(parts):
            self.sizes[parts] = size


class Folder(Tree):
    """Of a folder; links are not followed."""

    def __init__(self, path):
        super().__init__(path)
        waiting = [(entry, ()) for entry in os.scandir(path)]
        while waiting:
            entry, parts = waiting.pop()
            if entry.is_symlink() or entry.name in IGNORED:
                continue
            parts = (*parts, entry.name)
            if not entry.is_dir():
                self._note(parts, entry.stat().st_size)
            else:
                with contextlib.suppress(PermissionError):  # nor could whoever handed it in
                    waiting += [(inside, parts) for inside in os.scandir(entry)]

    def _content(self, parts, most):
        with open(Path(self.path, *parts), "rb") as file:
            return file.read(most)

    def time(self, parts):
        """When a file was last written, as something to be compared."""
        return Path(self.path, *parts).stat().st_mtime


class Zip(Tree):
    """Of a zip. Sizes are counted again while unpacking, because a zip can lie about them.

    Args:
        path: of the zip, or of the one that holds it.
        file: the zip; None: at that path.
    """

    def __init__(self, path, file=None):
        super().__init__(path)
        self.archive, self.entries = zipfile.ZipFile(file or path), {}
        for entry in self.archive.infolist():
            parts = tuple(p for p in entry.filename.replace("\\", "/").split("/") if p != ".")
            if not entry.is_dir() and parts:
                self._check(entry, parts)
                parts = tuple(filter(None, parts))
                self._note(parts, entry.file_size)
                self.entries[parts] = entry

    def _check(self, entry, parts):
        """Refuse an entry that counts and is no plain file within the zip."""
        if not counts(parts):
            return
        if "" in parts[:1] or ":" in parts[0] or ".." in parts:
            raise Refused("outside", path=self.path, entry=entry.filename)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise Refused("link", path=self.path, entry=entry.filename)
        if entry.flag_bits & 1:
            raise Refused("password", path=self.path)

    def _content(self, parts, most):
        with self.archive.open(self.entries[parts]) as file:
            return file.read(most)

    def time(self, parts):
        """When a file was last written, as something to be compared."""
        return self.entries[parts].date_time

    def close(self):
        self.archive.close()


def opened(path):
    """The Tree of a zip or folder.

    Raises:
        Refused: it cannot be read.
    """
    try:
        return Folder(path) if Path(path).is_dir() else _unwrapped(Zip(path))
    except (*BROKEN, OSError) as error:
        raise refusal(path, error) from error


def _unwrapped(tree):
    """The Tree of a zip in a zip that holds nothing else of use; any other is itself."""
    inner = [p for p in tree.entries if p[-1].lower().endswith(".zip") and not IGNORED & set(p)]
    if tree.sizes or len(inner) != 1:
        return tree
    with tree:
        return Zip(tree.path, io.BytesIO(tree.read(inner[0])))


def refusal(path, error):
    """Why a zip or folder could not be read, in the grader's own words."""
    if isinstance(error, OSError) and error.errno:
        denied = error.errno in (errno.EACCES, errno.EPERM)
        return Refused("denied" if denied else "unreadable", path=path, code=error.errno)
    suffix = Path(path).suffix.lower()
    if suffix in ARCHIVES and suffix != ".zip":
        return Refused("other_archive", path=path, kind=suffix)
    if not Path(path).is_dir() and not zipfile.is_zipfile(path):
        return Refused("no_zip", path=path)
    return Refused("damaged", path=path)
