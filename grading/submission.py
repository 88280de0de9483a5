"""What people hand in: found, unpacked with care, and completed to a package that runs."""

import ast
import lzma
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from grading.messages import Note, plain

CODEBASE = Path(__file__).resolve().parent.parent / "codebase"
GRADED = ("utils.py", "models/vae.py", "models/gmvae.py", "models/ssvae.py")
MAX_UNPACKED = 50 << 20
MAX_ENTRIES = 5_000
MAX_NAME = 100  # characters of a file's name
KEPT = (".py", ".json")
PACKAGES = ("codebase", "submission")
ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz")  # all but the first to be refused by name
# What reading a damaged or foreign archive can raise.
BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, NotImplementedError,
    RuntimeError,
)  # fmt: skip
IGNORED = {"__MACOSX", "__pycache__", ".git", ".venv", "venv", "node_modules", "site-packages"}

# The starter code's functions of utils.py that nobody is asked to write.
GIVEN = (
    "gaussian_parameters", "log_bernoulli_with_logits", "kl_cat", "kl_normal", "duplicate",
    "log_mean_exp", "log_sum_exp",
)  # fmt: skip


class Refused(Exception):
    """This cannot be graded; the note says what, where and what to do."""

    def __init__(self, key, **values):
        self.note = Note(f"refused.{key}", **values)
        super().__init__(self.note.say("en"))


@dataclass(frozen=True)
class Submission:
    """Files of one submitted package.

    Attributes:
        name: of the zip or folder, without .zip.
        package: what the package was called, such as "codebase".
        files: {path inside the package, with forward slashes: content}.
        copies: folders with more graded files, which are not looked at.
    """

    name: str
    package: str
    files: dict[str, bytes]
    copies: tuple[str, ...] = ()

    @property
    def missing(self):
        """Graded files that were not handed in."""
        return [path for path in GRADED if path not in self.files]

    def assemble(self, folder, standins=(), replaced=()):
        """Write a package that runs to `folder`.

        What is not graded and not handed in comes from this project, a graded file or function
        never: but for those this assembly is told to stand in for, so that a later item can be
        judged although an earlier one is wrong.

        Args:
            folder: empty.
            standins: names of functions in utils.py that are to be this project's.
            replaced: graded files that are to be this project's.
        """
        root = folder / "codebase"
        files = {path: data for path, data in self.files.items() if path not in replaced}
        for source in sorted(CODEBASE.rglob("*")):
            path = source.relative_to(CODEBASE).as_posix()
            if source.suffix not in KEPT or "__pycache__" in path or path in files:
                continue
            if path in GRADED and path not in replaced:
                continue
            # A folder of ours would hide a module of theirs, such as models/nns.py.
            if any(f"{parent}.py" in self.files for parent in PurePosixPath(path).parents):
                continue
            files[path] = source.read_bytes()
        if "utils.py" in files and "utils.py" not in replaced:
            files["utils.py"] += _epilogue(standins)
            ours = (CODEBASE / "utils.py").read_text("utf-8")
            files["_given.py"] = excerpt(ours, GIVEN)
            if standins:
                files["_standins.py"] = excerpt(ours, standins)
        _write(root, files)
        if self.package != "codebase" and self.package.isidentifier():
            _write(folder / self.package, {path: _alias(path, files[path]) for path in files})


def _write(root, files):
    for path, data in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _alias(path, data):
    """What makes a module of codebase the same module under the package's own name."""
    parts = path.removesuffix(".py").split("/")
    if not path.endswith(".py") or parts[-1] == "__init__":
        return data
    module = ".".join(("codebase", *parts))
    return (
        f"import sys\nimport {module}\nsys.modules[__name__] = sys.modules[{module!r}]\n".encode()
    )


def _epilogue(standins):
    """Lines at the end of a submitted utils.py: what stands in, and what it lacks of the starter's.

    As the last lines of the module they also serve the functions above, which look names up when
    they are called.
    """
    lines = ["", "import codebase._given as _given"]
    lines += [f"globals().setdefault({name!r}, _given.{name})" for name in GIVEN]
    lines += [f"from codebase._standins import {name}" for name in standins]
    return ("\n".join(lines) + "\n").encode()


def excerpt(source, names):
    """The part of a module that the named functions need: its imports, constants and helpers."""
    tree = ast.parse(source)
    functions = {f.name: f for f in tree.body if isinstance(f, ast.FunctionDef)}
    needed, queue = set(), list(names)
    while queue:
        name = queue.pop()
        if name in functions and name not in needed:
            needed.add(name)
            queue += [n.id for n in ast.walk(functions[name]) if isinstance(n, ast.Name)]
    body = [
        node for node in tree.body if not isinstance(node, ast.FunctionDef) or node.name in needed
    ]
    return ast.unparse(ast.Module(body, [])).encode()


# Finding and reading


def find(path):
    """Submissions under a path: a zip, a package's folder, or a folder of such zips and folders.

    Returns:
        [(name, path)], in order of their names.
    Raises:
        Refused: there is nothing to grade.
    """
    path = Path(path)
    if not path.exists():
        raise Refused("absent", path=path)
    if path.is_file():
        return [(_name(path), path)]
    archives, roots = _archives(path), _roots(_listing(path))
    # One package, perhaps nested in folders, or those of several people side by side?
    lone = {(), *((name,) for name in PACKAGES)} & set(roots) or len({r[:1] for r in roots}) == 1
    if lone and not archives:
        return [(_name(path.resolve()), path)]
    found = [(_name(p), p) for p in archives]
    for folder in (p for p in path.iterdir() if p.is_dir() and p.name not in IGNORED):
        if _roots(_listing(folder)):
            found.append((_name(folder), folder))
        else:  # as course platforms hand them out: a folder per person, an archive in each
            inside = _archives(folder)
            names = [plain(folder.name)] if len(inside) == 1 else [_name(p) for p in inside]
            found += zip(names, inside, strict=True)
    if not found:
        raise Refused("nothing", path=path, files=", ".join(GRADED))
    return sorted(found)


def _archives(folder):
    return [p for p in folder.iterdir() if p.suffix.lower() in ARCHIVES and p.is_file()]


def read(name, path):
    """The submission in a zip or folder.

    Raises:
        Refused: it is no zip, is unsafe to unpack, too large, or holds no graded file.
    """
    try:
        files = _read_folder(path) if path.is_dir() else _read_zip(path)
    except BROKEN as error:
        raise Refused("damaged", path=path, message=error) from error
    except OSError as error:
        raise Refused("unreadable", path=path, message=error.strerror or error) from error
    roots = _roots(files)
    if not roots:
        raise Refused("empty", path=path, files=", ".join(GRADED))
    root = roots[0]
    inside = {
        "/".join(parts[len(root) :]): data for parts, data in files.items() if _under(parts, root)
    }
    for path in GRADED:  # the models may have lost their folder
        flat = path.rpartition("/")[2]
        if path not in inside and flat in inside:
            inside[path] = inside.pop(flat)
    copies = tuple("/".join(other) or "." for other in roots[1:])
    return Submission(name, root[-1] if root else "codebase", inside, copies)


def _name(path):
    return plain(path.stem if path.suffix.lower() in ARCHIVES else path.name)


def _under(parts, root):
    """Whether this is a file of that package that an import could ask for."""
    names = [*parts[len(root) : -1], parts[-1].rpartition(".")[0]]
    importable = all(name.isidentifier() and len(name) <= MAX_NAME for name in names)
    return parts[: len(root)] == root and not IGNORED & set(parts) and importable


def _roots(files):
    """Folders, as tuples of parts, that hold graded files: those with the most first, and of those
    the ones that are called what the package is called."""
    count = {}
    for parts in files:
        for graded in GRADED:
            tail = tuple(graded.split("/"))
            if parts[-len(tail) :] == tail and not IGNORED & set(parts):
                root = parts[: -len(tail)]
                count[root] = count.get(root, 0) + 1
    return sorted(
        count, key=lambda root: (-count[root], "".join(root[-1:]) not in PACKAGES, len(root), root)
    )


def _listing(folder, parts=(), depth=6):
    """{parts: path} of the files below a folder that count; links are not followed."""
    found = {}
    if depth == 0:
        return found
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name in IGNORED:
            continue
        if path.is_dir():
            found |= _listing(path, (*parts, path.name), depth - 1)
        elif path.suffix in KEPT:
            found[(*parts, path.name)] = path
    return found


def _read_folder(folder):
    total, files = 0, {}
    for parts, path in _listing(folder).items():
        total += path.stat().st_size
        if total > MAX_UNPACKED:
            raise Refused("too_large", path=folder, size=MAX_UNPACKED >> 20)
        files[parts] = path.read_bytes()
    return files


def _read_zip(path):
    """Contents of a zip's regular files by their parts, nothing written to disk.

    Sizes are counted while unpacking, because a zip can lie about them.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise Refused("too_many", path=path, count=len(entries), most=MAX_ENTRIES)
        for entry in entries:
            name = entry.filename.replace("\\", "/")
            mode = entry.external_attr >> 16
            if name.startswith("/") or ":" in name.split("/")[0] or ".." in name.split("/"):
                raise Refused("outside", path=path, entry=entry.filename)
            if stat.S_ISLNK(mode):
                raise Refused("link", path=path, entry=entry.filename)
            if entry.flag_bits & 1:
                raise Refused("password", path=path)
        if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
            raise Refused("too_large", path=path, size=MAX_UNPACKED >> 20)
        files, total = {}, 0
        for entry in entries:
            if entry.is_dir():
                continue
            with archive.open(entry) as file:
                data = file.read(MAX_UNPACKED - total + 1)
            total += len(data)
            if total > MAX_UNPACKED:
                raise Refused("too_large", path=path, size=MAX_UNPACKED >> 20)
            parts = tuple(p for p in entry.filename.replace("\\", "/").split("/") if p != ".")
            if parts[-1].endswith(KEPT):
                files[parts] = data
    return files
