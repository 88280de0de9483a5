"""Several runs by one command: the runs they would be alone, and their table."""

import json
import math
import os
import statistics
import subprocess
import sys
from argparse import Namespace

import filelock
import pytest
from conftest import ROOT
from short_runs import SCRIPTS, outcomes

from codebase.errors import UserError
from codebase.evaluation import summary
from codebase.evaluation.numbers import Number
from codebase.runs import ranks, settings

VAE = "run_vae.py"
SHORT = "--iter_max", 10  # what leaks from one run into the next shows at once
FLAGS = [*SCRIPTS[VAE], *SHORT]


def table(out):
    """The tables of several runs, out of what a script printed."""
    return out[out.index("subset, run") :]


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_each_run_is_what_it_would_be_alone(script, nursery, tmp_path):
    """Two after the other in one process against two processes, bit by bit."""
    flags = [*SCRIPTS[script], *SHORT]
    together, alone = tmp_path / "together", tmp_path / "alone"
    for cwd in (together, alone):
        cwd.mkdir()
    done = nursery.run(script, *flags, "--run", 3, "--runs", 2, cwd=together)
    assert done.status == 0, done.err
    for run in (3, 4):
        assert nursery.run(script, *flags, "--run", run, cwd=alone).status == 0
    assert outcomes(together) == outcomes(alone)
    for record in together.glob("checkpoints/*/results.json"):
        flags = json.loads(record.read_text())["flags"]
        other = alone / record.relative_to(together)
        assert flags == json.loads(other.read_text())["flags"]


@pytest.mark.slow
def test_the_table_has_what_the_records_say(nursery, tmp_path):
    done = nursery.run(VAE, *FLAGS, "--runs", 3, cwd=tmp_path)
    assert done.status == 0, done.err
    records = sorted(tmp_path.glob("checkpoints/*/results.json"))
    runs = [json.loads(path.read_text())["numbers"] for path in records]
    rows = table(done.out).splitlines()
    for i, run in enumerate(runs):
        values = [f"{n['value']:.2f}" for n in run["subset"].values()]
        assert rows[1 + i].split() == [str(i), *values]
    for group, name in (("subset", "nelbo"), ("test", "rec")):
        values = [run[group][name]["value"] for run in runs]
        se = statistics.stdev(values) / math.sqrt(3)
        noise = math.sqrt(statistics.fmean(run[group][name]["se"] ** 2 for run in runs))
        (row,) = [row for row in rows if row.startswith(f"{group} {name}")]
        mean, pm, error, n, own = row.split()[2:]
        assert (mean, pm, n) == (f"{statistics.fmean(values):.2f}", "±", "3")
        assert (error, own) == (f"{se:.2f}", f"{noise:.2g}")


def test_what_is_finished_is_left_and_what_differs_refused(nursery, tmp_path):
    first = nursery.run(VAE, *FLAGS, "--run", 1, cwd=tmp_path)
    assert first.status == 0, first.err
    (record,) = tmp_path.glob("checkpoints/*/results.json")
    before = record.read_bytes(), record.stat().st_mtime_ns
    done = nursery.run(VAE, *FLAGS, "--runs", 2, cwd=tmp_path)
    assert done.status == 0, done.err
    assert "left as they are: runs 1\n" in done.out
    assert (record.read_bytes(), record.stat().st_mtime_ns) == before
    found = outcomes(tmp_path)
    refused = nursery.run(VAE, *FLAGS, "--iter_max", 11, "--runs", 3, cwd=tmp_path)
    assert "iter_max was 10, is 11" in refused.complaint()
    assert outcomes(tmp_path) == found  # nor is there a third run

    busy = tmp_path / "checkpoints" / "model=vae_z=02_run=0001_batch_size=20_data=digits"
    again = *FLAGS, "--iter_max", 5, "--runs", 2, "--overwrite", 1
    with filelock.FileLock(busy / "lock"):  # a process trains that one
        refused = nursery.run(VAE, *again, cwd=tmp_path)
    assert "is being trained by" in refused.complaint()
    other = "model=vae_z=02_run=0000_batch_size=20_data=digits"
    assert outcomes(tmp_path)[other] == found[other]  # it is not deleted either

    renewed = nursery.run(VAE, *FLAGS, "--iter_max", 5, "--runs", 2, "--overwrite", 1, cwd=tmp_path)
    assert renewed.status == 0, renewed.err
    assert all("model-00005.pt" in run["files"] for run in outcomes(tmp_path).values())


@pytest.mark.slow
def test_the_table_again_and_with_the_slower_bounds(nursery, tmp_path):
    done = nursery.run(VAE, *FLAGS, "--runs", 2, cwd=tmp_path)
    again = nursery.run(VAE, *FLAGS, "--runs", 2, cwd=tmp_path)
    assert table(again.out) == table(done.out)
    assert not again.err  # no progress bar: nothing was trained
    evaluated = nursery.run(VAE, *FLAGS, "--runs", 2, "--train", 0, cwd=tmp_path)
    assert evaluated.status == 0, evaluated.err
    assert "subset iwae-1000" in table(evaluated.out)


def test_one_run_that_fails_keeps_no_other_back(nursery, tmp_path):
    taken = tmp_path / "checkpoints" / "model=vae_z=02_run=0001_batch_size=20_data=digits"
    taken.mkdir(parents=True)
    with filelock.FileLock(taken / "lock"):
        done = nursery.run(VAE, *FLAGS, "--runs", 3, cwd=tmp_path)
    assert done.status == 2
    assert "Traceback" not in done.err
    reason, verdict = (line for line in done.err.splitlines() if "error: " in line)
    assert "run=0001" in reason
    assert "is being trained by" in reason
    assert "Runs 1 are not finished" in verdict
    assert [row.split()[0] for row in table(done.out).splitlines()[1:3]] == ["0", "2"]


def torchrun(*flags, cwd):
    """Two ranks under torchrun: exit status and output."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", "2", str(ROOT / VAE), *map(str, flags)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_two_ranks_do_what_one_process_does(nursery, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for cwd in (one, two):
        cwd.mkdir()
    flags = [*FLAGS, "--runs", 2, "--threads", 1]
    shared = torchrun(*flags, cwd=two)
    assert shared.returncode == 0, shared.stderr
    alone = nursery.run(VAE, *flags, cwd=one, full_evaluation=True)
    assert outcomes(two) == outcomes(one)
    assert table(shared.stdout) == table(alone.out)
    assert {"rank 0 of 2", "rank 1 of 2"} == {
        line.split(":")[0] for line in shared.stdout.splitlines() if line.startswith("rank ")
    }
    assert "%|" not in shared.stderr  # bars


def namespace(**flags):
    defaults = {"run": 0, "runs": 2, "jobs": 1, "seed": None, "overwrite": 0, "resume": "auto"}
    defaults |= {"stack": "auto", "schedule": "constant", "graph": 1, "compile": 0}
    defaults |= {"lr": 1e-3, "lr_end": 1e-5}
    return Namespace(**defaults | flags)


@pytest.mark.parametrize(
    ("flags", "world", "complaint"),
    [
        ({"runs": None, "jobs": 2}, 1, "--jobs 2 shares"),
        ({"runs": None}, 2, "torchrun shares"),
        ({"runs": None, "stack": "1"}, 1, "--stack 1 trains"),
        ({"seed": 7}, 1, "--seed 7"),
        ({"run": 9999}, 1, "9999"),
        ({"jobs": 2}, 2, "leave --jobs 2 out"),
        ({"overwrite": 1}, 2, "--overwrite 1"),
        ({"resume": "0"}, 2, "--resume 0"),
        ({"lr_end": 1e-6}, 1, "--lr_end 1e-06 changes nothing here"),
    ],
)
def test_flags_that_do_not_go_together(flags, world, complaint, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", str(world))
    with pytest.raises(UserError, match=complaint):
        settings.check(namespace(**flags))


@pytest.mark.parametrize(
    "flags", [{}, {"runs": 1, "seed": 7}, {"jobs": 3, "resume": "0"}, {"overwrite": 1}]
)
def test_flags_that_do(flags):
    settings.check(namespace(**flags))


def test_ranks_agree_on_a_name_nobody_has_used_before(monkeypatch):
    """With a store in which an earlier start has left its words and answers."""
    from threading import Thread

    import torch.distributed as dist

    store = dist.HashStore()
    names = []
    for _ in range(3):
        found = {}

        def take_part(number, found=found):
            found[number] = ranks.agreed_name(store, number, 3)

        threads = [Thread(target=take_part, args=(number,)) for number in (1, 2, 0)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3
        assert len(set(found.values())) == 1
        names.append(found[0])
    assert len(set(names)) == 3


def test_mean_standard_error_and_noise():
    values = [Number(v, se) for v, se in [(1.0, 0.3), (2.0, 0.4), (6.0, 0.5)]]
    mean, noise = summary.over_runs(values)
    assert mean.value == pytest.approx(3)
    assert mean.se == pytest.approx(statistics.stdev([1, 2, 6]) / math.sqrt(3))
    assert noise == pytest.approx(math.sqrt((0.09 + 0.16 + 0.25) / 3))
    assert summary.over_runs([Number(1.0, None)]) == (Number(1.0, None), None)


def test_a_number_that_only_some_runs_have_counts_those():
    runs = {
        4: {"subset": {"nelbo": Number(99.0, 0.1)}},
        7: {"subset": {"nelbo": Number(103.0, 0.1), "iwae-1": Number(98.0, None)}},
    }
    lines = summary.summary(runs, {"nelbo": (100, 2)}).splitlines()
    assert lines[1].split() == ["4", "99.00"]
    assert lines[2].split() == ["7", "103.00", "98.00"]
    assert " ".join(lines[5].split()) == "subset nelbo 101.00 ± 2.00 2 0.1 100 ± 2 1 of 2"
    assert lines[6].split() == ["subset", "iwae-1", "98.00", "1"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"numbers": {"subset": {"nelbo": 1}}}'])
def test_a_damaged_record_is_named(content, tmp_path):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"results\.json"):
        summary.numbers(path)
