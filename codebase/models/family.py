"""A VAE put together from parts: a prior, a posterior, a likelihood, an objective, networks."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import Sequential

from codebase.models.base import Abilities, LatentVariableModel, Loss
from codebase.models.distributions import Distribution
from codebase.models.likelihoods import BernoulliPixels, Likelihood
from codebase.models.nns.parts import MLP, Networks
from codebase.models.objectives import Elbo, Objective
from codebase.models.posteriors import Diagonal, Posterior
from codebase.models.priors import Prior, StandardNormal


class FamilyVAE(LatentVariableModel):
    """One latent vector per image, and a part for everything that is said of it.

        z ~ prior()                                          (Z,)
        x ~ likelihood(dec(z))                               (D,)
        q(z|x) = posterior(m, v, h),  m, v, h = enc(x)       (Z,)
        minimized: objective(model, x)

    With the first part of every axis it is the VAE, bit for bit.

    Args:
        name: names the checkpoint folder.
        z_dim: Z, the number of latent dimensions.
        x_dim: D, the number of pixels.
        prior, posterior, likelihood, objective, net: make the parts: classes of models.priors,
            posteriors, likelihoods, objectives and nns, or functions that give such.
    Raises:
        ValueError: z_dim < 1, or as the parts say; in the methods, an argument of another shape
            than said.
    """

    def __init__(
        self,
        name: str = "vae",
        z_dim: int = 10,
        *,
        x_dim: int = 784,
        prior: Callable[..., Prior] = StandardNormal,
        posterior: Callable[..., Posterior] = Diagonal,
        likelihood: Callable[..., Likelihood] = BernoulliPixels,
        objective: Callable[..., Objective] = Elbo,
        net: Callable[..., Networks] = MLP,
    ) -> None:
        super().__init__(name)
        self.z_dim, self.x_dim = z_dim, x_dim
        self._net = net()
        # The networks first, so that a seed gives them the weights that it gives the VAE's.
        self.enc, self.dec = self._net.encoder(x_dim, z_dim), self._net.decoder(z_dim, x_dim)
        self.posterior_part = posterior(z_dim, self.enc.features)
        self.prior_part = prior(z_dim, x_dim)
        self.likelihood_part = likelihood(x_dim)
        self.objective = objective(z_dim)
        self.objective.check_size(x_dim)

    @property
    def abilities(self) -> Abilities:
        """Those of every VAE, of the pixels that the likelihood is of."""
        return Abilities(
            self.likelihood_part.pixels, bounds=True, reconstructions=True, samples=True
        )

    def prior(self) -> Distribution:
        return self.prior_part(self.posterior)

    def posterior(self, x: torch.Tensor) -> Distribution:
        return self.posterior_part(*self.enc(x))

    def likelihood(self, z: torch.Tensor) -> Distribution:
        return self.likelihood_part(self.dec(z))

    def loss(self, x: torch.Tensor, player: str = "model") -> Loss:
        """What a player minimizes, a scalar, and the summaries to log.

        Args:
            x: (B, D).
            player: "model", or one that the objective adds.
        """
        return self.objective(self, x, player)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The model, and who trains beside it by the objective."""
        others = self.objective.players(self)
        theirs = {id(p) for own in others.values() for p in own}
        own = [p for p in self.parameters() if p.requires_grad and id(p) not in theirs]
        return {"model": own, **others}

    @torch.no_grad()
    def prepare(self, images: Callable[[], torch.Tensor]) -> None:
        for part in (self.prior_part, self.objective):
            part.prepare(images)
        if self._net.bias == "mean":
            mean = images().mean(0).clamp(1e-3, 1 - 1e-3)
            self.dec.bias.copy_(self.likelihood_part.outputs_for(mean))

    def networks(self) -> dict[str, Sequential]:
        found, (enc, dec) = {}, (self.enc.mlp(), self.dec.mlp())
        if enc is not None and self.posterior_part.mean_is_m:
            found["encoder"] = enc
        if dec is not None and (mean := self.likelihood_part.mean_function()) is not None:
            found["decoder"] = Sequential(*dec, *mean)
        return found
