"""Models that give an image part after part: their likelihood is exact. Among them MADE."""

import abc
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from codebase import utils as ut
from codebase.models.base import Abilities, Loss, Model
from codebase.models.nns.v1 import X_DIM, check, check_size

Progress = Callable[[Sequence[int]], Iterable[int]]  # wraps what is gone through, as tqdm does


class Autoregressive(Model):
    """p(x) = Π_i p(x_i | x_<i) over the parts of a binary image, in their order.

    There is no latent and no bound: −log p(x) is the loss, what is logged, and what is reported,
    in nats, summed over pixels. An image is drawn part by part.

    Attributes:
        x_dim: D.
        parts: how many an image has; the first half of them is its upper half.
    """

    abilities = Abilities(samples=True)
    x_dim: int
    parts: int

    @abc.abstractmethod
    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """log p(x) in nats: binary (B, D) → (B,).

        Raises:
            ValueError: x is not (B, D).
        """

    @abc.abstractmethod
    def drawer(self, x: torch.Tensor) -> Callable[[int], None]:
        """What draws part i of images (B, D) in place, given those before.

        It is called for one i after the other, beginning anywhere.
        """

    def loss(self, x: torch.Tensor) -> Loss:
        """−log p(x), averaged over images (B, D)."""
        nll = -self.log_prob(x).mean()
        return nll, {"train/loss": nll, "gen/nll": nll}

    @torch.no_grad()
    def complete(self, x: torch.Tensor, seen: int, progress: Progress = iter) -> torch.Tensor:
        """Images whose first parts are those of x, and the others drawn: (B, D) → (B, D).

        Args:
            seen: how many parts are kept.
            progress: wraps the numbers of the parts that are drawn.
        """
        check("x", x, self.x_dim)
        x = x.clone()
        draw = self.drawer(x)
        for i in progress(range(seen, self.parts)):
            draw(i)
        return x

    def sample_x(self, batch: int, progress: Progress = iter) -> torch.Tensor:
        """Images from the model, (batch, D).

        Raises:
            ValueError: batch < 1.
        """
        check_size("batch", batch)
        like = next(self.parameters())
        return self.complete(like.new_zeros(batch, self.x_dim), 0, progress)


class Masked(nn.Linear):
    """A linear layer some of whose weights are left out.

    Args:
        mask: which stay, (outputs, inputs) of bool.
    """

    mask: torch.Tensor

    def __init__(self, mask: torch.Tensor, bias: bool = True) -> None:
        super().__init__(mask.shape[1], mask.shape[0], bias=bias)
        self.register_buffer("mask", mask, persistent=False)

    def kept(self) -> torch.Tensor:
        """The weights, 0 where they are left out: (outputs, inputs)."""
        return self.weight * self.mask

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.linear(input, self.kept(), self.bias)


class MADE(Autoregressive):
    """A masked MLP that gives every pixel's logit at once (Germain et al., 2015).

    x_i ~ Bernoulli(logits_i(x_<i)), pixels row by row. A hidden unit of degree m ∈ 1 … D−1 sees
    inputs j < m and hidden units of degrees up to m; output i sees degrees up to i, and pixels
    j < i directly, without which a layer narrower than the image would part neighbours.

    Args:
        name: names the checkpoint folder.
        hidden: width of the hidden layers.
        layers: how many there are.
        x_dim: D.
    Raises:
        ValueError: a size < 1, or D < 2.
    """

    def __init__(
        self, name: str = "made", hidden: int = 500, layers: int = 2, x_dim: int = X_DIM
    ) -> None:
        check_size("hidden", hidden)
        check_size("layers", layers)
        if x_dim < 2:
            raise ValueError(f"x_dim must be at least 2, got {x_dim}")
        super().__init__(name)
        self.x_dim = self.parts = x_dim
        place = torch.arange(x_dim)
        # Spread over all of 1 … D − 1 however narrow the layer: no pixel goes unseen.
        degree = torch.arange(hidden) * (x_dim - 1) // hidden + 1
        if hidden >= x_dim:
            degree = torch.arange(hidden) % (x_dim - 1) + 1
        self.first = Masked(place < degree.unsqueeze(-1))
        between = degree <= degree.unsqueeze(-1)
        self.hidden = nn.ModuleList(Masked(between) for _ in range(layers - 1))
        self.last = Masked(degree <= place.unsqueeze(-1))
        self.direct = Masked(place < place.unsqueeze(-1), bias=False)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Of each pixel given those before it, (B, D) → (B, D)."""
        check("x", x, self.x_dim)
        h = F.relu(self.first(x))
        for layer in self.hidden:
            h = F.relu(layer(h))
        return (self.last(h) + self.direct(x)).to(self.last.weight.dtype)

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        return ut.log_bernoulli_with_logits(x, self.logits(x))

    def drawer(self, x: torch.Tensor) -> Callable[[int], None]:
        """Adds what a pixel says to the first layer once it is drawn, and asks for one output."""
        first, last, direct = (layer.kept() for layer in (self.first, self.last, self.direct))
        done, total = 0, self.first.bias.expand(len(x), -1)

        def draw(i: int) -> None:
            nonlocal done, total
            total = total + F.linear(x[:, done:i], first[:, done:i])
            h, done = F.relu(total), i
            for layer in self.hidden:
                h = F.relu(layer(h))
            logits = h @ last[i] + self.last.bias[i] + x[:, :i] @ direct[i, :i]
            x[:, i] = torch.bernoulli(torch.sigmoid(logits))

        return draw
