"""The numbers behind the figures, against closed forms, brute force and quadrature."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import steady
from scipy import stats
from throwaway import FullVAE, GreyVAE
from torch.distributions import Bernoulli, Normal, kl_divergence

from codebase.evaluation import collapse
from codebase.figures import analysis
from codebase.figures.study import Study
from codebase.models.distributions import DiagonalGaussian, Mixture
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE


def posterior(n=7, dim=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=g), torch.rand(n, dim, generator=g) + 0.1


def models():
    torch.manual_seed(3)
    return {
        "vae": VAE(z_dim=3),
        "gmvae": GMVAE(z_dim=3, k=6),
        "ssvae": SSVAE(z_dim=3),
        "full": FullVAE(z_dim=3),
        "grey": GreyVAE(z_dim=3),
    }


# kl


def test_kl_per_dimension_is_that_of_each_gaussian():
    m, v = posterior()
    prior_m, prior_v = posterior(1, 4, seed=1)
    expected = kl_divergence(Normal(m, v.sqrt()), Normal(prior_m, prior_v.sqrt()))
    q, p = DiagonalGaussian(m, v), DiagonalGaussian(prior_m[0], prior_v[0])
    torch.testing.assert_close(analysis.kl_per_dimension(q, p), expected)


def test_the_mixture_s_terms_sum_to_log_q_minus_log_p():
    m, v = posterior()
    prior_m, prior_v = posterior(5, 4, seed=1)
    mixture = Mixture(DiagonalGaussian(prior_m, prior_v))
    z = m + v.sqrt()
    kl, choice = analysis.mixture_kl_terms(z, DiagonalGaussian(m, v), mixture.components)
    log_q = Normal(m, v.sqrt()).log_prob(z).sum(-1)
    each = Normal(prior_m, prior_v.sqrt()).log_prob(z.unsqueeze(1)).sum(-1)  # (B, K)
    log_p = each.logsumexp(1) - math.log(5)
    torch.testing.assert_close(kl.sum(1) + choice, log_q - log_p)
    assert (choice >= 0).all()
    assert (choice <= math.log(5)).all()
    torch.testing.assert_close(analysis.nearest_component(z, mixture), each.argmax(1))


def test_one_component_leaves_no_choice():
    m, v = posterior()
    prior = DiagonalGaussian(torch.zeros(1, 4), torch.ones(1, 4))
    kl, choice = analysis.mixture_kl_terms(m, DiagonalGaussian(m, v), prior)
    expected = Normal(m, v.sqrt()).log_prob(m) - Normal(0.0, 1.0).log_prob(m)
    torch.testing.assert_close(kl, expected)
    torch.testing.assert_close(choice, torch.zeros(7))


@pytest.mark.parametrize("kind", ["vae", "gmvae", "ssvae", "full", "grey"])
def test_kl_by_dimension_sums_to_the_bound_s_kl(kind, digits):
    model = models()[kind]
    study = Study(model, digits, kind)
    with study.seeded():
        *kl, _ = model.negative_elbo_terms(study.x)
    by_dimension, others = study.kl
    assert by_dimension.shape == (450, 3)
    assert others.keys() == {"gmvae": {"k"}, "ssvae": {"y"}, "full": {"rest"}}.get(kind, set())
    total = by_dimension.sum(1) + sum(others.values())
    torch.testing.assert_close(total, sum(kl), rtol=1e-4, atol=1e-4)


def test_the_rest_of_a_full_posterior_is_what_its_dimensions_share(digits):
    """Against N(0, I) it is q's total correlation, −½ log det of the correlation matrix."""
    model = models()["full"]
    study = Study(model, digits, "full")
    factor = model.posterior(study.x).factor
    correlation = torch.stack([c / c.diag().outer(c.diag()).sqrt() for c in factor @ factor.mT])
    expected = -0.5 * torch.logdet(correlation).detach()
    assert expected.mean() > 0.01
    torch.testing.assert_close(study.kl[1]["rest"], expected, rtol=1e-3, atol=1e-4)


def test_active_units_are_those_of_a_dimension_that_varies(digits):
    model = models()["vae"]
    model.enc.net[4].weight.data[1] = 0  # the mean of z_2 says nothing
    means = Study(model, digits, "vae").means
    expected = means.numpy().var(0, ddof=1) > 0.01
    assert collapse.active(means).tolist() == expected.tolist()
    assert expected.tolist()[1] is False


def test_a_posterior_has_collapsed_by_its_kl_or_its_dimensions():
    assert collapse.collapsed(0.09, 10, 10)
    assert collapse.collapsed(5.0, 1.9, 10)
    assert not collapse.collapsed(0.11, 2, 10)
    assert not collapse.collapsed(None, None, 10)
    assert collapse.rule(10) == "kl below 0.1, or fewer than 2 active dimensions"


# Paths


def test_slerp_reaches_both_ends_by_even_angles_and_norms():
    a, b = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 1.0]])
    torch.testing.assert_close(analysis.slerp(a, b, 0.0), a)
    torch.testing.assert_close(analysis.slerp(a, b, 1.0), b)
    points = torch.cat([analysis.slerp(a, b, t / 6) for t in range(7)])
    norms = points.norm(dim=1)
    torch.testing.assert_close(norms, torch.linspace(3, 2**0.5, 7))
    unit = points / norms.unsqueeze(1)
    angles = (unit[:-1] * unit[1:]).sum(1).acos()
    torch.testing.assert_close(angles, torch.full((6,), math.pi / 12))


def test_slerp_keeps_the_norm_of_equal_ones_where_lerp_does_not():
    a, b = posterior(5)[0], posterior(5, seed=1)[0]
    a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    torch.testing.assert_close(analysis.slerp(a, b, 0.3).norm(dim=1), torch.ones(5))
    assert (analysis.lerp(a, b, 0.3).norm(dim=1) < 0.999).all()


@pytest.mark.parametrize("b", [[2.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_slerp_goes_straight_where_there_is_no_one_arc(b):
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([b])
    torch.testing.assert_close(analysis.slerp(a, b, 0.25), analysis.lerp(a, b, 0.25))


def test_quantiles_of_one_gaussian_and_of_a_mixture():
    p = torch.linspace(0.025, 0.975, 20)
    one = analysis.mixture_quantiles(torch.tensor([1.0]), torch.tensor([4.0]), p)
    np.testing.assert_allclose(one, stats.norm.ppf(p, 1, 2), atol=1e-4)
    m, v = torch.tensor([-3.0, 2.0]), torch.tensor([0.25, 1.0])
    z = analysis.mixture_quantiles(m, v, p).numpy()
    cdf = (stats.norm.cdf(z, -3, 0.5) + stats.norm.cdf(z, 2, 1)) / 2
    np.testing.assert_allclose(cdf, p, atol=1e-4)


# Scores


def test_knn_accuracy_of_separate_and_of_random_labels():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    apart = rng.normal(size=(400, 2)) * 0.1 + np.array([[0, 0], [0, 5], [5, 0], [5, 5]])[labels]
    assert analysis.knn_accuracy(apart, labels) == 1
    chance = analysis.knn_accuracy(rng.normal(size=(400, 2)), labels)
    assert abs(chance - 0.25) < 6 * math.sqrt(0.25 * 0.75 / 400)


def test_hungarian_accuracy_of_known_cases():
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    renamed = np.array([2, 2, 2, 0, 0, 1, 1, 1])
    perfect = analysis.clustering_scores(renamed, labels)
    assert perfect == pytest.approx({"accuracy": 1, "purity": 1, "nmi": 1, "ari": 1})
    # Two components share class 0: the matching may count only the larger one.
    split = np.array([0, 0, 3, 1, 1, 2, 2, 2])
    scores = analysis.clustering_scores(split, labels)
    assert scores["accuracy"] == 7 / 8
    assert scores["purity"] == 1
    one = analysis.clustering_scores(np.zeros(8, dtype=int), labels)
    assert one["accuracy"] == one["purity"] == 3 / 8
    assert one["nmi"] == one["ari"] == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
@settings(steady, max_examples=30)
def test_hungarian_accuracy_is_the_best_of_all_matchings(pairs):
    clusters, labels = np.array(pairs).T
    matchings = itertools.permutations(range(4))
    best = max(np.mean([p[c] == y for c, y in pairs]) for p in matchings)
    assert analysis.clustering_scores(clusters, labels)["accuracy"] == pytest.approx(best)


def test_nmi_and_ari_by_hand():
    clusters, labels = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1])
    scores = analysis.clustering_scores(clusters, labels)
    joint = np.array([[2, 0], [1, 3]]) / 6
    h = [-sum(p * math.log(p) for p in q if p) for q in (joint.sum(0), joint.sum(1), joint.flat)]
    assert scores["nmi"] == pytest.approx((h[0] + h[1] - h[2]) / ((h[0] + h[1]) / 2))
    pairs, both = math.comb(6, 2), 1 + 3  # pairs together in cluster and class
    by_cluster, by_class = 3 + 3, 1 + 6
    expected = by_cluster * by_class / pairs
    ari = (both - expected) / ((by_cluster + by_class) / 2 - expected)
    assert scores["ari"] == pytest.approx(ari)


def test_contingency_counts_what_is_not_there_too():
    counts = analysis.contingency(np.array([0, 2, 2]), np.array([1, 1, 0]), k=4, classes=3)
    assert counts.tolist() == [[0, 0, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_calibration_by_hand():
    confidence = np.array([0.95, 1.0, 0.9, 0.55, 0.6])
    right = np.array([1, 1, 0, 0, 1])
    c = analysis.calibration(confidence, right, bins=10)
    # Bins (0.5, 0.6], (0.8, 0.9], (0.9, 1]: right edges belong to the bin.
    assert c.count.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 1, 2]
    assert c.accuracy[[5, 8, 9]].tolist() == [0.5, 0, 1]
    np.testing.assert_allclose(c.confidence[[5, 8, 9]], [0.575, 0.9, 0.975])
    assert c.ece == pytest.approx((2 * 0.075 + 1 * 0.9 + 2 * 0.025) / 5)


def test_a_calibrated_classifier_has_an_ece_near_zero():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.1, 1, 40_000)
    right = rng.uniform(size=40_000) < confidence
    # The mean absolute error of 15 shares of 2,667 draws each.
    assert analysis.calibration(confidence, right).ece < 6 * 0.5 / math.sqrt(40_000 / 15)
    assert analysis.calibration(confidence, np.zeros(40_000)).ece == pytest.approx(
        confidence.mean()
    )


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (3, 5), (50, 50), (870, 1000)])
def test_wilson_s_interval_is_where_the_test_does_not_reject(right, n):
    low, high = analysis.wilson(np.array([right / n]), np.array([n]))
    expected = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose([low[0], high[0]], [expected.low, expected.high], atol=1e-4)
    empty = analysis.wilson(np.array([np.nan]), np.array([0]))
    assert np.isnan(empty).all()


def test_auroc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    inside, outside = rng.integers(0, 9, 40) + 2.0, rng.integers(0, 9, 30) + 0.0
    pairs = [(o < i) + (o == i) / 2 for i in inside for o in outside]
    assert analysis.auroc(inside, outside) == pytest.approx(np.mean(pairs))
    assert analysis.auroc(outside + 100, outside) == 1


# log p(x)


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["vae", "gmvae", "ssvae", "full", "grey"])
def test_the_log_likelihood_is_that_of_quadrature(kind, digits):
    """In one latent dimension p(x) = ∫ p(x|z) p(z) dz can be summed up on a grid."""
    torch.manual_seed(1)
    model = {
        "vae": lambda: VAE(z_dim=1),
        "gmvae": lambda: GMVAE(z_dim=1, k=3),
        "ssvae": lambda: SSVAE(z_dim=1),
        "full": lambda: FullVAE(z_dim=1),
        "grey": lambda: GreyVAE(z_dim=1),
    }[kind]()
    x = Study(model, digits, kind).x[:3]
    grid = torch.linspace(-12, 12, 4001).unsqueeze(1)
    with torch.no_grad():
        ys = [[y.expand(4001, -1)] for y in torch.eye(10)] if kind == "ssvae" else [[]]
        decoded = torch.stack([model.dec(grid, *y) for y in ys]).unsqueeze(2)  # (Y or 1, G, 1, 784)
        pixels = Normal(decoded, 0.3) if kind == "grey" else Bernoulli(logits=decoded)
        log_joint = pixels.log_prob(x).sum(-1) + model.prior().log_prob(grid).unsqueeze(-1)
        log_p = log_joint.flatten(0, 1).logsumexp(0) + math.log(24 / 4000 / len(ys))
    draws = torch.stack(
        [Study(model, digits, kind, seed=s).log_likelihood(x, 100) for s in range(12)]
    )
    ratio = (draws - log_p).exp()  # unbiased for 1
    se = ratio.std(0) / math.sqrt(len(ratio))
    assert ((ratio.mean(0) - 1).abs() < 6 * se + 1e-4).all()
