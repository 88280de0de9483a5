"""A user without a name or a home, as containers have them: every script runs all the same."""

import os
import subprocess
import sys

import harm
import pytest
from conftest import ROOT

UNKNOWN = f"""
import runpy, sys
sys.path[:0] = [{str(ROOT / "tests" / "faults")!r}]
import harm
harm.unknown_user(None)
del sys.modules["harm"]
"""
NOWHERE = """
import getpass, pathlib
for asked in (getpass.getuser, pathlib.Path.home):
    try: asked()
    except (KeyError, OSError, RuntimeError): continue
    raise SystemExit("it is known after all")
"""
# One after the other in one process, which has imported none of their libraries before.
SCRIPTS = """
words = "--dataset digits --threads 1 --iter_max 2 --z 2"
run = "model=vae_z=02_run=0000_data=digits"
for command in (
    f"run_vae.py {words}",
    f"run_figures.py {run} --only samples",
    f"run_explorer.py {run} --export onnx",
):
    sys.argv = script, *_ = command.split()
    runpy.run_path(f"{ROOT}/{script}", run_name="__main__")
"""


@pytest.fixture
def unknown(tmp_path):
    """Runs a program as such a user; what it leaves in the temporary folder is in `tmp`."""
    if sys.platform != "linux" or not harm.may_mount():
        pytest.skip("no process here may hide /etc/passwd from itself")
    (tmp_path / "tmp").mkdir()

    def completed(code):
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
        env |= {"TMPDIR": str(tmp_path / "tmp")}
        command = [sys.executable, "-c", UNKNOWN + code]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.run(command, cwd=tmp_path, env=env, timeout=300, check=False, **pipes)

    return completed


def test_where_neither_is_known_there_are_both_till_the_end(unknown, tmp_path):
    code = """
from pathlib import Path
from codebase.command import said_in_one_line
with said_in_one_line():
    import getpass
    assert getpass.getuser() == f"uid-{__import__('os').getuid()}"
    assert Path.home().is_dir()
    (Path.home() / "cache").touch()
    print(Path.home())
"""
    done = unknown(NOWHERE + code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "tmp"))
    assert not list((tmp_path / "tmp").iterdir())


def test_where_both_are_known_nothing_is_changed(monkeypatch, tmp_path):
    from codebase import home

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USER", "someone")
    before = dict(os.environ)
    home.given()
    assert dict(os.environ) == before


@pytest.mark.slow
def test_every_script_runs(unknown, tmp_path):
    done = unknown(f"ROOT = {str(ROOT)!r}\n" + SCRIPTS)
    assert done.returncode == 0, done.stderr[-2000:]
    (run,) = (tmp_path / "checkpoints").iterdir()
    assert (run / "figures" / "samples.png").exists()
    assert {path.name for path in run.glob("*.onnx")} == {"encoder.onnx", "decoder.onnx"}
