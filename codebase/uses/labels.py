"""A classifier of few labels on an encoder that was trained without any."""

import copy
from argparse import Namespace

import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from codebase.data import subsets
from codebase.data.batches import CLASSES, seeded_generator
from codebase.engine.randomness import seeded
from codebase.errors import UserError
from codebase.evaluation.bounds import CHUNK
from codebase.evaluation.numbers import Number
from codebase.models.base import CodingModel
from codebase.starter import reset_weights
from codebase.uses.subject import Found, Subject

LABELS = 100, 1_000
BATCH = 100
LR = 1e-3


def measure(subject: Subject, args: Namespace) -> Found:
    """Accuracy on all test images: codes as they are, encoder trained on, encoder from scratch."""
    if subject.model.y_dim:
        raise UserError(f"{subject.name} was trained with labels; this is for models without.")
    x, y = subject.test
    unlabelled = subject.train[0][: 10 * CHUNK]
    enough = [n for n in LABELS if n <= len(subject.dataset.train_y)]
    columns = {}
    for n in enough:
        found: dict[str, list[float]] = {}
        for seed in range(args.label_seeds):
            xl, one_hot = subsets.labelled_subset(subject.dataset, n, seed)
            some = subject.as_taken(xl), one_hot.argmax(1)
            for name, model in _classifiers(subject.model, unlabelled, *some, args.steps, seed):
                found.setdefault(name, []).append(accuracy(model, x, y))
        columns[f"{n:,} labels"] = {name: Number.of(values) for name, values in found.items()}
    notes = (
        f"± standard error over {args.label_seeds} draws of the labelled images",
        f"trained on, from scratch: {args.steps} steps of Adam with the labels, the same for both",
    )
    return Found("accuracy on all test images", columns, notes, {"steps": args.steps})


class Classifier(nn.Module):
    """logits = V (z(x) − m) / s + c, of an encoder's codes z.

    Args:
        model: whose encoder is used; a copy if it is to be trained.
        unlabelled: images (N, D) that m and s are the codes' mean and standard deviation of.
    """

    def __init__(self, model: CodingModel, unlabelled: torch.Tensor) -> None:
        super().__init__()
        self.model, self.head = model, nn.Linear(model.z_dim, CLASSES)
        with torch.no_grad():
            z = torch.cat([model.posterior(part).mean for part in unlabelled.split(CHUNK)])
            self.m, self.s = z.mean(0), z.std(0).clamp(min=1e-3)
            self.head.weight.zero_()
            self.head.bias.zero_()

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, D) → (B, Z), about 0 and 1 apart."""
        return (self.model.posterior(x).mean - self.m) / self.s

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


def _classifiers(model, unlabelled, x, y, steps, seed):
    """(name, trained Classifier) of each way."""
    frozen = Classifier(model, unlabelled)
    fit_head(frozen, x, y)
    yield "codes as they are", frozen
    tuned = copy.deepcopy(frozen)
    if not _learns(tuned, x):
        return  # there is no encoder
    train(tuned, x, y, steps, seed)
    yield "encoder trained on", tuned
    with seeded(seed):
        fresh = copy.deepcopy(model).apply(reset_weights)
        fresh.prepare(lambda: unlabelled)
    scratch = Classifier(fresh, unlabelled)
    train(scratch, x, y, steps, seed)
    yield "encoder from scratch", scratch


def _learns(classifier, x):
    """Whether a gradient reaches anything before the head."""
    return classifier.features(x[:2]).requires_grad


@torch.no_grad()
def fit_head(classifier: Classifier, x: torch.Tensor, y: torch.Tensor) -> None:
    """Logistic regression on the codes, with scikit-learn's usual ½‖V‖²."""
    fitted = LogisticRegression(max_iter=2_000).fit(classifier.features(x).numpy(), y.numpy())
    head = classifier.head
    head.bias.fill_(-10.0)  # of classes that no label is of
    weight, bias = (torch.from_numpy(t).to(head.weight) for t in (fitted.coef_, fitted.intercept_))
    if len(fitted.classes_) == 2:  # it has the difference of the two only
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    head.weight[fitted.classes_], head.bias[fitted.classes_] = weight, bias


def train(classifier: Classifier, x: torch.Tensor, y: torch.Tensor, steps: int, seed: int) -> None:
    """All weights that are asked, on minibatches of at most BATCH."""
    generator = seeded_generator(seed)
    # Of a decoder there is no gradient, and Adam leaves it alone.
    optimizer = torch.optim.Adam(classifier.parameters(), lr=LR)
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if not len(order):
            order = torch.randperm(len(x), generator=generator)
        at, order = order[:BATCH], order[BATCH:]
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(classifier(x[at]), y[at]).backward()
        optimizer.step()


@torch.no_grad()
def accuracy(classifier: Classifier, x: torch.Tensor, y: torch.Tensor) -> float:
    """The share of images (N, D) that are named rightly."""
    right = [
        (classifier(xs).argmax(1) == ys).cpu().double()
        for xs, ys in zip(x.split(CHUNK), y.split(CHUNK), strict=True)
    ]
    return torch.cat(right).mean().item()
