"""A run whose files were damaged: one sentence, the way out by name, and nothing overwritten."""

import os
import shutil

import pytest
import torch
from conftest import ROOT
from short_runs import SCRIPTS, folder_of
from test_checkpoints import Trap

from codebase.engine import resume
from codebase.files import checkpoints

VAE = "run_vae.py"
FLAGS = SCRIPTS[VAE]


@pytest.fixture(scope="module")
def stopped(nursery, tmp_path_factory):
    """A run stopped after iteration 70: it holds model-00070.pt and a resume.pt."""
    cwd = tmp_path_factory.mktemp("stopped")
    # Renamed before: owner.json, flags.json, resume.pt of 50, model-00070.pt.
    process = nursery.run(VAE, *FLAGS, cwd=cwd, die_after_rename=5)
    assert process.status < 0, process.err
    assert resume.read(folder_of(cwd) / "resume.pt")["step"] == 70
    return cwd


@pytest.fixture
def unfinished(stopped, tmp_path):
    """A copy of it to spoil: working folder, and the run's own."""
    cwd = tmp_path / "run"
    shutil.copytree(stopped, cwd)
    return cwd, folder_of(cwd)


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def trap(path):
    torch.save({"step": 70, "model": Trap(path.with_name("sprung"))}, path)


def change(**parts):
    def spoil(path):
        torch.save(torch.load(path, weights_only=True) | parts, path)

    return spoil


def holding(value):
    def spoil(path):
        state = torch.load(path, weights_only=True)
        weights = state.get("model", state)
        weights["dec.net.4.bias"] = value
        torch.save(state, path)

    return spoil


def folder(path):
    path.unlink()
    path.mkdir()


FILES = {
    "cut": (cut, "damaged"),
    "empty": (empty, "damaged"),
    "flipped": (flip, "checksum"),
    "code": (trap, "might run code"),
    "folder": (folder, "Is a directory"),
    "nan": (holding(torch.full((784,), torch.nan)), "dec.net.4.bias holds values that are not fin"),
    "shape": (holding(torch.zeros(3)), r"dec.net.4.bias has shape (3,), expected (784,)"),
}
STATES = FILES | {
    "step": (change(step="many"), "no state of a training"),
    "another": (change(model={}), "enc.net.0.weight is missing"),
    "moments": (change(optimizer={0: {"step": torch.zeros(())}}), "parameter 0 of the optimizer"),
    "order": (change(stream=[{"order": torch.arange(5), "place": 0}]), "not one of 1347 images"),
    "random": (change(random={"cpu": torch.zeros(3)}), "not the state of this training"),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("damage", STATES)
def test_a_damaged_resume_pt_is_refused_and_the_ways_out_are_named(nursery, unfinished, damage):
    cwd, run = unfinished
    path = run / "resume.pt"
    spoil, reason = STATES[damage]
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    complaint = nursery.run(VAE, *FLAGS, cwd=cwd).complaint()
    assert str(path.relative_to(cwd)) in complaint
    assert reason in complaint
    assert "model-00070.pt" in complaint
    assert "--overwrite 1" in complaint
    assert before is None or path.read_bytes() == before
    assert not (run / "sprung").exists()


@pytest.mark.few(1)
@pytest.mark.parametrize("damage", ["cut", "code", "nan"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_is_named(nursery, unfinished, damage):
    cwd, run = unfinished
    path = run / "model-00120.pt"
    shutil.copy(run / "model-00070.pt", path)
    spoil, reason = FILES[damage]
    spoil(path)
    complaint = nursery.run(VAE, *FLAGS, "--train", 0, cwd=cwd).complaint()
    assert str(path.relative_to(cwd)) in complaint
    assert reason in complaint
    assert "model-00070.pt" in complaint
    assert not (run / "sprung").exists()
    assert not (run / "results.json").exists()


@pytest.mark.few(1)
@pytest.mark.parametrize("content", [b"", b"[1]", b"{}"])
def test_a_damaged_flags_json_is_refused(nursery, unfinished, content):
    cwd, run = unfinished
    (run / "flags.json").write_bytes(content)
    assert "--overwrite 1" in nursery.run(VAE, *FLAGS, cwd=cwd).complaint()
    assert (run / "flags.json").read_bytes() == content


def test_a_state_without_its_flags_is_refused(nursery, unfinished):
    cwd, run = unfinished
    for path in (run / "flags.json", run / "model-00070.pt"):
        path.unlink()
    assert "without its flags.json" in nursery.run(VAE, *FLAGS, cwd=cwd).complaint()


def test_an_unreadable_data_folder_is_one_line(nursery, tmp_path):
    if any(folder.stat().st_mode & 0o5 != 0o5 for folder in ROOT.parents):
        pytest.skip("the project lies where another user may not read it")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret").chmod(0)
    flags = "--dataset", "mnist", "--data_dir", "secret"
    complaint = nursery.run(VAE, *flags, cwd=tmp_path, nobody=True).complaint()
    assert os.path.join("secret", "MNIST", "raw") in complaint
    assert "Permission denied" in complaint


@pytest.mark.parametrize("spoil", [flip, cut, empty])
def test_a_changed_checkpoint_is_not_loaded_by_the_api_either(here, spoil):
    checkpoints.save("x.pt", {"a": torch.zeros(1000)})
    spoil(here / "x.pt")
    with pytest.raises(checkpoints.UserError, match=r"x\.pt is not loaded"):
        checkpoints.load("x.pt")
