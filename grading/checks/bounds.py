"""What the three bounds have in common: the scenes they are judged in, and the formula-free checks.

A bound is judged by its mean over many calls, against the same quantity computed here from the
submission's own networks: the grader sets the weights, asks the networks for m, v and logits, and
does the rest in float64. In the scene "noisy" m, v and √v are all different; in
"sharp" they are so small that every sample is the mean, and the bound is known exactly; in
"extreme" the decoder is sure of itself, too sure for a float32 probability.
"""

from dataclasses import dataclass

import numpy as np

from grading import oracles
from grading.checks.base import Finding, Lab, close, numbers, once, single
from grading.failures import Failure
from grading.messages import Note
from grading.significance import limit

METHOD = "negative_elbo_bound"
PIXELS = 784
IMAGES = 6
CALLS = 64
SHARP = 3, 16  # images and calls with sharp posteriors
FLOAT = 2e-4  # relative error that float32 sums of 784 terms are allowed


@dataclass(frozen=True)
class Expected:
    """What a term should be on average, to what precision, and the spread of one honest call."""

    mean: float
    error: float = 0.0
    spread: float = 0.0

    @classmethod
    def of(cls, samples):
        """Of independent samples per image, (M, B), one of each image making one call."""
        m, b = samples.shape
        spread = np.sqrt(samples.var(axis=0, ddof=1).sum()) / b
        return cls(float(samples.mean()), float(spread / np.sqrt(m)), float(spread))


class BoundLab(Lab):
    """Questions to one model's negative_elbo_bound.

    Attributes of subclasses:
        model, arguments: the class and how it is built.
        terms: names of the outputs, the bound first.
        calls, samples: repetitions by the submission, and by the grader.
        labels: (10,) where every image has a posterior per label, the axis after its own; else ().
    """

    terms = ("nelbo", "kl", "rec")
    arguments: dict = {}  # noqa: RUF012 -- replaced by subclasses, never changed
    calls, samples, images, labels = CALLS, 96, IMAGES, ()

    # The scenes

    @once
    def initial(self):
        """The model's parameters as it is built."""
        _, state = self.ask(
            "parameters", model=self.model, arguments=self.arguments, seed=self.seed()
        )
        for name, value in state.items():
            if not np.all(np.isfinite(value)):
                raise Failure(Note("bad_parameters", name=name[:80]))
        return state

    @once
    def weights(self, scene):
        """Parameters for a scene."""
        state = {name: a.astype(np.float64) for name, a in self.initial().items()}
        for name, a in state.items():
            if a.ndim == 2 and name.split(".")[0] in ("enc", "dec", "cls"):
                state[name] = a * {"enc": 1.5, "dec": 2.0, "cls": 4.0}[name.split(".")[0]]
        last = self.last_bias("enc", state)
        if last and state[last].size % 2 == 0:
            half = state[last].size // 2
            v = np.exp(self.rng.uniform(np.log(0.05), np.log(0.4), half))
            # Far enough from 0 that a z from the prior is another z.
            state[last][:half] = self.rng.choice([-1, 1], half) * self.rng.uniform(1, 2.5, half)
            state[last][half:] = -40 if scene != "noisy" else np.log(np.expm1(v))
        last = self.last_bias("dec", state)
        if last and scene == "extreme":
            state[last] = self.rng.choice([-150.0, 150.0], state[last].shape)
        self.arrange(scene, state)
        return state

    def arrange(self, scene, state):
        """A subclass's changes to the parameters of a scene."""

    @staticmethod
    def last_bias(network, state):
        """Name of the last vector among a network's parameters."""
        names = [n for n, a in state.items() if n.startswith(f"{network}.") and a.ndim == 1]
        return names[-1] if names else None

    @once
    def x(self, n):
        """n binary images."""
        p = np.clip(self.rng.uniform(0, 1, PIXELS) + self.rng.normal(0, 0.3, (n, PIXELS)), 0, 1)
        return (self.rng.uniform(size=p.shape) < p).astype(np.float64)

    # What the submission answers

    def networks(self, state, part, **given):
        """The submission's own networks, in float64."""
        arrays = self._sent(state) | {f"input.{k}": a.astype(np.float32) for k, a in given.items()}
        _, found = self.ask(
            "networks",
            arrays,
            model=self.model,
            arguments=self.arguments,
            part=part,
            inputs=list(given),
        )
        rows = len(next(iter(given.values())))
        for a in found.values():
            if a.ndim != 2 or len(a) != rows or not np.all(np.isfinite(a)):
                raise Failure(Note("bad_networks"))
        if set(found) != {"enc": {"m", "v"}, "dec": {"logits"}, "cls": {"classes"}}[part]:
            raise Failure(Note("bad_networks"))
        return {name: a.astype(np.float64) for name, a in found.items()}

    def bound(
        self, state, x, calls, *, seed=None, gradient=(), method="negative_elbo_bound", extra=()
    ):
        """Its answers: info, {term: (calls, …)} and {parameter: gradient of the first term}."""
        info, found = self.ask(
            "bound",
            self._sent(state) | {"input.x": x.astype(np.float32)},
            model=self.model,
            arguments=self.arguments,
            method=method,
            extra=list(extra),
            repeat=calls,
            seed=self.seed() if seed is None else seed,
            gradient=list(gradient),
        )
        outputs = {k: a for k, a in found.items() if not k.startswith("d.")}
        if set(outputs) != {str(i) for i in range(len(self.terms))}:
            raise Failure(Note("outputs", names=", ".join(self.terms), got=len(outputs)))
        if any(len(a) != calls for a in outputs.values()):
            raise Failure(Note("talked_nonsense"))
        named = {t: outputs[str(i)].astype(np.float64) for i, t in enumerate(self.terms)}
        gradients = {k[2:]: a.astype(np.float64) for k, a in found.items() if k.startswith("d.")}
        return info, named, gradients

    @once
    def answers(self, scene, n, calls):
        """Terms over so many calls on n images, each (calls,); what is no scalar is averaged."""
        _, raw, _ = self.bound(self.weights(scene), self.x(n), calls)
        return {term: a.reshape(calls, -1).mean(axis=1) for term, a in raw.items()}

    @staticmethod
    def _sent(state):
        return {f"state.{name}": a.astype(np.float32) for name, a in state.items()}

    # What they should be

    def beside(self, rows):
        """What the networks take beside so many rows of x or z: nothing, or the rows' labels."""
        return {}

    def over_labels(self, scene, n, each):
        """(…, B, *labels) → (…, B): the expectation over the labels, where there are any."""
        return each

    @once
    def posterior(self, scene, n):
        """m, v of q(z|x) at the n images, (B, *labels, Z) each."""
        x = np.repeat(self.x(n), int(np.prod(self.labels)), axis=0)
        found = self.networks(self.weights(scene), "enc", x=x, **self.beside(len(x)))
        m, v = (found[name].reshape(n, *self.labels, -1) for name in "mv")
        alike = m.shape[-2] > 1 and np.ptp(m, axis=-2).max() < 1e-4
        if m.shape != v.shape or np.any(v <= 0) or alike:
            raise Failure(Note("bad_networks"))
        return m, v

    @once
    def drawn(self, scene, n):
        """z (M, B, *labels, Z) from the posterior, and −log p(x|z), (M, B, *labels)."""
        m, v = self.posterior(scene, n)
        z = single(m + np.sqrt(v) * self.rng.normal(size=(self.samples, *m.shape)))
        return z, self.rec_at(scene, self.x(n), z)

    def rec_at(self, scene, x, z):
        """−log p(x|z): x (B, 784), z (M, B, *labels, Z) → (M, B, *labels)."""
        rows = z.reshape(-1, z.shape[-1])
        given = {"z": rows} | self.beside(len(rows))
        logits = self.networks(self.weights(scene), "dec", **given)["logits"]
        if scene == "noisy" and np.ptp(logits, axis=0).max() < 1e-3:
            raise Failure(Note("bad_networks"))  # a constant decoder would make any bound right
        x = x.reshape(len(x), *[1] * len(self.labels), PIXELS)
        return oracles.cross_entropy(x, logits.reshape(*z.shape[:-1], PIXELS))

    @once
    def rec_with(self, how):
        """The mean of −log p(x|z) with z drawn in a way it should not be."""
        m, v = self.posterior("noisy", self.images)
        e = self.rng.normal(size=(1 if how == "mean" else self.samples, *m.shape))
        z = {"mean": m + 0 * e, "v as s": m + v * e, "prior": e}[how]
        rec = self.rec_at("noisy", self.x(self.images), single(z))
        return self.over_labels("noisy", self.images, rec).mean()

    def expected(self, scene, n):
        """{term: Expected} but for the bound itself, which is their sum."""
        raise NotImplementedError


# Checks that need no formula


def scalars(lab):
    """Every term is one number, and a tensor."""
    info, raw, _ = lab.bound(lab.weights("noisy"), lab.x(IMAGES), 1)
    shapes = {term: a.shape[1:] for term, a in raw.items()}
    for term, shape in shapes.items():
        if np.prod(shape, dtype=int) != 1:
            cause = Note("cause.no_batch_mean") if shape == (IMAGES,) else None
            return Finding(False, Note("not_scalar", term=term, shape=list(shape)), cause)
    if info.get("plain"):
        return Finding(False, Note("not_tensor"))
    bent = any(shape != () for shape in shapes.values())
    return Finding(True, remarks=(Note("nearly_scalar"),) if bent else ())


def total(lab):
    """The bound is the sum of its terms, in every call."""
    found = lab.answers("noisy", lab.images, lab.calls)
    parts = [found[term] for term in lab.terms[1:]]
    slack = FLOAT * sum(np.abs(part) for part in parts) + 1e-3
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(found[lab.terms[0]] - sum(parts)) <= slack)
    if not wrong.any():
        return Finding(True)
    i = int(np.argmax(wrong))
    sum_, got = float(sum(part[i] for part in parts)), float(found[lab.terms[0]][i])
    cause = "cause.elbo_sign" if close(got, -sum_, 1e-3, 1e-2) else None
    return Finding(False, numbers(sum_, got), Note(cause) if cause else None)


def minibatch(lab):
    """A minibatch's terms are the means of its images' terms, each taken alone."""
    n, calls = SHARP
    together = lab.answers("sharp", n, calls)
    alone = [lab.bound(lab.weights("sharp"), image[None], calls)[1] for image in lab.x(n)]
    for term in lab.terms:
        rows = [a[term].reshape(calls, -1).mean(axis=1) for a in (together, *alone)]
        whole, parts = rows[0].mean(), [row.mean() for row in rows[1:]]
        errors = [row.var(ddof=1) / calls for row in rows]
        # Twelve estimated standard errors: 16 calls estimate them too roughly for five.
        slack = (
            12 * np.sqrt(errors[0] + sum(errors[1:]) / n**2) + FLOAT * max(map(abs, parts)) + 1e-3
        )
        if not abs(whole - np.mean(parts)) <= slack:
            cause = Note("cause.sum_over_batch") if close(whole, sum(parts), 0.02, 0.1) else None
            seen = Note("of_term", term=term, then=numbers(np.mean(parts), whole, slack))
            return Finding(False, seen, cause)
    return Finding(True)


def gradient(lab):
    """The bound's gradient is the slope of the bound, seed by seed, in every part of the model."""
    state, x, seed = lab.weights("noisy"), lab.x(IMAGES), lab.seed()
    names = {part: lab.last_bias(part, state) for part in ("enc", "dec", "cls")} | lab.priors()
    names = {part: name for part, name in names.items() if name}
    bound = lab.terms[0]

    def value(state):
        return lab.bound(state, x, 1, seed=seed)[1][bound].mean()

    info, first, gradients = lab.bound(state, x, 1, seed=seed, gradient=names.values())
    if info.get("constant"):
        return Finding(False, Note("no_gradient", name=bound))
    # A generator of the submission's own is not ours to seed: then the slope cannot be taken.
    repeatable = close(value(state), first[bound].mean(), 1e-6, 1e-4)
    for part, name in names.items():
        g = gradients.get(name)
        if g is None or g.shape != state[name].shape or not np.any(g) or not np.all(np.isfinite(g)):
            return Finding(False, Note("no_gradient_to", name=bound, argument=part))
        if not repeatable:
            continue
        step = 0.02 * lab.rng.choice([-1.0, 1.0], g.shape)
        ahead, behind = (value(state | {name: state[name] + s * step}) for s in (1, -1))
        got, slope = (g * step).sum(), (ahead - behind) / 2
        if not abs(got - slope) <= 0.05 * np.abs(g * step).max() * np.sqrt(g.size) + 5e-3:
            seen = Note("slope", part=part, then=numbers(slope, got))
            return Finding(False, seen, Note("cause.detached"))
    return Finding(True)


# Comparing a term


def term_check(lab, term, wrong, either=False):
    """A term's mean over many calls against its expected value, with noisy and sharp posteriors.

    Args:
        term: its name.
        wrong: lab → (cause, value, tolerance), …: what formulas people write instead would give.
        either: the closed form and a one-sample estimate are both right; say which was found.
    """
    got = lab.answers("noisy", lab.images, lab.calls)[term]
    want = lab.expected("noisy", lab.images)[term]
    mean, spread = got.mean(), got.std(ddof=1)
    sampled = spread > FLOAT * max(abs(mean), 1)
    slack = _slack(want, len(got), spread if sampled else None)
    if not _agree(mean, want, slack, lab.images):
        near = [
            (abs(mean - value) / (tolerance + slack), key) for key, value, tolerance in wrong(lab)
        ]
        cause = min(((d, key) for d, key in near if d <= 1), default=(0, None))[1]
        if not np.isfinite(mean):
            cause = "cause.nan" if np.isnan(mean) else "cause.inf"
        return Finding(False, numbers(want.mean, mean, slack), Note(cause) if cause else None)
    # With sharp posteriors z is all but known, and so is every term that comes from it.
    got, want = lab.answers("sharp", *SHARP)[term], lab.expected("sharp", SHARP[0])[term]
    slack = _slack(want, len(got), 0.0 if sampled else None)
    if not _agree(got.mean(), want, slack, SHARP[0]):
        return Finding(False, Note("sharp", then=numbers(want.mean, got.mean(), slack)))
    remarks = (Note("one_sample" if sampled else "closed_form", term=term),) if either else ()
    return Finding(True, remarks=remarks)


def _slack(want, calls, spread):
    """How far a right term's mean over so many calls may be off; a spread of None: not sampled."""
    error = 0.0 if spread is None else max(spread, want.spread) / np.sqrt(calls)
    return limit() * np.hypot(error, want.error) + FLOAT * max(abs(want.mean), 1)


def _agree(mean, want, slack, images):
    # A sum over the minibatch is a mistake of its own, with a check of its own.
    return any(abs(mean / scale - want.mean) <= slack for scale in (1, images))


def rec_causes(lab):
    """Reconstructions people write instead."""
    want, n = lab.expected("noisy", lab.images)["rec"], lab.images
    yield "cause.sign", -want.mean, 10 * want.error
    yield "cause.mean_over_pixels", want.mean / PIXELS, 0.02
    yield "cause.sum_and_sign", -want.mean * n, 10 * want.error * n
    kl = sum(e.mean for name, e in lab.expected("noisy", n).items() if name != "rec")
    yield "cause.swapped", kl, 0.05 * abs(kl)
    yield "cause.no_sampling", lab.rec_with("mean"), FLOAT * abs(want.mean)
    yield "cause.v_as_s", lab.rec_with("v as s"), 8 * want.error
    yield "cause.prior_sample", lab.rec_with("prior"), 12 * want.error


def wrong_kls(qm, qv, n):
    """KL(q ‖ N(0, I)) as people write it instead, per image (B, Z) → scalars."""
    right = oracles.kl_normal(qm, qv).mean()
    z = qm.shape[-1]
    tolerance = FLOAT * max(abs(right), 1)
    yield "cause.sign", -right, tolerance
    yield "cause.kl_reversed", oracles.kl_normal(0.0, 1.0, qm, qv).mean(), tolerance
    yield "cause.mean_over_dim", right / z, tolerance
    yield "cause.half_missing", 2 * right, tolerance
    yield "cause.one_missing", right + 0.5 * z, tolerance
    yield "cause.v_as_s", oracles.kl_normal(qm, qv**2).mean(), tolerance
    yield "cause.s_as_v", oracles.kl_normal(qm, np.sqrt(qv)).mean(), tolerance
    yield "cause.log_v_sign", right + np.log(qv).sum(-1).mean(), tolerance
    yield "cause.log_v_missing", right + 0.5 * np.log(qv).sum(-1).mean(), tolerance
