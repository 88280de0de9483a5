"""A home for a process that has none, as in a container whose user /etc/passwd does not know.

Imports no torch.
"""

import atexit
import getpass
import os
import shutil
import sys
import tempfile
from pathlib import Path


def given() -> None:
    """Where the system knows no name of the user or no home folder, there is one from now on.

    Libraries ask for both to keep their caches, and some end with a traceback when there is no
    answer (matplotlib 3.8, torch 2.6). The folder is a temporary one, gone when the process ends;
    processes that it starts have both from the environment.
    """
    if sys.platform == "win32":  # it knows both
        return
    try:
        getpass.getuser()
    except (KeyError, OSError):  # as Python 3.13 has it
        os.environ["USER"] = f"uid-{os.getuid()}"
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = folder = tempfile.mkdtemp(prefix="home-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
