"""The step replayed on a CPU: recorded operations, in their own order, without autograd."""

import pytest
import torch
from test_family import built as built_of_parts
from test_family import covering, name_of
from test_graph import built, labelled_of, loader_of, quiet, stepping, stream_of, trace
from test_players import session as game
from torch import nn

from codebase import train
from codebase.data.batches import Batches, as_pixels, seeded_generator
from codebase.data.stream import Stream
from codebase.engine.average import Average
from codebase.engine.graph import captured
from codebase.engine.passes import simplified
from codebase.engine.program import compiled
from codebase.engine.recording import recorded
from codebase.engine.schedules import Schedule
from codebase.engine.stack import Stack, StackedStep, Streams
from codebase.engine.step import Step

KINDS = ["vae", "gmvae", "ssvae", "ssvae, no bound", "ssvae, many labels"]


def states(step):
    """Everything the next step depends on: moments, counters, random generators."""
    moments = [
        t for own in step.optimizers.values() for s in own.state.values() for t in s.values()
    ]
    generators = [g.get_state() for g in step.stream.generators()]
    return [*moments, step.model.steps_taken, torch.get_rng_state(), *generators]


def both(digits, make=stepping, kind="vae", n=25):
    """What n plain steps and n replayed ones give and leave behind; and the latter."""
    found = []
    for wrap in (lambda step: step, captured):
        plain = make(kind, digits)
        step = wrap(plain)
        torch.manual_seed(1)
        found.append([*trace(step, plain, n), *states(plain)])
    return *found, step


def same(a, b):
    return len(a) == len(b) and all(map(torch.equal, a, b))


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", KINDS)
def test_replays_have_the_bits_of_plain_steps(kind, digits, capsys):
    expected, found, step = both(digits, kind=kind)
    assert same(expected, found)
    sizes = {tuple(s[0] for s in sizes) for sizes in step.graphs}
    assert sizes == ({(97, 100), (56, 50)} if "many" in kind else {(97,), (56,)})
    assert not capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("parts", covering(), ids=name_of)
def test_any_parts_are_replayed_bit_for_bit(parts, digits, capsys):
    images, labels = digits.train_x[:120], digits.train_y[:120]

    def make(kind, digits):
        model = built_of_parts(parts)
        model.prepare(lambda: as_pixels(images, "grey"))
        loader = Batches(images, labels, 13, seeded_generator(0))
        return Step(model, Stream(loader, None, "cpu", model.abilities.pixels))

    expected, found, step = both(digits, make, n=12)
    assert same(expected, found)
    assert step.graphs
    assert not capsys.readouterr().out


def test_in_bf16_too(digits):
    def make(kind, digits):
        return Step(built(kind), stream_of(kind, digits), precision="bf16")

    expected, found, step = both(digits, make)
    assert same(expected, found)
    assert len(step.graphs) == 2


def test_a_schedule_and_an_average_go_on_in_replays(digits):
    def make(kind, digits):
        lr = Schedule("burda", 1e-3, 1e-5, 25)
        step = Step(built(kind), stream_of(kind, digits), lr)
        step.average = Average(step.model, 0.9)
        return step

    expected, found, step = both(digits, make)
    assert same(expected, found)
    assert len(step.graphs) == 2
    plain = make("vae", digits)
    torch.manual_seed(1)
    trace(plain, plain, 25)
    sums = step.step.average.sums
    assert all(torch.equal(t, sums[name]) for name, t in plain.average.sums.items())


@pytest.mark.parametrize("kind", ["gmvae", "ssvae, no bound"])
def test_an_interrupted_training_ends_with_the_same_bits(kind, here, digits):
    def fit(model, iter_max, **options):
        labelled = labelled_of(kind, digits)
        y_status = "none" if labelled is None else "semisup"
        train.train(
            *(model, loader_of(digits), labelled, "cpu", quiet, None, iter_max),
            y_status=y_status,
            **options,
        )
        return model.state_dict()

    expected = fit(built(kind), 25)
    for iter_max in (13, 25):
        model = built(kind)
        torch.manual_seed(iter_max)
        if iter_max == 13:
            built(kind)  # seeds as for the uninterrupted one
        found = fit(model, iter_max, graph=True, state_path=here / "resume.pt")
    assert all(torch.equal(found[k], expected[k]) for k in expected)


class Odd(nn.Module):
    """The VAE, but for what its loss does beside."""

    def __init__(self, does):
        super().__init__()
        self.name, self.vae, self.does, self.taken = "odd", built("vae"), does, 0

    def loss(self, x):
        loss, summaries = self.vae.loss(x)
        return self.does(self, x, loss), summaries


def by_value(model, x, loss):
    return loss * 2 if loss.item() > 0 else loss


def by_mask(model, x, loss):
    return loss + x[x > 0].mean()


def by_nonzero(model, x, loss):
    return loss + len(x.nonzero()) / 1e5


def by_numpy(model, x, loss):
    return loss * (1 + torch.from_numpy(x.numpy()).mean())


def by_counting(model, x, loss):
    model.taken += 1
    return loss * min(1, model.taken / 10_000)


COUNTS = [0]


def by_counting_elsewhere(model, x, loss):
    COUNTS[0] += 1
    return loss * (1 + COUNTS[0] / 1e3)


ODD = {
    by_value: "what aten::_local_scalar_dense gives depends on the numbers",
    by_mask: "what aten::index.Tensor gives depends on the numbers",
    by_nonzero: "what aten::nonzero gives depends on the numbers",
    by_numpy: "a replay gives other numbers",
    by_counting: "the model counts in Python",
    by_counting_elsewhere: "a replay gives other numbers",
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("does", ODD)
def test_what_cannot_be_replayed_is_done_plainly(does, digits, capsys):
    found = []
    for graph in (False, True):
        COUNTS[0] = 0
        torch.manual_seed(1)
        model = Odd(does)
        train.train(model, loader_of(digits), None, "cpu", quiet, None, 12, graph=graph)
        found.append([*model.parameters(), torch.get_rng_state()])
    assert same(*found) or does is by_counting_elsewhere
    assert capsys.readouterr().out.strip() == (
        f"The step cannot be captured ({ODD[does]}); going on without."
    )


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("at", [(9,), (2, 9)])
def test_a_number_that_is_changed_between_replays_is_noticed(at, digits, capsys):
    def weighed(model, x, loss):
        return loss * model.weight

    def fit(graph):
        torch.manual_seed(1)
        model = Odd(weighed)
        model.weight, taken = 1.0, []

        def change(seconds):
            taken.append(seconds)
            if len(taken) in at:
                model.weight *= 0.5

        train.train(
            *(model, loader_of(digits), None, "cpu", quiet, None, 16), graph=graph, on_step=change
        )
        return [*model.parameters(), torch.get_rng_state()]

    plain = fit(graph=False)
    assert not capsys.readouterr().out
    assert same(plain, fit(graph=True))
    assert capsys.readouterr().out.strip() == (
        "The step can no longer be replayed (a number that the model keeps has changed); "
        "going on without."
    )


def test_a_loss_whose_steps_differ_is_never_recorded(digits, capsys):
    step = stepping("ssvae", digits)
    step.model.allow_data_dependent_shapes()
    assert captured(step) is step
    without_bound = stepping("ssvae, no bound", digits)
    without_bound.model.allow_data_dependent_shapes()
    assert captured(without_bound) is not without_bound


# What a recording leaves out


def shortened(function):
    """The operations that are left of a function, by name, and whether a replay gives its bits."""
    recorder, results = recorded(function)
    calls, left = simplified(recorder.calls, results)
    torch.manual_seed(1)
    expected = function()
    torch.manual_seed(1)
    found = compiled(calls, left)()
    assert all(map(torch.equal, expected, found))
    return [call.function.name().removeprefix("aten::") for call in calls]


W, X = torch.randn(3, 2), torch.randn(4, 2)


def test_views_of_weights_and_views_of_views_are_taken_once():
    def function():
        y = X @ W.t()
        return y.t().t() + 1, y.detach() * 2

    assert shortened(function) == ["mm", "add.Tensor", "mul.Tensor"]


def test_what_depends_on_nothing_is_computed_once():
    assert shortened(lambda: [torch.ones_like(X).neg() / 3 + X]) == ["add.Tensor"]


def test_what_is_written_to_or_drawn_is_no_constant():
    def function():
        sums = torch.zeros(4)
        sums += X.sum(1)
        return [sums, torch.zeros(4).bernoulli_(0.5)]

    kept = ["zeros", "sum.dim_IntList", "add_.Tensor", "zeros", "bernoulli_.float"]
    assert shortened(function) == kept


def test_only_copies_that_nothing_writes_to_are_left_out():
    def function():
        y, z = X + 1, X + 2
        changed = z.clone()
        changed += 1
        return [y.clone(), z, changed]

    assert shortened(function) == ["add.Tensor", "add.Tensor", "clone", "add_.Tensor"]


def test_what_nobody_takes_is_left_out_but_for_draws():
    def function():
        X.exp()
        torch.rand(2)
        return [X * 2]

    assert shortened(function) == ["rand", "mul.Tensor"]


def test_what_is_recorded_is_undone_also_where_it_breaks():
    weight = torch.ones(2)

    def function():
        weight.mul_(3)
        raise LookupError

    with pytest.raises(LookupError):
        recorded(function)
    assert weight.tolist() == [1, 1]


def test_several_players_are_replayed_too(here, capsys):
    expected, replayed = (game(graph=graph) for graph in (False, True))
    for own in (expected, replayed):
        torch.manual_seed(1)
        for _ in range(25):
            own.step()
    assert same([*expected.model.parameters()], [*replayed.model.parameters()])
    assert replayed.step.graphs
    assert not capsys.readouterr().out


def test_a_stack_is_replayed_too(digits):
    def make(kind, digits):
        models = [built(kind) for _ in range(2)]
        return StackedStep(Stack(models), Streams([stream_of(kind, digits) for _ in models]))

    weights = []
    for wrap in (lambda step: step, captured):
        step = wrap(make("vae", digits))
        torch.manual_seed(1)
        for _ in range(12):
            step()
        weights.append([*(step.step if wrap is captured else step).model.parameters()])
    assert same(*weights)
    assert step.graphs
