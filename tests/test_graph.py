"""The captured step: what it computes, and that nothing in it waits for the device.

Where there is no GPU something else stands in for it, which runs a captured function again and
puts the results where they were at the first time, as a graph does.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from tqdm import tqdm

from codebase import train
from codebase.data import subsets
from codebase.data.batches import Batches, seeded_generator
from codebase.data.stream import Stream
from codebase.engine import session
from codebase.engine.graph import WARM_UP, CapturedStep, captured
from codebase.engine.step import Step
from codebase.evaluation.bounds import subset_bounds
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE

KINDS = ["vae", "gmvae", "ssvae", "ssvae, no bound", "ssvae, many labels"]
ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


class StandIn:
    """Executes where a GPU would replay, into the same tensors every time."""

    def __init__(self):
        self.replays = 0

    def aside(self, function):
        return function()

    def captured(self, function):
        kept = []

        def replay():
            self.replays += 1
            *results, gradients = function()
            results += gradients
            if not kept:
                kept.extend(None if t is None else t.clone() for t in results)
            for place, found in zip(kept, results, strict=True):
                if found is not None:
                    place.copy_(found)
            return *kept[:3], kept[3:]

        return replay


class Refusing(StandIn):
    def captured(self, function):
        raise RuntimeError("operation not permitted.\nMore about it.")


def built(kind, device="cpu"):
    torch.manual_seed(0)
    if kind == "vae":
        model = VAE(z_dim=3)
    elif kind == "gmvae":
        model = GMVAE(z_dim=3, k=4)
    else:
        model = SSVAE(gen_weight=0 if "no bound" in kind else 1, z_dim=3)
    return model.to(device)


def stepping(kind, digits, device="cpu"):
    """A plain step on 250 images: epochs are minibatches of 97, 97 and 56."""
    return Step(built(kind, device), stream_of(kind, digits, device))


def loader_of(digits, device="cpu"):
    x, y = digits.train_x[:250].to(device), digits.train_y[:250].to(device)
    return Batches(x, y, 97, seeded_generator(0, device))


def labelled_of(kind, digits, device="cpu"):
    if not kind.startswith("ssvae"):
        return None
    return subsets.labelled(digits.to(device), 250 if "many" in kind else 100)


def stream_of(kind, digits, device="cpu"):
    return Stream(loader_of(digits, device), labelled_of(kind, digits, device), device)


def trace(step, plain, n):
    """Every tensor that n steps hand back or leave in the gradients, and the weights."""
    rows = []
    for _ in range(n):
        values, x, y = step()
        gradients = [p.grad.clone() for p in plain.model.parameters() if p.grad is not None]
        rows.append((values, x.clone(), y.clone(), *gradients))
    return [*(t for row in rows for t in row), *plain.model.parameters()]


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", KINDS)
def test_replays_compute_what_plain_steps_do(kind, digits):
    plain, wrapped, device = stepping(kind, digits), stepping(kind, digits), StandIn()
    torch.manual_seed(1)
    expected = trace(plain, plain, 20)
    torch.manual_seed(1)
    found = trace(CapturedStep(wrapped, device), wrapped, 20)
    assert len(found) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    # Six full epochs and a bit; both sizes are replayed once they were seen WARM_UP times.
    if "many" not in kind:
        assert device.replays == 20 - 2 * WARM_UP


def test_each_pair_of_sizes_has_a_graph(digits):
    step = CapturedStep(stepping("ssvae, many labels", digits), StandIn())
    for _ in range(20):
        step()
    assert {tuple(s[0] for s in sizes) for sizes in step.graphs} == {(97, 100), (56, 50)}


@pytest.mark.parametrize("kind", ["vae", "ssvae, many labels"])
def test_a_step_that_cannot_be_captured_is_done_plainly(kind, digits, capsys):
    plain, wrapped = stepping(kind, digits), stepping(kind, digits)
    torch.manual_seed(1)
    expected = trace(plain, plain, 12)
    torch.manual_seed(1)
    found = trace(CapturedStep(wrapped, Refusing()), wrapped, 12)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines == ["The step cannot be captured (operation not permitted); going on without."]


def quiet(**kwargs):
    return tqdm(**kwargs, disable=True)


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["gmvae", "ssvae, many labels"])
def test_an_interrupted_training_ends_with_the_same_bits(kind, here, digits, monkeypatch):
    def fit(model, iter_max, **options):
        loader, labelled = loader_of(digits), labelled_of(kind, digits)
        y_status = "none" if labelled is None else "semisup"
        train.train(
            *(model, loader, labelled, "cpu", quiet, None, iter_max),
            y_status=y_status,
            **options,
        )
        return model.state_dict()

    expected = fit(built(kind), 25)
    device = StandIn()
    monkeypatch.setattr(session, "captured", lambda step, fuse: CapturedStep(step, device))
    for iter_max in (11, 25):
        model = built(kind)
        if iter_max > 11:
            torch.manual_seed(iter_max)  # what another process would have drawn
        found = fit(model, iter_max, graph=True, state_path=here / "resume.pt")
    assert device.replays > 5
    assert all(torch.equal(found[k], expected[k]) for k in expected)


class NoWaiting(TorchDispatchMode):
    """Refuses the operations whose result's size or value the host has to know."""

    WAITING = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in self.WAITING, f"{name} waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_a_step_waits_for_the_device(kind, digits, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the step waits for the device")

    step = stepping(kind, digits)
    for name in ("cpu", "item", "tolist", "numpy", "__bool__", "__float__", "__int__"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    with NoWaiting():
        for _ in range(4):
            step()


def test_a_step_that_waits_would_be_found(digits):
    step = stepping("vae", digits)
    loss = step.model.loss
    step.model.loss = lambda x: (loss(x), x.sum().item())[0]
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NoWaiting():
        step()


# On a GPU


@ON_GPU
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_computes_what_plain_steps_do(kind, precision, digits, capsys):
    rows = {}
    for name, wrap in (("plain", lambda step: step), ("captured", captured)):
        plain = stepping(kind, digits, "cuda")
        plain.precision = precision
        step = wrap(plain)
        torch.manual_seed(1)
        rows[name] = []
        for _ in range(20):
            values, x, y = step()
            rows[name].append((values, x.clone(), y.clone()))
    assert "cannot be captured" not in capsys.readouterr().out
    for (values, x, y), (expected, x_plain, y_plain) in zip(
        rows["captured"], rows["plain"], strict=True
    ):
        assert torch.equal(x, x_plain)
        assert torch.equal(y, y_plain)
        # Sums whose order the GPU chooses may round differently.
        torch.testing.assert_close(values, expected, rtol=1e-2, atol=1e-2)


@ON_GPU
def test_evaluating_between_replays_changes_nothing(digits):
    x, _ = subsets.test_subset(digits.to("cuda"))
    weights = []
    for watch in (False, True):
        plain = stepping("vae", digits, "cuda")
        step = captured(plain)
        torch.manual_seed(1)
        for _ in range(20):
            step()
            if watch:
                subset_bounds(plain.model, x, run_iwae=False)
        weights.append(plain.model.state_dict())
    for key, value in weights[0].items():
        torch.testing.assert_close(weights[1][key], value, rtol=1e-4, atol=1e-5)


@ON_GPU
def test_a_step_that_waits_falls_back_to_plain_steps(digits, capsys):
    plain = stepping("vae", digits, "cuda")
    loss = plain.model.loss
    plain.model.loss = lambda x: (loss(x), x.sum().item())[0]
    step = captured(plain)
    values = [step()[0] for _ in range(12)]
    assert torch.isfinite(torch.stack(values)).all()
    assert capsys.readouterr().out.count("cannot be captured") == 1
