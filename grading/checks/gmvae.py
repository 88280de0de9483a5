"""Item 2.1, second half: GMVAE.negative_elbo_bound(x) → nelbo, kl, rec."""

import numpy as np

from grading import oracles
from grading.checks import bounds, terms
from grading.checks.base import Check, Finding, Group, numbers, single
from grading.checks.bounds import Expected
from grading.checks.iwae import iwae
from grading.checks.vae import VaeLab, rec
from grading.failures import Failure
from grading.messages import Note

COMPONENTS = 6


class GmvaeLab(VaeLab):
    """Questions to the GMVAE, whose prior is a parameter of the model."""

    model, arguments = "GMVAE", {"z_dim": 4, "k": COMPONENTS}

    def priors(self):
        name = self._prior_name(self.initial())
        return {name: name}

    def _prior_name(self, state):
        """The parameter that holds the mixture: z_pre, (1, 2K, Z)."""
        for name, a in state.items():
            if a.ndim == 3 and a.shape[:2] == (1, 2 * COMPONENTS):
                return name
        raise Failure(Note("no_z_pre"))

    def arrange(self, scene, state):
        name = self._prior_name(state)
        # Away from 0, so that N(0, I) is another prior.
        m = self.rng.normal(size=(1, COMPONENTS, state[name].shape[2])) * 1.5 + 2
        v = np.exp(self.rng.uniform(np.log(0.3), np.log(1.5), m.shape))
        state[name] = np.concatenate([m, np.log(np.expm1(v))], axis=1)
        if scene == "aligned":
            self.align(state, name)
        if scene == "matched":
            self.match(state, name)

    def align(self, state, name):
        """Put the mixture where a sample's log p(z) tells its −log p(x|z).

        Far from the posterior's mean in the direction in which −log p(x|z) rises, log p(z) is all
        but linear in the same coordinate. So a KL estimate and a reconstruction that share z go
        together, and two that do not, do not.
        """
        m, v = self.posterior("noisy", 1)
        z, rec = self.drawn("noisy", 1)
        e = ((z - m) / np.sqrt(v))[:, 0]  # (M, Z)
        direction = np.linalg.lstsq(np.c_[e, np.ones(len(e))], rec[:, 0], rcond=None)[0][:-1]
        direction /= np.linalg.norm(direction)
        # Away from the rise, so that far means improbable: −log p(z) rises with −log p(x|z).
        place = m[0] - 12 * direction * np.sqrt(v[0])
        noise = self.rng.normal(size=(COMPONENTS, len(place))) * 0.1
        width = np.log(np.expm1(np.broadcast_to(2 * v[0], noise.shape)))
        state[name] = np.concatenate([place + noise, width])[None]
        self._as_noisy(state)

    def match(self, state, name):
        """Make every component the posterior of an image: the KL is then 0 at whatever z of it.

        Where log q is taken at one z and log p at another, it is 0 on average only.
        """
        m, v = self.posterior("noisy", 1)
        width = np.log(np.expm1(v))
        state[name] = np.concatenate([m] * COMPONENTS + [width] * COMPONENTS)[None]
        self._as_noisy(state)

    def _as_noisy(self, state):
        """Give the encoder the bias that it has in the scene of that name."""
        enc, noisy = self.last_bias("enc", state), self.weights("noisy")
        if enc:
            state[enc] = noisy[enc]

    def log_prior(self, scene, z):
        state = self.weights(scene)
        pre = single(state[self._prior_name(state)][0])
        m, v = pre[:COMPONENTS], oracles.softplus(pre[COMPONENTS:]) + 1e-8
        return oracles.log_normal_mixture(z, m, v)

    def kl(self, scene, n, samples):
        """The KL term: known from samples only."""
        return Expected.of(samples)


def kl(lab):
    """log q(z|x) − log p(z) at a sample z ~ q(z|x), on average."""

    def wrong(lab, scene):
        n = lab.images
        want, rec = (lab.expected(scene, n)[term] for term in ("kl", "rec"))
        m, v = lab.posterior(scene, n)
        z, _ = lab.drawn(scene, n)
        log_q, log_p = oracles.log_normal(z, m, v), lab.log_prior(scene, z)
        at_m = oracles.log_normal(m, m, v) - lab.log_prior(scene, m)
        yield "cause.swapped", rec.mean, rec.error
        yield "cause.sign", -want.mean, want.error
        yield "cause.standard_normal_prior", oracles.kl_normal(m, v).mean(), 0.0
        yield "cause.log_k_missing", want.mean - np.log(COMPONENTS), want.error
        for key, samples in (
            ("no_log_q", -log_p), ("no_log_p", log_q),
            ("v_as_s", oracles.log_normal(z, m, v**2) - log_p),
        ):  # fmt: skip
            found = Expected.of(samples)
            yield f"cause.{key}", found.mean, found.error
        yield "cause.no_sampling", at_m.mean(), 0.0

    return terms.term_check(lab, "kl", wrong, scenes=("noisy",))


def same_sample(lab):
    """The KL estimate and the reconstruction are taken at the same z."""
    calls, n = 160, 1
    state = lab.weights("aligned")
    m, v = lab.posterior("noisy", n)
    z, rec_ = lab.drawn("noisy", n)
    kl_ = oracles.log_normal(z, m, v) - lab.log_prior("aligned", z)
    want = np.corrcoef(kl_[:, 0], rec_[:, 0])[0, 1]
    if not want > 0.7:
        return Finding(True, remarks=(Note("not_judged"),))
    # Two copies: a batch of one is another check's matter.
    twice = np.repeat(lab.x(n), lab.assumed() or 2, axis=0)
    _, found, _ = lab.bound(state, twice, calls)
    a, b = (found[term].reshape(calls, -1).mean(axis=1) for term in ("kl", "rec"))
    if lab.reseeded():
        return Finding(True)  # that has been charged
    if not (a.std() > 0 and b.std() > 0):
        return Finding(False, Note("no_spread"), Note("cause.no_sampling"))
    got = np.corrcoef(a, b)[0, 1]
    # Another z only where each of the two is right by itself.
    right = kl(lab).passed and rec(lab).passed
    if abs(got) >= want / 2:
        return _both_at_one(lab, n) if right else Finding(True)
    seen = Note("correlation", then=numbers(want, got))
    return Finding(False, seen, Note("cause.other_sample") if right else None)


def _both_at_one(lab, n):
    """Whether log q and log p are taken at one z: see `GmvaeLab.match`."""
    twice = np.repeat(lab.x(n), lab.assumed() or 2, axis=0)
    _, found, _ = lab.bound(lab.weights("matched"), twice, 32)
    got = found["kl"].reshape(32, -1).mean(axis=1).std()
    if got <= 0.05:
        return Finding(True)
    return Finding(False, Note("spread_of_kl", spread=f"{got:.3g}"), Note("cause.other_sample"))


GROUP = Group(
    "GMVAE",
    "2.1",
    GmvaeLab,
    (
        Check("GMVAE.scalars", 1, bounds.scalars),
        Check("GMVAE.total", 1, bounds.total),
        Check("GMVAE.kl", 2, kl),
        Check("GMVAE.same_sample", 1, same_sample),
        Check("GMVAE.rec", 2, rec),
        Check("GMVAE.minibatch", 1, bounds.minibatch),
        Check("GMVAE.gradient", 1, bounds.gradient),
        Check("GMVAE.iwae", 0, iwae),
    ),
    needs=("sample_gaussian", "log_normal", "log_normal_mixture", "VAE"),
)
