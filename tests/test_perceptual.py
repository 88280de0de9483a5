"""Distances of an image and its reconstruction, against plain formulas and what they reduce to."""

import math

import pytest
import torch
from oracles import binary, gaussian
from torch.nn import functional as F

from codebase import command
from codebase.engine.randomness import seeded
from codebase.evaluation import features
from codebase.files import checkpoints
from codebase.models.family import FamilyVAE
from codebase.models.features import FeatureNet
from codebase.models.objectives import Elbo
from codebase.models.perceptual import WEIGHTS, Dfc, MsSsim, ms_ssim, similarity, window
from codebase.runs.saved import open_run

B, Z = 5, 3


def pictures(*shape, seed=0):
    """Smooth images in [0, 1]."""
    noise = gaussian(*shape, seed=seed)
    return F.avg_pool2d(noise.unsqueeze(1), 3, 1, 1).squeeze(1).mul(2).sigmoid()


# DFC


class Same(torch.nn.Module):
    """One layer, the image itself."""

    def maps(self, x):
        return (x,)


def test_with_the_image_as_the_only_layer_it_is_the_mean_squared_error():
    x, again = torch.rand(2, B, 9).double()
    found = Dfc(Z, features=Same()).distance(x, again)
    torch.testing.assert_close(found, (x - again).square().mean(1))


def test_every_layer_counts_as_its_own_mean_whatever_its_size():
    x, again = binary(B, 784), torch.rand(B, 784)
    objective = Dfc(Z)
    pairs = zip(objective.features.maps(x), objective.features.maps(again), strict=True)
    expected = torch.stack([F.mse_loss(a[2], b[2]) for a, b in pairs])
    assert len(expected) == 2
    found = objective.distance(x, again)
    assert found.shape == (B,)
    torch.testing.assert_close(found[2], expected.sum())
    assert abs(found[2] - expected.mean()) > 1e-5  # the mutant that averages layers


@pytest.mark.parametrize("objective", [Dfc, MsSsim])
def test_what_is_minimized_is_kl_and_the_weighed_distance_and_logged_is_the_plain_bound(objective):
    torch.manual_seed(0)
    model = FamilyVAE(z_dim=Z, objective=lambda z: objective(z, gamma=20.0))
    x = binary(B, 784)
    with seeded(3):
        loss, found = model.loss(x)
    with seeded(3):
        z = model.posterior(x).rsample()
        apart = model.objective.distance(x, model.likelihood(z).mean).mean()
    with seeded(3):
        _, plain = Elbo(Z)(model, x, "model")
    for tag in ("gen/elbo", "gen/kl_z", "gen/rec"):
        torch.testing.assert_close(found[tag], plain[tag])
    torch.testing.assert_close(loss.detach(), plain["gen/kl_z"] + 20 * apart)
    assert found["gen/distance"].item() == pytest.approx(apart.item(), rel=1e-5)


def test_the_classifier_gets_no_gradient_and_the_decoder_does():
    torch.manual_seed(0)
    model = FamilyVAE(z_dim=Z, objective=Dfc)
    model.objective.gamma = 1.0
    model.loss(binary(B, 784))[0].backward()
    assert all(p.grad is None for p in model.objective.features.parameters())
    assert all((p.grad != 0).any() for p in model.dec.parameters())
    frozen = {id(p) for p in model.objective.features.parameters()}
    assert not frozen & {id(p) for own in model.players().values() for p in own}


def test_a_run_looks_through_the_classifier_of_its_data_and_keeps_it(here, digits, monkeypatch):
    monkeypatch.setattr(features, "EPOCHS", 0)
    monkeypatch.setattr(features, "LEAST", 3)
    command.named(["dfc", "--dataset", "digits", "--iter_max", "3", "--threads", "1", "--z", "2"])
    (folder,) = (here / "checkpoints").iterdir()
    judge = features.features_of(digits).net.state_dict()
    own = open_run(folder).model.objective.features.state_dict()
    assert all(torch.equal(own[key], judge[key]) for key in judge)
    assert not torch.equal(own["last.weight"], FeatureNet().last.weight)
    state = checkpoints.load(folder / "model-00003.pt")
    assert any("features" in key for key in state)


@pytest.mark.parametrize("objective", [Dfc, MsSsim])
def test_a_negative_weight_is_refused(objective):
    with pytest.raises(ValueError, match="gamma must be at least 0, got -1"):
        objective(Z, gamma=-1)


# MS-SSIM


def plain_similarity(x, y, size, s):
    """One pair of images, window by window, every moment a loop's weighted sum."""
    weights = [math.exp(-((i - size // 2) ** 2) / (2 * s * s)) for i in range(size)]
    total = sum(weights)
    height, width = x.shape
    ssims, parts = [], []
    for top in range(height - size + 1):
        for left in range(width - size + 1):
            cells = [
                (
                    weights[i] * weights[j] / total**2,
                    x[top + i, left + j].item(),
                    y[top + i, left + j].item(),
                )
                for i in range(size)
                for j in range(size)
            ]
            m_x = sum(w * a for w, a, _ in cells)
            m_y = sum(w * b for w, _, b in cells)
            v_x = sum(w * (a - m_x) ** 2 for w, a, _ in cells)
            v_y = sum(w * (b - m_y) ** 2 for w, _, b in cells)
            cov = sum(w * (a - m_x) * (b - m_y) for w, a, b in cells)
            cs = (2 * cov + 0.0009) / (v_x + v_y + 0.0009)
            parts.append(cs)
            ssims.append((2 * m_x * m_y + 0.0001) / (m_x**2 + m_y**2 + 0.0001) * cs)
    return sum(ssims) / len(ssims), sum(parts) / len(parts)


def halved(x):
    rows, columns = (side - side % 2 for side in x.shape)
    return sum(x[i:rows:2, j:columns:2] for i in (0, 1) for j in (0, 1)) / 4


def plain_ms_ssim(x, y, size, s, weights):
    found, total = 1.0, sum(weights)
    for level, weight in enumerate(weights):
        ssim, cs = plain_similarity(x, y, size, s)
        found *= (ssim if level == len(weights) - 1 else cs) ** (weight / total)
        x, y = (halved(t) for t in (x, y))
    return found


def test_the_window_falls_towards_its_edges_and_sums_to_one():
    """The mutant without the minus in the exponent rises."""
    k = window(5, 1.0)
    assert k.sum().item() == pytest.approx(1)
    assert torch.equal(k, k.flip(0))
    assert k[2] > k[1] > k[0] > 0
    assert (k[0] / k[2]).item() == pytest.approx(math.exp(-2))


def test_similarity_is_the_plain_formula_window_by_window():
    x, y = pictures(3, 9, 11, seed=1), pictures(3, 9, 11, seed=2)
    ssim, cs = similarity(x, y, window(5, 1.0))
    for i in range(3):
        assert (ssim[i].item(), cs[i].item()) == pytest.approx(
            plain_similarity(x[i], y[i], 5, 1.0), rel=1e-5
        )


def test_levels_are_the_plain_formula_and_the_last_is_raised_to_its_own_weight_once():
    x = pictures(2, 28, 28, seed=1)
    y = (0.7 * x + 0.3 * pictures(2, 28, 28, seed=2)).clamp(0, 1)
    k = window(5, 1.0)
    found = ms_ssim(x, y, k)
    for i in range(2):
        expected = plain_ms_ssim(x[i], y[i], 5, 1.0, WEIGHTS[:3])
        assert found[i].item() == pytest.approx(expected, rel=1e-5)
    small = [F.avg_pool2d(t.unsqueeze(1), 4).squeeze(1) for t in (x, y)]
    last, _ = similarity(*small, k)
    mutant = found * last ** (WEIGHTS[2] / sum(WEIGHTS[:3]))  # once more
    assert ((found - mutant).abs() > 0.01).all()


def test_at_equal_settings_it_is_pytorch_msssim_s():
    theirs = pytest.importorskip("pytorch_msssim")
    x = pictures(4, 72, 72, seed=1).float()
    y = (0.7 * x + 0.3 * pictures(4, 72, 72, seed=2).float()).clamp(0, 1)
    k = theirs.ssim.__globals__["_fspecial_gauss_1d"](5, 1.0)
    weights = [w / sum(WEIGHTS[:3]) for w in WEIGHTS[:3]]
    expected = theirs.ms_ssim(
        x.unsqueeze(1),
        y.unsqueeze(1),
        data_range=1,
        size_average=False,
        win=k.repeat(1, 1, 1, 1),
        weights=weights,
    )
    torch.testing.assert_close(ms_ssim(x, y, window(5, 1.0)), expected, rtol=1e-4, atol=1e-5)


def test_equal_images_are_1_apart_from_none_and_order_does_not_matter():
    x, y = pictures(4, 28, 28, seed=1), pictures(4, 28, 28, seed=2)
    k = window(5, 1.0)
    torch.testing.assert_close(ms_ssim(x, x, k), torch.ones(4).double())
    torch.testing.assert_close(ms_ssim(x, y, k), ms_ssim(y, x, k))
    assert (ms_ssim(x, y, k) < 0.9).all()
    flat = torch.zeros(1, 28, 28).double()
    torch.testing.assert_close(ms_ssim(flat, flat, k), torch.ones(1).double())


def test_where_the_networks_are_in_bf16_it_is_not():
    """In the mutant E[x²] − m² of all but flat images is rounding, and similarity above 1."""
    x = (0.7 + 0.02 * pictures(4, 28, 28, seed=1)).float()
    y = (0.7 + 0.02 * pictures(4, 28, 28, seed=2)).float()
    k = window(5, 1.0)
    expected = ms_ssim(x.double(), y.double(), k).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = ms_ssim(x, y, k)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_opposites_have_a_finite_gradient():
    """Their parts are below 0, where the mutant without a floor has no power."""
    x = pictures(2, 28, 28, seed=1)
    y = (1 - x).requires_grad_()
    k = window(5, 1.0)
    assert (similarity(x, y, k)[1] < 0).all()
    (gradient,) = torch.autograd.grad(ms_ssim(x, y, k).sum(), y)
    assert torch.isfinite(gradient).all()
    assert not torch.isfinite(similarity(x, y, k)[1] ** 0.3).any()


def test_a_window_that_has_no_room_is_refused():
    with pytest.raises(ValueError, match="16 × 16, halved 2 times, have no room for a window of 5"):
        ms_ssim(pictures(1, 16, 16), pictures(1, 16, 16), window(5, 1.0))
