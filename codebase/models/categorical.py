"""Discrete latents trained by Gumbel-softmax: categories alone, and beside a Gaussian."""

import math

import torch
from torch import nn

from codebase import utils as ut
from codebase.models.base import LatentVariableModel, Loss
from codebase.models.distributions import Bernoulli, Distribution
from codebase.models.groups import matched_accuracy
from codebase.models.nns.v1 import X_DIM, check, check_size, joint, mlp
from codebase.models.objectives import summaries
from codebase.models.onehots import OneHots, Product, gaussian_and_choice, kl_of_parts

T_FIRST, T_LAST = 1.0, 0.5  # temperatures at the first step and from the last of `t_steps` on


class Relaxed(LatentVariableModel):
    """A model whose discrete latents are relaxed in training, and hard in whatever is reported.

    Args:
        name: names the checkpoint folder.
        z_dim: Z, of all latents side by side.
        outputs: how many numbers the encoder gives.
        t_steps: steps in which the temperature τ falls, exponentially, from 1 to ½.
        x_dim: D.
    """

    logits: torch.Tensor  # of the prior's choices, all alike

    def __init__(self, name: str, z_dim: int, outputs: int, t_steps: int, x_dim: int) -> None:
        check_size("t_steps", t_steps)
        super().__init__(name)
        self.z_dim, self.x_dim, self.t_steps = z_dim, x_dim, t_steps
        self.enc, self.dec = mlp(x_dim, outputs, nn.ELU), mlp(z_dim, x_dim, nn.ELU)

    @property
    def temperature(self) -> torch.Tensor:
        """τ at this step, ()."""
        share = (self.steps_taken / self.t_steps).clamp(max=1)
        return T_FIRST * (T_LAST / T_FIRST) ** share

    def likelihood(self, z: torch.Tensor) -> Bernoulli:
        """p(x|z): latents (…, Z) → a `Bernoulli` over (…, D)."""
        check("z", z, self.z_dim)
        return Bernoulli(joint(self.dec, z))

    def encoded(self, x: torch.Tensor) -> torch.Tensor:
        """What the encoder says of images, (…, D) → (…, outputs)."""
        check("x", x, self.x_dim)
        return joint(self.enc, x)

    def networks(self) -> dict[str, nn.Sequential]:
        """The decoder, to the pixels' probabilities."""
        return {"decoder": nn.Sequential(*self.dec, nn.Sigmoid())}

    def _hard_rec(self, q: Distribution, x: torch.Tensor) -> torch.Tensor:
        """−log p(x|z) at a draw of one-hots, (B,): what may be reported as part of a bound."""
        with torch.no_grad():
            return -self.likelihood(q.rsample()).log_prob(x)


class CategoricalVAE(Relaxed):
    """N choices of one in C per image (Jang et al. 2017; Maddison et al. 2017).

        z ~ Π_n Categorical(1/C)                            prior        (N·C,) one-hots
        x ~ Π_j Bernoulli(logits = dec(z)_j)                likelihood   (784,)
        q(z|x) = Π_n Categorical(logits = enc(x)_n)         posterior    (N·C,)

    Trained at Gumbel-softmax samples, with the kl of the choices, Σ_n Σ_c q log(C q); that cost is
    no bound. Every bound, also the one that is logged, is taken at hard one-hots.

    Args:
        n, c: N and C. The others as for `Relaxed`.
    Raises:
        ValueError: n < 1 or c < 2.
    """

    def __init__(
        self,
        name: str = "categorical",
        n: int = 20,
        c: int = 10,
        t_steps: int = 10_000,
        x_dim: int = X_DIM,
    ) -> None:
        check_size("n", n)
        check_size("c, less one,", c - 1)
        super().__init__(name, n * c, n * c, t_steps, x_dim)
        self.n, self.c = n, c
        self.register_buffer("logits", torch.zeros(n, c), persistent=False)

    def prior(self) -> OneHots:
        """p(z), `OneHots` over (N·C,), uniform."""
        return OneHots(self.logits)

    def posterior(self, x: torch.Tensor) -> OneHots:
        """q(z|x): images (B, D) → `OneHots` over (B, N·C)."""
        return OneHots(self.encoded(x).unflatten(-1, (self.n, self.c)))

    def loss(self, x: torch.Tensor) -> Loss:
        """rec at a relaxed sample + kl, to be minimized; logged is the bound at a hard one.

        Args:
            x: (B, D).
        """
        q = self.posterior(x)
        (kl,) = kl_of_parts(q, self.prior())
        rec = -self.likelihood(q.relaxed(self.temperature)).log_prob(x)
        found = summaries((rec + kl).mean(), kl, self._hard_rec(q, x))
        return found[0], found[1] | {"train/temperature": self.temperature}


class JointVAE(Relaxed):
    """A Gaussian vector and one choice of C per image, with a capacity each (Dupont 2018).

        z ~ N(0, I) × Categorical(1/C)                      prior        (Z + C,)
        x ~ Π_j Bernoulli(logits = dec(z)_j)                likelihood   (784,)
        q(z|x) = N(m, diag v) × Categorical(logits),  m, v, logits = enc(x)

    Minimized is rec + γ |kl_z − C_z| + γ |kl_c − C_c| with the kl of a batch's mean, at a relaxed
    sample; C_z and C_c grow from 0 to their ends linearly, but C_c only as far as log C.

    Args:
        z_dim: Z. c: C.
        gamma: γ.
        capacity_z, capacity_c: ends of C_z and C_c, in nats.
        capacity_steps: steps in which they are reached. The others as for `Relaxed`.
    Raises:
        ValueError: z_dim < 1, c < 2, or a negative γ or capacity.
    """

    def __init__(
        self,
        name: str = "joint",
        z_dim: int = 10,
        c: int = 10,
        gamma: float = 30.0,
        capacity_z: float = 5.0,
        capacity_c: float = 5.0,
        capacity_steps: int = 10_000,
        t_steps: int = 10_000,
        x_dim: int = X_DIM,
    ) -> None:
        check_size("z_dim", z_dim)
        check_size("c, less one,", c - 1)
        check_size("capacity_steps", capacity_steps)
        if not min(gamma, capacity_z, capacity_c) >= 0:
            raise ValueError(
                f"gamma and capacities must be at least 0, got {gamma}, {capacity_z}, {capacity_c}"
            )
        super().__init__(name, z_dim + c, 2 * z_dim + c, t_steps, x_dim)
        self.c, self.gamma, self.capacity_steps = c, gamma, capacity_steps
        self.capacity_z, self.capacity_c = capacity_z, capacity_c
        self.register_buffer("zeros", torch.zeros(z_dim), persistent=False)
        self.register_buffer("logits", torch.zeros(c), persistent=False)

    zeros: torch.Tensor

    def prior(self) -> Product:
        """p(z), over (Z + C,)."""
        return gaussian_and_choice(self.zeros, torch.ones_like(self.zeros), self.logits)

    def posterior(self, x: torch.Tensor) -> Product:
        """q(z|x): images (B, D) → a `Product` over (B, Z + C)."""
        h = self.encoded(x)
        of_gaussian, logits = h[..., : -self.c], h[..., -self.c :]
        return gaussian_and_choice(*ut.gaussian_parameters(of_gaussian), logits)

    def loss(self, x: torch.Tensor) -> Loss:
        """What the class says, to be minimized; logged is the plain bound at hard one-hots.

        Args:
            x: (B, D).
        """
        q = self.posterior(x)
        gaussian, choice = q.parts
        assert isinstance(choice, OneHots)
        z = torch.cat([gaussian.rsample(), choice.relaxed(self.temperature)], dim=-1)
        rec, kls = -self.likelihood(z).log_prob(x), kl_of_parts(q, self.prior())
        grown = (self.steps_taken / self.capacity_steps).clamp(max=1)
        capacity_c = (grown * self.capacity_c).clamp(max=math.log(self.c))
        missed = (kls[0].mean() - grown * self.capacity_z).abs()
        missed = missed + (kls[1].mean() - capacity_c).abs()
        loss, found = summaries(
            rec.mean() + self.gamma * missed,
            kls[0] + kls[1],
            self._hard_rec(q, x),
        )
        return loss, found | {"gen/kl_c": kls[1].mean(), "train/temperature": self.temperature}

    def further(self, x: torch.Tensor, y: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """The kl of the choice in nats, and how well it tells digits: see `matched_accuracy`."""
        choice = torch.cat([self.posterior(part).parts[1].mean for part in x.split(1_000)])
        kl = (choice * (choice.clamp_min(1e-30).log() + math.log(self.c))).sum(-1)
        found = {"kl of the choice": kl}
        if y is not None:
            found["accuracy of the choice"] = matched_accuracy(choice.argmax(-1), y, self.c)
        return found
