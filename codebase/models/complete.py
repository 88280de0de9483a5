"""Images completed from some of their quadrants (Sohn, Lee & Yan, 2015)."""

import torch
from torch import nn
from torch.nn import functional as F

from codebase import utils as ut
from codebase.models.auxiliary import gaussian
from codebase.models.base import Loss, Model
from codebase.models.distributions import DiagonalGaussian, sample_and_kl
from codebase.models.nns.v1 import X_DIM, check, check_size, joint, mlp
from codebase.models.objectives import summaries
from codebase.sides import side_of

QUADRANTS = "lower left", "upper left", "upper right"  # that are seen, in this order
AT_ONCE = 10_000  # latents decoded together


def quadrants(seen: int, side: int = 28) -> torch.Tensor:
    """1 where a pixel is seen, 0 where it is to be completed: (side²,).

    Args:
        seen: 1, 2 or 3 quadrants, as `QUADRANTS` lists them.
    Raises:
        ValueError: another number.
    """
    if seen not in (1, 2, 3):
        raise ValueError(
            f"1, 2 or 3 quadrants are seen, got {seen}: nothing or everything would be to complete"
        )
    mask, half = torch.zeros(side, side), side // 2
    places = (
        (slice(half, None), slice(half)),
        (slice(half), slice(half)),
        (slice(half), slice(half, None)),
    )
    for rows, columns in places[:seen]:
        mask[rows, columns] = 1
    return mask.flatten()


class Completion(Model):
    """The pixels that are not seen, x_u, given those that are, x_s.

        z ~ N(m, diag v),  m, v = prior_net(x_s)          (Z,)
        x_u ~ Π_j Bernoulli(logits = dec(z, x_s)_j)
        q(z|x) = N(m, diag v),  m, v = enc(x)             (Z,)

    Beside it a feed-forward network gives x_u's probabilities by x_s alone, each pixel by itself:
    the baseline. It shares no weight with the others, nor do they see what it says. Bounds are of
    log p(x_u|x_s): pixels that are seen cost nothing and are not learned from.

    Args:
        name: names the checkpoint folder.
        z_dim: Z.
        seen: how many quadrants are seen, see `quadrants`.
        mask: in its place, 1 where a pixel is seen, (D,).
        x_dim: D.
    Raises:
        ValueError: z_dim < 1; the mask hides nothing, or everything, or is not 0s and 1s (D,); or
            there is none, and images are not square.
    """

    mask: torch.Tensor

    def __init__(
        self,
        name: str = "complete",
        z_dim: int = 20,
        seen: int = 1,
        mask: torch.Tensor | None = None,
        x_dim: int = X_DIM,
    ) -> None:
        check_size("z_dim", z_dim)
        super().__init__(name)
        mask = quadrants(seen, side_of(x_dim)) if mask is None else mask
        _check_mask(mask, x_dim)
        self.z_dim, self.x_dim, self.seen = z_dim, x_dim, seen
        self.enc = mlp(x_dim, 2 * z_dim, nn.ELU)
        self.prior_net = mlp(x_dim, 2 * z_dim, nn.ELU)
        self.dec = mlp(z_dim + x_dim, x_dim, nn.ELU)
        self.baseline = mlp(x_dim, x_dim, nn.ELU)
        self.register_buffer("mask", mask.to(torch.get_default_dtype()), persistent=False)

    def prior(self, x: torch.Tensor) -> DiagonalGaussian:
        """p(z|x_s): images (B, D), of which only what is seen is looked at → over (B, Z)."""
        check("x", x, self.x_dim)
        return gaussian(self.prior_net, x * self.mask)

    def posterior(self, x: torch.Tensor) -> DiagonalGaussian:
        """q(z|x), over (B, Z)."""
        check("x", x, self.x_dim)
        return gaussian(self.enc, x)

    def logits(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Of p(x_u|z, x_s), at pixels that are seen too: (…, B, Z), (B, D) → (…, B, D)."""
        return joint(self.dec, z, x * self.mask)

    def unseen(self, x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """−Σ log Bernoulli(x_j; logits_j) over the pixels that are not seen, (…, B)."""
        x, logits = torch.broadcast_tensors(x, logits)
        cost = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return (cost * (1 - self.mask)).sum(-1)

    def negative_elbo_terms(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(kl, rec) of −ELBO(x_u|x_s), (B,) each, with one sample z ~ q(z|x)."""
        z, kl = sample_and_kl(self.posterior(x), self.prior(x))
        return kl, self.unseen(x, self.logits(z, x))

    def baseline_cost(self, x: torch.Tensor) -> torch.Tensor:
        """The feed-forward network's −log p(x_u|x_s), (B,)."""
        return self.unseen(x, joint(self.baseline, x * self.mask))

    def negative_iwae(self, x: torch.Tensor, samples: int, own: bool = True) -> torch.Tensor:
        """−log 1/M Σ_i w_i of each image, (B,): an upper bound of −log p(x_u|x_s) on average.

        Args:
            x: (B, D).
            samples: M.
            own: w = p(x_u|z) p(z|x_s) / q(z|x) with z ~ q(z|x); False: w = p(x_u|z) with z from
                p(z|x_s), what Sohn et al. call the conditional log-likelihood.
        """
        q, p, found = self.posterior(x), self.prior(x), []
        step = max(AT_ONCE // len(x), 1)
        for first in range(0, samples, step):
            z = (q if own else p).rsample((min(step, samples - first),))
            log_w = -self.unseen(x, self.logits(z, x))
            found.append(log_w + p.log_prob(z) - q.log_prob(z) if own else log_w)
        return -ut.log_mean_exp(torch.cat(found), dim=0)

    def complete(self, x: torch.Tensor, n: int) -> torch.Tensor:
        """N completions of each image, mean pixels at samples of z, with what is seen as it is.

        Args:
            x: (B, D).
        Returns:
            (n, B, D).
        """
        drawn = torch.sigmoid(self.logits(self.prior(x).rsample((n,)), x))
        return torch.where(self.mask > 0, x, drawn)

    def guess(self, x: torch.Tensor) -> torch.Tensor:
        """The baseline's mean pixels, with what is seen as it is: (B, D)."""
        return torch.where(self.mask > 0, x, torch.sigmoid(joint(self.baseline, x * self.mask)))

    def loss(self, x: torch.Tensor) -> Loss:
        """−ELBO(x_u|x_s), and the baseline's cost, which share no weight; and what to log.

        Args:
            x: (B, D) in {0, 1}.
        """
        kl, rec = self.negative_elbo_terms(x)
        baseline = self.baseline_cost(x).mean()
        loss, found = summaries((kl + rec).mean() + baseline, kl, rec)
        return loss, found | {"gen/baseline": baseline}


def _check_mask(mask, x_dim):
    if mask.shape != (x_dim,) or not ((mask == 0) | (mask == 1)).all():
        raise ValueError(f"mask must be 0s and 1s of shape ({x_dim},), got {tuple(mask.shape)}")
    if mask.all() or not mask.any():
        what = "nothing" if mask.all() else "everything"
        raise ValueError(f"the mask hides {what}: some pixels are to be seen and some completed")
