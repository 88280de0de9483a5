"""What the three bounds have in common: the scenes they are judged in, and the formula-free checks.

A bound is judged by its mean over many calls, against the same quantity computed here from the
submission's own networks: the grader sets the weights, asks the networks for m, v and logits, and
does the rest in float64. In the scene "noisy" m, v and √v are all different, and small enough for
the decoder to be all but linear; in "wide" they are large, so that a z of another spread, or from
another distribution, costs much more or less; in "sharp" v is so small that every sample is the
mean, which differs from image to image, and the bound is known exactly; in "extreme" the decoder is
sure of itself, too sure for a float32 probability; in "quiet" it says the same whatever z is, so
that the bound changes by its KL alone.
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
LARGEST_LOGIT = 8.0  # where probabilities are no matter of numerical stability
FLOAT = 2e-4  # relative error that float32 sums of 784 terms are allowed
ASSUMED = (100, 97)  # sizes of a minibatch that people write into their code
# Of the posteriors, from, to; every other scene's are 1e-8.
VARIANCES = {
    "calm": (5e-4, 2e-3),
    "noisy": (0.05, 0.4),
    "quiet": (0.05, 0.4),
    "wide": (4.0, 16.0),
}
STEP = 0.05  # of a parameter, where a slope is taken
SLACK = {"noisy": 5e-3, "quiet": 2e-3}  # of a slope, for what float32 makes of the bound
ONE_BY_ONE = 16  # parameters of a part at most of which each has its own slope taken
RISING = "rising"


@dataclass(frozen=True)
class Expected:
    """What a term should be on average, to what precision, and the spread of one honest call.

    Attributes:
        spread: of a term at one sample of each image.
        most: the largest that a right estimate's can be, such as with one noise for all labels.
    """

    mean: float
    error: float = 0.0
    spread: float = 0.0
    most: float = 0.0

    @classmethod
    def of(cls, samples, most=None):
        """Of independent samples per image, (M, B), one of each image making one call."""
        m, b = samples.shape
        spread = float(np.sqrt(samples.var(axis=0, ddof=1).sum()) / b)
        return cls(float(samples.mean()), spread / np.sqrt(m), spread, most or spread)


class BoundLab(Lab):
    """Questions to one model's negative_elbo_bound.

    Attributes of subclasses:
        model, arguments: the class and how it is built.
        terms: names of the outputs, the bound first.
        calls, samples: repetitions by the submission, and by the grader.
        images, copies: of which a minibatch consists.
        sharp: images and calls with sharp posteriors.
        lone: images where one would do.
        spread: copies and calls by which the spread is judged, and the grader's samples.
        labels: (10,) where every image has a posterior per label, the axis after its own; else ().
    """

    terms = ("nelbo", "kl", "rec")
    arguments: dict = {}  # noqa: RUF012 -- replaced by subclasses, never changed
    calls, samples, images, copies, sharp, lone, labels = 64, 512, 6, 8, (3, 16), 1, ()
    spread = 8, 192, 2048

    @once
    def assumed(self):
        """The only size of a minibatch that the code works with, None where any will do.

        Then everything else is asked with minibatches of that size: one mistake, one check's
        points.
        """
        try:
            self._bound(self.weights("noisy"), self.x(self.images), 1)
        except Failure as failure:
            if not failure.note.key.startswith("raised"):
                return None
        else:
            return None
        for size in ASSUMED:
            try:
                self._bound(self.weights("noisy"), self.x(size), 1)
            except Failure:
                continue
            self.images, self.copies, self.sharp, self.lone = size, 1, (size, 4), size
            self.calls, self.spread = 16, (size, 24, self.spread[2])
            self.samples = max(3200 // (size * int(np.prod(self.labels))), 4)
            return size
        return None

    @once
    def idle(self):
        """A finding where the bound answers the same whatever the model and the images are."""
        try:
            asked = [self.answers("noisy", self.images, self.calls)]
            asked += [self.answers("sharp", *self.sharp)]
        except Failure:
            return None
        values = [np.concatenate([found[term] for found in asked]) for term in self.terms]
        if all(np.ptp(value) == 0 for value in values):
            return Finding(False, Note("constant", name=METHOD))
        return None

    def label_drawn(self):
        """Whether a label is drawn where the expectation over labels belongs."""
        return False

    @once
    def reseeded(self):
        """Whether every call gives one and the same draw: not the mean of q(z|x), and no other.

        Then every term may be off by as much as a draw is.
        """
        got = self.answers("noisy", self.images, self.calls)["rec"]
        if np.ptp(got) != 0 or close(got[0], self.rec_with("mean", "noisy")[0], FLOAT, 0.0):
            return False
        want = self.expected("noisy", self.images)["rec"]
        off = [abs(got[0] / size - want.mean) for size in sizes(self, self.images)]
        return min(off) <= limit() * want.most / np.sqrt(self.copies)

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
                enc = 4.0 if scene == "sharp" else 1.5  # every image far from the others
                state[name] = a * {"enc": enc, "dec": 2.0, "cls": 4.0}[name.split(".")[0]]
        last = self.last_bias("enc", state)
        if last and state[last].size % 2 == 0:
            half = state[last].size // 2
            v = np.exp(self.rng.uniform(*np.log(VARIANCES.get(scene, (1, 1))), half))
            # Far enough from 0 that a z from the prior is another z.
            state[last][:half] = self.rng.choice([-1, 1], half) * self.rng.uniform(1, 2.5, half)
            state[last][half:] = np.log(np.expm1(v)) if scene in VARIANCES else -40
        last = self.last_bias("dec", state)
        if last and scene == "extreme":
            state[last] = self.rng.choice([-150.0, 150.0], state[last].shape)
        self.arrange(scene, state)
        if scene in ("sharp", "wide", "quiet"):
            self._calm_down(state)
        if scene == "quiet":
            for name in self._last_layer("dec", state):
                state[name] = np.zeros_like(state[name])
        return state

    def _calm_down(self, state):
        """Shrink the decoder's last layer until no logit is too large for a float32 probability.

        Whether code bears larger ones is asked in a scene of its own.
        """
        labels = int(np.prod(self.labels))
        x = np.repeat(self.x(8), labels, axis=0)
        found = self.networks(state, "enc", x=x, **self.beside(len(x)))
        rows = np.concatenate([found["m"]] * 4)
        z = rows + np.sqrt(np.concatenate([found["v"]] * 4)) * self.rng.normal(size=rows.shape)
        logits = self.networks(state, "dec", z=z, **self.beside(len(z)))["logits"]
        factor = min(1.0, LARGEST_LOGIT / np.abs(logits).max())
        for name in self._last_layer("dec", state):
            state[name] = state[name] * factor

    def arrange(self, scene, state):
        """A subclass's changes to the parameters of a scene."""

    def _last_layer(self, network, state):
        """Names of the last matrix and the last vector among a network's parameters."""
        names = [n for n, a in state.items() if n.startswith(f"{network}.") and a.ndim == 2]
        return [*names[-1:], *filter(None, [self.last_bias(network, state)])]

    @staticmethod
    def last_bias(network, state):
        """Name of the last vector among a network's parameters."""
        names = [n for n, a in state.items() if n.startswith(f"{network}.") and a.ndim == 1]
        return names[-1] if names else None

    @once
    def x(self, n):
        """n binary images; or the one along which −log p(x|z) rises with every coordinate of z."""
        if n == RISING:
            return rising(*self._slopes())
        p = np.clip(self.rng.uniform(0, 1, PIXELS) + self.rng.normal(0, 0.3, (n, PIXELS)), 0, 1)
        return (self.rng.uniform(size=p.shape) < p).astype(np.float64)

    def _slopes(self):
        """Of the logits at the mean of an image's posterior: by each coordinate of z, per standard
        deviation, (Z, 784); and the pixels' probabilities there, (784,)."""
        m, v = self.posterior("noisy", 1)
        steps = 0.1 * np.eye(m.shape[-1]).reshape(-1, *[1] * (m.ndim - 1), m.shape[-1]) * np.sqrt(v)
        z = np.concatenate([m + steps, m - steps, m[None]])
        rows = z.reshape(-1, m.shape[-1])
        given = {"z": rows} | self.beside(len(rows))
        logits = self.networks(self.weights("noisy"), "dec", **given)["logits"]
        logits = np.moveaxis(logits.reshape(*z.shape[:-1], PIXELS), -1, 0)
        logits = self.over_labels("noisy", 1, logits)[..., 0].T  # (2 Z + 1, 784)
        up, down = np.split(logits[:-1], 2)
        return (up - down) / 0.2, oracles.sigmoid(logits[-1])

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

    def bound(self, *arguments, **keywords):
        """Its answers, with `assumed` minibatches: see `_bound`."""
        self.assumed()
        return self._bound(*arguments, **keywords)

    def _bound(self, state, x, calls, *, seed=None, gradient=(), method=METHOD, extra=()):
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
            key = "output" if len(outputs) == 1 else "outputs"
            raise Failure(Note(key, names=", ".join(self.terms), got=len(outputs)))
        if any(len(a) != calls for a in outputs.values()):
            raise Failure(Note("talked_nonsense"))
        named = {t: outputs[str(i)].astype(np.float64) for i, t in enumerate(self.terms)}
        gradients = {k[2:]: a.astype(np.float64) for k, a in found.items() if k.startswith("d.")}
        return info, named, gradients

    @once
    def answers(self, scene, n, calls):
        """Terms over so many calls on n images, each (calls,); what is no scalar is averaged."""
        x = np.tile(self.x(n), (self.copies, 1))
        _, raw, _ = self.bound(self.weights(scene), x, calls)
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
        images = self.x(n)
        x = np.repeat(images, int(np.prod(self.labels)), axis=0)
        found = self.networks(self.weights(scene), "enc", x=x, **self.beside(len(x)))
        m, v = (found[name].reshape(len(images), *self.labels, -1) for name in "mv")
        alike = m.shape[-2] > 1 and np.ptp(m, axis=-2).max() < 1e-4
        if m.shape != v.shape or np.any(v <= 0) or alike:
            raise Failure(Note("bad_networks"))
        return m, v

    @once
    def drawn(self, scene, n):
        """z (M, B, *labels, Z) from the posterior, and −log p(x|z), (M, B, *labels)."""
        m, v = self.posterior(scene, n)
        samples = self.spread[2] if n == RISING else self.samples
        z = single(m + np.sqrt(v) * self.rng.normal(size=(samples, *m.shape)))
        return z, self.rec_at(scene, self.x(n), z)

    def rec_at(self, scene, x, z, cost=oracles.cross_entropy):
        """−log p(x|z): x (B, 784), z (M, B, *labels, Z) → (M, B, *labels)."""
        rows = z.reshape(-1, z.shape[-1])
        given = {"z": rows} | self.beside(len(rows))
        logits = self.networks(self.weights(scene), "dec", **given)["logits"]
        if scene == "noisy" and np.ptp(logits, axis=0).max() < 1e-3:
            raise Failure(Note("bad_networks"))  # a constant decoder would make any bound right
        x = x.reshape(len(x), *[1] * len(self.labels), PIXELS)
        return cost(x, logits.reshape(*z.shape[:-1], PIXELS))

    @once
    def rec_with(self, how, scene):
        """The mean of −log p(x|z) with z drawn in a way it should not be, and its error."""
        m, v = self.posterior(scene, self.images)
        e = self.rng.normal(size=(1 if how == "mean" else self.samples, *m.shape))
        z = {"mean": m + 0 * e, "v as s": m + v * e, "unit": m + e, "prior": e}[how]
        rec = self.over_labels(scene, self.images, self.rec_at(scene, self.x(self.images), z))
        return rec.mean(), Expected.of(rec).error if len(rec) > 1 else 0.0

    @once
    def rec_by(self, how, scene):
        """The mean of another cost than −log p(x|z), and its error."""
        cost = {"swapped": oracles.swapped_cross_entropy, "sigmoid": oracles.squashed}[how]
        z, _ = self.drawn(scene, self.images)
        rec = self.rec_at(scene, self.x(self.images), z, cost)
        found = Expected.of(self.over_labels(scene, self.images, rec))
        return found.mean, found.error

    def expected(self, scene, n):
        """{term: Expected} but for the bound itself, which is their sum."""
        raise NotImplementedError


def sizes(lab, images):
    """What a mean over the images is multiplied by, where it is a sum over the minibatch.

    Or a sum divided by a size of the code's own: that is a mistake of its own, with a check of its
    own, and not one of every term.
    """
    rows = images * lab.copies
    return 1, rows, *(rows / size for size in ASSUMED)


def rising(slopes, p):
    """The binary image, (1, 784), for which −log p(x|z) rises as evenly as can be with each z_d.

    Its slope by z_d is Σ_j (p_j − x_j) ∂logit_j/∂z_d. For weights w the sum Σ_d w_d · slope_d is
    largest where every x_j has the sign that adds to it; the weights of what rises too fast are
    lowered. How evenly it rises: the sum of the slopes over the root of their squares' sum.
    """
    weights, best = np.ones(len(slopes)), (-np.inf, None)
    for _ in range(60):
        x = (weights @ slopes < 0).astype(np.float64)
        rise = ((p - x) * slopes).sum(axis=1)
        best = max(best, (rise.sum() / np.sqrt((rise**2).sum()), tuple(x)))
        weights *= np.exp(-0.3 * (rise / np.abs(rise).mean() - 1))
        weights /= weights.mean()
    return np.array([best[1]])


# Checks that need no formula


def scalars(lab):
    """Every term is one number, and a tensor."""
    lab.assumed()
    info, raw, _ = lab.bound(lab.weights("noisy"), lab.x(lab.images), 1)
    shapes = {term: a.shape[1:] for term, a in raw.items()}
    for term, shape in shapes.items():
        if np.prod(shape, dtype=int) != 1:
            cause = Note("cause.no_batch_mean") if shape == (lab.images,) else None
            return Finding(False, Note("not_scalar", term=term, shape=list(shape)), cause)
    if info.get("plain"):
        return Finding(False, Note("not_tensor"))
    bent = any(shape != () for shape in shapes.values())
    return Finding(True, remarks=(Note("nearly_scalar"),) if bent else ())


def total(lab):
    """The bound is the sum of its terms, in every call."""
    found = lab.answers("noisy", lab.images, lab.calls)
    for term in lab.terms:
        if not np.all(np.isfinite(found[term])):
            return Finding(False, Note("of_term", term=term, then=Note("not_finite")))
    parts = [found[term] for term in lab.terms[1:]]
    slack = FLOAT * sum(np.abs(part) for part in parts) + 1e-3
    wrong = np.abs(found[lab.terms[0]] - sum(parts)) > slack
    if not wrong.any():
        return Finding(True)
    i = int(np.argmax(wrong))
    sum_, got = float(sum(part[i] for part in parts)), float(found[lab.terms[0]][i])
    cause = "cause.elbo_sign" if close(found[lab.terms[0]], -sum(parts), 1e-3, 1e-2) else None
    return Finding(False, numbers(sum_, got), Note(cause) if cause else None)


def minibatch(lab):
    """A minibatch's terms are the means of its images' terms, each taken alone."""
    if lab.assumed():
        return Finding(
            False, Note("one_size", size=lab.assumed()), Note("cause.size", size=lab.assumed())
        )
    n, calls = lab.sharp
    x = lab.x(n)
    together = lab.bound(lab.weights("sharp"), x, calls)[1]
    alone = [lab.bound(lab.weights("sharp"), image[None], calls)[1] for image in x]
    off = 0.0
    if lab.reseeded():  # all calls are one, and do not tell by how much it is off
        off = limit() * np.sqrt(2) * sum(e.most for e in lab.expected("sharp", n).values())
    for term in lab.terms:
        rows = [a[term].reshape(calls, -1).mean(axis=1) for a in (together, *alone)]
        whole, parts = rows[0].mean(), [row.mean() for row in rows[1:]]
        if not np.all(np.isfinite([whole, *parts])):
            return Finding(False, Note("of_term", term=term, then=Note("not_finite")))
        errors = [row.var(ddof=1) / calls for row in rows]
        # Twelve estimated standard errors: 16 calls estimate them too roughly for five.
        slack = (
            12 * np.sqrt(errors[0] + sum(errors[1:]) / n**2) + FLOAT * max(map(abs, parts)) + 1e-3
        ) + off
        if not abs(whole - np.mean(parts)) <= slack:
            seen = Note("of_term", term=term, then=numbers(np.mean(parts), whole, slack))
            summed = close(whole, sum(parts), 0.02, 0.1)
            return Finding(False, seen, _divided(lab, alone) if summed else None)
    return Finding(True)


def _divided(lab, alone):
    """What a sum over the minibatch is divided by: nothing, or a size that is always the same."""
    want = lab.expected("sharp", lab.sharp[0])["rec"].mean
    got = np.mean([found["rec"].mean() for found in alone])
    for size in ASSUMED:
        if close(size * abs(got), want, 0.02, 0.0):
            return Note("cause.size", size=size)
    return Note("cause.sum_over_batch")


def gradient(lab):
    """The bound's gradient is the slope of the bound, seed by seed, in every part of the model.

    Where the decoder is quiet that is the KL's alone, which elsewhere the reconstruction's is so
    much larger than that a part of it would not be missed.
    """
    lab.assumed()
    state = lab.weights("noisy")
    names = {part: lab.last_bias(part, state) for part in ("enc", "dec", "cls")} | lab.priors()
    names = {part: name for part, name in names.items() if name}
    if "enc" not in names:
        raise Failure(Note("no_network", name="enc"))
    for scene, parts in (("noisy", names), ("quiet", names.keys() - {"dec"})):
        found = _slopes(lab, scene, {part: names[part] for part in sorted(parts)})
        if not found.passed:
            return found
    return Finding(True)


def _slopes(lab, scene, names):
    """Whether {part: parameter} have the bound's slopes as gradients in a scene."""
    state, x, seed, bound = lab.weights(scene), lab.x(lab.images), lab.seed(), lab.terms[0]

    def value(state):
        return lab.bound(state, x, 1, seed=seed)[1][bound].mean()

    info, first, gradients = lab.bound(state, x, 1, seed=seed, gradient=names.values())
    if not np.isfinite(first[bound].mean()):
        return Finding(False, Note("of_term", term=bound, then=Note("not_finite")))
    if info.get("constant"):
        return Finding(False, Note("no_gradient", name=bound))
    # A generator of the submission's own is not ours to seed: then the slope cannot be taken.
    repeatable = close(value(state), first[bound].mean(), 1e-6, 1e-4)
    for part, name in names.items():
        g = gradients.get(name)
        if g is None or g.shape != state[name].shape or not np.any(g) or not np.all(np.isfinite(g)):
            return Finding(False, Note("no_gradient_to", name=bound, argument=part))
        sloped = repeatable and not (part == "cls" and lab.label_drawn())  # else an estimate
        for step in _steps(lab, part, state[name]) if sloped else ():
            ahead, behind = (value(state | {name: state[name] + s * step}) for s in (1, -1))
            got, slope = (g * step).sum(), (ahead - behind) / 2
            most = np.abs(g * step).max() * np.sqrt(np.count_nonzero(step))
            if not abs(got - slope) <= 0.05 * max(most, abs(slope)) + SLACK[scene]:
                seen = Note("slope", part=part, then=numbers(slope, got))
                return Finding(False, seen, Note("cause.detached"))
    return Finding(True)


def _steps(lab, part, values):
    """Steps of a part's parameters, the shape of the values each, along which slopes are taken."""
    if values.size <= ONE_BY_ONE:
        return STEP * np.eye(values.size).reshape(-1, *values.shape)
    if part == "enc":  # the KL rises with every |m|, and falls with every v below 1
        half = np.arange(values.size) < values.size // 2
        return [0.4 * STEP * np.where(half, np.sign(values), 0), np.where(half, 0, 0.4 * STEP)]
    return [0.4 * STEP * lab.rng.choice([-1.0, 1.0], values.shape) for _ in range(2)]
