"""The baseline that speeds are compared with computes what this project computes."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import ceiling, check, memory, sides, stages, startup, traffic
from benchmarks.measure import Setting
from codebase.data.batches import one_hot, seeded_generator
from codebase.runs import progress
from codebase.train import LOOK_EVERY

SPEED = Path(__file__).resolve().parents[1] / "benchmarks" / "speed.py"
MODELS = ["vae", "gmvae", "ssvae_gw1", "ssvae_gw0"]


def batch_for(model):
    g = seeded_generator(0)
    x = torch.randint(2, (5, 784), generator=g).float()
    if model not in sides.SSVAES:
        return (x,)
    return x, torch.randint(2, (4, 784), generator=g).float(), one_hot(torch.arange(4))


@pytest.mark.parametrize("model", MODELS)
def test_the_textbook_and_the_project_have_one_loss_and_one_gradient(model):
    (theirs, expected), (ours, found) = check.one_loss(model, batch_for(model), k=7)
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        scale = expected[name].abs().max().item()
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-4 * scale)


def test_enumerated_copies_have_the_loss_of_split_first_layers():
    batch = batch_for("ssvae_gw1")
    losses = []
    for kind in (sides.SSVAE, sides.EnumeratingSSVAE):
        torch.manual_seed(0)
        losses.append(sides.project_model("ssvae_gw1", ssvae=kind).loss(*batch)[0].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_the_limit_counts_the_layers_of_the_networks(model):
    """Every weight appears once, times its rows; the labels' own columns are left out."""
    net, batch = sides.project_model(model), 97
    outputs = {o for _, _, o, _ in ceiling.layers(model, batch)}
    used = [
        n for n, g in check.one_loss(model, batch_for(model), k=7)[1][1].items() if g.dim() == 2
    ]
    sizes = dict(net.named_parameters())
    assert outputs == {len(sizes[name]) for name in used}
    calls = len(used) + (3 if model == "ssvae_gw1" else 0)  # its classifier sees two batches
    assert len(ceiling.layers(model, batch)) == calls


def test_traffic_counts_what_is_moved_once():
    a, b, out = torch.ones(3, 5), torch.ones(5, 7), torch.empty(3, 7)
    asked = traffic.of(lambda: torch.mm(a, b, out=out).T.add_(1))
    assert asked["operations"] == 2 * 3 * 5 * 7
    # mm reads a and b and writes out, which is both argument and result; .T moves nothing.
    assert asked["bytes"] == 4 * (15 + 35 + 2 * 21 + 2 * 21)


@pytest.mark.parametrize("model", MODELS)
def test_the_limit_counts_the_operations_of_a_step(model):
    """But for the labels' own columns, ten rows."""
    net, batch = sides.project_model(model, k=7), batch_for(model)
    if model in sides.SSVAES:  # as many labelled images as the limit counts
        batch = batch[0], torch.zeros(100, 784), torch.eye(10).repeat(10, 1)

    def step():
        net.loss(*batch)[0].backward()

    counted = traffic.of(step)["operations"]
    assert counted == pytest.approx(ceiling.operations(model, len(batch[0])), rel=0.01)


def test_the_memory_of_an_evaluation_is_measured():
    found = memory.task({"k": 5, "iw": 10})
    assert found["seconds"] > 0
    assert found["added"] >= 0


def test_help_needs_no_torch():
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{str(SPEED)!r}, '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.slow
def test_what_a_user_waits_for_is_measured():
    """The run's own words are waited for, so they and the pattern change together."""
    found = stages.waiting(Setting("digits", "data", 1, 0.1, 1), whole=False)
    assert 0 < found["help_seconds"] < found["first_look_seconds"]


def test_the_line_that_is_waited_for_is_that_of_the_first_look():
    assert startup.FIRST_LOOK == LOOK_EVERY
    lines = progress.Lines("vae: ", 0, int(startup.SHORT[1]), 0, "it")
    with lines, contextlib.redirect_stderr(io.StringIO()) as said:
        lines.update(LOOK_EVERY)
        lines.set_postfix({"loss": "1.0"})
    assert startup.LOOKED.search(said.getvalue())
