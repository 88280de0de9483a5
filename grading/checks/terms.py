"""Comparing a term of a bound: its mean in several scenes, its spread, and why they are off."""

import numpy as np

from grading import oracles
from grading.checks.base import Finding, numbers
from grading.checks.bounds import FLOAT, PIXELS, RISING, sizes
from grading.failures import Failure
from grading.messages import Note
from grading.significance import limit, spread_limit


def term_check(lab, term, wrong, either=False, scenes=("noisy", "wide")):
    """A term's mean over many calls against its expected value, with several posteriors.

    Args:
        term: its name.
        wrong: (lab, scene) → (cause, value, our error), …: what formulas people write instead would
            give, always in the same order.
        either: the closed form and a one-sample estimate are both right; say which was found.
        scenes: that it is judged in, besides the sharp one.
    """
    lab.assumed()
    sampled, fixed = {}, lab.reseeded()
    count = 1 if fixed else None  # all calls are one
    for scene in scenes:
        got, want = lab.answers(scene, lab.images, lab.calls)[term], _wanted(lab, scene, term)
        mean, spread = got.mean(), got.std(ddof=1)
        sampled[scene] = spread > FLOAT * max(abs(mean), 1)
        noise = spread if sampled[scene] or fixed else None
        slack = _slack(lab, want, count or len(got), noise, term)
        if not _agree(lab, mean, want, slack, lab.images):
            if not np.isfinite(mean):
                cause = "cause.nan" if np.isnan(mean) else "cause.inf"
            else:
                cause = _explanation(lab, term, wrong)
            return Finding(False, numbers(want.mean, mean, slack), Note(cause) if cause else None)
    # With sharp posteriors z is all but known, and so is every term that comes from it.
    got, want = lab.answers("sharp", *lab.sharp)[term], _wanted(lab, "sharp", term)
    noise = 0.0 if any(sampled.values()) or fixed else None
    slack = _slack(lab, want, count or len(got), noise, term)
    if not _agree(lab, got.mean(), want, slack, lab.sharp[0]):
        cause = _explanation(lab, term, wrong)
        seen = Note("sharp", then=numbers(want.mean, got.mean(), slack))
        return Finding(False, seen, Note(cause) if cause else None)
    found = "one_sample" if sampled["noisy"] else "closed_form"
    # Where a label is drawn, that alone makes it vary; with a seed inside nothing does.
    told = either and not lab.label_drawn() and not fixed
    return Finding(True, remarks=(Note(found, term=term),) if told else ())


def _wanted(lab, scene, term):
    """A term's Expected; networks that give no number have none."""
    want = lab.expected(scene, lab.sharp[0] if scene == "sharp" else lab.images)[term]
    if not np.isfinite(want.mean):
        raise Failure(Note("bad_networks"))
    return want


def _explanation(lab, term, wrong):
    """The cause that gives what came in every scene, None if none does.

    Nor is any named where a label is drawn, whose noise so many would explain.
    """
    if lab.label_drawn():
        return None
    distances = {}
    for scene in ("noisy", "wide", "sharp"):
        got = lab.answers(scene, lab.images, lab.calls)[term]
        if not np.all(np.isfinite(got)):
            return None
        noise = limit() * got.std(ddof=1) / np.sqrt(len(got))
        for i, (key, value, error) in enumerate(wrong(lab, scene)):
            tolerance = noise + limit() * error + FLOAT * max(abs(value), 1)
            distance = abs(got.mean() - value) / tolerance
            distances[i, key] = max(distance, distances.get((i, key), 0))
    distance, key = min(((d, key) for (_, key), d in distances.items()), default=(2, None))
    return key if distance <= 1 else None


def _slack(lab, want, calls, spread, term):
    """How far a right term's mean over so many calls may be off; a spread of None: not sampled.

    A reconstruction's spread is judged by itself, so here it gets what a right one has.
    """
    allowed = want.most / np.sqrt(lab.copies)
    if term != "rec" and spread is not None:
        allowed = max(spread, allowed)
    error = 0.0 if spread is None and term != "rec" else allowed / np.sqrt(calls)
    return limit() * np.hypot(error, want.error) + FLOAT * max(abs(want.mean), 1)


def _agree(lab, mean, want, slack, images):
    return any(abs(mean / scale - want.mean) <= slack for scale in sizes(lab, images))


def rec_check(lab, wrong):
    """The reconstruction: its mean in every scene, and the way z varies."""
    if lab.reseeded():
        return Finding(False, Note("same_noise"), Note("cause.reseeded"))
    finding = term_check(lab, "rec", wrong)
    if not finding.passed:
        return finding
    if not lab.answers("noisy", lab.images, lab.calls)["rec"].std() > 0:
        return Finding(False, Note("no_spread"), Note("cause.no_sampling"))
    return _independent(lab)


def _independent(lab):
    """Every image and every dimension has noise of its own.

    The mean does not tell. So a minibatch of one image, chosen so that −log p(x|z) rises with every
    coordinate of z: noise that images or dimensions share adds up there instead of averaging out.
    """
    (copies, calls, samples), want = lab.spread, lab.expected("noisy", RISING)["rec"]
    x = np.tile(lab.x(RISING), (copies, 1))
    found = lab.bound(lab.weights("noisy"), x, calls)[1]["rec"].reshape(calls, -1)
    scale = abs(found.mean() / want.mean)  # a sum over the minibatch varies by as much more
    got, expected = found.mean(axis=1).std(ddof=1) / scale, want.most / np.sqrt(copies)
    if got <= expected * spread_limit(calls, samples):
        return Finding(True)
    seen = Note("more_spread", expected=f"{expected:.3g}", got=f"{got:.3g}")
    return Finding(False, seen, Note("cause.shared_noise"))


def rec_causes(lab, scene):
    """Reconstructions people write instead."""
    expected, n = lab.expected(scene, lab.images), lab.images * lab.copies
    want = expected["rec"]
    yield "cause.sign", -want.mean, want.error
    yield "cause.mean_over_pixels", want.mean / PIXELS, want.error / PIXELS
    yield "cause.sum_and_sign", -want.mean * n, want.error * n
    terms = [e for name, e in expected.items() if name != "rec"]
    yield "cause.swapped", sum(e.mean for e in terms), sum(e.error for e in terms)
    for key, how in (
        ("no_sampling", "mean"), ("v_as_s", "v as s"), ("unit_noise", "unit"),
        ("prior_sample", "prior"),
    ):  # fmt: skip
        yield f"cause.{key}", *lab.rec_with(how, scene)
    for key, how in (("swapped_arguments", "swapped"), ("sigmoid_as_logits", "sigmoid")):
        value, error = lab.rec_by(how, scene)
        yield f"cause.{key}", value, error


def wrong_kls(qm, qv):
    """KL(q ‖ N(0, I)) as people write it instead, per image (B, Z) → scalars."""
    right = oracles.kl_normal(qm, qv).mean()
    z = qm.shape[-1]
    yield "cause.sign", -right, 0.0
    yield "cause.kl_reversed", oracles.kl_normal(0.0, 1.0, qm, qv).mean(), 0.0
    yield "cause.mean_over_dim", right / z, 0.0
    yield "cause.half_missing", 2 * right, 0.0
    yield "cause.one_missing", right + 0.5 * z, 0.0
    yield "cause.v_as_s", oracles.kl_normal(qm, qv**2).mean(), 0.0
    yield "cause.s_as_v", oracles.kl_normal(qm, np.sqrt(qv)).mean(), 0.0
    yield "cause.log_v_sign", right + np.log(qv).sum(-1).mean(), 0.0
    yield "cause.log_v_missing", right + 0.5 * np.log(qv).sum(-1).mean(), 0.0
