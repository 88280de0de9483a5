"""The VAE-GAN's routing of gradients, cell by cell, and its bound."""

import math

import pytest
import torch
from torch.nn import functional as F

from codebase.data.batches import Batches, seeded_generator
from codebase.data.stream import Stream
from codebase.engine.randomness import seeded
from codebase.engine.step import Step
from codebase.models.vaegan import VAEGAN

B, Z, D, GAMMA = 6, 3, 64, 0.3
NETS = pytest.mark.parametrize("net", ["mlp", "conv"])


def built(net="mlp", **options):
    torch.manual_seed(0)
    return VAEGAN(z_dim=Z, gamma=GAMMA, net=net, hidden=8, x_dim=D, **options).double()


def images(n=B):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, D), generator=generator).double() / 255


def groups(model):
    """{network: parameters}; the scale of the pixels is its own."""
    return {
        "enc": list(model.enc.parameters()),
        "gen": list(model.generator.parameters()),
        "dis": list(model.discriminator.parameters()),
        "scale": list(model.pixels.parameters()),
    }


def terms(model, x, noise):
    """The terms of the paper, each by itself, written plainly: {name: scalar}."""
    m, v, _ = model.enc(x)
    z = m + v.sqrt() * noise["z"]
    again, other = (torch.sigmoid(model.generator(t)) for t in (z, noise["p"]))
    dis = model.discriminator
    d = [torch.sigmoid(dis.above(dis.below(2 * t - 1))) for t in (x, again, other)]
    apart = dis.below(2 * x - 1) - dis.below(2 * again - 1)
    return {
        "kl": (0.5 * (v + m * m - 1 - v.log())).sum(1).mean(),
        "features": 0.5 * apart.square().sum(1).mean(),
        "fool": -(d[1].log().mean() + d[2].log().mean()) / 2,
        "tell": -d[0].log().mean() - ((1 - d[1]).log().mean() + (1 - d[2]).log().mean()) / 2,
    }


def noise_of(player):
    """What the loss draws after a seed: z first, then latents of the prior."""
    with seeded(5):
        return {"z": torch.randn(B, Z).double(), "p": torch.randn(B, Z).double()}


@pytest.fixture
def drawn(monkeypatch):
    """Has the model draw float32 noise, so that what it draws can be drawn again."""
    plain = torch.randn_like

    def randn_like(t, **options):
        return plain(t.float(), **options).double()

    monkeypatch.setattr(torch, "randn_like", randn_like)


# What moves which network: the sum of these terms with these weights, and nothing else.
ROUTES = {
    "discriminator": {"dis": {"tell": 1}},
    "encoder": {"enc": {"kl": 1, "features": 1}},
    "generator": {"gen": {"features": GAMMA, "fool": 1}},
}


@NETS
@pytest.mark.parametrize("player", ROUTES)
def test_each_network_is_moved_by_its_own_terms_and_no_other(player, net, drawn):
    """The mutants: a term left out, or the game in enc, or the reconstruction in dis."""
    model, x = built(net), images()
    with seeded(5), torch.enable_grad():
        loss, _ = model.loss(x, player=player)
    ((network, weights),) = ROUTES[player].items()
    own = groups(model)[network]
    found = torch.autograd.grad(loss, own)
    plain = terms(model, x, noise_of(player))
    each = {
        name: torch.autograd.grad(t, own, allow_unused=True, retain_graph=True)
        for name, t in plain.items()
    }
    for i, gradient in enumerate(found):
        expected = sum(weight * each[name][i] for name, weight in weights.items())
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)
    for name in plain.keys() - weights.keys():  # what must not be there would be seen
        other = [g for g in each[name] if g is not None]
        assert name == "kl" or any((g != 0).any() for g in other), (player, name)


@NETS
def test_a_step_moves_each_player_s_parameters_by_its_own_loss(net):
    """With the others' rates at 0 nothing else moves: the whole table, through the engine."""
    for player in ROUTES:
        model = built(net).float()
        x = (images(30) * 255).round().to(torch.uint8)
        loader = Batches(x, torch.zeros(30), B, seeded_generator(0))
        step = Step(model.train(), Stream(loader, None, "cpu", "grey"), 1e-3)
        for name, optimizer in step.optimizers.items():
            optimizer.param_groups[0]["lr"] = 1e-3 * (name == player)
        before = {k: [p.clone() for p in own] for k, own in groups(model).items()}
        step()
        moved = {
            name: any(not torch.equal(a, b) for a, b in zip(before[name], own, strict=True))
            for name, own in groups(model).items()
        }
        expected = {*ROUTES[player]} | ({"scale"} if player == "generator" else set())
        assert {name for name, was in moved.items() if was} == expected


def test_the_pixels_move_the_scale_and_nothing_else():
    """The generator's gradient is what it is without the scale's loss."""
    model, x = built(), images()
    with seeded(5), torch.enable_grad():
        loss, found = model.loss(x, player="generator")
    (scale,) = torch.autograd.grad(loss, [model.pixels.log_s], retain_graph=True)
    assert scale != 0
    game = found["gan/generator"]
    both = [torch.autograd.grad(t, groups(model)["gen"], retain_graph=True) for t in (loss, game)]
    assert all(torch.equal(a, b) for a, b in zip(*both, strict=True))


def test_the_discriminator_sees_reconstructions_and_prior_samples():
    """The mutants without one of them would not change with it."""
    x = images()
    for network in ("enc", "generator"):
        found = []
        for scale in (1.0, 3.0):
            model = built()
            with torch.no_grad():
                getattr(model, network).apply(
                    lambda m, s=scale: m.weight.mul_(s) if isinstance(m, torch.nn.Linear) else None
                )
            with seeded(5):
                found.append(model.loss(x, player="discriminator")[0])
        assert found[0] != found[1]
    model = built()
    with seeded(5):
        calls = []
        model.discriminator.register_forward_hook(lambda m, args, out: calls.append(args[0]))
        model.loss(x, player="discriminator")
    assert calls[0].shape == (3 * B, D)


def test_what_is_logged_is_the_plain_bound_of_grey_levels(drawn):
    model, x = built(), images()
    with seeded(5):
        loss, found = model.loss(x, player="generator")
    assert found["train/loss"] == loss
    with seeded(5):
        nelbo, kl, rec = model.negative_elbo_bound(x)
    assert found["gen/elbo"].item() == pytest.approx(-nelbo.item())
    assert (found["gen/kl_z"].item(), found["gen/rec"].item()) == pytest.approx(
        (kl.item(), rec.item())
    )
    # Over all 256 levels of a pixel the masses sum to one.
    p = model.likelihood(torch.zeros(1, Z).double())
    levels = (torch.arange(256).double() / 255).unsqueeze(1).expand(-1, D)
    cost = torch.stack([_of_pixel(p, levels, j) for j in range(3)])
    torch.testing.assert_close(cost.exp().sum(1), torch.ones(3).double())


def _of_pixel(p, levels, j):
    """log P of each level of pixel j."""
    alone = type(p)(p.m[..., j : j + 1], p.s)
    return alone.log_prob(levels[:, j : j + 1])


@NETS
def test_images_are_what_the_discriminator_judges(net):
    model = built(net)
    z = torch.randn(2, 5, Z).double()
    drawn = model.sample_x_given(z)
    assert drawn.shape == (2, 5, D)
    torch.testing.assert_close(drawn, model.likelihood(z).mean)
    torch.testing.assert_close(drawn[1, 2:3], model.draw(z[1, 2:3]))


def test_where_nothing_can_be_told_the_players_lose_log_4_and_log_2():
    model, x = built(), images()
    with torch.no_grad():
        for p in model.discriminator.parameters():
            p.zero_()
    assert model.loss(x, player="discriminator")[0].item() == pytest.approx(math.log(4))
    assert model.loss(x, player="generator")[1]["gan/generator"].item() == pytest.approx(
        math.log(2)
    )
    kl = model.loss(x, player="encoder")[0].item()
    m, v, _ = model.enc(x)
    assert kl == pytest.approx((0.5 * (v + m * m - 1 - v.log())).sum(1).mean().item())
    assert F.softplus(torch.zeros(())).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"z_dim": 0}, "z_dim must be at least 1"),
        ({"hidden": 0}, "hidden must be at least 1"),
        ({"gamma": -1.0}, "gamma must be at least 0, got -1"),
        ({"net": "deep"}, "net mlp or conv"),
        ({"net": "conv", "x_dim": 36}, "sides that 4 divides"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(options, said):
    with pytest.raises(ValueError, match=said):
        VAEGAN(**options)
