"""What a run records and logs is what its weights give to whoever measures them again."""

import json

import numpy as np
import pytest
import torch
from oracles import within
from short import command
from torch.distributions import Bernoulli, Normal

from codebase.data import subsets
from codebase.data.batches import grey
from codebase.evaluation import bounds
from codebase.files import logs
from codebase.runs.saved import open_run


@pytest.fixture(autouse=True)
def few_repeats(monkeypatch):
    monkeypatch.setattr(bounds, "SUBSET_REPEATS", 3)  # of the protocol, which is not looked at


def folder_of(cwd):
    (folder,) = (cwd / "checkpoints").iterdir()
    return folder


def test_eval_iw_is_the_bound_of_every_test_image(here, digits):
    """The evaluator's to the bit, and by samples drawn here within standard errors."""
    iw = 7
    command("vae", "--z", 3, "--iter_max", 60, "--eval_iw", iw, "--precision", "fp32")
    folder = folder_of(here)
    recorded = json.loads((folder / "results.json").read_text())["numbers"]["test"][f"iwae-{iw}"]
    by_image = np.load(folder / "per_image.npz")[f"iwae-{iw}"]
    assert by_image.shape == (len(digits.test_x),)
    assert recorded["value"] == pytest.approx(by_image.mean(), rel=1e-6)
    assert recorded["se"] == pytest.approx(by_image.std(ddof=1) / len(by_image) ** 0.5, rel=1e-4)

    model, x = open_run(folder).model, subsets.test_images(digits)
    assert by_image == pytest.approx(bounds.image_iwae(model, x, iw).numpy(), abs=1e-4)
    with torch.no_grad():
        q = model.posterior(x)
    q, prior = Normal(q.mean, q.variance.sqrt()), Normal(0, 1)
    repeats = []
    for _ in range(30):
        z = q.sample((iw,))  # (M, N, Z)
        with torch.no_grad():
            log_w = Bernoulli(logits=model.dec(z)).log_prob(x).sum(-1)
        log_w += (prior.log_prob(z) - q.log_prob(z)).sum(-1)
        repeats.append(np.log(iw) - log_w.logsumexp(0))
    repeats = torch.stack(repeats).double()  # (30, N)
    spread = repeats.std(0) / len(x) ** 0.5  # the noise of one draw in the mean over the images
    se = (spread.square().mean() * (1 + 1 / 30)).sqrt()
    assert within(torch.tensor(by_image.mean()), se, repeats.mean())
    # And image by image: no more than one in a thousand is five of its own deviations off.
    off = (torch.from_numpy(by_image) - repeats.mean(0)).abs() / repeats.std(0)
    assert (off > 5).float().mean() < 1e-2


def test_between_checkpoints_the_test_subset_and_every_second_image_are_measured(here, digits):
    """At iteration 12 of 16, where a run of 12 has its last weights."""
    for last in (16, 12):
        (here / str(last)).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for last in (16, 12):
            patch.chdir(here / str(last))
            command("ssvae", "--iter_max", last, "--iter_eval", 6, "--iter_save", 100)
        patch.chdir(here / "16")
        found = logs.scalars(folder_of(here / "16").name)
    model = open_run(folder_of(here / "12")).model
    logged = {tag: dict(points)[12] for tag, points in found.items() if tag.startswith("test/")}

    x, y = grey(digits.test_x)[::2], digits.test_y[::2]
    with torch.no_grad():
        logits = model.cls(x)
        right = (logits.argmax(1) == y).float().mean().item()
        ce = torch.nn.functional.cross_entropy(logits, y).item()
        bits, _ = subsets.test_subset(digits)
        terms = [sum(model.negative_elbo_terms(bits)).mean() for _ in range(100)]
    assert logged["test/accuracy"] == pytest.approx(right, abs=1e-6)
    assert logged["test/ce"] == pytest.approx(ce, rel=1e-5)
    terms = torch.stack(terms)
    se = terms.std() * (1 / 10 + 1 / 100) ** 0.5  # ten samples of each image are logged
    assert within(torch.tensor(logged["test/nelbo"]), se, terms.mean())


def test_label_seed_draws_other_labelled_images_and_the_same_again(here):
    weights = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, seed in (("one", 1), ("again", 1), ("other", 2)):
            (here / name).mkdir()
            patch.chdir(here / name)
            command("ssvae", "--gw", 0, "--label_seed", seed)
            weights[name] = torch.load(
                next(folder_of(here / name).glob("model-*.pt")), weights_only=True
            )
    same = {k: torch.equal(weights["one"][k], weights["again"][k]) for k in weights["one"]}
    assert all(same.values())
    assert any(not torch.equal(weights["one"][k], weights["other"][k]) for k in same)
