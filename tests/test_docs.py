"""The pages say what is so: links lead somewhere, flags exist, the code of python.md runs."""

import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT
from test_house import ROOMS

from codebase.axes import AXES

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
    code = [p for p in ROOT.rglob("*.py") if not {".venv", "venv"} & set(p.parts)]
    code = "".join(p.read_text(encoding="utf-8") for p in code)
    declared = set(re.findall(r'"(--[\w-]+)"', code))
    declared |= {f"--{name}" for name in [*re.findall(r'Flag\(\s*"(\w+)"', code), *AXES]}
    for page in PAGES:
        named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", page.read_text(encoding="utf-8")))
        assert named <= declared | NOT_OURS, page.name


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


def test_the_code_for_python_users_runs(run, tmp_path):
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    ((script, flags),) = re.findall(r"^ {4}python (run_vae\.py)(.*)$", page, re.M)
    trained = run(script, *flags.split())
    assert trained.returncode == 0, trained.stderr
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert len(blocks) == page.count("```python")
    env = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "PYTHONUTF8": "1"}
    env |= {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "nelbo: " in done.stdout
    for file in ("digits.png", "curves.png", "checkpoints/mine/model-00200.pt"):
        assert (tmp_path / file).exists()
