"""A trained model looked at through its test set: codes, kl, likelihoods, computed once."""

from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import cached_property

import torch

from codebase import utils as ut
from codebase.data import subsets
from codebase.data.batches import CLASSES, grey, seeded_generator
from codebase.data.datasets import Dataset
from codebase.engine.randomness import seeded
from codebase.evaluation.bounds import CHUNK
from codebase.evaluation.classifier import predictions
from codebase.evaluation.codes import likeliest_label
from codebase.figures import analysis
from codebase.models.autoencoders import Autoencoder, DeepAutoencoder, DenoisingAutoencoder
from codebase.models.base import LatentVariableModel
from codebase.models.distributions import DiagonalGaussian, Distribution, Mixture

IMAGES = 100  # images whose importance samples are decoded at once


class Study:
    """What the figures of one model are made from.

    An image's *code* is what it is redrawn from: the mean of q(z|x); of a model with labels the
    mean of q(z|x, ŷ) followed by ŷ, the likeliest label, one-hot. Codes can be blended and decoded.

    Args:
        model: a latent variable model, or less; what it can do its abilities say.
        dataset: as `datasets.load` gives it, on the model's device.
        name, seed: the run's, and of every random draw.
        others: {name: uint8 (N, D)}, other datasets' test images, as outliers.
        kind: the model's name in the catalogue.
        settings: {flag: value} in which runs of one kind may differ, as the run's record has them.
        training: how it was trained, {"iterations": n, …}, as far as that is known.
    """

    def __init__(
        self,
        model: LatentVariableModel,
        dataset: Dataset,
        name: str,
        seed: int = 0,
        others: dict[str, torch.Tensor] | None = None,
        *,
        kind: str = "",
        settings: dict | None = None,
        training: dict | None = None,
    ) -> None:
        self.model, self.dataset, self.name, self.seed = model, dataset, name, seed
        self.others, self.kind, self.settings = others or {}, kind, settings or {}
        self.training = training or {}
        self.abilities = model.abilities
        self.z_dim, self.y_dim = model.z_dim, model.y_dim
        self.device = dataset.test_x.device

    @cached_property
    def traits(self) -> set[str]:
        """What there is to draw: the model's abilities, and what its labels, z and prior are like.

        Besides the abilities' names: "labels" or "no labels", "plane" (Z = 2), "space" (Z > 2),
        "every class" among the test images, "mixture" and "gaussians", of which the prior is or
        consists; of an autoencoder "points", for its codes are that, "filters", a first layer that
        can be drawn, and "noise", which it was trained to take away.
        """
        found = {name for name, able in asdict(self.abilities).items() if able is True}
        found.add("labels" if self.y_dim else "no labels")
        if not self.z_dim:
            return found
        ways = {
            "plane": self.z_dim == 2,
            "space": self.z_dim > 2,
            "every class": len(self.y.unique()) == CLASSES,
            "points": self.points,
            "filters": self.filters is not None,
            "noise": isinstance(self.model, DenoisingAutoencoder),
            "mixture": self.abilities.bounds and isinstance(self.prior, Mixture),
            "gaussians": self.abilities.bounds and self.gaussians is not None,
        }
        return found | {name for name, so in ways.items() if so}

    @property
    def points(self) -> bool:
        """Whether codes are points, and there is neither kl nor a prior: an autoencoder's."""
        return isinstance(self.model, Autoencoder)

    @property
    def filters(self) -> torch.Tensor | None:
        """What an autoencoder's first linear layer looks for, (H, D); None: it has none."""
        if not isinstance(self.model, DeepAutoencoder):
            return None
        return self.model.layer(0).weight.detach()

    @property
    def mean_pixels(self) -> str:
        """What mean pixels are called: of binary ones they are probabilities."""
        return "probabilities" if self.abilities.pixels == "binary" else "means"

    @cached_property
    def x(self) -> torch.Tensor:
        """The test images, grey or binarized once, as the model is of them: (N, D)."""
        return subsets.test_images(self.dataset, self.abilities.pixels)

    @cached_property
    def y(self) -> torch.Tensor:
        """Their labels, (N,), on the CPU."""
        return self.dataset.test_y.cpu()

    def seeded(self) -> AbstractContextManager:
        """No gradients, and the study's seed, for a block."""
        return seeded(self.seed)

    def positions(self, n: int, each: bool = False) -> torch.Tensor:
        """Positions of n test images drawn without replacement; `each`: n of every class, in order.

        Returns:
            (min(n, N),), or (classes, n) with the first n of each class that has as many.
        """
        if each:
            rows = [(self.y == c).nonzero().flatten()[:n] for c in range(CLASSES)]
            return torch.stack([row for row in rows if len(row) == n])
        return torch.randperm(len(self.y), generator=seeded_generator(self.seed))[:n].sort().values

    # Codes

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """The images' codes: (B, D) → (B, Z + Y), Y = 0 without labels."""
        with self.seeded():  # some models draw for it
            y = likeliest_label(self.model, x)
            return torch.cat([self.model.posterior(x, *y).mean, *y], dim=-1)

    def likelihood(self, code: torch.Tensor) -> Distribution:
        """p(x|z) or p(x|z, y) at codes: (…, Z + Y) → a distribution over (…, D)."""
        return self.model.likelihood(*self._parts(code))

    @torch.no_grad()
    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """Mean pixels at codes, of binary ones their probabilities: (…, Z + Y) → (…, D)."""
        return self.likelihood(code).mean

    def draw(self, code: torch.Tensor) -> torch.Tensor:
        """Pixels drawn at codes: (…, Z + Y) → (…, D)."""
        with self.seeded():
            return self.likelihood(code).sample()

    def _parts(self, code):
        return code.split([self.z_dim, self.y_dim], dim=-1) if self.y_dim else (code,)

    def blend(
        self, a: torch.Tensor, b: torch.Tensor, t: float, spherical: bool = False
    ) -> torch.Tensor:
        """The code at t of the way from a to b; spherical: along the arc in z (see `slerp`)."""
        if not spherical:
            return analysis.lerp(a, b, t)
        (z_a, *y_a), (z_b, *y_b) = self._parts(a), self._parts(b)
        straight = [analysis.lerp(*pair, t) for pair in zip(y_a, y_b, strict=True)]
        return torch.cat([analysis.slerp(z_a, z_b, t), *straight], dim=-1)

    def with_every_label(self, z: torch.Tensor) -> torch.Tensor:
        """Codes that join each z with each label: (B, Z) → (B, Y, Z + Y)."""
        labels = self.model.labels(z).transpose(0, 1)  # (1, Y, Y)
        shape = len(z), self.y_dim, -1
        return torch.cat([z.unsqueeze(1).expand(*shape), labels.expand(*shape)], dim=-1)

    def sample(self, n: int) -> torch.Tensor:
        """Codes from the prior, of z and of y: (n, Z + Y)."""
        with self.seeded():
            z = self.model.sample_z(n)
            return torch.cat([z, self.model.sample_y(n)], dim=-1) if self.y_dim else z

    @cached_property
    def codes(self) -> torch.Tensor:
        """The test images' codes, (N, Z + Y)."""
        return torch.cat([self.encode(part) for part in self.x.split(CHUNK)])

    @property
    def means(self) -> torch.Tensor:
        """The z of the codes, (N, Z)."""
        return self.codes[:, : self.z_dim]

    @cached_property
    def spread(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """How much each dimension says, and the mean and standard deviation it is moved about.

        Its kl in nats, and the prior's; where codes are points, their variance, and the codes'.

        Returns:
            (Z,) each.
        """
        if self.points:
            mean, variance = self.means.mean(0), self.means.var(0)
            return variance, mean, variance.sqrt()
        return self.kl[0].mean(0), self.prior.mean, self.prior.variance.sqrt()

    # The prior

    @cached_property
    def prior(self) -> Distribution:
        """p(z)."""
        return self.model.prior()

    @property
    def mixture(self) -> Mixture:
        """The prior, where it is a mixture."""
        if not isinstance(self.prior, Mixture):
            raise TypeError(f"the prior of {self.name} is no mixture")
        return self.prior

    @property
    def gaussians(self) -> DiagonalGaussian | None:
        """What the prior is a mixture of, or is, over (K, Z) or (1, Z); None: of no Gaussians."""
        parts = self.prior.components if isinstance(self.prior, Mixture) else self.prior
        if not isinstance(parts, DiagonalGaussian):
            return None
        moments = parts.mean.detach(), parts.variance.detach()
        return DiagonalGaussian(*(t.view(-1, self.z_dim) for t in moments))

    @cached_property
    def components(self) -> torch.Tensor:
        """The component of the mixture that each test image's posterior mean prefers, (N,)."""
        return analysis.nearest_component(self.means, self.mixture).cpu()

    @cached_property
    def log_q(self) -> torch.Tensor:
        """log q(y|x) of the test images, (N, Y); grey, as the protocol feeds the classifier."""
        return predictions(self.model, grey(self.dataset.test_x))

    # What the code costs

    @cached_property
    def kl(self) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The test images' kl in nats: by dimension (N, Z), and {part: (N,)} of what is none's.

        The parts: "y", the label; "k", the choice of a mixture's component; "rest", see
        `analysis.kl_terms`. All sums to the kl of the bound: exactly where q and p have a formula,
        else to that of one sample z.
        """
        with self.seeded():
            parts = [self._kl_terms(part) for part in self.x.split(CHUNK)]
        by_dimension, shares = zip(*parts, strict=True)
        others = {name: torch.cat([part[name] for part in shares]).cpu() for name in shares[0]}
        return torch.cat(by_dimension).cpu(), others

    def _kl_terms(self, x):
        if not self.y_dim:
            return analysis.kl_terms(self.model.posterior(x), self.prior)
        label = self.model.label_posterior(x)
        q = self.model.posterior(x, self.model.labels(x))  # over (Y, B, Z)
        kl, others = analysis.kl_terms(q, self.prior)
        others = {name: torch.einsum("by,yb->b", label.probs, t) for name, t in others.items()}
        others = {"y": label.kl_to_uniform()} | others
        return torch.einsum("by,ybz->bz", label.probs, kl), others

    def log_likelihood(self, x: torch.Tensor, samples: int | None = None) -> torch.Tensor:
        """log p(x) of each image, (B,), in nats: log 1/M Σ_i p(x, z_i) / q(z_i|x), z_i ~ q(z|x).

        The importance-weighted bound of Burda et al. (2016), too low on average by an amount that
        vanishes as M grows. With labels, M samples for each, and the mean is over labels as well.

        Args:
            x: (B, D), of the pixels that the model is of.
            samples: M ≥ 1; None: 50, or 20 for each label.
        """
        samples = samples or (20 if self.y_dim else 50)
        with self.seeded():
            parts = [self._log_mean_weight(part, samples) for part in x.split(IMAGES)]
        return torch.cat(parts).cpu()

    def _log_mean_weight(self, x, samples):
        # One sample at a time: so the noise does not depend on how many are asked for.
        terms = (self.model.importance_terms(x, 1) for _ in range(samples))  # (1 or Y, B) each
        return ut.log_mean_exp(-torch.cat([kl + rec for kl, rec in terms]), dim=0)  # y weigh 1/Y

    @cached_property
    def likelihoods(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Positions of 1,000 test images and their log p(x): (n,), (n,)."""
        at = self.positions(1_000)
        return at, self.log_likelihood(self.x[at])
