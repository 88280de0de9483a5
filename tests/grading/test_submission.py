"""Every check of the submission that --submission names, as a test of its own.

All in one process, which judges it once.
"""

import pytest

from grading.judge import GROUPS, judge
from grading.people import find
from grading.report import explanation, title
from grading.sandbox import Limits
from grading.submission import read

pytestmark = pytest.mark.xdist_group("submission")
CHECKS = [check.name for group in GROUPS for check in group.checks if check.points]


@pytest.fixture(scope="module")
def verdict(request, launcher):
    """Of what --submission names."""
    ((name, path),) = find(request.config.getoption("--submission"))
    return judge(read(name, path), launcher, Limits(), seed=0)


@pytest.mark.parametrize("name", CHECKS)
def test_check(verdict, name):
    result = next(r for r in verdict.results if r.check.name == name)
    if not result.finding.passed:
        text = f"{title(result, 'en')}: {explanation(result, 'en')}"
        pytest.fail(f"{text} ({result.item}, −{result.check.points})", pytrace=False)
