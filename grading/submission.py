"""What one person handed in: read, and laid out as a package that runs."""

import io
import json
import tokenize
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from grading import project
from grading.imports import PACKAGE, Surroundings
from grading.project import GRADED
from grading.tree import BROKEN, Refused, counts, opened, refusal

PACKAGES = ("codebase", "submission")
MOST_NAMED = 5


@dataclass(frozen=True)
class Submission:
    """Files of one submitted package.

    Attributes:
        name: of the person, or the zip or folder.
        package: the folder of the package where it lies, such as "ana/codebase"; "" if in none.
        files: {path inside the package, with forward slashes: content}.
        copies: folders with more graded files, which are not looked at.
        beside: {path where it lies: content} of its modules outside of the package.
        modules: {dotted name: path} of those.
        aliases: {name that its code calls the package or a part of it: name within codebase}.
        moved: {path inside the package: path where it lies} of files that had lost their folder.
        others: what else this person handed in, which was not looked at.
    """

    name: str
    package: str
    files: dict[str, bytes]
    copies: tuple[str, ...] = ()
    beside: dict[str, bytes] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    @property
    def missing(self):
        """Graded files that were not handed in."""
        return [path for path in GRADED if path not in self.files]

    @property
    def foreign(self):
        """Graded files that are no UTF-8 text and do not say what they are."""
        return [path for path in GRADED if path in self.files and _foreign(self.files[path])]

    def place(self, path):
        """Where a file of the package lies."""
        return str(PurePosixPath(self.package, self.moved.get(path, path)))

    def assemble(self, folder, standins=(), replaced=(), whole=False):
        """Lay out a package that runs in `folder`: the files as they lie, and how to import them.

        What is not graded and not handed in comes from this project, a graded file or function
        never: but for those this assembly is told to stand in for, so that a later item can be
        judged although an earlier one is wrong.

        Args:
            folder: empty.
            standins: names of functions in utils.py that are to be this project's.
            replaced: graded files that are to be this project's.
            whole: this project's package is to be complete, for a training by it.
        """
        own = {path: data for path, data in self.files.items() if path not in replaced}
        ours = project.private(replaced, standins, whole)
        filled, shared = _filled(ours, own, replaced)
        _write(folder / "own", {self.place(path): data for path, data in own.items()})
        _write(folder / "own", self.beside)
        _write(folder / project.PRIVATE, ours)
        _write(folder / "shared", {path: project.public(ours[path]) for path in shared})
        modules = {module_name(PACKAGE, path): f"own/{self.place(path)}" for path in own}
        modules |= {name: f"own/{path}" for name, path in self.modules.items()}
        modules |= {module_name(PACKAGE, path): f"shared/{path}" for path in shared}
        modules |= {module_name(project.PRIVATE, p): f"{project.PRIVATE}/{p}" for p in ours}
        manifest = {
            "modules": {name: file for name, file in modules.items() if name},
            "filled": filled,
            "aliases": dict(self.aliases),
            "given": [*project.GIVEN],
            "standins": [*standins],
            "graded": [self.place(path) for path in GRADED if path in own],
            "parent": str(PurePosixPath(self.package).parent),
        }
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _foreign(data):
    try:
        data.decode(tokenize.detect_encoding(io.BytesIO(data).readline)[0])
    except (SyntaxError, UnicodeDecodeError):
        return True
    return False


def _filled(ours, own, replaced):
    """What this project adds to the files that were handed in.

    Returns:
        {module of the package: module of this project's}, and the paths of __init__.py files that
        gather what may be of either.
    """
    filled, shared = {}, []
    for path in ours:
        theirs, private = (module_name(top, path) for top in (PACKAGE, project.PRIVATE))
        if not theirs or path in own or (path in GRADED and path not in replaced):
            continue
        folders = [str(parent) for parent in PurePosixPath(path).parents if parent.name]
        if any(f"{folder}.py" in own for folder in folders):
            continue  # a folder of ours would hide a module of theirs, such as models/nns.py
        if not path.endswith("__init__.py"):
            filled[theirs] = private
        elif folders and any(other.startswith(f"{folders[0]}/") for other in own):
            shared.append(path)
        elif folders:
            filled[theirs] = private
    return filled, shared


def module_name(package, path):
    """The dotted name of a file of a package; "" for one that is no module."""
    if not path.endswith(".py"):
        return ""
    parts = path.removesuffix(".py").split("/")
    return ".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)])


def _write(root, files):
    for path, data in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


# Reading


def read(name, path):
    """The submission in a zip, or in a person's folder.

    Of several archives, and files that lie in the folder itself, the newest that holds graded
    files is read; the others are named.

    Raises:
        Refused: it is no zip, is unsafe to unpack, too large, or holds no graded file.
    """
    from grading.people import archives  # which knows what a submission is

    if not path.exists():
        raise Refused("absent", path=path)
    if not path.is_dir():
        return package(name, path)
    dated = [(newest(path), path)] if roots_of(path) else []
    dated += [(file.stat().st_mtime, file) for file in archives(path)]
    found, why = None, None
    for _, candidate in sorted(dated, reverse=True):
        try:
            found = package(name, candidate)
            break
        except Refused as refused:
            why = why or refused
    if found is None:
        raise why or _nothing(path)
    rest = [file for _, file in dated if file != candidate]
    others = tuple(str(file.relative_to(path)) for file in sorted(rest)[:MOST_NAMED])
    return Submission(**(vars(found) | {"others": others}))


def _nothing(path):
    with opened(path) as tree:
        return Refused("empty", path=path, files=", ".join(GRADED), found=_found(tree))


def _found(tree):
    return few(sorted(tree.names, key=lambda name: (name.count("/"), name))) or "–"


def few(names):
    """The first of some names, as text."""
    return ", ".join([*names[:MOST_NAMED], *["…"][: len(names) > MOST_NAMED]])


def roots_of(path):
    """Folders in a folder that hold graded files."""
    with opened(path) as tree:
        return roots(tree.sizes)


def newest(path):
    """When the newest graded file in a folder was written."""
    with opened(path) as tree:
        root = roots(tree.sizes)[0]
        return max(tree.time(parts) for parts in tree.sizes if parts[: len(root)] == root)


def package(name, path):
    """The submission in one zip or folder."""
    try:
        with opened(path) as tree:
            return _package(name, tree)
    except (*BROKEN, OSError) as error:
        raise refusal(path, error) from error


def _package(name, tree):
    found = roots(tree.sizes)
    if not found:
        raise Refused("empty", path=tree.path, files=", ".join(GRADED), found=_found(tree))
    root = found[0]
    wanted = [parts for parts in tree.sizes if _under(parts, root)]
    tree.admit(wanted)
    files = {"/".join(parts[len(root) :]): tree.read(parts) for parts in wanted}
    around = Surroundings(tree, root, files)
    moved = {}
    for path in GRADED:  # the models may have lost their folder
        flat = path.rpartition("/")[2]
        if path not in files and flat in files:
            files[path], moved[path] = files.pop(flat), flat
            around.aliases[flat.removesuffix(".py")] = module_name(PACKAGE, path)
    return Submission(
        name,
        "/".join(root),
        files,
        copies=tuple("/".join(other) or "." for other in found[1:]),
        beside={"/".join(parts): data for parts, data in around.contents.items()},
        modules={module: "/".join(parts) for module, parts in around.modules.items()},
        aliases=around.aliases,
        moved=moved,
    )


def _under(parts, root):
    """Whether this is a file of that package that an import could ask for."""
    folders = parts[len(root) : -1]
    return parts[: len(root)] == root and counts(parts) and all(f.isidentifier() for f in folders)


def roots(files):
    """Folders, as tuples of parts, that hold graded files: those with the most first, and of those
    the ones that are called what the package is called."""
    count = {}
    for parts in files:
        for graded in GRADED:
            tail = tuple(graded.split("/"))
            if parts[-len(tail) :] == tail:
                root = parts[: -len(tail)]
                count[root] = count.get(root, 0) + 1
    return sorted(
        count, key=lambda root: (-count[root], "".join(root[-1:]) not in PACKAGES, len(root), root)
    )
