"""Item 2.1, first half: utils.log_normal and utils.log_normal_mixture."""

import numpy as np

from grading import oracles
from grading.checks.base import (
    Check,
    Finding,
    FunctionLab,
    Group,
    close,
    fitting,
    once,
    recognised,
    single,
    worst,
)
from grading.failures import Failure
from grading.messages import Note

HALF_LOG_2PI = 0.5 * oracles.LOG_2PI


class DensityLab(FunctionLab):
    """Questions to a density."""

    def values(self):
        return [value for _, value in self.answers()]


class LogNormal(DensityLab):
    """Questions to log_normal."""

    name, signature = "log_normal", ("x", "m", "v")

    def case(self, *shape):
        """Random x, m, v."""
        x, m = self.rng.normal(size=(2, *shape)) * 2
        return single(x), single(m), single(np.exp(self.rng.uniform(-3, 3, shape)))

    @once
    def answers(self):
        """[(arguments, value)] on (batch, dim) of several sizes."""
        cases = [self.case(*shape) for shape in ((16, 7), (5, 1), (3, 64), (1, 10))]
        return [(case, self.value(*case)) for case in cases]


def _wrong_log_normals(x, m, v):
    """Formulas people write instead."""
    right, d = oracles.log_normal(x, m, v), x.shape[-1]
    square = ((x - m) ** 2 / v).sum(-1)
    log_v = np.log(v).sum(-1)
    with np.errstate(over="ignore"):
        density = np.exp(right)
    yield "cause.no_constant", right + HALF_LOG_2PI * d
    yield "cause.constant_once", right + HALF_LOG_2PI * (d - 1)
    yield "cause.constant_doubled", right - HALF_LOG_2PI * d
    yield "cause.v_as_s", oracles.log_normal(x, m, v**2)
    yield "cause.mean_over_dim", right / d
    yield "cause.sign", -right
    yield "cause.half_missing_square", right - 0.5 * square
    yield "cause.half_missing_log_v", right - 0.5 * log_v
    yield "cause.log_v_missing", right + 0.5 * log_v
    yield "cause.log_v_sign", right + log_v
    yield "cause.square_over_s", right + 0.5 * square - 0.5 * ((x - m) ** 2 / np.sqrt(v)).sum(-1)
    yield "cause.square_over_v2", right + 0.5 * square - 0.5 * ((x - m) ** 2 / v**2).sum(-1)
    yield "cause.s_in_log", right + 0.25 * log_v
    yield "cause.exp_missing", density


def values(lab):
    """Against the formula, on random inputs."""
    return _against(oracles.log_normal, _wrong_log_normals, lab)


def _mistaken(lab, mistakes, c, *arguments):
    """Σ c · value differentiated by each argument, of the wrong formula that gives the values.

    The values' check has charged that one: its gradient is right for what it is. None where no
    formula is recognised.
    """
    answers = lab.answers()
    i = fitting([got for _, got in answers], [[*mistakes(*case)] for case, _ in answers])
    if i is None:
        return None

    def slope(k, place):
        step = np.zeros_like(arguments[k])
        step[place] = 1e-5 * max(abs(arguments[k][place]), 1e-2)
        ends = ([*arguments[:k], arguments[k] + s * step, *arguments[k + 1 :]] for s in (1, -1))
        ahead, behind = ((c * [*mistakes(*end)][i][1]).sum() for end in ends)
        return (ahead - behind) / (2 * step[place])

    return [
        np.reshape([slope(k, place) for place in np.ndindex(a.shape)], a.shape)
        for k, a in enumerate(arguments)
    ]


def _against(formula, mistakes, lab):
    """The answers beside a formula's; where they differ, what a known mistake gives in them all."""
    cases = [(got, formula(*case)) for case, got in lab.answers()]
    wrong = [(got, expected) for got, expected in cases if not close(got, expected)]
    if not wrong:
        return Finding(True)
    candidates = [[*mistakes(*case)] for case, _ in lab.answers()]
    return Finding(False, worst(*wrong[0]), recognised([got for got, _ in cases], candidates))


def shape(lab):
    """(…, dim) → (…), for any number of leading dimensions; other broadcasts are remarked on."""
    for wanted in ((), (1,), (4,), (2, 3)):
        got = lab.value(*lab.case(*wanted, 6)).shape
        if got != wanted:
            return Finding(False, Note("shapes", expected=list(wanted), got=list(got)))
    x, m, v = lab.case(4, 6)
    try:
        got, expected = lab.value(x, m[:1], v[:1]), oracles.log_normal(x, m[:1], v[:1])
        fine = got.shape == expected.shape and close(got, expected)
    except Failure:
        fine = False
    remark = () if fine else (Note("no_broadcast", name="log_normal", shapes="(B, dim), (1, dim)"),)
    return Finding(True, remarks=remark)


def extremes(lab):
    """Far from the mean, at tiny and large variances, in many dimensions."""
    x, m, _ = lab.case(4, 784)
    tiny = np.full_like(x, 1e-8)
    # Where plain values are wrong already, only finiteness is judged.
    right = all(close(got, oracles.log_normal(*case)) for case, got in lab.answers())
    for name, case in {
        "v = 1e-8": (single(m + 1e-3), m, single(tiny)),
        "v = 1e8": (x, m, np.full_like(x, 1e8)),
        "|x − m| = 300 √v": (single(x + 300), m, np.full_like(x, 1.0)),
    }.items():
        got, expected = lab.value(*case), oracles.log_normal(*case)
        finite = np.all(np.isfinite(got)) and got.size == expected.size
        if not finite or (right and not close(got, expected, 1e-3, 1e-3)):
            return Finding(False, Note("at", where=name, then=worst(got, expected)))
    return Finding(True)


def gradient(lab):
    """By x, m and v."""
    x, m, v = lab.case(5, 6)
    c = single(lab.rng.normal(size=5))
    _, found = lab.gradients(c, x, m, v)
    d = (x - m) / v
    slopes = _mistaken(lab, _wrong_log_normals, c, x, m, v)
    slopes = slopes or [c[:, None] * each for each in (-d, d, 0.5 * (d**2 - 1 / v))]
    for got, slope, name in zip(found, slopes, lab.signature, strict=True):
        if not close(got, slope, 1e-3, 1e-3):
            return Finding(False, Note("gradient", name=name, of="log_normal"))
    return Finding(True)


class LogMixture(DensityLab):
    """Questions to log_normal_mixture."""

    name, signature = "log_normal_mixture", ("z", "m", "v")

    def case(self, batch=6, k=5, dim=3, spread=2.0):
        """Random z (B, Z), m, v (B, K, Z)."""
        z = self.rng.normal(size=(batch, dim)) * 2
        m = self.rng.normal(size=(batch, k, dim)) * spread
        v = np.exp(self.rng.uniform(-2, 2, m.shape))
        return single(z), single(m), single(v)

    @once
    def answers(self):
        """[(arguments, value)] of several sizes."""
        cases = [self.case(), self.case(k=1), self.case(batch=1, k=8), self.case(batch=9, dim=10)]
        return [(case, self.value(*case)) for case in cases]


def _wrong_mixtures(z, m, v):
    """Formulas people write instead."""
    k = m.shape[-2]
    each = oracles.log_normal(z[:, None], m, v)  # (B, K)
    right = oracles.log_mean_exp(each, axis=-1)
    coordinates = -0.5 * (oracles.LOG_2PI + np.log(v) + (z[:, None] - m) ** 2 / v)  # (B, K, Z)
    with np.errstate(divide="ignore"):
        yield "cause.log_k_missing", right + np.log(k)
        yield "cause.log_k_doubled", right - np.log(k)
        yield "cause.log_k_sign", right + 2 * np.log(k)
        yield "cause.mean_of_logs", each.mean(-1)
        yield "cause.sum_of_logs", each.sum(-1)
        yield "cause.largest_component", each.max(-1)
        yield "cause.largest_component", each.max(-1) - np.log(k)
        yield "cause.per_coordinate", oracles.log_mean_exp(coordinates, axis=1).sum(-1)
        yield "cause.v_as_s", oracles.log_normal_mixture(z, m, v**2)
        yield "cause.sign", -right
        yield "cause.exp_missing", np.exp(right)
        yield "cause.no_constant", right + HALF_LOG_2PI * z.shape[-1]
        yield "cause.wrong_axis", oracles.log_mean_exp(each, axis=0)


def mixture_values(lab):
    """Against the formula, on random inputs."""
    return _against(oracles.log_normal_mixture, _wrong_mixtures, lab)


def mixture_shape(lab):
    """z (B, Z); m, v (B, K, Z) → (B,); components shared by the batch are remarked on."""
    for batch in (1, 4):
        got = lab.value(*lab.case(batch=batch)).shape
        if got != (batch,):
            return Finding(False, Note("shapes", expected=[batch], got=list(got)))
    z, m, v = lab.case()
    try:
        got = lab.value(z, m[:1], v[:1])
        fine = close(got, oracles.log_normal_mixture(z, m[:1], v[:1]))
    except Failure:
        fine = False
    note = Note("no_broadcast", name="log_normal_mixture", shapes="(B, Z), (1, K, Z)")
    return Finding(True, remarks=() if fine else (note,))


def mixture_stability(lab):
    """Far from every component, where densities are 0 in float32, and at a component's peak."""
    z, m, v = lab.case()
    # Where plain values are wrong already, only finiteness is judged.
    right = all(close(got, oracles.log_normal_mixture(*case)) for case, got in lab.answers())
    for name, case in {
        "|z − m| ≈ 100 √v": (single(z + 100), m, np.full_like(v, 1.0)),
        "v = 1e-8": (single(m[:, 0]), m, np.full_like(v, 1e-8)),
    }.items():
        got, expected = lab.value(*case), oracles.log_normal_mixture(*case)
        finite = np.all(np.isfinite(got)) and got.size == expected.size
        if not finite or (right and not close(got, expected, 1e-3, 1e-3)):
            vanished = right and got.size == expected.size and not np.all(np.isfinite(got))
            cause = Note("cause.no_log_mean_exp") if vanished else None
            return Finding(False, Note("at", where=name, then=worst(got, expected)), cause)
    return Finding(True)


def mixture_gradient(lab):
    """By z, m and v, at ordinary points and far away."""
    for shift in (0, 60):
        z, m, v = lab.case()
        z, v = single(z + shift), single(v + (1 if shift else 0))
        c = single(lab.rng.normal(size=len(z)))
        _, found = lab.gradients(c, z, m, v)
        r = oracles.responsibilities(z, m, v)[..., None] * c[:, None, None]
        d = (z[:, None] - m) / v
        expected = _mistaken(lab, _wrong_mixtures, c, z, m, v)
        expected = expected or [(-r * d).sum(1), r * d, 0.5 * r * (d**2 - 1 / v)]
        for got, right, name in zip(found, expected, lab.signature, strict=True):
            if not close(got, right, 2e-3, 2e-3 * max(1, np.abs(right).max())):
                seen = Note("gradient", name=name, of="log_normal_mixture")
                vanished = shift and not np.all(np.isfinite(got))
                return Finding(False, seen, Note("cause.no_log_mean_exp") if vanished else None)
    return Finding(True)


LOG_NORMAL = Group(
    "log_normal",
    "2.1",
    LogNormal,
    (
        Check("log_normal.values", 3, values),
        Check("log_normal.shape", 1, shape),
        Check("log_normal.extremes", 1, extremes),
        Check("log_normal.gradient", 1, gradient),
    ),
)
LOG_MIXTURE = Group(
    "log_normal_mixture",
    "2.1",
    LogMixture,
    (
        Check("log_normal_mixture.values", 3, mixture_values),
        Check("log_normal_mixture.shape", 1, mixture_shape),
        Check("log_normal_mixture.stability", 2, mixture_stability),
        Check("log_normal_mixture.gradient", 1, mixture_gradient),
    ),
    needs=("log_normal",),
)
