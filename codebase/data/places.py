"""Where a dataset's four files lie: in torchvision's folders, or as people unpack an archive."""

from pathlib import Path

from codebase.data.idx import IDX_FILES, unpacked
from codebase.errors import UserError

TORCHVISION = {"mnist": "MNIST", "fashion": "FashionMNIST", "kmnist": "KMNIST"}


def own(name: str, data_dir: Path) -> Path:
    """The folder of one of torchvision's datasets, which receives a download."""
    return data_dir / TORCHVISION[name] / "raw"


def looked_in(name: str, data_dir: Path) -> list[Path]:
    """The folders that a dataset's files are looked for in, in this order."""
    named = [own(name, data_dir), own(name, data_dir).parent] if name in TORCHVISION else []
    return [*named, data_dir, data_dir / "raw", data_dir / "archive"]


def files_in(folder: Path) -> dict[str, Path]:
    """Those of the four files that lie in a folder: {name: path}.

    Under their own names or dotted (train-images.idx3-ubyte), each maybe in a folder of its name,
    as Kaggle's archive has them, or packed by gzip; what is packed is unpacked there, if it can be.

    Raises:
        UserError: the folder may not be read.
    """
    try:
        found = {name: _file_in(folder, name) for name in IDX_FILES}
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}.") from error
    return {name: path for name, path in found.items() if path}


def _file_in(folder, name):
    names = name, name.replace("-idx", ".idx")
    plain = [folder / outer / inner for outer in ("", *names) for inner in names]
    for path in plain:
        if path.is_file():
            return path
    for path in plain:
        packed = path.with_name(f"{path.name}.gz")
        if packed.is_file() and (found := unpacked(packed)):
            return found
    return folder / name if (folder / name).exists() else None  # a folder, which reading will say


def find(name: str, data_dir: Path, needed: tuple = tuple(IDX_FILES)) -> dict[str, Path] | None:
    """The files of a dataset, in the first folder that holds all that are needed; None: in none."""
    for folder in looked_in(name, data_dir):
        found = files_in(folder)
        if found.keys() >= set(needed):
            return found
    return None


def described(name: str, data_dir: Path) -> str:
    """What was looked for, where, and what lies there instead, in a sentence."""
    folders = looked_in(name, data_dir)
    there = [str(path) for folder in folders for path in files_in(folder).values()]
    if not there and data_dir.is_dir():
        there = sorted(str(path) for path in data_dir.iterdir())
    some = ", ".join(there[:6]) + (", …" if len(there) > 6 else "")
    return (
        f"Looked for {', '.join(IDX_FILES)} (also .idx for -idx, also .gz) in "
        f"{', '.join(map(str, folders))}; found {some or 'nothing'}."
    )
