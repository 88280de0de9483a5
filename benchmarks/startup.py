"""How long a user waits: for --help, for the first word of the training, for a whole run."""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.measure import ROOT, Failed

SCRIPT = ROOT / "run_vae.py"
FIRST_LOOK = 50  # LOOK_EVERY of codebase/train.py, which needs torch
SHORT = ["--iter_max", str(10 * FIRST_LOOK)]  # of so few a line is written at every look
LOOKED = re.compile(rf"\b{FIRST_LOOK} of \d+,")


def seconds_of_help(repeats=3):
    """The median time of `run_vae.py --help`."""
    return statistics.median(_timed([*_command(), "--help"]) for _ in range(repeats))


def seconds_to_first_look(setting, repeats=3):
    """The median time from the command to the line that tells of the first steps."""
    return statistics.median(_first_look(setting) for _ in range(repeats))


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


def _first_look(setting):
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [*_command(), *_flags(setting), *SHORT],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            seen = b""
            while chunk := os.read(process.stderr.fileno(), 4096):
                seen += chunk
                if LOOKED.search(seen.decode(errors="replace")):
                    return time.perf_counter() - begin
            raise Failed(f"run_vae.py ended before its first look:\n{seen.decode()[-2000:]}")
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
