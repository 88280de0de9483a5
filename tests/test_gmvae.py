"""The GMVAE: what its mixture prior changes in the bounds, the samplers and the checkpoint."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from oracles import (
    IMAGES,
    Net,
    binary,
    decode,
    default_mlp,
    estimate,
    exact_elbo,
    exact_reconstruction,
    gaussian,
    log_bernoulli,
    log_evidence,
    mixture,
    mlp_shapes,
    normal,
    numbers,
    posterior,
    seeded,
    shapes_of,
    textbook_elbo,
    textbook_iwae,
    within,
)
from torch.distributions import kl_divergence
from torch.testing import assert_close

from codebase.models import base
from codebase.models.gmvae import GMVAE
from codebase.models.vae import VAE

X = binary(3, 784)
UNIT = math.log(math.e - 1)  # softplus(UNIT) = 1


def parameters(model):
    """Means and variances (1, K, Z) of the prior, from z_pre by hand."""
    m, h = model.z_pre.chunk(2, dim=1)
    return m, F.softplus(h) + 1e-8


def prior(model):
    return mixture(*parameters(model)).log_prob


@pytest.fixture
def model():
    model = seeded(0, GMVAE, "v1", 3, 7, "gmvae")
    model.z_pre.data = gaussian(1, 14, 3, dtype=torch.float32, scale=1.5)
    return model


@pytest.fixture
def toy():
    """One latent dimension, three components, four pixels, in float64: it can be integrated."""
    model = GMVAE(z_dim=1, k=3).double()
    model.z_pre.data = torch.tensor([-2.0, 0.5, 3.0, -1.0, 0.0, 0.5]).double().reshape(1, 6, 1)
    model.enc, model.dec = Net(posterior), Net(decode)
    return model


# --- the evidence lower bound ---------------------------------------------------------------


def test_the_bound_is_the_sum_of_its_terms(model):
    nelbo, kl, rec = model.negative_elbo_bound(X)
    assert nelbo.shape == kl.shape == rec.shape == ()
    assert_close(nelbo, kl + rec)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kl_and_reconstruction_share_one_sample(model, dtype):
    model.to(dtype)
    model.dec.net[0].weight.data *= 10
    x = X.to(dtype)
    _, kl, rec = seeded(2, model.negative_elbo_bound, x)
    assert_close((kl, rec), seeded(2, textbook_elbo, model, prior(model), x))


def test_the_bound_draws_one_normal_per_latent_and_nothing_else(model):
    seeded(5, model.negative_elbo_bound, X)
    state = torch.get_rng_state()
    seeded(5, torch.randn, 3, 3)
    assert torch.equal(state, torch.get_rng_state())


def test_the_bound_is_unbiased(toy):
    x = IMAGES.repeat(300, 1)
    mean, se = estimate(lambda: torch.stack(toy.negative_elbo_bound(x)), 100)
    q = normal(*posterior(IMAGES))
    elbo = exact_elbo(q, prior(toy), decode, IMAGES).mean()
    rec = -exact_reconstruction(q, decode, IMAGES).mean()
    assert within(mean, se, torch.stack([-elbo, -elbo - rec, rec]).detach())
    assert 5 * se.max() < 0.05


def test_the_bound_lies_below_the_evidence(toy):
    evidence = log_evidence(prior(toy), decode, IMAGES)
    for x, log_p in zip(IMAGES, evidence, strict=True):
        mean, se = estimate(lambda x=x: toy.negative_elbo_bound(x.expand(1000, 4))[0], 20)
        assert -mean + 5 * se < log_p


def test_one_component_gives_the_closed_form_kl_on_average(toy):
    toy.z_pre.data = torch.tensor([0.0, 0, 0, UNIT, UNIT, UNIT]).double().reshape(1, 6, 1)
    mean, se = estimate(lambda: toy.negative_elbo_bound(IMAGES.repeat(300, 1))[1], 100)
    q = normal(*posterior(IMAGES))
    expected = kl_divergence(q, normal(torch.zeros(1), torch.ones(1))).mean()
    assert within(mean, se, expected)
    assert 5 * se < 0.05


@pytest.mark.parametrize("iw", [1, 2, 30])
def test_every_bound_is_exact_when_the_decoder_ignores_z_and_q_is_p(toy, iw):
    logits = gaussian(784, scale=2)
    toy.z_pre.data = torch.tensor([0.7, 0.7, 0.7, -1, -1, -1]).double().reshape(1, 6, 1)
    v = F.softplus(torch.tensor(-1.0, dtype=torch.float64)) + 1e-8
    toy.enc = Net(lambda x: (x.new_full((len(x), 1), 0.7), v.expand(len(x), 1)))
    toy.dec = Net(lambda z: 0 * z[..., :1] + logits)
    evidence = log_bernoulli(X.double(), logits).mean()
    assert_close(-toy.negative_elbo_bound(X.double())[0].detach(), evidence)
    assert_close(-toy.negative_iwae_bound(X.double(), iw)[0].detach(), evidence)


def test_kl_and_reconstruction_are_summed_over_dimensions_and_pixels():
    model = GMVAE(z_dim=8, k=2)
    model.z_pre.data = torch.tensor([0.0, 0, UNIT, UNIT]).reshape(1, 4, 1).repeat(1, 1, 8)
    model.enc = Net(lambda x: (torch.ones(len(x), 8), torch.full((len(x), 8), 1e-4)))
    model.dec = Net(lambda z: torch.zeros(*z.shape[:-1], 784))
    _, kl, rec = model.negative_elbo_bound(X.repeat(2000, 1))
    expected = kl_divergence(
        normal(torch.ones(8), torch.full((8,), 1e-4)), normal(torch.zeros(8), torch.ones(8))
    )
    assert_close(kl, expected, rtol=0, atol=5 * math.sqrt(8 / 2 / 6000))
    assert_close(rec, torch.tensor(784 * math.log(2)))


def test_the_bound_of_a_batch_is_the_mean_of_its_images(model, monkeypatch):
    """Of the same noise for all, kl's too."""
    monkeypatch.setattr(torch, "randn_like", lambda t: torch.full_like(t, 0.7))
    batch = torch.stack(model.negative_elbo_bound(X))
    alone = torch.stack([torch.stack(model.negative_elbo_bound(x[None])) for x in X])
    assert_close(batch, alone.mean(0))
    assert alone.std(0).min() > 1e-3


def test_prior_and_nets_get_the_gradients_of_the_formula(model):
    model, x = model.double(), X.double()
    parameters = [model.z_pre, *model.enc.parameters(), *model.dec.parameters()]
    got = torch.autograd.grad(seeded(3, model.negative_elbo_bound, x)[0], parameters)
    expected = torch.autograd.grad(
        sum(seeded(3, textbook_elbo, model, prior(model), x)), parameters
    )
    assert expected[0].abs().min() > 0
    assert_close(got, expected)


# --- the importance-weighted bound ----------------------------------------------------------


def test_one_importance_sample_is_the_elbo_itself(model):
    elbo = seeded(4, model.negative_elbo_bound, X)
    assert_close(seeded(4, model.negative_iwae_bound, X, 1), elbo)


@pytest.mark.parametrize("iw", [1, 2, 10])
def test_the_iwae_bound_is_the_textbook_one_under_the_same_seed(model, iw):
    got = seeded(4, model.negative_iwae_bound, X, iw)
    assert_close(got, seeded(4, textbook_iwae, model, prior(model), X, iw))


@pytest.mark.parametrize("chunk", [1, 2, 7, 64])
def test_working_in_chunks_changes_nothing(model, monkeypatch, chunk):
    monkeypatch.setattr(base, "CHUNK", chunk)
    got = seeded(4, model.negative_iwae_bound, X, 33)
    assert_close(got, seeded(4, textbook_iwae, model, prior(model), X, 33))


def test_more_copies_than_a_chunk_are_still_the_textbook_bound(toy):
    iw = 2 * base.CHUNK + 3
    got = seeded(4, toy.negative_iwae_bound, IMAGES, iw)
    assert_close(got, seeded(4, textbook_iwae, toy, prior(toy), IMAGES, iw))


def test_the_iwae_bound_tightens_with_more_samples(toy):
    x = IMAGES.repeat(100, 1)
    bounds = [estimate(lambda iw=iw: toy.negative_iwae_bound(x, iw)[0], 30) for iw in (1, 3, 9, 27)]
    for (loose, loose_se), (tight, tight_se) in pairwise(bounds):
        assert tight <= loose + 5 * (loose_se**2 + tight_se**2).sqrt()
    (first, first_se), (last, last_se) = bounds[0], bounds[-1]
    assert last < first - 5 * (first_se**2 + last_se**2).sqrt()


def test_the_iwae_bound_converges_to_the_evidence(toy):
    mean, se = estimate(lambda: toy.negative_iwae_bound(IMAGES, 5000)[0], 30)
    elbo = exact_elbo(normal(*posterior(IMAGES)), prior(toy), decode, IMAGES).mean()
    evidence = log_evidence(prior(toy), decode, IMAGES).mean()
    assert within(mean, se, -evidence)
    assert elbo + 10 * se < evidence, "the evidence is told apart from the ELBO"


def test_the_best_sample_dominates_and_not_the_worst(model):
    niwae, kl, rec = model.negative_iwae_bound(X, 50)
    assert niwae < kl + rec - 0.1


def test_the_gradient_of_the_iwae_bound_is_that_of_the_textbook(model):
    model, x = model.double(), X.double()
    parameters = [model.z_pre, *model.enc.parameters(), *model.dec.parameters()]
    got = torch.autograd.grad(seeded(6, model.negative_iwae_bound, x, 5)[0], parameters)
    expected = seeded(6, textbook_iwae, model, prior(model), x, 5)[0]
    assert_close(got, torch.autograd.grad(expected, parameters))


@pytest.mark.parametrize("iw", [0, -1])
def test_fewer_than_one_importance_sample_is_refused(model, iw):
    with pytest.raises(ValueError, match="iw"):
        model.negative_iwae_bound(X, iw)


# --- the loss -------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_the_loss_weighs_the_kl_and_the_summaries_are_of_the_bound(beta):
    model = seeded(0, GMVAE, z_dim=3, k=7, beta=beta)
    loss, summaries = seeded(7, model.loss, X)
    nelbo, kl, rec = seeded(7, model.negative_elbo_bound, X)
    assert_close(loss, rec + beta * kl)
    expected = {"train/loss": loss, "gen/elbo": -nelbo, "gen/kl_z": kl, "gen/rec": rec}
    assert numbers(summaries) == pytest.approx(numbers(expected))


# --- sampling -------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 6])
def test_as_many_samples_come_as_were_asked_for(model, batch):
    assert model.sample_z(batch).shape == (batch, 3)
    assert model.sample_x(batch).shape == (batch, 784)
    assert model.sample_sigmoid(batch).shape == (batch, 784)


def test_latents_have_the_moments_of_the_mixture(model):
    n = 50_000
    m, v = (p[0].detach() for p in parameters(model))
    mean = m.mean(0)
    variance = (v + m**2).mean(0) - mean**2
    z = seeded(0, model.sample_z, n).detach()
    squares = (z - mean) ** 2
    assert within(z.mean(0), (variance / n).sqrt(), mean)
    assert within(squares.mean(0), squares.std(0) / math.sqrt(n), variance)


def test_components_are_equally_likely_and_v_is_their_variance():
    n, k = 40_000, 4
    model = GMVAE(z_dim=2, k=k)
    m = torch.tensor([[-300.0, 0], [-100, 0], [100, 0], [300, 0]])
    h = torch.tensor([[-3.0, 0], [0, 20], [20, 3], [60, -3]])
    model.z_pre.data = torch.cat([m, h])[None]
    v = F.softplus(h)
    z = seeded(0, model.sample_z, n).detach()
    nearest = (z[:, :1] - m[:, 0]).abs().argmin(1)
    for i in range(k):
        own = z[nearest == i]
        assert abs(len(own) - n / k) <= 5 * math.sqrt(n / k * (1 - 1 / k))
        assert within(own.mean(0), (v[i] / len(own)).sqrt(), m[i])
        assert within(own.var(0), v[i] * math.sqrt(2 / len(own)), v[i])


def test_all_coordinates_of_a_latent_come_from_one_component():
    model = GMVAE(z_dim=2, k=2)
    model.z_pre.data = torch.tensor([[[-50.0, -50], [50, 50], [0, 0], [0, 0]]])
    z = seeded(0, model.sample_z, 1000)
    assert (z[:, 0].sign() == z[:, 1].sign()).all()


def test_consecutive_latents_come_from_unrelated_components():
    n, model = 10_000, GMVAE(z_dim=1, k=2)
    model.z_pre.data = torch.tensor([-50.0, 50, 0, 0]).reshape(1, 4, 1)
    sign = seeded(0, model.sample_z, n).sign().flatten()
    assert (sign[1:] * sign[:-1]).mean().abs() <= 5 / math.sqrt(n)


def test_sampled_pixels_are_binary(model):
    assert set(seeded(0, model.sample_x, 5).unique().tolist()) == {0, 1}


# --- construction and checkpoints -----------------------------------------------------------


def test_building_draws_the_default_layers_and_then_the_prior():
    model = seeded(0, GMVAE, "v1", 5, 6, "gmvae")
    state = torch.get_rng_state()
    torch.manual_seed(0)
    enc = default_mlp(784, 300, 300, 10)
    dec = default_mlp(5, 300, 300, 784)
    z_pre = torch.randn(1, 12, 5) / math.sqrt(6 * 5)
    assert torch.equal(state, torch.get_rng_state())
    assert_close([*model.enc.parameters()], enc, rtol=0, atol=0)
    assert_close([*model.dec.parameters()], dec, rtol=0, atol=0)
    assert_close(model.z_pre.detach(), z_pre)


def test_the_constructor_has_the_defaults_of_the_starter_code():
    model = GMVAE()
    assert model.name == "gmvae"
    assert model.z_pre.shape == (1, 1000, 2)
    assert GMVAE("v1", 4, 5, "other").name == "other"


@pytest.mark.parametrize("options", [{"z_dim": 0}, {"k": 0}, {"beta": -1}])
def test_a_model_out_of_range_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        GMVAE(**options)


def test_a_checkpoint_has_exactly_the_agreed_keys_and_shapes():
    expected = {"z_pre": (1, 1000, 10), "pi": (500,)}
    expected |= mlp_shapes("enc", 784, 300, 300, 20) | mlp_shapes("dec", 10, 300, 300, 784)
    assert shapes_of(GMVAE(z_dim=10, k=500)) == expected


def test_the_weights_are_uniform_and_only_the_components_are_trained(model):
    assert_close(model.pi.detach(), torch.full((7,), 1 / 7))
    assert model.z_pre.requires_grad
    model.loss(X)[0].backward()
    assert model.pi.grad is None
    assert not model.pi.requires_grad


# What torch warns of when it compiles: 2.6 of what it does itself, later ones of Python 3.13.0.
@pytest.mark.filterwarnings("ignore:Guards may run slower:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("asked", ["loss", "negative_elbo_bound"])
def test_it_compiles_without_a_break(asked):
    model, x = GMVAE(z_dim=3, k=7), (torch.rand(5, 784) < 0.5).float()
    compiled = torch.compile(getattr(model, asked), fullgraph=True, backend="eager")
    found = []
    for function in (getattr(model, asked), compiled):
        torch.manual_seed(0)
        found.append(function(x)[0])
    assert torch.equal(*found)


@pytest.mark.filterwarnings("ignore")  # tracing is deprecated, and warns of every size it meets
def test_sampling_can_be_traced():
    class Sampler(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, z):
            return self.model.sample_sigmoid(3) + self.model.negative_elbo_bound(z.round())[0]

    for model in (GMVAE(z_dim=3, k=7), VAE(z_dim=3)):
        traced = torch.jit.trace(Sampler(model), torch.rand(2, 784), check_trace=False)
        assert traced(torch.rand(2, 784)).shape == (3, 784)
