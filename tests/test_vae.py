"""The VAE: its bounds against quadrature and plain formulas, its samplers, its contract."""

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
    mlp_shapes,
    normal,
    numbers,
    posterior,
    run_mlp,
    seeded,
    shapes_of,
    standard,
    textbook_elbo,
    textbook_iwae,
    within,
)
from torch.distributions import kl_divergence
from torch.testing import assert_close

from codebase.models import base
from codebase.models.vae import VAE

X = binary(3, 784)


@pytest.fixture
def model():
    return seeded(0, VAE, "v1", "vae", 3)


@pytest.fixture
def toy():
    """One latent dimension and four pixels, in float64: small enough to integrate."""
    model = VAE(z_dim=1).double()
    model.enc, model.dec = Net(posterior), Net(decode)
    return model


@pytest.fixture
def blind():
    """A decoder that ignores z and a posterior that is the prior: every bound is log p(x)."""
    model = VAE(z_dim=2).double()
    logits = gaussian(784, scale=2)
    model.enc = Net(lambda x: (x.new_zeros(len(x), 2), x.new_ones(len(x), 2)))
    model.dec = Net(lambda z: 0 * z[..., :1] + logits)
    return model, logits


# --- the evidence lower bound ---------------------------------------------------------------


def test_the_bound_is_the_sum_of_its_terms(model):
    nelbo, kl, rec = model.negative_elbo_bound(X)
    assert nelbo.shape == kl.shape == rec.shape == ()
    assert_close(nelbo, kl + rec)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("z_dim", [1, 5])
def test_the_bound_is_the_formula_under_the_same_seed(z_dim, dtype):
    model = seeded(1, VAE, "v1", "vae", z_dim).to(dtype)
    model.dec.net[0].weight.data *= 10
    x = X.to(dtype)
    nelbo, kl, rec = seeded(2, model.negative_elbo_bound, x)
    _, expected_rec = seeded(2, textbook_elbo, model, standard, x)
    m, v = model.enc(x)
    expected_kl = kl_divergence(normal(m, v), normal(0 * m, 0 * v + 1)).mean()
    assert_close(rec, expected_rec)
    assert_close(kl, expected_kl)
    assert_close(nelbo, expected_kl + expected_rec)


def test_the_bound_draws_one_normal_per_latent_and_nothing_else(model):
    seeded(5, model.negative_elbo_bound, X)
    state = torch.get_rng_state()
    seeded(5, torch.randn, 3, 3)
    assert torch.equal(state, torch.get_rng_state())


def test_kl_and_reconstruction_are_summed_over_dimensions_and_pixels():
    model = VAE(z_dim=8)
    model.enc = Net(lambda x: (torch.ones(len(x), 8), torch.ones(len(x), 8)))
    model.dec = Net(lambda z: torch.zeros(*z.shape[:-1], 784))
    _, kl, rec = model.negative_elbo_bound(X)
    assert_close(kl, torch.tensor(4.0))
    assert_close(rec, torch.tensor(784 * math.log(2)))


def test_the_bound_of_a_batch_is_the_mean_of_its_images(model):
    model.dec = Net(lambda z: 0 * z[..., :1] + torch.linspace(-2, 2, 784))
    batch = torch.stack(model.negative_elbo_bound(X))
    alone = torch.stack([torch.stack(model.negative_elbo_bound(x[None])) for x in X])
    assert_close(batch, alone.mean(0))


def test_the_bound_is_unbiased(toy):
    x = IMAGES.repeat(300, 1)
    mean, se = estimate(lambda: torch.stack(toy.negative_elbo_bound(x)), 100)
    q = normal(*posterior(IMAGES))
    rec = -exact_reconstruction(q, decode, IMAGES).mean()
    kl = kl_divergence(q, normal(torch.zeros(1), torch.ones(1))).mean()
    assert_close(-exact_elbo(q, standard, decode, IMAGES).mean(), kl + rec)
    assert_close(mean[1], kl)
    assert within(mean[[0, 2]], se[[0, 2]], torch.stack([kl + rec, rec]))
    assert 5 * se.max() < 0.05


def test_the_bound_lies_below_the_evidence(toy):
    for x in IMAGES:
        x = x.expand(1000, 4)
        mean, se = estimate(lambda x=x: toy.negative_elbo_bound(x)[0], 20)
        assert -mean + 5 * se < log_evidence(standard, decode, x[:1])


@pytest.mark.parametrize("iw", [1, 2, 30])
def test_every_bound_is_exact_when_the_decoder_ignores_z_and_q_is_p(blind, iw):
    model, logits = blind
    x = X.double()
    evidence = log_bernoulli(x, logits).mean()
    assert_close(-model.negative_elbo_bound(x)[0], evidence)
    assert_close(-model.negative_iwae_bound(x, iw)[0], evidence)


def test_every_parameter_of_both_nets_gets_a_gradient(model):
    model.negative_elbo_bound(X)[0].backward()
    for net in (model.enc, model.dec):
        assert all(p.grad.abs().sum() > 0 for p in net.parameters())


def test_the_gradient_of_the_bound_is_that_of_the_formula(model):
    model, x = model.double(), X.double()
    parameters = [*model.enc.parameters(), *model.dec.parameters()]
    got = torch.autograd.grad(seeded(3, model.negative_elbo_bound, x)[0], parameters)
    _, rec = seeded(3, textbook_elbo, model, standard, x)
    m, v = model.enc(x)
    kl = kl_divergence(normal(m, v), normal(0 * m, 0 * v + 1)).mean()
    expected = torch.autograd.grad(kl + rec, parameters)
    assert_close(got, expected)


# --- the importance-weighted bound ----------------------------------------------------------


@pytest.mark.parametrize("iw", [1, 2, 10])
def test_the_iwae_bound_is_the_textbook_one_under_the_same_seed(model, iw):
    got = seeded(4, model.negative_iwae_bound, X, iw)
    assert_close(got, seeded(4, textbook_iwae, model, standard, X, iw))


@pytest.mark.parametrize("chunk", [1, 2, 7, 64])
def test_working_in_chunks_changes_nothing(model, monkeypatch, chunk):
    monkeypatch.setattr(base, "CHUNK", chunk)
    got = seeded(4, model.negative_iwae_bound, X, 33)
    assert_close(got, seeded(4, textbook_iwae, model, standard, X, 33))


def test_more_copies_than_a_chunk_are_still_the_textbook_bound(toy):
    iw = 2 * base.CHUNK + 3
    got = seeded(4, toy.negative_iwae_bound, IMAGES, iw)
    assert_close(got, seeded(4, textbook_iwae, toy, standard, IMAGES, iw))


def test_the_iwae_bound_draws_one_normal_per_copy_and_latent(model):
    seeded(5, model.negative_iwae_bound, X, 7)
    state = torch.get_rng_state()
    seeded(5, torch.randn, 7 * 3, 3)
    assert torch.equal(state, torch.get_rng_state())


def test_the_iwae_bound_returns_three_scalars(model):
    niwae, kl, rec = model.negative_iwae_bound(X, 3)
    assert niwae.shape == kl.shape == rec.shape == ()


def test_one_sample_of_the_iwae_bound_is_the_sum_of_its_terms(model):
    niwae, kl, rec = model.negative_iwae_bound(X, 1)
    assert_close(niwae, kl + rec)


def test_one_sample_of_the_iwae_bound_is_the_elbo_in_expectation(toy):
    x = IMAGES.repeat(300, 1)
    mean, se = estimate(lambda: toy.negative_iwae_bound(x, 1)[0], 100)
    elbo = exact_elbo(normal(*posterior(IMAGES)), standard, decode, IMAGES).mean()
    assert within(mean, se, -elbo)
    assert 5 * se < 0.05


def test_the_iwae_bound_tightens_with_more_samples(toy):
    x = IMAGES.repeat(100, 1)
    bounds = [estimate(lambda iw=iw: toy.negative_iwae_bound(x, iw)[0], 30) for iw in (1, 3, 9, 27)]
    for (loose, loose_se), (tight, tight_se) in pairwise(bounds):
        assert tight <= loose + 5 * (loose_se**2 + tight_se**2).sqrt()
    (first, first_se), (last, last_se) = bounds[0], bounds[-1]
    assert last < first - 5 * (first_se**2 + last_se**2).sqrt()


def test_the_iwae_bound_converges_to_the_evidence(toy):
    mean, se = estimate(lambda: toy.negative_iwae_bound(IMAGES, 5000)[0], 30)
    elbo = exact_elbo(normal(*posterior(IMAGES)), standard, decode, IMAGES).mean()
    evidence = log_evidence(standard, decode, IMAGES).mean()
    assert within(mean, se, -evidence)
    assert elbo + 10 * se < evidence, "the evidence is told apart from the ELBO"


def test_the_best_sample_dominates_and_not_the_worst(model):
    model.dec.net[0].weight.data *= 10
    niwae, kl, rec = model.negative_iwae_bound(X, 50)
    assert niwae < kl + rec - 0.1


def test_the_gradient_of_the_iwae_bound_is_that_of_the_textbook(model):
    model, x = model.double(), X.double()
    parameters = [*model.enc.parameters(), *model.dec.parameters()]
    got = torch.autograd.grad(seeded(6, model.negative_iwae_bound, x, 5)[0], parameters)
    expected = seeded(6, textbook_iwae, model, standard, x, 5)[0]
    assert_close(got, torch.autograd.grad(expected, parameters))


@pytest.mark.parametrize("iw", [0, -1])
def test_fewer_than_one_importance_sample_is_refused(model, iw):
    with pytest.raises(ValueError, match="iw"):
        model.negative_iwae_bound(X, iw)


# --- the loss -------------------------------------------------------------------------------


def test_the_loss_is_the_negative_bound(model):
    loss, _ = seeded(7, model.loss, X)
    assert_close(loss, seeded(7, model.negative_elbo_bound, X)[0])


@pytest.mark.parametrize("beta", [0.0, 0.5, 4.0])
def test_beta_weighs_the_kl_in_the_loss_and_nowhere_else(beta):
    model = seeded(0, VAE, z_dim=3, beta=beta)
    model.enc.net[4].weight.data *= 10
    loss, summaries = seeded(7, model.loss, X)
    nelbo, kl, rec = seeded(7, model.negative_elbo_bound, X)
    assert_close(loss, rec + beta * kl)
    assert_close(nelbo, rec + kl)
    expected = {"train/loss": loss, "gen/elbo": -nelbo, "gen/kl_z": kl, "gen/rec": rec}
    assert numbers(summaries) == pytest.approx(numbers(expected))


def test_the_summaries_have_the_agreed_names_and_values(model):
    loss, summaries = seeded(7, model.loss, X)
    nelbo, kl, rec = seeded(7, model.negative_elbo_bound, X)
    expected = {"train/loss": loss, "gen/elbo": -nelbo, "gen/kl_z": kl, "gen/rec": rec}
    assert numbers(summaries) == pytest.approx(numbers(expected))


# --- sampling -------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 6])
def test_as_many_samples_come_as_were_asked_for(model, batch):
    assert model.sample_z(batch).shape == (batch, 3)
    assert model.sample_x(batch).shape == (batch, 784)
    assert model.sample_sigmoid(batch).shape == (batch, 784)
    z = torch.zeros(batch, 3)
    assert model.sample_x_given(z).shape == (batch, 784)
    assert model.compute_sigmoid_given(z).shape == (batch, 784)


def test_sampled_pixels_are_binary(model):
    assert set(seeded(0, model.sample_x, 5).unique().tolist()) == {0, 1}


def test_sigmoids_are_those_of_the_decoder(model):
    z = torch.randn(4, 3)
    assert_close(model.compute_sigmoid_given(z), torch.sigmoid(model.dec(z)))
    z = seeded(3, model.sample_z, 4)
    assert_close(seeded(3, model.sample_sigmoid, 4), torch.sigmoid(model.dec(z)))


def test_pixels_are_on_as_often_as_their_sigmoid_says(model):
    n, logits = 20_000, torch.tensor([-4.0, -1.0, 0.0, 3.0])
    model.dec = Net(lambda z: 0 * z[..., :1] + logits)
    p = torch.sigmoid(logits)
    x = seeded(0, model.sample_x_given, torch.zeros(n, 3))
    assert within(x.mean(0), (p * (1 - p) / n).sqrt(), p)
    assert x.float().T.cov().fill_diagonal_(0).abs().max() <= 5 * 0.25 / math.sqrt(n)


def test_images_are_decoded_from_different_latents(model):
    model.dec = Net(lambda z: 1e3 * z.sum(-1, keepdim=True))
    assert_close(
        seeded(1, model.sample_x, 40),
        (seeded(1, model.sample_z, 40).sum(-1, keepdim=True) > 0).float(),
    )


@pytest.mark.parametrize(("m", "v"), [(0.0, 1.0), (2.0, 9.0)])
def test_latents_have_the_moments_of_the_prior(model, m, v):
    n = 50_000
    model.z_prior_m.data.fill_(m)
    model.z_prior_v.data.fill_(v)
    z = seeded(0, model.sample_z, n)
    assert ((z.mean(0) - m).abs() <= 5 * math.sqrt(v / n)).all()
    assert ((z.var(0) - v).abs() <= 5 * v * math.sqrt(2 / n)).all()
    assert (torch.corrcoef(z.T) - torch.eye(3)).abs().max() <= 5 / math.sqrt(n)


# --- construction and checkpoints -----------------------------------------------------------


def test_building_draws_only_the_default_layers_encoder_first():
    model = seeded(0, VAE, "v1", "vae", 5)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    enc = default_mlp(784, 300, 300, 10)
    dec = default_mlp(5, 300, 300, 784)
    assert torch.equal(state, torch.get_rng_state())
    assert_close([*model.enc.parameters()], enc, rtol=0, atol=0)
    assert_close([*model.dec.parameters()], dec, rtol=0, atol=0)


def test_the_constructor_has_the_defaults_of_the_starter_code():
    model = VAE()
    assert model.name == "vae"
    assert model.sample_z(2).shape == (2, 2)
    assert VAE("v1", "other", 4).name == "other"


@pytest.mark.parametrize("options", [{"z_dim": 0}, {"beta": -1}])
def test_a_model_out_of_range_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        VAE(**options)


def test_images_and_latents_of_another_width_are_refused(model):
    for bound in (model.negative_elbo_bound, model.loss):
        with pytest.raises(ValueError, match="784"):
            bound(X[:, 1:])
    with pytest.raises(ValueError, match="3"):
        model.sample_x_given(torch.zeros(4, 2))


def test_a_checkpoint_has_exactly_the_agreed_keys_and_shapes():
    expected = {"z_prior_m": (1,), "z_prior_v": (1,)}
    expected |= mlp_shapes("enc", 784, 300, 300, 20) | mlp_shapes("dec", 10, 300, 300, 784)
    assert shapes_of(VAE(z_dim=10)) == expected


def test_the_prior_is_standard_and_not_trained(model):
    m, v = model.z_prior
    assert m is model.z_prior_m
    assert v is model.z_prior_v
    assert (m.item(), v.item()) == (0, 1)
    assert not m.requires_grad
    assert not v.requires_grad
    model.loss(X)[0].backward()
    assert m.grad is None
    assert v.grad is None


def test_the_prior_follows_the_model_to_another_dtype(model):
    model.double()
    assert [t.dtype for t in model.z_prior] == [torch.float64, torch.float64]


def test_a_loaded_prior_is_the_one_that_is_used(model):
    state = model.state_dict() | {"z_prior_m": torch.tensor([5.0])}
    before = seeded(0, model.negative_elbo_bound, X)[1]
    model.load_state_dict(state)
    after = seeded(0, model.negative_elbo_bound, X)[1]
    m, v = model.enc(X)
    expected = kl_divergence(normal(m, v), normal(0 * m + 5, 0 * v + 1)).mean()
    assert_close(after, expected)
    assert after > before


def test_encoder_and_decoder_are_elu_networks_of_the_checkpoint_s_weights(model):
    m, h = run_mlp(model, "enc", F.elu, X).chunk(2, dim=1)
    assert_close(model.enc(X), (m, F.softplus(h) + 1e-8))
    assert_close(model.dec(m), run_mlp(model, "dec", F.elu, m))
