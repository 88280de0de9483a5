"""Item 3.2: SSVAE.negative_elbo_bound(x) → nelbo, kl_z, kl_y, rec."""

import numpy as np

from grading import oracles
from grading.checks import bounds
from grading.checks.base import Check, Finding, Group, numbers, once
from grading.checks.bounds import FLOAT, BoundLab, Expected, term_check
from grading.failures import Failure
from grading.messages import Note
from grading.significance import limit

LABELS = 10


class SsvaeLab(BoundLab):
    """Questions to the SSVAE. Per-label quantities are (…, B, 10)."""

    model, terms = "SSVAE", ("nelbo", "kl_z", "kl_y", "rec")
    calls, samples, images, labels = 40, 24, 3, (LABELS,)

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

    def beside(self, rows):
        return {"y": np.tile(np.eye(LABELS), (rows // LABELS, 1))}

    def over_labels(self, scene, n, each):
        return (each * np.exp(self.log_q(scene, n))).sum(-1)

    @once
    def log_q(self, scene, n):
        """log q(y|x), (B, 10)."""
        classes = self.networks(self.weights(scene), "cls", x=self.x(n))["classes"]
        if classes.shape != (n, LABELS):
            raise Failure(Note("bad_networks"))
        return oracles.log_softmax(classes)

    @once
    def expected(self, scene, n):
        log_q = self.log_q(scene, n)
        m, v = self.posterior(scene, n)
        z, rec = self.drawn(scene, n)
        one = oracles.log_normal(z, m, v) - oracles.log_normal(z, 0.0, np.ones(z.shape[-1]))
        spread = Expected.of(self.over_labels(scene, n, one)).spread
        kl_z = self.over_labels(scene, n, oracles.kl_normal(m, v)).mean()
        kl_y = self.over_labels(scene, n, log_q + np.log(LABELS)).mean()
        return {
            "kl_z": Expected(kl_z, spread=spread),
            "kl_y": Expected(kl_y),
            "rec": Expected.of(self.over_labels(scene, n, rec)),
        }


def _wrong_over_labels(lab, each):
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
        for key, value in _wrong_over_labels(lab, oracles.kl_normal(m, v)):
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
        for key, value in _wrong_over_labels(lab, each):
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
