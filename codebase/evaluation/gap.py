"""What a trained model's bound lacks to log p(x): by its family of posteriors, and by its encoder.

    log p(x) − ELBO(x; q(z|x)) = [log p − ELBO(q*)] + [ELBO(q*) − ELBO(q(z|x))]
                                  approximation        amortization

q* is the best Gaussian of the posterior's kind for each image, found by gradient steps with the
model's weights as they are (Cremer, Li & Duvenaud, 2018).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from codebase import utils as ut
from codebase.engine.randomness import seeded
from codebase.errors import UserError
from codebase.evaluation.numbers import Number, Numbers
from codebase.models.base import LatentVariableModel
from codebase.models.distributions import DiagonalGaussian, FullGaussian
from codebase.models.fitted import fit, negative_elbo_under, where

CHUNK = 100  # images whose posteriors are fitted together
AT_ONCE = 100  # samples of them decoded at once


@dataclass(frozen=True)
class Effort:
    """How hard the best posterior, and log p, are looked for.

    Args:
        steps: of Adam from each start.
        fitted: samples of z in each.
        scored: samples for each ELBO.
        iw: samples for log p.
    """

    steps: int = 500
    fitted: int = 10
    scored: int = 1_000
    iw: int = 5_000


def gaps(
    model: LatentVariableModel,
    x: torch.Tensor,
    effort: Effort | None = None,
    progress: Callable[[Sequence[torch.Tensor]], Iterable[torch.Tensor]] = iter,
) -> Numbers:
    """The gap of a model's bound on images and its two parts, with standard errors over these.

    q* is looked for from the encoder's posterior and from N(0, I); each image keeps the better, by
    fresh noise, and is scored by noise that is fresh again. log p(x) is the importance-weighted
    bound under the better of q and q*, by its mean over the images: itself a lower bound, so the
    approximation gap is one too.

    Args:
        model: without labels, whose posteriors are diagonal or full Gaussians.
        x: (N, D), of the model's pixels.
        effort: an `Effort`.
        progress: wraps the parts of x, as tqdm does.
    Returns:
        {"log p", "elbo", "elbo of q*", "gap", "approximation", "amortization": Number} in nats.
    Raises:
        UserError: the model has labels, or posteriors of another kind.
    """
    effort = effort or Effort()
    with seeded():
        rows = [_of_images(model, part, effort) for part in progress(x.split(CHUNK))]
    elbo, best, under_q, under_best = torch.cat(rows, dim=1).cpu().double()  # (N,) each
    log_p = max(under_q, under_best, key=lambda t: t.mean().item())
    return {
        "log p": Number.of(log_p),
        "elbo": Number.of(elbo),
        "elbo of q*": Number.of(best),
        "gap": Number.of(log_p - elbo),
        "approximation": Number.of(log_p - best),
        "amortization": Number.of(best - elbo),
    }


def _of_images(model, x, effort):
    """ELBO under q and q*, and log p by each: (4, B)."""
    prior, q = model.prior(), _gaussian_of(model, x)
    best = _best(model, x, prior, q, effort)
    elbo, of_best = (_elbo(model, x, prior, one, effort.scored) for one in (q, best))
    log_p = (_log_p(model, x, prior, one, effort.iw) for one in (q, best))
    return torch.stack([elbo, of_best, *log_p])


def _gaussian_of(model, x):
    if model.y_dim:
        raise UserError(
            f"{model.name} has a label in its posterior; the gap is split for models without."
        )
    q = model.posterior(x)
    if not isinstance(q, DiagonalGaussian | FullGaussian):
        raise UserError(
            f"The posteriors of {model.name} are no Gaussians, of which the best could be looked "
            "for; the gap is split for diagonal and full ones."
        )
    return q


def _best(model, x, prior, q, effort):
    """Each image's better of the Gaussians found from q and from N(0, I)."""
    found = [
        fit(start, x, prior, model.likelihood, effort.steps, effort.fitted, lr=0.05)
        for start in (q, _standard(q))
    ]
    first, second = (_elbo(model, x, prior, one, effort.scored) for one in found)
    return where(first >= second, *found)


def _standard(q):
    """N(0, I) for each image, of q's kind."""
    zero = torch.zeros_like(q.m)
    if isinstance(q, DiagonalGaussian):
        return DiagonalGaussian(zero, torch.ones_like(zero))
    return FullGaussian(zero, torch.diag_embed(torch.ones_like(zero)))


def _elbo(model, x, prior, q, samples):
    """ELBO of each image under q, (B,)."""
    total = x.new_zeros(len(x))
    for n in _parts(samples):
        divergence, rec = negative_elbo_under(q, x, prior, model.likelihood, n)
        total -= n * (divergence + rec)
    return total / samples


def _log_p(model, x, prior, q, samples):
    """log 1/M Σ p(x, z) / q(z), z ~ q, of each image, (B,)."""
    found = []
    for n in _parts(samples):
        z, log_q = q.rsample_and_log_prob((n,))  # (n, B, Z)
        log_w = model.likelihood(z).log_prob(x) + prior.log_prob(z) - log_q
        found.append(log_w)
    return ut.log_mean_exp(torch.cat(found), dim=0)


def _parts(samples):
    """The samples in parts that are decoded at once."""
    whole, rest = divmod(samples, AT_ONCE)
    return [AT_ONCE] * whole + [rest] * bool(rest)
