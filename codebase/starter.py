"""The starter code's helpers around the models, by the names its scripts call them."""

import shutil

import torch

from codebase.data import datasets, subsets
from codebase.data.batches import Batches, grey, seeded_generator
from codebase.errors import UserError
from codebase.evaluation.bounds import subset_bounds
from codebase.evaluation.classifier import classification
from codebase.files import checkpoints, disk, logs
from codebase.files.logs import log_summaries as log_summaries
from codebase.models.adapter import adapted


def get_mnist_data(device, use_test_subset=True, *, data_dir="data"):
    """What the starter code's scripts ask for, with MNIST from data_dir.

    Returns:
        train_loader of minibatches of 97 (grey x in [0, 1], y); the binarized test subset
        (xl, yl) or, with use_test_subset=False, the grey labelled training subset; the grey test
        set (X_test, y_test).
    """
    dataset = datasets.load("mnist", data_dir).to(device)
    seed = torch.initial_seed() % 2**63
    loader = Batches(dataset.train_x, dataset.train_y, 97, seeded_generator(seed, device))
    if use_test_subset:
        subset = subsets.test_subset(dataset)
    else:
        xl, yl = subsets.labelled_subset(dataset)
        subset = grey(xl), yl
    return loader, subset, (grey(dataset.test_x), dataset.test_y)


def evaluate_lower_bound(model, labeled_test_subset, run_iwae=True):
    """Prints the bounds of `subset_bounds`, in the starter code's words, and returns them."""
    x, _ = labeled_test_subset
    numbers = subset_bounds(adapted(model), x, run_iwae)
    words = {"nelbo": "NELBO", "kl": "KL", "kl_z": "KL_Z", "kl_y": "KL_Y", "rec": "Rec"}
    terms = [f"{word}: {numbers[name].value}" for name, word in words.items() if name in numbers]
    print("*" * 80, "LOG-LIKELIHOOD LOWER BOUNDS ON TEST SUBSET", "*" * 80, sep="\n")
    print(". ".join(terms))
    for name, number in numbers.items():
        if name.startswith("iwae"):
            print(f"Negative {name.upper()}: {number.value}")
    return numbers


def evaluate_classifier(model, test_set):
    """Prints the accuracy on (grey X_test, y_test), in the starter code's words, and returns it."""
    numbers, _ = classification(adapted(model), *test_set)
    print("*" * 80, "CLASSIFICATION EVALUATION ON ENTIRE TEST SET", "*" * 80, sep="\n")
    print(f"Test set classification accuracy: {numbers['accuracy'].value}")
    return numbers["accuracy"]


def save_model_by_name(model, global_step):
    """Writes model.state_dict() to checkpoints/‹model.name›/model-‹step:05d›.pt."""
    path = checkpoints.model_path(model.name, global_step)
    disk.make_folder(path.parent)
    checkpoints.save(path, model.state_dict())
    return path


def load_model_by_name(model, global_step, device=None):
    """Loads checkpoints/‹model.name›/model-‹step:05d›.pt, strictly (see `load_weights`)."""
    path = checkpoints.model_path(model.name, global_step)
    checkpoints.load_weights(model, path, device)
    print(f"Loaded from {path}")


def prepare_writer(model_name, overwrite_existing=False):
    """A TensorBoard writer on logs/‹model_name›, for a run without log or checkpoints as yet.

    Args:
        model_name: the run's name.
        overwrite_existing: deletes those of an earlier run.
    Raises:
        UserError: there are some, and they are not to be overwritten.
    """
    for path in (logs.ROOT / model_name, checkpoints.ROOT / model_name):
        if path.exists():
            if not overwrite_existing:
                raise UserError(
                    f"{path} exists; pass overwrite_existing=True to delete it, or another name."
                )
            shutil.rmtree(path)
    return logs.plain_writer(logs.ROOT / model_name)


def reset_weights(m):
    """Draws a layer's weights anew if it has any, for model.apply."""
    if hasattr(m, "reset_parameters"):
        m.reset_parameters()
