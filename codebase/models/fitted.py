"""The best Gaussian posterior of each image, found by gradient steps instead of an encoder."""

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

from codebase.models.distributions import DiagonalGaussian, Distribution, FullGaussian, kl

Gaussian = DiagonalGaussian | FullGaussian
Likelihood = Callable[[torch.Tensor], Distribution]  # latents (…, B, Z) → p(x|z) over (…, B, D)

B1, B2 = 0.9, 0.999  # Adam's


def negative_elbo_under(
    q: Distribution,
    x: torch.Tensor,
    prior: Distribution,
    likelihood: Likelihood,
    samples: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(kl, rec) of each image under a posterior that is given, (B,) each, means of M samples.

    Args:
        q: over (B, Z).
        x: (B, D).
        prior: over (Z,).
        samples: M.
    """
    z, log_q = q.rsample_and_log_prob((samples,))  # (M, B, Z)
    divergence = kl(q, prior, z, log_q)  # (B,) by its formula, or (M, B)
    if divergence.dim() > 1:
        divergence = divergence.mean(0)
    return divergence, -likelihood(z).log_prob(x).mean(0)


def fit(
    start: Gaussian,
    x: torch.Tensor,
    prior: Distribution,
    likelihood: Likelihood,
    steps: int,
    samples: int = 1,
    lr: float = 0.1,
) -> Gaussian:
    """Minimizes each image's −ELBO over the parameters of its own Gaussian, by Adam.

    The learning rate falls to 0 along a cosine, so that what is found does not jitter with the
    noise. Gradients reach nothing but these parameters.

    Args:
        start: over (B, Z), where to begin: its kind is the kind that is found.
        x: (B, D).
        prior: over (Z,).
        steps: of Adam.
        samples: of z in a step.
        lr: Adam's learning rate at the first step.
    Returns:
        The Gaussians, over (B, Z), without gradients.
    """

    def cost(parameters):
        divergence, rec = negative_elbo_under(_gaussian(*parameters), x, prior, likelihood, samples)
        return (divergence + rec).sum()  # every image's own parameters get its own gradient

    found = _parameters(start)
    first = second = tuple(torch.zeros_like(t) for t in found)
    for step in range(steps):
        with torch.no_grad():  # but for those that func.grad is asked for
            slope = torch.func.grad(cost)(found)
            first = tuple(B1 * a + (1 - B1) * g for a, g in zip(first, slope, strict=True))
            second = tuple(B2 * a + (1 - B2) * g * g for a, g in zip(second, slope, strict=True))
            rate = lr * (1 + math.cos(math.pi * step / steps)) / 2
            size = rate * (1 - B2 ** (step + 1)) ** 0.5 / (1 - B1 ** (step + 1))
            found = tuple(
                t - size * a / (b.sqrt() + 1e-8)
                for t, a, b in zip(found, first, second, strict=True)
            )
    return _gaussian(*found)


def where(first_is_better: torch.Tensor, first: Gaussian, second: Gaussian) -> Gaussian:
    """The Gaussian of each image from the one or the other, (B, Z) both, by a mask (B,)."""
    pairs = zip(_parameters(first), _parameters(second), strict=True)
    mask = first_is_better
    return _gaussian(*(torch.where(mask.view(-1, *[1] * (a.dim() - 1)), a, b) for a, b in pairs))


def _parameters(q):
    """Mean, and what a softplus of its diagonal makes a standard deviation or factor of."""
    if isinstance(q, FullGaussian):
        s = q.factor.diagonal(dim1=-2, dim2=-1)
        root = q.factor.tril(-1) + torch.diag_embed(_inverse_softplus(s))
    else:
        root = _inverse_softplus(q.v.sqrt())
    return q.m.detach(), root.detach()


def _inverse_softplus(s):
    return s + torch.log(-torch.expm1(-s))


def _gaussian(m, root):
    if root.dim() == m.dim():
        return DiagonalGaussian(m, F.softplus(root).square())
    diagonal = F.softplus(root.diagonal(dim1=-2, dim2=-1))
    return FullGaussian(m, root.tril(-1) + torch.diag_embed(diagonal))
