"""What people type, set and do to their files: the obvious right thing, or one clear sentence."""

import os
import re

import pytest
import torch

from codebase import starter
from codebase.catalogue import CATALOGUE, entry_of
from codebase.command import main, named
from codebase.errors import UserError
from codebase.evaluation.divergence import diverged
from codebase.files import disk, logs
from codebase.flag import folder
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE
from codebase.runs import ranks
from codebase.runs.flags import parser_of
from codebase.runs.run import Run
from codebase.runs.saved import find_run
from codebase.runs.settings import settings_of
from codebase.tasks.likelihood import warn_of_failure

# The environment


@pytest.mark.parametrize("empty", ["", " ", None])
def test_torchrun_s_variables_may_be_empty(empty, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        if empty is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, empty)
    assert (ranks.rank(), ranks.world()) == (0, 1)
    ranks.end_with_the_launcher()
    assert ranks.gathered("mine") == ["mine"]


@pytest.mark.parametrize("text", ["two", "-1", "0", "1.5", "²"])
def test_no_number_of_processes(text, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", text)
    with pytest.raises(UserError, match=f"WORLD_SIZE is '{re.escape(text)}'.*unset it"):
        ranks.world()


def test_half_of_torchrun_s_variables(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(UserError, match="Rank 0 cannot reach the other ranks"):
        ranks.gathered("mine")


# Folders


@pytest.mark.parametrize("flag", ["--data_dir=~/x", "--data_dir=~"])
def test_a_tilde_is_the_user_s_folder(flag, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    args = parser_of(entry_of("vae")).parse_args([flag])
    assert args.data_dir == flag.removeprefix("--data_dir=").replace("~", "/home/someone")


@pytest.mark.parametrize("text", ["", "~nobody-of-that-name/x"])
def test_no_folder(text, capsys):
    with pytest.raises(SystemExit):
        parser_of(entry_of("vae")).parse_args([f"--data_dir={text}"])
    assert f"--data_dir: expected a folder, got {text!r}" in capsys.readouterr().err
    assert folder("a/~b") == "a/~b"


@pytest.mark.parametrize("target", ["there", "gone"])
def test_a_link_in_a_run_s_place_is_deleted_and_not_what_it_points_to(target, here):
    (here / "there").mkdir()
    (here / "there" / "mine.txt").touch()
    (here / "logs").mkdir()
    link = here / "logs" / "x"
    for delete in (lambda: logs.delete("x"), lambda: starter.prepare_writer("x", True).close()):
        link.symlink_to(here / target)
        delete()
        assert not link.is_symlink()
    assert (here / "there" / "mine.txt").exists()


def test_a_folder_that_is_deleted_under_a_run(here):
    (here / "run").mkdir()
    with pytest.raises(UserError, match="intact"), disk.atomic(here / "run"):
        pass  # a folder lies where the file should
    os.rmdir(here / "run")
    with (
        pytest.raises(UserError, match=r"run is gone: .* deleted or moved it\.$") as raised,
        disk.atomic(here / "run" / "model.pt"),
    ):
        pass
    assert "intact" not in str(raised.value)


# Names


def complaint(capsys, function, *args, **options):
    with pytest.raises(SystemExit) as end:
        function(*args, **options)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("--iter_mx", "--iter_max"), ("--learning=1", ""), ("--ovewrite", "--overwrite")],
)
def test_a_wrong_flag_is_offered_the_nearest(typed, meant, capsys):
    line = complaint(capsys, main, "vae", words=[typed])
    assert f"unrecognized arguments: {typed}." in line
    assert line.endswith(f" Did you mean {meant}?" if meant else f"{typed}.")


@pytest.mark.parametrize(("typed", "meant"), [("ssvea", "ssvae"), ("gm-vae", "gmvae")])
def test_a_wrong_model_is_offered_the_nearest(typed, meant, capsys):
    assert complaint(capsys, named, [typed]).endswith(f"Did you mean {meant}?")
    assert meant in CATALOGUE


def test_a_wrong_run_is_offered_the_nearest(here):
    for name in ("model=vae_z=10_run=0000", "model=gmvae_z=10_k=500_run=0000"):
        (here / "checkpoints" / name).mkdir(parents=True)
        (here / "checkpoints" / name / "model-00001.pt").touch()
    with pytest.raises(UserError, match=r"Did you mean model=vae_z=10_run=0000\?$"):
        find_run("vae_z=10_run=0")
    with pytest.raises(UserError, match=r"run=0000\.$"):
        find_run("cat")


def test_a_run_whose_id_is_short_is_offered_that_one(here):
    for i in (0, 3, 30):
        (here / "checkpoints" / f"model=vae_z=10_run={i:04d}").mkdir(parents=True)
        (here / "checkpoints" / f"model=vae_z=10_run={i:04d}" / "model-00001.pt").touch()
    for i in (0, 3, 30):
        with pytest.raises(UserError, match=rf"Did you mean model=vae_z=10_run={i:04d}\?$"):
            find_run(f"model=vae_z=10_run={i}")


@pytest.mark.parametrize(
    ("model", "typed", "whose"),
    [
        ("vae", "--k=7", "vae, gmvae, vamp, …."),
        ("ssvae", "--beta", "vae, gmvae, vamp, …."),
        ("vae", "-k", ""),
    ],
)
def test_a_flag_of_other_models_is_said_to_be_theirs(model, typed, whose, capsys):
    line = complaint(capsys, main, model, words=[typed, "3"])
    flag = typed.split("=")[0]
    expected = f"{flag} is a flag of `python run.py NAME`, NAME being {whose}"
    assert line.endswith(expected) if whose else "is a flag of" not in line


@pytest.mark.parametrize("typed", ["MNIST", "Fashion"])
def test_capitals_are_no_other_dataset(typed, capsys):
    line = complaint(capsys, main, "vae", words=["--dataset", typed])
    assert line.endswith(f"Did you mean {typed.lower()}?")


@pytest.mark.parametrize("model", [VAE, GMVAE, SSVAE])
@pytest.mark.parametrize("nn", [10, "v2", "ModuleType", None])
def test_the_first_argument_is_the_networks_version(model, nn):
    with pytest.raises(ValueError, match=f"^nn names the version .* v1, got {nn!r}; .* z_dim=10$"):
        model(nn)


# Words


def test_what_diverged_has_not_collapsed(capsys):
    for nelbo, expected in [(1.3e11, "diverged"), (1_100, "diverged"), (545, "collapsed")]:
        warn_of_failure(True, nelbo, 784)
        assert f" has {expected}" in capsys.readouterr().out
    warn_of_failure(False, 100, 784)
    assert not capsys.readouterr().out
    assert diverged(float("nan"), 784)


@pytest.mark.parametrize(("n", "without"), [(5, 5), (1, 9), (10, 0)])
def test_digits_without_a_label_are_said(n, without, capsys):
    entry = entry_of("ssvae")
    parser = parser_of(entry)
    words = ["--dataset", "digits", "--threads", "1", "--n_labels", str(n)]
    _, y = Run(settings_of(entry, parser, parser.parse_args(words))).labelled()
    assert (y.sum(0) == 0).sum() == without
    said = capsys.readouterr().out
    assert (f"leaves {without} of 10 digits without a label" in said) == (without > 0)
    assert torch.is_tensor(y)
