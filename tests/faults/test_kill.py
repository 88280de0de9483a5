"""SIGKILL at any instant, and the same command again: the bits of a run never disturbed."""

import random
import signal
from collections import Counter

import pytest
from processes import until
from short_runs import SCRIPTS, folder_of, outcome

from codebase.engine import resume
from codebase.files import checkpoints, disk


@pytest.fixture(scope="module")
def undisturbed(nursery, tmp_path_factory):
    """By script: what the whole run leaves behind, and the seconds of CPU it takes."""
    known = {}

    def of(script):
        if script not in known:
            cwd = tmp_path_factory.mktemp("undisturbed")
            process = nursery.run(script, *SCRIPTS[script], cwd=cwd)
            assert process.status == 0, process.err
            known[script] = outcome(cwd), process.cpu
        return known[script]

    return of


def kill(nursery, script, cwd, seconds):
    """Starts the script and kills it after so many of CPU; False if it had ended by then."""
    process = nursery.start(script, *SCRIPTS[script], cwd=cwd)
    while process.wait(0.002) is None and process.cpu_so_far() < seconds:
        pass
    process.send(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def state_of(cwd):
    """How far a killed run had got."""
    if any(cwd.glob("checkpoints/*/results.json")):
        return "tidying up"
    state = next((cwd / "checkpoints").glob("*/resume.pt"), None)
    if state is None:
        return "before the first save"
    return "in evaluation" if resume.read(state)["step"] == 120 else "in training"


def finish(nursery, script, cwd, expected):
    """Gives the command again and compares what is there in the end."""
    parts = expected.keys()
    finished = any(cwd.glob("checkpoints/*/results.json"))  # killed while it tidied up
    process = nursery.run(script, *SCRIPTS[script], cwd=cwd)
    if finished:
        assert "is finished" in process.complaint()
        parts = {"weights", "numbers"}
    else:
        assert process.status == 0, process.err
    found = outcome(cwd)
    for part in parts:
        assert found[part] == expected[part], part


@pytest.mark.few("run_vae.py")
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_run_killed_again_and_again_ends_with_the_same_bits(
    script, nursery, undisturbed, tmp_path
):
    expected, seconds = undisturbed(script)
    instants = random.Random(script)
    kills = sum(kill(nursery, script, tmp_path, instants.uniform(0.1, 0.4) * seconds) for _ in "12")
    assert kills == 2
    finish(nursery, script, tmp_path, expected)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_seventeen_kills_at_random_instants(script, nursery, undisturbed, tmp_path_factory, capsys):
    expected, seconds = undisturbed(script)
    instants, stages = random.Random(script), Counter()
    while stages.total() - stages["tidying up"] < 17:
        cwd = tmp_path_factory.mktemp("killed")
        if not kill(nursery, script, cwd, instants.uniform(0, 1) * seconds):
            continue  # it had ended before
        stages[state_of(cwd)] += 1
        finish(nursery, script, cwd, expected)
    with capsys.disabled():
        print(f"\n{script}: killed, and all with the same bits in the end: {dict(stages)}")


def boundaries(nursery, tmp_path_factory, script):
    cwd = tmp_path_factory.mktemp("counted")
    assert nursery.run(script, *SCRIPTS[script], cwd=cwd, die_at=0).status == 0
    return int((cwd / "boundaries").read_text())


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_write_costs_nothing(nursery, undisturbed, tmp_path):
    expected, _ = undisturbed("run_vae.py")
    # Nine boundaries a file: the third one, resume.pt, is half written.
    process = nursery.run("run_vae.py", *SCRIPTS["run_vae.py"], cwd=tmp_path, die_at=21)
    assert process.status == -signal.SIGKILL
    finish(nursery, "run_vae.py", tmp_path, expected)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_seven_kills_between_file_operations(
    script, nursery, undisturbed, tmp_path_factory, capsys
):
    expected, _ = undisturbed(script)
    last = boundaries(nursery, tmp_path_factory, script)
    for number in random.Random(script).sample(range(1, last + 1), 7):
        cwd = tmp_path_factory.mktemp("killed")
        process = nursery.run(script, *SCRIPTS[script], cwd=cwd, die_at=number)
        assert process.status == -signal.SIGKILL
        finish(nursery, script, cwd, expected)
    with capsys.disabled():
        print(f"\n{script}: 7 of {last} boundaries between file operations, no bit lost")


def test_a_kill_at_any_boundary_leaves_the_old_file_or_the_new_one(nursery, tmp_path):
    rewrite = "tests/faults/rewrite.py"
    counted = nursery.run(rewrite, tmp_path / "counted.pt", cwd=tmp_path, die_at=0)
    assert counted.status == 0, counted.err
    last = int((tmp_path / "boundaries").read_text())
    assert last == 9
    found = []
    for number in range(1, last + 1):
        path = tmp_path / str(number) / "x.pt"
        path.parent.mkdir()
        checkpoints.save(path, ["old"])
        killed = nursery.run(rewrite, path, cwd=tmp_path, die_at=number)
        assert killed.status == -signal.SIGKILL
        found.append(checkpoints.load(path)[0])
        disk.sweep(path.parent)
        assert [p.name for p in path.parent.iterdir()] == ["x.pt"]
    assert found == sorted(found, key=["old", "new"].index)
    assert set(found) == {"old", "new"}


@pytest.mark.slow
def test_what_a_killed_write_left_behind_is_swept_away(nursery, tmp_path):
    script = "run_vae.py"
    process = nursery.start(script, *SCRIPTS[script], cwd=tmp_path)
    until(lambda: list(tmp_path.glob("checkpoints/*/resume.pt")), process)
    process.send(signal.SIGKILL)
    process.wait()
    left = folder_of(tmp_path) / ".resume.pt-abc.tmp"
    left.write_bytes(b"half")
    assert nursery.run(script, *SCRIPTS[script], cwd=tmp_path).status == 0
    assert not left.exists()
