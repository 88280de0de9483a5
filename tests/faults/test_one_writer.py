"""Two starts of one run: one of them trains."""

import platform
import signal

import pytest
from processes import until
from short_runs import SCRIPTS, folder_of

VAE = "run_vae.py"
FLAGS = SCRIPTS[VAE]
LONG = [*FLAGS, "--iter_max", 10**6]


@pytest.mark.few(1)
@pytest.mark.parametrize("more", [[], ["--overwrite", 1]])
def test_a_second_process_is_refused_with_the_first_one_s_pid_and_host(nursery, tmp_path, more):
    first = nursery.start(VAE, *LONG, cwd=tmp_path)
    until(lambda: list(tmp_path.glob("checkpoints/*/flags.json")), first)
    before = {p.name: p.stat().st_mtime_ns for p in folder_of(tmp_path).glob("*.json")}
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "checkpoints").symlink_to(tmp_path / "checkpoints")
    second = nursery.run(VAE, *LONG, *more, cwd=tmp_path / "second")
    assert f"process {first.pid} on {platform.node()}" in second.complaint()
    assert first.wait(0) is None
    assert before == {p.name: p.stat().st_mtime_ns for p in folder_of(tmp_path).glob("*.json")}
    first.send(signal.SIGKILL)
    first.wait()


def race(nursery, cwd):
    """Two starts at once: the statuses, sorted."""
    for name in ("one", "two"):
        (cwd / name).mkdir()
        (cwd / name / "checkpoints").symlink_to(cwd / "checkpoints")
    (cwd / "checkpoints").mkdir()
    both = [nursery.start(VAE, *FLAGS, cwd=cwd / name) for name in ("one", "two")]
    for process in both:
        assert process.wait() in (0, 2), process.err
    return sorted(process.status for process in both)


def test_of_two_starts_at_once_one_trains(nursery, tmp_path):
    assert race(nursery, tmp_path) == [0, 2]


@pytest.mark.slow
def test_of_two_starts_at_once_one_trains_ten_times(nursery, tmp_path_factory):
    for _ in range(10):
        assert race(nursery, tmp_path_factory.mktemp("race")) == [0, 2]


def test_the_lock_of_a_killed_process_is_taken_over(nursery, tmp_path):
    first = nursery.start(VAE, *FLAGS, cwd=tmp_path)
    until(lambda: list(tmp_path.glob("checkpoints/*/owner.json")), first)
    first.send(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert (folder_of(tmp_path) / "lock").exists()
    assert nursery.run(VAE, *FLAGS, cwd=tmp_path).status == 0
    assert not (folder_of(tmp_path) / "lock").exists()
