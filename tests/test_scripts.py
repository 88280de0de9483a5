"""The command line, in real processes, as a stranger uses it."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

PICTURES = {
    "run_vae.py": {"samples.png", "samples_probabilities.png", "reconstructions.png"},
    "run_gmvae.py": {"samples.png", "samples_probabilities.png", "reconstructions.png"},
    "run_ssvae.py": {"class_conditional.png", "analogies.png", "confusion.png"},
}
SCRIPTS = sorted(PICTURES)  # those that train a model
OTHERS = {  # and one flag of each that does not
    "run_comparison.py": "--over",
    "run_explorer.py": "--export",
    "run_figures.py": "--only",
    "run_report.py": "--out",
}
DIGITS = "--dataset", "digits"


def only(folder):
    (child,) = folder.iterdir()
    return child


def test_every_script_is_tried_here():
    assert {p.name for p in ROOT.glob("run_*.py")} == set(SCRIPTS) | set(OTHERS)


@pytest.mark.few(1)
@pytest.mark.parametrize("script", SCRIPTS)
def test_two_iterations_on_digits(script, run, tmp_path):
    """Everything a run leaves behind is there, and says that its data are digits."""
    done = run(script, "--iter_max", 2, *DIGITS)
    assert done.returncode == 0, done.stderr
    folder = only(tmp_path / "checkpoints")
    assert "data=digits" in folder.name
    assert "NOT MNIST" in done.stdout
    files = {p.name for p in folder.iterdir()}
    own = {"per_image.npz"} if script != "run_ssvae.py" else set()
    assert files == PICTURES[script] | own | {"flags.json", "model-00002.pt", "results.json"}
    for array in (np.load(folder / name) for name in own):
        assert array["nelbo"].shape == (450,)
    for picture in PICTURES[script]:
        pixels = Image.open(folder / picture)
        assert min(pixels.size) > 300
        assert len(set(pixels.convert("L").tobytes())) > 1

    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["data"]["name"] == "digits"
    assert re.fullmatch(r"[0-9a-f]{64}", results["data"]["sha256"])
    assert results["flags"]["iter_max"] == 2
    assert results["versions"]["torch"] == torch.__version__
    assert results["versions"]["cpu_kernels"] == torch.backends.cpu.get_cpu_capability()
    assert results["training"]["iterations"] == 2
    for numbers in results["numbers"].values():
        assert all(n["se"] >= 0 for n in numbers.values())
    accuracy = results["numbers"]["test"].get("accuracy")
    if accuracy:
        assert f"{accuracy['value']:.4f}" in done.stdout
        assert sum(map(sum, results["confusion"])) == 450
    else:
        assert f"{results['numbers']['subset']['nelbo']['value']:.2f}" in done.stdout

    log = EventAccumulator(str(tmp_path / "logs" / folder.name)).Reload()
    scalars = set(log.Tags()["scalars"])
    assert {"train/loss", "gen/elbo", "gen/kl_z", "gen/rec"} <= scalars
    watched = {"test/accuracy", "test/ce"} if accuracy else {"test/nelbo", "test/kl", "test/rec"}
    assert watched <= scalars
    assert log.Tags()["images"]


@pytest.mark.parametrize("script", [*SCRIPTS, *OTHERS])
def test_help_is_quick_and_needs_no_torch(script):
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{script!r}, '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    seconds = []
    for _ in range(3):
        since = sum(os.times()[2:4])  # of the processor, in processes that have ended
        out = subprocess.run(
            [sys.executable, script, "--help"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout
        seconds.append(sum(os.times()[2:4]) - since)
    assert min(seconds) < 0.5
    usual = ["--threads", "--run", "--dataset", "default: 97"]
    for flag in [OTHERS[script]] if script in OTHERS else usual:
        assert flag in out


BAD = [
    ("--iter_max", "0"),
    ("--iter_max", "many"),
    ("--batch_size", "100000"),
    ("--lr", "nan"),
    ("--lr", "0"),
    ("--seed", "-1"),
    ("--train", "3"),
    ("--run", "-1"),
    ("--runs", "0"),
    ("--jobs", "0"),
    ("--device", "abacus"),
    ("--dataset", "cats"),
    ("--overwrite", "2"),
    ("--iter_save", "0"),
    ("--save_every_seconds", "0"),
    ("--threads", "-1"),
    ("--resume", "1"),
    ("--figures", "2"),
    ("--nonsense", "1"),
]
BAD_MODEL_FLAGS = {
    "run_vae.py": [
        ("--z", "0"),
        ("--z", "10001"),
        ("--z", "2.5"),
        ("--beta", "-1"),
        ("--beta", "inf"),
    ],
    "run_gmvae.py": [("--z", "0"), ("--k", "-1"), ("--k", "100001"), ("--beta", "x")],
    "run_ssvae.py": [("--gw", "-1"), ("--cw", "nan"), ("--n_labels", "0"), ("--n_labels", "60001")],
}


@pytest.mark.few(1)
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_wrong_flag_is_one_clear_line(script):
    for flag, value in BAD + BAD_MODEL_FLAGS[script]:
        done = subprocess.run(
            [sys.executable, script, flag, value], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 2
        assert not done.stdout
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"{script}: error: ")
        assert flag in line
        assert value in line


def test_mistakes_found_later_are_one_clear_line_too(run, tmp_path):
    for flags, complaint in [
        (("--data_dir", "nowhere", "--dataset", "kmnist"), "could not be downloaded"),
        ((*DIGITS, "--train", 0), "There is no checkpoint"),
    ]:
        done = run("run_vae.py", *flags)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert complaint in done.stderr.splitlines()[-1]


def test_a_finished_run_is_refused_then_overwritten(run, tmp_path):
    flags = "--iter_max", 2, *DIGITS
    assert run("run_vae.py", *flags).returncode == 0
    weights = only(tmp_path / "checkpoints") / "model-00002.pt"
    before = weights.read_bytes()
    refused = run("run_vae.py", *flags)
    assert refused.returncode == 2
    assert "--train 0 evaluates it again; --overwrite 1" in refused.stderr
    assert "--run" in refused.stderr
    assert weights.read_bytes() == before
    weights.write_bytes(b"spoiled")
    assert run("run_vae.py", *flags, "--overwrite", 1).returncode == 0
    # One command, one machine: the same bits.
    assert weights.read_bytes() == before


@pytest.mark.slow
def test_evaluating_again_gives_the_same_numbers_and_more(run, tmp_path):
    flags = "--iter_max", 2, "--iter_save", 1, *DIGITS
    assert run("run_vae.py", *flags, "--train", 2).returncode == 0
    folder = only(tmp_path / "checkpoints")
    record = (folder / "results.json").read_bytes()
    for step in (2, 1):
        done = run("run_vae.py", "--iter_max", step, *DIGITS, "--train", 0)
        assert done.returncode == 0, done.stderr
    assert (folder / "results.json").read_bytes() == record
    trained, again, earlier = (
        json.loads(path.read_text(encoding="utf-8"))["numbers"]
        for path in (
            folder / "results.json",
            folder / "evaluation-00002" / "results.json",
            folder / "evaluation-00001" / "results.json",
        )
    )
    assert again == trained
    assert earlier != trained
    subset = again["subset"]
    assert {"iwae-1", "iwae-10", "iwae-100", "iwae-1000"} <= subset.keys()
    assert subset["iwae-1000"]["value"] < subset["nelbo"]["value"]


@pytest.mark.slow
def test_kingma_s_objective_with_more_labels(run, tmp_path):
    flags = "--labeled_elbo", 1, "--n_labels", 250, "--iter_max", 2, *DIGITS
    done = run("run_ssvae.py", *flags)
    assert done.returncode == 0, done.stderr
    folder = only(tmp_path / "checkpoints")
    assert folder.name.endswith("run=0000_data=digits_labeled_elbo=1_n_labels=250")
    log = EventAccumulator(str(tmp_path / "logs" / folder.name)).Reload()
    assert "gen/elbo_labeled" in log.Tags()["scalars"]


def test_too_many_labels_leave_nothing_behind(run, tmp_path):
    done = run("run_ssvae.py", "--n_labels", 1348, *DIGITS)
    assert done.returncode == 2
    assert "from 1 to 1,347" in done.stderr
    assert not (tmp_path / "checkpoints").exists()


def test_flags_that_change_the_numbers_change_the_name(run, tmp_path):
    flags = ("--iter_max", 1, *DIGITS, "--z", 2, "--beta", 4, "--seed", 7, "--run", 3)
    assert run("run_vae.py", *flags).returncode == 0
    name = only(tmp_path / "checkpoints").name
    assert name == "model=vae_z=02_run=0003_beta=4_data=digits_seed=7"


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (("-gw", 0), "gw=000_cw=100_run=0000_data=digits"),
        (("--gw", 0.5, "--cw", 1), "gw=0.5_cw=001_run=0000_data=digits"),
        (("-gw", 0, "--n_labels", 20), "gw=000_cw=100_run=0000_data=digits_n_labels=20"),
    ],
)
def test_the_ssvae_s_weights_in_its_name(run, tmp_path, flags, name):
    done = run("run_ssvae.py", *flags, "--iter_max", 1, *DIGITS)
    assert done.returncode == 0, done.stderr
    assert only(tmp_path / "checkpoints").name == f"model=ssvae_{name}"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_an_interrupted_run_goes_on_to_the_same_bits(start, run, tmp_path):
    flags = "--iter_max", 400, *DIGITS, "--iter_save", 200
    whole = tmp_path / "whole"
    whole.mkdir()
    assert run("run_vae.py", *flags, cwd=whole).returncode == 0

    process = start("run_vae.py", *flags)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("checkpoints/*/model-00200.pt")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert "Stopped by SIGINT at iteration" in out + err
    assert err.splitlines()[-1] == "The same command goes on from there."
    assert "Traceback" not in err

    refused = run("run_vae.py", *flags, "--resume", 0)
    assert refused.returncode == 2
    other = run("run_vae.py", "--iter_max", 500, *DIGITS)
    assert other.returncode == 2
    assert "iter_max was 400, is 500" in other.stderr

    finished = run("run_vae.py", *flags)
    assert finished.returncode == 0, finished.stderr
    assert "Going on with this run from iteration" in finished.stdout
    name = only(whole / "checkpoints").name
    one, two = (f / "checkpoints" / name / "model-00400.pt" for f in (whole, tmp_path))
    assert one.read_bytes() == two.read_bytes()
    assert not list(tmp_path.glob("checkpoints/*/resume.pt"))


def test_without_mnist_and_network_the_default_is_digits(fresh, tmp_path):
    done = fresh("run_vae.py", "--iter_max", 2)
    assert done.returncode == 0, done.stderr
    assert "NO MNIST" in done.stdout
    assert "data=digits" in only(tmp_path / "checkpoints").name
    assert not (tmp_path / "data" / "MNIST").exists()


@pytest.mark.parametrize("script", [*SCRIPTS, *OTHERS])
def test_a_missing_package_is_named_with_what_installs_it(script, tmp_path):
    words = [script, "RUN"] if script in ("run_explorer.py", "run_figures.py") else [script]
    code = f"""
import runpy, sys
sys.modules["torch"] = None
sys.argv, sys.path[0] = {words!r}, {str(ROOT)!r}
runpy.run_path({str(ROOT / script)!r}, run_name="__main__")
"""
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    complaint = "torch is missing; python -m pip install -r requirements.txt installs it."
    assert done.stderr.strip().endswith(complaint)
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_version_is_the_package_s(fresh):
    import codebase

    done = fresh("run_gmvae.py", "--version")
    assert (done.returncode, done.stdout.strip()) == (0, codebase.__version__)
