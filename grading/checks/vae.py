"""Item 1.2: VAE.negative_elbo_bound(x) → nelbo, kl, rec."""

import numpy as np

from grading import oracles
from grading.checks import bounds, terms
from grading.checks.base import Check, Finding, Group, numbers, once
from grading.checks.bounds import BoundLab, Expected
from grading.checks.iwae import iwae
from grading.messages import Note


class VaeLab(BoundLab):
    """Questions to the VAE."""

    model, arguments = "VAE", {"z_dim": 4}

    @once
    def expected(self, scene, n):
        m, v = self.posterior(scene, n)
        z, rec = self.drawn(scene, n)
        samples = oracles.log_normal(z, m, v) - self.log_prior(scene, z)
        return {"kl": self.kl(scene, n, samples), "rec": Expected.of(rec)}

    def kl(self, scene, n, samples):
        """The KL term: exact, with the spread of its one-sample estimate."""
        spread = Expected.of(samples).spread
        return Expected(oracles.kl_normal(*self.posterior(scene, n)).mean(), 0.0, spread, spread)

    def log_prior(self, scene, z):
        """log p(z): (…, Z) → (…)."""
        return oracles.log_normal(z, 0.0, np.ones(z.shape[-1]))

    def priors(self):
        """Parameters of a learned prior: none."""
        return {}


def kl(lab):
    """KL(q(z|x) ‖ N(0, I)), in closed form or as an unbiased estimate."""

    def wrong(lab, scene):
        rec = lab.expected(scene, lab.images)["rec"]
        yield "cause.swapped", rec.mean, rec.error
        yield from terms.wrong_kls(*lab.posterior(scene, lab.images))

    return terms.term_check(lab, "kl", wrong, either=True, scenes=("noisy",))


def rec(lab):
    """−E_q log p(x|z), by one sample z ~ q(z|x)."""
    return terms.rec_check(lab, terms.rec_causes)


def stability(lab):
    """A decoder that is sure of itself: pixels whose probability is 0 or 1 in float32."""
    got = lab.answers("extreme", lab.images, 1)["rec"][0]
    want = lab.expected("extreme", lab.images)["rec"].mean
    # The sign, the kind of mean and the z that it is taken at are judged elsewhere.
    sizes = (want / bounds.PIXELS, *(want * scale for scale in bounds.sizes(lab, lab.images)))
    if any(abs(abs(got) - size) <= 0.1 * size for size in sizes):
        return Finding(True)
    elsewhere = rec(lab)
    cause = Note("cause.no_logits") if elsewhere.passed else elsewhere.cause
    return Finding(False, numbers(want, got), cause)


GROUP = Group(
    "VAE",
    "1.2",
    VaeLab,
    (
        Check("VAE.scalars", 1, bounds.scalars),
        Check("VAE.total", 1, bounds.total),
        Check("VAE.kl", 2, kl),
        Check("VAE.rec", 2, rec),
        Check("VAE.minibatch", 1, bounds.minibatch),
        Check("VAE.stability", 1, stability),
        Check("VAE.gradient", 1, bounds.gradient),
        Check("VAE.iwae", 0, iwae),
    ),
    needs=("sample_gaussian", "log_normal", "log_normal_mixture"),
)
