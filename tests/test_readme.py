"""The README says what is so."""

import importlib.util
import json
import re

import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def results():
    spec = importlib.util.spec_from_file_location("table", ROOT / "results" / "table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_what_the_recorded_runs_say(results):
    for path in results.TABLES:
        assert results.updated(path) == path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    ("folder", "precision"), [("", "bf16"), ("fp32", "fp32"), ("compiled", "fp32")]
)
def test_recorded_runs_are_at_the_defaults_on_mnist(results, folder, precision):
    files = sorted((ROOT / "results" / folder).glob("*.json"))
    assert files
    patterns = [pattern for _, pattern, _ in results.PROBLEMS.values()]
    for path in files:
        run = json.loads(path.read_text(encoding="utf-8"))
        assert path.stem == re.sub("(_compile=1)?(_precision=fp32)?$", "", run["run"])
        assert run["flags"].get("compile", 0) == (folder == "compiled")
        assert any(path.match(pattern + ".json") for pattern in patterns)
        assert run["data"]["name"] == "mnist"
        assert run["flags"].get("precision", "fp32") == precision  # before the flag there was one
        changed = r"\+?" if folder == "compiled" else ""  # files that no run reads (performance.md)
        assert re.fullmatch(r"[0-9a-f]{40}" + changed, run["versions"]["git_commit"])
        expected = 30_000 if "ssvae" in run["run"] else 20_000
        assert run["training"]["iterations"] == expected


def test_it_fits_a_few_screens_and_has_the_two_commands():
    lines = README.splitlines()
    assert len(lines) <= 130
    (block,) = re.findall(r"<!-- commands -->\n(.*?)<!-- end -->", README, re.S)
    commands = re.findall(r"^    (python -m pip install .*?) +#", block, re.M)  # as .ci/run does
    assert [command.split(" && ")[1] for command in commands] == [
        "python run_vae.py",
        "python -m pytest",
    ]
