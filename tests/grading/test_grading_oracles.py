"""The grader's own formulas against numerical integration, and its thresholds against sampling."""

import math

import numpy as np
import pytest

from grading import oracles
from grading.significance import NORMALITY_LIMIT, limit, normality


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def integral(f, low=-60.0, high=60.0, n=400_000):
    """The midpoint rule: to rounding for smooth functions that vanish at the ends."""
    step = (high - low) / n
    return step * f(low + step * (np.arange(n) + 0.5)).sum()


def test_densities_integrate_to_one():
    m, v = np.array([0.3]), np.array([1.7])
    assert integral(lambda x: np.exp(oracles.log_normal(x[:, None], m, v))) == pytest.approx(1)
    ms, vs = np.array([[-2.0], [0.5], [3.0]]), np.array([[0.2], [1.0], [2.5]])
    mixture = integral(lambda x: np.exp(oracles.log_normal_mixture(x[:, None], ms, vs)))
    assert mixture == pytest.approx(1)


def test_divergences_are_the_integrals_they_stand_for():
    qm, qv, pm, pv = (np.array([a]) for a in (0.7, 0.4, -0.2, 1.3))

    def integrand(x):
        log_q = oracles.log_normal(x[:, None], qm, qv)
        return np.exp(log_q) * (log_q - oracles.log_normal(x[:, None], pm, pv))

    assert oracles.kl_normal(qm, qv, pm, pv) == pytest.approx(integral(integrand))


def test_cross_entropy_is_minus_the_log_probability(rng):
    x, logits = rng.integers(0, 2, (4, 6)).astype(float), rng.normal(size=(4, 6))
    p = 1 / (1 + np.exp(-logits))
    direct = -np.log(np.where(x == 1, p, 1 - p)).sum(-1)
    np.testing.assert_allclose(oracles.cross_entropy(x, logits), direct)
    assert oracles.cross_entropy(np.array([1.0]), np.array([-1000.0])) == 1000


def test_responsibilities_sum_to_one_far_away(rng):
    m, v = rng.normal(size=(2, 5, 3)), np.ones((2, 5, 3))
    r = oracles.responsibilities(np.full((2, 3), 80.0), m, v)
    np.testing.assert_allclose(r.sum(-1), 1)


def test_limits_are_those_of_a_normal_distribution():
    assert limit() == pytest.approx(4.8916, abs=1e-3)
    assert math.erfc(limit(10) / math.sqrt(2)) * 10 == pytest.approx(1e-6)


def test_normality_passes_normal_numbers_and_fails_uniform_ones(rng):
    assert normality(rng.normal(size=8000)) < NORMALITY_LIMIT
    uniform = rng.uniform(-math.sqrt(3), math.sqrt(3), 8000)
    assert normality(uniform) > NORMALITY_LIMIT
