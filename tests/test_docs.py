"""The pages say what is so: links lead somewhere, flags exist, the code of python.md runs."""

import importlib.util
import json
import re
import subprocess
import sys

import pytest
from conftest import ROOT
from test_house import ROOMS

from codebase.axes import AXES
from codebase.catalogue import CATALOGUE, PRESETS
from codebase.runs.flags import parser_of

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = "run_vae.py", "run_gmvae.py", "run_ssvae.py"
NOT_OURS = {"--logdir", "--nnodes", "--rdzv_backend", "--rdzv_endpoint", "--max-restarts"}
NOT_OURS |= {"--standalone", "--nproc_per_node"}


def text_of(page):
    """A page without its blocks of code, fenced or indented."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.sub(r"^ {4}\S.*$", "", text, flags=re.M)


def anchors_of(page):
    """The anchors that GitHub gives a page's headings."""
    found = []
    for heading in re.findall(r"^#+ (.+)$", text_of(page), re.M):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        earlier = sum(
            re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other) is not None for other in found
        )
        found.append(f"{anchor}-{earlier}" if earlier else anchor)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = text_of(page)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    for link in links:
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors_of(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_it_names_exists(page):
    text = page.read_text(encoding="utf-8")
    rooms = r"\b(?:codebase|tests|benchmarks|grading|results|docs)/[\w./]+\.(?:py|sh|md|png|json)\b"
    scripts = r"(?<![\w/-])(?:run_\w+|grade|run)\.py\b"
    made = re.findall(r"^```python\n# (\S+)$", text, re.M)  # by who follows the page
    for path in {*re.findall(rooms, text), *re.findall(scripts, text)} - {*made}:
        assert (ROOT / path).exists(), path


def test_every_flag_that_is_named_exists():
    rooms = (ROOT / room for room in ("codebase", "grading", "benchmarks"))
    code = [*ROOT.glob("*.py"), *(p for room in rooms for p in room.rglob("*.py"))]
    code += [ROOT / "tests" / "conftest.py"]  # pytest's, to grade by
    code = "".join(p.read_text(encoding="utf-8") for p in code)
    declared = set(re.findall(r'"(--[\w-]+)"', code))
    flags = {flag.name for entry in CATALOGUE.values() for flag in entry.flags}
    flags |= {*re.findall(r'Flag\(\s*"(\w+)"', code), *AXES}  # those of a run, of a script
    declared |= {f"--{name}" for name in flags}
    for page in PAGES:
        named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", page.read_text(encoding="utf-8")))
        assert named <= declared | NOT_OURS, page.name


COMMAND = re.compile(
    r"(?:python(?: -m)? (?:\S+/)?)(run|run_vae|run_gmvae|run_ssvae)\.py((?: [^\s#`…|;]+)*)"
)
TAUGHT = "laplace"  # the model a page shows how to add


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_training_that_is_shown_is_understood(page):
    for script, words in COMMAND.findall(page.read_text(encoding="utf-8")):
        words = words.split()
        if script == "run" and words[0] in ("NAME", "PRESET", "use", "gap", "--list", TAUGHT):
            continue
        name = script.removeprefix("run_") if script != "run" else words.pop(0)
        entry = CATALOGUE[PRESETS[name].entry if name in PRESETS else name]
        if words != ["--help"]:
            entry.check(vars(parser_of(entry, axes=script == "run").parse_args(words)))


def test_every_flag_of_the_scripts_is_described():
    described = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
    for script in SCRIPTS:
        done = subprocess.run(
            [sys.executable, ROOT / script, "--help"], capture_output=True, text=True, check=True
        )
        for flag in set(re.findall(r"(?<![\w-])--[a-z]\w*", done.stdout)) - {"--help"}:
            assert f"`{flag}`" in described, flag


def test_the_house_has_the_rooms_that_imports_are_checked_by():
    house = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(\w+)` \|", house, re.M)) == ROOMS


def module(path):
    """A file of docs/, imported."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def notebook():
    return module(ROOT / "docs" / "notebook.py")


def test_the_notebook_is_the_page_for_python_users(notebook):
    page = notebook.PAGE.read_text(encoding="utf-8")
    assert notebook.NOTEBOOK.read_text(encoding="utf-8") == notebook.notebook(page)
    cells = notebook.cells(page)
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert len(blocks) == page.count("```python")
    code = [text for kind, text in cells if kind == "code"]
    assert [block.strip() for block in blocks] == code[2:]  # after the project and the run
    ((script, flags),) = re.findall(r"^ {4}python run_(vae)\.py (.*)$", page, re.M)
    words = json.dumps([*flags.split(), "--overwrite", "1"])
    assert f'main("{script}", words={words})' in code[1]
    assert not [text for kind, text in cells if kind == "markdown" and "```python" in text]


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(notebook, run, tmp_path):
    """And once more, over what the first time has left: a notebook is run again and again."""
    cells = json.loads(notebook.NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    program = tmp_path / "cells.py"
    program.write_text("\n\n".join([*code, *code[:3]]), encoding="utf-8")
    done = run(program)
    assert done.returncode == 0, done.stderr
    assert "nelbo: " in done.stdout
    for file in ("digits.png", "curves.png", "checkpoints/mine/model-00200.pt"):
        assert (tmp_path / file).exists()


@pytest.mark.parametrize("where", ["in the project", "elsewhere"])
def test_the_notebook_finds_or_fetches_the_project(where, notebook, tmp_path, monkeypatch):
    """Without a network: what would be called is noted down."""
    called = []
    monkeypatch.setattr(subprocess, "run", lambda words, check: called.append(words))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(ROOT / "docs" if where == "in the project" else tmp_path)
    if where == "in the project":
        exec(notebook.FIND, {})
        assert (called, sys.path[0]) == ([], str(ROOT))
        return
    with pytest.raises(AssertionError, match="Say in PROJECT"):
        exec(notebook.FIND, {})
    exec(notebook.FIND.replace('PROJECT = ""', 'PROJECT = "there"'), {})
    project = tmp_path / "project"
    assert sys.path[0] == str(project)
    assert called[0] == ["git", "clone", "there", str(project)]
    assert called[1][-2:] == ["-r", str(project / "requirements.txt")]
