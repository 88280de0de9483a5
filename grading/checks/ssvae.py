"""Item 3.2: SSVAE.negative_elbo_bound(x) → nelbo, kl_z, kl_y, rec."""

import numpy as np

from grading import oracles
from grading.checks import bounds
from grading.checks.base import Check, Finding, Group, numbers, once, single
from grading.checks.bounds import FLOAT, PIXELS, BoundLab, Expected, term_check
from grading.failures import Failure
from grading.messages import Note
from grading.significance import limit

LABELS = 10


class SsvaeLab(BoundLab):
    """Questions to the SSVAE. Per-label quantities are (…, B, 10)."""

    model, terms = "SSVAE", ("nelbo", "kl_z", "kl_y", "rec")
    calls, samples, images = 40, 24, 3

    def arrange(self, scene, state):
        # A label is one input among 794, or 74: as initialized, it would hardly matter.
        for network, factor in (("enc", 12.0), ("dec", 4.0)):
            for name, a in state.items():
                if a.ndim == 2 and name.startswith(f"{network}.") and a.shape[1] > LABELS:
                    a[:, -LABELS:] *= factor
                    break
        last = self.last_bias("cls", state)
        if last and scene == "extreme":
            state[last][:] = 0
            state[last][3] = 300  # every other label has probability 0 in float32

    def priors(self):
        return {}

    @once
    def log_q(self, scene, n):
        """log q(y|x), (B, 10)."""
        classes = self.networks(self.weights(scene), "cls", x=self.x(n))["classes"]
        if classes.shape != (n, LABELS):
            raise Failure(Note("bad_networks"))
        return oracles.log_softmax(classes)

    @once
    def posterior(self, scene, n):
        """m, v of q(z|x, y) for every label, (B, 10, Z) each."""
        x, y = np.repeat(self.x(n), LABELS, axis=0), np.tile(np.eye(LABELS), (n, 1))
        found = self.networks(self.weights(scene), "enc", x=x, y=y)
        m, v = (found[name].reshape(n, LABELS, -1) for name in "mv")
        if m.shape != v.shape or np.any(v <= 0) or np.ptp(m, axis=1).max() < 1e-4:
            raise Failure(Note("bad_networks"))
        return m, v

    @once
    def drawn(self, scene, n):
        """z (M, B, 10, Z) and −log p(x|z, y), (M, B, 10)."""
        m, v = self.posterior(scene, n)
        z = single(m + np.sqrt(v) * self.rng.normal(size=(self.samples, *m.shape)))
        return z, self.rec_at(scene, self.x(n), z)

    def rec_at(self, scene, x, z):
        y = np.tile(np.eye(LABELS), (z.shape[0] * z.shape[1], 1))
        rows = z.reshape(-1, z.shape[-1])
        logits = self.networks(self.weights(scene), "dec", z=rows, y=y)["logits"]
        if scene == "noisy" and np.ptp(logits, axis=0).max() < 1e-3:
            raise Failure(Note("bad_networks"))
        return oracles.cross_entropy(x[:, None], logits.reshape(*z.shape[:3], PIXELS))

    @once
    def expected(self, scene, n):
        log_q = self.log_q(scene, n)
        q = np.exp(log_q)
        m, v = self.posterior(scene, n)
        z, rec = self.drawn(scene, n)
        one = (oracles.log_normal(z, m, v) - oracles.log_normal(z, 0.0, np.ones(z.shape[-1]))) * q
        kl_z = (q * oracles.kl_normal(m, v)).sum(-1).mean()
        kl_y = (q * (log_q + np.log(LABELS))).sum(-1).mean()
        return {
            "kl_z": Expected(kl_z, spread=Expected.of(one.sum(-1)).spread),
            "kl_y": Expected(kl_y),
            "rec": Expected.of((rec * q).sum(-1)),
        }

    @once
    def rec_with(self, how):
        """As the VAE's."""
        m, v = self.posterior("noisy", self.images)
        e = self.rng.normal(size=(1 if how == "mean" else self.samples, *m.shape))
        z = {"mean": m + 0 * e, "v as s": m + v * e, "prior": e}[how]
        rec = self.rec_at("noisy", self.x(self.images), single(z))
        return (rec * np.exp(self.log_q("noisy", self.images))).sum(-1).mean()


def _over_labels(lab, each):
    """Wrong ways to bring a cost per label, (B, 10), together."""
    q = np.exp(lab.log_q("noisy", lab.images))
    b = len(q)
    yield "cause.unweighted_sum", each.sum(-1).mean()
    yield "cause.unweighted_mean", each.mean()
    yield "cause.unweighted_all", each.sum()
    yield "cause.best_label", each[np.arange(b), q.argmax(-1)].mean()
    yield "cause.mean_over_labels", (q * each).mean()
    yield "cause.paired_wrong", (q.reshape(LABELS, b).T * each).sum(-1).mean()
    yield "cause.paired_wrong", (q * each.reshape(LABELS, b).T).sum(-1).mean()
    yield "cause.paired_wrong", (q.T.reshape(b, LABELS) * each).sum(-1).mean()


def kl_y(lab):
    """KL(q(y|x) ‖ uniform)."""

    def wrong(lab):
        log_q = lab.log_q("noisy", lab.images)
        q, right = np.exp(log_q), lab.expected("noisy", lab.images)["kl_y"].mean
        tolerance = FLOAT * max(1, abs(right))
        yield "cause.sign", -right, tolerance
        yield "cause.log_10_missing", right - np.log(LABELS), tolerance
        yield "cause.entropy", np.log(LABELS) - right, tolerance
        yield "cause.mean_over_labels", right / LABELS, tolerance
        yield "cause.kl_reversed", -np.mean(log_q + np.log(LABELS)), tolerance
        yield "cause.p_not_log", (q * (log_q - 1 / LABELS)).sum(-1).mean(), tolerance
        for name in ("kl_z", "rec"):
            want = lab.expected("noisy", lab.images)[name]
            yield "cause.order", want.mean, 10 * want.error + 0.01 * abs(want.mean)

    return term_check(lab, "kl_y", wrong)


def kl_z(lab):
    """E_q(y|x) KL(q(z|x, y) ‖ N(0, I))."""

    def wrong(lab):
        want = lab.expected("noisy", lab.images)
        m, v = lab.posterior("noisy", lab.images)
        q = np.exp(lab.log_q("noisy", lab.images))[..., None]
        for key, value in _over_labels(lab, oracles.kl_normal(m, v)):
            yield key, value, FLOAT * abs(value)
        yield "cause.order", want["kl_y"].mean, 0.01
        yield "cause.sign", -want["kl_z"].mean, FLOAT * want["kl_z"].mean
        yield "cause.v_as_s", (q[..., 0] * oracles.kl_normal(m, v**2)).sum(-1).mean(), 1e-2
        yield "cause.mean_over_dim", want["kl_z"].mean / m.shape[-1], 1e-3

    return term_check(lab, "kl_z", wrong, either=True)


def rec(lab):
    """E_q(y|x) E_q(z|x, y) [−log p(x|z, y)]."""

    def wrong(lab):
        each = lab.drawn("noisy", lab.images)[1].mean(axis=0)
        noise = 12 * lab.expected("noisy", lab.images)["rec"].error
        yield from bounds.rec_causes(lab)
        for key, value in _over_labels(lab, each):
            yield key, value, noise * max(1, value / each.mean())

    finding = term_check(lab, "rec", wrong)
    got = lab.answers("noisy", lab.images, lab.calls)["rec"]
    if finding.passed and not got.std() > 0:
        return Finding(False, Note("no_spread"), Note("cause.no_sampling"))
    return finding


def expectation(lab):
    """Over labels the expectation is exact: with sharp posteriors nothing is left to chance."""
    got = lab.answers("sharp", 1, 16)["rec"]
    want = lab.expected("sharp", 1)["rec"]
    slack = FLOAT * abs(want.mean) + limit() * want.spread
    if got.std() > slack:
        return Finding(
            False, Note("spread", spread=f"{got.std():.3g}"), Note("cause.sampled_label")
        )
    if abs(got.mean() - want.mean) <= slack:
        return Finding(True)
    each = lab.drawn("sharp", 1)[1].mean(axis=0)[0]
    best = each[lab.log_q("sharp", 1)[0].argmax()]
    wrong = (
        ("cause.unweighted_sum", each.sum()),
        ("cause.unweighted_mean", each.mean()),
        ("cause.best_label", best),
    )
    cause = next((Note(key) for key, value in wrong if abs(got.mean() - value) <= slack), None)
    return Finding(False, numbers(want.mean, got.mean(), slack), cause)


def stability(lab):
    """A classifier and a decoder that are sure of themselves."""
    found = {term: a[0] for term, a in lab.answers("extreme", lab.images, 1).items()}
    for term, got in found.items():
        if not np.isfinite(got):
            cause = Note("cause.log_of_softmax" if np.isfinite(found["rec"]) else "cause.no_logits")
            return Finding(False, Note("of_term", term=term, then=numbers(0, got)), cause)
    return Finding(True)


GROUP = Group(
    "SSVAE",
    "3.2",
    SsvaeLab,
    (
        Check("SSVAE.scalars", 1, bounds.scalars),
        Check("SSVAE.total", 2, bounds.total),
        Check("SSVAE.kl_y", 4, kl_y),
        Check("SSVAE.kl_z", 4, kl_z),
        Check("SSVAE.rec", 4, rec),
        Check("SSVAE.expectation", 2, expectation),
        Check("SSVAE.minibatch", 2, bounds.minibatch),
        Check("SSVAE.stability", 1, stability),
        Check("SSVAE.gradient", 1, bounds.gradient),
    ),
    needs=("sample_gaussian", "log_normal", "log_normal_mixture", "VAE"),
)
