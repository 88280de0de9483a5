"""MLPs of two hidden layers of 300: encoder and decoder with ELU, classifier with ReLU.

encode, decode and classify are the names by which older solutions of the assignment call them.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from codebase import utils as ut

X_DIM = 784
HIDDEN = 300


def mlp(inputs: int, outputs: int, activation: Callable[[], nn.Module]) -> nn.Sequential:
    """Linear layers inputs → 300 → 300 → outputs with the activation between them."""
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN),
        activation(),
        nn.Linear(HIDDEN, HIDDEN),
        activation(),
        nn.Linear(HIDDEN, outputs),
    )


def check(name: str, t: torch.Tensor | None, width: int) -> None:
    """Raises a ValueError unless the tensor's last dimension is that wide."""
    if t is None or t.shape[-1] != width:
        found = "nothing" if t is None else tuple(t.shape)
        raise ValueError(f"{name} must have shape (…, {width}), got {found}")


def check_size(name: str, size: int) -> None:
    """Raises a ValueError unless a number of dimensions is at least 1."""
    if size < 1:
        raise ValueError(f"{name} must be at least 1, got {size}")


def joint(net: nn.Sequential, a: torch.Tensor, *others: torch.Tensor | None) -> torch.Tensor:
    """net([a, b, …]) for parts that need only broadcast against each other; None is left out.

    The first layer's product with the joined input is the sum of the parts' products with their
    own columns of its weight, [a b] [W_a W_b]ᵀ = a W_aᵀ + b W_bᵀ. So a batch of images (B, 784)
    meets ten labels (10, 1, 10) in one product over the images, and nothing is copied.

    What comes out has the weights' type, so densities are never taken in a lower precision that
    the products may be taken in.
    """
    first, parts = cast(nn.Linear, net[0]), [b for b in others if b is not None]
    if not parts:
        h = first(a)
    else:
        w_a, *weights = first.weight.split([t.shape[-1] for t in (a, *parts)], dim=1)
        h = F.linear(a, w_a, first.bias)
        for b, w in zip(parts, weights, strict=True):
            h = h + F.linear(b, w)
    return net[1:](h).to(first.weight.dtype)


class Encoder(nn.Module):
    """q(z|x) or q(z|x, y): images (…, x_dim) and one-hot labels (…, y_dim) → m, v (…, z_dim)."""

    def __init__(self, z_dim: int, y_dim: int = 0, *, x_dim: int = X_DIM) -> None:
        super().__init__()
        check_size("z_dim", z_dim)
        check_size("x_dim", x_dim)
        self.x_dim, self.y_dim = x_dim, y_dim
        self.net = mlp(x_dim + y_dim, 2 * z_dim, nn.ELU)

    def forward(
        self, x: torch.Tensor, y: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        check("x", x, self.x_dim)
        if y is not None or self.y_dim:
            check("y", y, self.y_dim)
        return ut.gaussian_parameters(joint(self.net, x, y))

    encode = forward


class Decoder(nn.Module):
    """p(x|z) or p(x|z, y): latents (…, z_dim) and one-hot labels (…, y_dim) → logits (…, x_dim)."""

    def __init__(self, z_dim: int, y_dim: int = 0, *, x_dim: int = X_DIM) -> None:
        super().__init__()
        check_size("z_dim", z_dim)
        check_size("x_dim", x_dim)
        self.z_dim, self.y_dim = z_dim, y_dim
        self.net = mlp(z_dim + y_dim, x_dim, nn.ELU)

    def forward(self, z: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        check("z", z, self.z_dim)
        if y is not None or self.y_dim:
            check("y", y, self.y_dim)
        return joint(self.net, z, y)

    decode = forward


class Classifier(nn.Module):
    """q(y|x): images (…, x_dim) → logits (…, y_dim)."""

    def __init__(self, y_dim: int, *, x_dim: int = X_DIM) -> None:
        super().__init__()
        check_size("y_dim", y_dim)
        check_size("x_dim", x_dim)
        self.x_dim = x_dim
        self.net = mlp(x_dim, y_dim, nn.ReLU)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check("x", x, self.x_dim)
        return joint(self.net, x)

    classify = forward
