"""Nothing measured is lost to a picture."""

import errno
import json
import sys

import pytest
from short import command

from codebase import figures
from codebase.evaluation import bounds
from codebase.figures import book, grids
from codebase.files import logs


@pytest.fixture(autouse=True)
def short_evaluation(here, monkeypatch):
    monkeypatch.setattr(bounds, "SUBSET_REPEATS", 2)
    monkeypatch.setattr(bounds, "IWAE_REPEATS", 2)


def full(*args, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def no_font(*args, **options):
    raise RuntimeError("Font family 'Foo' not found\nand a page of advice")


FAULTS = {
    "a full disk": ("vae", (), grids, "atomic", full, "No space left on device"),
    "fonts": ("ssvae", ("--n_labels", 20), figures, "save_confusion", no_font, "'Foo' not found)"),
    "no library": ("gmvae", ("--k", 5), figures, "save_grid", None, "TypeError"),
    "the projector": ("vae", (), logs.Log, "add_latents", no_font, "latents in the log"),
    "the log": ("vae", (), logs.Log, "add_results", full, "final numbers in the log"),
    "figures": ("vae", ("--figures", 1), book, "draw", no_font, "run_figures.py model=vae"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_picture_that_fails_is_a_warning_after_the_numbers(fault, here, monkeypatch, capsys):
    model, words, owner, name, broken, said = FAULTS[fault]
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, broken)
        command(model, *words)
    (folder,) = (here / "checkpoints").iterdir()
    record = json.loads((folder / "results.json").read_text())
    assert record["numbers"]["test"]
    assert not {"resume.pt", "lock", "owner.json"} & {p.name for p in folder.iterdir()}
    warning, way = capsys.readouterr().out.splitlines()[-2:]
    assert warning.startswith("*** WARNING: no ")
    assert said in warning + way
    assert "safe in results.json" in way
    assert not list(folder.glob(".*"))


@pytest.mark.slow
def test_what_was_not_drawn_is_drawn_by_the_command_that_is_named(here, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        patched.setattr(grids, "atomic", full)
        command("vae")
    assert "the same command with --train 0 draws the pictures again" in capsys.readouterr().out
    (folder,) = (here / "checkpoints").iterdir()
    assert not list(folder.glob("*.png"))
    command("vae", "--train", 0)
    assert "WARNING" not in capsys.readouterr().out
    assert len(list(folder.glob("evaluation-00002/*.png"))) == 3


def test_a_record_stands_before_anything_is_drawn(here, monkeypatch):
    """Also where drawing ends the process: a kill, Ctrl-C."""

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(figures, "save_grid", killed)
    with pytest.raises(KeyboardInterrupt):
        command("vae")
    (path,) = here.glob("checkpoints/*/results.json")
    assert json.loads(path.read_text())["numbers"]["subset"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, as nursery.py does")
def test_a_foreign_backend_in_the_environment_costs_no_number(fresh, tmp_path, monkeypatch):
    """As a process inherits it that is started from a notebook's kernel."""
    monkeypatch.setenv("MPLBACKEND", "module://nowhere.backend_inline")
    done = fresh("run_ssvae.py", "--iter_max", 1, "--dataset", "digits", "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("checkpoints/*/results.json"))
