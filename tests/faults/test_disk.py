"""A disk that is full, read-only or gone: one line that says so, and what was good stays good."""

import random
import shutil
from collections import Counter
from functools import cache

import harm
import pytest
from processes import until
from short_runs import SCRIPTS, folder_of, outcome

from codebase.engine import resume
from codebase.files import disk

VAE = "run_vae.py"
FLAGS = SCRIPTS[VAE]
MB = 1 << 20  # a VAE's weights are 2.6 MB, its resume.pt 7.8 MB


@cache
def may_mount():
    return harm.may_mount()


@pytest.fixture
def own_disk():
    if not may_mount():
        pytest.skip("no process here may mount a file system")


def assert_intact(folder, whole):
    """Every file in a run's folder is whole, and as it would have been without the fault."""
    for path in folder.iterdir():
        assert not path.name.endswith(disk.UNFINISHED)
        if path.name.startswith("model-"):
            assert path.read_bytes() == whole["weights"][path.name]
    if (folder / "resume.pt").exists():
        assert resume.read(folder / "resume.pt")["step"] in (50, 70, 100, 120)


def assert_goes_on(nursery, cwd, whole):
    """Where there is room again, the same command ends with the same bits."""
    process = nursery.run(VAE, *FLAGS, cwd=cwd)
    assert process.status == 0, process.err
    assert outcome(cwd) == whole


def fill(nursery, cwd, size, whole):
    """A run on a disk of so many bytes; the file it could not write, by the error's own words."""
    process = nursery.run(VAE, *FLAGS, cwd=cwd, small_disk=size)
    if process.status == 0:  # all but the pictures found room
        assert "WARNING" in process.out
        assert "No space left on device" in process.out
        assert outcome(cwd / "kept")["numbers"] == whole["numbers"]
        return "pictures"
    complaint = process.complaint()
    assert "No space left on device" in complaint
    kept = cwd / "kept"
    if (kept / "checkpoints").exists():
        assert_intact(folder_of(kept), whole)
    assert_goes_on(nursery, kept, whole)
    return complaint.split(" cannot be")[0].split("/")[-1]


@pytest.mark.few(1)
@pytest.mark.parametrize("megabytes", [1, 12])
def test_a_full_disk_is_named_and_costs_nothing(own_disk, nursery, tmp_path, whole, megabytes):
    """1 MB holds no checkpoint, 12 MB the first one and its resume.pt but not the next."""
    named = fill(nursery, tmp_path, megabytes * MB, whole)
    assert named.startswith(("model-00070.pt", "resume.pt"))


@pytest.mark.slow
def test_fifteen_sizes_of_a_full_disk(own_disk, nursery, tmp_path_factory, whole, capsys):
    sizes, where = random.Random(0), Counter()
    for trial in range(15):
        # A third of them so small that flags, lock and log alone fill it.
        size = sizes.randrange(4096, 96 * 1024 if trial % 3 == 0 else 15 * MB)
        where[fill(nursery, tmp_path_factory.mktemp("full"), size, whole)] += 1
    with capsys.disabled():
        print(f"\n15 full disks, all gone on from without loss; what did not fit: {dict(where)}")


def test_a_file_that_may_not_grow_is_named(nursery, tmp_path, whole):
    """As a quota does; 5 MB let the weights through but not resume.pt."""
    process = nursery.run(VAE, *FLAGS, cwd=tmp_path, largest_file=5 * MB)
    assert "resume.pt cannot be written: File too large" in process.complaint()
    assert_intact(folder_of(tmp_path), whole)


@pytest.mark.few(1)
@pytest.mark.parametrize("renames", [0, 4])
def test_a_disk_that_turns_read_only_is_named(own_disk, nursery, tmp_path, whole, renames):
    process = nursery.run(VAE, *FLAGS, cwd=tmp_path, read_only_after=renames)
    complaint = process.complaint()
    assert "checkpoints" in complaint or "logs" in complaint
    assert "Read-only file system" in complaint
    if renames:
        assert_intact(folder_of(tmp_path / "kept"), whole)
        assert_goes_on(nursery, tmp_path / "kept", whole)


@pytest.mark.few(1)
@pytest.mark.parametrize("room", ["checkpoints", "logs"])
def test_a_folder_taken_away_under_the_run_is_named(nursery, tmp_path, whole, room):
    process = nursery.start(VAE, *FLAGS, cwd=tmp_path)
    until(lambda: list(tmp_path.glob("checkpoints/*/resume.pt")), process)
    (folder,) = (tmp_path / room).iterdir()
    folder.rename(tmp_path / "elsewhere")
    assert "No such file or directory" in (complaint := process.complaint())
    assert room in complaint
    assert not folder.exists()
    (tmp_path / "elsewhere").rename(folder)
    assert_intact(folder_of(tmp_path), whole)
    shutil.rmtree(tmp_path / "logs")  # what was logged after the folder was taken is not known
    process = nursery.run(VAE, *FLAGS, cwd=tmp_path)
    assert process.status == 0, process.err
    assert outcome(tmp_path)["weights"] == whole["weights"]


@pytest.mark.few(1)
@pytest.mark.parametrize("room", ["checkpoints", "logs"])
def test_a_file_in_the_place_of_a_folder_is_named(nursery, tmp_path, room):
    (tmp_path / room).write_text("")
    complaint = nursery.run(VAE, *FLAGS, cwd=tmp_path).complaint()
    assert room in complaint
    assert "directory" in complaint or "exists" in complaint
