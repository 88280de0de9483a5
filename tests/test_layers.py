"""Two layers against linear Gaussians with a known log p(x); an auxiliary variable that is none."""

import pytest
import torch
from oracles import binary, gaussian, normal, positive, within

from codebase.engine.randomness import seeded
from codebase.models.auxiliary import Auxiliary, AuxiliaryVAE
from codebase.models.chains import Chain, merged
from codebase.models.distributions import DiagonalGaussian
from codebase.models.layers import Ladder, Structured, TwoLayer

D, B, M = 3, 4, 5
W = torch.tensor([0.9, -1.4, 0.5]).double()  # x = W z₁ + noise
A, S, T = 0.8, 0.7, 0.6  # z₁ = A z₂ + S·noise; T, the pixels' standard deviation


class Linear:
    """z₂ → z₁ → x, all linear and Gaussian, whose posterior is known."""

    def likelihood(self, z):
        return DiagonalGaussian(z[..., :1] * W, torch.full((D,), T**2, dtype=torch.float64))

    def below(self, z2):
        return DiagonalGaussian(A * z2, torch.full_like(z2, S**2))


class LinearTwoLayer(Linear, TwoLayer):
    def posterior(self, x):
        v1 = A**2 + S**2  # of z₁, were there no image
        v = 1 / (1 / v1 + W @ W / T**2)
        m = v * (x @ W / T**2).unsqueeze(-1)
        return Chain(DiagonalGaussian(m, v.expand_as(m)), self.above, downwards=False)

    def above(self, z1):
        v = 1 / (1 + A**2 / S**2)
        return DiagonalGaussian(v * A / S**2 * z1, torch.full_like(z1, v))


class LinearLadder(Linear, Ladder):
    def posterior(self, x):
        cov = S**2 * torch.outer(W, W) + T**2 * torch.eye(D).double()  # of x given z₂
        pull = A * torch.linalg.solve(cov, W)
        v = 1 / (1 + A * (W @ pull))
        m = v * (x @ pull).unsqueeze(-1)
        said = DiagonalGaussian((x @ W / (W @ W)).unsqueeze(-1), T**2 / (W @ W).expand(1))
        return Chain(
            DiagonalGaussian(m, v.expand_as(m)), lambda z2: merged(said, self.below(z2)), True
        )


def log_p(x):
    cov = (A**2 + S**2) * torch.outer(W, W) + T**2 * torch.eye(D).double()
    zero = torch.zeros(D).double()
    return torch.distributions.MultivariateNormal(zero, cov).log_prob(x)


LINEAR = pytest.mark.parametrize("kind", [LinearTwoLayer, LinearLadder])


def linear(kind):
    return kind(z_dim=1, z2_dim=1, x_dim=D).double()


@LINEAR
def test_under_the_exact_posterior_every_weight_is_log_p(kind):
    x = gaussian(B, D, seed=3)
    with seeded(1):
        kl, rec = linear(kind).importance_terms(x, M)
    torch.testing.assert_close(-(kl + rec), log_p(x).expand(M, B), rtol=1e-10, atol=1e-10)


@LINEAR
def test_the_bound_is_log_p_under_the_exact_posterior_and_less_under_another(kind):
    model, x, n = linear(kind), gaussian(B, D, seed=3), 4_000
    with seeded(1):
        costs = sum(model.negative_elbo_terms(x.repeat(n, 1))).view(n, B)
    assert within(costs.mean(0), costs.std(0) / n**0.5, -log_p(x))
    q = model.posterior(x)
    wide = Chain(DiagonalGaussian(q.first.m + 0.5, 2 * q.first.v), q.second, q.downwards)
    model.posterior = lambda x: Chain(
        DiagonalGaussian(
            wide.first.m.repeat(n, 1), wide.first.v.expand_as(wide.first.m).repeat(n, 1)
        ),
        kind.posterior(model, x).second,
        q.downwards,
    )
    with seeded(1):
        costs = sum(model.negative_elbo_terms(x.repeat(n, 1))).view(n, B)
    assert (costs.mean(0) - 5 * costs.std(0) / n**0.5 > -log_p(x)).all()


@LINEAR
def test_the_kl_of_another_q_is_rejected(kind):
    """The mutant takes the second layer's kl at its mean instead of at the sample."""
    model, x, n = linear(kind), gaussian(B, D, seed=3), 4_000
    q, p = model.posterior(x.repeat(n, 1)), model.prior()
    with seeded(2):
        z = q.rsample()
        right, single = q.kl_at(p, z), q.log_prob(z) - p.log_prob(z)
    difference = (right - single).view(n, B)
    assert within(difference.mean(0), difference.std(0) / n**0.5, torch.zeros(B).double())
    wrong = q.kl_at(p, q.mean)
    difference = (wrong - single).view(n, B)
    assert not within(difference.mean(0), difference.std(0) / n**0.5, torch.zeros(B).double())


def test_a_chain_is_the_joint_gaussian():
    first = DiagonalGaussian(gaussian(2), positive(2, seed=1))
    w, v = gaussian(2, 3, seed=2), positive(3, seed=3)
    for downwards in (True, False):
        chain = Chain(
            first, lambda a: DiagonalGaussian(a @ w, v.expand(*a.shape[:-1], 3)), downwards
        )
        with seeded(0):
            z = chain.rsample((M,))
        a, b = (z[:, 3:], z[:, :3]) if downwards else (z[:, :2], z[:, 2:])
        expected = normal(first.m, first.v).log_prob(a) + normal(a @ w, v).log_prob(b)
        torch.testing.assert_close(chain.log_prob(z), expected, rtol=1e-10, atol=1e-10)
        assert chain.mean.shape == chain.variance.shape == (5,)


def test_the_merge_is_bayes_rule_and_an_image_that_says_nothing_costs_nothing():
    p = DiagonalGaussian(gaussian(B, 2), positive(B, 2, seed=1))
    said = DiagonalGaussian(gaussian(B, 2, seed=2), positive(B, 2, seed=3))
    at = gaussian(2, B, 2, seed=4)
    product = p.log_prob(at) + said.log_prob(at)
    ratio = merged(said, p).log_prob(at) - product
    torch.testing.assert_close(ratio[0], ratio[1], rtol=1e-9, atol=1e-9)
    nothing = merged(DiagonalGaussian(said.m, said.v * 1e12), p)
    torch.testing.assert_close((nothing.m, nothing.v), (p.m, p.v))
    halfway = DiagonalGaussian((said.m + p.m) / 2, nothing.v)  # the mutant, means not weighed
    wrong = halfway.log_prob(at) - product
    assert not torch.allclose(wrong[0], wrong[1])


@pytest.mark.parametrize("kind", [TwoLayer, Ladder, Structured])
def test_the_weight_of_kl_warms_up_and_the_log_has_the_plain_bound(kind):
    torch.manual_seed(0)
    model, x = kind(z_dim=2, z2_dim=3, warm_up=4, x_dim=9).double(), binary(B, 9).double()
    model.advance()
    with seeded(1):
        loss, found = model.loss(x)
    with seeded(1):
        kl, rec = (t.mean() for t in model.negative_elbo_terms(x))
    assert loss.item() == pytest.approx((rec + 0.4 * kl).item())
    assert found["gen/elbo"].item() == pytest.approx(-(rec + kl).item())
    for _ in range(9):
        model.advance()
    with seeded(1):
        assert model.loss(x)[0].item() == pytest.approx((rec + kl).item())


def test_rectified_latents_are_a_ladder_s_where_they_are_positive():
    torch.manual_seed(0)
    ladder = Ladder(z_dim=2, z2_dim=3, x_dim=9)
    structured = Structured(z_dim=2, z2_dim=3, x_dim=9)
    structured.load_state_dict(ladder.state_dict())
    z = positive(B, 5).float()
    assert torch.equal(ladder.likelihood(z).logits, structured.likelihood(z).logits)
    assert torch.equal(ladder.prior().log_prob(z), structured.prior().log_prob(z))
    zeroed = structured.likelihood(torch.zeros(B, 5)).logits
    assert torch.equal(structured.likelihood(-z).logits, zeroed)
    # The latent keeps its density below 0: that of a rectified one would not be a Gaussian's.
    assert not torch.equal(structured.prior().log_prob(-z), structured.prior().log_prob(0 * z))


# The auxiliary variable


def plain_auxiliary():
    """p(a|x, z) := q(a|x), and q(z|a, x) that does not look at a."""
    torch.manual_seed(0)
    model = AuxiliaryVAE(z_dim=2, a_dim=3, x_dim=9).double()
    with torch.no_grad():
        model.enc[0].weight[:, 9:] = 0
    model.posterior = lambda x: Auxiliary(
        AuxiliaryVAE.posterior(model, x).a,
        AuxiliaryVAE.posterior(model, x).z,
        lambda z: AuxiliaryVAE.posterior(model, x).a,
    )
    return model


def test_an_auxiliary_variable_that_says_nothing_leaves_the_vae():
    model, x = plain_auxiliary(), binary(B, 9).double()
    q = model.posterior(x).z(torch.zeros(B, 3).double())
    with seeded(1):
        kl, rec = model.negative_elbo_terms(x)
    expected = 0.5 * (q.v + q.m.square() - 1 - q.v.log()).sum(-1)
    torch.testing.assert_close(kl, expected, rtol=1e-10, atol=1e-10)
    with seeded(1):
        z, log_q = model.posterior(x).rsample_and_log_prob((M,))
    torch.testing.assert_close(log_q, q.log_prob(z), rtol=1e-10, atol=1e-10)
    assert (rec > 0).all()


@pytest.mark.parametrize("with_a", [True, False])
def test_weights_have_the_mean_p_and_not_without_the_part_of_a(with_a):
    """q(z|x) is known: a and z are Gaussians of one dimension, and z is linear in a."""
    n, v = 60_000, 0.4
    q = Auxiliary(
        DiagonalGaussian(torch.tensor([0.3]).double(), torch.tensor([0.6]).double()),
        lambda a: DiagonalGaussian(0.9 * a, torch.full_like(a, v)),
        lambda z: DiagonalGaussian(0.5 * z - 0.2, torch.full_like(z, 0.8)),
    )
    prior = DiagonalGaussian(torch.zeros(1).double(), torch.full((1,), 0.5).double())
    with seeded(0):
        z, log_q = q.rsample_and_log_prob((n,))
        if not with_a:  # the mutant: importance weights without p(a|·) / q(a|·)
            log_q = q.z(torch.tensor([0.3]).double()).log_prob(z)
    weights = torch.exp(prior.log_prob(z) - log_q)
    right = within(weights.mean(), weights.std() / n**0.5, torch.ones(()).double())
    assert right == with_a
    exact = normal(torch.tensor([0.27]).double(), torch.tensor([0.81 * 0.6 + v]).double())
    if with_a:  # and on average the density is not underestimated
        assert (log_q - exact.log_prob(z)).mean() > 0


def test_arguments_that_do_not_fit_are_said_in_a_sentence():
    with pytest.raises(ValueError, match="x must have shape"):
        AuxiliaryVAE(z_dim=2, a_dim=3, x_dim=9).posterior(binary(B, 8))
    with pytest.raises(ValueError, match="warm_up must be at least 0"):
        TwoLayer(warm_up=-1)
    with pytest.raises(ValueError, match="z must have shape"):
        TwoLayer(z_dim=2, z2_dim=3, x_dim=9).likelihood(gaussian(B, 2).float())
