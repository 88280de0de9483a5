"""Autoencoders whose codes may be larger than the image, and are kept from copying it."""

import torch
from torch.nn import functional as F

from codebase.models.autoencoders import DeepAutoencoder

EPSILON = 1e-6  # mean activations are kept so far from 0 and 1, where KL is infinite


class KSparseAutoencoder(DeepAutoencoder):
    """Keeps the k largest units of a linear code, and no gradient passes the others (Makhzani &
    Frey, 2014).

    Args:
        active: k.
        alpha: in evaluation αk are kept, as the paper does for features; 1: as in training.
        The others as for `DeepAutoencoder`.
    Raises:
        ValueError: k is not from 1 to Z, or alpha < 1.
    """

    def __init__(
        self,
        name: str = "k-sparse-ae",
        z_dim: int = 1_000,
        *,
        active: int = 25,
        alpha: float = 1.0,
        tied: int = 1,
        **options: int | str,
    ) -> None:
        if not 1 <= active <= z_dim:
            raise ValueError(f"active must be from 1 to {z_dim}, got {active}")
        if not alpha >= 1:
            raise ValueError(f"alpha must be at least 1, got {alpha}")
        super().__init__(name, z_dim, tied=tied, **options)  # type: ignore[arg-type]
        self.active, self.alpha = active, alpha

    @property
    def code_size(self) -> int:
        return self.kept

    @property
    def kept(self) -> int:
        """How many units stay."""
        return self.active if self.training else min(round(self.alpha * self.active), self.z_dim)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        h = super().encode(x)
        values, at = h.topk(self.kept, dim=-1)
        return torch.zeros_like(h).scatter(-1, at, values)

    def networks(self) -> dict:
        """The decoder; an encoder that sorts is no MLP."""
        return {"decoder": super().networks()["decoder"]}


class NormSparseAutoencoder(DeepAutoencoder):
    """weight · Σ_j |z_j|, or Σ_j z_j² (Ng, 2011).

    The columns of the decoder's matrices have length 1, as in sparse coding: otherwise codes would
    shrink and columns grow, and the penalty cost nothing.

    Args:
        norm: "l1" or "l2".
        weight: of the penalty.
        The others as for `DeepAutoencoder`, which is not tied.
    Raises:
        ValueError: weight < 0, or no such norm.
    """

    def __init__(
        self,
        name: str = "l1-ae",
        z_dim: int = 1_000,
        *,
        norm: str = "l1",
        weight: float = 0.1,
        code: str = "relu",
        **options: int | str,
    ) -> None:
        if norm not in ("l1", "l2"):
            raise ValueError(f"norm must be l1 or l2, got {norm!r}")
        _check_weight(weight)
        super().__init__(name, z_dim, code=code, **options)  # type: ignore[arg-type]
        self.norm, self.weight = norm, weight

    def matrix(self, i: int) -> torch.Tensor:
        return F.normalize(super().matrix(i), dim=0)

    def penalty(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        cost = z.abs() if self.norm == "l1" else z.square()
        return self.weight * cost.sum(-1).mean()


class KLSparseAutoencoder(DeepAutoencoder):
    """weight · Σ_j KL(ρ ‖ ρ̂_j), ρ̂_j the mean of unit j over the minibatch, of sigmoid units.

        KL(ρ ‖ ρ̂) = ρ log ρ/ρ̂ + (1 − ρ) log (1 − ρ)/(1 − ρ̂)     in nats (Ng, 2011)

    Args:
        rho: ρ, how active a unit should be on average.
        weight: of the penalty.
        The others as for `DeepAutoencoder`.
    Raises:
        ValueError: weight < 0, or ρ is not between 0 and 1.
    """

    def __init__(
        self,
        name: str = "kl-ae",
        z_dim: int = 1_000,
        *,
        rho: float = 0.05,
        weight: float = 0.1,
        code: str = "sigmoid",
        **options: int | str,
    ) -> None:
        if not 0 < rho < 1:
            raise ValueError(f"rho must be between 0 and 1, got {rho}")
        _check_weight(weight)
        super().__init__(name, z_dim, code=code, **options)  # type: ignore[arg-type]
        self.rho, self.weight = rho, weight

    def penalty(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        rho, mean = self.rho, z.mean(0).clamp(EPSILON, 1 - EPSILON)
        of_each = rho * (rho / mean).log() + (1 - rho) * ((1 - rho) / (1 - mean)).log()
        return self.weight * of_each.sum()


class ContractiveAutoencoder(DeepAutoencoder):
    """weight · ‖∂z/∂x‖²_F, averaged over the images, of sigmoid units (Rifai et al., 2011).

    Of one layer it is exact, Σ_j (z_j (1 − z_j))² Σ_i W_ji². Of several it is estimated without
    bias, ‖Jᵀv‖² with v ~ N(0, I) (Hutchinson, 1990). Tied, as otherwise W would shrink, V grow,
    and the penalty cost nothing.

    Args:
        weight: of the penalty.
        The others as for `DeepAutoencoder`.
    Raises:
        ValueError: weight < 0.
    """

    def __init__(
        self,
        name: str = "contractive-ae",
        z_dim: int = 1_000,
        *,
        weight: float = 0.1,
        code: str = "sigmoid",
        tied: int = 1,
        **options: int | str,
    ) -> None:
        _check_weight(weight)
        super().__init__(name, z_dim, code=code, tied=tied, **options)  # type: ignore[arg-type]
        self.weight = weight

    def penalty(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        if len(self.enc) == 1:
            lengths = self.layer(0).weight.square().sum(1)  # (Z,)
            squares = ((z * (1 - z)).square() * lengths).sum(-1)
        else:
            pulled = torch.func.vjp(self.encode, x)[1]
            squares = pulled(torch.randn_like(z))[0].square().sum(-1)
        return self.weight * squares.mean()


def _check_weight(weight):
    if not weight >= 0:
        raise ValueError(f"weight must be at least 0, got {weight}")
