"""What the grader says: its command, its table, its files, in two languages."""

import csv
import string
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

from grading import report
from grading.judge import GROUPS, POINTS
from grading.messages import LANGUAGES, MESSAGES, Note
from grading.submission import GRADED


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", MESSAGES)
def test_every_message_says_the_same_in_every_language(key):
    said = MESSAGES[key]
    assert len(said) == len(LANGUAGES)
    assert len({frozenset(fields(text)) for text in said}) == 1
    assert all(text.strip() == text and text for text in said)


def test_every_message_that_the_code_names_exists():
    import ast

    named = set()
    for path in (ROOT / "grading").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Note", "_say"):
                first = node.args[0]
                named |= {first.value} if isinstance(first, ast.Constant) else set()
            if isinstance(node, ast.Constant) and str(node.value).startswith("cause."):
                named.add(node.value)
    assert named - {"cause."} <= set(MESSAGES)
    titles = {f"title.{c.name.partition('.')[2]}" for g in GROUPS for c in g.checks}
    assert titles <= set(MESSAGES)


def test_the_points_are_the_assignments():
    worth = dict.fromkeys(POINTS, 0)
    for group in GROUPS:
        if group.item:
            worth[group.item] += sum(check.points for check in group.checks)
    assert worth == POINTS == {"1.1": 9, "1.2": 9, "2.1": 22, "3.2": 21}


@pytest.fixture(scope="module")
def verdict(grade, solutions):
    """Of a solution that mixes up variance and standard deviation, and has no log_normal."""
    code = (
        "\n\ndef sample_gaussian(m, v):\n    return m + v * torch.randn_like(m)\n"
        "\n\ndef log_normal(x, m, v):\n    raise ValueError('<b>61/61</b> | `x` [y](z)')\n"
    )
    files = solutions["classic"] | {"utils.py": solutions["classic"]["utils.py"] + code}
    return grade(files, only=("sample_gaussian", "log_normal"))


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "v was used as a standard deviation"),
        ("es", "v se usó como desviación estándar"),
    ],
)
def test_feedback_names_what_came_and_the_likely_cause(verdict, language, words):
    text = report.feedback(verdict, language)
    assert words in text
    assert "ValueError" in text
    assert "<b>" not in text  # a submission's text is no Markdown of ours


def test_grades_csv_and_files(verdict, tmp_path):
    outcomes = [("=ana/../x", verdict), ("beto", "no zip")]
    report.write(tmp_path, outcomes, "en")
    with open(tmp_path / "grades.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["submission"] == "'=ana/../x"
    assert rows[0]["judged"] == "yes"
    assert int(rows[0]["total"]) == verdict.total
    assert rows[1]["judged"] == "no"
    assert len(list(tmp_path.glob("*.md"))) == 2
    assert "no zip" in (tmp_path / "beto.md").read_text("utf-8")


def test_the_table_is_aligned(verdict):
    lines = report.table([("ana", verdict), ("beto", "no zip")], "en").splitlines()
    assert len({len(line) for line in lines}) == 1


def command(*flags, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / "grade.py"), *map(str, flags)],
        cwd=cwd, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_help_is_quick_and_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; sys.argv = ['grade.py', '--help']\n"
        "import runpy\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit:\n    print({'torch', 'numpy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert found.stdout.splitlines()[-1] == "set()"


def test_nothing_to_grade_is_one_sentence_and_status_2(tmp_path):
    done = command("nowhere.zip", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_the_command_from_a_folder_of_zips(tmp_path, solutions):
    """One right submission, one broken zip: the second does not stop the first."""
    zips = tmp_path / "submissions"
    zips.mkdir()
    with zipfile.ZipFile(zips / "ana.zip", "w") as archive:
        for path in GRADED:
            archive.writestr(f"codebase/{path}", solutions["ours"][path])
    Path(zips / "beto.zip").write_text("no zip")
    began = time.monotonic()
    done = command(zips, "--lang", "es", "--seed", 5, cwd=tmp_path)
    assert done.returncode == 1
    assert "61/61" in done.stdout
    assert "beto" in done.stdout
    assert time.monotonic() - began < 120
    assert {p.name for p in (tmp_path / "grades").iterdir()} == {"ana.md", "beto.md", "grades.csv"}


def test_notes_say_their_values_in_the_same_language():
    note = Note("at", where="v = 1", then=Note("numbers", expected="1", got="2"))
    assert note.say("es") == "en v = 1: se esperaba 1, se obtuvo 2"
