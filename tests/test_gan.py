"""The game against its solution on a table, and what each player moves."""

import hashlib
import json
import math

import pytest
import torch
from oracles import Net, gaussian

from codebase import command
from codebase.data.batches import grey
from codebase.engine.randomness import seeded
from codebase.evaluation import features
from codebase.evaluation.numbers import Number
from codebase.files import logs
from codebase.models.adversarial import BatchNorm, discriminator_loss, generator_loss
from codebase.models.gan import GAN
from codebase.tasks import adversarial as task

GAMES = pytest.mark.parametrize("game", ["non-saturating", "minimax"])


# A table: every image is one of five, the data are so many of each, and so are the samples.

DATA, DRAWN = torch.tensor([6, 3, 1, 0, 2]), torch.tensor([1, 3, 4, 4, 0])


def table():
    """A GAN of five one-hot images, whose discriminator has log odds for each, all 0 as yet."""
    model = GAN(z_dim=1, x_dim=5).double()
    images = torch.eye(5).double()
    drawn = images.repeat_interleave(DRAWN, 0)
    odds = torch.zeros(5).double().requires_grad_()
    model.discriminator = Net(lambda x: x @ odds)
    model.draw = lambda z: drawn
    return model, images.repeat_interleave(DATA, 0), odds


def test_the_best_discriminator_is_p_over_p_plus_q_and_the_value_twice_jsd_less_2_log_2():
    model, x, odds = table()
    optimizer = torch.optim.LBFGS(
        [odds], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss, _ = model.loss(x, player="discriminator")
        loss.backward()
        return loss

    optimizer.step(closure)
    p, q = (n.double() / n.sum() for n in (DATA, DRAWN))
    torch.testing.assert_close(odds.detach().sigmoid(), p / (p + q), rtol=0, atol=1e-5)
    m = (p + q) / 2
    jsd = sum((torch.xlogy(r, r) - torch.xlogy(r, m)).sum() for r in (p, q)) / 2
    loss, found = model.loss(x, player="discriminator")
    assert -loss.item() == pytest.approx((2 * jsd - 2 * math.log(2)).item(), abs=1e-5)
    assert found["gan/d_real"].item() == pytest.approx((p * p / (p + q)).sum().item(), abs=1e-5)
    assert found["gan/d_drawn"].item() == pytest.approx((q * p / (p + q)).sum().item(), abs=1e-5)


def test_where_nothing_can_be_told_it_loses_log_4():
    model, x, _ = table()
    assert model.loss(x, player="discriminator")[0].item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("d", [1e-6, 0.1, 0.5, 0.9])
def test_the_gradients_of_the_games_are_1_less_d_over_d_apart(d):
    """Both push the same way; at D = 0 the minimax one has all but vanished."""
    odds = torch.tensor([math.log(d / (1 - d))]).double().requires_grad_()
    ns, minimax = (
        torch.autograd.grad(generator_loss(odds, game), odds)[0].item()
        for game in ("non-saturating", "minimax")
    )
    assert ns == pytest.approx(-(1 - d))
    assert minimax == pytest.approx(-d)
    assert ns / minimax == pytest.approx((1 - d) / d)


def test_losses_are_those_of_the_lecture_and_finite_where_the_mutant_s_logarithms_are_not():
    odds = gaussian(7, seed=1), gaussian(5, seed=2)
    d = [o.sigmoid() for o in odds]
    expected = -d[0].log().mean() - (1 - d[1]).log().mean()
    torch.testing.assert_close(discriminator_loss(*odds), expected)
    torch.testing.assert_close(generator_loss(odds[0], "minimax"), (1 - d[0]).log().mean())
    torch.testing.assert_close(generator_loss(odds[0], "non-saturating"), -d[0].log().mean())
    far = torch.tensor([200.0, -200.0], requires_grad=True)
    assert not torch.isfinite((1 - far.sigmoid()).log()).all()  # the mutant
    for loss in (
        discriminator_loss(far, far),
        *(generator_loss(far, game) for game in ("minimax", "non-saturating")),
    ):
        assert torch.isfinite(loss)
        assert torch.isfinite(torch.autograd.grad(loss, far)[0]).all()


# Players


@GAMES
@pytest.mark.parametrize("net", ["mlp", "conv"])
def test_each_player_s_loss_is_of_its_own_networks(game, net):
    """The discriminator's gradient stops at what was drawn, the generator's passes through D."""
    model = GAN(z_dim=3, game=game, net=net, hidden=8, x_dim=64)
    x = torch.rand(6, 64)
    model.loss(x, player="discriminator")[0].backward()
    assert all(p.grad is None for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.discriminator.parameters())
    model.zero_grad()
    model.loss(x, player="generator")[0].backward()
    assert all((p.grad != 0).any() for p in model.generator.parameters())
    owned = [{id(p) for p in own} for own in model.players().values()]
    assert not owned[0] & owned[1]
    assert owned[0] | owned[1] == {id(p) for p in model.parameters()}


@pytest.mark.parametrize("net", ["mlp", "conv"])
def test_a_generator_s_step_makes_its_images_likelier_to_the_discriminator(net):
    torch.manual_seed(0)
    model = GAN(z_dim=3, net=net, hidden=16, x_dim=64)
    z = torch.randn(50, 3)
    before = model.discriminator(model.draw(z)).mean()
    optimizer = torch.optim.Adam(model.generator.parameters(), lr=1e-3)
    for _ in range(20):
        optimizer.zero_grad()
        model.loss(torch.rand(50, 64), player="generator")[0].backward()
        optimizer.step()
    assert model.discriminator(model.draw(z)).mean() > before


@pytest.mark.parametrize("net", ["mlp", "conv"])
def test_looking_at_a_model_leaves_it_as_it_was(net, digits):
    """One in training would move its averages, and draw others in other company."""
    model = GAN(z_dim=3, net=net, hidden=8)
    for _ in range(3):
        model.loss(torch.rand(9, 784))
    before = {key: t.clone() for key, t in model.state_dict().items()}
    model.eval()
    task.game(model, grey(digits.test_x[:20]))
    drawn = task.draw(model, 7)
    assert all(torch.equal(t, before[key]) for key, t in model.state_dict().items())
    with seeded():
        z = model.sample_z(7)
        torch.testing.assert_close(model.draw(z[:1]), drawn[:1])
        assert not torch.allclose(model.train().draw(z), drawn)


def test_units_are_normalized_as_torch_s_are():
    for shape, theirs in (((9, 4), torch.nn.BatchNorm1d), ((5, 4, 3, 2), torch.nn.BatchNorm2d)):
        own, theirs = BatchNorm(4).double(), theirs(4).double()
        for seed in range(3):
            h = 2 * gaussian(*shape, seed=seed) + 1
            torch.testing.assert_close(own(h), theirs(h))
        h = gaussian(*shape, seed=9)
        # Its averages are of variances as large samples would have them.
        n = h[:, 0].numel()
        torch.testing.assert_close(own.m, theirs.running_mean)
        torch.testing.assert_close(own.v - 0.9**3, (theirs.running_var - 0.9**3) * (n - 1) / n)
        theirs.running_var.copy_(own.v)
        torch.testing.assert_close(own.eval()(h), theirs.eval()(h))


def test_images_are_grey_and_of_so_many_latents():
    model = GAN(z_dim=3, net="conv", hidden=8)
    drawn = model.sample_x(4)
    assert drawn.shape == (4, 784)
    assert 0 <= drawn.min() < drawn.max() <= 1
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"z_dim": 0}, "z_dim must be at least 1"),
        ({"hidden": 0}, "hidden must be at least 1"),
        ({"game": "chess"}, "game is non-saturating or minimax"),
        ({"net": "conv", "x_dim": 36}, "sides that 4 divides, got 6 × 6"),
        ({"net": "conv", "x_dim": 35}, "square images"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(options, said):
    with pytest.raises(ValueError, match=said):
        GAN(**options)


# The task


def test_what_the_discriminator_says_is_of_images_one_by_one(digits):
    torch.manual_seed(0)
    model, x = GAN(z_dim=3, hidden=8).eval(), grey(digits.test_x)
    found = task.game(model, x)
    with seeded():
        drawn = model.sample_x(len(x))
        d = [model.discriminator(t).sigmoid().double() for t in (x, drawn)]
    expected = (d[0].log() + (1 - d[1]).log()).mean().item()
    assert found["value"].value == pytest.approx(expected, abs=1e-5)
    right = ((d[0] > 0.5).double() + (d[1] < 0.5).double()).mean().item() / 2
    assert found["right"].value == pytest.approx(right)


def test_a_generator_that_draws_one_image_has_collapsed(digits):
    x = grey(digits.test_x)

    def numbers(drawn, classes=None):
        few = {} if classes is None else {"class entropy": Number(math.log(classes), None)}
        return task.game(GAN(z_dim=3, hidden=8), x, drawn) | few

    assert "vary 0.0" in task.collapse(numbers(x[:1] + 0.01 * torch.rand(len(x), 784)))
    assert task.collapse(numbers(x)) == ""
    assert task.collapse(numbers(x, 9)) == ""
    assert "few classes" in task.collapse(numbers(x, 3))


def test_a_run_logs_both_players_and_warns_of_collapse(here, capsys):
    words = ["gan", "--dataset", "digits", "--iter_max", "60", "--iter_save", "50"]
    command.named([*words, "--threads", "1", "--hidden", "16", "--z", "2"])
    said = capsys.readouterr().out
    assert "no bound" in said
    assert "WARNING: at iteration 50 the generator has collapsed" in said
    assert said.rstrip().splitlines()[-1].startswith("*** WARNING: the generator has collapsed")
    (folder,) = (here / "checkpoints").iterdir()
    tags = logs.scalars(folder.name)
    assert {"gan/discriminator", "gan/generator", "test/value", "test/variety"} <= tags.keys()
    assert len(tags["gan/generator"]) > 1
    assert any(folder.rglob("samples.png"))


def test_its_samples_are_judged_with_the_classifier_s_hash_and_its_codes_are_not(
    here, capsys, monkeypatch
):
    monkeypatch.setattr(features, "EPOCHS", 0)
    monkeypatch.setattr(features, "LEAST", 5)
    words = ["gan", "--dataset", "digits", "--iter_max", "2", "--threads", "1"]
    command.named([*words, "--hidden", "16", "--z", "2"])
    (folder,) = (here / "checkpoints").iterdir()
    command.named(["use", "quality", folder.name, "--samples", "60", "--data_dir", str(here)])
    record = json.loads((folder / "use-quality.json").read_text())
    (kept,) = (here / "features").iterdir()
    assert record["features_sha256"] == hashlib.sha256(kept.read_bytes()).hexdigest()
    assert record["images"] == 60
    samples, floor = record["numbers"].values()
    assert samples.keys() == floor.keys()
    assert samples["FID"]["value"] > floor["FID"]["value"]
    assert "the floor" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.named(["use", "labels", folder.name, "--data_dir", str(here)])
    assert "gives images no codes" in capsys.readouterr().err
