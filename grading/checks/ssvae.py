"""Item 3.2: SSVAE.negative_elbo_bound(x) → nelbo, kl_z, kl_y, rec."""

from dataclasses import replace

import numpy as np

from grading import oracles
from grading.checks import bounds, terms
from grading.checks.base import Check, Finding, Group, numbers, once
from grading.checks.bounds import FLOAT, BoundLab, Expected
from grading.failures import Failure
from grading.messages import Note
from grading.significance import limit

LABELS = 10
UNDECIDED = 2.0  # nats between the likeliest label and the least: no q(y|x) is above 0.45


class SsvaeLab(BoundLab):
    """Questions to the SSVAE. Per-label quantities are (…, B, 10)."""

    model, terms = "SSVAE", ("nelbo", "kl_z", "kl_y", "rec")
    calls, samples, images, copies, labels = 64, 64, 3, 1, (LABELS,)
    lone = 2  # what a batch of one costs is another check's matter
    spread = 6, 96, 512

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

    def _calm_down(self, state):
        """Shrink the classifier's last layer too, so that no label is all but certain.

        A label drawn from q(y|x) would then be the same at every call, as an expectation is.
        """
        super()._calm_down(state)
        classes = self.networks(state, "cls", x=self.x(self.lone))["classes"]
        factor = min(1.0, UNDECIDED / np.ptp(classes, axis=-1).max())
        for name in self._last_layer("cls", state):
            state[name] = state[name] * factor

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
        if classes.shape != (len(self.x(n)), LABELS):
            raise Failure(Note("bad_networks"))
        return oracles.log_softmax(classes)

    @once
    def label_drawn(self):
        """It is where, z being all but known, every call gives what some two labels would, and not
        always the same two: in absolute value, for a sign is another check's matter."""
        if self.lone > 2 or not self.varies():
            return False
        got = np.abs(self.answers("sharp", self.lone, 16)["rec"])
        first, second = self.drawn("sharp", self.lone)[1].mean(axis=0)
        pairs = np.add.outer(first, second).ravel() / 2
        near = (np.abs(got[:, None] / s - pairs).min(axis=1) for s in bounds.sizes(self, self.lone))
        return any(np.all(distance <= self.slack()) for distance in near)

    def varies(self):
        """Whether something is left to chance although z is not."""
        return self.answers("sharp", self.lone, 16)["rec"].std() > self.slack()

    def slack(self):
        """How far a right reconstruction may be off that leaves nothing else to chance than z."""
        want = self.exact("sharp", self.lone)["rec"]
        return FLOAT * abs(want.mean) + limit() * want.most

    @once
    def expected(self, scene, n):
        """What is exact over the labels, with the spread of a label that is drawn, if one is."""
        found = self.exact(scene, n)
        if not self.label_drawn():
            return found
        each = {
            "rec": self.drawn(scene, n)[1],
            "kl_z": oracles.kl_normal(*self.posterior(scene, n)),
        }
        most = {
            term: np.hypot(found[term].most, self._by_label(scene, n, a))
            for term, a in each.items()
        }
        return found | {term: replace(found[term], most=m) for term, m in most.items()}

    def _by_label(self, scene, n, each):
        """The spread of one call, of a cost per label, by drawing each image's label."""
        each = each.reshape(-1, *each.shape[-2:]).mean(axis=0)
        first, second = (self.over_labels(scene, n, each**power) for power in (1, 2))
        return float(np.sqrt((second - first**2).sum()) / len(each))

    @once
    def exact(self, scene, n):
        """{term: Expected} of an expectation over labels that leaves nothing to chance."""
        log_q = self.log_q(scene, n)
        m, v = self.posterior(scene, n)
        z, rec = self.drawn(scene, n)
        one = oracles.log_normal(z, m, v) - oracles.log_normal(z, 0.0, np.ones(z.shape[-1]))
        spread = Expected.of(self.over_labels(scene, n, one), self._most(scene, n, one))
        kl_z = self.over_labels(scene, n, oracles.kl_normal(m, v)).mean()
        kl_y = self.over_labels(scene, n, log_q + np.log(LABELS)).mean()
        return {
            "kl_z": Expected(kl_z, 0.0, spread.spread, spread.most),
            "kl_y": Expected(kl_y),
            "rec": Expected.of(self.over_labels(scene, n, rec), self._most(scene, n, rec)),
        }

    def _most(self, scene, n, each):
        """The spread of one call's expectation over labels, if all labels have one noise."""
        spreads = self.over_labels(scene, n, each.std(axis=0, ddof=1))
        return float(np.sqrt((spreads**2).sum()) / len(spreads))

    @once
    def softly(self, scene):
        """kl_z and rec with q(y|x) itself as the label: (value, error) each."""
        x, q = self.x(self.images), np.exp(self.log_q(scene, self.images))
        found = self.networks(self.weights(scene), "enc", x=x, y=q)
        m, v = found["m"], found["v"]
        z = m + np.sqrt(v) * self.rng.normal(size=(self.samples, *m.shape))
        rows = {"z": z.reshape(-1, z.shape[-1]), "y": np.tile(q, (len(z), 1))}
        logits = self.networks(self.weights(scene), "dec", **rows)["logits"]
        rec = Expected.of(oracles.cross_entropy(x, logits.reshape(*z.shape[:-1], -1)))
        return (oracles.kl_normal(m, v).mean(), 0.0), (rec.mean, rec.error)


def _wrong_over_labels(lab, scene, each):
    """Wrong ways to bring a cost per label, (B, 10), together."""
    q = np.exp(lab.log_q(scene, lab.images))
    b = len(q)
    yield "cause.unweighted_sum", each.sum(-1).mean()
    yield "cause.unweighted_mean", each.mean()
    yield "cause.unweighted_all", each.sum()
    yield "cause.best_label", each[np.arange(b), q.argmax(-1)].mean()
    yield "cause.mean_over_labels", (q * each).mean()
    yield "cause.paired_wrong", (q.reshape(LABELS, b).T * each).sum(-1).mean()
    yield "cause.reshaped_wrong", (q * each.reshape(LABELS, b).T).sum(-1).mean()
    yield "cause.reshaped_wrong", (q.T.reshape(b, LABELS) * each).sum(-1).mean()


def kl_y(lab):
    """KL(q(y|x) ‖ uniform)."""

    def wrong(lab, scene):
        log_q, expected = lab.log_q(scene, lab.images), lab.expected(scene, lab.images)
        q, right = np.exp(log_q), expected["kl_y"].mean
        yield "cause.sign", -right, 0.0
        yield "cause.log_10_missing", right - np.log(LABELS), 0.0
        yield "cause.entropy", np.log(LABELS) - right, 0.0
        yield "cause.mean_over_labels", right / LABELS, 0.0
        yield "cause.kl_reversed", -np.mean(log_q + np.log(LABELS)), 0.0
        yield "cause.p_not_log", (q * (log_q - 1 / LABELS)).sum(-1).mean(), 0.0
        for name in ("kl_z", "rec"):
            yield "cause.order", expected[name].mean, expected[name].error

    return terms.term_check(lab, "kl_y", wrong, scenes=("noisy",))


def kl_z(lab):
    """E_q(y|x) KL(q(z|x, y) ‖ N(0, I))."""

    def wrong(lab, scene):
        want = lab.expected(scene, lab.images)
        m, v = lab.posterior(scene, lab.images)
        q = np.exp(lab.log_q(scene, lab.images))
        for key, value in _wrong_over_labels(lab, scene, oracles.kl_normal(m, v)):
            yield key, value, 0.0
        yield "cause.order", want["kl_y"].mean, 0.0
        yield "cause.sign", -want["kl_z"].mean, 0.0
        yield "cause.v_as_s", (q * oracles.kl_normal(m, v**2)).sum(-1).mean(), 0.0
        yield "cause.mean_over_dim", want["kl_z"].mean / m.shape[-1], 0.0
        yield "cause.soft_labels", *lab.softly(scene)[0]

    return terms.term_check(lab, "kl_z", wrong, either=True, scenes=("noisy",))


def rec(lab):
    """E_q(y|x) E_q(z|x, y) [−log p(x|z, y)]."""

    def wrong(lab, scene):
        samples = lab.drawn(scene, lab.images)[1]
        each, want = samples.mean(axis=0), lab.expected(scene, lab.images)["rec"]
        yield from terms.rec_causes(lab, scene)
        for key, value in _wrong_over_labels(lab, scene, each):
            yield key, value, 2 * want.error * max(1, value / each.mean())
        yield "cause.soft_labels", *lab.softly(scene)[1]

    return terms.rec_check(lab, wrong)


def expectation(lab):
    """Over labels the expectation is exact: with sharp posteriors nothing is left to chance."""
    n = lab.lone
    got, want, slack = lab.answers("sharp", n, 16)["rec"], lab.exact("sharp", n)["rec"], lab.slack()
    if lab.varies():
        alone = lab.label_drawn() or rec(lab).passed
        cause = Note("cause.sampled_label") if alone else rec(lab).cause
        return Finding(False, Note("spread", spread=f"{got.std():.3g}"), cause)
    if any(abs(got.mean() / scale - want.mean) <= slack for scale in bounds.sizes(lab, n)):
        return Finding(True)
    # Where the mean is wrong for another reason, that has been charged.
    right = rec(lab).passed
    return Finding(not right, numbers(want.mean, got.mean(), slack), rec(lab).cause)


def stability(lab):
    """A classifier and a decoder that are sure of themselves."""
    found = {term: a[0] for term, a in lab.answers("extreme", lab.images, 1).items()}
    for term, got in found.items():
        if not np.isfinite(got):
            plain = lab.answers("noisy", lab.images, lab.calls)
            cause = "cause.log_of_softmax" if np.isfinite(found["rec"]) else "cause.no_logits"
            fine = all(np.all(np.isfinite(a)) for a in plain.values())
            seen = Note("of_term", term=term, then=Note("not_finite"))
            return Finding(False, seen, Note(cause) if fine else None)
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
