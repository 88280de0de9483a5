"""The structure: which module may import which, and how thin the scripts are."""

import ast

import pytest
from conftest import ROOT

SCRIPTS = sorted(ROOT.glob("run_*.py"))
MODULES = sorted((ROOT / "codebase").rglob("*.py"))
# From the ground up: a module imports only what stands above it here.
FLOORS = [
    *("errors", "process", "reference"),
    *("devices", "precision", "ranks", "threads", "graph"),
    *("utils", "flags"),
    *("models.nns.v1", "models.nns"),
    *("models.vae",),
    *("models.gmvae", "models.ssvae"),
    *("checkpoints", "datasets"),
    *("data", "logs", "records", "resume"),
    *("saved", "steps", "training", "train", "stack", "evaluate"),
    *("figures.grids", "figures", "figures.style", "figures.captions", "figures.analysis"),
    *("figures.images", "figures.paths", "figures.maps", "figures.charts", "figures.comparisons"),
    *("figures.study", "figures.book"),
    *("explorer", "explorer.export"),
    *("places", "summary"),
    *("runs",),
    *("replicates",),
    *("experiments",),
    *("report", "report.page", "report.training"),
    *("report.recorded", "report.numbers"),
    *("report.compare", "report.sweep"),
    *("report.contents",),
]


def name_of(path):
    parts = path.relative_to(ROOT / "codebase").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Every project module that a file's import statements name, wherever they stand."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    known = {f"codebase.{name}" for name in FLOORS}
    return {name.removeprefix("codebase.") for name in found & known}


def test_every_module_has_its_floor():
    names = {name_of(m) for m in MODULES} - {"", "models"}
    assert names == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_one_way(path):
    name = name_of(path)
    if name in FLOORS:
        assert imports_of(path) - {name} <= set(FLOORS[: FLOORS.index(name)])


@pytest.mark.parametrize(
    "name", ["data", "steps", "train", "stack", "checkpoints", "runs", "evaluate"]
)
def test_loop_and_files_know_no_model(name):
    imported = imports_of(ROOT / "codebase" / f"{name}.py")
    assert not {m for m in imported if m.startswith("models")}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_imports_a_script(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    named |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert not named & {script.stem for script in SCRIPTS}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_scripts_are_thin(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 60
    assert not any(isinstance(n, ast.For | ast.While) for n in ast.walk(ast.parse(source)))
