"""Datasets as uint8 tensors: MNIST and its like from disk or download, digits, one's own."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from codebase.data import fixed, idx, known, places, sprites
from codebase.data.idx import IDX_FILES
from codebase.data.places import TORCHVISION as TORCHVISION
from codebase.errors import UserError
from codebase.flag import DATA
from codebase.sides import X_DIM

SUBSET = 100  # test images
OWN = "own-"  # begins the names of one's own files and folders
TENSORS = "train_x", "train_y", "test_x", "test_y"


@dataclass(frozen=True)
class Dataset:
    """Grey images (N, D) as uint8 and labels (N,) as int64, for training and for testing.

    D is 784, or what one's own file or folder has.

    Attributes:
        labelled: False where the labels are not known; they are all 0 then.
        path: of the file or folder, absolute, where it is not known by its name; otherwise "".
    """

    name: str
    train_x: torch.Tensor
    train_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor
    labelled: bool = True
    path: str = ""
    found: dict = field(default_factory=dict, init=False, repr=False, compare=False)  # once

    @property
    def x_dim(self) -> int:
        """D, the number of pixels."""
        return self.train_x.shape[1]

    @property
    def source(self) -> str:
        """What `load` finds it by."""
        return self.path or self.name

    def to(self, device: torch.device | str) -> "Dataset":
        """The same dataset on another device."""
        there = replace(self, **{name: getattr(self, name).to(device) for name in TENSORS})
        there.found.update(self.found)
        return there

    def sha256(self) -> str:
        """Hash of every byte of images and labels, in the order of the fields."""
        if "sha256" not in self.found:
            digest = hashlib.sha256()
            for name in TENSORS:
                digest.update(getattr(self, name).to("cpu", torch.uint8).numpy().tobytes())
            self.found["sha256"] = digest.hexdigest()
        return self.found["sha256"]

    def need_labels(self, what: str) -> None:
        """Raises a UserError if there are no labels, which that needs."""
        if not self.labelled:
            advice = ""
            if self.path:
                from codebase.data.own import LABELS_ADVICE as advice
            elif self.name == "custom":
                advice = "put train-labels-idx1-ubyte and t10k-labels-idx1-ubyte beside the images"
            raise UserError(
                f"The data {self.name} have no labels, and {what} needs them"
                f"{f': {advice}' if advice else ''}."
            )


def load(name: str = "auto", data_dir: str | Path = "data") -> Dataset:
    """The dataset of that name; "auto" is MNIST where it is to be had, otherwise digits.

    Args:
        name: "mnist", "fashion", "kmnist" (four files each, used from data_dir or downloaded into
            it), "custom" (one's own in such files, the labels' may be missing), "digits" (comes
            with scikit-learn), "sprites" (see `sprites`; labels are shapes), "fixed-mnist" (see
            `fixed`) or "auto"; otherwise the path of one's own file or folder (see `own.load`).
        data_dir: holds the files, in torchvision's layout or flat (see `places`).
    Raises:
        UserError: the files are missing and cannot be downloaded, or are not what they should be.
    """
    if name == "digits":
        return _digits()
    if name == "sprites":
        return Dataset(name, *sprites.tensors())
    if name not in DATA:
        from codebase.data import own

        return own.load(name)
    data_dir = Path(data_dir)
    if name == "fixed-mnist":
        return _fixed(data_dir)
    if name == "custom":
        return _custom(data_dir)
    try:
        files = _found_or_downloaded("mnist" if name == "auto" else name, data_dir)
    except UserError as error:
        if name != "auto":
            raise
        print(
            f"\n*** NO MNIST. {error}\n*** Going on with the small digits of scikit-learn "
            "(1,347 training images): their numbers do not compare with MNIST's.\n"
        )
        return _digits()
    return _idx("mnist" if name == "auto" else name, files)


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


def _found_or_downloaded(name, data_dir):
    """Paths of a dataset's four files."""
    if found := places.find(name, data_dir):
        return found
    from codebase.data.download import fetch  # torchvision takes a second to import

    there = places.files_in(places.own(name, data_dir))
    fetch(name, data_dir, [file for file in IDX_FILES if file not in there])
    return places.find(name, data_dir)


def _idx(name, files):
    """One of torchvision's MNIST-like datasets, once it is known to be that."""
    advice = "delete it, and the next start downloads it again, or put a good copy there."
    tensors = [_read(files[file], shape, advice) for file, shape in IDX_FILES.items()]
    dataset = Dataset(name, *tensors)
    known.check(dataset, next(iter(files.values())).parent)
    return dataset


def no_labels(x: torch.Tensor) -> torch.Tensor:
    """What stands in the place of labels (N,) that are not known."""
    return torch.zeros(len(x), dtype=torch.int64)


def _fixed(data_dir):
    """MNIST's bits as the literature has fixed them, without labels."""
    train_x, test_x = fixed.tensors(data_dir)
    tensors = train_x, no_labels(train_x), test_x, no_labels(test_x)
    return Dataset("fixed-mnist", *tensors, labelled=False)


def _custom(data_dir):
    """Images of 28 × 28 in idx files, any number of them, with or without labels."""
    train_x, train_y, test_x, test_y = IDX_FILES
    files = places.find("custom", data_dir, (train_x, test_x))
    if not files:
        raise UserError(f"There are no images. {places.described('custom', data_dir)}")
    advice = "put a right one there; without both files of labels it is only images."
    tensors = {
        name: _read(path, (None, *IDX_FILES[name][1:]), advice) for name, path in files.items()
    }
    if len(tensors) == 3:
        (lone,) = {train_y, test_y} & tensors.keys()
        (other,) = {train_y, test_y} - tensors.keys()
        raise UserError(f"{files[lone]} is there, {other} is not: bring both, or neither.")
    for images, labels in ((train_x, train_y), (test_x, test_y)):
        n = len(tensors[images])
        if len(tensors.setdefault(labels, no_labels(tensors[images]))) != n:
            raise UserError(
                f"{files[labels]} holds {len(tensors[labels]):,} labels for the {n:,} images of "
                f"{files[images]}."
            )
    if len(tensors[test_x]) < SUBSET:
        raise UserError(
            f"{files[test_x]} holds {len(tensors[test_x])} images, expected at least {SUBSET}: so "
            "many the bounds are measured on."
        )
    in_order = (tensors[name] for name in IDX_FILES)
    dataset = replace(Dataset("custom", *in_order), labelled=train_y in files)
    known.check(dataset, files[train_x].parent)
    return dataset


def _read(path, shape, advice):
    """Images (N, 784), or labels (N,) as int64."""
    tensor = idx.read(path, shape, advice)
    if len(shape) > 1:
        return tensor.flatten(1)
    if tensor.max() > 9:
        raise UserError(f"{path} holds the label {tensor.max()}, expected 0 to 9; {advice}")
    return tensor.long()


def on_disk(name: str, data_dir: str | Path = "data") -> bool:
    """Whether one of torchvision's datasets lies in its own folder there, going by its labels."""
    files = places.files_in(places.own(name, Path(data_dir)))
    if len(files) < len(IDX_FILES):
        return False
    labels = [_read(files[f], IDX_FILES[f], "") for f in IDX_FILES if "labels" in f]
    return known.labels_fit(name, *labels)


def others(name: str, data_dir: str | Path, x_dim: int = X_DIM) -> dict[str, torch.Tensor]:
    """Test images of the other datasets that need no download: {name: uint8 (N, 784)}.

    Args:
        x_dim: pixels that images need to have; no others have other than 784.
    """
    if x_dim != X_DIM:
        return {}
    known = [n for n in (*TORCHVISION, "digits") if n != name]
    there = [n for n in known if n == "digits" or on_disk(n, data_dir)]
    return {n: load(n, data_dir).test_x for n in there}
