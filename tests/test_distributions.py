"""Our distributions against torch's, in float64."""

import math

import pytest
import torch
from oracles import estimate, gaussian, mixture, normal, positive, within
from throwaway import FullGaussian
from torch import distributions as torch_d

from codebase.models import distributions
from codebase.models.distributions import (
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    Mixture,
    kl,
    sample_and_kl,
)

B, Z, K, M = 5, 3, 4, 2


def diagonal(*shape, seed=0):
    return DiagonalGaussian(gaussian(*shape, seed=seed), positive(*shape, seed=seed + 1))


def full(*shape, seed=0):
    factor = gaussian(*shape, shape[-1], seed=seed).tril(-1)
    factor = factor + torch.diag_embed(positive(*shape, seed=seed + 1))
    return FullGaussian(gaussian(*shape, seed=seed + 2), factor)


def theirs(q):
    if isinstance(q, FullGaussian):
        return torch_d.MultivariateNormal(q.mean, scale_tril=q.factor)
    return normal(q.m, q.v)


@pytest.mark.parametrize("made", [diagonal, full])
def test_a_gaussian_is_torchs(made):
    q, z = made(B, Z), gaussian(M, B, Z, seed=9)
    torch.testing.assert_close(q.log_prob(z), theirs(q).log_prob(z))
    torch.testing.assert_close(q.mean, theirs(q).mean)
    torch.testing.assert_close(q.variance, theirs(q).variance)


@pytest.mark.parametrize("made", [diagonal, full])
def test_samples_have_the_mean_and_covariance(made):
    torch.manual_seed(0)
    q = made(Z)
    z = q.rsample((40_000,))
    assert within(z.mean(0), z.std(0) / 200, q.mean)
    centred = z - q.mean
    products = centred.unsqueeze(-1) * centred.unsqueeze(-2)  # (N, Z, Z)
    expected = theirs(q).covariance_matrix if made is full else torch.diag(q.v)
    assert within(products.mean(0), products.std(0) / 200, expected)


def test_a_sample_comes_with_its_density_and_carries_gradients_unless_told_otherwise():
    q = diagonal(B, Z)
    q.m.requires_grad_()
    z, log_q = q.rsample_and_log_prob((M,))
    torch.testing.assert_close(log_q, q.log_prob(z))
    assert z.requires_grad
    assert not q.sample((M,)).requires_grad


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_correlated_samples_come_with_their_own_density_in_bf16_too(shape):
    """The mutant whose product is rounded says the density of another sample."""
    made = full(B, Z)
    q = distributions.FullGaussian(made.mean.float(), made.factor.float())
    with torch.autocast("cpu", torch.bfloat16):
        z, log_q = q.rsample_and_log_prob(shape)
    assert (z.shape, z.dtype) == ((*shape, B, Z), torch.float32)
    torch.testing.assert_close(log_q, q.log_prob(z), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("made", [diagonal, full])
def test_a_mixture_of_one_point_is_as_of_many(made):
    p = Mixture(made(K, Z))
    z, log_p = p.rsample_and_log_prob()
    assert z.shape == (Z,)
    torch.testing.assert_close(log_p, p.log_prob(z.unsqueeze(0))[0])


@pytest.mark.parametrize("made", [diagonal, full])
def test_a_mixture_is_torchs(made):
    """By the fast density for diagonal components, by theirs for others."""
    p, z = Mixture(made(K, Z)), gaussian(M, B, Z, seed=9)
    expected = torch_d.MixtureSameFamily(
        torch_d.Categorical(logits=torch.zeros(K, dtype=torch.float64)), theirs(p.components)
    )
    torch.testing.assert_close(p.log_prob(z), expected.log_prob(z))
    torch.testing.assert_close(p.mean, expected.mean)
    torch.testing.assert_close(p.variance, expected.variance)
    by_component = theirs(p.components).log_prob(z.unsqueeze(-2))
    torch.testing.assert_close(p.log_prob_by_component(z), by_component)


@pytest.mark.parametrize("made", [diagonal, full])
def test_a_mixture_is_sampled_from_every_component(made):
    torch.manual_seed(0)
    p = Mixture(made(K, Z))
    z = p.rsample((20_000,))
    assert z.shape == (20_000, Z)
    assert within(z.mean(0), z.std(0) / 20_000**0.5, p.mean)
    squares = (z - p.mean).square()
    assert within(squares.mean(0), squares.std(0) / 20_000**0.5, p.variance)


def test_bits_are_torchs():
    logits = 3 * gaussian(B, 7)
    p, x = Bernoulli(logits), torch.bernoulli(torch.full((M, B, 7), 0.4, dtype=torch.float64))
    expected = torch_d.Independent(torch_d.Bernoulli(logits=logits), 1)
    torch.testing.assert_close(p.log_prob(x), expected.log_prob(x))
    torch.testing.assert_close(p.mean, expected.mean)
    torch.testing.assert_close(p.entropy(), expected.entropy())
    torch.manual_seed(0)
    drawn = p.sample((10_000,))
    assert set(drawn.unique().tolist()) == {0, 1}
    assert within(drawn.mean(0), (p.mean * (1 - p.mean) / 10_000).sqrt(), p.mean)


def test_labels_are_torchs():
    logits = gaussian(B, 6)
    q, expected = Categorical(logits), torch_d.Categorical(logits=logits)
    torch.testing.assert_close(q.log_probs, expected.logits)
    torch.testing.assert_close(q.probs, expected.probs)
    assert torch.equal(q.mode, expected.mode)
    uniform = torch_d.Categorical(logits=torch.zeros(6, dtype=torch.float64))
    torch.testing.assert_close(q.kl_to_uniform(), torch_d.kl_divergence(expected, uniform))


@pytest.mark.parametrize("made", [diagonal, full])
def test_a_pair_with_a_formula_has_the_exact_divergence(made):
    q, p = made(B, Z), diagonal(Z, seed=5)
    expected = torch_d.kl_divergence(
        torch_d.MultivariateNormal(q.mean, scale_tril=q.factor)
        if made is full
        else torch_d.MultivariateNormal(q.m, torch.diag_embed(q.v)),
        torch_d.MultivariateNormal(p.m, torch.diag_embed(p.v)),
    )
    torch.testing.assert_close(kl(q, p, None), expected)
    torch.manual_seed(3)
    z, found = sample_and_kl(q, p)
    torch.testing.assert_close(found, expected)
    torch.manual_seed(3)
    assert torch.equal(z, q.rsample())


def test_a_pair_without_one_is_estimated_without_bias_from_the_sample():
    q, p = diagonal(B, Z), Mixture(diagonal(K, Z, seed=5))
    torch.manual_seed(0)
    z, found = sample_and_kl(q, p)
    components = mixture(p.components.m.unsqueeze(0), p.components.v.unsqueeze(0))
    torch.testing.assert_close(found, theirs(q).log_prob(z) - components.log_prob(z))
    # In one dimension quadrature knows the divergence.
    q, p = diagonal(B, 1), Mixture(diagonal(K, 1, seed=5))
    grid = torch.linspace(-30, 30, 60_001, dtype=torch.float64).view(-1, 1, 1)
    log_q, log_p = q.log_prob(grid), p.log_prob(grid)  # (G, B), (G, 1)
    exact = (log_q.exp() * (log_q - log_p)).sum(0) * 1e-3
    mean, se = estimate(lambda: sample_and_kl(q, p)[1], 4_000)
    assert within(mean, se, exact)


def test_a_density_that_came_with_the_sample_is_not_asked_for_again():
    class Flow(DiagonalGaussian):
        def log_prob(self, value):
            raise AssertionError("its inverse is not known")

        def rsample_and_log_prob(self, shape=()):
            z = self.rsample(shape)
            return z, super().log_prob(z) + math.log(2)

    q, p = Flow(gaussian(B, Z), positive(B, Z, seed=1)), diagonal(Z, seed=5)
    torch.manual_seed(1)
    z, found = sample_and_kl(q, p)
    expected = normal(q.m, q.v).log_prob(z) + math.log(2) - theirs(p).log_prob(z)
    torch.testing.assert_close(found, expected)
