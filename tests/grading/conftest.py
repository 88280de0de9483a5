"""Fixtures of the grader's tests, and the door `pytest tests/grading --submission X.zip`."""

from pathlib import Path

import pytest

from grading import sandbox
from grading.judge import judge
from grading.submission import GRADED, Submission, find, read

ROOT = Path(__file__).resolve().parents[2]
SOLUTIONS = {"ours": ROOT, "classic": Path(__file__).parent / "classic"}


def pytest_addoption(parser):
    parser.addoption("--submission", help="a zip or folder to grade instead of testing the grader")


def pytest_collection_modifyitems(config, items):
    """With --submission only that is judged; without it, everything else is run."""
    wanted = config.getoption("--submission", default=None) is not None
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    dropped = [item for item in mine if (item.path.name == "test_submission.py") != wanted]
    items[:] = [item for item in items if item not in dropped]
    config.hook.pytest_deselected(items=dropped)


def pytest_generate_tests(metafunc):
    if "check_name" in metafunc.fixturenames:
        from grading.judge import GROUPS

        names = [check.name for group in GROUPS for check in group.checks if check.points]
        metafunc.parametrize("check_name", names)


@pytest.fixture(scope="session")
def launcher():
    """Starts the workers of all tests."""
    launcher = sandbox.launcher()
    yield launcher
    launcher.close()


@pytest.fixture(scope="session")
def solutions():
    """{name: {path: text}} of the two right solutions."""
    return {
        name: {path: (root / "codebase" / path).read_text("utf-8") for path in GRADED}
        for name, root in SOLUTIONS.items()
    }


@pytest.fixture
def grade(launcher):
    """Judges {path: text}."""

    def grade(files, seed=0, seconds=60.0, memory=4 << 30, only=None):
        files = {path: text.encode() for path, text in files.items()}
        submission = Submission("someone", "codebase", files)
        return judge(submission, launcher, sandbox.Limits(seconds, memory), seed, only)

    return grade


@pytest.fixture(scope="session")
def verdict(request, launcher):
    """Of what --submission names."""
    ((name, path),) = find(request.config.getoption("--submission"))
    return judge(read(name, path), launcher, sandbox.Limits(), seed=0)
