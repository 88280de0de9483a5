"""A VAE whose latents are entries of a codebook (van den Oord, Vinyals & Kavukcuoglu, 2017)."""

import math
from collections.abc import Callable

import torch
from torch import nn

from codebase.models.base import LatentVariableModel, Loss
from codebase.models.codebook import Codebook, CodePrior, Codes, CodeSequence
from codebase.models.distributions import Bernoulli
from codebase.models.nns.v1 import X_DIM, check, check_size, joint, mlp
from codebase.models.objectives import summaries
from codebase.models.onehots import one_hot

COMMITMENT = 0.25  # van den Oord et al.'s


class VQVAE(LatentVariableModel):
    """L entries of a codebook per image.

        e ∈ R^(K, W)                                      codebook, shared by the L places
        k_1 … k_L ~ Π_l p(k_l | k_<l)                     prior: uniform, or learned
        x ~ Π_j Bernoulli(logits = dec(e_k1, …, e_kL)_j)  likelihood   (784,)
        k_l = argmin_k |enc(x)_l − e_k|²                  posterior, certain of its choice

    z is the L entries side by side, (L·W,). The bound is a code's length: −log p(x|z) − log p(k),
    with a uniform prior L·log K nats for k. Its samples are all alike, so importance weighting
    adds nothing. Minimized is rec + ¼|enc(x) − sg e|², to which the gradient codebook adds
    |sg enc(x) − e|², an averaged one (see `Codebook`) nothing; the gradient of rec passes the
    choice as if it were none. The prior is learned beside, on codes that it does not move.

    Args:
        name: names the checkpoint folder.
        codes: L. k: K. width: W.
        codebook: "ema": each entry an average of what chose it; "gradient".
        code_prior: "learned": see `CodePrior`; "uniform".
        x_dim: D.
    Raises:
        ValueError: a size < 1, or no such codebook or prior.
    """

    def __init__(
        self,
        name: str = "vq",
        codes: int = 10,
        k: int = 64,
        width: int = 8,
        codebook: str = "ema",
        code_prior: str = "learned",
        x_dim: int = X_DIM,
    ) -> None:
        for size, value in (("codes", codes), ("k", k), ("width", width)):
            check_size(size, value)
        if codebook not in ("ema", "gradient") or code_prior not in ("learned", "uniform"):
            raise ValueError(
                "codebook is ema or gradient and code_prior learned or uniform, "
                f"got {codebook!r} and {code_prior!r}"
            )
        super().__init__(name)
        self.codes, self.k, self.width, self.x_dim = codes, k, width, x_dim
        self.z_dim = codes * width
        self.enc, self.dec = mlp(x_dim, self.z_dim, nn.ELU), mlp(self.z_dim, x_dim, nn.ELU)
        self.book = Codebook(k, width, averaged=codebook == "ema")
        self.code_prior = CodePrior(codes, k) if code_prior == "learned" else None

    def prior(self) -> CodeSequence:
        """p(z), a `CodeSequence` over (L·W,)."""
        return CodeSequence(self.book.entries, self.codes, self.code_prior)

    def posterior(self, x: torch.Tensor) -> Codes:
        """The entries that images (B, D) choose, for certain: over (B, L·W)."""
        return Codes(self.book(self._encoded(x))[1].flatten(-2))

    def likelihood(self, z: torch.Tensor) -> Bernoulli:
        """p(x|z): (…, L·W) → a `Bernoulli` over (…, D)."""
        check("z", z, self.z_dim)
        return Bernoulli(joint(self.dec, z))

    def loss(self, x: torch.Tensor) -> Loss:
        """What the class says, to be minimized; logged is the code's length.

        In training an averaged codebook then goes on to its next entries.

        Args:
            x: (B, D).
        """
        found = self._encoded(x)  # (B, L, W)
        chosen, entries = self.book(found)
        z = found + (entries - found).detach()
        rec = -self.likelihood(z.flatten(-2)).log_prob(x)
        cost = rec + COMMITMENT * (found - entries.detach()).square().sum((-2, -1))
        if not self.book.averaged:
            cost = cost + (found.detach() - entries).square().sum((-2, -1))
        one_hots = one_hot(chosen, self.k).to(found)
        if self.code_prior is None:
            kl = torch.full_like(rec, self.codes * math.log(self.k))
        else:
            kl = -self.code_prior.log_prob(one_hots)
        if self.training:
            self.book.go_on(found.detach(), one_hots)
        return summaries((cost + kl).mean(), kl, rec)

    @torch.no_grad()
    def prepare(self, images: Callable[[], torch.Tensor]) -> None:
        """Begins with codes of training images as the entries, so that each is near something."""
        grey = images()
        some = grey[torch.randperm(len(grey), device=grey.device)[: 10 * self.k]]
        found = self._encoded(some.to(self.steps_taken.device)).flatten(0, 1)
        order = torch.randperm(len(found), device=found.device)
        if len(found) >= self.k:
            self.book.begin(found[order[: self.k]])

    def networks(self) -> dict[str, nn.Sequential]:
        """The decoder, to the pixels' probabilities."""
        return {"decoder": nn.Sequential(*self.dec, nn.Sigmoid())}

    def further(self, x: torch.Tensor, y: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """The code's length with a uniform prior, and how many entries are as good as in use.

        The perplexity is exp of the entropy of how often each entry is chosen in the whole set.
        """
        chosen, rec = [], []
        for part in x.split(1_000):
            of_part, entries = self.book(self._encoded(part))
            chosen.append(of_part.flatten())
            rec.append(-self.likelihood(entries.flatten(-2)).log_prob(part))
        share = torch.bincount(torch.cat(chosen), minlength=self.k) / (len(x) * self.codes)
        return {
            "nelbo, uniform prior": torch.cat(rec) + self.codes * math.log(self.k),
            "perplexity": torch.special.entr(share.cpu().double()).sum().exp().unsqueeze(0),
        }

    def _encoded(self, x):
        """(B, D) → (B, L, W)."""
        check("x", x, self.x_dim)
        return joint(self.enc, x).unflatten(-1, (self.codes, self.width))
