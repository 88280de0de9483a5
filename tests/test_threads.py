"""The number of CPU threads: as asked, else as many as there are cores left, else one."""

import multiprocessing
import sys
import time

import pytest
import torch

from codebase.engine import cores


@pytest.fixture
def torchs_own(monkeypatch):
    """torch's number of threads, starting at four, without its pool."""
    number = [4]
    monkeypatch.setattr(torch, "get_num_threads", lambda: number[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda n: number.__setitem__(0, n))
    return number


@pytest.mark.parametrize(
    ("asked", "free", "taken"),
    [
        (3, 1.0, 3),  # what is asked for is taken, whatever the load
        (0, None, 4),  # nothing known
        (0, 8.0, 4),  # never more than torch would take
        (0, 3.8, 4),
        (0, 3.7, 3),
        (0, 1.0, 1),
        (0, 0.1, 1),  # never none
    ],
)
def test_threads_go_to_free_cores(torchs_own, asked, free, taken):
    cores.use(asked, free)
    assert torchs_own == [taken]


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how busy its cores are")
def test_what_this_process_computes_leaves_its_core_free():
    own, began = time.process_time(), time.perf_counter()
    with cores.FreeCores() as free:
        burn(0.5)
    own, seconds = time.process_time() - own, time.perf_counter() - began
    assert free.count >= own / seconds - 0.1  # what it had itself, however busy the others were


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how busy its cores are")
def test_what_another_process_computes_is_not_free():
    """Idle seconds and other processes' seconds cannot add up to more than the cores."""
    count = torch.multiprocessing.cpu_count()
    other = multiprocessing.get_context("spawn").Process(target=burn, args=(2.0,))
    with cores.FreeCores() as free:
        began = time.perf_counter()
        other.start()
        other.join()
        seconds = time.perf_counter() - began
    assert free.count <= count - 2.0 / seconds + 0.1


def test_where_the_system_does_not_say(monkeypatch):
    def absent(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(cores.Path, "read_text", absent)
    with cores.FreeCores() as free:
        pass
    assert free.count is None


@pytest.fixture
def steps(torchs_own, monkeypatch):
    """Has a Retreat see steps of so many seconds each, of which threads compute that share."""
    computed, seconds = [10.0], [0.0]
    monkeypatch.setattr(time, "process_time", lambda: computed[0])
    retreat = cores.Retreat()

    def take(n, each, share=1.0):
        for _ in range(n):
            seconds[0] += each
            computed[0] += share * each * torchs_own[0]
            retreat(seconds[0])

    return take


def test_retreats_once_steps_take_four_times_as_long(steps, torchs_own, capsys):
    steps(50, 0.02)
    steps(50, 0.01)
    steps(50, 0.035)
    assert torchs_own == [4]
    steps(50, 0.06, share=0.9)
    assert torchs_own == [1]
    assert "going on with one thread" in capsys.readouterr().out
    steps(100, 1.0)
    assert not capsys.readouterr().out


def test_does_not_wait_for_a_slow_stretch_to_end(steps, torchs_own):
    steps(60, 0.01)
    steps(3, 1.0, share=0.75)
    assert torchs_own == [1]


def test_a_process_that_was_stopped_goes_on_as_it_was(steps, torchs_own):
    steps(60, 0.01)
    steps(3, 60.0, share=0.001)
    steps(100, 0.01)
    assert torchs_own == [4]
