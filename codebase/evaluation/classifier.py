"""Accuracy, cross-entropy and confusion of a classifier."""

import torch

from codebase.engine.randomness import seeded
from codebase.evaluation.bounds import CHUNK
from codebase.evaluation.numbers import Number, Numbers
from codebase.models.base import Model


def predictions(model: Model, x: torch.Tensor) -> torch.Tensor:
    """log q(y|x) for every image, the same every time: (N, 784), grey or binary → (N, Y)."""
    with seeded():  # some models draw for it
        return torch.cat([model.label_posterior(part).log_probs for part in x.split(CHUNK)])


def classification(model: Model, x: torch.Tensor, y: torch.Tensor) -> tuple[Numbers, torch.Tensor]:
    """Accuracy, cross-entropy and confusion matrix of the classifier.

    Args:
        model: has a classifier.
        x: (N, 784) grey in [0, 1], as the protocol feeds them.
        y: (N,) labels.
    Returns:
        {"accuracy": Number, "ce": Number}, with standard errors over the images, and the
        (Y, Y) counts of true label (rows) against predicted (columns).
    Raises:
        ValueError: y does not have a label for each image.
    """
    if y.shape != x.shape[:1]:
        raise ValueError(f"y must be ({len(x)},), a label for each image, got {tuple(y.shape)}")
    log_q = predictions(model, x)
    right = (log_q.argmax(1) == y).float()
    ce = -log_q.gather(1, y.unsqueeze(1)).squeeze(1)
    classes = log_q.shape[1]
    confusion = torch.bincount(y * classes + log_q.argmax(1), minlength=classes**2)
    numbers = {"accuracy": Number.of(right.cpu()), "ce": Number.of(ce.cpu())}
    return numbers, confusion.view(classes, classes).cpu()
