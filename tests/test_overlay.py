"""A solution's four files laid over codebase/: the scripts go on working with them."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from processes import Nursery

pytestmark = pytest.mark.xdist_group("overlay")  # one copy of the project
SOLUTION = ROOT / "tests" / "grading" / "classic" / "codebase"
# The starter's utils.py imports models at its top, as this solution's does; here all three.
IMPORTS = "".join(
    f"from codebase.models.{name.lower()} import {name}\n" for name in ("VAE", "SSVAE", "GMVAE")
)
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "codebase").rglob("*.py")
)
# Every module first in a process of its own, forked from one that has imported what takes long.
FIRST = """
import importlib, os, sys
import numpy, torch, torchvision, matplotlib, sklearn.model_selection
for name in sys.argv[1:]:
    if not os.fork():
        importlib.import_module(name)
        from codebase import utils
        from codebase.models.ssvae import SSVAE
        assert utils.SSVAE is SSVAE, name
        sys.stdout.flush()
        os._exit(0)
    assert os.wait()[1] == 0, name
"""
FLAGS = "--dataset", "digits", "--iter_max", "2"


@pytest.fixture(scope="module")
def overlaid(tmp_path_factory):
    """A copy of the project with the solution in the place of its four files."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "codebase", project / "codebase")
    for script in ROOT.glob("run*.py"):
        shutil.copy(script, project)
    shutil.copytree(SOLUTION, project / "codebase", dirs_exist_ok=True)
    utils = project / "codebase" / "utils.py"
    utils.write_text(IMPORTS + utils.read_text(encoding="utf-8"), encoding="utf-8")
    return project


@pytest.fixture(scope="module")
def children(overlaid):
    """Forks the copy's scripts, as `nursery` does the project's."""
    if sys.platform != "linux":
        pytest.skip("needs Linux, as nursery.py does")
    with Nursery(overlaid) as started:
        yield started


@pytest.fixture
def call(overlaid, tmp_path):
    """Runs a program on the copy, in an empty folder; gives what was printed."""

    def completed(code, *words):
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(overlaid)}
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return completed


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
@pytest.mark.parametrize("modules", [MODULES[::6], pytest.param(MODULES, marks=pytest.mark.slow)])
def test_any_module_may_be_imported_first(call, modules):
    call(FIRST, *modules)


@pytest.mark.slow
@pytest.mark.parametrize("script", ["run_vae.py", "run_gmvae.py", "run_ssvae.py"])
def test_it_is_trained_evaluated_and_drawn(children, tmp_path, script):
    def said(script, *flags):
        done = children.run(script, *flags, cwd=tmp_path)
        assert done.status == 0, done.err
        return done.out

    trained, again = said(script, *FLAGS), said(script, *FLAGS, "--train", 0)
    # The same numbers from the file, of the solution's own bounds.
    number = re.compile(r"^(?:nelbo|accuracy) +(\S+)", re.M)
    assert number.search(trained)[1] == number.search(again)[1]
    assert ("not implemented" in again) == (script == "run_gmvae.py")
    (run,) = (tmp_path / "checkpoints").iterdir()
    figures = "samples", "kl_per_dimension"
    said("run_figures.py", run.name, "--only", *figures)
    assert {path.stem for path in (run / "figures").glob("*.png")} == set(figures)
    said("run_explorer.py", run.name)
    assert (run / "explore.html").exists()


@pytest.mark.slow
def test_evaluation_in_the_starter_s_words(call):
    call(
        "import torch\n"
        "from codebase.models.ssvae import SSVAE\n"
        "from codebase.models.vae import VAE\n"
        "from codebase.starter import evaluate_classifier, evaluate_lower_bound\n"
        "x, y = torch.rand(5, 784), torch.arange(5)\n"
        "evaluate_lower_bound(VAE(), (x.round(), y))\n"
        "evaluate_lower_bound(SSVAE(), (x.round(), y))\n"  # the bound that it does not have, too
        "assert 0 <= evaluate_classifier(SSVAE(), (x, y)).value <= 1\n",
    )
