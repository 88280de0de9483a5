"""Writes python.ipynb, python.md as a notebook: python docs/notebook.py, whenever the page changes.

tests/test_docs.py fails when the two differ, and runs the notebook from top to bottom.
"""

import json
import re
from pathlib import Path

PAGE = Path(__file__).with_name("python.md")
NOTEBOOK = PAGE.with_suffix(".ipynb")
# Where the notebook stands alone, as in Colab, the project is fetched first.
FIND = """\
# Where the project is: around this notebook, or fetched from PROJECT, as Colab needs it.
import importlib.util
import pathlib
import subprocess
import sys

PROJECT = ""  # the address that you would `git clone`

here = pathlib.Path.cwd()
around = [folder for folder in (here, *here.parents) if (folder / "codebase").is_dir()]
if importlib.util.find_spec("codebase") is None:
    if not around:
        assert PROJECT, "Say in PROJECT where the project is to be cloned from."
        around = [here / "project"]
        subprocess.run(["git", "clone", PROJECT, str(around[0])], check=True)
        needed = str(around[0] / "requirements.txt")
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-r", needed], check=True)
    sys.path.insert(0, str(around[0]))
"""
SCRIPT = re.compile(r"^ {4}python run_(\w+)\.py (.*)\n", re.M)  # the page's one command line
CODE = re.compile(r"^```python\n(.*?)^```\n", re.M | re.S)


def trained(command: re.Match[str]) -> str:
    """A command line as a block of Python."""
    words = json.dumps([*command[2].split(), "--overwrite", "1"])
    call = f'main("{command[1]}", words={words})'
    return f"```python\nfrom codebase.command import main\n\n{call}\n```\n"


def cells(page: str) -> list[tuple[str, str]]:
    """(markdown or code, text) of every cell."""
    title, _, rest = page.partition("\n")
    found = [("markdown", title), ("code", FIND)]
    # A run that is there from an earlier reading is made anew.
    rest = SCRIPT.sub(trained, rest)
    for i, text in enumerate(CODE.split(rest)):
        if text.strip():
            found.append(("code" if i % 2 else "markdown", text.strip("\n")))
    return found


def notebook(page: str) -> str:
    """The notebook's file, in nbformat 4.5."""
    made = []
    for number, (kind, text) in enumerate(cells(page)):
        cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        cell["source"] = text.strip("\n").splitlines(keepends=True)
        made.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {"cells": made, "metadata": {"kernelspec": kernel}}
    content |= {"nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
