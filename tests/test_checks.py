"""Images and labels as people bring them: taken as what they are, or refused in one sentence."""

import math

import numpy as np
import pytest
import torch
from tqdm import tqdm

from codebase import utils as ut
from codebase.data.batches import Batches, seeded_generator
from codebase.engine.session import Session
from codebase.errors import UserError
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE
from codebase.train import train

torch.manual_seed(0)
BINARY = (torch.rand(20, 784) < 0.3).float()
GREY = torch.rand(20, 784)
LABELS = torch.arange(20) % 10
ONE_HOT = torch.eye(10)[LABELS]


def quiet(**options):
    return tqdm(**options, disable=True)


def bound(x):
    nelbo, _, _ = ut.evaluate_lower_bound(VAE(name="vae"), (x, None), run_iwae=False)
    return nelbo


def accuracy(x, y):
    torch.manual_seed(0)
    return ut.evaluate_classifier(SSVAE(), (x, y)).value


def fit(model, loader, labelled=None, **options):
    return train(model, loader, labelled, "cpu", quiet, None, iter_max=2, **options)


SAME_IMAGES = {
    "float64": BINARY.double(),
    "bool": BINARY.bool(),
    "uint8, 0 and 1": BINARY.byte(),
    "uint8, 0 and 255": BINARY.byte() * 255,
    "int64": BINARY.long(),
    "28 × 28": BINARY.view(-1, 1, 28, 28),
    "numpy": BINARY.numpy(),
}


@pytest.mark.parametrize("x", SAME_IMAGES.values(), ids=SAME_IMAGES)
def test_binary_images_are_the_same_however_they_are_kept(x, here):
    torch.manual_seed(0)
    same = bound(BINARY)
    torch.manual_seed(0)
    assert bound(x) == same
    taken = Batches(torch.as_tensor(x), LABELS, 20, seeded_generator(0))
    assert torch.equal(taken.at(torch.arange(20))[0].float(), BINARY)
    fit(VAE(), [(torch.as_tensor(x), LABELS)])
    fit(SSVAE(), [(BINARY, LABELS)], (x, LABELS), y_status="semisup")


WRONG_IMAGES = {
    "0 to 255": (GREY * 255, "divide by 255"),
    "normalized": ((BINARY - 0.1307) / 0.3081, r"values from -0.4242 to 2.821, expected pixels"),
    "nan": (torch.where(GREY < 0.5, math.nan, GREY), "not finite"),
    "infinite": (GREY / 0, "not finite"),
    "negative bytes": (-BINARY.to(torch.int8), "values from -1 to 0"),
    "one image without its dimension": (GREY[0], r"has shape \(784,\)"),
    "words": ("MNIST", "is str, expected a tensor"),
}


@pytest.mark.parametrize(("x", "reason"), WRONG_IMAGES.values(), ids=WRONG_IMAGES)
def test_what_is_no_image_is_refused_at_every_door(x, reason, here):
    doors = {
        r"labeled_test_subset\[0\]": lambda: bound(x),
        "X_test": lambda: accuracy(x, LABELS),
        r"labeled_subset\[0\]": lambda: fit(
            SSVAE(), [(BINARY, LABELS)], (x, ONE_HOT), y_status="semisup"
        ),
    }
    if isinstance(x, torch.Tensor) and len(x) == 20:
        doors["x of train_loader"] = lambda: fit(VAE(), [(GREY, LABELS), (x, LABELS)])
        doors["x of Batches"] = lambda: Batches(x, LABELS, 5, seeded_generator(0))
    for argument, door in doors.items():
        with pytest.raises(UserError, match=f"^{argument} .*{reason}"):
            door()


SAME_LABELS = {
    "int32": LABELS.int(),
    "float": LABELS.float(),
    "one-hot": ONE_HOT,
    "one-hot int64": ONE_HOT.long(),
    "one-hot bool": ONE_HOT.bool(),
    "numpy uint8": LABELS.numpy().astype(np.uint8),
}


@pytest.mark.parametrize("y", SAME_LABELS.values(), ids=SAME_LABELS)
def test_labels_are_the_same_however_they_are_kept(y, here):
    assert accuracy(GREY, y) == accuracy(GREY, LABELS)
    session = Session(SSVAE(), [(GREY, LABELS)], (BINARY, y), "cpu", None, "semisup")
    _, yl = session.stream.labelled
    assert yl.dtype == torch.float32
    assert torch.equal(yl, ONE_HOT)


WRONG_LABELS = {
    "from 1 to 10": (LABELS + 1, "values from 1 to 10, expected whole labels from 0 to 9"),
    "negative": (LABELS - 1, "values from -1 to 8"),
    "halves": (LABELS / 2, "whole labels"),
    "a column": (LABELS.unsqueeze(1), r"shape \(20, 1\)"),
    "too few": (LABELS[:5], r"shape \(5,\), expected \(20,\), a label for each image"),
    "two ones": ((ONE_HOT + ONE_HOT.roll(1, 1)).long(), "not one-hot"),
}


@pytest.mark.parametrize(("y", "reason"), WRONG_LABELS.values(), ids=WRONG_LABELS)
def test_what_is_no_label_is_refused_at_every_door(y, reason, here):
    with pytest.raises(UserError, match=f"^y_test .*{reason}"):
        accuracy(GREY, y)
    with pytest.raises(UserError, match=rf"^labeled_subset\[1\] .*{reason}"):
        fit(SSVAE(), [(GREY, LABELS)], (BINARY, y), y_status="semisup")


def test_probabilities_of_labels_stay_what_they_are(here):
    soft = ONE_HOT * 0.9 + 0.01
    session = Session(SSVAE(), [(GREY, LABELS)], (BINARY, soft), "cpu", None, "semisup")
    assert torch.equal(session.stream.labelled[1], soft)


@pytest.mark.parametrize("x", [GREY, GREY.double()])
def test_a_model_of_double_precision_is_given_its_own(x, here):
    fit(VAE().double(), [(x, LABELS)])


def test_fully_supervised_the_batch_is_x_and_one_hot_y(here):
    given = []

    class Supervised(SSVAE):
        def loss(self, x, y):
            given.append((x, y))
            return super().loss(x, x, y)

    fit(Supervised(), [(BINARY, LABELS)], y_status="fullsup")
    x, y = given[0]
    assert torch.equal(x, BINARY)
    assert torch.equal(y, ONE_HOT)
