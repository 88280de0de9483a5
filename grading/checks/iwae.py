"""The importance-weighted bound: no part of the points, checked where it is present."""

import numpy as np

from grading import oracles
from grading.checks.base import Finding, numbers, once
from grading.checks.bounds import FLOAT, Expected
from grading.failures import NotImplementedYet
from grading.messages import Note
from grading.significance import limit

METHOD = "negative_iwae_bound"
CALLS, COPIES = 16, 4
DRAWS = 4_000  # of the noise alone, where z is all but known
# (scene, M): sharp and calm ones tell a wrong formula, the wide one a z that is drawn wrongly.
ASKED = (("sharp", 1), ("sharp", 16), ("calm", 8), ("wide", 1))


def iwae(lab):
    """negative_iwae_bound(x, M) = −log 1/M Σ_i p(x, z_i)/q(z_i|x), for several M."""
    if lab.assumed() or lab.posterior("sharp", 3)[1].max() > 1e-6:
        return Finding(True, remarks=(Note("iwae_unknown"),))
    for scene, samples in ASKED:
        try:
            finding = _value(lab, scene, samples)
        except NotImplementedYet:
            return Finding(True, remarks=(Note("iwae_absent"),))
        if not finding.passed:
            return finding
    return Finding(True, remarks=(Note("iwae_right"),))


def _value(lab, scene, samples):
    """Its mean over many calls."""
    got, want, elbo, slack = _compared(lab, scene, samples)
    if abs(got - want) <= slack:
        return Finding(True)
    cause = None
    if scene == "sharp" and samples > 1:
        calm, _, elsewhere, tolerance = _compared(lab, "calm", 8)
        if abs(got - elbo) <= slack and abs(calm - elsewhere) <= tolerance:
            cause = Note("cause.mean_of_logs")
        elif abs(_alone(lab, samples) - want) <= slack < abs(got - want) / 5:
            cause = Note("cause.images_mixed")
    where = f"M = {samples}"
    return Finding(False, Note("at", where=where, then=numbers(want, got, slack)), cause)


@once
def _compared(lab, scene, samples):
    """Its mean over many calls, what that should be, the ELBO's, and how far it may be off."""
    n = 3 if scene == "sharp" else lab.images
    want, elbo = (_sharp if scene == "sharp" else _sampled)(lab, scene, n, samples)
    got = _asked(lab, scene, np.tile(lab.x(n), (COPIES, 1)), samples).mean()
    honest = want.spread / np.sqrt(COPIES * CALLS)
    slack = limit(len(ASKED)) * np.hypot(want.error, honest) + FLOAT * abs(want.mean)
    return got, want.mean, elbo, slack


def _asked(lab, scene, x, samples):
    """Its values, one a call."""
    _, found, _ = lab.bound(lab.weights(scene), x, CALLS, method=METHOD, extra=[samples])
    return found[lab.terms[0]].reshape(CALLS, -1).mean(axis=1)


def _alone(lab, samples):
    """Its mean where every image is a minibatch of its own."""
    images = (np.tile(image, (COPIES, 1)) for image in lab.x(3))
    return np.mean([_asked(lab, "sharp", x, samples).mean() for x in images])


def _sampled(lab, scene, n, samples):
    """The bound by samples of log p(x, z)/q(z|x): Expected, and the ELBO's mean."""
    m, v = lab.posterior(scene, n)
    z, rec = lab.drawn(scene, n)
    log_w = lab.log_prior(scene, z) - rec - oracles.log_normal(z, m, v)
    want = Expected.of(-oracles.log_mean_exp(log_w.reshape(-1, samples, n), axis=1))
    return want, -log_w.mean()


def _sharp(lab, scene, n, samples):
    """The same where z is all but m: then −log q(z|x) = ½ Σ_d (log 2πv_d + e_d²) is all that
    varies, with e ~ N(0, I), so the bound is known as precisely as one likes."""
    m, v = lab.posterior(scene, n)
    known = lab.log_prior(scene, m) - lab.rec_at(scene, lab.x(n), m[None])[0]
    known = (known + 0.5 * np.sum(oracles.LOG_2PI + np.log(v), axis=-1)).mean()
    e = lab.rng.normal(size=(DRAWS, samples, n, m.shape[-1]))
    half = 0.5 * np.sum(e**2, axis=-1)
    noise = Expected.of(-oracles.log_mean_exp(half, axis=1))
    want = Expected(noise.mean - known, noise.error, noise.spread, noise.most)
    return want, -known - 0.5 * m.shape[-1]
