"""When a difference is no accident: thresholds for a false alarm less than once in a million."""

import math
from statistics import NormalDist

import numpy as np

FALSE_ALARM = 1e-6


def limit(comparisons=1):
    """Standard errors that the largest of so many right estimates exceeds once in a million.

    Two-sided; 4.9 for one comparison, 5.3 for ten, by Bonferroni's inequality.
    """
    return NormalDist().inv_cdf(1 - FALSE_ALARM / (2 * comparisons))


def spread_limit(calls, samples):
    """How many times the expected spread a right estimate's spread over so many calls may be.

    By the fourth root of χ², which is all but normal (Hawkins & Wixley, 1986), and as far off as
    the expected one can be that so many samples give.
    """
    z, n = limit(), calls - 1
    shift = 1 - 3 / (16 * n)  # mean of (χ²/n)^(1/4), whose variance is 1/(8 n)
    return (shift + z / np.sqrt(8 * n)) ** 2 * (1 + z / np.sqrt(2 * samples))


def normality(e):
    """√N times the largest distance between the distribution of e and N(0, 1).

    Kolmogorov's: above t with probability 2 exp(−2t²), so above NORMALITY_LIMIT once in a million.
    """
    e = np.sort(np.asarray(e).ravel())
    below = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in e])
    steps = np.arange(len(e) + 1) / len(e)
    return math.sqrt(len(e)) * max((steps[1:] - below).max(), (below - steps[:-1]).max())


NORMALITY_LIMIT = math.sqrt(math.log(2 / FALSE_ALARM) / 2)
