"""The starter code's helpers around the models, by the names its scripts call them."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from codebase.data import checks, datasets, subsets
from codebase.data.batches import Batches, grey, seeded_generator
from codebase.data.stream import Pair
from codebase.errors import ExistsError
from codebase.evaluation.bounds import subset_bounds
from codebase.evaluation.classifier import classification
from codebase.evaluation.numbers import Number
from codebase.files import checkpoints, disk, logs
from codebase.files.logs import log_summaries as log_summaries
from codebase.models.adapter import adapted

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

R = TypeVar("R")


def _with_batch_size(get: Callable[..., R]) -> Callable[..., R]:
    """get_mnist_data, which later versions of the course give a batch size before the subset."""

    @functools.wraps(get)
    def either(device, *args, **options):
        if args and (len(args) > 1 or "use_test_subset" in options or args[0] not in (0, 1)):
            options["batch_size"], args = args[0], args[1:]
        return get(device, *args, **options)

    return either


@_with_batch_size
def get_mnist_data(
    device: torch.device | str,
    use_test_subset: bool = True,
    *,
    batch_size: int = 97,
    data_dir: str | Path = "data",
) -> tuple[Batches, Pair, Pair]:
    """What the starter code's scripts ask for, with MNIST from data_dir.

    `get_mnist_data(device, 100, use_test_subset=…)`, as in later versions, sets the batch size.

    Returns:
        train_loader of minibatches of 97 (grey x in [0, 1], y); the binarized test subset
        (xl, yl) or, with use_test_subset=False, the grey labelled training subset; the grey test
        set (X_test, y_test).
    """
    dataset = datasets.load("mnist", Path(data_dir).expanduser()).to(device)
    seed = torch.initial_seed() % 2**63
    shuffling = seeded_generator(seed, device)
    loader = Batches(dataset.train_x, dataset.train_y, batch_size, shuffling)
    if use_test_subset:
        subset = subsets.test_subset(dataset)
    else:
        xl, yl = subsets.labelled_subset(dataset)
        subset = grey(xl), yl
    return loader, subset, (grey(dataset.test_x), dataset.test_y)


class Bounds(dict):
    """{name: Number}; unpacks into the terms of the bound: nelbo, kl, rec = evaluate_…(…)."""

    def __iter__(self) -> Iterator[float]:
        return iter([n.value for name, n in self.items() if not name.startswith("iwae")])


def evaluate_lower_bound(
    model: nn.Module, labeled_test_subset: Pair, run_iwae: bool = True
) -> Bounds:
    """Prints the bounds of `subset_bounds`, in the starter code's words, and returns them.

    Args:
        model: the assignment's, or one of this house.
        labeled_test_subset: (x, y), of which y is not looked at; x (100, 784) in {0, 1}.
        run_iwae: also the IWAE bounds.
    Returns:
        Bounds: a dict of Numbers that unpacks into the floats nelbo, kl, rec, or of a model with
        labels nelbo, kl_z, kl_y, rec.
    Raises:
        UserError: x is grey, not finite or no image.
    """
    x = labeled_test_subset[0]
    x = checks.images(x, "labeled_test_subset[0]", next(model.parameters()).dtype)
    numbers = Bounds(subset_bounds(adapted(model), x, run_iwae))
    words = {"nelbo": "NELBO", "kl": "KL", "kl_z": "KL_Z", "kl_y": "KL_Y", "rec": "Rec"}
    terms = [f"{word}: {numbers[name].value}" for name, word in words.items() if name in numbers]
    print("*" * 80, "LOG-LIKELIHOOD LOWER BOUNDS ON TEST SUBSET", "*" * 80, sep="\n")
    print(". ".join(terms))
    for name, number in numbers.items():
        if name.startswith("iwae"):
            print(f"Negative {name.upper()}: {number.value}")
    return numbers


def _with_weight(evaluate: Callable[..., R]) -> Callable[..., R]:
    """evaluate_classifier, which later versions of the course give gen_weight before the set."""

    @functools.wraps(evaluate)
    def either(model, *args, **options):
        options.pop("gw", None)
        return evaluate(model, *args[-1:], **options)

    return either


@_with_weight
def evaluate_classifier(model: nn.Module, test_set: Pair) -> Number:
    """Prints the accuracy on (grey X_test, y_test), in the starter code's words, and returns it.

    `evaluate_classifier(model, gw, test_set)`, as in later versions, is the same.

    Raises:
        UserError: X_test are no images in [0, 1], or y_test no labels of them.
    """
    ours, (x, y) = adapted(model), test_set
    x = checks.images(x, "X_test", next(model.parameters()).dtype)
    numbers, _ = classification(ours, x, checks.labels(y, len(x), ours.y_dim, "y_test"))
    print("*" * 80, "CLASSIFICATION EVALUATION ON ENTIRE TEST SET", "*" * 80, sep="\n")
    print(f"Test set classification accuracy: {numbers['accuracy'].value}")
    return numbers["accuracy"]


def save_model_by_name(model: nn.Module, global_step: int) -> Path:
    """Writes model.state_dict() to checkpoints/‹model.name›/model-‹step:05d›.pt."""
    path = checkpoints.model_path(str(model.name), global_step)
    disk.make_folder(path.parent)
    checkpoints.save(path, model.state_dict())
    return path


def load_model_by_name(
    model: nn.Module, global_step: int, device: torch.device | str | None = None
) -> None:
    """Loads checkpoints/‹model.name›/model-‹step:05d›.pt, strictly (see `load_weights`)."""
    path = checkpoints.model_path(str(model.name), global_step)
    checkpoints.load_weights(model, path, device)
    print(f"Loaded from {path}")


def prepare_writer(model_name: str, overwrite_existing: bool = False) -> "SummaryWriter":
    """A TensorBoard writer on logs/‹model_name›, for a run without log or checkpoints as yet.

    Args:
        model_name: the run's name.
        overwrite_existing: deletes those of an earlier run.
    Raises:
        ExistsError: there are some, and they are not to be overwritten.
    """
    for path in (logs.ROOT / model_name, checkpoints.ROOT / model_name):
        if path.exists() or path.is_symlink():
            if not overwrite_existing:
                raise ExistsError(
                    f"{path} exists; pass overwrite_existing=True to delete it, or another name."
                )
            disk.delete(path)
    return logs.plain_writer(logs.ROOT / model_name)


def reset_weights(m: nn.Module) -> None:
    """Draws a layer's weights anew if it has any, for model.apply."""
    if callable(reset := getattr(m, "reset_parameters", None)):
        reset()
