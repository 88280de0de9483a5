"""A trained model looked at through its test set: codes, kl, likelihoods, computed once."""

import math
from functools import cached_property

import torch

from codebase import utils as ut
from codebase.data import subsets
from codebase.data.batches import CLASSES, binarize, grey, one_hot, seeded_generator
from codebase.engine.randomness import seeded
from codebase.evaluation.bounds import CHUNK
from codebase.evaluation.classifier import predictions
from codebase.figures import analysis

IMAGES = 100  # images whose importance samples are decoded at once


class Study:
    """What the figures of one model are made from, whichever of the three it is.

    An image's *code* is what it is redrawn from: the mean of q(z|x); with an SSVAE the mean of
    q(z|x, ŷ) followed by ŷ, the likeliest label, one-hot. Codes can be blended and decoded.

    Args:
        model: a VAE, GMVAE or SSVAE.
        dataset: as `datasets.load` gives it, on the model's device.
        name: the run's.
        seed: of every random draw.
        others: {name: uint8 (N, 784)}, other datasets' test images, as outliers.
    """

    def __init__(self, model, dataset, name, seed=0, others=None):
        self.model, self.dataset, self.name, self.seed = model, dataset, name, seed
        self.others = others or {}
        self.labelled = hasattr(model, "cls")
        self.mixture = hasattr(model, "k")
        # An SSVAE with gw = 0 has trained its classifier only.
        self.generative = not self.labelled or model.gen_weight > 0
        self.z_dim = model.z_dim
        self.y_dim = model.y_dim if self.labelled else 0
        self.device = dataset.test_x.device

    @property
    def kind(self):
        """vae, gmvae or ssvae."""
        return type(self.model).__name__.lower()

    @property
    def settings(self):
        """What runs of one kind may differ in: z, k and beta; None where there is none."""
        return {
            "z": self.z_dim,
            "k": getattr(self.model, "k", None),
            "beta": getattr(self.model, "beta", None),
        }

    @cached_property
    def x(self):
        """The test images, binarized once: (N, 784)."""
        return subsets.binarized_test(self.dataset)

    @cached_property
    def y(self):
        """Their labels, (N,), on the CPU."""
        return self.dataset.test_y.cpu()

    def seeded(self):
        """No gradients, and the study's seed, for a block."""
        return seeded(self.seed)

    def positions(self, n, each=False):
        """Positions of n test images drawn without replacement; `each`: n of every class, in order.

        Returns:
            (min(n, N),), or (classes, n) with the first n of each class that has as many.
        """
        if each:
            rows = [(self.y == c).nonzero().flatten()[:n] for c in range(CLASSES)]
            return torch.stack([row for row in rows if len(row) == n])
        return torch.randperm(len(self.y), generator=seeded_generator(self.seed))[:n].sort().values

    # Codes

    @torch.no_grad()
    def encode(self, x):
        """The images' codes: (B, 784) → (B, Z) or, with labels, (B, Z + Y)."""
        if not self.labelled:
            return self.model.enc(x)[0]
        y = one_hot(self.model.cls(x).argmax(-1))
        return torch.cat([self.model.enc(x, y)[0], y], dim=-1)

    @torch.no_grad()
    def decode(self, code):
        """Pixel probabilities at codes: (…, Z) or (…, Z + Y) → (…, 784)."""
        return self.model.compute_sigmoid_given(*self._parts(code))

    def _parts(self, code):
        return code.split([self.z_dim, self.y_dim], dim=-1) if self.labelled else (code,)

    def blend(self, a, b, t, spherical=False):
        """The code at t of the way from a to b; spherical: along the arc in z (see `slerp`)."""
        if not spherical:
            return analysis.lerp(a, b, t)
        (z_a, *y_a), (z_b, *y_b) = self._parts(a), self._parts(b)
        straight = [analysis.lerp(*pair, t) for pair in zip(y_a, y_b, strict=True)]
        return torch.cat([analysis.slerp(z_a, z_b, t), *straight], dim=-1)

    def with_every_label(self, z):
        """Codes that join each z with each label: (B, Z) → (B, Y, Z + Y)."""
        labels = torch.eye(self.y_dim, device=z.device)
        shape = len(z), self.y_dim
        return torch.cat([z.unsqueeze(1).expand(*shape, -1), labels.expand(*shape, -1)], dim=-1)

    def sample(self, n):
        """Codes from the prior, of z and of y: (n, Z) or (n, Z + Y)."""
        with self.seeded():
            z = self.model.sample_z(n)
            if not self.labelled:
                return z
            y = torch.randint(self.y_dim, (n,), device=z.device)
            return torch.cat([z, one_hot(y)], dim=-1)

    def draw(self, probabilities):
        """Binary pixels drawn with these probabilities."""
        with self.seeded():
            return torch.bernoulli(probabilities)

    @cached_property
    def codes(self):
        """The test images' codes, (N, Z) or (N, Z + Y)."""
        return torch.cat([self.encode(part) for part in self.x.split(CHUNK)])

    @property
    def means(self):
        """The z of the codes, (N, Z)."""
        return self.codes[:, : self.z_dim]

    @cached_property
    def prior(self):
        """The prior's components, means and variances: (K, Z) each; K = 1 for N(0, I)."""
        m, v = (t.detach() for t in self.model.z_prior)
        return (m[0], v[0]) if self.mixture else (m.expand(1, self.z_dim), v.expand(1, self.z_dim))

    @cached_property
    def components(self):
        """The mixture component p(k|z) prefers at each test image's posterior mean, (N,)."""
        m, v = self.prior
        return analysis.nearest_component(self.means, m.unsqueeze(0), v.unsqueeze(0)).cpu()

    @cached_property
    def log_q(self):
        """log q(y|x) of the test images, (N, Y); grey, as the protocol feeds the classifier."""
        return predictions(self.model, grey(self.dataset.test_x))

    # What the code costs

    @cached_property
    def kl(self):
        """The test images' kl in nats, split: by dimension (N, Z), and of the discrete choice (N,).

        The choice is that of a mixture's component or of a label, and 0 where there is none. All
        sums to the kl of the bound: of one sample z for a mixture, exact otherwise.
        """
        with self.seeded():
            parts = [self._kl_terms(part) for part in self.x.split(CHUNK)]
        by_dimension, choice = zip(*parts, strict=True)
        return torch.cat(by_dimension).cpu(), torch.cat(choice).cpu()

    def _kl_terms(self, x):
        if self.labelled:
            labels = torch.eye(self.y_dim, device=x.device).unsqueeze(1)  # (Y, 1, Y)
            log_q = self.model.cls(x).log_softmax(-1)
            m, v = self.model.enc(x, labels)  # (Y, B, Z)
            kl = torch.einsum("by,ybz->bz", log_q.exp(), analysis.kl_per_dimension(m, v))
            return kl, ut.kl_cat(log_q.exp(), log_q, -math.log(self.y_dim))
        m, v = self.model.enc(x)
        if self.mixture:
            z = ut.sample_gaussian(m, v)
            return analysis.mixture_kl_terms(z, m, v, *self.model.z_prior)
        return analysis.kl_per_dimension(m, v), m.new_zeros(len(x))

    def log_likelihood(self, x, samples=None):
        """log p(x) of each image, (B,), in nats: log 1/M Σ_i p(x, z_i) / q(z_i|x), z_i ~ q(z|x).

        The importance-weighted bound of Burda et al. (2016), too low on average by an amount that
        vanishes as M grows. An SSVAE takes M samples for each label and averages over the labels.

        Args:
            x: (B, 784) in {0, 1}.
            samples: M ≥ 1; None: 50, or 20 for each label.
        """
        samples = samples or (20 if self.labelled else 50)
        with self.seeded():
            parts = [self._log_mean_weight(part, samples) for part in x.split(IMAGES)]
        return torch.cat(parts).cpu()

    def _log_mean_weight(self, x, samples):
        labels = [torch.eye(self.y_dim, device=x.device).unsqueeze(1)] if self.labelled else []
        m, v = self.model.enc(x, *labels)  # (B, Z) or (Y, B, Z)
        weights = []
        for _ in range(samples):
            z = ut.sample_gaussian(m, v)
            rec = ut.log_bernoulli_with_logits(x, self.model.dec(z, *labels))
            weights.append(rec + self.model.prior().log_prob(z) - ut.log_normal(z, m, v))
        return ut.log_mean_exp(torch.stack(weights).view(-1, len(x)), dim=0)  # labels weigh 1/Y

    @cached_property
    def likelihoods(self):
        """Positions of 1,000 test images and their log p(x): (n,), (n,)."""
        at = self.positions(1_000)
        return at, self.log_likelihood(self.x[at])

    @cached_property
    def outliers(self):
        """Images of other kinds, binary, by name: {name: (n, 784)}.

        Test images turned by a quarter; noise that draws every pixel on its own, with the mean
        that pixel has over the test set; and what other datasets there are.
        """
        with self.seeded():
            mean = self.x.mean(0).expand(500, -1)
            noise = torch.bernoulli(mean)
        turned = self.x[self.positions(500)].view(-1, 28, 28).rot90(dims=(1, 2)).flatten(1)
        found = {"turned by 90°": turned, "noise of the same pixel means": noise}
        for name, x in self.others.items():
            drawn = binarize(x.cpu()[:500], seeded_generator(self.seed))
            found[name] = drawn.to(self.device)
        return found
