"""What the grader says: its command, its table, its files, in two languages."""

import csv
import os
import re
import runpy
import signal
import string
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT

from grading import batch, report
from grading.batch import named
from grading.judge import GROUPS, POINTS, Verdict
from grading.lockdown import GUARDS
from grading.messages import LANGUAGES, MESSAGES, Note

NO_ZIP = Note("refused.no_zip", path="beto.zip")


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


def test_what_fails_for_one_reason_is_one_loss(verdict):
    lines = report.losses(verdict, "en")
    assert sum("ValueError" in line for line in lines) == 1
    assert any("values, shape, extreme inputs, gradient  −6" in line for line in lines)
    assert any("variance  −3" in line for line in lines)
    assert sum(int(line.partition("−")[2].partition(":")[0]) for line in lines) == 9


def test_text_of_a_submissions_making_is_one_short_line():
    note = Note("raised", kind="E", place="f:1", message="x\nana 61/61\x1b[2J" + "y" * 999, line="")
    said = note.say("en")
    assert said.isprintable()
    assert len(said) < 400


def test_names_of_one_file_are_told_apart():
    paths = ["a/entregable.zip", "b/entregable.zip", "b/Entregable.zip", "b/otra.zip"]
    found = [(Path(path).stem, Path(path)) for path in paths]
    names = [name for name, _ in named(found)]
    assert names == ["a entregable", "b entregable", "b Entregable (2)", "otra"]
    assert len({report.file_name(name) for name in names}) == 4


def test_a_failure_of_the_grader_stops_nobody_else(monkeypatch, tmp_path):
    (tmp_path / "utils.py").write_text("pass")

    def judge(submission, *_):
        if submission.name == "ana":
            raise KeyError("a mistake of the grader's")
        return Verdict(submission.name, 0)

    monkeypatch.setattr(batch, "judge", judge)
    args = SimpleNamespace(seconds=1, memory=1, jobs=2)
    outcomes = dict(batch.judged([(n, tmp_path) for n in ("ana", "beto")], None, 0, args))
    assert "a mistake of the grader's" in outcomes["ana"].say("en")
    assert outcomes["beto"].total == 0


def test_grades_csv_and_files(verdict, tmp_path):
    outcomes = [("=ana/../x", verdict), ("beto", NO_ZIP)]
    report.write(tmp_path, outcomes, "en")
    with open(tmp_path / "grades.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["submission"] == "'=ana/../x"
    assert rows[0]["judged"] == "yes"
    assert int(rows[0]["total"]) == verdict.total
    assert rows[1]["judged"] == "no"
    assert len(list(tmp_path.glob("*.md"))) == 2
    assert "it is no zip" in (tmp_path / "beto.md").read_text("utf-8")


def test_the_table_is_aligned(verdict):
    lines = report.table([("ana", verdict), ("beto", NO_ZIP)], "en").splitlines()
    assert len({len(line) for line in lines}) == 1


def command(*flags, cwd, env=None):
    return subprocess.run(
        [sys.executable, str(ROOT / "grade.py"), *map(str, flags)],
        cwd=cwd, env=env, capture_output=True, encoding="utf-8", errors="replace", timeout=300,
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


def test_help_tells_the_defaults(tmp_path):
    text = " ".join(command("--help", cwd=tmp_path).stdout.split())
    for default in ("en", "grades", "drawn anew", "one per CPU core", "20", "4"):
        assert f"(default: {default})" in text


@pytest.mark.parametrize("flag", ["--seed", "--jobs", "--seconds", "--memory"])
@pytest.mark.parametrize("value", ["x", "-1", "nan", "inf", "1e999", ""])
def test_a_flag_out_of_range_is_one_clear_line(flag, value, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["grade.py", "a.zip", flag, value])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(ROOT / "grade.py"), run_name="__main__")
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "error" in line)
    assert re.search(rf"argument {flag}: expected a (whole )?number, at least|above", line)
    assert line.endswith(f"got {value!r}")


def test_nothing_to_grade_is_one_sentence_and_status_2(tmp_path):
    done = command("nowhere.zip", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_nowhere_to_write_is_one_sentence_before_anything_is_judged(tmp_path, language):
    (tmp_path / "utils.py").write_text("")
    done = command(tmp_path, "--out", tmp_path / "utils.py" / "x", "--lang", language, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "ENOTDIR" in line
    assert "--out" in line


def test_what_cannot_be_written_is_on_the_screen_all_the_same(tmp_path):
    (tmp_path / "utils.py").write_text("")
    (tmp_path / "grades" / "grades.csv").mkdir(parents=True)
    done = command(tmp_path, cwd=tmp_path)
    assert done.returncode == 2
    assert "0/61" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("grades cannot be written to")
    assert "Traceback" not in done.stderr


def test_trying_where_to_write_leaves_nothing_behind(tmp_path):
    report.try_out(tmp_path / "grades")
    assert not (tmp_path / "grades").exists()
    (tmp_path / "mine").mkdir()
    report.try_out(tmp_path / "mine")
    assert not [*(tmp_path / "mine").iterdir()]


def test_the_command_from_a_folder_of_zips(tmp_path, solutions):
    """One right submission, one broken zip: the second does not stop the first."""
    zips = tmp_path / "submissions"
    zips.mkdir()
    with zipfile.ZipFile(zips / "ana.zip", "w") as archive:
        for path, text in solutions["ours"].items():
            archive.writestr(f"codebase/{path}", text)
    Path(zips / "beto.zip").write_text("no zip")
    done = command(zips, "--lang", "es", "--seed", 5, cwd=tmp_path)
    assert done.returncode == 1
    assert "61/61" in done.stdout
    assert "beto" in done.stdout
    assert {p.name for p in (tmp_path / "grades").iterdir()} == {"ana.md", "beto.md", "grades.csv"}


def test_a_screen_without_the_letters_loses_no_results(tmp_path):
    """As where standard output goes to a file on Windows: − and Я are not in its code page."""
    for name in ("Ana", "Яна"):
        (tmp_path / "all" / name / "codebase").mkdir(parents=True)
        (tmp_path / "all" / name / "codebase" / "utils.py").write_text("")
    done = command(
        "all", "--jobs", 2, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "cp1252"}
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "grades" / "grades.csv").read_text("utf-8").count("Яна") == 1


@pytest.mark.slow
def test_ctrl_c_ends_it_all_at_once(tmp_path):
    """Neither the submissions that wait nor the one that hangs are waited for."""
    (tmp_path / "ana.zip").write_text("no zip")  # is refused first, and that is told
    for name in ("beto", "carla"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "utils.py").write_text("while True: pass")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "grade.py"), str(tmp_path), "--jobs", "1", "--seconds", "900"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell's background job ignores SIGINT, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        assert process.stderr.readline().startswith("[1/3] ana")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (130, "", "")


def test_notes_say_their_values_in_the_same_language():
    note = Note("at", where="v = 1", then=Note("numbers", expected="1", got="2"))
    assert note.say("es") == "en v = 1: se esperaba 1, se obtuvo 2"


def of_guards(*guards):
    return Verdict("x", 0, guards=None if guards == (None,) else list(guards))


def test_what_held_is_said_of_whom_it_held_for():
    """A submission that no process was started for says nothing of the platform."""
    every, some = of_guards(*GUARDS), of_guards("memory")
    refused = ("eva", NO_ZIP)
    (line,) = report.isolation([("ana", every), ("beto", of_guards(None)), refused], "en")
    assert line == Note("report.guards_all").say("en")
    lines = [*report.isolation([("ana", every), ("beto", some), ("carla", some), refused], "en")]
    assert len(lines) == 2
    assert lines[0].startswith("ana: ")
    assert lines[1].startswith("beto, carla: ")
    assert "the limit on memory" not in lines[1]


def test_a_submission_without_utils_was_confined_like_any_other(grade, solutions):
    files = dict(solutions["classic"])
    whole = grade(files, only=("log_normal",)).guards
    del files["utils.py"]
    assert grade(files, only=("log_normal",)).guards == whole


@pytest.mark.parametrize(
    ("targets", "word"),
    [(("VAE",), "evaluado con"), (("VAE", "GMVAE"), "evaluados con"), (("given",), None)],
)
def test_several_are_judged_in_the_plural(targets, word):
    standins = dict.fromkeys(targets, ("log_normal",))
    text = report.feedback(Verdict("x", 0, standins=standins), "es")
    assert (f": {word} " in text) if word else ("evaluado" not in text)


@pytest.mark.parametrize(("language", "words"), [("en", "for a GPU"), ("es", "para una GPU")])
def test_code_for_a_gpu_is_told_so(language, words):
    assert words in report.feedback(Verdict("x", 0, gpu=True), language)
    assert words not in report.feedback(Verdict("x", 0), language)


def test_what_else_was_handed_in_is_named():
    text = report.feedback(Verdict("x", 0, others=("tp1.zip", "old/tp.zip")), "es")
    assert "`tp1.zip`, `old/tp.zip`" in text
