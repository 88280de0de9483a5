"""Bounds and accuracies by the assignment's protocol, with standard errors, in bounded memory."""

import contextlib
import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from codebase.errors import UserError
from codebase.precision import products
from codebase.process import random_state, set_random_state

CHUNK = 1_000  # images at a time
IMPORTANCE_SAMPLES = 1, 10, 100, 1000
SUBSET_REPEATS = 100


@dataclass(frozen=True)
class Number:
    """A mean and its standard error (None where it was drawn only once)."""

    value: float
    se: float | None

    @classmethod
    def of(cls, values):
        """Mean and standard error of independent values."""
        n = len(values)
        values = torch.as_tensor(values, dtype=torch.float64)
        return cls(values.mean().item(), values.std().item() / math.sqrt(n) if n > 1 else None)


@contextlib.contextmanager
def seeded(seed=0):
    """No gradients, and torch's generators seeded; they are as before once the block ends.

    So a number does not depend on when it is taken, nor training on whether it was.
    """
    before = random_state()
    torch.manual_seed(seed)
    try:
        with torch.no_grad():
            yield
    finally:
        set_random_state(before)


def subset_bounds(model, x, run_iwae=True, least=1):
    """The assignment's protocol: each bound's mean over repeats on the binarized test subset.

    Args:
        model: has negative_elbo_bound(x), and negative_iwae_bound(x, iw) for the IWAE bounds.
        x: (100, 784) in {0, 1}.
        run_iwae: also the IWAE bounds with m = 1, 10, 100, 1000 samples, max(100 // m, least)
            repeats each.
    Returns:
        {"nelbo", "kl", …, "rec": Number, "iwae-1": Number, …} in nats; the standard error is that
        of the repeats, the estimator's own noise.
    Raises:
        UserError: x is grey.
    """
    _refuse_grey(x)
    with seeded():
        rows = _repeat(lambda: model.negative_elbo_bound(x), SUBSET_REPEATS)
        names = ("nelbo", "kl", "rec") if rows.shape[1] == 3 else ("nelbo", "kl_z", "kl_y", "rec")
        numbers = {name: Number.of(column) for name, column in zip(names, rows.T, strict=True)}
        for m in IMPORTANCE_SAMPLES if run_iwae else ():
            repeats = max(100 // m, least)
            rows = _repeat(lambda m=m: model.negative_iwae_bound(x, m), repeats)
            numbers[f"iwae-{m}"] = Number.of(rows[:, 0])
    return numbers


def _repeat(bound, repeats):
    return torch.stack([torch.stack(bound()) for _ in range(repeats)]).cpu()  # (repeats, terms)


def image_terms(model, x):
    """The terms of −ELBO of every image, one sample each: (kl, rec) or (kl_z, kl_y, rec).

    The noise is seeded, so models with latents of one size are given the same draws.

    Args:
        model: has negative_elbo_terms(x), each image's terms.
        x: (N, 784) in {0, 1}.
    Returns:
        (terms, N) float64 on the CPU, in nats.
    Raises:
        UserError: x is grey.
    """
    _refuse_grey(x)
    with seeded():
        parts = [torch.stack(model.negative_elbo_terms(part)) for part in x.split(CHUNK)]
    return torch.cat(parts, dim=1).cpu().double()


def full_bounds(model, x):
    """nelbo, kl and rec on a whole binarized test set, with the standard error over its images.

    Args:
        model, x: as for `image_terms`.
    """
    terms = image_terms(model, x)  # (terms, N)
    names = ("kl", "rec") if len(terms) == 2 else ("kl_z", "kl_y", "rec")
    numbers = {"nelbo": Number.of(terms.sum(0))}
    return numbers | {name: Number.of(row) for name, row in zip(names, terms, strict=True)}


def full_iwae(model, x, iw, precision="fp32", progress=iter):
    """The IWAE bound on a whole binarized test set, with the standard error over its images.

    An image at a time: `negative_iwae_bound` decodes its samples in parts that fit the processor's
    cache, which larger ones would not make faster.

    Args:
        model: has negative_iwae_bound(x, iw).
        x: (N, 784) in {0, 1}.
        iw: importance samples of each image.
        precision: of the networks' products; bf16 moved IWAE-1000 by less than 0.01 nats.
        progress: wraps the images, as tqdm does.
    Returns:
        Number, in nats.
    """
    _refuse_grey(x)
    with seeded(), products(precision, x.device):
        return Number.of(
            torch.stack([model.negative_iwae_bound(i, iw)[0] for i in progress(x.split(1))]).cpu()
        )


@torch.no_grad()
def active_units(model, x):
    """How many latent dimensions say anything: those whose posterior mean varies by over 0.01.

    (Burda et al., 2016.)

    Args:
        model: has enc(x), the posterior's mean and variance.
        x: (N, 784) in {0, 1}.
    """
    return int((posteriors(model, x)[0].var(0) > 0.01).sum())


@torch.no_grad()
def posteriors(model, x):
    """Mean and variance of each image's q(z|x), or of its q(z|x, y) at the likeliest label y.

    Args:
        model: has enc(x), or enc(x, y) and cls(x).
        x: (N, 784).
    Returns:
        m, v: (N, Z) each.
    """
    parts = []
    for part in x.split(CHUNK):
        label = ()
        if hasattr(model, "cls"):
            logits = model.cls(part)
            label = (F.one_hot(logits.argmax(1), logits.shape[1]).to(part),)
        parts.append(model.enc(part, *label))
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def _refuse_grey(x):
    if not ((x == 0) | (x == 1)).all():
        raise UserError(
            "Bounds are evaluated on binary pixels; these are grey, and a Bernoulli likelihood of "
            "grey pixels bounds nothing. Binarize them first."
        )


@torch.no_grad()
def predictions(model, x):
    """log q(y|x) for every image: (N, 784), grey or binary → (N, Y)."""
    return torch.cat([torch.log_softmax(model.cls(part), dim=-1) for part in x.split(CHUNK)])


def classification(model, x, y):
    """Accuracy, cross-entropy and confusion matrix of the classifier.

    Args:
        model: has cls(x), logits.
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


def evaluate_lower_bound(model, labeled_test_subset, run_iwae=True):
    """Prints the bounds of `subset_bounds`, in the starter code's words, and returns them."""
    x, _ = labeled_test_subset
    numbers = subset_bounds(model, x, run_iwae)
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
    numbers, _ = classification(model, *test_set)
    print("*" * 80, "CLASSIFICATION EVALUATION ON ENTIRE TEST SET", "*" * 80, sep="\n")
    print(f"Test set classification accuracy: {numbers['accuracy'].value}")
    return numbers["accuracy"]
