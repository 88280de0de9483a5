"""Several players and schedules, by a model made for it: a one-dimensional adversarial game."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from codebase.data.batches import Batches, seeded_generator
from codebase.engine.session import Session
from codebase.engine.stack import NotStackable
from codebase.engine.stacked_session import StackedSession
from codebase.models.base import Abilities, Model
from codebase.train import loop

quiet = partial(tqdm, disable=True)
pytestmark = pytest.mark.usefixtures("here")  # for checkpoints/
MEAN, S = 0.6, 0.1  # of the grey "images", one pixel each


class Game(Model):
    """A generator a + S ε of numbers against a logistic regression on x.

    Both see their numbers through noise that fades over the first WARM_UP steps.
    """

    abilities = Abilities(pixels="grey", samples=True)
    WARM_UP = 100

    def __init__(self, name="game"):
        super().__init__(name)
        self.generator = nn.Parameter(torch.zeros(()))
        self.critic = nn.Linear(1, 1)

    def players(self):
        return {"critic": list(self.critic.parameters()), "generator": [self.generator]}

    def noise(self):
        """How strong the noise is now."""
        return 0.2 * (1 - self.steps_taken / self.WARM_UP).clamp(min=0)

    def logit(self, x):
        return self.critic(x - 0.5 + self.noise() * torch.randn_like(x))

    def loss(self, x, player):
        drawn = self.generator + S * torch.randn_like(x)
        if player == "critic":
            loss = F.softplus(-self.logit(x)).mean() + F.softplus(self.logit(drawn)).mean()
            loss = loss + self.critic.weight.square().sum()  # or the two chase each other for ever
        else:
            loss = F.softplus(-self.logit(drawn)).mean()
        return loss, {f"{player}/loss": loss, "noise": self.noise()}


def session(seed=0, **options):
    torch.manual_seed(seed)
    draws = MEAN + S * torch.randn(500, 1, generator=seeded_generator(seed))
    x = (255 * draws).round().clamp(0, 255).to(torch.uint8)
    loader = Batches(x, torch.zeros(500), 50, seeded_generator(seed))
    return Session(Game(f"game{seed}"), loader, None, "cpu", None, lr=1e-2, **options)


def weights(own):
    return torch.cat([p.detach().flatten() for p in own.model.parameters()])


def test_players_are_asked_in_their_order_and_get_gradients_of_their_own_loss():
    own = session()
    model, asked, loss = own.model, [], own.model.loss

    def noted(*batch, player):
        asked.append(player)
        return loss(*batch, player=player)

    model.loss = noted
    torch.manual_seed(1)
    own.step()
    assert asked == ["critic", "generator"]
    assert own.step.tags == ["critic/loss", "noise", "generator/loss"]
    # The generator's loss reaches the critic's weights, but leaves no gradient there.
    again = session().model
    again.advance()
    minibatch = session().step.stream.draw()[0]
    torch.manual_seed(1)
    critic, _ = again.loss(minibatch, player="critic")
    expected = torch.autograd.grad(critic, list(again.critic.parameters()))
    for p, gradient in zip(model.critic.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, gradient)


def test_a_step_of_one_leaves_the_other_where_it_was():
    own = session()
    for still in ("critic", "generator"):
        own.step.optimizers[still].param_groups[0]["lr"] = 0.0
        before = [p.clone() for p in own.model.players()[still]]
        own.step()
        after = own.model.players()[still]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        own.step.optimizers[still].param_groups[0]["lr"] = 1e-2


@pytest.mark.slow
def test_the_game_ends_near_the_data():
    own = session()
    done = loop(own, quiet, 1_000)
    assert done.step == 1_000
    assert own.model.generator.item() == pytest.approx(MEAN, abs=0.1)


def test_an_interrupted_game_ends_with_the_same_bits(here):
    whole = session()
    loop(whole, quiet, 120)
    for iter_max in (3, 70, 120):
        piece = session(state_path=here / "resume.pt")
        torch.manual_seed(iter_max)  # what another process would have drawn
        assert loop(piece, quiet, iter_max).step == iter_max
    assert torch.equal(weights(whole), weights(piece))
    assert piece.model.steps_taken == 120


def test_a_schedule_follows_the_steps_and_stands_still_in_evaluation(here):
    own = session(state_path=here / "resume.pt")
    loop(own, quiet, 50)
    assert own.model.noise() == pytest.approx(0.2 * 0.5)
    for _ in range(3):
        own.model.loss(torch.rand(5, 1), player="critic")
    assert own.model.noise() == pytest.approx(0.2 * 0.5)
    again = session(state_path=here / "resume.pt")
    assert again.model.noise() == pytest.approx(0.2 * 0.5)
    assert "steps_taken" not in again.model.state_dict()


def test_every_player_s_number_is_looked_at():
    own = session()
    own.model.critic.bias.data.fill_(math.nan)
    with pytest.raises(Exception, match="critic/loss is nan, generator/loss is nan"):
        loop(own, quiet, 5)


def test_several_players_are_not_stacked():
    with pytest.raises(NotStackable, match="several players"):
        StackedSession([session(0), session(1)])
