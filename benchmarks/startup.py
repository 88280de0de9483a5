"""How long a user waits: for --help, for the first training step, for a whole run."""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.measure import ROOT, Failed

SCRIPT = ROOT / "run_vae.py"
STEP_DONE = re.compile(r"\b[1-9]\d*/\d+ \[")  # tqdm, once it has counted a step


def seconds_of_help(repeats=3):
    """The median time of `run_vae.py --help`."""
    return statistics.median(_timed([*_command(), "--help"]) for _ in range(repeats))


def seconds_to_first_step(setting, repeats=3):
    """The median time from the command to the progress bar's first step."""
    return statistics.median(_first_step(setting) for _ in range(repeats))


def seconds_of_a_run(setting):
    """The time of `run_vae.py` at its defaults, evaluation and pictures included."""
    with tempfile.TemporaryDirectory() as folder:
        return _timed([*_command(), *_flags(setting)], folder)


def _command():
    return [sys.executable, str(SCRIPT)]


def _flags(setting):
    flags = ["--dataset", setting.dataset, "--data_dir", setting.data_dir]
    return [*flags, "--threads", str(setting.threads)]


def _timed(command, folder=None):
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return time.perf_counter() - begin


def _first_step(setting):
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [*_command(), *_flags(setting)],
            cwd=folder,
            env=os.environ | {"TQDM_MININTERVAL": "0"},  # shown at every step
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            seen = b""
            while chunk := os.read(process.stderr.fileno(), 4096):
                seen += chunk
                if STEP_DONE.search(seen.decode(errors="replace")):
                    return time.perf_counter() - begin
            raise Failed(f"run_vae.py ended before its first step:\n{seen.decode()[-2000:]}")
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
