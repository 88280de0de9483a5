"""Trainings of submissions: in the sandbox, judged by the weights that come out of it."""

import os
from types import SimpleNamespace

import pytest

from grading import training
from grading.batch import grade_all
from grading.judge import Verdict
from grading.messages import Note

SOME = "\n\ndef loss(self, x):\n    {}\n\n\nVAE.loss = loss\n"
ITEMS = {"VAE": "1.3", "GMVAE": "2.2"}


@pytest.fixture
def args(tmp_path):
    return SimpleNamespace(
        train="short", lang="en", memory=4.0, seconds=20.0, seed=None, jobs=1, data_dir=None,
        paths=[], out=str(tmp_path / "grades"),
    )  # fmt: skip


@pytest.fixture
def lines(monkeypatch, tmp_path, launcher, digits, solutions, args):
    """Trains a solution with changed files for three iterations: the lines about it."""
    monkeypatch.setattr(training, "SHORT", 3)

    def lines(changed=None, models=("VAE",), standins=None, **flags):
        monkeypatch.setattr(training, "TASKS", [t for t in training.TASKS if t.model in models])
        for path, text in (solutions["classic"] | (changed or {})).items():
            file = tmp_path / "ana" / "codebase" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        verdict = Verdict("ana", 0, standins=standins or {})
        vars(args).update(flags)
        outcomes = [("ana", verdict), ("beto", Note("refused.password", path="beto"))]
        found = [("ana", tmp_path / "ana"), ("beto", tmp_path / "beto")]
        return training.judged(found, outcomes, digits, launcher, args)["ana"]

    return lines


def vae(solutions, body):
    """A VAE whose training does this first."""
    return {"models/vae.py": solutions["classic"]["models/vae.py"] + SOME.format(body)}


def test_a_right_solution_reaches_what_this_project_reaches(lines):
    """The same steps from the same weights: the numbers differ by rounding alone."""
    said = lines(models=("VAE", "GMVAE", "SSVAE"))
    rows = said[2:]
    assert [row.split()[1] for row in rows] == ["1.3"] * 3 + ["2.2"] * 3 + ["3.1", "3.3"]
    assert all("✓" in row for row in rows)


def test_a_wrong_bound_shows_in_the_numbers(lines, solutions):
    wrong = vae(solutions, "m, v = self.enc(x)\n    return m.sum() ** 2, {'train/loss': m.sum()}")
    assert any("✗" in row for row in lines(wrong)[2:])


def test_a_crash_is_told_and_ends_nothing_else(lines, solutions):
    said = lines(vae(solutions, "raise ValueError('oh')"), models=("VAE", "GMVAE"))
    assert [row for row in said if "1.3" in row] == [
        "- 1.3: raised ValueError at codebase/models/vae.py:52: oh — line: raise ValueError('oh')"
    ]
    assert sum("2.2 ✓" in row for row in said) == 3


@pytest.mark.slow
def test_a_training_without_end_is_ended(lines, solutions, monkeypatch):
    monkeypatch.setattr(training, "SECONDS_PER_ITERATION", 0)
    monkeypatch.setattr(training, "START_SECONDS", 6)  # this project's own has to end within it
    said = lines(vae(solutions, "while True: pass"), lang="es")
    assert said[2:] == ["- 1.3: no terminó en 6 s"]


@pytest.mark.slow
def test_a_printed_or_written_result_is_none(lines, solutions):
    """The numbers are of the weights: a training that does nothing but claim is found out."""
    claim = (
        "import os, sys\n"
        "    print('- 1.3 ✓ nelbo = 100')\n"
        "    os.write(1, b'- 1.3 nelbo = 100')\n"
        "    open('results.json', 'w').write('{\"nelbo\": 100}')\n"
        "    total = 1e-9 * sum(p.sum() for p in self.parameters())\n"
        "    return total, {'gen/elbo': -100 + total, 'train/loss': 100 + total}"
    )
    said = lines(vae(solutions, claim))
    assert "100" not in said[2].partition("=")[2].partition("(")[0]
    assert "✗" in said[2]


@pytest.mark.slow
def test_a_frame_of_its_own_making_is_not_weights(lines, solutions):
    forged = (
        "import os\n"
        "    frame = b'[{\"nelbo\": 97}, []]'\n"
        "    for fd in range(3, 20):\n"
        "        try:\n"
        "            os.write(fd, len(frame).to_bytes(8, 'little') + frame)\n"
        "        except OSError:\n"
        "            pass"
    )
    said = lines(vae(solutions, forged))
    assert len(said[2:]) == 1
    assert "✓" not in said[2]


def test_a_training_that_breaks_says_so(lines, solutions):
    said = lines(vae(solutions, "z = self.enc(x)[0].sum() / 0\n    return z, {'train/loss': z}"))
    assert "train/loss" in said[2]


@pytest.mark.slow
def test_networks_of_its_own_are_not_compared(lines, solutions):
    other = solutions["classic"]["models/vae.py"].replace(
        "nn.Encoder(self.z_dim)", "nn.Encoder(self.z_dim + 1)"
    )
    said = lines({"models/vae.py": other.replace("def negative_iwae", "def negative")})
    assert said[2].startswith("- 1.3: ")


@pytest.mark.slow
def test_what_was_stood_in_for_in_judging_is_in_training_too(lines, solutions):
    """A sample_gaussian that is still a gap has cost its points; the VAE trains all the same."""
    gap = "\n\ndef sample_gaussian(m, v):\n    raise NotImplementedError\n"
    utils = {"utils.py": solutions["classic"]["utils.py"] + gap}
    assert "not implemented" in lines(utils)[2]
    said = lines(utils, standins={"VAE": ("sample_gaussian",)})
    assert all("✓" in row for row in said[2:])


def test_without_mnist_nothing_is_judged_first(args, tmp_path, solutions, capsys, monkeypatch):
    monkeypatch.setattr("codebase.data.datasets.load", refuse)
    for path, text in solutions["classic"].items():
        file = tmp_path / "ana" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    args.paths = [tmp_path / "ana"]
    assert grade_all(args) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "--train: no data here\n"
    assert not os.path.exists(args.out)


def refuse(*_):
    from codebase.errors import UserError

    raise UserError("no data here")
