"""SIGKILL of any process of a --runs job, and the same numbers in the end."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT
from processes import until
from short_runs import SCRIPTS, outcomes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, as nursery.py does")
VAE = "run_vae.py"
JOB = [*SCRIPTS[VAE], "--iter_max", 300, "--iter_save", 150, "--runs", 2, "--threads", 1]


def shared(nursery, cwd):
    """Starts the job with two processes beside the one that launches them."""
    return nursery.start(VAE, *JOB, "--jobs", 2, cwd=cwd)


@pytest.fixture(scope="module")
def undisturbed(nursery, tmp_path_factory):
    """What both runs leave behind, trained one after the other in one process."""
    cwd = tmp_path_factory.mktemp("undisturbed")
    process = nursery.run(VAE, *JOB, cwd=cwd, full_evaluation=True)
    assert process.status == 0, process.err
    return outcomes(cwd)


def same(found, expected):
    """The same numbers and checkpoints; a rank told to stop has saved one more of these."""
    for run, whole in expected.items():
        assert found[run]["numbers"] == whole["numbers"], run
        assert whole["weights"].items() <= found[run]["weights"].items(), run
    assert found.keys() == expected.keys()


def trainer(cwd, run):
    """Process id of who trains that run, once it has saved a state; None before."""
    for folder in cwd.glob(f"checkpoints/*_run=000{run}_*"):
        if (folder / "resume.pt").exists():
            return json.loads((folder / "owner.json").read_text())["pid"]
    return None


@pytest.mark.slow
def test_a_rank_that_is_killed_is_started_again_and_goes_on(nursery, undisturbed, tmp_path):
    job = shared(nursery, tmp_path)
    until(lambda: trainer(tmp_path, 1), job)
    os.kill(trainer(tmp_path, 1), signal.SIGKILL)
    assert job.wait() == 0, job.err
    assert "exitcode: -9" in job.err
    same(outcomes(tmp_path), undisturbed)
    assert "mean ± s.e." in job.out


LAUNCHER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=sys.stdout)
child.wait()
"""
RANK = """
import time
from codebase.runs import ranks
ranks.end_with_the_launcher()
print("trains", flush=True)
time.sleep(20)
print("unseen")
"""


def test_ranks_end_with_a_launcher_that_is_killed():
    env = os.environ | {"RANK": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LAUNCHER, RANK]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout.readline() == "trains\n"
        launcher.kill()
        assert launcher.stdout.read() == ""  # comes to an end only with the last who writes to it


def processes(job):
    """The launcher and those of its ranks that live."""
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
    return [job.pid, *map(int, children)]


@pytest.mark.slow
def test_ten_kills_of_any_process_at_any_time(nursery, undisturbed, tmp_path_factory, capsys):
    draw, killed = random.Random(0), Counter()
    since = time.monotonic()
    job = shared(nursery, tmp_path_factory.mktemp("whole"))
    assert job.wait() == 0, job.err
    seconds = time.monotonic() - since
    while killed.total() < 10:
        cwd = tmp_path_factory.mktemp("killed")
        job = shared(nursery, cwd)
        if job.wait(draw.uniform(0.1, 1) * seconds) is not None:
            continue  # it had ended before
        target = draw.choice(processes(job))
        state = "trained" if list(cwd.glob("checkpoints/*/resume.pt")) else "had not saved"
        os.kill(target, signal.SIGKILL)
        killed["launcher" if target == job.pid else "rank", state] += 1
        job.wait()
        again = nursery.run(VAE, *JOB, "--jobs", 2, cwd=cwd)
        assert again.status == 0, again.err
        same(outcomes(cwd), undisturbed)
    with capsys.disabled():
        print(f"\nkilled, and all with the same bits in the end: {dict(killed)}")
