"""A likelihood p(x|z) in which pixels depend on each other: a PixelCNN that is told of z."""

import torch
from torch import nn

from codebase import utils as ut
from codebase.models.distributions import Distribution
from codebase.models.likelihoods import Likelihood
from codebase.models.pixelcnn import Stacks, side_of

KERNEL = 5  # of the convolution by which a pixel is told what the decoder gives around it


class PixelCnnPixels(Likelihood):
    """Π_j Bernoulli(x_j; logits = outputs_j + PixelCNN(x_<j, outputs)_j), of binary pixels.

    The PixelCNN begins at 0, where this is the plain Bernoulli. A decoder so strong needs no z for
    what lies near (Chen et al., 2017): whether z is used is said by kl and active units.

    Args:
        x_dim: D, a square.
        channels, looks: channels and layers of the PixelCNN, see `Stacks`.
    """

    def __init__(self, x_dim: int, channels: int = 8, looks: int = 3) -> None:
        super().__init__(x_dim)
        self.side = side_of(x_dim)
        self.stacks = Stacks(channels, looks)
        self.told = nn.Conv2d(1, channels, KERNEL, padding=KERNEL // 2)
        last = self.stacks.last[-1]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, outputs: torch.Tensor) -> "PixelByPixel":
        return PixelByPixel(self, outputs)

    def mean_function(self) -> None:
        return None


class PixelByPixel(Distribution):
    """Binary pixels, each given those before it.

    Args:
        part: the `PixelCnnPixels`.
        outputs: of the decoder, (…, D).
    """

    def __init__(self, part: PixelCnnPixels, outputs: torch.Tensor) -> None:
        self.part, self.outputs = part, outputs

    @property
    def mean(self) -> torch.Tensor:
        """Probabilities of the pixels of a draw, each given those before it, (…, D).

        The mean itself would take the average of many draws.
        """
        return torch.sigmoid(self.logits(self.rsample()))

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """Pixels in {0, 1}, (*shape, …, D), drawn row by row; no gradient passes a draw of bits."""
        outputs = self.outputs.expand(*shape, *self.outputs.shape)
        side = self.part.side
        with torch.no_grad():
            base = outputs.reshape(-1, side, side)
            place = self.part.told(base.unsqueeze(1)).to(base)
            images = torch.zeros_like(base).unsqueeze(1)
            for row in range(side):
                self.part.stacks.draw(images, row, place, base)
        return images.view(outputs.shape)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Σ_j log p(value_j | value_<j): (…, D) in {0, 1} → (…), in nats."""
        value, _ = torch.broadcast_tensors(value, self.outputs)
        return ut.log_bernoulli_with_logits(value, self.logits(value))

    def logits(self, value: torch.Tensor) -> torch.Tensor:
        """Of each pixel given those before it, (…, D)."""
        value, outputs = torch.broadcast_tensors(value, self.outputs)
        images, base = (t.reshape(-1, 1, self.part.side, self.part.side) for t in (value, outputs))
        more = self.part.stacks(images, self.part.told(base).to(base))
        return outputs + more.reshape(outputs.shape).to(outputs)
