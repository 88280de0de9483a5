"""Autoencoders: a code for every image, and the image redrawn from it. No probabilities.

    minimized: mean over the images of ‖x − dec(enc(x))‖² + penalty, the squares summed over pixels

Grey pixels in [0, 1]. Those that are kept from copying by a penalty stand in sparse.py.
"""

import abc
import itertools
from collections.abc import Callable
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from codebase.models.base import Abilities, CodingModel, Loss
from codebase.models.distributions import Point
from codebase.models.nns.parts import ACTIVATIONS
from codebase.models.nns.v1 import check, check_size
from codebase.models.noise import Noise
from codebase.models.staged import Staged

FUNCTIONS: dict[str, Callable[[], nn.Module]] = {
    **ACTIVATIONS,
    "sigmoid": nn.Sigmoid,
    "linear": nn.Identity,
}


def squared_error(x: torch.Tensor, again: torch.Tensor) -> torch.Tensor:
    """‖x − again‖² of each image, summed over pixels: (…, D), (…, D) → (…)."""
    return (x - again).square().sum(-1)


class Autoencoder(CodingModel):
    """What every autoencoder has: encoder, decoder, and the loss that follows.

    Its posterior is the point enc(x), its likelihood the point dec(z).

    Args:
        name: names the checkpoint folder.
        z_dim: Z, numbers in a code.
        x_dim: D, the number of pixels.
    Raises:
        ValueError: z_dim < 1; in the methods, an argument of another shape than said.
    """

    abilities = Abilities("grey", reconstructions=True)

    def __init__(self, name: str, z_dim: int, x_dim: int) -> None:
        check_size("z_dim", z_dim)
        super().__init__(name)
        self.z_dim, self.x_dim = z_dim, x_dim

    @property
    def code_size(self) -> int:
        """How many numbers of a code may differ from 0."""
        return self.z_dim

    @abc.abstractmethod
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Images (…, D) → codes (…, Z)."""

    @abc.abstractmethod
    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Codes (…, Z) → images (…, D)."""

    def posterior(self, x: torch.Tensor, *y: torch.Tensor) -> Point:
        return Point(self.encode(x))

    def likelihood(self, z: torch.Tensor, *y: torch.Tensor) -> Point:
        return Point(self.decode(z))

    def spoiled(self, x: torch.Tensor) -> torch.Tensor:
        """What the encoder is given of images x in training."""
        return x

    def penalty(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor | None:
        """What is added to the squared error, a scalar, for images (B, D) with codes (B, Z)."""
        return None

    def loss(self, x: torch.Tensor) -> Loss:
        """The squared error to the images as they are, and a penalty, averaged over the images.

        Args:
            x: (B, D).
        """
        z = self.encode(self.spoiled(x) if self.training else x)
        error = squared_error(x, self.decode(z)).mean()
        penalty = self.penalty(x, z)
        if penalty is None:
            return error, {"train/loss": error, "gen/error": error}
        loss = error + penalty
        return loss, {"train/loss": loss, "gen/error": error, "gen/penalty": penalty}


class DeepAutoencoder(Autoencoder):
    """Linear layers with functions behind them (Hinton & Salakhutdinov, 2006).

        h_0 = x,  h_i = f(W_i h_{i−1} + b_i),  z = h_L     enc, widths D, hidden, …, Z
        g_L = z,  g_{i−1} = f(V_i g_i + c_i),  x̂ = g_0     dec; tied: V_i = W_iᵀ

    Without hidden layers and functions its best is PCA: the span of V_1 is that of the first Z
    principal directions, the loss the sum of the other eigenvalues (Baldi & Hornik, 1989).

    Args:
        hidden, layers: width and number of the hidden layers on each side.
        activation: f of the hidden layers, a name of FUNCTIONS.
        code, output: f of z and of x̂.
        tied: 1: the decoder's matrices are the encoder's, transposed.
        The others as for `Autoencoder`.
    """

    def __init__(
        self,
        name: str = "ae",
        z_dim: int = 10,
        *,
        x_dim: int = 784,
        hidden: int = 300,
        layers: int = 2,
        activation: str = "elu",
        code: str = "linear",
        output: str = "sigmoid",
        tied: int = 0,
    ) -> None:
        super().__init__(name, z_dim, x_dim)
        widths = [x_dim, *[hidden] * layers, z_dim]
        pairs = list(itertools.pairwise(widths))
        self.tied, self.output_name = tied, output
        self.enc = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.dec = nn.ModuleList([] if tied else [nn.Linear(b, a) for a, b in pairs])
        self.biases = nn.ParameterList([torch.zeros(a) for a, _ in pairs] if tied else [])
        self.between, self.code, self.output = (FUNCTIONS[f]() for f in (activation, code, output))

    def layer(self, i: int) -> nn.Linear:
        """The encoder's layer i, from 0."""
        return cast(nn.Linear, self.enc[i])

    def _undoing(self, i):
        return cast(nn.Linear, self.dec[i])

    def matrix(self, i: int) -> torch.Tensor:
        """V of the decoder's layer that undoes the encoder's layer i: (inputs of i, outputs)."""
        return self.layer(i).weight.t() if self.tied else self._undoing(i).weight

    def bias(self, i: int) -> torch.Tensor:
        """c of the same layer."""
        return self.biases[i] if self.tied else self._undoing(i).bias

    def up(self, i: int, h: torch.Tensor) -> torch.Tensor:
        """What the encoder's layer i makes of its input, (…, inputs) → (…, outputs)."""
        function = self.code if i == len(self.enc) - 1 else self.between
        # What comes out has the weights' type, whatever type the products are taken in.
        return function(self.layer(i)(h).to(self.layer(i).weight.dtype))

    def down(self, i: int, h: torch.Tensor) -> torch.Tensor:
        """The decoder's layer that undoes the encoder's layer i."""
        function = self.between if i else self.output
        return function(F.linear(h, self.matrix(i), self.bias(i)).to(self.layer(i).weight.dtype))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        check("x", x, self.x_dim)
        for i in range(len(self.enc)):
            x = self.up(i, x)
        return x

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        check("z", z, self.z_dim)
        for i in reversed(range(len(self.enc))):
            z = self.down(i, z)
        return z

    @torch.no_grad()
    def prepare(self, images: Callable[[], torch.Tensor]) -> None:
        """Centres: what is encoded is x less the mean image, which the last bias draws."""
        mean, first = images().mean(0), self.layer(0)
        first.bias.sub_(first.weight @ mean)
        if self.output_name == "sigmoid":
            self.bias(0).copy_(torch.logit(mean.clamp(1e-3, 1 - 1e-3)))
        elif self.output_name == "linear":
            self.bias(0).copy_(mean)

    def networks(self) -> dict[str, nn.Sequential]:
        up, down = list(self.enc), [self._linear(i) for i in reversed(range(len(self.enc)))]
        return {
            "encoder": _sequence(up, self.between, self.code),
            "decoder": _sequence(down, self.between, self.output),
        }

    def _linear(self, i):
        matrix = self.matrix(i).detach()
        outputs, inputs = matrix.shape
        layer = nn.Linear(inputs, outputs, device=matrix.device, dtype=matrix.dtype)
        layer.weight.data, layer.bias.data = matrix, self.bias(i).detach()
        return layer


def _sequence(linear, between, last):
    """Linear layers with one function between them and another behind the last."""
    functions = [between] * (len(linear) - 1) + [last]
    pairs = zip(linear, functions, strict=True)
    return nn.Sequential(*(m for pair in pairs for m in pair if not isinstance(m, nn.Identity)))


class StackedAutoencoder(Staged, DeepAutoencoder):
    """A deep one whose layers are first trained one by one (Bengio et al., 2007).

    In stage i < L the pair of layers i learns to redraw what the layers below it, frozen, make of
    the images: ‖h_i − f(V f(W h_i + b) + c)‖². Every stage takes `pretrain` steps; then all are
    trained together.

    Args:
        pretrain: steps of a stage.
        The others as for `DeepAutoencoder`.
    """

    def __init__(
        self,
        name: str = "stacked-ae",
        z_dim: int = 10,
        *,
        pretrain: int = 2_000,
        **options: int | str,
    ) -> None:
        if pretrain < 0:
            raise ValueError(f"pretrain must be at least 0, got {pretrain}")
        super().__init__(name, z_dim, **options)  # type: ignore[arg-type]
        self.pretrain = pretrain

    @property
    def steps_differ(self) -> bool:
        """Where layers are trained one by one."""
        return self.pretrain > 0

    @property
    def stage(self) -> int:
        """The pair of layers that the step after `advance` trains; L: all."""
        if not self.pretrain:
            return len(self.enc)
        return min(max(self.steps_counted - 1, 0) // self.pretrain, len(self.enc))

    def loss(self, x: torch.Tensor) -> Loss:
        """Of the stage that it has come to; gen/error is that of all layers."""
        stage = self.stage
        if stage == len(self.enc):
            return super().loss(x)
        with torch.no_grad():
            h = x
            for i in range(stage):
                h = self.up(i, h)
            whole = squared_error(x, self.decode(self.encode(x))).mean()
        # Layers out of the graph have no gradient at all, so that Adam does not move them either.
        loss = squared_error(h, self.down(stage, self.up(stage, h))).mean()
        return loss, {"train/loss": loss, "gen/error": whole}


class DenoisingAutoencoder(DeepAutoencoder):
    """Redraws the clean image from a spoiled one (Vincent et al., 2008).

    Args:
        noise: a kind of `Noise`, drawn anew in every training step, never in evaluation.
        rate: its rate; at 0 this is the plain autoencoder.
        The others as for `DeepAutoencoder`.
    """

    def __init__(
        self,
        name: str = "denoising-ae",
        z_dim: int = 10,
        *,
        noise: str = "masking",
        rate: float = 0.3,
        **options: int | str,
    ) -> None:
        super().__init__(name, z_dim, **options)  # type: ignore[arg-type]
        self.noise = Noise(noise, rate)

    def spoiled(self, x: torch.Tensor) -> torch.Tensor:
        return self.noise(x)
