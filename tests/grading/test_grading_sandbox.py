"""Submissions that misbehave harm nobody but themselves."""

import os
import re
import sys
import time
from pathlib import Path

import pytest

from grading import lockdown, sandbox
from grading.judge import judge
from grading.lockdown import GUARDS
from grading.submission import Submission

linux = pytest.mark.skipif(sys.platform != "linux", reason="guards that only Linux has")


@pytest.fixture
def misbehave(launcher, solutions):
    """Judges the classic solution with a sample_gaussian that does something else first."""

    def misbehave(code, seconds=3.0, only=("sample_gaussian", "log_normal"), imports=""):
        body = "\n".join(f"    {line}" for line in code.splitlines())
        end = f"\n\n{imports}\n\n\ndef sample_gaussian(m, v):\n{body}\n    return m\n"
        files = {path: text.encode() for path, text in solutions["classic"].items()}
        files["utils.py"] += end.encode()
        submission = Submission("someone", "codebase", files)
        limits = sandbox.Limits(seconds, 2 << 30)
        return judge(submission, launcher, limits, seed=0, only=only)

    return misbehave


def notes(verdict):
    return {r.finding.seen.key for r in verdict.results if r.finding.seen}


def others_unharmed(verdict):
    return all(r.finding.passed for r in verdict.results if r.check.name.startswith("log_normal"))


def test_an_endless_loop_costs_one_limit(misbehave, monkeypatch):
    """There are five checks, but it is asked once, though a GPU that is not there is spoken of."""
    asked, ask = [], sandbox.Session.ask

    def noted(self, *args, **info):
        asked.append(info.get("name"))
        return ask(self, *args, **info)

    monkeypatch.setattr(sandbox.Session, "ask", noted)
    imports = "import torch; device = 'cuda' if torch.cuda.is_available() else 'cpu'"
    verdict = misbehave("while True: pass", imports=imports)
    assert notes(verdict) == {"timed_out_at"}
    said = next(r.finding.seen for r in verdict.results if r.finding.seen).say("en")
    assert re.fullmatch(
        r"did not .*; it was at codebase/utils\.py:\d+ then: while True: pass", said
    )
    assert others_unharmed(verdict)
    assert asked.count("sample_gaussian") == 1


def test_what_a_busy_machine_keeps_from_running_is_not_counted(misbehave, monkeypatch):
    """As if nine seconds of ten had been spent waiting for a core: 1.2 s of sleep are 0.12 s."""
    monkeypatch.setattr(sandbox, "_starved", lambda tasks: time.monotonic() * 0.9)
    only = ("sample_gaussian",)
    verdict = misbehave("time.sleep(0.3)", seconds=0.5, imports="import time", only=only)
    assert "timed_out" not in notes(verdict)
    verdict = misbehave("time.sleep(600)", seconds=0.1, imports="import time", only=only)
    assert notes(verdict) == {"timed_out_at"}


def test_code_that_hears_no_interrupt_is_ended_all_the_same(misbehave):
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    verdict = misbehave("while True: pass", imports=deaf, only=("sample_gaussian",))
    assert notes(verdict) == {"timed_out"}


@pytest.mark.slow
def test_items_that_use_a_hanging_function_are_judged_with_a_stand_in(misbehave):
    verdict = misbehave("while True: pass", seconds=8.0, only=("sample_gaussian", "VAE"))
    assert verdict.earned("1.1") == 0
    assert verdict.earned("1.2") == 9
    assert verdict.standins == {"VAE": ("sample_gaussian",)}


@linux
def test_a_huge_allocation_is_refused(misbehave):
    for code in ("torch.empty(100 << 30, dtype=torch.uint8).fill_(1)", "bytearray(100 << 30)"):
        verdict = misbehave(code, seconds=20)
        assert notes(verdict) == {"out_of_memory"}
        assert others_unharmed(verdict)


def test_leaving_the_process_is_survived(misbehave):
    verdict = misbehave("os._exit(0)")
    assert notes(verdict) == {"died"}
    assert others_unharmed(verdict)
    verdict = misbehave("sys.exit('11/10')")
    assert notes(verdict) == {"called_exit"}
    assert others_unharmed(verdict)


@linux
def test_no_new_processes_no_signals_no_network(misbehave):
    """Each attempt is refused by the kernel; the exception's text comes back as feedback."""
    attempts = {
        "os.fork()": "PermissionError",
        "__import__('subprocess').run(['true'])": "PermissionError",
        "os.kill(os.getppid(), 9)": "PermissionError",
        "os.kill(-1, 9)": "PermissionError",
        "__import__('socket').socket()": "PermissionError",
        "open('/proc/self/oom_score_adj', 'w').write('0')": "OSError",
        "open(os.path.expanduser('~/../package'), 'w')": "OSError",
    }
    lines = [
        f"try:\n    {code}\n    done.append({code!r})\nexcept {kind}:\n    pass"
        for code, kind in attempts.items()
    ]
    verdict = misbehave("done = []\n" + "\n".join(lines) + "\nassert not done, done", seconds=20)
    assert "raised" not in notes(verdict), [
        r.finding.seen.say("en") for r in verdict.results if r.finding.seen
    ]


@linux
def test_threads_still_work(misbehave):
    code = "t = __import__('threading').Thread(target=int)\nt.start()\nt.join()"
    assert "raised" not in notes(misbehave(code, seconds=20))


@linux
def test_the_disk_cannot_be_filled(misbehave):
    """Neither by one large file nor by many, and nothing stays behind."""
    code = (
        "for i in range(100):\n"
        "    with open(f'junk{i}', 'wb') as f:\n"
        "        f.write(bytes(1 << 24))"
    )
    verdict = misbehave(code, seconds=20)
    assert notes(verdict) == {"raised"}
    assert others_unharmed(verdict)


def test_deleting_its_folder_harms_only_itself(misbehave, tmp_path):
    folder = "os.path.dirname(os.path.dirname(__file__))"
    verdict = misbehave(f"shutil.rmtree(os.path.dirname({folder}), ignore_errors=True)", seconds=20)
    assert others_unharmed(verdict)


@linux
def test_files_of_others_are_read_only(misbehave, tmp_path):
    mine = tmp_path / "grades.csv"
    mine.write_text("mine")
    verdict = misbehave(f"open({str(mine)!r}, 'w').write('theirs')", seconds=20)
    assert "raised" in notes(verdict)
    assert mine.read_text() == "mine"


def test_prints_are_no_grades(misbehave, capfd):
    code = "print('61/61', flush=True)\nos.write(1, b'61/61')\nos.write(2, b'61/61')"
    verdict = misbehave(code)
    assert verdict.earned("1.1") < 9
    assert "61/61" not in "".join(capfd.readouterr())


def test_writing_to_the_graders_pipe_gains_nothing(misbehave):
    """What reaches the grader is arrays, or nonsense; there is no message that says "passed"."""
    code = (
        "for fd in range(3, 64):\n"
        "    try:\n"
        "        os.write(fd, b'\\xff' * 4096)\n"
        "    except OSError:\n"
        "        pass"
    )
    verdict = misbehave(code)
    assert verdict.earned("1.1") == 0
    assert others_unharmed(verdict)


def test_a_forged_error_cannot_write_lines_of_the_report(misbehave):
    """An error's fields come from the submission's process, whatever it says they are."""
    code = (
        "import json\n"
        "error = {'type': 'E', 'message': 'm', 'text': 't', 'file': 'utils.py',\n"
        "         'line': '1\\n\\x1b[2Jeva 61/61'}\n"
        "header = json.dumps([{'error': error}, []]).encode()\n"
        "for fd in range(3, 64):\n"
        "    try:\n"
        "        os.write(fd, len(header).to_bytes(8, 'little') + header)\n"
        "    except OSError:\n"
        "        pass"
    )
    verdict = misbehave(code)
    said = [r.finding.seen.say("en") for r in verdict.results if r.finding.seen]
    assert any("61/61" in text for text in said)
    assert all(text.isprintable() for text in said)
    assert verdict.earned("1.1") < 9


def test_secrets_of_the_environment_stay_here(launcher, solutions, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "secret")
    own = sandbox.launcher()  # started with the secret around
    files = {path: text.encode() for path, text in solutions["classic"].items()}
    files["utils.py"] += (
        b"\n\ndef sample_gaussian(m, v):\n    raise ValueError(sorted(os.environ))\n"
    )
    try:
        verdict = judge(
            Submission("x", "codebase", files), own, sandbox.Limits(), 0, only=("sample_gaussian",)
        )
    finally:
        own.close()
    message = verdict.results[0].finding.seen.values["message"]
    assert "HOME" in message
    assert "SOME_TOKEN" not in message
    assert "PYTHONPATH" not in message


def test_the_project_cannot_be_imported(misbehave):
    code = "__import__('importlib').import_module('grading.oracles')"
    verdict = misbehave(code, seconds=20)
    assert notes(verdict) == {"import_failed"}


def test_no_folder_and_no_process_is_left_behind(misbehave, launcher, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    misbehave("while True: pass")
    assert os.listdir(tmp_path) == []
    if sys.platform == "linux":
        pid = launcher.process.pid
        assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""


def test_the_other_way_to_start_workers_gives_the_same_verdict(solutions):
    """A fresh process per session, as on platforms without a safe fork."""
    files = {path: text.encode() for path, text in solutions["classic"].items()}
    launcher = sandbox.Spawner()
    try:
        verdict = judge(
            Submission("x", "codebase", files),
            launcher,
            sandbox.Limits(),
            0,
            only=("sample_gaussian", "log_normal"),
        )
    finally:
        launcher.close()
    assert all(r.finding.passed for r in verdict.results)


def test_guards_are_reported(launcher, solutions):
    files = {path: text.encode() for path, text in solutions["classic"].items()}
    submission = Submission("x", "codebase", files)
    verdict = judge(submission, launcher, sandbox.Limits(), 0, only=("sample_gaussian",))
    assert set(verdict.guards) <= set(GUARDS)
    if sys.platform == "linux":
        from harm import may_mount

        assert {"memory", "file size", "processes"} <= set(verdict.guards)
        assert verdict.guards == [*GUARDS] or not may_mount()


@linux
def test_a_guard_that_does_not_hold_is_not_among_them(monkeypatch):
    monkeypatch.setattr(lockdown, "_linux_namespaces", lambda scratch: {"network"})
    monkeypatch.setattr(lockdown, "_limits", lambda memory, forks_filtered: {"memory"})
    monkeypatch.setattr(lockdown, "_linux_system_calls", lambda: {"processes"})
    assert lockdown.confine("nowhere", 1) == ["memory", "network", "processes"]
