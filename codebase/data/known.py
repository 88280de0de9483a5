"""Which published dataset some images and labels are, by what they hold, not by their files' names.

MNIST is known by its hash, Fashion-MNIST by its labels: it and KMNIST are published packed, with
checksums of that only. KMNIST, like EMNIST's digits, has as many images of every class, as MNIST
has not; that far it can be told.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from codebase.errors import UserError

if TYPE_CHECKING:
    from codebase.data.datasets import Dataset

MNIST = "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"  # Dataset.sha256
MNIST_LABELS = "671ff9d70b4811116d55c3dd479efa7a981e2e62753ef7a6d5c15fea81e63d27"
FASHION_LABELS = (9, 0, 0, 3, 0, 2, 7, 2, 5, 5), (9, 2, 1, 1, 6, 1, 4, 6, 5, 7)  # the first ten
TITLES = {"mnist": "MNIST", "fashion": "Fashion-MNIST", "kmnist": "KMNIST"}


def labels_fit(name: str, train_y: torch.Tensor, test_y: torch.Tensor) -> bool:
    """Whether labels are a known dataset's; KMNIST's as far as can be told."""
    both = [y.cpu().to(torch.uint8) for y in (train_y, test_y)]
    if name == "mnist":
        return hashlib.sha256(b"".join(y.numpy().tobytes() for y in both)).hexdigest() == (
            MNIST_LABELS
        )
    fashion = tuple(tuple(y[:10].tolist()) for y in both) == FASHION_LABELS
    return _balanced(both) and fashion == (name == "fashion")


def _balanced(labels):
    return all((torch.bincount(y, minlength=10) * 10 == len(y)).all() for y in labels)


def check(dataset: "Dataset", folder: Path) -> None:
    """Compares what a dataset holds with what it is called.

    Args:
        dataset: a `Dataset` read from the folder.
    Raises:
        UserError: it is a known one of another name, or not the one it is called.
    """
    name, labels = dataset.name, (dataset.train_y, dataset.test_y)
    found = "mnist" if dataset.sha256() == MNIST else None
    if dataset.labelled and labels_fit("fashion", *labels):
        found = "fashion"
    if found == name or (found is None and name == "custom"):
        return
    if found:
        called = f", not {TITLES[name]}" if name in TITLES else ""
        raise UserError(
            f"{folder} holds {TITLES[found]}{called}: --dataset {found} --data_dir {folder} trains "
            "on it."
        )
    if name == "kmnist" and labels_fit(name, *labels):
        return
    raise UserError(
        f"{folder} does not hold {TITLES[name]} ({_difference(name, labels)}): --dataset custom "
        f"--data_dir {folder} trains on what it holds, with a test subset of its own; for "
        f"{TITLES[name]} put its files there."
    )


def _difference(name, labels):
    """What tells the labels from a known dataset's, in words."""
    if labels_fit(name, *labels):
        return "the labels are, the images are not"
    if missing := [str(c) for c in range(10) if not (labels[0] == c).any()]:
        return f"no image has the label {' or '.join(missing)}"
    if _balanced([y.cpu() for y in labels]):
        return "there are as many images of every class, as in KMNIST or EMNIST"
    return "the labels are others"
