"""The importance-weighted bound: no part of the points, checked where it is present."""

import numpy as np

from grading import oracles
from grading.checks.base import Finding, numbers
from grading.checks.bounds import FLOAT, Expected
from grading.failures import NotImplementedYet
from grading.messages import Note
from grading.significance import limit

CALLS = 32


def iwae(lab):
    """negative_iwae_bound(x, M) = −log 1/M Σ_i p(x, z_i)/q(z_i|x), at M = 1 and M = 8."""
    n = lab.images
    m, v = lab.posterior("noisy", n)
    z, rec = lab.drawn("noisy", n)
    log_w = lab.log_prior("noisy", z) - rec - oracles.log_normal(z, m, v)  # (samples, B)
    for samples in (1, 8):
        try:
            _, found, _ = lab.bound(
                lab.weights("noisy"), lab.x(n), CALLS, method="negative_iwae_bound", extra=[samples]
            )
        except NotImplementedYet:
            return Finding(True, remarks=(Note("iwae_absent"),))
        groups = log_w.reshape(-1, samples, n)
        want = Expected.of(-oracles.log_mean_exp(groups, axis=1))
        got = found["nelbo"].reshape(CALLS, -1).mean(axis=1)
        error = np.hypot(want.error, max(got.std(ddof=1), want.spread) / np.sqrt(CALLS))
        slack = limit(2) * error + FLOAT * abs(want.mean)
        if not abs(got.mean() - want.mean) <= slack:
            mean_of_logs = Expected.of(-log_w.reshape(-1, samples, n).mean(axis=1))
            same = abs(got.mean() - mean_of_logs.mean) <= limit(2) * mean_of_logs.error + slack
            cause = Note("cause.mean_of_logs") if same else None
            seen = Note("at", where=f"M = {samples}", then=numbers(want.mean, got.mean(), slack))
            return Finding(False, seen, cause)
    return Finding(True, remarks=(Note("iwae_right"),))
