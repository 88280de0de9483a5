"""`pytest tests/grading --submission PATH`, as a grader gives it."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT


def graded(path):
    command = ["-m", "pytest", "tests/grading", "-n", "2", "--submission", path]
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture
def handed_in(tmp_path, solutions):
    """Lays out {path: text} of a person."""

    def handed_in(name, **more):
        for path, text in (solutions["classic"] | more).items():
            file = tmp_path / name / "codebase" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return tmp_path / name

    return handed_in


def test_a_mistake_fails_its_own_checks_and_no_others(handed_in, solutions):
    wrong = "\n\ndef sample_gaussian(m, v):\n    return m + v * torch.randn_like(m)\n"
    path = handed_in("ana", **{"utils.py": solutions["classic"]["utils.py"] + wrong})
    done = graded(path)
    failed = set(re.findall(r"^FAILED \S+::test_check\[(\S+?)\]", done.stdout, re.M))
    assert failed
    assert {name.partition(".")[0] for name in failed} == {"sample_gaussian"}, done.stdout
    assert "(1.1, −" in done.stdout
    assert " error" not in done.stdout.splitlines()[-1]


@pytest.mark.few("many")
@pytest.mark.parametrize("what", ["many", "nobody", "nothing"])
def test_what_is_not_one_person_s_is_one_sentence(what, handed_in, tmp_path):
    if what == "many":
        handed_in("ana"), handed_in("luis")
    elif what == "nobody":
        tmp_path.joinpath("notes.txt").write_text("nothing to grade")
    done = graded(tmp_path / "gone" if what == "nothing" else tmp_path)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("ERROR: ")
    assert str(tmp_path) in line
    assert ("python grade.py" in line) == (what == "many")
