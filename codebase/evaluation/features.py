"""The classifier whose features samples are judged by: trained once for each data, then kept."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from codebase.data.batches import as_pixels, binarize, grey, seeded_generator
from codebase.data.datasets import Dataset
from codebase.engine.randomness import seeded
from codebase.errors import UserError
from codebase.evaluation.bounds import CHUNK
from codebase.files import checkpoints, disk
from codebase.models.features import FeatureNet
from codebase.sides import X_DIM, side_of

ROOT = Path("features")
SHIPPED = Path(__file__).resolve().parents[2] / ROOT
BATCH = 100
EPOCHS = 15
LEAST = 200  # steps, of few images
LR = 2e-3
SHIFT = 2  # pixels that a minibatch is moved by at most, in training


@dataclass(frozen=True)
class Features:
    """The classifier of some data.

    Attributes:
        net: frozen, in evaluation mode.
        path: where its weights lie.
        sha256: of that file; goes with every number that it gives.
        accuracy: on all test images, {"grey" or "binary": share}.
    """

    net: FeatureNet
    path: Path
    sha256: str
    accuracy: dict[str, float]

    @torch.no_grad()
    def of(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (N, 64) and the likeliest classes (N,) of images (N, D) in [0, 1]."""
        found = [self.net(part) for part in x.split(CHUNK)]
        features, logits = (torch.cat(parts) for parts in zip(*found, strict=True))
        return features, logits.argmax(1)


def path_of(dataset: Dataset) -> Path:
    """Where the classifier of these very images lies, whatever else has their name.

    MNIST's comes with the project, so that numbers compare with others'.
    """
    name = f"{dataset.name}-{dataset.sha256()[:8]}.pt"
    return SHIPPED / name if (SHIPPED / name).exists() else ROOT / name


def features_of(dataset: Dataset) -> Features:
    """The classifier of a dataset, trained now if it never was.

    Raises:
        UserError: the images are not of 28 × 28 or have no labels, or the file cannot be written
            or is no such one.
    """
    if dataset.x_dim != X_DIM:
        side = side_of(dataset.x_dim)
        raise UserError(
            "The classifier whose features samples are judged by sees images of 28 × 28; those of "
            f"{dataset.name} are of {side} × {side}."
        )
    path = path_of(dataset)
    if not path.exists():
        dataset.need_labels("the classifier whose features samples are judged by")
        net = train(dataset)
        shares = {pixels: accuracy(net, dataset, pixels) for pixels in ("grey", "binary")}
        disk.make_folder(path.parent)
        if not path.exists():  # another process may have been quicker: one for all
            checkpoints.save(path, {"weights": net.state_dict(), "accuracy": shares})
    found = checkpoints.load(path)
    with seeded(0):  # its first weights, which are not kept, take nobody's random numbers
        net = FeatureNet().eval()
    checkpoints.fill(net, found.get("weights"), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Features(net, path, digest, found.get("accuracy", {}))


def train(dataset: Dataset) -> FeatureNet:
    """A classifier of the training images, half of each minibatch binarized and half grey.

    By Adam, its rate falling linearly to 0, on minibatches moved by up to 2 pixels. The same images
    give the same weights on the same machine; torch's generators stay as they are.
    """
    x, y, n = dataset.train_x, dataset.train_y, len(dataset.train_x)
    steps = max(EPOCHS * n // BATCH, LEAST)
    print(f"a classifier of {dataset.name} is trained for its features: {steps:,} steps, once")
    generator = seeded_generator(0, x.device)
    with seeded(0), torch.enable_grad():
        net = FeatureNet().to(x.device).requires_grad_(True)
        optimizer = torch.optim.Adam(net.parameters(), lr=LR)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1 / steps, steps)
        for _ in range(steps):
            at = torch.randint(n, (BATCH,), device=x.device)
            images = torch.cat(
                [binarize(x[at[::2]], generator), as_pixels(x[at[1::2]], "grey", generator)]
            )
            moved = torch.randint(-SHIFT, SHIFT + 1, (2,)).tolist()
            images = images.view(-1, 28, 28).roll(moved, (1, 2)).flatten(1)
            optimizer.zero_grad()
            F.cross_entropy(net(images)[1], torch.cat([y[at[::2]], y[at[1::2]]])).backward()
            optimizer.step()
            schedule.step()
    return net.requires_grad_(False).eval()


@torch.no_grad()
def accuracy(net: FeatureNet, dataset: Dataset, pixels: str) -> float:
    """The share of test images that it names rightly, of "grey" or "binary" pixels."""
    x = as_pixels(dataset.test_x.cpu(), pixels, seeded_generator(0)).to(dataset.test_x.device)
    said = torch.cat([net(part)[1].argmax(1) for part in grey(x).split(CHUNK)])
    return (said == dataset.test_y).cpu().double().mean().item()


def give(modules: Iterable[nn.Module], dataset: Dataset) -> None:
    """Fills every `FeatureNet` among a model's modules with what the data's classifier knows."""
    nets = [module for module in modules if isinstance(module, FeatureNet)]
    if nets:
        weights = features_of(dataset).net.state_dict()
        for net in nets:
            net.load_state_dict(weights)
