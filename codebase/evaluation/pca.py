"""Principal components: what a linear code of the same size does."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Pca:
    """The best linear code of a size (Pearson, 1901).

    Attributes:
        mean: of the images, (D,).
        axes: the directions of largest variance, orthonormal rows, (Z, D).
    """

    mean: torch.Tensor
    axes: torch.Tensor

    @classmethod
    def of(cls, images: torch.Tensor, size: int) -> "Pca":
        """Fitted to images.

        Args:
            images: (N, D).
            size: Z; at most D directions are taken.
        """
        on_cpu = images.cpu()  # for MPS has no float64
        mean = on_cpu.double().mean(0)
        covariance = torch.zeros(len(mean), len(mean), dtype=mean.dtype)
        for part in on_cpu.split(10_000):
            centred = part.double() - mean
            covariance += centred.T @ centred
        _, directions = torch.linalg.eigh(covariance)  # smallest first
        return cls(mean.to(images), directions.flip(1)[:, :size].T.contiguous().to(images))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(…, D) → (…, Z)."""
        return (x - self.mean) @ self.axes.T

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """(…, Z) → (…, D)."""
        return z @ self.axes + self.mean
