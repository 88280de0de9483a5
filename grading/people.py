"""Whose submissions lie under a path: one entry for every person, whatever it holds."""

import os
from pathlib import Path

from grading.messages import plain
from grading.project import GRADED
from grading.submission import PACKAGES, roots_of
from grading.tree import ARCHIVES, IGNORED, MAX_DEPTH, Refused

# Folders of a project, not of a person.
PARTS = {
    "checkpoints", "data", "docs", "figs", "figures", "images", "img", "imgs", "informe", "logs",
    "models", "notebooks", "output", "outputs", "plots", "report", "results", "runs", "samples",
    "scripts", "src", "tests", *PACKAGES,
}  # fmt: skip
NO_ARCHIVES_IN = {"data", "datasets", "checkpoints", "logs"} | IGNORED
SCRIPTS = {"run_vae.py", "run_gmvae.py", "run_ssvae.py", "train.py", "main.py"}  # of a project
GRADES = "grades.csv"  # in a folder of the grader's own


def find(path):
    """Whose submissions lie under a path.

    Args:
        path: a zip; one person's folder, with a package or archives at any depth; or a folder of
            many such.
    Returns:
        [(name, path)], in order of their names.
    Raises:
        Refused: there is nothing to grade.
    """
    path = Path(path)
    if not path.exists():
        raise Refused("absent", path=path)
    if path.is_file() or _is_one(path):
        return [(name_of(path), path)]
    found = [*_archives_in(path), *_people_in(path)]
    if not found:
        raise Refused("nothing", path=path, files=", ".join(GRADED))
    return sorted((name_of(entry), entry) for entry in found)


def loose(path):
    """Names of what lies in a folder of many people and is nobody's: looked at by nobody."""
    path = Path(path)
    if not path.is_dir() or _is_one(path):
        return []
    files = [p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")]
    people = _archives_in(path)
    return sorted(p.name for p in files if p not in people and not _unpacked(path / name_of(p)))


def name_of(path):
    """What a zip or folder is called, without the archive's suffix."""
    name = path.name if path.is_file() else path.resolve().name
    while not path.is_dir() and Path(name).suffix.lower() in ARCHIVES:
        name = name[: -len(Path(name).suffix)]
    return plain(name)


def _is_one(path):
    """Whether a folder is one person's, rather than one of many people's folders and archives.

    It is, where a package lies in it or in src/; and where only one of its folders holds anything
    to grade and the others look like that same project's.
    """
    lying, many = roots_of(path), len(_archives_in(path)) > 1
    if any(set(root) <= {"src", *PACKAGES} for root in lying):
        return not many
    if many or _archives_in(path):
        return False
    folders = _people_in(path)
    holding = {root[0] for root in lying} | {f.name for f in folders if any(archives(f))}
    if len(holding) != 1 or not lying:
        return False
    scripts = any(p.name in SCRIPTS for p in path.iterdir())
    return scripts or all(folder.name in holding for folder in folders)


def _people_in(path):
    """Folders that may be a person's: all but a project's customary ones, if those are empty."""
    folders = [p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")]
    folders = [p for p in folders if p.name not in IGNORED and not (p / GRADES).exists()]
    return [p for p in folders if p.name.lower() not in PARTS or roots_of(p) or archives(p)]


def _archives_in(path):
    """Archives in a folder, but for data sets and those that lie there unpacked too."""
    found = [p for p in path.iterdir() if p.suffix.lower() in ARCHIVES and p.is_file()]
    found = [p for p in found if "ubyte" not in p.name]
    return [p for p in found if not _unpacked(path / name_of(p))]


def _unpacked(folder):
    return folder.is_dir() and bool(roots_of(folder))


def archives(path):
    """Archives in a person's folder, at any depth."""
    found = []
    for folder, inside, files in os.walk(path):
        depth = len(Path(folder).relative_to(path).parts)
        kept = [name for name in inside if name.lower() not in NO_ARCHIVES_IN]
        inside[:] = kept if depth < MAX_DEPTH else []
        found += [Path(folder, f) for f in files if Path(f).suffix.lower() in ARCHIVES]
    return [file for file in found if file.is_file() and not file.is_symlink()]
