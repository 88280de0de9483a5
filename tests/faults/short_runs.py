"""Short runs of the three scripts on digits, and all that an undisturbed one leaves behind."""

import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# 68 steps an epoch; states are saved at 50, 70, 100 and 120.
COMMON = "--dataset digits --batch_size 20 --iter_max 120 --iter_save 70 --save_every_seconds 1e-6"
SCRIPTS = {
    "run_vae.py": f"--z 2 {COMMON}".split(),
    "run_gmvae.py": f"--z 2 --k 5 {COMMON}".split(),
    "run_ssvae.py": f"--n_labels 150 {COMMON}".split(),  # over 100: they have an order of their own
}


def folder_of(cwd):
    """The one run's folder."""
    (folder,) = (cwd / "checkpoints").iterdir()
    return folder


def outcome(cwd):
    """What the one run has left behind."""
    return outcomes(cwd)[folder_of(cwd).name]


def outcomes(cwd):
    """By run: every bit that has to be the same: names of files, weights, numbers, curves."""
    return {folder.name: _outcome(cwd, folder) for folder in (cwd / "checkpoints").iterdir()}


def _outcome(cwd, folder):
    log = EventAccumulator(str(cwd / "logs" / folder.name)).Reload()
    return {
        "files": sorted(p.name for p in folder.iterdir()),
        "weights": {p.name: p.read_bytes() for p in folder.glob("model-*.pt")},
        "numbers": json.loads((folder / "results.json").read_text())["numbers"],
        "curves": {
            tag: [(e.step, e.value) for e in log.Scalars(tag)] for tag in log.Tags()["scalars"]
        },
    }
