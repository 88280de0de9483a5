"""Grey pixels: densities and masses against torch, quadrature, sums; and where they are drawn."""

import json
import math
from pathlib import Path

import pytest
import torch
from oracles import draws
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.distributions import Normal

from codebase import command
from codebase.data import subsets
from codebase.data.batches import as_pixels, dequantize, seeded_generator
from codebase.engine.randomness import seeded
from codebase.evaluation.divergence import diverged
from codebase.models import likelihoods, pixels

D = 5
LOG_256 = math.log(256)


def grid(low, high, n=40_001):
    return torch.linspace(low, high, n, dtype=torch.float64).unsqueeze(-1)


def integral(distribution, low, high):
    """∫ density, of one pixel, by the trapezoid rule."""
    x = grid(low, high)
    return torch.trapezoid(distribution.log_density(x).exp().squeeze(-1), x.squeeze(-1)).item()


LOGITS = [-80.0, -3.0, -0.02, -0.009, 0.0, 1e-4, 0.0101, 2.0, 30.0]


@pytest.mark.parametrize("logit", LOGITS)
def test_the_continuous_bernoulli_is_torch_s_and_integrates_to_one(logit):
    ours = pixels.ContinuousBernoulli(torch.tensor([logit]).double())
    x = torch.rand(9, 1).double()
    if abs(logit) < 40:  # beyond, torch clamps its probability
        theirs = TorchContinuousBernoulli(logits=torch.tensor([logit]).double())
        torch.testing.assert_close(ours.log_density(x), theirs.log_prob(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.mean, theirs.mean, rtol=1e-3, atol=1e-4)
    assert integral(ours, 0.0, 1.0) == pytest.approx(1, abs=1e-3)
    x = grid(0.0, 1.0)
    density = ours.log_density(x).exp().squeeze(-1)
    mean = torch.trapezoid(density * x.squeeze(-1), x.squeeze(-1)).item()
    assert ours.mean.item() == pytest.approx(mean, abs=1e-4)
    if abs(logit) > 1:  # the mutant: the probability of a Bernoulli
        assert abs(torch.sigmoid(ours.logits).item() - mean) > 0.01


def test_its_gradients_are_finite_wherever_the_logit_is():
    for dtype in (torch.float32, torch.float64):
        logits = torch.tensor(LOGITS, dtype=dtype, requires_grad=True)
        q = pixels.ContinuousBernoulli(logits)
        for x in (0.0, 0.3, 1.0):
            value = q.log_density(torch.full_like(logits, x)).sum() + q.mean.sum()
            (g,) = torch.autograd.grad(value, logits)
            assert torch.isfinite(g).all()


@pytest.mark.parametrize("a", [0.5, 2.0, 10.0, 100.0])
def test_the_log_cosh_density_integrates_to_one_at_any_sharpness(a):
    m, s = torch.tensor([0.3]).double(), torch.tensor(0.2).double()
    assert integral(pixels.LogCosh(m, s, a), -20.0, 20.0) == pytest.approx(1, abs=1e-3)
    # In float32 far away, where e^(2·a·t) is infinite.
    far = pixels.LogCosh(m.float(), torch.tensor(0.01), a).log_density(torch.tensor([-0.9, 1.0]))
    assert torch.isfinite(far).all()


def test_the_log_cosh_is_a_gaussian_near_and_a_laplace_far():
    m, s = torch.zeros(1).double(), torch.tensor(1.0).double()
    sharp, blunt = pixels.LogCosh(m, s, 500.0), pixels.LogCosh(m, s, 0.01)
    x = torch.tensor([[0.5], [2.0]]).double()
    laplace = torch.distributions.Laplace(0.0, 1.0).log_prob(x)
    torch.testing.assert_close(sharp.log_density(x), laplace, rtol=0.01, atol=0.01)
    gaussian = Normal(0.0, 1 / 0.01**0.5).log_prob(x)
    torch.testing.assert_close(blunt.log_density(x), gaussian, rtol=0.01, atol=0.01)


def test_a_gaussian_is_torch_s():
    m, x = draws(3, D), draws(3, D, seed=2)
    q = pixels.Gaussian(m, torch.tensor(0.49).double())
    expected = Normal(m, 0.7).log_prob(x).sum(-1) - D * LOG_256
    torch.testing.assert_close(q.log_prob(x), expected)


@pytest.mark.parametrize("s", [0.001, 0.02, 0.5])
@pytest.mark.parametrize("m", [-0.2, 0.0, 0.4, 1.0])
def test_the_256_masses_sum_to_one(m, s):
    levels = torch.arange(256).double().unsqueeze(-1) / 255
    q = pixels.DiscretizedLogistic(torch.tensor([m]).double(), torch.tensor(s).double())
    masses = q.log_prob(levels).exp()
    assert masses.sum().item() == pytest.approx(1, abs=1e-9)
    # By the difference of distribution functions, the ends open.
    sigmoid = torch.sigmoid
    edges = (levels.squeeze(-1)[:-1] + 0.5 / 255 - m) / s
    below = torch.cat([torch.zeros(1).double(), sigmoid(edges), torch.ones(1).double()])
    torch.testing.assert_close(masses, below.diff(), atol=1e-9, rtol=1e-4)
    # The mutants: closed ends lose mass; a floor adds some.
    closed = sigmoid((levels + 0.5 / 255 - m) / s) - sigmoid((levels - 0.5 / 255 - m) / s)
    if not 0.1 < m < 0.9:
        assert closed.sum().item() < 0.99


def test_the_masses_stay_finite_and_have_gradients_far_from_the_mean():
    m = torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
    q = pixels.DiscretizedLogistic(m, torch.tensor(0.001))
    for x in (0.0, 0.5, 1.0):
        log_p = q.log_prob(torch.full((3,), round(x * 255) / 255))
        (g,) = torch.autograd.grad(log_p, m)
        assert torch.isfinite(log_p)
        assert torch.isfinite(g).all()


ALL = {
    "gaussian": lambda: pixels.Gaussian(torch.tensor([0.4, 0.6]), torch.tensor(0.01)),
    "continuous-bernoulli": lambda: pixels.ContinuousBernoulli(torch.tensor([-4.0, 0.003, 6.0])),
    "logcosh": lambda: pixels.LogCosh(torch.tensor([0.4, 0.6]), torch.tensor(0.05), 2.0),
    "logcosh, sharp": lambda: pixels.LogCosh(torch.tensor([0.5]), torch.tensor(0.05), 30.0),
    "logistic": lambda: pixels.DiscretizedLogistic(torch.tensor([0.4]), torch.tensor(0.05)),
}


@pytest.mark.parametrize("name", ALL)
def test_samples_are_of_the_density(name):
    """Mean and E log p of many, by the density on a grid."""
    q, n = ALL[name](), 60_000
    with seeded(1):
        x = q.sample((n,))
    assert x.min() >= 0
    assert x.max() <= 1
    assert ((x.mean(0) - q.mean).abs() < 5 * x.std(0) / n**0.5 + 2e-3).all()
    if name == "logistic":
        assert torch.equal(x, (x * 255).round() / 255)
        points = torch.arange(256).unsqueeze(-1) / 255
        p = q.log_prob(points).exp().unsqueeze(-1)
    else:
        points = grid(0.0, 1.0).float()
        p = q.log_density(points).exp() / 40_000
    second = (p * points.square()).sum(0)
    assert ((x.square().mean(0) - second).abs() < 0.01).all()


# Likelihoods


def test_the_optimal_variance_is_where_the_density_is_largest():
    part = likelihoods.GaussianPixels(D, "optimal").train()
    outputs, x = draws(7, D), torch.rand(7, D).double()
    m = torch.sigmoid(outputs)
    log_p = part(outputs).log_prob(x)
    v = (x - m).square().mean()
    assert part.v.item() == pytest.approx(v.item(), rel=1e-5)
    whole = -log_p.sum().item()
    n = 7 * D
    closed = n / 2 * math.log(2 * math.pi * math.e * v.item()) + n * LOG_256
    assert whole == pytest.approx(closed, rel=1e-6)  # no root of the mean, no other constant
    log_v = v.log().clone().requires_grad_()
    (slope,) = torch.autograd.grad(Normal(m, (log_v / 2).exp()).log_prob(x).sum(), log_v)
    assert abs(slope.item()) < 1e-6
    other = part(outputs)
    other.log_prob(x + 1)  # another minibatch: an average
    assert v.item() < part.v.item() < (x + 1 - m).square().mean().item()


def test_the_optimal_variance_stands_still_elsewhere_and_is_in_the_checkpoint():
    part = likelihoods.GaussianPixels(D, "optimal").train()
    part(draws(7, D)).log_prob(torch.rand(7, D).double())
    before = part.v.clone()
    with torch.no_grad():  # an evaluation in between
        part(draws(7, D)).log_prob(torch.rand(7, D).double() + 3)
    part.eval()(draws(7, D)).log_prob(torch.rand(7, D).double() + 3)
    assert torch.equal(part.v, before)
    assert set(part.state_dict()) == {"v", "steps"}


@pytest.mark.parametrize(
    "kind",
    [
        likelihoods.BernoulliPixels,
        likelihoods.GaussianPixels,
        likelihoods.ContinuousBernoulliPixels,
        likelihoods.LogCoshPixels,
        likelihoods.LogisticPixels,
    ],
)
def test_the_bias_draws_the_average_image(kind):
    part = kind(D).double()
    mean = torch.tensor([0.001, 0.2, 0.5, 0.7, 0.999]).double()
    torch.testing.assert_close(part(part.outputs_for(mean)).mean, mean, rtol=1e-5, atol=1e-6)


# Where they come from


def test_dequantized_pixels_lie_in_their_level_s_interval(digits):
    x = digits.train_x[:9]
    found = dequantize(x, seeded_generator(0))
    assert torch.equal((found * 256).floor().to(torch.uint8), x)
    inside = (found * 256) % 1
    assert abs(inside.mean() - 0.5) < 5 * inside.std() / inside.numel() ** 0.5
    assert found.max() < 1
    of_grey = dequantize(x.double() / 255, seeded_generator(0))
    assert torch.equal((of_grey * 256).floor().to(torch.uint8), x)
    assert torch.equal(as_pixels(x, "dequantized", seeded_generator(0)), found)


def test_test_images_are_drawn_once(digits):
    one, other = (subsets.test_images(digits, "dequantized") for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal((one * 256).floor().to(torch.uint8), digits.test_x)
    x, _ = subsets.test_subset(digits, "dequantized")
    assert x.shape == (100, 784)
    assert torch.equal(x, subsets.test_subset(digits, "dequantized")[0])


def test_a_level_s_mass_is_bounded_by_its_density():
    """log ∫ over the interval ≥ E_u log density − log 256, the nearer the finer the density is."""
    q = pixels.Gaussian(torch.tensor([0.3]).double(), torch.tensor(0.04).double())
    for k in (0, 60, 200):
        u = grid(k / 256, (k + 1) / 256, 2_001)
        mass = torch.trapezoid(q.log_density(u).exp().squeeze(-1), u.squeeze(-1)).log().item()
        bound = (q.log_prob(u)).mean().item()
        assert bound <= mass + 1e-9
        assert bound == pytest.approx(mass, abs=1e-3)


@pytest.mark.slow
def test_grey_runs_say_what_their_numbers_are_in(here, capsys):
    flags = ["--dataset", "digits", "--threads", "1", "--iter_max", "3", "--z", "3"]
    for name in ("gaussian", "logistic"):
        command.named([name, *flags])
        out = capsys.readouterr().out
        assert "nats per image of 256 grey levels" in out
        (folder,) = Path("checkpoints").glob(f"model={name}_*")
        record = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        assert record["unit"] == "nats per image of 256 grey levels"
        assert 1_000 < record["numbers"]["test"]["nelbo"]["value"] < 2 * 784 * LOG_256


def test_a_grey_run_diverges_later():
    assert diverged(5_000, 784)
    assert not diverged(5_000, 784, 256)
    assert diverged(9_000, 784, 256)
