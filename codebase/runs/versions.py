"""Which software a run was made with."""

import platform
import subprocess
from pathlib import Path

import numpy as np
import torch


def versions() -> dict[str, str | None]:
    """Of Python, torch and its kernels, NumPy, this project and the system, for a record."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpu_kernels": torch.backends.cpu.get_cpu_capability(),  # which round otherwise
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "git_commit": _git_commit(),
    }


def _git_commit():
    """The project's commit, with "+" if files it tracks differ from it; None outside git."""
    here = Path(__file__).parent
    try:
        commit, changes = (
            subprocess.run(
                ["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changes else "")
