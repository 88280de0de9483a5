"""Item 1.1: utils.sample_gaussian(m, v), one reparameterized draw z = m + √v · ε per element."""

import numpy as np

from grading.checks.base import Check, Finding, FunctionLab, Group, close, numbers, once, single
from grading.messages import Note
from grading.significance import NORMALITY_LIMIT, limit, normality

DRAWS = 10_000  # rows of one call; every column is a pair (m, v) of its own
# Far from 1, so that a variance is not mistaken for a standard deviation.
VARIANCES = np.array([1e-6, 1e-2, 0.09, 0.3, 4.0, 25.0, 400.0, 1e4])


class Samples(FunctionLab):
    """Draws of sample_gaussian."""

    name, signature = "sample_gaussian", ("m", "v")

    @once
    def pairs(self):
        """m (8,), v (8,)."""
        v = self.rng.permutation(VARIANCES) * self.rng.uniform(0.8, 1.25, VARIANCES.shape)
        m = self.rng.choice([-1, 1], v.shape) * self.rng.uniform(1, 4, v.shape)
        return single(m), single(v)

    @once
    def draws(self):
        """Two calls, (2, DRAWS, 8)."""
        m, v = (np.broadcast_to(a, (DRAWS, len(a))) for a in self.pairs())
        z = self.draw(m, v, repeat=2)
        if z.shape != (2, DRAWS, m.shape[1]):
            z = np.full((2, DRAWS, m.shape[1]), np.nan)  # judged by the check of shapes
        return z

    def values(self):
        return [self.draws()]

    @once
    def noise(self):
        """The draws without their own mean and scale; None where hardly a column has one.

        Columns whose spread is lost in the rounding of m are left out: that v was used for √v is
        another check's matter.
        """
        m, z = self.pairs()[0], self.draws()
        s = z.std(axis=1, keepdims=True)
        spread = np.all(s[:, 0] > 1e-4 * np.abs(m), axis=0)
        if spread.sum() < len(m) / 2:
            return None
        return ((z - z.mean(axis=1, keepdims=True)) / s)[:, :, spread]


def shape(lab):
    """Any shape comes back as it went in; so does the type, or no network would take it."""
    for wanted in ((3,), (4, 5), (1, 1), (2, 3, 4)):
        m = lab.rng.normal(size=wanted)
        got = lab.value(m, np.exp(m)).shape
        if got != wanted:
            return Finding(False, Note("shapes", expected=list(wanted), got=list(got)))
    given, got = lab.types(m, np.exp(m))
    if got != given:
        return Finding(False, Note("types", expected=given, got=got), Note("cause.other_type"))
    return Finding(True)


def mean(lab):
    """Each column's mean is m, judged by the column's own spread."""
    (m, _), z = lab.pairs(), lab.draws().reshape(-1, len(VARIANCES))
    error = z.std(axis=0) / np.sqrt(len(z))
    tolerance = limit(len(m)) * error + 1e-6 * np.abs(m)
    ours, theirs = np.abs(z.mean(axis=0) - m), z.mean(axis=0)
    if np.all(ours <= tolerance):
        return Finding(True)
    i = int(np.argmax(np.nan_to_num(ours / tolerance, nan=np.inf)))
    ignored = np.all(np.abs(theirs) <= limit(len(m)) * error + 1e-6)
    cause = Note("cause.mean_ignored") if ignored else None
    return Finding(False, numbers(m[i], theirs[i], tolerance[i]), cause)


def variance(lab):
    """Each column's variance is v, not √v's."""
    _, v = lab.pairs()
    z = lab.draws()
    got = z.var(axis=1).mean(axis=0)
    n = z.shape[0] * (z.shape[1] - 1)
    relative = limit(len(v)) * np.sqrt(2 / n) * 1.1  # the tail of χ² is a little heavier
    if np.all(np.abs(got / v - 1) <= relative):
        return Finding(True)
    i = int(np.argmax(np.nan_to_num(np.abs(np.log(np.maximum(got, 1e-30) / v)), nan=np.inf)))
    with np.errstate(over="ignore"):
        candidates = (
            ("cause.v_as_s", v**2),
            ("cause.no_noise", 0 * v),
            ("cause.unit_noise", 1 + 0 * v),
            ("cause.uniform_noise", v / 12),
            ("cause.log_variance", np.exp(v)),
        )
    for key, wrong in candidates:
        if np.all(np.isfinite(wrong)) and close(got, wrong, 0.1, 1e-9):
            return Finding(False, numbers(v[i], got[i], relative * v[i]), Note(key))
    return Finding(False, numbers(v[i], got[i], relative * v[i]))


def distribution(lab):
    """Standard normal noise, a new one for every element and every call."""
    e = lab.noise()
    if e is None:
        z = lab.draws()
        shared = np.all(np.isfinite(z)) and not np.array_equal(*z)
        return Finding(False, Note("no_spread"), Note("cause.shared_rows") if shared else None)
    calls, n, columns = e.shape
    rows = (e.mean(axis=2) ** 2).mean() * columns  # 1, or `columns` where a row shares its noise
    again = abs(np.mean(e[0] * e[1])) * np.sqrt(n * columns)
    if again > limit(3):
        return Finding(False, Note("same_again"), Note("cause.reseeded"))
    if not abs(rows - 1) <= limit(3) * np.sqrt(2 / (calls * n)):
        whole = abs(rows / columns - 1) < 0.05
        return Finding(False, Note("dependent"), Note("cause.shared_columns") if whole else None)
    if not normality(e[:, :1000].ravel()) <= NORMALITY_LIMIT:
        bounded = np.abs(e).max() < 1.02 * np.sqrt(3)  # as uniform noise of variance 1 is
        return Finding(False, Note("not_normal"), Note("cause.uniform_noise") if bounded else None)
    return Finding(True)


def gradient(lab):
    """dz/dm = 1 and dz/dv = (z − m)/(2v): the draw is a function of m and v.

    So it is of a wrong one, m + vε or m + exp(v/2)ε, with (z − m)/v or (z − m)/2: the variance is
    judged by its own check.
    """
    m = single(lab.rng.normal(size=(6, 5)))
    v = single(np.exp(lab.rng.uniform(-3, 2, m.shape)))
    c = single(lab.rng.normal(size=m.shape))
    z, (dm, dv) = lab.gradients(c, m, v)
    slopes = [c * (z - m) / scale for scale in (2 * v, v, 2)]
    for got, right, name in ((dm, [c], "m"), (dv, slopes, "v")):
        if not any(close(got, expected, 5e-3, 2e-3) for expected in right):
            cut = not np.any(got)
            seen = Note("gradient", name=name, of="z")
            return Finding(False, seen, Note("cause.detached") if cut else None)
    return Finding(True)


GROUP = Group(
    "sample_gaussian",
    "1.1",
    Samples,
    tuple(
        Check(f"sample_gaussian.{judge.__name__}", points, judge)
        for judge, points in (
            (shape, 1),
            (mean, 2),
            (variance, 3),
            (distribution, 1),
            (gradient, 2),
        )
    ),
)
