"""What every model of the house is, and what follows from a prior, a posterior and a likelihood.

The bounds stand here and not in vae.py, because a solution of the assignment may lie in the place
of that file (see adapter.py).
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from codebase import utils as ut
from codebase.models.distributions import Categorical, Distribution, sample_and_kl

CHUNK = 1_000  # images decoded at once by the IWAE bound: 3 MB of logits, 20 MB of mixture terms

Loss = tuple[torch.Tensor, dict[str, torch.Tensor]]  # to be minimized, and {tag: scalar} to log


@dataclass(frozen=True)
class Abilities:
    """What can be measured and drawn of a model.

    Attributes:
        pixels: those it is a model of, in [0, 1]: "binary", drawn anew each time; "grey", levels
            k/255; "dequantized", a level anywhere in its interval, drawn anew.
        bounds: it bounds log p(x).
        reconstructions: an image has a code and is redrawn from it.
        samples: it draws images.
        classifier: it says which label an image has.
        conditional: it is trained with the label of every image.
    """

    pixels: str = "binary"
    bounds: bool = False
    reconstructions: bool = False
    samples: bool = False
    classifier: bool = False
    conditional: bool = False


class Model(nn.Module, abc.ABC):
    """A model of images that the training step trains by its loss.

    Attributes:
        name: names the checkpoint folder.
        abilities: an `Abilities`.
        steps_taken: how many training steps, a tensor (); only the step advances it, so that what
            is scheduled by it stands still in evaluation. No part of a checkpoint.
        z_dim, y_dim: latent dimensions and labels, 0 where there are none.
        betas: decays of Adam's two averages.
    """

    name: str
    abilities = Abilities()
    steps_taken: torch.Tensor
    z_dim: int = 0
    y_dim: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    # Methods of those with bounds, a classifier, labels: see the classes that have them.
    negative_elbo_bound: Callable[[torch.Tensor], tuple[torch.Tensor, ...]]
    negative_iwae_bound: Callable[[torch.Tensor, int], tuple[torch.Tensor, ...]]
    label_posterior: Callable[[torch.Tensor], Categorical]
    labels: Callable[[torch.Tensor], torch.Tensor]
    sample_y: Callable[[int], torch.Tensor]

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.register_buffer("steps_taken", torch.zeros((), dtype=torch.int64), persistent=False)

    @abc.abstractmethod
    def loss(self, *batch: torch.Tensor) -> Loss:
        """What a training step minimizes, a scalar, and {tag: scalar} to log.

        A model of several players is asked for each of them, `loss(*batch, player=name)`.
        """

    def players(self) -> dict[str, list[nn.Parameter]]:
        """{name: parameters} of those that train against or beside each other; most have one."""
        return {"model": [p for p in self.parameters() if p.requires_grad]}

    def networks(self) -> dict[str, nn.Sequential]:
        """Those of its networks that are plain MLPs, for programs that know no PyTorch.

        Returns:
            {role: nn.Sequential of linear layers and functions between and behind them}, of
            "encoder": [x] or [x, y] → the mean of q(z|x, y) in its first Z outputs;
            "decoder": [z] or [z, y] → the mean of p(x|z, y); "classifier": x → q(y|x). [a, b] is
            one vector after the other. A role is left out where the model has no such MLP.
        """
        return {}

    def advance(self) -> None:
        """Counts a training step."""
        self.steps_taken.add_(1)

    def prepare(self, images: Callable[[], torch.Tensor]) -> None:
        """Meets the training images once before the first step.

        It may set what depends on them, and draw random numbers.

        Args:
            images: gives them, (N, D) grey in [0, 1]; most models do not ask.
        """

    @property
    def steps_differ(self) -> bool:
        """Whether what a training step does depends on numbers, so that no step repeats another.

        The sizes of its tensors may, or which weights are trained.
        """
        return False

    def further(self, x: torch.Tensor, y: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Numbers that only a model of this kind has, of a test set.

        Args:
            x: (N, D), as `abilities.pixels` says.
            y: its labels, (N,), if it has any.
        Returns:
            {name: (N,), one for each image, or (1,), one of them all}.
        """
        return {}

    def allow_data_dependent_shapes(self) -> None:
        """Says that neither a CUDA graph nor a stack of models needs every step's sizes alike."""


class CodingModel(Model):
    """A model that gives an image a code, where its posterior lies, and redraws it from that."""

    @abc.abstractmethod
    def posterior(self, x: torch.Tensor, *y: torch.Tensor) -> Distribution:
        """q(z|x), a distribution over (B, Z), of images x (B, D)."""

    @abc.abstractmethod
    def likelihood(self, z: torch.Tensor, *y: torch.Tensor) -> Distribution:
        """p(x|z), a distribution over (…, B, D), of latents z (…, B, Z)."""

    def compute_sigmoid_given(self, z: torch.Tensor, *y: torch.Tensor) -> torch.Tensor:
        """Mean pixels E[x|z], of binary ones their probabilities: (…, Z) → (…, D)."""
        return self.likelihood(z, *y).mean


class LatentVariableModel(CodingModel):
    """p(z), q(z|x) and p(x|z), and what follows from the three: bounds, training loss, samples.

    Bounds and their terms are in nats, summed over dimensions, with the sign of a cost: smaller is
    better. The terms are per image, (B,); `negative_elbo_bound` averages them over the minibatch.

    Attributes:
        beta: weight of kl in the training loss, rec + β·kl. Reported bounds are always β = 1.
    """

    abilities = Abilities(bounds=True, reconstructions=True, samples=True)
    beta = 1.0

    @abc.abstractmethod
    def prior(self) -> Distribution:
        """p(z), a distribution over (Z,)."""

    # Bounds

    def negative_elbo_terms(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(kl, rec) of each image, (B,) each, with one sample z ~ q(z|x)."""
        z, kl_z = sample_and_kl(self.posterior(x), self.prior())
        return kl_z, -self.likelihood(z).log_prob(x)

    def negative_elbo_bound(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """−ELBO(x) = KL(q(z|x) ‖ p(z)) − E_q[log p(x|z)], with one sample z ~ q(z|x).

        Args:
            x: (B, D), binary or as `abilities.pixels` says.
        Returns:
            nelbo, kl, rec: scalars, averaged over the batch.
        """
        kl_z, rec = (term.mean() for term in self.negative_elbo_terms(x))
        return kl_z + rec, kl_z, rec

    def importance_terms(
        self, x: torch.Tensor, samples: int, *y: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """(kl, rec) of M samples z_i ~ q(z|x) of each image: log q(z_i|x)/p(z_i), −log p(x|z_i).

        The log importance weights are −(kl + rec). Without gradients the memory does not grow with
        M but for the samples themselves and their densities, drawn at once: some 16 KB a sample
        for 100 images and Z = 10.

        Args:
            x: (B, D).
            samples: M ≥ 1.
            y: labels of a model that has them, as its posterior takes them.
        Returns:
            kl, rec: (M, …, B) each.
        """
        z, log_q = self.posterior(x, *y).rsample_and_log_prob((samples,))  # (M, …, B, Z)
        prior = self.prior()
        # Filled in place: small results kept between the large temporaries would leave the heap
        # in pieces, too short for the next ones, and the process would grow with M after all.
        kl_z, rec = torch.empty_like(log_q), torch.empty_like(log_q)
        step = max(CHUNK // log_q[0].numel(), 1)
        for i in range(0, samples, step):
            part = slice(i, i + step)
            kl_z[part] = log_q[part] - prior.log_prob(z[part])
            rec[part] = -self.likelihood(z[part], *y).log_prob(x)
        return kl_z, rec

    def negative_iwae_bound(
        self, x: torch.Tensor, iw: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """−log 1/M Σ_i w_i,  w_i = p(x, z_i) / q(z_i|x),  z_i ~ q(z|x)  (Burda et al., 2016).

        Args:
            x: (B, D).
            iw: M ≥ 1, the number of importance samples.
        Returns:
            niwae, kl, rec: scalars, averaged over the batch. kl and rec are the means over the
            samples of log q(z|x)/p(z) and −log p(x|z), so niwae = kl + rec at M = 1.
        Raises:
            ValueError: iw < 1.
        """
        if iw < 1:
            raise ValueError(f"iw is the number of importance samples, at least 1; got {iw}")
        kl_z, rec = self.importance_terms(x, iw)  # (M, B)
        niwae = -ut.log_mean_exp(-(kl_z + rec), dim=0)
        return niwae.mean(), kl_z.mean(), rec.mean()

    def loss(self, x: torch.Tensor) -> Loss:
        """rec + β·kl, to be minimized, and the summaries to log.

        Args:
            x: (B, D).
        """
        nelbo, kl_z, rec = self.negative_elbo_bound(x)
        loss = rec + self.beta * kl_z
        return loss, {"train/loss": loss, "gen/elbo": -nelbo, "gen/kl_z": kl_z, "gen/rec": rec}

    # Sampling

    def sample_z(self, batch: int) -> torch.Tensor:
        """Latents from the prior, (batch, Z)."""
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        return self.prior().rsample((batch,))

    def sample_x_given(self, z: torch.Tensor, *y: torch.Tensor) -> torch.Tensor:
        """Images from p(x|z): (…, Z) → (…, D)."""
        return self.likelihood(z, *y).sample()

    def sample_sigmoid(self, batch: int) -> torch.Tensor:
        """Mean pixels at latents from the prior, (batch, D)."""
        return self.compute_sigmoid_given(self.sample_z(batch))

    def sample_x(self, batch: int) -> torch.Tensor:
        """Images from the model, (batch, D)."""
        return self.sample_x_given(self.sample_z(batch))
