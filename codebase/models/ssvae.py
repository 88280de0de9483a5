"""The semi-supervised VAE, model M2 of Kingma et al. (2014)."""

import torch
from torch.nn import Sequential, Sigmoid, Softmax

from codebase.models import nns
from codebase.models.distributions import Bernoulli, Categorical, DiagonalGaussian
from codebase.models.priors import StandardNormalPrior
from codebase.models.semisupervised import SemiSupervisedModel, check_weights
from codebase.sides import sized


class SSVAE(StandardNormalPrior, SemiSupervisedModel):
    """A label and a Gaussian latent vector per image; most labels are unknown.

        y ~ Categorical(1/Y)                           label        (Y,) one-hot
        z ~ N(0, I)                                    latent       (Z,)
        x ~ Π_j Bernoulli(logits = dec(z, y)_j)        likelihood   (D,)
        q(y|x) = Categorical(logits = cls(x))          classifier   (Y,)
        q(z|x, y) = N(m, diag v),  m, v = enc(x, y)    posterior    (Z,)

    Its bounds, loss and samples follow: see `SemiSupervisedModel`. The expectation over q(y|x) is
    exact: every image (B, D) meets every label (Y, 1, Y) by broadcasting, labels outermost.

    Args:
        nn: version of the networks, a module of codebase.models.nns.
        name: names the checkpoint folder.
        gen_weight: weight of the mean −ELBO in the loss; at 0 encoder and decoder are not run.
        class_weight: weight of the mean cross-entropy of the labelled images.
        z_dim, y_dim: Z and Y.
        labeled_elbo: train on the mean ELBO(x, y) of the labelled pairs too (Kingma et al. sum
            over all images, so that few labelled ones weigh little).
        prune: leaves out a label with q(y|x) < eps/10, 1.2e-8 in float32. All that are left out
            weigh less than the rounding of the sum. Tensors then have data-dependent shapes, which
            neither a CUDA graph nor a stack of models can have.
        x_dim: D, the number of pixels.
    Raises:
        ValueError: a weight is negative, or both are 0, or z_dim, y_dim or x_dim < 1; in the
            methods, an argument of another shape than said.
    """

    def __init__(
        self,
        nn: str = "v1",
        name: str = "ssvae",
        gen_weight: float = 1,
        class_weight: float = 100,
        *,
        z_dim: int = 64,
        y_dim: int = 10,
        labeled_elbo: bool = False,
        prune: bool = False,
        x_dim: int = 784,
    ) -> None:
        check_weights(gen_weight, class_weight)
        super().__init__(name)
        self.z_dim, self.y_dim, self.x_dim = z_dim, y_dim, x_dim
        self.gen_weight, self.class_weight = gen_weight, class_weight
        self.labeled_elbo, self.prune = labeled_elbo, prune
        networks = nns.version(nn)
        self.enc: nns.v1.Encoder = networks.Encoder(z_dim, y_dim, **sized(x_dim))
        self.dec: nns.v1.Decoder = networks.Decoder(z_dim, y_dim, **sized(x_dim))
        self.cls: nns.v1.Classifier = networks.Classifier(y_dim, **sized(x_dim))
        self._init_prior()

    def posterior(self, x: torch.Tensor, y: torch.Tensor) -> DiagonalGaussian:
        """q(z|x, y): (B, D), one-hot (…, B or 1, Y) → a `DiagonalGaussian` over (…, B, Z)."""
        return DiagonalGaussian(*self.enc(x, y))

    def likelihood(self, z: torch.Tensor, y: torch.Tensor) -> Bernoulli:
        """p(x|z, y): (…, B, Z), one-hot (…, B or 1, Y) → a `Bernoulli` over (…, B, D)."""
        return Bernoulli(self.dec(z, y))

    def label_posterior(self, x: torch.Tensor) -> Categorical:
        """q(y|x): (B, D) → a `Categorical` over (B, Y)."""
        return Categorical(self.cls(x))

    def networks(self) -> dict[str, Sequential]:
        """Encoder, decoder and classifier, the last two with the probabilities as outputs."""
        return {
            "encoder": self.enc.net,
            "decoder": Sequential(*self.dec.net, Sigmoid()),
            "classifier": Sequential(*self.cls.net, Softmax(-1)),
        }
