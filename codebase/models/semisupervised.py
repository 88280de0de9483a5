"""What follows from a prior, a posterior and a likelihood where most labels are unknown."""

import abc
import math
from collections.abc import Callable, Iterable

import torch
from torch.nn import functional as F

from codebase.models.base import Abilities, LatentVariableModel, Loss
from codebase.models.distributions import Categorical, sample_and_kl

Terms = Callable[..., Iterable[torch.Tensor]]  # see `SemiSupervisedModel.expected`


def check_labels(x: torch.Tensor, y: torch.Tensor, y_dim: int) -> None:
    """Raises a ValueError unless y holds a row of Y label probabilities for each image.

    Args:
        x, y: (B, D) images and their labels.
        y_dim: Y.
    """
    if y.shape != (len(x), y_dim) or not y.is_floating_point():
        raise ValueError(
            f"y must be one-hot labels of shape ({len(x)}, {y_dim}), a row of floats for each "
            f"image; got {str(y.dtype).removeprefix('torch.')} of shape {tuple(y.shape)}"
        )


def check_weights(gen_weight: float, class_weight: float) -> None:
    """Raises a ValueError unless both weights of a loss are at least 0, and one is more."""
    if not (gen_weight >= 0 and class_weight >= 0):
        raise ValueError(
            f"gen_weight and class_weight must be at least 0, got {gen_weight}, {class_weight}"
        )
    if gen_weight == class_weight == 0:
        raise ValueError("gen_weight and class_weight are both 0, so no label would be learned")


def _more_than_rounding(q):
    """Which labels weigh more than rounding does in a sum of ten: (B, Y), booleans."""
    return q > torch.finfo(q.dtype).eps / 10


class SemiSupervisedModel(LatentVariableModel):
    """A latent variable model with a label y beside z, summed out where it is not known.

    `posterior(x, y)` and `likelihood(z, y)` take one-hot labels (…, B or 1, Y) that broadcast
    against the images, labels outermost; p(y) = 1/Y. A trained classifier leaves most labels less
    than a float can tell from nothing; with `prune` an image meets only the others.

    Attributes:
        gen_weight: weight of the mean −ELBO in the loss; at 0 only the classifier is run.
        class_weight: weight of the mean cross-entropy of the labelled images.
        labeled_elbo: ELBO(x, y) of the labelled pairs is trained on too.
        prune: leaves out labels that weigh less than rounding does.
        seldom: where labels are pruned, a training step meets those that weigh q less than this
            with probability q / seldom; at 0 it meets them all. At most 1 / Y.
    """

    gen_weight: float = 1
    class_weight: float = 100
    labeled_elbo = False
    prune = False
    seldom = 0.0

    @property
    def abilities(self) -> Abilities:
        """Where the generative terms do not weigh, the classifier alone is trained."""
        if self.gen_weight == 0:
            return Abilities(classifier=True)
        return Abilities(bounds=True, reconstructions=True, samples=True, classifier=True)

    @abc.abstractmethod
    def label_posterior(self, x: torch.Tensor, *drawn: torch.Tensor) -> Categorical:
        """q(y|x), a `Categorical` over (B, Y); of what was drawn first, see `auxiliary`."""

    def auxiliary(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What is drawn for each image before its label, (B, …) each: here nothing."""
        return ()

    @property
    def steps_differ(self) -> bool:
        """Where labels are pruned."""
        return self.prune and self.gen_weight != 0

    def allow_data_dependent_shapes(self) -> None:
        self.prune = True

    def labels(self, like: torch.Tensor) -> torch.Tensor:
        """Every label, one-hot, outermost, to meet every image: (Y, 1, Y)."""
        return torch.eye(self.y_dim, dtype=like.dtype, device=like.device).unsqueeze(1)

    # Bounds

    def negative_elbo_terms_given(
        self, x: torch.Tensor, y: torch.Tensor, *drawn: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(kl_z, rec) of each image with its label known, one sample z ~ q(z|x, y).

        Args:
            x: (B, D).
            y: one-hot labels (…, B or 1, Y), which broadcast against the images.
            drawn: by `auxiliary`; without it, drawn anew.
        Returns:
            kl_z, rec: (…, B) each.
        """
        z, kl_z = sample_and_kl(self.posterior(x, y), self.prior())
        return kl_z, -self.likelihood(z, y).log_prob(x)

    def negative_elbo_terms(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(kl_z, kl_y, rec) of each image, (B,) each, the label summed out."""
        drawn = self.auxiliary(x)
        label = self.label_posterior(x, *drawn)

        def given(y, x, *drawn):
            return self.negative_elbo_terms_given(x, y, *drawn)

        kl_z, rec = self.expected(label.probs, given, x, *drawn)
        return kl_z, label.kl_to_uniform(), rec

    def expected(
        self, q: torch.Tensor, given: Terms, *parts: torch.Tensor
    ) -> Iterable[torch.Tensor]:
        """Σ_y q(y) t_y of each image for every term t that depends on its label: (B,) each.

        Args:
            q: (B, Y).
            given: (y, *parts) → terms (…, B), of one-hot labels (…, B or 1, Y).
            parts: what else the terms depend on, (B, …) each.
        """
        if self.prune and self.training and self.seldom:
            return self._by_chance(q, given, *parts)
        if self.prune:
            pairs = _more_than_rounding(q).nonzero()  # (P, 2)
            if 2 * len(pairs) < q.numel():  # with most pairs, those that share an image save more
                terms = self._of_pairs(pairs, given, *parts)
                zeros = torch.zeros_like(q)
                return [(q * zeros.index_put((*pairs.T,), t)).sum(-1) for t in terms]
        return [(q * t.T).sum(-1) for t in given(self.labels(q), *parts)]  # t: (Y, B)

    def _by_chance(
        self, q: torch.Tensor, given: Terms, *parts: torch.Tensor
    ) -> Iterable[torch.Tensor]:
        """As `expected`, unbiased as its gradients are.

        A label is met with probability r = min(1, q / seldom), and weighs w = q / r then. With the
        likeliest label's own term t* as control variate, Σ_met w t + (1 − Σ_met w) t*, what is
        left to chance are differences between labels only.
        """
        r = (q.detach() / self.seldom).clamp(max=1)
        best = q.argmax(-1, keepdim=True)  # q ≥ 1 / Y ≥ seldom: it is always met
        # torch.rand is 0 now and then, and 1 / r, a slope of w, must not be infinite for that.
        met = (torch.rand_like(r) < r.scatter(-1, best, 1)) & _more_than_rounding(q)
        pairs = met.nonzero()  # (P, 2), image by image
        image, label = pairs.T
        w = q[image, label] / r[image, label]
        left = 1 - torch.zeros_like(q[:, 0]).index_add(0, image, w)

        def summed(term):
            likeliest = term.detach()[label == best[image, 0]]  # (B,)
            return (left * likeliest).index_add(0, image, w * term)

        return [summed(term) for term in self._of_pairs(pairs, given, *parts)]

    def _of_pairs(
        self, pairs: torch.Tensor, given: Terms, *parts: torch.Tensor
    ) -> Iterable[torch.Tensor]:
        """The terms of each pair of an image and a label, numbers (P, 2): (P,) each."""
        # Few sizes: bf16 products of a new one are compiled first, which takes 10 ms.
        image, label = F.pad(pairs, (0, 0, 0, -len(pairs) % 32)).T
        y = F.one_hot(label, self.y_dim).to(parts[0])
        return [term[: len(pairs)] for term in given(y, *(part[image] for part in parts))]

    def negative_elbo_bound(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """−ELBO(x) = KL(q(y|x) ‖ p(y)) + E_q(y|x) {KL(q(z|x,y) ‖ p(z)) − E_q(z|x,y) log p(x|z,y)}.

        Args:
            x: (B, D).
        Returns:
            nelbo, kl_z, kl_y, rec: scalars, averaged over the batch.
        """
        kl_z, kl_y, rec = (term.mean() for term in self.negative_elbo_terms(x))
        return kl_z + kl_y + rec, kl_z, kl_y, rec

    def importance_terms(self, x: torch.Tensor, samples: int) -> tuple[torch.Tensor, ...]:
        """As for any model, of M samples for each label, which the prior weighs alike: (M·Y, B)."""
        terms = super().importance_terms(x, samples, self.labels(x))  # (M, Y, B)
        return tuple(term.flatten(0, 1) for term in terms)

    def negative_elbo_bound_given(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """−ELBO(x, y) = KL(q(z|x, y) ‖ p(z)) − E_q[log p(x|z, y)] − log p(y), a scalar.

        Args:
            x: (B, D) in {0, 1}.
            y: (B, Y) one-hot.
        """
        kl_z, rec = self.negative_elbo_terms_given(x, y)
        return (kl_z + rec).mean() + math.log(self.y_dim)

    # Training

    def classification_cross_entropy(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """−log q(y|x), averaged over the batch: (B, D), one-hot (B, Y) → a scalar."""
        logits = self.label_posterior(x, *self.auxiliary(x)).logits
        if y.shape != logits.shape:
            raise ValueError(f"y must have shape {tuple(logits.shape)}, got {tuple(y.shape)}")
        return F.cross_entropy(logits, y)

    def loss(self, x: torch.Tensor, xl: torch.Tensor, yl: torch.Tensor) -> Loss:
        """gw · mean[−ELBO(x)] + cw · mean[−log q(yl|xl)], to be minimized, and summaries to log.

        With labeled_elbo, gw also weighs mean[−ELBO(xl, yl)], and cw plays the part of α.

        Args:
            x: (B, D) unlabelled images in {0, 1}.
            xl, yl: (L, D) and one-hot (L, Y), the labelled pairs.
        """
        if yl.shape != (len(xl), self.y_dim):
            raise ValueError(
                f"xl and yl must be (L, D) and (L, {self.y_dim}), "
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

    def sample_y(self, batch: int) -> torch.Tensor:
        """Labels from the prior, one-hot (batch, Y)."""
        y = torch.randint(self.y_dim, (batch,), device=self.steps_taken.device)
        return F.one_hot(y, self.y_dim).float()

    def sample_sigmoid(self, batch: int) -> torch.Tensor:
        """Mean pixels at z and y from their priors, (batch, D)."""
        return self.compute_sigmoid_given(self.sample_z(batch), self.sample_y(batch))

    def sample_x(self, batch: int) -> torch.Tensor:
        """Images from the model, (batch, D)."""
        return self.sample_x_given(self.sample_z(batch), self.sample_y(batch))
