"""Every check of the submission that --submission names, as a test of its own."""

import pytest

from grading.report import explanation, title


def test_check(verdict, check_name):
    result = next(r for r in verdict.results if r.check.name == check_name)
    if not result.finding.passed:
        text = f"{title(result, 'en')}: {explanation(result, 'en')}"
        pytest.fail(f"{text} ({result.item}, −{result.check.points})", pytrace=False)
