"""Diffusion, on pixels and on codes, against grids, Gaussian data and torch.distributions."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from oracles import binary, estimate, gaussian, normal, within
from torch import nn
from torch.distributions import Normal, kl_divergence
from tqdm import tqdm

from codebase.data.batches import Batches, seeded_generator
from codebase.engine.randomness import seeded
from codebase.engine.session import Session
from codebase.models import noising
from codebase.models.diffusion import Diffusion
from codebase.models.latent_diffusion import LatentDiffusion
from codebase.models.nns.denoisers import TimedMLP, UNet
from codebase.models.noising import FEATURES, Denoiser, Process
from codebase.tasks import diffusion as task
from codebase.train import loop

quiet = partial(tqdm, disable=True)
B, N, T = 5, 3, 7
WAYS = pytest.mark.parametrize("wide", [False, True])
SCHEDULES = pytest.mark.parametrize("schedule", ["logsnr", "linear"])


class Told(nn.Module):
    """A network that is a formula."""

    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, x, time):
        return self.f(x)


def process(times=T, **options):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return Process(times, **options)
    finally:
        torch.set_default_dtype(before)


def denoiser(f=torch.zeros_like, bits=False, **options):
    return Denoiser(Told(f), process(**options), bits)


def at(t, n=B):
    return torch.full((n,), t)


# The process


@SCHEDULES
def test_the_signal_falls_and_noise_takes_its_place(schedule):
    own = process(50, schedule=schedule)
    torch.testing.assert_close(own.signal**2 + own.noise**2, torch.ones(51).double())
    assert own.signal[0] == 1
    assert own.noise[0] == 0
    assert (own.signal.diff() < 0).all()
    assert own.signal[-1] < 0.02


def test_the_linear_schedule_is_a_product():
    beta = torch.linspace(1e-4, 0.02, 1_000).double()
    torch.testing.assert_close(
        process(1_000, schedule="linear").signal[1:] ** 2, (1 - beta).cumprod(0)
    )


def on_a_grid(own, x0, xt, t):
    """Mean and variance of q(x_{t−1}|x_t, x₀) ∝ q(x_t|x_{t−1}) q(x_{t−1}|x₀), numbers."""
    grid = torch.linspace(-15, 15, 60_001, dtype=torch.float64)
    alpha = (own.signal[t] / own.signal[t - 1]) ** 2
    log_p = Normal(grid * alpha.sqrt(), (1 - alpha).sqrt()).log_prob(
        torch.tensor(xt, dtype=torch.float64)
    )
    log_p = log_p + Normal(own.signal[t - 1] * x0, own.noise[t - 1]).log_prob(grid)
    p = log_p.softmax(0)
    mean = (p * grid).sum()
    return mean.item(), (p * (grid - mean) ** 2).sum().item()


def posterior(own, x0, xt, t):
    x0, xt = (torch.tensor([[v]], dtype=torch.float64) for v in (x0, xt))
    return [found.item() for found in own.posterior(x0, xt, at(t, 1))]


CASES = [(0.7, -0.4, 2), (-1.0, 1.3, 4), (1.0, 0.2, T)]


@pytest.mark.parametrize("case", CASES)
def test_the_way_back_is_what_a_grid_says(case):
    own = process()
    assert posterior(own, *case) == pytest.approx(on_a_grid(own, *case), abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_a_schedule_that_is_off_by_one_is_not(case, monkeypatch):
    """ᾱ_t where ᾱ_{t−1} belongs, or without ᾱ₀ = 1."""
    right, variances = process(), noising._variances

    def shifted(*options):
        return [torch.cat([t[1:], t[-1:] * 0.9]) for t in variances(*options)]

    monkeypatch.setattr(noising, "_variances", shifted)
    found = posterior(process(), *case)
    assert max(abs(a - b) for a, b in zip(found, on_a_grid(right, *case), strict=True)) > 1e-3


def test_at_the_first_step_back_all_is_said_by_the_image():
    assert posterior(process(), 0.7, -0.4, 1) == pytest.approx((0.7, 0), abs=1e-12)


def test_the_end_s_kl_is_torch_s():
    own, x0 = process(), gaussian(B, N)
    q = Normal(own.signal[-1] * x0, own.noise[-1].expand_as(x0))
    expected = kl_divergence(q, Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(own.prior_kl(x0), expected, rtol=1e-8, atol=0)


@WAYS
def test_the_terms_are_torch_s_divergences(wide, monkeypatch):
    """KL_t of the two Gaussians, whose variances may differ."""
    model = denoiser(lambda x: 0.3 * x.cos(), wide=wide)
    x0, noise = gaussian(B, N), gaussian(B, N, seed=1)
    monkeypatch.setattr(torch, "randn_like", lambda t: noise)
    own = model.process
    for t in range(2, T + 1):
        xt = own.noised(x0, at(t), noise)
        guess, _ = model.guess(xt, at(t))
        (m, v), (p, _) = own.posterior(x0, xt, at(t)), own.posterior(guess, xt, at(t))
        beta = 1 - (own.signal[t] / own.signal[t - 1]) ** 2
        s2 = beta if wide else v
        expected = kl_divergence(Normal(m, v.sqrt()), Normal(p, s2.sqrt())).sum(-1)
        error, term = model.term(x0, at(t))
        torch.testing.assert_close(term, expected, rtol=1e-8, atol=1e-12)
        thought = (xt - own.signal[t] * guess) / own.noise[t]
        torch.testing.assert_close(error, (noise - thought).square().sum(-1))
        if not wide:  # Ho et al.'s weight, β²/(2σ²α(1 − ᾱ))
            weight = beta**2 / (2 * v[0] * (1 - beta) * own.noise[t] ** 2)
            torch.testing.assert_close(weight * error, term)


def test_times_are_drawn_evenly():
    own = process()
    with seeded(0):
        found = torch.stack([torch.stack(own.evenly(B, 3)) for _ in range(4_000)])
    assert (found.min(), found.max()) == (1, T)
    for k in range(3):
        part = found[:, k]
        assert part.min() == k * T // 3 + 1
        assert part.max() == math.ceil((k + 1) * T / 3)
    share = (found[:, 0, 0] == 1).double()  # 1 of 7/3
    assert within(share.mean(), share.std() / 4_000**0.5, 3 / 7)


def test_some_times_of_every_stratum_give_what_all_do():
    model, x0 = denoiser(lambda x: 0.5 * x.sin()), gaussian(1, N).expand(4_000, N)
    with seeded(0):
        every, some = (sum(model.terms(x0, strata).values()) for strata in (None, 3))
    difference = every.mean() - some.mean()
    assert abs(difference) < 5 * ((every.var() + some.var()) / 4_000).sqrt()


# Gaussian data, whose best answer is known


def test_the_noise_of_standard_data_is_a_part_of_what_one_sees():
    """E[ε|x_t] = √(1 − ᾱ_t) x_t, of which ᾱ_t of a dimension's squared error is left."""
    model, n = denoiser(), 50_000
    x0, noise = gaussian(n, 2), gaussian(n, 2, seed=1)
    for t in (1, 3, T):
        xt = model.process.noised(x0, at(t, n), noise)
        slope = (xt * noise).sum() / xt.square().sum()  # of least squares
        best = model.process.noise[t]
        assert slope.item() == pytest.approx(best.item(), abs=0.02)
        guess, _ = model.guess(xt, at(t, n))
        torch.testing.assert_close(model.noise(xt, at(t, n), guess), best * xt)
        with seeded(t):
            error, _ = model.term(x0, at(t, n))
        left = 2 * model.process.signal[t] ** 2
        assert within(error.mean(), error.std() / n**0.5, left)


def bound_of(model, x0, draws=4_000):
    """Mean and standard error of the bound of one x₀ (N,)."""
    with seeded(0):
        found = sum(model.terms(x0.expand(draws, -1)).values())
    return found.mean(), found.std() / draws**0.5


@SCHEDULES
def test_the_bound_of_standard_data_is_tight_for_each(schedule):
    model = denoiser(wide=True, schedule=schedule, times=30)
    for seed in range(3):
        x0 = gaussian(N, seed=seed)
        expected = -normal(torch.zeros(N).double(), torch.ones(N).double()).log_prob(x0)
        assert within(*bound_of(model, x0), expected)


def test_that_of_other_variances_is_not():
    """σ_t² of a known x₀ costs nats where it is not."""
    x0 = gaussian(N)
    expected = -normal(torch.zeros(N).double(), torch.ones(N).double()).log_prob(x0)
    mean, se = bound_of(denoiser(wide=False), x0)
    assert mean - expected > 5 * se


@pytest.mark.parametrize("table", ["weight", "of_x0", "surplus", "signal"])
def test_a_table_that_is_off_by_one_breaks_it(table):
    model = denoiser(wide=True, times=30)
    x0 = gaussian(N)
    right, draws = bound_of(model, x0)[0], 20_000
    if table == "of_x0":  # as what the weights are made of
        model.process.weight = model.process.of_x0.roll(-1) ** 2 / (2 * model.process.sigma2)
        model.process.weight[0] = 0
    else:
        setattr(model.process, table, getattr(model.process, table).roll(-1))
    wrong, se = bound_of(model, x0, draws)
    assert abs(wrong - right) > 5 * se


def test_the_short_way_turns_standard_noise_by_known_angles():
    """x_s = x_t cos(θ_t − θ_s), where tan θ = noise over signal."""
    model = denoiser(times=12)
    angle = torch.atan2(model.process.noise, model.process.signal)
    stops = [12, 8, 4, 0]
    expected = math.prod(math.cos(angle[a] - angle[b]) for a, b in pairwise(stops))
    with seeded(3):
        noise = torch.randn(6, 2, dtype=torch.float64)
    with seeded(3):
        found = model.sample(6, 2, ddim=3)
    torch.testing.assert_close(found, expected * noise)


def test_samples_of_standard_data_are_standard():
    with seeded(1):
        found = denoiser(wide=True, times=20).sample(40_000, 2)
    assert within(found.mean(0), found.std(0) / 200, 0)
    assert within(found.square().mean(0), found.square().std(0) / 200, 1)


# Bits


def quadrature(model):
    """p(x₀ = 1) of one bit: the density carried from t = T to 1 on a grid."""
    grid = torch.linspace(-6, 6, 2_001, dtype=torch.float64)
    p = Normal(0.0, 1.0).log_prob(grid).softmax(0)
    n, own = len(grid), model.process
    for t in range(own.times, 1, -1):
        guess, _ = model.guess(grid[:, None], at(t, n))
        mean, _ = own.posterior(guess, grid[:, None], at(t, n))
        p = p @ Normal(mean, own.sigma2[t].sqrt()).log_prob(grid).softmax(-1)
    _, odds = model.guess(grid[:, None], at(1, n))
    return (p @ torch.sigmoid(odds[:, 0])).item()


def bit(value):
    return torch.tensor([float(value)], dtype=torch.float64)


@pytest.mark.parametrize("f", [torch.zeros_like, lambda x: 0.4 - 0.2 * x.sin()])
def test_the_bound_of_a_bit_is_above_its_cost_and_samples_have_its_share(f):
    model = denoiser(f, bits=True, times=6)
    p = quadrature(model)
    for value, share in ((1, p), (-1, 1 - p)):
        mean, se = bound_of(model, bit(value))
        assert mean > -math.log(share) - 5 * se
    with seeded(2):
        drawn = model.sample(20_000, 1)
    assert set(drawn.unique().tolist()) == {0, 1}
    assert within(drawn.mean(), math.sqrt(p * (1 - p) / 20_000), p)


def test_with_more_steps_the_bound_of_a_known_coin_comes_near():
    """f = half the log odds is the best there is; the bound's mean goes to the entropy."""
    p = 0.8
    half = math.log(p / (1 - p)) / 2
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    gaps = []
    for times in (5, 20, 80):
        model = denoiser(lambda x: torch.full_like(x, half), bits=True, times=times)
        on, off = bound_of(model, bit(1), 20_000), bound_of(model, bit(-1), 20_000)
        gaps.append((p * on[0] + (1 - p) * off[0] - entropy).item())
    assert gaps[0] > gaps[1] > gaps[2] > -0.01
    assert gaps[2] < 0.05


def test_the_last_step_is_a_distribution_over_bits():
    model, x1 = denoiser(lambda x: 3 * x, bits=True), gaussian(B, 1)
    _, told = model.guess(x1, at(1))
    both = [model.log_prob_last(bit(value), told).exp() for value in (1, -1)]
    torch.testing.assert_close(sum(both), torch.ones(B).double())


# The model of pixels


def small(**options):
    torch.manual_seed(0)
    return Diffusion(x_dim=16, times=8, hidden=10, layers=2, channels=4, **options).double()


def test_an_untrained_model_says_that_pixels_are_coins():
    """−1 and 1, each as likely: D log 2 and what the steps cost. Pixels of 0 and 1 would not."""
    torch.manual_seed(0)
    model = Diffusion(x_dim=16, times=200, hidden=4).double()
    with seeded(1):
        parts = model.bound_terms(binary(200, 16).double())
    total = sum(parts.values())
    assert total.mean().item() == pytest.approx(16 * math.log(2), rel=0.04)
    model._scaled = lambda x: x
    with seeded(1):
        assert sum(model.bound_terms(binary(200, 16).double()).values()).mean() > 20


@pytest.mark.parametrize(("net", "objective"), [("mlp", "simple"), ("unet", "bound")])
def test_what_is_logged_is_the_bound_and_the_loss_what_was_asked_for(net, objective):
    model, x = small(net=net, objective=objective), binary(4, 16).double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    with seeded(0):
        logged, se = estimate(lambda: model.loss(x)[1]["gen/elbo"], 400)
        bound, se_too = estimate(lambda: sum(model.bound_terms(x).values()).mean(), 100)
    assert within(logged, (se**2 + se_too**2).sqrt(), -bound)
    with seeded(0):
        loss, summaries = model.loss(x)
    assert (loss.item() == -summaries["gen/elbo"].item()) == (objective == "bound")


def test_the_simple_loss_is_summed_over_pixels_and_averaged_over_images():
    model, x = small(), binary(4, 16).double()
    with seeded(0):
        (t,) = model.denoiser.process.evenly(4)
        error, _ = model.denoiser.term(2 * x - 1, t)
    with seeded(0):
        assert model.loss(x)[0].item() == pytest.approx(error.mean().item())
    assert error.shape == (4,)


# Networks


@pytest.mark.parametrize(
    "make", [lambda: TimedMLP(64, FEATURES, 5, 3), lambda: UNet(8, FEATURES, 4)]
)
def test_networks_begin_at_zero_and_then_hear_the_time(make):
    torch.manual_seed(0)
    net, x, features = make(), torch.randn(3, 64), Process(200).features
    assert (net(x, features[:3]) == 0).all()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn_like(p))
    found = net(x, features[5].expand(3, -1))
    assert found.shape == (3, 64)
    assert not torch.allclose(found, net(x, features[6].expand(3, -1)), atol=1e-4)
    found.square().sum().backward()
    assert all((p.grad != 0).any() for p in net.parameters())


def test_times_are_told_apart():
    """Not sines of t/T, which would hardly move."""
    features = Process(200).features
    assert (features.diff(dim=0).norm(dim=1) > 1).all()
    assert features.abs().max() <= 1


# Latent diffusion


def latent(**options):
    torch.manual_seed(0)
    return LatentDiffusion(z_dim=N, times=12, hidden=8, layers=2, **options)


def set_apart(model):
    model.centre.copy_(torch.tensor([0.5, -1.0, 0.2]))
    model.spread.copy_(torch.tensor([0.7, 2.0, 4.0]))


def kl_error(model):
    """Of each image, the mean of the bound of KL(q(z|x) ‖ p(z)) minus that to N(a, s²); in s.e."""
    x, draws = binary(4, 784), 2_000
    with seeded(1):
        found = model.bound_terms(x.repeat(draws, 1))["kl"].view(draws, 4).double()
        q = model._coded(x)[0]
    prior = Normal(model.centre, model.spread.sqrt())
    expected = kl_divergence(Normal(q.m, q.v.sqrt()), prior).sum(-1)
    return (found.mean(0) - expected) / (found.std(0) / draws**0.5)


def test_an_untrained_diffusion_is_the_normal_prior_of_the_scaled_codes():
    model = latent()
    assert (kl_error(model).abs() < 5).all()
    set_apart(model)
    assert (kl_error(model).abs() < 5).all()


@pytest.mark.parametrize("mutant", ["volume", "sign", "entropy", "unscaled"])
def test_a_bound_without_one_of_its_parts_is_another(mutant, monkeypatch):
    model = latent()
    set_apart(model)
    if mutant == "volume":
        model._volume = lambda: torch.zeros(())
    elif mutant == "sign":
        model._volume = lambda: -0.5 * model.spread.log().sum()
    elif mutant == "entropy":
        from codebase.models import latent_diffusion

        monkeypatch.setattr(latent_diffusion, "_entropy", lambda q: 0)
    else:
        model._scaled = lambda z: z
    assert (kl_error(model).abs() > 5).any()


def test_the_bound_is_kl_and_rec_and_beside_it_the_vae_s_own():
    model, x = latent(), binary(4, 784)
    with seeded(1):
        parts = model.bound_terms(x)
    with seeded(1):
        of_images = task.terms(model, x, None)
    assert torch.equal(of_images["nelbo"], of_images["kl"] + of_images["rec"])
    assert list(of_images) == ["nelbo", "kl", "rec", "nelbo, normal prior", "gain"]
    q = model._coded(x)[0]
    expected = kl_divergence(Normal(q.m, q.v.sqrt()), Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(parts["kl, normal prior"], expected)
    torch.testing.assert_close(
        of_images["gain"], of_images["nelbo, normal prior"] - of_images["nelbo"]
    )


def test_the_diffusion_tells_the_encoder_nothing():
    model, x = latent(), binary(6, 784)
    with torch.no_grad():
        for p in model.denoiser.parameters():
            p.add_(0.3 * torch.randn_like(p))

    def gradients(of):
        model.zero_grad()
        torch.manual_seed(2)
        of().backward()
        return [p.grad.clone() for p in [*model.enc.parameters(), *model.dec.parameters()]]

    def vae():
        _, _, kl, rec = model._coded(x)
        return (kl + rec).mean()

    for found, expected in zip(gradients(lambda: model.loss(x)[0]), gradients(vae), strict=True):
        torch.testing.assert_close(found, expected)


def test_the_vae_stands_still_once_it_is_trained(digits, here):
    model = latent(vae_steps=3)
    loader = Batches(digits.train_x[:60], digits.train_y[:60], 20, seeded_generator(0))
    own = Session(model, loader, None, "cpu", None, "none")

    def state():
        return {key: t.clone() for key, t in model.state_dict().items()}

    states = [state()]
    for step in (3, 4, 9):
        loop(own, quiet, step)
        states.append(state())
    for key in states[0]:
        moved = [not torch.equal(a[key], b[key]) for a, b in pairwise(states)]
        assert moved[0] or "denoiser" in key, key
        assert moved[1] == moved[2] == ("denoiser" in key), key


def test_codes_are_scaled_by_how_they_lie():
    model = latent()
    m, v = torch.tensor([1.0, -2.0, 0.0]), torch.tensor([0.5, 1.0, 4.0])
    with seeded(0):
        for _ in range(2_000):
            model._follow(m + v.sqrt() * torch.randn(50, N))
    torch.testing.assert_close(model.centre, m, atol=0.1, rtol=0)
    torch.testing.assert_close(model.spread, v, atol=0, rtol=0.1)


def test_codes_are_drawn_at_their_scale():
    model = latent()
    set_apart(model)
    with seeded(0):
        z = model.sample_z(20_000).double()
    assert within(z.mean(0), z.std(0) / 20_000**0.5, model.centre)
    off = (z - model.centre).square()
    assert within(off.mean(0), off.std(0) / 20_000**0.5, model.spread)


# The task


def test_the_bounds_of_a_set_are_those_of_its_parts(monkeypatch):
    model, x = small(), binary(7, 16).double()
    found = task.terms(model, x, None)
    assert torch.equal(found["nelbo"], found["end"] + found["steps"] + found["last"])
    assert all(values.shape == (7,) for values in found.values())
    monkeypatch.setattr(task, "CHUNK", 3)
    parts = task.terms(model, x, None, "bounds")
    assert torch.equal(parts["end"], found["end"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Diffusion(net="cnn"), "net is mlp or unet"),
        (lambda: Diffusion(objective="vlb"), "objective simple or bound"),
        (lambda: Diffusion(times=1), "times must be at least 2"),
        (lambda: Diffusion(noising="cosine"), "schedule is logsnr or linear"),
        (lambda: Diffusion(noising="linear", times=20), "needs more than 20 times"),
        (lambda: Diffusion(net="unet", x_dim=36), "its side, 6, is no multiple of 4"),
        (lambda: Diffusion(hidden=0), "hidden must be at least 1"),
        (lambda: LatentDiffusion(z_dim=0), "z_dim must be at least 1"),
        (lambda: LatentDiffusion(vae_steps=0), "vae_steps must be at least 1"),
        (lambda: small().sample_x(0), "batch must be at least 1"),
        (lambda: small().sample_x(2, ddim=9), "ddim must be from 1 to 8"),
        (lambda: small().loss(torch.zeros(2, 9)), "x must have shape"),
    ],
)
def test_mistakes_are_said_in_a_sentence(make, words):
    with pytest.raises(ValueError, match=words) as refused:
        make()
    assert "\n" not in str(refused.value)
