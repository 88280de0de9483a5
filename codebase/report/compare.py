"""VAE and GMVAE side by side on the same pixels: the difference, and its standard error."""

import math
from dataclasses import dataclass

import torch

from codebase.evaluation.bounds import image_terms
from codebase.evaluation.numbers import Number, Numbers
from codebase.models.base import LatentVariableModel
from codebase.report.numbers import hundredths
from codebase.report.recorded import Runs

NAMES = "nelbo", "kl", "rec"


@dataclass(frozen=True)
class Pair:
    """The VAE and the GMVAE of one run id, over the images of a test set.

    Args:
        vae, gmvae: {"nelbo", "kl", "rec": Number}, standard errors over the images.
        difference: the same of VAE − GMVAE, image by image.
        better: share of the images that the GMVAE's nelbo is lower for.
    """

    run: int
    vae: Numbers
    gmvae: Numbers
    difference: Numbers
    better: float

    @property
    def unpaired_se(self) -> float:
        """What the nelbo's difference would have for a standard error on different images."""
        return math.hypot(*(of["nelbo"].se or 0.0 for of in (self.vae, self.gmvae)))


def pairs(vaes: Runs, gmvaes: Runs, x: torch.Tensor, device: torch.device) -> list[Pair]:
    """A `Pair` for every run id whose two checkpoints are on disk.

    Args:
        vaes, gmvaes: `Runs`.
        x: (N, 784) in {0, 1}.
    """
    of_id = {run.id: run for run in gmvaes.found}
    found = []
    for run in vaes.found:
        other = of_id.get(run.id)
        vae, gmvae = run.model(device), other.model(device) if other else None
        if vae is not None and gmvae is not None:
            found.append(pair(run.id, vae, gmvae, x))
    return found


def pair(run: int, vae: LatentVariableModel, gmvae: LatentVariableModel, x: torch.Tensor) -> Pair:
    """Both models on the images x, (N, 784) in {0, 1}, with the same noise for z."""
    ours, theirs = _terms(vae, x), _terms(gmvae, x)
    difference = ours - theirs
    better = (difference[0] > 0).double().mean().item()
    return Pair(run, _numbers(ours), _numbers(theirs), _numbers(difference), better)


def over_seeds(found: list[Pair], name: str = "nelbo") -> Number | None:
    """Mean of the pairs' differences and its standard error over the pairs; None without any."""
    return _mean(found, name) if found else None


def _mean(found: list[Pair], name: str) -> Number:
    return Number.of([pair.difference[name].value for pair in found])


def _terms(model, x):
    """(3, N): nelbo, kl, rec."""
    terms = image_terms(model, x)
    return torch.cat([terms.sum(0, keepdim=True), terms])


def _numbers(terms):
    return {name: Number.of(row) for name, row in zip(NAMES, terms, strict=True)}


def reading(found: list[Pair]) -> str:
    """What the pairs say, in words."""
    mean = _mean(found, "nelbo")
    n = len(found)
    lower = "GMVAE" if mean.value > 0 else "VAE"
    agree = sum((pair.difference["nelbo"].value > 0) == (mean.value > 0) for pair in found)
    parts = ", ".join(f"{name} {hundredths(_mean(found, name))}" for name in ("kl", "rec"))
    sentence = (
        f"Over {n} pair{'s' if n > 1 else ''} of runs, VAE − GMVAE is **{hundredths(mean)}** nats "
        f"({parts}): the {lower}'s nelbo is the lower one on average, and in {agree} of {n}."
    )
    if mean.se is None:
        return f"{sentence} One pair has no standard error over seeds."
    ratio = abs(mean.value) / mean.se if mean.se else math.inf
    return f"{sentence} ± is the standard error over the pairs; 0 is {ratio:.1f} of them away."
