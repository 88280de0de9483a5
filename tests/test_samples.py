"""Sample quality against closed forms, and the classifier whose features it is taken on."""

import math

import pytest
import torch
from oracles import estimate, gaussian, within
from scipy import linalg, spatial, stats

from codebase.data.batches import grey
from codebase.engine.randomness import random_state
from codebase.errors import UserError
from codebase.evaluation import features, samples
from codebase.models.features import FeatureNet


def spread(size, seed):
    """A covariance that is no diagonal."""
    a = gaussian(size, size, seed=seed)
    return a @ a.T / size + 0.1 * torch.eye(size).double()


# Fréchet


def test_the_distance_of_gaussians_is_that_of_scipy_s_matrix_root():
    m, c = [gaussian(6, seed=1), gaussian(6, seed=2)], [spread(6, 3), spread(6, 4)]
    root = linalg.sqrtm((c[0] @ c[1]).numpy()).real
    expected = (m[0] - m[1]).square().sum() + (c[0] + c[1]).trace() - 2 * root.trace()
    found = samples.frechet_of_gaussians(m[0], c[0], m[1], c[1])
    assert found == pytest.approx(expected.item(), rel=1e-9)
    assert samples.frechet_of_gaussians(m[0], c[0], m[0], c[0]) == pytest.approx(0, abs=1e-9)


def test_in_one_dimension_it_is_by_hand():
    """(m − m')² + (s − s')²; the mutant with the variances' product in the root's place is not."""
    m, s = (1.0, -0.5), (2.0, 0.7)
    one = [torch.tensor([x]).double() for x in m]
    v = [torch.tensor([[x**2]]).double() for x in s]
    found = samples.frechet_of_gaussians(one[0], v[0], one[1], v[1])
    assert found == pytest.approx((m[0] - m[1]) ** 2 + (s[0] - s[1]) ** 2)
    assert abs(found - ((m[0] - m[1]) ** 2 + (v[0] + v[1] - 2 * v[0] * v[1]).item())) > 0.1


def test_a_covariance_without_full_rank_is_no_trouble():
    """Features that never fire, and fewer images than features."""
    a = torch.cat([gaussian(5, 7), torch.zeros(5, 4).double()], 1)
    assert samples.frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert samples.frechet(a, a + 1) == pytest.approx(11, rel=1e-6)
    assert samples.frechet(a.float(), a.float() + 1) == pytest.approx(11, rel=1e-4)


def test_moments_are_of_the_features_and_the_distance_grows_with_a_shift():
    a, b = gaussian(4_000, 5, seed=1), gaussian(3_000, 5, seed=2)
    floor = samples.frechet(a, b)
    assert 0 < floor < 0.02
    assert samples.frechet(a, b + 1) == pytest.approx(5, abs=0.3)
    assert samples.frechet(a, 2 * b) == pytest.approx(5, abs=0.3)


# KID


def test_kid_is_unbiased_and_the_mutant_with_the_diagonal_is_not():
    def draw(biased):
        a, b = torch.randn(2, 12, 3).double()
        if not biased:
            return torch.tensor(samples.kid(a, b).value)
        return sum((u @ u.T / 3 + 1).pow(3).mean() for u in (a, b)) - 2 * (
            (a @ b.T / 3 + 1).pow(3).mean()
        )

    torch.manual_seed(0)
    assert within(*estimate(lambda: draw(False), 3_000), 0.0)
    mean, se = estimate(lambda: draw(True), 3_000)
    assert mean > 20 * se


def test_kid_of_a_shift_has_the_kernel_s_closed_form():
    """One dimension, N(0, 1) against N(μ, 1): 3|Δm_1|² + 3|Δm_2|² + |Δm_3|² of the moments."""
    mu = 0.7
    moments = [(0, 1, 0), (mu, mu**2 + 1, mu**3 + 3 * mu)]
    expected = sum(w * (p - q) ** 2 for w, p, q in zip((3, 3, 1), *moments, strict=True))
    torch.manual_seed(0)

    def draw():
        a, b = torch.randn(40, 1), torch.randn(50, 1) + mu
        return torch.tensor(samples.kid(a, b).value)

    assert within(*estimate(draw, 2_000), expected)


def test_kid_is_the_mean_of_whole_blocks_with_their_standard_error():
    a, b = gaussian(35, 4, seed=1), gaussian(52, 4, seed=2)
    each = [samples.kid(a[i : i + 10], b[i : i + 10]).value for i in (0, 10, 20)]
    found = samples.kid(a, b, block=10)
    assert found.value == pytest.approx(sum(each) / 3)
    assert found.se == pytest.approx(stats.sem(each))
    assert samples.kid(a, b).se is None


# Neighbours


def brute(real, drawn, k):
    """By scipy's distances, a loop for each."""
    apart = {
        "rr": spatial.distance.cdist(real, real),
        "dd": spatial.distance.cdist(drawn, drawn),
        "dr": spatial.distance.cdist(drawn, real),
    }
    reach_r = [sorted(row)[k] for row in apart["rr"]]
    reach_d = [sorted(row)[k] for row in apart["dd"]]
    inside = [[d <= r for d, r in zip(row, reach_r, strict=True)] for row in apart["dr"]]
    near = [[d <= r for d, r in zip(row, reach_d, strict=True)] for row in apart["dr"].T]
    return {
        "precision": sum(map(any, inside)) / len(drawn),
        "recall": sum(map(any, near)) / len(real),
        "density": sum(map(sum, inside)) / len(drawn) / k,
        "coverage": sum(map(any, zip(*inside, strict=True))) / len(real),
    }


@pytest.mark.parametrize(("k", "shift"), [(1, 0.0), (3, 0.5), (5, 2.0)])
def test_neighbourhoods_are_by_hand(k, shift, monkeypatch):
    monkeypatch.setattr(samples, "ROWS", 7)  # several parts, the last one smaller
    real, drawn = gaussian(40, 3, seed=1), gaussian(31, 3, seed=2) + shift
    found = samples.neighbourhoods(real, drawn, k)
    expected = brute(real.numpy(), drawn.numpy(), k)
    assert {name: n.value for name, n in found.items()} == pytest.approx(expected)


def test_two_sets_of_one_law_have_density_1_and_coverage_1_less_2_to_the_minus_k():
    """The mutant whose balls reach to the k-th point with itself counted has less of both."""
    a, b = gaussian(3_000, 6, seed=1), gaussian(3_000, 6, seed=2)
    found = {name: n.value for name, n in samples.neighbourhoods(a, b).items()}
    assert found["density"] == pytest.approx(1, abs=0.04)
    assert found["coverage"] == pytest.approx(1 - 2**-5, abs=0.01)
    mutant = {name: n.value for name, n in samples.neighbourhoods(a, b, 4).items()}
    assert mutant["density"] * 4 / 5 < 0.9
    assert mutant["coverage"] < 1 - 2**-5 - 0.015


def test_what_lies_elsewhere_is_neither_precise_nor_covers():
    a = gaussian(300, 4, seed=1)
    few = samples.neighbourhoods(a, a[:10].repeat(30, 1) + 1e-3 * gaussian(300, 4, seed=2))
    assert few["precision"].value > 0.9
    assert few["recall"].value < 0.1
    assert few["coverage"].value < 0.3
    far = samples.neighbourhoods(a, a + 100)
    assert not any(n.value for n in far.values())


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="more than 5 of each set are needed, got 5 and 9"):
        samples.neighbourhoods(gaussian(5, 2), gaussian(9, 2))


# Classes, variety, copies


def test_class_entropy_is_log_of_equal_classes():
    assert samples.class_entropy(torch.arange(10).repeat(7)) == pytest.approx(math.log(10))
    assert samples.class_entropy(torch.tensor([3, 3, 8, 8])) == pytest.approx(math.log(2))
    assert samples.class_entropy(torch.full((9,), 4)) == 0
    assert samples.few_classes(math.log(5))
    assert not samples.few_classes(math.log(9))


def test_variety_is_the_ratio_of_mean_squared_distances():
    a, b = gaussian(30, 4, seed=1), gaussian(20, 4, seed=2, scale=3.0)
    apart = [spatial.distance.pdist(x.numpy(), "sqeuclidean").mean() for x in (a, b)]
    assert samples.variety(a, b) == pytest.approx(apart[0] / apart[1])
    assert samples.variety(a[:1].expand(30, -1), b) == pytest.approx(0, abs=1e-9)


def test_a_copy_is_found():
    images = gaussian(50, 9, seed=1)
    found = samples.nearest(torch.cat([images[7:8], images[9:10] + 2]), images)
    assert found[0] == pytest.approx(0, abs=1e-6)
    expected = spatial.distance.cdist((images[9:10] + 2).numpy(), images.numpy()).min()
    assert found[1].item() == pytest.approx(expected)


# The classifier


def test_it_is_trained_once_and_kept_with_its_hash(digits, here, capsys, monkeypatch):
    monkeypatch.setattr(features, "EPOCHS", 6)
    monkeypatch.setattr(features, "LEAST", 20)
    before = random_state()["cpu"]
    first = features.features_of(digits)
    assert "trained for its features" in capsys.readouterr().out
    assert torch.equal(random_state()["cpu"], before)
    assert min(first.accuracy.values()) > 0.6
    again = features.features_of(digits)
    assert not capsys.readouterr().out
    assert (again.sha256, again.accuracy) == (first.sha256, first.accuracy)
    of_first, classes = first.of(grey(digits.test_x))
    assert torch.equal(again.of(grey(digits.test_x))[0], of_first)
    right = (classes == digits.test_y).double().mean().item()
    assert right == pytest.approx(first.accuracy["grey"])
    assert of_first.shape == (len(digits.test_x), 64)
    first.path.write_bytes(b"no classifier")
    with pytest.raises(UserError, match="is not loaded"):
        features.features_of(digits)


def test_a_gradient_passes_through_it_and_leaves_it_alone():
    net = FeatureNet()
    x = torch.rand(3, 2, 784, requires_grad=True)
    found, logits = net(x)
    assert (found.shape, logits.shape) == ((3, 2, 64), (3, 2, 10))
    sum(h.square().sum() for h in (*net.maps(x), logits)).backward()
    assert bool((x.grad != 0).any())
    assert all(p.grad is None and not p.requires_grad for p in net.parameters())


def test_other_images_of_the_same_name_have_another_classifier(digits):
    from dataclasses import replace

    fewer = replace(digits, train_x=digits.train_x[1:], train_y=digits.train_y[1:])
    assert features.path_of(fewer) != features.path_of(digits)
