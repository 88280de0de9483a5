"""The structure: which module may import which, how thin the scripts are, what says its types."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

SCRIPTS = sorted(ROOT.glob("run_*.py"))
MODULES = sorted((ROOT / "codebase").rglob("*.py"))
# From the ground up: what lies in a room uses only its own room and those that stand before it.
ROOMS = (
    *(
        "errors",
        "screen",
        "home",
        "flag",
        "sides",
        "utils",
        "models",
        "axes",
        "catalogue",
        "files",
        "data",
    ),
    *("engine", "evaluation", "starter", "train", "runs", "figures", "tasks", "uses", "explorer"),
    "report",
    "command",
)


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
    known = {f"codebase.{name_of(module)}" for module in MODULES} - {"codebase."}
    return {name.removeprefix("codebase.") for name in found & known}


def room_of(name):
    return name.split(".")[0]


def test_every_module_lies_in_a_room():
    assert {room_of(name_of(m)) for m in MODULES} - {""} == set(ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_uses_only_rooms_below_it(path):
    if name := name_of(path):
        below = ROOMS[: ROOMS.index(room_of(name)) + 1]
        assert {room_of(used) for used in imports_of(path)} <= set(below)


@pytest.mark.parametrize("room", ["data", "files"])
def test_data_and_files_know_no_model(room):
    used = {name for m in MODULES if room_of(name_of(m)) == room for name in imports_of(m)}
    assert not {name for name in used if room_of(name) == "models"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms_can_be_entered_without_torch(path):
    """The command line imports packages before it is known what for: they import nothing.

    Only models, which it does not import then, has utils.py come first: see test_overlay.py. Axes
    and catalogue are their own modules.
    """
    heavy = "models", "nns", "figures", "explorer", "axes", "catalogue"
    if path.name == "__init__.py" and path.parent.name not in heavy:
        assert not imports_of(path)


def test_the_catalogue_is_read_without_torch():
    code = "import sys; import codebase.catalogue; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def public_functions(body, of=""):
    """Every public function of a module and its public classes, with its name and class."""
    named = (node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef))
    for node in named:
        if node.name.startswith("_") and node.name != "__init__":
            continue
        if isinstance(node, ast.ClassDef):
            yield from public_functions(node.body, f"{node.name}.")
        else:
            yield f"{of}{node.name}", node


def hints_of(function):
    """{argument, or "return": its annotation, None where there is none}; not of self and cls."""
    args = function.args
    several = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    hints = {arg.arg: arg.annotation for arg in several if arg}
    return {k: v for k, v in hints.items() if k not in ("self", "cls")} | {
        "return": function.returns
    }


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_public_functions_say_their_types(path):
    """Whether they are right, `mypy codebase` says."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hints = {name: hints_of(function) for name, function in public_functions(tree.body)}
    assert not {name: own for name, own in hints.items() if None in own.values()}


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
