"""Fixtures the tests share. Nothing here needs a network; `mnist` skips where no MNIST lies."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"


@pytest.fixture(autouse=True)
def same_every_time():
    """One thread, and global generators that begin where those of every test begin."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 — what a test or a library may use
    random.seed(0)


@pytest.fixture(scope="session")
def digits():
    from codebase.data import datasets

    return datasets.load("digits")


@pytest.fixture(scope="session")
def mnist():
    from codebase.data import datasets

    if not all((DATA / "MNIST" / "raw" / file).exists() for file in datasets.IDX_FILES):
        pytest.skip(f"needs the real MNIST in {DATA}")
    return datasets.load("mnist", DATA)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; skips where there is none."""
    import browser as chromium

    path = chromium.find()
    if path is None:
        pytest.skip(f"needs a browser, one of {', '.join(chromium.NAMES)}")
    started = chromium.Browser(path)
    yield started
    started.close()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder, so that checkpoints/ and logs/ are the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def start(tmp_path):
    """Starts one of the project's scripts in an empty folder, as a user would."""

    from processes import NO_NETWORK

    started = []

    def popen(script, *flags, cwd=tmp_path, **options):
        command = [sys.executable, str(ROOT / script), *map(str, flags)]
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
        env |= NO_NETWORK
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=cwd, env=env, **(pipes | options)))
        return started[-1]

    yield popen
    for process in started:  # those a failed test left
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def fresh(start):
    """Runs a script to its end in a process that had imported nothing: a CompletedProcess."""

    def completed(script, *flags, **options):
        process = start(script, *flags, **options)
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return completed


@pytest.fixture
def run(request, tmp_path, tmp_path_factory):
    """What `fresh` does, for tests of what a script does and not of how it starts.

    On Linux its process is forked from one that has imported torch, which saves some seconds, and
    the mean over 100 evaluations is one over 3 (see tests/faults/nursery.py).
    """
    if sys.platform != "linux":
        return request.getfixturevalue("fresh")
    nursery = request.getfixturevalue("nursery")

    def completed(script, *flags, cwd=tmp_path):
        said = tmp_path_factory.mktemp("said")
        process = nursery.start(str(script), *flags, cwd=cwd, said=said)
        if process.wait(120) is None:
            process.send(signal.SIGKILL)
            process.wait()
            pytest.fail(f"{script} runs and runs: {process.err}")
        return subprocess.CompletedProcess(script, process.status, process.out, process.err)

    return completed


@pytest.fixture(scope="session")
def nursery():
    """Forks scripts in milliseconds, from a process that has imported torch (tests/faults)."""
    if sys.platform != "linux":
        pytest.skip("needs Linux: fork, namespaces, another process's clock")
    from processes import Nursery

    with Nursery() as started:
        yield started


@pytest.fixture(scope="session")
def whole(nursery, tmp_path_factory):
    """What an undisturbed short run of the VAE leaves behind (tests/faults)."""
    from short_runs import SCRIPTS, outcome

    cwd = tmp_path_factory.mktemp("whole")
    process = nursery.run("run_vae.py", *SCRIPTS["run_vae.py"], cwd=cwd)
    assert process.status == 0, process.err
    return outcome(cwd)


def leave_few_quick(items):
    """Of a test that is marked few(n) n cases are quick, the others slow.

    They are spread over those that are not slow, from first to last; one alone is the middle one.
    few("one", "another") names them.
    """
    cases = {}
    for item in items:
        marked = item.get_closest_marker("few")
        if marked and not item.get_closest_marker("slow"):
            cases.setdefault((item.path, item.function), (marked.args, []))[1].append(item)
    for chosen, own in cases.values():
        ids = [item.callspec.id for item in own]
        if isinstance(chosen[0], str):
            quick = {ids.index(name) for name in chosen}
        elif chosen == (1,):
            quick = {len(own) // 2}
        else:
            quick = {round(i * (len(own) - 1) / (chosen[0] - 1)) for i in range(chosen[0])}
        for i, item in enumerate(own):
            if i not in quick:
                item.add_marker(pytest.mark.slow)


# The grader: `pytest tests/grading --submission X.zip` judges that instead of testing the grader.


def pytest_addoption(parser):
    parser.addoption("--submission", help="a zip or folder to grade instead of testing the grader")


def pytest_configure(config):
    if (path := config.getoption("--submission")) is None:
        return
    from grading.people import find
    from grading.submission import read
    from grading.tree import Refused

    try:
        people = find(path)
        if len(people) > 1:
            raise pytest.UsageError(
                f"--submission takes one person's zip or folder; {path} holds {len(people)}. "
                "python grade.py grades them all."
            )
        read(*people[0])
    except Refused as refused:
        raise pytest.UsageError(str(refused)) from None


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config, items):
    leave_few_quick(items)
    wanted = config.getoption("--submission") is not None
    dropped = [item for item in items if (item.path.name == "test_submission.py") != wanted]
    items[:] = [item for item in items if item not in dropped]
    config.hook.pytest_deselected(items=dropped)


@pytest.fixture(scope="session")
def launcher():
    """Starts the workers that submissions run in."""
    from grading import sandbox

    launcher = sandbox.launcher()
    yield launcher
    launcher.close()


@pytest.fixture(scope="session")
def solutions():
    """{name: {path: text}} of two right solutions: this project's, and one in the starter's way."""
    from grading.project import GRADED

    roots = {"ours": ROOT, "classic": ROOT / "tests" / "grading" / "classic"}
    # What the models of this project are made of lies beside the four files, and is handed in too.
    beside = [f"models/{p.name}" for p in (ROOT / "codebase" / "models").glob("[!_]*.py")]
    return {
        name: {
            path: (root / "codebase" / path).read_text("utf-8")
            for path in [*GRADED, *(beside if name == "ours" else ())]
        }
        for name, root in roots.items()
    }


@pytest.fixture(scope="session")
def grade(launcher):
    """Judges a submission, {path: text}."""
    from grading import sandbox
    from grading.judge import judge
    from grading.submission import Submission

    def grade(files, seed=0, seconds=60.0, memory=4 << 30, only=None):
        files = {path: text.encode() for path, text in files.items()}
        submission = Submission("someone", "codebase", files)
        return judge(submission, launcher, sandbox.Limits(seconds, memory), seed, only)

    return grade
