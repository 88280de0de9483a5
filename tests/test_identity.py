"""Files that outlived their run, and data that changed under it: found out, never believed."""

import json
import os
import shutil
from dataclasses import replace

import pytest
import torch
from short import command

from codebase import explorer
from codebase.data import datasets
from codebase.errors import UserError
from codebase.evaluation import bounds
from codebase.figures import book
from codebase.files import disk


@pytest.fixture(autouse=True)
def short_evaluation(here, monkeypatch):
    monkeypatch.setattr(bounds, "SUBSET_REPEATS", 2)
    monkeypatch.setattr(bounds, "IWAE_REPEATS", 2)


def only(folder):
    (child,) = folder.iterdir()
    return child


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Where a run of two iterations was trained."""
    cwd = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bounds, "SUBSET_REPEATS", 2)
        patched.chdir(cwd)
        command("vae")
    return cwd


@pytest.fixture
def finished(trained, here):
    """Its folder, in a copy."""
    shutil.copytree(trained, here, dirs_exist_ok=True)
    return only(here / "checkpoints")


# A record that outlives its run


def test_a_record_without_its_run_is_not_another_run_s(finished, capsys):
    """What a deletion that was killed has left: results.json, no flags.json, no weights."""
    for path in finished.iterdir():
        if path.name != "results.json":
            path.unlink()
    for words in (["--runs", 1], []):
        with pytest.raises(UserError, match="iter_max was 2, is 3"):
            command("vae", "--iter_max", 3, *words)
    assert "after 3 iterations" not in capsys.readouterr().out


def test_a_record_says_whose_it_is(finished):
    record, flags = (json.loads((finished / f"{n}.json").read_text()) for n in ("results", "flags"))
    assert record["identity"] == flags
    assert record["identity"]["data_sha256"] == record["data"]["sha256"]


@pytest.mark.slow
def test_an_evaluation_of_another_run_is_not_believed(finished):
    command("vae", "--train", 0, "--runs", 1)
    path = finished / "evaluation-00002" / "results.json"
    record = json.loads(path.read_text())
    record["identity"]["iter_max"] = 7
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match="iter_max was 7, is 2"):
        command("vae", "--train", 0, "--runs", 1)


def test_an_earlier_record_without_identity_is_read_as_before(finished, capsys):
    path = finished / "results.json"
    record = json.loads(path.read_text())
    del record["identity"], record["model"], record["flags"]["precision"]
    path.write_text(json.dumps(record))
    command("vae", "--runs", 1)
    assert "left as they are: runs 0" in capsys.readouterr().out
    with pytest.raises(UserError, match="iter_max was 2, is 3"):
        command("vae", "--runs", 1, "--iter_max", 3)


@pytest.mark.few(1)
@pytest.mark.parametrize("deletions", [0, 1, 4, 6, 7])  # of eight
def test_a_deletion_stopped_anywhere_leaves_nothing_half_believed(
    finished, deletions, monkeypatch, capsys
):
    (finished / "figures").mkdir()
    (finished / "figures" / "numbers.json").write_text("{}")
    delete, done = disk.delete, []

    def stopped(path):
        if len(done) == deletions:
            raise KeyboardInterrupt
        done.append(path)
        delete(path)

    with monkeypatch.context() as patched:
        patched.setattr(disk, "delete", stopped)
        with pytest.raises(KeyboardInterrupt):
            command("vae", "--iter_max", 3, "--overwrite", 1)
    if (finished / "flags.json").exists():
        with pytest.raises(UserError, match="iter_max was 2, is 3"):
            command("vae", "--iter_max", 3, "--runs", 1)
    else:
        assert not [p for p in finished.iterdir() if p.name not in ("lock", "owner.json")]
    command("vae", "--iter_max", 3, "--overwrite", 1, "--runs", 1)
    record = json.loads((finished / "results.json").read_text())
    assert record["training"]["iterations"] == record["identity"]["iter_max"] == 3
    assert not (finished / "figures").exists()


def test_a_link_is_deleted_and_not_what_it_points_to(finished, here):
    for name in ("figures", "logs"):
        (here / f"my {name}").mkdir()
        (here / f"my {name}" / "precious").touch()
    (finished / "figures").symlink_to(here / "my figures")
    log = here / "logs" / finished.name
    log.rename(here / "moved")
    log.symlink_to(here / "my logs")
    command("vae", "--iter_max", 3, "--overwrite", 1)
    assert (finished / "model-00003.pt").exists()
    assert not (finished / "figures").exists()
    assert (here / "my figures" / "precious").exists()
    assert (here / "my logs" / "precious").exists()


def test_what_cannot_be_deleted_is_named(finished, monkeypatch):
    (finished / "figures").mkdir()
    (finished / "figures" / "map.png").touch()

    def refuse(path, *args, **options):
        raise PermissionError(13, "Permission denied", os.path.join(path, "map.png"))

    with monkeypatch.context() as patched:
        patched.setattr(disk.shutil, "rmtree", refuse)
        with pytest.raises(UserError, match=r"figures.map\.png cannot be deleted: Permission den"):
            command("vae", "--iter_max", 3, "--overwrite", 1)
    with pytest.raises(UserError, match="iter_max was 2, is 3"):
        command("vae", "--iter_max", 3, "--runs", 1)


# Data that changed under a run

CHANGES = {
    "inverted": lambda d: replace(d, train_x=255 - d.train_x, test_x=255 - d.test_x),
    "transposed": lambda d: replace(d, train_x=turned(d.train_x), test_x=turned(d.test_x)),
    "another label": lambda d: replace(d, test_y=(d.test_y + 1) % 10),
}


def turned(x):
    return x.view(-1, 28, 28).transpose(1, 2).flatten(1)


@pytest.fixture(params=CHANGES)
def change(request, monkeypatch, digits):
    """Changes the data, whoever loads them, without a word."""

    def now():
        monkeypatch.setattr(datasets, "load", lambda *_: CHANGES[request.param](digits))

    return now


OTHER = r"was trained on other data of the name digits .*sha256 \w{12}…, now \w{12}….*--data_dir"


def test_a_stopped_run_does_not_go_on_with_other_data(finished, change):
    (finished / "results.json").unlink()  # as if it had been stopped
    before = {p.name: p.read_bytes() for p in finished.iterdir()}
    change()
    for words in ([], ["--runs", 1]):
        with pytest.raises(UserError, match=OTHER):
            command("vae", *words)
    assert {n: c for n, c in before.items() if (finished / n).read_bytes() != c} == {}


def test_a_finished_run_is_not_measured_or_drawn_on_other_data(finished, change):
    change()
    for words in (["--train", 0], ["--train", 0, "--runs", 1], ["--runs", 1]):
        with pytest.raises(UserError, match=OTHER):
            command("vae", *words)
    with pytest.raises(UserError, match=OTHER):
        book.draw_runs([finished.name], finished / "figures", only=["samples"])
    with pytest.raises(UserError, match=OTHER):
        explorer.write_all([finished.name])
    assert not (finished / "evaluation-00002").exists()


def test_an_earlier_finished_run_is_known_by_its_record(finished, change):
    path = finished / "flags.json"
    flags = json.loads(path.read_text())
    del flags["data_sha256"]
    path.write_text(json.dumps(flags))
    change()
    with pytest.raises(UserError, match=OTHER):
        command("vae", "--train", 0)


@pytest.mark.slow
def test_a_run_that_never_wrote_a_hash_stays_usable(finished, capsys):
    """Folders of earlier code: no hash, no model in flags.json; or a lone checkpoint."""
    path = finished / "flags.json"
    flags = json.loads(path.read_text())
    del flags["data_sha256"], flags["model"]
    path.write_text(json.dumps(flags))
    (finished / "results.json").unlink()
    command("vae", "--train", 0)
    command("vae")  # its training goes on
    assert "data_sha256" in json.loads(path.read_text())
    for file in finished.glob("*.json"):
        file.unlink()
    command("vae", "--train", 0)


def test_the_hash_is_taken_once_and_follows_the_data(digits):
    fresh = replace(digits)
    known = fresh.sha256()
    assert fresh.to("cpu").found == {"sha256": known}
    assert replace(fresh, test_y=digits.test_y.flip(0)).sha256() != known
    assert torch.equal(fresh.to("cpu").train_x, digits.train_x)
