"""What a run says, wherever that goes: a terminal, a pipe that ends, a notebook, nowhere."""

import io
import json
import re
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from codebase import screen
from codebase.runs import progress

SHORT = "--dataset", "digits", "--iter_max", "100"
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")


class Tee:
    """What people put in the place of sys.stdout: write and flush, and nothing else."""

    def __init__(self, *streams):
        self.streams = streams

    def write(self, text):
        for stream in self.streams:
            stream.write(text)

    def flush(self):
        pass


@pytest.mark.parametrize("stream", [io.StringIO(), Tee(io.StringIO()), None])
def test_any_stream_will_do(stream, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    with screen.lasting():
        print("β")
        print("β", file=sys.stderr)
        assert not sys.stderr.isatty()
    assert sys.stdout is stream


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_what_cannot_be_written_is_left_unsaid(monkeypatch):
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with screen.lasting():
            print("no room", flush=True)
            print("none")


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize("where", ["2>&1 | head -n 1", ">&- 2>&- <&-", "2>&1 | (exec <&-)"])
def test_a_run_outlasts_its_readers(where, run, tmp_path):
    command = f'exec "{sys.executable}" "{ROOT / "run_vae.py"}" {" ".join(SHORT)}'
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; ({command}) {where}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    (results,) = tmp_path.glob("checkpoints/*/results.json")
    assert json.loads(results.read_text(encoding="utf-8"))["training"]["iterations"] == 100


@pytest.mark.few(1)
@POSIX
@pytest.mark.parametrize("script", ["benchmarks/speed.py --seconds 0", "run_figures.py no-such"])
def test_other_scripts_end_as_ever_with_nobody_to_tell(script, tmp_path):
    name, *words = script.split()
    command = f'exec "{sys.executable}" "{ROOT / name}" {" ".join(words)} >&- 2>&-'
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, timeout=120)
    assert done.returncode == 2


@pytest.mark.slow
def test_a_pipe_gets_short_lines(fresh):
    done = fresh("run_vae.py", *SHORT)
    assert done.returncode == 0, done.stderr
    assert "\r" not in done.stderr
    assert max(map(len, done.stderr.splitlines())) < 160
    last = done.stderr.splitlines()[-1]
    assert re.search(r"100 of 100, \d+it/s, 00:00 left, loss \d+\.\d kl_z \S+ rec \d+\.\d$", last)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when they are told to."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def lines_of(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_line_every_twentieth_or_half_a_minute(clock, capsys):
    with progress.Lines("", 0, 1_000, 0, "it") as moved:
        for _ in range(20):
            clock[0] += 0.1
            moved.update(50)
            moved.set_postfix({"loss": "1.0"})
        assert len(lines_of(capsys)) == 20
    with progress.Lines("", 0, 100_000, 0, "it") as moved:
        for _ in range(60):  # slow: 50 iterations in 10 seconds
            clock[0] += 10
            moved.update(50)
            moved.set_postfix({"loss": "1.0"})
    said = lines_of(capsys)
    assert 14 <= len(said) <= 16
    assert "About 5.5 h for this run, at 5 a second." in said


def test_ranks_say_who_they_are_and_how_many_runs_are_left(clock, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with progress.bar("run=0003", more=4, total=1_000) as moved:
        clock[0] += 10
        moved.update(100)  # of which most was spent in getting ready
        moved.set_postfix({"loss": "101.2"})
        assert not lines_of(capsys)
        clock[0] += 10
        moved.update(500)
        moved.set_postfix({"loss": "101.2"})
    about, line = lines_of(capsys)
    assert about == "rank 1, run=0003: About 88 s for this run and 4 more runs, at 50 a second."
    assert line == "rank 1, run=0003: 600 of 1,000, 30it/s, 00:13 left, 4 more runs, loss 101.2"


class Terminal(io.StringIO):
    def isatty(self):
        return True


NUMBERS = {"loss": "135.4", "ce": "0.011", "kl_z": "19.5", "kl_y": "2.3", "rec": "81.2"}


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_the_bar_reads_well_from_80_columns_on(columns, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.bar("run=0000", total=20_000) as bar:
        assert isinstance(bar, progress.Bar)
        bar.dynamic_ncols = lambda file: (columns, 24)
        bar.update(12_400)
        bar.start_t -= 50
        bar.set_postfix(NUMBERS)
        line = str(bar)
    assert len(line) <= columns
    assert re.match(r" 62%\|\S[^|]{5,}\|248it/s 00:30 left, loss 135.4 ce", line)
    assert all(f"{name} {value}" in line for name, value in NUMBERS.items())


def test_on_a_narrow_terminal_whole_numbers_are_left_out(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.bar("run=0000", total=20_000) as bar:
        bar.dynamic_ncols = lambda file: (50, 24)
        bar.update(12_400)
        bar.start_t -= 50
        bar.set_postfix(NUMBERS)
        assert str(bar).endswith("loss 135.4")
