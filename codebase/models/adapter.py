"""The seam for models that know only the assignment: a solution in the place of our three files."""

from typing import Any

import torch
from torch import nn
from torch.nn import Sequential, Sigmoid, Softmax

from codebase import utils as ut
from codebase.models.base import LatentVariableModel, Loss, Model
from codebase.models.distributions import (
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    Distribution,
    Mixture,
)
from codebase.models.semisupervised import SemiSupervisedModel


def adapted(model: nn.Module) -> Model:
    """The model itself if it is of this house; otherwise one that asks it for what it knows.

    Args:
        model: the assignment's VAE, GMVAE or SSVAE, which its state_dict tells, or any module
            with a name and a loss.
    """
    if isinstance(model, Model):
        return model
    sizes = {key: len(t) for key, t in model.state_dict().items() if t.dim()}
    if "enc.net.4.bias" not in sizes:
        return Stranger(model)
    if "cls.net.4.bias" in sizes:
        return SSVAE(model, sizes)
    return GMVAE(model, sizes) if "z_pre" in sizes else VAE(model, sizes)


class _Adapter(Model):
    """What all pass on: weights, loss and attributes stay the model's own."""

    def __init__(self, model: Any) -> None:
        super().__init__(model.name)
        self.model = model

    def __getattr__(self, name):
        """What is not of this house is the model's, its enc and dec for example."""
        try:
            return super().__getattr__(name)  # a module's parameters, buffers and modules
        except AttributeError:
            return getattr(super().__getattr__("model"), name)

    def state_dict(self, *args, **kwargs):
        return self.model.state_dict(*args, **kwargs)

    def load_state_dict(self, *args, **kwargs):
        return self.model.load_state_dict(*args, **kwargs)

    def loss(self, *batch: torch.Tensor) -> Loss:
        return self.model.loss(*batch)


class Stranger(_Adapter):
    """A model of another kind, that can be trained."""


class _Contract(_Adapter):
    """What the assignment's three have in common: bounds, too, are the model's own.

    Samples and pictures follow from prior, posterior and likelihood, as for the models of this
    house, so that a solution need not have more than loss and bounds.
    """

    def __init__(self, model: Any, sizes: dict[str, int]) -> None:
        super().__init__(model)
        self.z_dim = sizes["enc.net.4.bias"] // 2

    def networks(self) -> dict[str, Sequential]:
        nets = {
            "encoder": self.model.enc.net,
            "decoder": Sequential(*self.model.dec.net, Sigmoid()),
        }
        if self.y_dim:
            nets["classifier"] = Sequential(*self.model.cls.net, Softmax(-1))
        return nets

    def negative_elbo_bound(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.model.negative_elbo_bound(x)

    @property
    def z_prior(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The prior's mean and variance, (1,) each."""
        return self.model.z_prior_m, self.model.z_prior_v

    def prior(self) -> Distribution:
        return DiagonalGaussian(*(t.detach().expand(self.z_dim) for t in self.z_prior))


class VAE(_Contract, LatentVariableModel):
    """A solution's VAE."""

    def negative_iwae_bound(
        self, x: torch.Tensor, iw: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.model.negative_iwae_bound(x, iw)

    def posterior(self, x: torch.Tensor) -> DiagonalGaussian:
        return DiagonalGaussian(*self.model.enc(x))

    def likelihood(self, z: torch.Tensor) -> Bernoulli:
        return Bernoulli(self.model.dec(z))


class GMVAE(VAE):
    """A solution's GMVAE."""

    @property
    def z_prior(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The components' means and variances, (1, K, Z) each."""
        return ut.gaussian_parameters(self.model.z_pre, dim=1)

    def prior(self) -> Mixture:
        m, v = self.z_prior
        return Mixture(DiagonalGaussian(m[0], v[0]))


class SSVAE(_Contract, SemiSupervisedModel):
    """A solution's SSVAE; the assignment asks it for no IWAE bound, which is this house's."""

    def __init__(self, model: Any, sizes: dict[str, int]) -> None:
        super().__init__(model, sizes)
        self.gen_weight, self.y_dim = model.gen_weight, sizes["cls.net.4.bias"]

    def posterior(self, x: torch.Tensor, y: torch.Tensor) -> DiagonalGaussian:
        return DiagonalGaussian(*self.model.enc(x, y))

    def likelihood(self, z: torch.Tensor, y: torch.Tensor) -> Bernoulli:
        return Bernoulli(self.model.dec(z, y))

    def label_posterior(self, x: torch.Tensor) -> Categorical:
        return Categorical(self.model.cls(x))
