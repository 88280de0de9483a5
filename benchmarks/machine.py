"""Facts about the machine and the code that a number is worth nothing without."""

import os
import platform
import subprocess
from pathlib import Path

from benchmarks.measure import ROOT


def facts():
    """Processor, cores, memory, systems, commit, and how busy the machine is, as a dict."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores(),
        "memory": _memory(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "git_commit": _commit(),
        "load_before": load(),
    }


def cores():
    """Processors the system counts."""
    return os.cpu_count() or 1


def load():
    """Processes that ran or waited, averaged over a minute; None where that is not counted."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _cpu():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory():
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _commit():
    """The project's commit, with "+" if files it tracks differ from it; None outside git."""
    try:
        commit, changes = (
            subprocess.run(
                ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changes else "")
