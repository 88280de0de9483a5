"""Autoencoders against closed forms: PCA, Jacobians, dense layers; and the mistakes they reject."""

import itertools

import numpy as np
import pytest
import torch
from conftest import ROOT
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA
from torch import nn

from benchmarks.autoencoders import commands, page
from codebase import explorer
from codebase.catalogue import CATALOGUE
from codebase.data import subsets
from codebase.data.batches import Batches, grey, seeded_generator
from codebase.data.stream import Stream
from codebase.engine.randomness import seeded
from codebase.engine.session import Session
from codebase.engine.stacked_session import StackedSession
from codebase.engine.step import Step
from codebase.errors import UserError
from codebase.evaluation.pca import Pca
from codebase.explorer.networks import _gives
from codebase.models.autoencoders import (
    DeepAutoencoder,
    DenoisingAutoencoder,
    StackedAutoencoder,
    squared_error,
)
from codebase.models.convolutional import ConvAutoencoder
from codebase.models.noise import KINDS, Noise
from codebase.models.sparse import (
    ContractiveAutoencoder,
    KLSparseAutoencoder,
    KSparseAutoencoder,
    NormSparseAutoencoder,
)
from codebase.runs.saved import SavedRun

D, Z, N = 9, 3, 50
LINEAR = {"x_dim": D, "layers": 0, "activation": "linear", "output": "linear"}
SMALL = {"x_dim": D, "hidden": 7, "layers": 1}


def images(n=N, d=D, seed=0):
    """Not centred, with singular values that differ: (n, d) float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return x @ torch.diag(torch.linspace(0.3, 2, d, dtype=torch.float64)) + 0.7


def built(cls, *args, seed=0, **options):
    torch.manual_seed(seed)
    return cls("run", *args, **options).double()


def trained(model, x, rounds=30):
    """To the end, by L-BFGS on all images."""
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=100, tolerance_grad=1e-12, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss, _ = model.loss(x)
        loss.backward()
        return loss

    for _ in range(rounds):
        optimizer.step(closure)
    return model


# Linear: PCA


@pytest.mark.parametrize(("layers", "tied"), [(0, 0), (0, 1), (1, 0)])
def test_the_linear_one_is_pca(layers, tied):
    """Its span that of the first principal directions, its loss the tail of singular values."""
    x = images()
    model = built(DeepAutoencoder, Z, **LINEAR | {"layers": layers, "hidden": 5, "tied": tied})
    model.prepare(lambda: x)
    trained(model, x)
    centred = x - x.mean(0)
    tail = torch.linalg.svdvals(centred)[Z:].square().sum() / N
    assert model.loss(x)[0].item() == pytest.approx(tail.item(), rel=1e-6)
    steps = model.decode(torch.eye(Z).double()) - model.decode(torch.zeros(1, Z).double())
    expected = PCA(Z).fit(x.numpy()).components_
    angles = subspace_angles(steps.detach().numpy().T, expected.T)
    assert np.cos(angles).min() > 1 - 1e-6


def test_without_its_biases_it_is_not():
    """The mutant: nobody centres."""
    x = images()
    model = built(DeepAutoencoder, Z, **LINEAR)
    for bias in (model.layer(0).bias, model.bias(0)):
        bias.data.zero_()
        bias.requires_grad_(False)
    trained(model, x)
    tail = torch.linalg.svdvals(x - x.mean(0))[Z:].square().sum() / N
    assert model.loss(x)[0] > 1.01 * tail


def test_pca_is_scikit_learn_s():
    x = images().float()
    theirs, ours = PCA(Z).fit(x.numpy()), Pca.of(x, Z)
    again = theirs.inverse_transform(theirs.transform(x.numpy()))
    torch.testing.assert_close(ours.decode(ours.encode(x)).numpy(), again, rtol=1e-4, atol=1e-5)


def test_it_begins_centred_where_the_mean_image_is_drawn(digits):
    x = grey(digits.train_x)
    model = built(DeepAutoencoder, Z, layers=0).float()
    bias = model.layer(0).bias.detach().clone()
    model.prepare(lambda: x)
    torch.testing.assert_close(model.encode(x).mean(0), bias, atol=1e-4, rtol=0)
    drawn = model.decode(torch.zeros(1, Z))[0]
    torch.testing.assert_close(drawn, x.mean(0).clamp(1e-3, 1 - 1e-3))


# Stacked


def step_of(model, digits, seed=0):
    loader = Batches(digits.train_x, digits.train_y, 40, seeded_generator(seed))
    return Step(model, Stream(loader, None, "cpu", "grey"))


def of_pair(model, i):
    """The parameters of the pair of layers i."""
    names = (f"enc.{i}.", f"dec.{i}.", f"biases.{i}")
    return {k: v.clone() for k, v in model.state_dict().items() if k.startswith(names)}


class Masked(StackedAutoencoder):
    """The mutant: what is frozen has a gradient of 0, and Adam's momentum moves it on."""

    def loss(self, x):
        loss, summaries = super().loss(x)
        return loss + 0 * sum(p.sum() for p in self.parameters()), summaries


def moved(cls, digits, tied=0):
    """Which pairs of layers each stage moved."""
    torch.manual_seed(0)
    model = cls("run", Z, hidden=8, layers=2, pretrain=4, tied=tied)
    step, found = step_of(model, digits), []
    for _ in range(4):
        before = [of_pair(model, i) for i in range(3)]
        for _ in range(4):
            step()
        after = [of_pair(model, i) for i in range(3)]
        found.append(
            [
                any(not torch.equal(old[k], new[k]) for k in old)
                for old, new in zip(before, after, strict=True)
            ]
        )
    return found


@pytest.mark.parametrize("tied", [0, 1])
def test_a_stage_leaves_the_other_layers_as_they_are_bit_for_bit(tied, digits):
    expected = [[stage == i for i in range(3)] for stage in range(3)] + [[True] * 3]
    assert moved(StackedAutoencoder, digits, tied) == expected
    assert moved(Masked, digits, tied) != expected


def test_a_stage_s_loss_is_that_of_the_codes_below():
    x, model = images(), built(StackedAutoencoder, Z, **SMALL | {"layers": 2, "pretrain": 3})
    model.steps_taken.fill_(4)  # the second stage's first step
    assert model.stage == 1
    h = torch.nn.functional.elu(x @ model.layer(0).weight.T + model.layer(0).bias)
    again = model.down(1, model.up(1, h))
    loss, summaries = model.loss(x)
    torch.testing.assert_close(loss, squared_error(h, again).mean())
    whole = squared_error(x, model.decode(model.encode(x))).mean()
    torch.testing.assert_close(summaries["gen/error"], whole)


def test_without_pre_training_it_is_the_plain_one():
    x = images()
    stacked, plain = (built(c, Z, **SMALL) for c in (StackedAutoencoder, DeepAutoencoder))
    stacked.steps_taken.fill_(10**9)
    assert torch.equal(stacked.loss(x)[0], plain.loss(x)[0])


def test_seeds_pass_the_stages_together(digits, here):
    """Stacked as one model, each ends where its own steps would have brought it."""

    def sessions():
        found = []
        for seed in range(2):
            torch.manual_seed(seed)
            model = StackedAutoencoder(f"run{seed}", Z, hidden=8, layers=1, pretrain=2)
            loader = Batches(digits.train_x[:90], digits.train_y[:90], 30, seeded_generator(seed))
            found.append(Session(model, loader, None, "cpu", None))
        return found

    alone, together = sessions(), sessions()
    for session in alone:
        for _ in range(6):
            session.step()
    stacked = StackedSession(together)
    for _ in range(6):
        stacked.step()
    for a, b in zip(alone, together, strict=True):
        assert b.model.stage == 2
        for key, t in a.model.state_dict().items():
            torch.testing.assert_close(b.model.state_dict()[key], t, rtol=1e-3, atol=1e-5)


# Convolutions


def test_a_kernel_of_the_image_s_size_is_a_linear_layer():
    x = torch.rand(4, 784, dtype=torch.float64)
    conv = built(ConvAutoencoder, Z, layers=0)
    dense = built(DeepAutoencoder, Z, layers=0)
    dense.layer(0).weight.data = conv.enc[0].weight.data.view(Z, 784)
    dense.layer(0).bias.data = conv.enc[0].bias.data
    dense.dec[0].weight.data = conv.dec[0].weight.data.view(Z, 784).T
    dense.dec[0].bias.data = conv.dec[0].bias.data.expand(784)
    torch.testing.assert_close(conv.encode(x), dense.encode(x))
    torch.testing.assert_close(conv.loss(x)[0], dense.loss(x)[0])


@pytest.mark.parametrize(("side", "layers", "kernel"), [(28, 2, 3), (28, 3, 5), (9, 2, 3)])
def test_a_shift_by_the_stride_shifts_the_maps_by_one(side, layers, kernel):
    model = built(ConvAutoencoder, Z, x_dim=side**2, layers=layers, kernel=kernel, channels=2)
    x = torch.zeros(1, side, side, dtype=torch.float64)
    x[:, 3:6, 3:6] = torch.rand(3, 3, dtype=torch.float64)
    maps = [model.enc[:2](t.unsqueeze(1)) for t in (x, x.roll((2, 2), dims=(1, 2)))]
    torch.testing.assert_close(maps[1][..., 1:, 1:], maps[0][..., :-1, :-1])
    assert model.decode(model.encode(x.flatten(1))).shape == (1, side**2)


def test_sizes_that_do_not_go_are_refused():
    with pytest.raises(ValueError, match="odd"):
        ConvAutoencoder("run", Z, kernel=4)
    with pytest.raises(ValueError, match="square"):
        ConvAutoencoder("run", Z, x_dim=785)
    with pytest.raises(ValueError, match="active must be from 1 to 3"):
        KSparseAutoencoder("run", Z, active=4)


# Noise


@pytest.mark.parametrize("kind", KINDS)
def test_noise_of_rate_0_is_the_plain_one_bit_for_bit(kind, digits):
    found = []
    for cls, options in ((DeepAutoencoder, {}), (DenoisingAutoencoder, {"rate": 0, "noise": kind})):
        torch.manual_seed(0)
        model = cls("run", Z, hidden=8, **options)
        step = step_of(model, digits)
        for _ in range(5):
            step()
        found.append(model.state_dict())
    assert all(torch.equal(t, found[1][key]) for key, t in found[0].items())


def test_noise_is_what_it_is_called():
    x = torch.full((2_000, 50), 0.5, dtype=torch.float64)
    n = x.numel()
    with seeded(1):
        gaussian, masked, spoiled = (Noise(kind, 0.2)(x) for kind in KINDS)
        again = Noise("masking", 0.2)(x)
    assert gaussian.std().item() == pytest.approx(0.2, abs=5 * 0.2 / (2 * n) ** 0.5)
    assert (gaussian < 0).any()  # nothing is cut
    se = 5 * (0.2 * 0.8 / n) ** 0.5
    assert (masked == 0).double().mean().item() == pytest.approx(0.2, abs=se)
    for value in (0, 1):
        assert (spoiled == value).double().mean().item() == pytest.approx(0.1, abs=se)
    assert not torch.equal(masked, again)  # fresh every time


def test_the_loss_is_against_the_clean_image_and_noise_is_for_training_only():
    x = images().clamp(0, 1)
    model = built(DenoisingAutoencoder, Z, **SMALL, noise="masking", rate=0.5)
    with seeded(1):
        loss, _ = model.loss(x)
    with seeded(1):
        noisy = model.noise(x)
    again = model.decode(model.encode(noisy))
    torch.testing.assert_close(loss, squared_error(x, again).mean())
    assert abs(loss - squared_error(noisy, again).mean()) > 0.1  # the mutant
    model.eval()
    plain = squared_error(x, model.decode(model.encode(x))).mean()
    assert torch.equal(model.loss(x)[0], plain)


def test_the_linear_denoiser_is_the_closed_form():
    """x̂ = X Xᵀ (X Xᵀ + N s² I)⁻¹ x̃ of centred images, in expectation over the noise."""
    x, s = images(), 0.5
    x = x - x.mean(0)
    gram = x.T @ x
    best = gram @ torch.linalg.inv(gram + N * s**2 * torch.eye(D).double())
    model = built(DenoisingAutoencoder, D, **LINEAR, noise="gaussian", rate=s)
    with seeded(2):
        noise = s * torch.randn(400, N, D, dtype=torch.float64)
    many, clean = (x + noise).flatten(0, 1), x.expand(400, N, D).flatten(0, 1)
    model.spoiled = lambda t: many  # the same noise at every step, much of it
    trained(model, clean, rounds=3)
    map_ = model.dec[0].weight @ model.enc[0].weight
    torch.testing.assert_close(map_, best, atol=0.02, rtol=0)


# Sparse


@pytest.mark.parametrize("k", [1, 2, 5])
def test_exactly_k_are_not_zero_and_only_they_have_a_gradient(k):
    x, model = images(), built(KSparseAutoencoder, 6, **LINEAR, active=k, alpha=1.5)
    h = (x @ model.layer(0).weight.T + model.layer(0).bias).detach()
    z = model.encode(x)
    assert ((z != 0).sum(1) == k).all()
    kept = h >= h.sort(dim=1, descending=True).values[:, k - 1 : k]  # the largest, not by size
    assert torch.equal(z != 0, kept)
    torch.testing.assert_close(z[kept], h[kept])
    one = model.encode(x[:1])
    (grad,) = torch.autograd.grad(one.sum(), model.layer(0).bias)
    assert torch.equal(grad != 0, kept[0])
    model.eval()
    assert ((model.encode(x) != 0).sum(1) == min(round(1.5 * k), 6)).all()


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_shrinking_the_code_does_not_make_it_cheap(norm):
    """With columns of length 1, W/2 and 2V draw another image; without, the same for less."""
    x = images()
    model = built(NormSparseAutoencoder, 6, **LINEAR, norm=norm, weight=0.5, code="linear")
    z = model.encode(x)
    torch.testing.assert_close(model.matrix(0).norm(dim=0), torch.ones(6).double())
    power = 1 if norm == "l1" else 2
    expected = 0.5 * z.abs().pow(power).sum(1).mean()
    torch.testing.assert_close(model.penalty(x, z), expected)
    before = model.decode(z), model.penalty(x, z)
    for t in (model.layer(0).weight, model.layer(0).bias):
        t.data /= 2
    model.dec[0].weight.data *= 2
    z = model.encode(x)
    assert model.penalty(x, z) < before[1]
    assert (model.decode(z) - before[0]).abs().max() > 0.1
    free = z @ model.dec[0].weight.T + model.bias(0)  # the mutant, whose length is free
    deep = built(NormSparseAutoencoder, 6, **(LINEAR | {"layers": 1}), norm=norm)
    for i in range(2):  # the mutant with one free matrix grows that one
        lengths = deep.matrix(i).norm(dim=0)
        torch.testing.assert_close(lengths, torch.ones_like(lengths))
    shrunk = NormSparseAutoencoder.matrix(model, 0)
    assert (free - (z @ shrunk.T + model.bias(0))).abs().max() > 0.1


def test_kl_is_that_of_coins_and_0_where_the_mean_is_rho():
    x, model = images(), built(KLSparseAutoencoder, 4, **LINEAR, rho=0.2, weight=3.0)
    z = torch.rand(N, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    coin = torch.distributions.Bernoulli
    expected = (
        3
        * torch.distributions.kl_divergence(coin(torch.tensor(0.2).double()), coin(z.mean(0))).sum()
    )
    torch.testing.assert_close(model.penalty(x, z), expected)
    each = 3 * torch.distributions.kl_divergence(coin(torch.tensor(0.2).double()), coin(z))
    assert abs(model.penalty(x, z) - each.sum(1).mean()) > 0.1  # the mutant: of every image
    assert model.penalty(x, torch.full((N, 4), 0.2).double()).item() == pytest.approx(0, abs=1e-12)
    for extreme in (0.0, 1.0):
        assert torch.isfinite(model.penalty(x, torch.full((N, 4), extreme).double()))


def jacobian_norm(model, x):
    of_each = torch.func.vmap(torch.func.jacrev(model.encode))(x)  # (B, Z, D)
    return of_each.square().sum((1, 2)).mean().detach()


def test_the_contractive_penalty_is_the_jacobian_s():
    x, model = images(7), built(ContractiveAutoencoder, 4, **LINEAR, weight=0.3)
    expected = 0.3 * jacobian_norm(model, x)
    torch.testing.assert_close(model.penalty(x, model.encode(x)).detach(), expected)
    without_slope = 0.3 * model.layer(0).weight.square().sum()  # the mutant leaves h′ out
    assert abs(without_slope - expected) > 0.01


def test_of_several_layers_it_is_so_on_average_and_has_a_gradient():
    x, model = images(5), built(ContractiveAutoencoder, 4, **SMALL, weight=0.3)
    z = model.encode(x)
    with seeded(1):
        draws = torch.stack([model.penalty(x, z) for _ in range(2_000)])
    expected = 0.3 * jacobian_norm(model, x)
    se = draws.std() / len(draws) ** 0.5
    assert abs(draws.mean() - expected) < 5 * se
    assert abs(draws.mean() - 2 * expected) > 5 * se
    (grad,) = torch.autograd.grad(model.penalty(x, z), model.layer(0).weight)
    assert (grad != 0).any()


def test_tied_weights_cannot_pay_for_a_small_jacobian():
    """Untied, W/2 beside 2V: nearly the same image where units are linear, for a quarter."""
    x = images(7)
    tied, untied = (built(ContractiveAutoencoder, 4, **LINEAR, tied=t) for t in (1, 0))
    assert {k for k, _ in tied.named_parameters()} == {"enc.0.weight", "enc.0.bias", "biases.0"}
    assert torch.equal(tied.matrix(0), tied.layer(0).weight.T)
    assert untied.matrix(0).shape == (D, 4)
    assert tied.loss(x)[0].isfinite()


# All


@pytest.mark.parametrize(
    "name", [n for n, e in CATALOGUE.items() if e.task == "reconstruction" and n != "conv-ae"]
)
def test_networks_are_what_the_model_computes(name, digits):
    entry = CATALOGUE[name]
    model = entry.build(entry.defaults() | {"z": 30}, "run").eval()
    x = grey(digits.test_x[:3])
    z = model.encode(x)
    nets = model.networks()
    assert _gives(nets["decoder"], z, model.decode(z))
    if name == "k-sparse-ae":
        assert "encoder" not in nets
    else:
        assert _gives(nets["encoder"], x, z)
    for layer in itertools.chain(*nets.values()):
        assert isinstance(layer, nn.Linear | nn.ELU | nn.ReLU | nn.Sigmoid)


def test_a_digit_is_left_out_of_training(digits):
    (x, y), held_out = subsets.training(digits, 4)
    assert set(y.tolist()) == set(range(10)) - {4}
    assert len(x) == len(y) == int((digits.train_y != 4).sum())
    assert not len(held_out)
    (x, y), held_out = subsets.training(digits, 4, 50)
    assert len(held_out) == 50
    assert not (y == 4).any()
    with pytest.raises(UserError, match="--validation"):
        subsets.training(digits, 4, 1_000)


def test_the_explorer_moves_over_the_spread_of_the_codes(digits, here):
    torch.manual_seed(0)
    model = CATALOGUE["ae"].build({"z": 4}, "run").eval()
    found = explorer.content(SavedRun(here, model, 0, "digits", kind="ae"), digits)
    with torch.no_grad():
        z = model.encode(grey(digits.test_x))
    assert found["of"] == "variance"
    torch.testing.assert_close(torch.tensor(found["kl"]), z.var(0))
    torch.testing.assert_close(torch.tensor(found["prior_m"]), z.mean(0))
    torch.testing.assert_close(torch.tensor(found["prior_s"]), z.std(0))
    assert found["order"] == z.var(0).argsort(descending=True).tolist()
    sparse = CATALOGUE["k-sparse-ae"].build({"z": 30}, "run").eval()
    with pytest.raises(UserError, match="needs the encoder of run as an MLP; it has none"):
        explorer.content(SavedRun(here, sparse, 0, "digits"), digits)


def test_the_commands_of_the_page_name_the_runs_that_they_train():
    lines = commands()
    trained = {line for line in lines if " use " not in line}
    assert "python run.py ae --z 10 --without 4 --threads 1" in trained
    used = [line.split()[4] for line in lines if " use " in line]
    assert "model=ae_z=10_run=0000_without=4" in used
    assert "model=denoising-ae_z=32_run=0002_noise=saltpepper_rate=0.2" in used
    assert "model=k-sparse-ae_z=1000_run=0001" in used


def test_the_page_s_tables_are_those_of_the_results():
    assert page() == (ROOT / "docs" / "autoencoders.md").read_text(encoding="utf-8")
