"""The test's side of nursery.py: scripts as processes that start in milliseconds."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

NURSERY = Path(__file__).with_name("nursery.py")
ROOT = NURSERY.parents[2]
FOREVER = 300
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:1")


@dataclass
class Process:
    """A script that was started."""

    nursery: "Nursery"
    pid: int
    said: Path  # the folder of the files out and err
    status: int | None = None
    cpu: float | None = None

    def wait(self, seconds=FOREVER):
        """The exit status, negative for a signal; None if it still runs after the seconds."""
        if self.status is None:
            answer = self.nursery.ask({"wait": self.pid, "seconds": seconds})
            self.status, self.cpu = answer.get("status"), answer.get("cpu")
        return self.status

    def send(self, signal):
        """Sends a signal, unless it has been seen to end."""
        if self.status is None:
            os.kill(self.pid, signal)

    def cpu_so_far(self):
        """Seconds of CPU it has had: an instant in its life that no load on the machine moves."""
        return time.clock_gettime((~self.pid << 3) | 2)  # Linux's clock of another process

    @property
    def out(self):
        return (self.said / "out").read_text("utf-8")

    @property
    def err(self):
        return (self.said / "err").read_text("utf-8")

    def complaint(self):
        """The one line of an error; fails if there is a traceback, or the status says success."""
        assert self.wait() == 2, self.err
        assert "Traceback" not in self.err
        assert "Exception" not in self.err, self.err
        complaints = [line for line in self.err.splitlines() if "error: " in line]
        assert complaints == self.err.splitlines()[-1:]
        return complaints[0].split("error: ", 1)[1]


class Nursery:
    """nursery.py, running.

    Args:
        project: the folder whose scripts and code it runs; by default this project's.
    """

    def __init__(self, project=ROOT):
        self.project = project

    def __enter__(self):
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"} | NO_NETWORK
        pipe = subprocess.PIPE
        command = [sys.executable, str(NURSERY), str(self.project)]
        self.driver = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)
        return self

    def __exit__(self, *exception):
        self.driver.stdin.close()
        self.driver.wait()
        self.driver.stdout.close()

    def ask(self, order):
        self.driver.stdin.write(json.dumps(order) + "\n")
        self.driver.stdin.flush()
        return json.loads(self.driver.stdout.readline())

    def start(self, script, *flags, cwd, said=None, **harm):
        """Starts a script of the project in cwd, under the faults given by name."""
        said = said or cwd
        order = {"run": script, "flags": [str(f) for f in flags], "cwd": str(cwd), "harm": harm}
        return Process(self, self.ask(order | {"said": str(said)})["pid"], Path(said))

    def run(self, script, *flags, cwd, **harm):
        """Runs a script to its end."""
        process = self.start(script, *flags, cwd=cwd, **harm)
        assert process.wait() is not None, "it hangs"
        return process


def until(condition, process, seconds=60):
    """Waits for a condition while the process lives."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.wait(0) is None, process.err
        assert time.monotonic() < deadline
        time.sleep(0.002)
