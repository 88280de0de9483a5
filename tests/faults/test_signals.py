"""SIGINT and SIGTERM at any moment: saved, ended, and nothing said that is not so."""

import re
import signal

import pytest
from processes import until
from short_runs import SCRIPTS, folder_of, outcome

VAE = "run_vae.py"
FLAGS = SCRIPTS[VAE]
# A run long enough to be caught in the middle.
LONG = [*FLAGS, "--iter_max", 10**6, "--iter_save", 200]


def in_training(folder):
    return lambda: list(folder.glob("checkpoints/*/model-00200.pt"))


@pytest.mark.few(1)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_in_under_five_seconds(number, nursery, tmp_path):
    process = nursery.start(VAE, *LONG, cwd=tmp_path)
    until(in_training(tmp_path), process)
    since = process.cpu_so_far()
    process.send(number)
    assert process.wait() == 128 + number
    assert process.cpu - since < 5  # of its own time, whatever else the machine does
    assert "Traceback" not in process.err
    (path,) = re.findall(r"saved in (.*)\.$", process.out, re.MULTILINE)
    assert (tmp_path / path).exists()


def test_a_second_signal_ends_at_once(nursery, tmp_path):
    """The first one waits for a disk that takes two minutes; the second does not."""
    process = nursery.start(VAE, *FLAGS, cwd=tmp_path, slow_disk=120)
    until((tmp_path / "waiting").exists, process)
    process.send(signal.SIGINT)
    assert process.wait(2) is None
    process.send(signal.SIGINT)
    assert process.wait(60) == 130
    assert "Traceback" not in process.err
    assert not list(folder_of(tmp_path).glob("*.tmp"))
    assert nursery.run(VAE, *FLAGS, cwd=tmp_path).status == 0


# Renames one and two are owner.json's and flags.json's, those after them of training.
@pytest.mark.few(1)
@pytest.mark.parametrize("rename", [3, 5])
def test_a_signal_while_saving_loses_nothing(rename, nursery, tmp_path, whole):
    process = nursery.run(VAE, *FLAGS, cwd=tmp_path, signal_at=rename)
    assert process.status == 128 + signal.SIGTERM
    step, path = re.findall(r"at iteration (\d+); saved in (.*)\.$", process.out, re.MULTILINE)[0]
    assert (tmp_path / path).name == f"model-{int(step):05d}.pt"
    assert (tmp_path / path).exists()
    process = nursery.run(VAE, *FLAGS, cwd=tmp_path)
    assert process.status == 0, process.err
    found = outcome(tmp_path)
    assert found["numbers"] == whole["numbers"]
    assert whole["weights"].items() <= found["weights"].items()


def test_ctrl_c_during_the_evaluation_is_one_line(nursery, tmp_path):
    process = nursery.start(VAE, *FLAGS, "--train", 2, cwd=tmp_path)
    until(lambda: (tmp_path / "out").exists() and in_evaluation(tmp_path), process)
    process.send(signal.SIGINT)
    assert process.wait() == 130
    assert process.err.splitlines()[-1].startswith("Stopped; the same command")
    assert "Traceback" not in process.err
    assert (folder_of(tmp_path) / "resume.pt").exists()


def in_evaluation(cwd):
    from codebase.engine import resume

    state = next(cwd.glob("checkpoints/*/resume.pt"), None)
    return state is not None and resume.read(state)["step"] == 120
