"""The variational autoencoder (Kingma & Welling, 2014), with β (Higgins et al., 2017)."""

import torch
from torch import nn

from codebase import utils as ut
from codebase.models import nns

CHUNK = 1_000  # images decoded at once by the IWAE bound: 3 MB of logits, 20 MB of mixture terms


class StandardNormalPrior(nn.Module):
    """z ~ N(0, I) with self.z_dim dimensions; every checkpoint carries its two constants."""

    def _init_prior(self):
        self.z_prior_m = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.z_prior_v = nn.Parameter(torch.ones(1), requires_grad=False)

    @property
    def z_prior(self):
        """The prior's mean and variance, (1,) each."""
        return self.z_prior_m, self.z_prior_v

    def log_prior(self, z):
        """log p(z): (…, Z) → (…)."""
        return ut.log_normal(z, *self.z_prior)

    def sample_z(self, batch):
        """Latents from the prior, (batch, Z)."""
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        m, v = self.z_prior
        shape = batch, self.z_dim
        return ut.sample_gaussian(m.expand(shape), v.expand(shape))


class VAE(StandardNormalPrior):
    """One Gaussian latent vector per image.

        z ~ N(0, I)                              prior          (Z,)
        x ~ Π_j Bernoulli(logits = dec(z)_j)     likelihood     (784,)
        q(z|x) = N(m, diag v),  m, v = enc(x)    posterior      (Z,)

    Bounds and their terms are in nats, summed over dimensions and averaged over the images of a
    minibatch, with the sign of a cost: smaller is better, and negative_elbo_bound is kl + rec.

    Args:
        nn: version of the networks, a module of codebase.models.nns.
        name: names the checkpoint folder.
        z_dim: Z, the number of latent dimensions.
        beta: weight of kl in the training loss, rec + β·kl. Reported bounds are always β = 1.
    Raises:
        ValueError: z_dim < 1 or beta < 0; in the methods, an argument of another shape than said.
    """

    def __init__(self, nn="v1", name="vae", z_dim=2, beta=1.0):
        if not beta >= 0:
            raise ValueError(f"beta must be at least 0, got {beta}")
        super().__init__()
        self.name, self.z_dim, self.beta = name, z_dim, beta
        networks = getattr(nns, nn)
        self.enc = networks.Encoder(z_dim)
        self.dec = networks.Decoder(z_dim)
        self._init_prior()

    # With the prior, a base class, the three choices a VAE makes: another posterior or likelihood
    # goes here, another prior as in gmvae.py.

    def posterior(self, x):
        """Mean and variance of q(z|x): (B, 784) → (B, Z), (B, Z)."""
        return self.enc(x)

    def log_likelihood(self, x, z):
        """log p(x|z): (B, 784), (…, B, Z) → (…, B)."""
        return ut.log_bernoulli_with_logits(x, self.dec(z))

    def kl(self, z, m, v):
        """KL(q(z|x) ‖ p(z)) of each image, (B,); exact, so the sample z is not looked at."""
        return ut.kl_normal(m, v, *self.z_prior)

    # Bounds

    def negative_elbo_terms(self, x):
        """(kl, rec) of each image, (B,) each, with one sample z ~ q(z|x)."""
        m, v = self.posterior(x)
        z = ut.sample_gaussian(m, v)
        return self.kl(z, m, v), -self.log_likelihood(x, z)

    def negative_elbo_bound(self, x):
        """−ELBO(x) = KL(q(z|x) ‖ p(z)) − E_q[log p(x|z)], with one sample z ~ q(z|x).

        Args:
            x: (B, 784) in {0, 1}.
        Returns:
            nelbo, kl, rec: scalars, averaged over the batch.
        """
        kl, rec = (term.mean() for term in self.negative_elbo_terms(x))
        return kl + rec, kl, rec

    def negative_iwae_bound(self, x, iw):
        """−log 1/M Σ_i w_i,  w_i = p(x, z_i) / q(z_i|x),  z_i ~ q(z|x)  (Burda et al., 2016).

        Without gradients its memory does not grow with M but for the samples themselves, drawn at
        once: some 12 KB an importance sample for 100 images and Z = 10.

        Args:
            x: (B, 784) in {0, 1}.
            iw: M ≥ 1, the number of importance samples.
        Returns:
            niwae, kl, rec: scalars, averaged over the batch. kl and rec are the means over the
            samples of log q(z|x)/p(z) and −log p(x|z), so niwae = kl + rec at M = 1.
        Raises:
            ValueError: iw < 1.
        """
        if iw < 1:
            raise ValueError(f"iw is the number of importance samples, at least 1; got {iw}")
        m, v = self.posterior(x)
        z = ut.sample_gaussian(m.expand(iw, *m.shape), v.expand(iw, *v.shape))  # (M, B, Z)
        # Filled in place: small results kept between the large temporaries would leave the heap
        # in pieces, too short for the next ones, and the process would grow with M after all.
        kl, rec = z.new_empty(z.shape[:2]), z.new_empty(z.shape[:2])  # (M, B)
        step = max(CHUNK // len(x), 1)
        for i in range(0, iw, step):
            part = z[i : i + step]
            kl[i : i + step] = ut.log_normal(part, m, v) - self.log_prior(part)
            rec[i : i + step] = -self.log_likelihood(x, part)
        niwae = -ut.log_mean_exp(-(kl + rec), dim=0)
        return niwae.mean(), kl.mean(), rec.mean()

    def loss(self, x):
        """rec + β·kl, to be minimized, and the summaries to log.

        Args:
            x: (B, 784) in {0, 1}.
        """
        nelbo, kl, rec = self.negative_elbo_bound(x)
        loss = rec + self.beta * kl
        summaries = {"train/loss": loss, "gen/elbo": -nelbo, "gen/kl_z": kl, "gen/rec": rec}
        return loss, summaries

    # Sampling

    def compute_sigmoid_given(self, z):
        """Pixel probabilities p(x_j = 1|z): (B, Z) → (B, 784)."""
        return torch.sigmoid(self.dec(z))

    def sample_sigmoid(self, batch):
        """Pixel probabilities at latents from the prior, (batch, 784)."""
        return self.compute_sigmoid_given(self.sample_z(batch))

    def sample_x_given(self, z):
        """Binary images from p(x|z): (B, Z) → (B, 784)."""
        return torch.bernoulli(self.compute_sigmoid_given(z))

    def sample_x(self, batch):
        """Binary images from the model, (batch, 784)."""
        return self.sample_x_given(self.sample_z(batch))
