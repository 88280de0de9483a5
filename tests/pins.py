"""Every bit that short runs leave behind, as hashes: what must be equal before and after a change.

    python tests/pins.py PROJECT DATA_DIR > before.json

runs PROJECT's scripts in a temporary folder, one thread, fp32, on the digits and on MNIST, and
prints {run: {file or number: hash or value}}. Two such files of one machine compare with diff.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

ITERATIONS = 300
SCRIPTS = {
    "vae": ["run_vae.py"],
    "gmvae": ["run_gmvae.py"],
    "ssvae_gw=1": ["run_ssvae.py"],
    "ssvae_gw=0": ["run_ssvae.py", "--gw", "0"],
    "ssvae_labelled_elbo": ["run_ssvae.py", "--labeled_elbo", "1"],
}
# The starter code's way, without any script of ours.
CONTRACT = """
import sys, torch
from tqdm import tqdm
from codebase import utils as ut
from codebase.models.{module} import {cls}
from codebase.train import train
torch.manual_seed(3)
loader, (xl, yl), _ = ut.get_mnist_data("cpu", use_test_subset={test}, data_dir=sys.argv[1])
model = {cls}(name="contract")
writer = ut.prepare_writer("contract", overwrite_existing=True)
train(model, loader, (xl, yl), "cpu", tqdm, writer, iter_max=100, iter_save=50, y_status="{y}")
"""


def main(project, data_dir):
    """Prints the pins of the scripts in a folder."""
    found = {}
    for dataset in ("digits", "mnist"):
        flags = ["--dataset", dataset, "--data_dir", str(Path(data_dir).resolve())]
        flags += ["--threads", "1", "--precision", "fp32", "--iter_max", str(ITERATIONS)]
        for name, script in SCRIPTS.items():
            for kind, take in KINDS.items():
                with tempfile.TemporaryDirectory() as folder:
                    key = f"{dataset} {name} {kind}"
                    print(key, file=sys.stderr, flush=True)
                    take(Path(project).resolve(), Path(folder), [*script, *flags])
                    found[key] = leavings(Path(folder))
    for y, module, cls in (("none", "vae", "VAE"), ("semisup", "ssvae", "SSVAE")):
        with tempfile.TemporaryDirectory() as folder:
            code = CONTRACT.format(y=y, module=module, cls=cls, test=y == "none")
            environment = os.environ | {"PYTHONPATH": str(Path(project).resolve())}
            environment |= {"OMP_NUM_THREADS": "1"}
            command = [sys.executable, "-c", code, str(Path(data_dir).resolve())]
            _ended(subprocess.Popen(command, cwd=folder, env=environment, **_QUIET))
            found[f"mnist contract {cls}"] = leavings(Path(folder))
    json.dump(found, sys.stdout, indent=1, sort_keys=True)


def alone(project, folder, words):
    """A run from start to end, its bounds taken too, then evaluated again, drawn, explored."""
    _ended(_start(project, folder, [*words, "--train", "2"]))
    _ended(_start(project, folder, [*words, "--train", "0"]))
    (run,) = (folder / "checkpoints").iterdir()
    data_dir = words[words.index("--data_dir") + 1]
    if "digits" in words:
        for script in ("run_figures.py", "run_explorer.py"):
            _ended(_start(project, folder, [script, run.name, "--data_dir", data_dir]))


def stacked(project, folder, words):
    """Two runs trained as one."""
    _ended(_start(project, folder, [*words, "--stack", "1", "--runs", "2"]))


def killed(project, folder, words):
    """A run killed after its first save, then started again."""
    often = [*words, "--save_every_seconds", "0.001"]
    process = _start(project, folder, often)
    while not list(folder.glob("checkpoints/*/resume.pt")):
        if process.poll() is not None:
            raise SystemExit(f"{words} ended before it was killed")
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _ended(_start(project, folder, often))


KINDS = {"alone": alone, "stacked": stacked, "killed": killed}
_QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def _start(project, folder, words):
    command = [sys.executable, str(project / words[0]), *words[1:]]
    return subprocess.Popen(command, cwd=folder, **_QUIET)


def _ended(process):
    if process.wait():
        raise SystemExit(f"{process.args} ended with status {process.returncode}")


def leavings(folder):
    """{name: hash or value} of weights, numbers, pictures and curves in checkpoints/ and logs/."""
    found = {}
    for path in sorted((folder / "checkpoints").rglob("*")):
        name = str(path.relative_to(folder / "checkpoints"))
        if path.suffix == ".pt":
            for key, t in torch.load(path, weights_only=True).items():
                if isinstance(t, torch.Tensor):
                    found[f"{name} {key}"] = _sha256(t.contiguous().numpy().tobytes())
        elif path.name == "results.json":
            content = json.loads(path.read_text())
            for key in ("numbers", "active_units", "confusion"):
                found[f"{name} {key}"] = content.get(key)
        elif path.name == "numbers.json":
            found[name] = json.loads(path.read_text())
        elif path.suffix in (".png", ".html", ".svg"):
            found[name] = _sha256(path.read_bytes())
    for path in sorted((folder / "logs").iterdir()) if (folder / "logs").exists() else ():
        found[f"logs {path.name}"] = _sha256(json.dumps(curves(path)).encode())
    return found


def curves(folder):
    """[(tag, step, value)] of a TensorBoard log, sorted."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    tags = events.Tags()["scalars"]
    return sorted((tag, e.step, e.value) for tag in tags for e in events.Scalars(tag))


def _sha256(content):
    return hashlib.sha256(content).hexdigest()[:16]


if __name__ == "__main__":
    main(*sys.argv[1:])
