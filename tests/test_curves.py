"""Curves of a training, for people without TensorBoard: drawn from what was logged."""

import json
import time

import numpy as np
import pytest
import torch
from PIL import Image

from codebase.figures import curves, style
from codebase.files import logs

FLAGS = "--dataset", "digits", "--iter_max", 20, "--iter_save", 10, "--iter_eval", 4
STEPS = [4, 8, 10, 12, 16, 20]


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("script", "more", "tags"),
    [
        ("run_vae.py", ("--z", 2), {"test/nelbo", "test/kl", "test/rec"}),
        ("run_ssvae.py", (), {"test/nelbo", "test/kl_z", "test/accuracy"}),
        ("run_ssvae.py", ("--gw", 0), {"test/ce", "test/accuracy"}),
        ("run_vae.py", ("--z", 2, "--runs", 2, "--stack", 1), {"test/nelbo", "test/kl"}),
    ],
)
def test_a_run_has_its_curves(script, more, tags, run, tmp_path, monkeypatch):
    done = run(script, *FLAGS, *more)
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    folders = sorted((tmp_path / "checkpoints").iterdir())
    assert len(folders) == 1 + ("--runs" in more)
    for folder in folders:
        found = logs.scalars(folder.name)
        for tag in tags:
            assert [step for step, _ in found[tag]] == STEPS, tag
        picture = Image.open(folder / "curves.png")
        assert picture.size[0] == round(style.WIDTH * style.DPI)
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 10


@pytest.mark.slow
def test_evaluating_more_often_is_no_other_run(run, tmp_path):
    """The same weights and numbers, and of the loss's curve the same points."""
    ends, flags = [], ("--dataset", "digits", "--iter_max", 60, "--z", 2)
    for often in (7, 1_000):
        cwd = tmp_path / str(often)
        cwd.mkdir()
        done = run("run_vae.py", *flags, "--iter_eval", often, cwd=cwd)
        assert done.returncode == 0, done.stderr
        (folder,) = (cwd / "checkpoints").iterdir()
        weights = torch.load(folder / "model-00060.pt", weights_only=True)
        ends.append((weights, json.loads((folder / "results.json").read_text())["numbers"]))
    (weights, numbers), (others, other_numbers) = ends
    assert numbers == other_numbers
    assert all(torch.equal(weights[key], others[key]) for key in others)


def test_a_stretch_that_was_lost_is_in_no_curve(here):
    """A log that went to step 8, of a run that is taken up again at step 5."""
    first = logs.Log("a run")
    for step in range(1, 9):
        first.add_scalar("train/loss", float(step), step)
    first.close()
    time.sleep(1.1)  # files are read in the order of their names, which begin with the second
    again = logs.Log("a run", purge_step=6)
    for step in range(6, 11):
        again.add_scalar("train/loss", 10.0 * step, step)
    again.close()
    assert logs.scalars("a run") == {
        "train/loss": [(s, float(s)) for s in range(1, 6)] + [(s, 10.0 * s) for s in range(6, 11)]
    }
    assert logs.scalars("no run") == {}


def drawn(scalars):
    """{panel: {curve: its points}} of the figure, once it is known to be whole."""
    with style.styled():
        fig = curves.figure(scalars)
        fig.draw_without_rendering()
        box, (width, height) = fig.get_tightbbox(), fig.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.01
    return {
        ax.get_ylabel(): {
            line.get_label(): list(zip(*line.get_data(), strict=True)) for line in ax.get_lines()
        }
        for ax in fig.axes
    }


def falling(n, every=50):
    return [(every * i, 100 + 400 / i) for i in range(1, n + 1)]


def test_what_was_logged_is_what_is_drawn():
    loss, kl, nelbo = falling(40), falling(40), falling(2, 1_000)
    scalars = {"train/loss": loss, "gen/kl_z": kl, "test/nelbo": nelbo, "train/grad_norm": loss}
    expected = {
        "loss": {"loss, minibatch": loss},
        "bound, nats": {"nelbo, test": nelbo},
        "kl, nats": {"kl_z, minibatch": kl},
    }
    assert drawn(scalars) == expected
    # Of a minibatch the bound is drawn too, and the loss no more where it is nothing else.
    expected["bound, nats"]["nelbo, minibatch"] = other = [(step, v / 2) for step, v in loss]
    assert drawn(scalars | {"gen/elbo": [(step, -v) for step, v in other]}) == expected
    expected["bound, nats"]["nelbo, minibatch"] = loss
    del expected["loss"]
    assert drawn(scalars | {"gen/elbo": [(step, -v) for step, v in loss]}) == expected
    labels = {f"{part}/{name}": loss for part in ("gen", "test") for name in ("kl_z", "kl_y")}
    assert len(drawn(labels)["kl, nats"]) == 4
    assert drawn({"class/acc": [(50, 1.0), (100, 1.0)]}).keys() == {"accuracy"}


def test_the_first_iterations_do_not_flatten_the_rest():
    with style.styled():
        (ax,) = curves.figure({"train/loss": falling(400)}).axes
    low, high = ax.get_ylim()
    assert low < 101
    assert high < 125  # of 500 at the beginning
    assert np.ptp(ax.get_lines()[0].get_ydata()) > 300  # which is there none the less
