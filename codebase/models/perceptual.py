"""Objectives that compare an image with its reconstruction as an eye might, not pixel by pixel.

In the place of rec they have a distance of x and x̂ = E[x|z], weighed by γ. So the likelihood is not
trained for its own sake; what is logged is the plain bound all the same.
"""

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from codebase.models.distributions import sample_and_kl
from codebase.models.features import FeatureNet
from codebase.models.nns.parts import sides_of
from codebase.models.nns.v1 import X_DIM
from codebase.models.objectives import Objective, summaries
from codebase.models.precise import precise

if TYPE_CHECKING:
    from codebase.models.base import LatentVariableModel, Loss

WINDOW, S, LEVELS = 5, 1.0, 3  # of 28 × 28, 14 × 14 and 7 × 7; the last one's windows fit 9 times
WEIGHTS = 0.0448, 0.2856, 0.3001, 0.2363, 0.1333  # of Wang et al.'s levels, the finest first
C1, C2 = 0.01**2, 0.03**2  # theirs, for pixels in [0, 1]
LEAST = 1e-6  # of what is raised to a power below 1, whose slope at 0 is infinite


class Perceptual(Objective):
    """kl + γ·distance(x, x̂), averaged over the images.

    Args:
        gamma: γ ≥ 0.
    Raises:
        ValueError: gamma < 0.
    """

    def __init__(self, z_dim: int, gamma: float) -> None:
        if not gamma >= 0:
            raise ValueError(f"gamma must be at least 0, got {gamma}")
        super().__init__(z_dim)
        self.gamma = gamma

    @abc.abstractmethod
    def distance(self, x: torch.Tensor, again: torch.Tensor) -> torch.Tensor:
        """Of each image and its reconstruction, (B, D), (B, D) → (B,)."""

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        z, kl = sample_and_kl(model.posterior(x), model.prior())
        likelihood = model.likelihood(z)
        apart = self.distance(x, likelihood.mean)
        rec = -likelihood.log_prob(x)
        return summaries((kl + self.gamma * apart).mean(), kl, rec, distance=apart.mean())


class Dfc(Perceptual):
    """kl + γ Σ_l mean (h_l(x) − h_l(x̂))² over what layer l gives (Hou et al., 2017).

    h_l are the maps of a classifier that is frozen. A run fills it with what the classifier of its
    data knows; until then it is one that has learned nothing.

    Args:
        gamma: γ.
        features: in the place of a `FeatureNet`; has maps(x), a tensor (B, …) for each layer.
    """

    def __init__(
        self, z_dim: int, gamma: float = 500.0, features: FeatureNet | None = None
    ) -> None:
        super().__init__(z_dim, gamma)
        self.features = FeatureNet() if features is None else features

    def check_size(self, x_dim: int) -> None:
        if isinstance(self.features, FeatureNet) and x_dim != X_DIM:
            raise ValueError(
                "the classifier whose features are compared sees images of 28 × 28 pixels, not of "
                f"{x_dim} in all"
            )

    def distance(self, x: torch.Tensor, again: torch.Tensor) -> torch.Tensor:
        pairs = zip(self.features.maps(x), self.features.maps(again), strict=True)
        of_layers = [(a - b).to(again).square().flatten(1).mean(1) for a, b in pairs]
        return torch.stack(of_layers).sum(0)


class MsSsim(Perceptual):
    """kl + γ·(1 − MS-SSIM(x, x̂)) (Snell et al., 2017).

    Args:
        gamma: γ.
    """

    kernel: torch.Tensor

    def __init__(self, z_dim: int, gamma: float = 300.0) -> None:
        super().__init__(z_dim, gamma)
        kernel = window(WINDOW, S).to(torch.get_default_dtype())
        self.register_buffer("kernel", kernel, persistent=False)

    def check_size(self, x_dim: int) -> None:
        _check_room(sides_of(x_dim), LEVELS - 1, WINDOW)

    def distance(self, x: torch.Tensor, again: torch.Tensor) -> torch.Tensor:
        x, again = (t.unflatten(-1, sides_of(t.shape[-1])) for t in (x, again))
        return 1 - ms_ssim(x, again, self.kernel)


def window(size: int, s: float) -> torch.Tensor:
    """A Gaussian's weights exp(−i²/2s²) at i = −⌊size/2⌋ …, that sum to 1: (size,), float64."""
    at = torch.arange(size, dtype=torch.float64) - size // 2
    weights = torch.exp(-at.square() / (2 * s * s))
    return weights / weights.sum()


def similarity(
    x: torch.Tensor, y: torch.Tensor, kernel: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """SSIM and its part without the means, of each pair of images in [0, 1] (Wang et al., 2004).

        cs = (2 cov + c_2) / (v_x + v_y + c_2),  ssim = (2 m_x m_y + c_1) / (m_x² + m_y² + c_1) · cs

    Means, variances and covariance are of a window, weighed by a Gaussian, wherever it lies wholly
    in the image; over these places both are averaged.

    Args:
        x, y: (B, height, width).
        kernel: the window's weights along a side.
    Returns:
        ssim, cs: (B,) each.
    """
    stack = torch.stack([x, y, x * x, y * y, x * y], 1)
    k = kernel.to(stack)
    across = k.expand(5, 1, 1, -1)
    with precise(stack):  # E[x²] − m² is all but nothing where the image is flat
        smooth = F.conv2d(F.conv2d(stack, across, groups=5), across.transpose(2, 3), groups=5)
    m_x, m_y, xx, yy, xy = smooth.unbind(1)
    cs = (2 * (xy - m_x * m_y) + C2) / (xx - m_x * m_x + yy - m_y * m_y + C2)
    ssim = (2 * m_x * m_y + C1) / (m_x * m_x + m_y * m_y + C1) * cs
    return ssim.flatten(1).mean(1), cs.flatten(1).mean(1)


def _check_room(sides, halvings, width):
    if min(sides) >> halvings < width:
        raise ValueError(
            f"images of {sides[0]} × {sides[1]}, halved {halvings} times, have no room for a "
            f"window of {width}"
        )


def ms_ssim(
    x: torch.Tensor,
    y: torch.Tensor,
    kernel: torch.Tensor,
    weights: Sequence[float] = WEIGHTS[:LEVELS],
) -> torch.Tensor:
    """Π_{l<L} cs_l^w_l · ssim_L^w_L over L levels, each of half the sides (Wang et al., 2003).

    Args:
        x, y: (B, height, width) in [0, 1].
        kernel: as for `similarity`; it has to fit the last level.
        weights: w, of as many levels as there are; taken so that they sum to 1.
    Returns:
        (B,), 1 for equal images.
    Raises:
        ValueError: the window does not fit.
    """
    sides, halvings = x.shape[1:], len(weights) - 1
    _check_room(sides, halvings, len(kernel))
    found = torch.ones_like(x[:, 0, 0])
    for level, weight in enumerate(weights):
        ssim, cs = similarity(x, y, kernel)
        part = ssim if level == halvings else cs
        found = found * part.clamp(min=LEAST) ** (weight / sum(weights))
        x, y = (F.avg_pool2d(t.unsqueeze(1), 2).squeeze(1) for t in (x, y))
    return found
