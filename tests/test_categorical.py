"""Discrete latents against enumeration: bounds of hard choices, capacities, matched groups."""

import itertools
import math
from unittest import mock

import pytest
import torch
from oracles import binary, gaussian, log_bernoulli, within
from torch.nn import functional as F

from codebase.engine.randomness import seeded
from codebase.models import categorical
from codebase.models.categorical import CategoricalVAE, JointVAE
from codebase.models.distributions import kl
from codebase.models.groups import matched_accuracy
from codebase.models.onehots import OneHots, Product, gaussian_and_choice

N, C, D, B = 2, 3, 9, 5


@pytest.fixture
def small():
    torch.manual_seed(0)
    model = CategoricalVAE(n=N, c=C, x_dim=D).double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3)  # a posterior and a decoder that say something
    return model


def every_z():
    """All one-hots, (C^N, N·C)."""
    choices = torch.tensor(list(itertools.product(range(C), repeat=N)))
    return F.one_hot(choices, C).double().flatten(1)


def enumerated(model, x):
    """log p(x) and −ELBO of each image, by the sum over every z."""
    z = every_z()
    q = F.softmax(model.encoded(x).view(len(x), N, C), -1)
    q_z = torch.einsum("znc,bnc->bzn", z.view(-1, N, C), q).prod(-1)  # (B, C^N)
    log_joint = log_bernoulli(x[:, None], model.likelihood(z).logits) - N * math.log(C)
    nelbo = (q_z * (q_z.log() - log_joint)).sum(-1)
    return log_joint.logsumexp(-1), nelbo


def test_the_bound_is_the_enumerated_one(small):
    x, repeats = binary(B, D, dtype=torch.float64), 4_000
    log_p, expected = enumerated(small, x)
    with seeded(1):
        cost = sum(small.negative_elbo_terms(x.repeat(repeats, 1))).view(repeats, B)
        kl_z, rec = small.importance_terms(x, repeats)
    weights = torch.exp(-kl_z - rec - log_p)  # over p(x): their mean is 1
    for values, mean in ((cost, expected), (weights, torch.ones(B).double())):
        assert within(values.mean(0), values.std(0) / repeats**0.5, mean)
    assert (expected > -log_p).all()


def test_images_of_the_toy_sum_to_one(small):
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=D))).double()
    assert enumerated(small, x)[0].exp().sum().item() == pytest.approx(1, abs=1e-10)


def test_what_is_logged_is_the_bound_and_not_the_relaxed_cost(small):
    x = binary(B, D, dtype=torch.float64)
    _, expected = enumerated(small, x)
    with seeded(1):
        logged = [small.loss(x.repeat(100, 1))[1] for _ in range(40)]
    elbo = torch.stack([row["gen/elbo"] for row in logged])
    assert abs(elbo.mean() + expected.mean()) < 5 * elbo.std() / len(logged) ** 0.5
    relaxed = torch.stack([row["train/loss"] for row in logged]).detach()
    # The mutant, the cost at relaxed samples as the bound, is not the bound.
    assert abs(relaxed.mean() - expected.mean()) > 5 * relaxed.std() / len(logged) ** 0.5


def test_choices_are_drawn_as_often_as_they_should_be():
    logits = gaussian(N, C)
    q, n = OneHots(logits), 40_000
    with seeded(0):
        hard, relaxed = q.rsample((n,)), torch.stack([q.relaxed(0.7) for _ in range(2_000)])
    se = (q.variance / n).sqrt()
    assert within(hard.mean(0), se, F.softmax(logits, -1).flatten())
    assert (hard.view(n, N, C).sum(-1) == 1).all()
    assert relaxed.view(-1, N, C).sum(-1).allclose(torch.ones(1).double())
    largest = F.one_hot(relaxed.view(-1, N, C).argmax(-1), C).double().flatten(1)
    assert within(largest.mean(0), (q.variance / 2_000).sqrt(), q.mean)


def test_the_temperature_falls_with_the_steps_and_stands_still_beside():
    model = CategoricalVAE(n=2, c=3, x_dim=D, t_steps=10)
    found = []
    for _ in range(12):
        found.append(model.temperature.item())
        model.loss(binary(B, D))
        model.advance()
    assert found[0] == 1
    assert found == sorted(found, reverse=True)
    assert found[5] == pytest.approx(0.5**0.5)
    assert found[10] == found[11] == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(N, C), (7, 2)])
def test_the_kl_is_torch_s(shape):
    q, p = OneHots(gaussian(B, *shape)), OneHots(torch.zeros(shape).double())
    logits = gaussian(B, *shape)
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=logits),
        torch.distributions.Categorical(logits=torch.zeros(shape).double()),
    ).sum(-1)
    found = kl(q, p, q.mean)
    torch.testing.assert_close(found, theirs, rtol=1e-10, atol=1e-10)
    without_log_c = (q.mean.view(B, *shape) * q.log_probs).sum((-2, -1))  # the mutant
    assert not torch.allclose(found, without_log_c)


def test_a_gaussian_beside_a_choice_is_the_sum():
    m, v, logits = gaussian(B, 3), gaussian(B, 3, seed=1).exp(), gaussian(B, C, seed=2)
    q = gaussian_and_choice(m, v, logits)
    p = gaussian_and_choice(
        torch.zeros(3).double(), torch.ones(3).double(), torch.zeros(C).double()
    )
    assert isinstance(q, Product)
    with seeded(0):
        z = q.rsample((20_000,))
    values = q.log_prob(z) - p.log_prob(z)
    assert within(values.mean(0), values.std(0) / len(z) ** 0.5, kl(q, p, q.mean))


def joint_model(**options):
    torch.manual_seed(1)
    return JointVAE(z_dim=2, c=C, x_dim=D, **options).double()


@pytest.mark.parametrize(
    ("taken", "c_z", "c_c"), [(4, 0.8, 0.6), (9, 1.8, math.log(C)), (30, 2, math.log(C))]
)
def test_capacities_grow_to_their_ends_and_the_choice_s_to_log_c(taken, c_z, c_c):
    """The choice's grows at its own pace until then, as Dupont's does: 0.6 is 4/10 of 1.5."""
    assert math.log(C) < 1.5 * 9 / 10
    model, x = (
        joint_model(gamma=7.0, capacity_steps=10, capacity_z=2.0, capacity_c=1.5),
        binary(B, D, dtype=torch.float64),
    )
    with torch.no_grad():
        for p in model.enc.parameters():
            p.mul_(3)  # so that kl lies on both sides of the capacities
    for _ in range(taken):
        model.advance()
    with seeded(3):
        loss, found = model.loss(x)
    with seeded(3):
        q = model.posterior(x)
        z = torch.cat([q.parts[0].rsample(), q.parts[1].relaxed(model.temperature)], -1)
        rec = -model.likelihood(z).log_prob(x).mean()
    m, v = q.parts[0].mean, q.parts[0].variance
    kl_z = 0.5 * (v + m.square() - 1 - v.log()).sum(-1)
    probs = q.parts[1].mean
    kl_c = math.log(C) - torch.distributions.Categorical(probs=probs).entropy()
    assert (kl_c <= math.log(C)).all()
    expected = rec + 7 * ((kl_z.mean() - c_z).abs() + (kl_c.mean() - c_c).abs())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert found["gen/kl_z"].item() == pytest.approx((kl_z + kl_c).mean().item(), rel=1e-6)


def test_capacities_are_for_the_mean_of_a_minibatch():
    """The mutant, |kl − C| image by image, is another cost."""
    model, x = joint_model(gamma=1.0, capacity_steps=1), binary(B, D, dtype=torch.float64)
    model.advance()
    kl_z = 5 + torch.linspace(-1, 1, B, dtype=torch.float64)  # 5 on average, which is C_z
    q = model.posterior(x)
    of_choice = torch.full((B,), math.log(C), dtype=torch.float64)
    given = mock.patch.object(categorical, "kl_of_parts", return_value=(kl_z, of_choice))
    with given, seeded(3):
        loss, found = model.loss(x)
    assert found["gen/kl_z"].item() == pytest.approx(5 + math.log(C))
    with seeded(3):
        z = torch.cat([q.parts[0].rsample(), q.parts[1].relaxed(model.temperature)], -1)
    assert loss.item() == pytest.approx(-model.likelihood(z).log_prob(x).mean().item())


def test_without_gamma_it_is_an_autoencoder():
    model, x = joint_model(gamma=0.0), binary(B, D, dtype=torch.float64)
    with seeded(3):
        loss, _ = model.loss(x)
    with seeded(3):
        q = model.posterior(x)
        z = torch.cat([q.parts[0].rsample(), q.parts[1].relaxed(model.temperature)], -1)
    assert loss.item() == pytest.approx(-model.likelihood(z).log_prob(x).mean().item())


@pytest.mark.parametrize(("groups", "labels"), [(3, 3), (4, 3), (3, 4)])
def test_the_matching_is_the_best_of_all(groups, labels):
    generator = torch.Generator().manual_seed(groups * 10 + labels)
    g = torch.randint(groups, (60,), generator=generator)
    y = torch.randint(labels, (60,), generator=generator)
    g[0], y[0] = groups - 1, labels - 1
    wide = max(groups, labels)
    best = max(
        (torch.tensor(way)[g] == y).double().mean().item()
        for way in itertools.permutations(range(wide))
    )
    found = matched_accuracy(g, y, groups).mean().item()
    assert found == pytest.approx(best)
    argmax = sum((y[g == k]).bincount().max().item() for k in range(groups)) / 60
    assert found <= argmax  # the mutant, every group's commonest label, uses labels twice


def test_sizes_that_make_no_sense_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        CategoricalVAE(n=0)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        CategoricalVAE(c=1)
    with pytest.raises(ValueError, match="at least 0"):
        JointVAE(gamma=-1)
