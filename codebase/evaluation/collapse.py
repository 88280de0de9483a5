"""Which latent dimensions say anything of an image, and whether next to nothing is said."""

import torch

ACTIVE = 0.01  # variance of a dimension's posterior mean above which it counts (Burda et al., 2016)
COLLAPSED_KL = 0.1  # nats
COLLAPSED_SHARE = 1 / 5  # of the dimensions


def active(means: torch.Tensor) -> torch.Tensor:
    """Dimensions whose posterior mean varies over the images by more than 0.01: (N, Z) → (Z,)."""
    return means.var(0) > ACTIVE


def collapsed(kl: float | None, units: float | None, z_dim: int) -> bool:
    """Whether z says next to nothing of x: kl < 0.1 nats, or fewer than a fifth active.

    Args:
        kl: nats an image; None: not measured.
        units: active dimensions, a mean over runs perhaps; None: not counted.
        z_dim: Z.
    """
    few = units is not None and units < z_dim * COLLAPSED_SHARE
    return few or (kl is not None and kl < COLLAPSED_KL)


def rule(z_dim: int) -> str:
    """When a posterior over Z dimensions is said to have collapsed, in words."""
    units = z_dim * COLLAPSED_SHARE
    return f"kl below {COLLAPSED_KL:g}, or fewer than {units:g} active dimensions"
