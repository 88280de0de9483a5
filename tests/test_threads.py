"""The number of CPU threads: as asked, else as many as there are cores left, else one."""

import multiprocessing
import sys
import time

import pytest
import torch

from codebase import threads


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
    threads.take(asked, free)
    assert torchs_own == [taken]


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how busy its cores are")
def test_what_this_process_computes_leaves_its_core_free():
    own, began = time.process_time(), time.perf_counter()
    with threads.FreeCores() as free:
        burn(0.5)
    own, seconds = time.process_time() - own, time.perf_counter() - began
    assert free.count >= own / seconds - 0.1  # what it had itself, however busy the others were


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how busy its cores are")
def test_what_another_process_computes_is_not_free():
    """Idle seconds and other processes' seconds cannot add up to more than the cores."""
    cores = torch.multiprocessing.cpu_count()
    other = multiprocessing.get_context("spawn").Process(target=burn, args=(2.0,))
    with threads.FreeCores() as free:
        began = time.perf_counter()
        other.start()
        other.join()
        seconds = time.perf_counter() - began
    assert free.count <= cores - 2.0 / seconds + 0.1


def test_where_the_system_does_not_say(monkeypatch):
    def absent(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(threads.Path, "read_text", absent)
    with threads.FreeCores() as free:
        pass
    assert free.count is None


def test_retreats_once_steps_take_four_times_as_long(torchs_own, monkeypatch, capsys):
    computed = [10.0]
    monkeypatch.setattr(time, "process_time", lambda: computed[0])
    retreat = threads.Retreat()

    def look(seconds, share=1.0):
        computed[0] += 4 * share * (seconds - retreat.before[0])
        retreat(seconds)

    for seconds in (2.0, 3.0, 6.5):  # took 2, 1 and 3.5 seconds
        look(seconds)
    look(60.0, share=0.01)  # stopped for a while
    assert torchs_own == [4]
    look(65.0, share=0.9)
    assert torchs_own == [1]
    assert "going on with one thread" in capsys.readouterr().out
    look(80.0)
    assert not capsys.readouterr().out
