"""The semi-supervised VAE, model M2 of Kingma et al. (2014)."""

import math

import torch
from torch.nn import functional as F

from codebase import utils as ut
from codebase.models import nns
from codebase.models.vae import StandardNormalPrior


class SSVAE(StandardNormalPrior):
    """A label and a Gaussian latent vector per image; most labels are unknown.

        y ~ Categorical(1/Y)                           label        (Y,) one-hot
        z ~ N(0, I)                                    latent       (Z,)
        x ~ Π_j Bernoulli(logits = dec(z, y)_j)        likelihood   (784,)
        q(y|x) = Categorical(logits = cls(x))          classifier   (Y,)
        q(z|x, y) = N(m, diag v),  m, v = enc(x, y)    posterior    (Z,)

    Costs are in nats, summed over dimensions and averaged over the images of a minibatch. The
    expectation over q(y|x) is exact: every image (B, 784) meets every label (Y, 1, Y) by
    broadcasting, labels outermost. A trained classifier leaves most labels less than a float can
    tell from nothing; with `prune` an image meets only the others.

    Args:
        nn: version of the networks, a module of codebase.models.nns.
        name: names the checkpoint folder.
        gen_weight: weight of the mean −ELBO in the loss; at 0 encoder and decoder are not run.
        class_weight: weight of the mean cross-entropy of the labelled images.
        z_dim, y_dim: Z and Y.
        labeled_elbo: train on ELBO(x, y) of the labelled pairs too, as Kingma et al. do.
        prune: leaves out a label with q(y|x) < eps/10, 1.2e-8 in float32. All that are left out
            weigh less than the rounding of the sum. Tensors then have data-dependent shapes, which
            neither a CUDA graph nor a stack of models can have.
    Raises:
        ValueError: a weight is negative, z_dim or y_dim < 1; in the methods, an argument of
            another shape than said.
    """

    def __init__(
        self,
        nn="v1",
        name="ssvae",
        gen_weight=1,
        class_weight=100,
        *,
        z_dim=64,
        y_dim=10,
        labeled_elbo=False,
        prune=False,
    ):
        if not (gen_weight >= 0 and class_weight >= 0):
            raise ValueError(
                f"gen_weight and class_weight must be at least 0, got {gen_weight}, {class_weight}"
            )
        super().__init__()
        self.name, self.z_dim, self.y_dim = name, z_dim, y_dim
        self.gen_weight, self.class_weight = gen_weight, class_weight
        self.labeled_elbo, self.prune = labeled_elbo, prune
        networks = getattr(nns, nn)
        self.enc = networks.Encoder(z_dim, y_dim)
        self.dec = networks.Decoder(z_dim, y_dim)
        self.cls = networks.Classifier(y_dim)
        self._init_prior()

    # Bounds

    def negative_elbo_terms_given(self, x, y):
        """(kl_z, rec) of each image with its label known, one sample z ~ q(z|x, y).

        Args:
            x: (B, 784) in {0, 1}.
            y: one-hot labels (…, B or 1, Y), which broadcast against the images.
        Returns:
            kl_z, rec: (…, B) each.
        """
        m, v = self.enc(x, y)
        z = ut.sample_gaussian(m, v)
        return ut.kl_normal(m, v, *self.z_prior), -ut.log_bernoulli_with_logits(x, self.dec(z, y))

    def negative_elbo_terms(self, x):
        """(kl_z, kl_y, rec) of each image, (B,) each, the label summed out."""
        log_q = F.log_softmax(self.cls(x), dim=-1)  # (B, Y)
        q = log_q.exp()
        kl_z, rec = self._terms_by_label(x, q)  # (B, Y)
        return (q * kl_z).sum(-1), ut.kl_cat(q, log_q, -math.log(self.y_dim)), (q * rec).sum(-1)

    def _terms_by_label(self, x, q):
        """(kl_z, rec) of each image with each label, (B, Y) each; 0 for a label that is pruned."""
        if self.prune:
            pairs = (q > torch.finfo(q.dtype).eps / 10).nonzero()  # (P, 2)
            if 2 * len(pairs) < q.numel():  # with most pairs, those that share an image save more
                # Few sizes: bf16 products of a new one are compiled first, which takes 10 ms.
                image, label = F.pad(pairs, (0, 0, 0, -len(pairs) % 32)).T
                terms = self.negative_elbo_terms_given(x[image], F.one_hot(label, self.y_dim).to(x))
                return [torch.zeros_like(q).index_put((*pairs.T,), t[: len(pairs)]) for t in terms]
        labels = torch.eye(self.y_dim, dtype=x.dtype, device=x.device).unsqueeze(1)  # (Y, 1, Y)
        return [term.T for term in self.negative_elbo_terms_given(x, labels)]  # from (Y, B)

    def negative_elbo_bound(self, x):
        """−ELBO(x) = KL(q(y|x) ‖ p(y)) + E_q(y|x) {KL(q(z|x,y) ‖ p(z)) − E_q(z|x,y) log p(x|z,y)}.

        Args:
            x: (B, 784) in {0, 1}.
        Returns:
            nelbo, kl_z, kl_y, rec: scalars, averaged over the batch.
        """
        kl_z, kl_y, rec = (term.mean() for term in self.negative_elbo_terms(x))
        return kl_z + kl_y + rec, kl_z, kl_y, rec

    def negative_elbo_bound_given(self, x, y):
        """−ELBO(x, y) = KL(q(z|x, y) ‖ p(z)) − E_q[log p(x|z, y)] − log p(y), a scalar.

        Args:
            x: (B, 784) in {0, 1}.
            y: (B, Y) one-hot.
        """
        kl_z, rec = self.negative_elbo_terms_given(x, y)
        return (kl_z + rec).mean() + math.log(self.y_dim)

    def classification_cross_entropy(self, x, y):
        """−log q(y|x), averaged over the batch: (B, 784), one-hot (B, Y) → a scalar."""
        logits = self.cls(x)
        if y.shape != logits.shape:
            raise ValueError(f"y must have shape {tuple(logits.shape)}, got {tuple(y.shape)}")
        return F.cross_entropy(logits, y)

    def loss(self, x, xl, yl):
        """gw · mean[−ELBO(x)] + cw · mean[−log q(yl|xl)], to be minimized, and summaries to log.

        With labeled_elbo, gw also weighs mean[−ELBO(xl, yl)], and cw plays the part of α.

        Args:
            x: (B, 784) unlabelled images in {0, 1}.
            xl, yl: (L, 784) and one-hot (L, Y), the labelled pairs.
        """
        if yl.shape != (len(xl), self.y_dim):
            raise ValueError(
                f"xl and yl must be (L, 784) and (L, {self.y_dim}), "
                f"got {tuple(xl.shape)} and {tuple(yl.shape)}"
            )
        ce = self.classification_cross_entropy(xl, yl)
        loss = self.class_weight * ce
        summaries = {"class/ce": ce}
        if self.gen_weight != 0:
            nelbo, kl_z, kl_y, rec = self.negative_elbo_bound(x)
            loss = loss + self.gen_weight * nelbo
            summaries |= {"gen/elbo": -nelbo, "gen/kl_z": kl_z, "gen/kl_y": kl_y, "gen/rec": rec}
            if self.labeled_elbo:
                nelbo_xy = self.negative_elbo_bound_given(xl, yl)
                loss = loss + self.gen_weight * nelbo_xy
                summaries["gen/elbo_labeled"] = -nelbo_xy
        return loss, {"train/loss": loss} | summaries

    # Sampling

    def compute_sigmoid_given(self, z, y):
        """Pixel probabilities p(x_j = 1|z, y): (B, Z), one-hot (B, Y) → (B, 784)."""
        return torch.sigmoid(self.dec(z, y))

    def sample_x_given(self, z, y):
        """Binary images from p(x|z, y): (B, Z), one-hot (B, Y) → (B, 784)."""
        return torch.bernoulli(self.compute_sigmoid_given(z, y))
