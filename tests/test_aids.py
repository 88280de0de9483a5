"""Schedules of the learning rate, the average of the weights, and the best weights kept."""

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from tqdm import tqdm

from codebase import command
from codebase.catalogue import CATALOGUE
from codebase.data import subsets
from codebase.data.batches import Batches, seeded_generator
from codebase.engine.average import Average
from codebase.engine.schedules import Schedule
from codebase.engine.selection import Selection
from codebase.engine.session import Session
from codebase.engine.stack import NotStackable
from codebase.engine.stacked_session import StackedSession
from codebase.errors import UserError
from codebase.evaluation.bounds import full_bounds
from codebase.models.vae import VAE
from codebase.runs.saved import open_run
from codebase.train import loop

quiet = partial(tqdm, disable=True)


def model_of(seed=0, name="run"):
    torch.manual_seed(seed)
    return CATALOGUE["vae"].build({"z": 3}, name)


def session(digits, model=None, **options):
    loader = Batches(digits.train_x[:150], digits.train_y[:150], 60, seeded_generator(0))
    return Session(model or model_of(), loader, None, "cpu", None, **options)


def weights(model):
    return {key: t.clone() for key, t in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# Schedules


def rates(schedule):
    return [schedule(torch.tensor(i)).item() for i in range(schedule.steps)]


def test_a_cosine_is_torch_s():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.02)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=37, eta_min=1e-4)
    expected = []
    for _ in range(37):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert rates(Schedule("cosine", 0.02, 1e-4, 37)) == pytest.approx(expected, rel=1e-4)


def test_the_stages_are_three_times_as_long_as_the_last():
    """Burda et al.: 3^i epochs at 10^(-i/7) of 1e-3, i = 0 … 7, in all 3,280."""
    found = rates(Schedule("burda", 1e-3, 1e-4, 3280))
    expected = [1e-3 * 10 ** (-i / 7) for i in range(8) for _ in range(3**i)]
    assert found == pytest.approx(expected, rel=1e-5)


def test_nothing_is_below_the_end_however_long_it_goes_on():
    for shape in ("cosine", "burda"):
        schedule = Schedule(shape, 1e-3, 1e-5, 10)
        assert schedule(torch.tensor(99)).item() == pytest.approx(1e-5, rel=1e-4)


def test_the_step_s_learning_rate_is_the_schedule_s(digits, here):
    schedule = Schedule("cosine", 1e-3, 1e-5, 4)
    own = session(digits, lr=schedule)
    (optimizer,) = own.plain_step.optimizers.values()
    found = []
    for _ in range(4):
        own.step()
        found.append(optimizer.param_groups[0]["lr"].item())
    assert found == pytest.approx(rates(schedule))


def test_a_schedule_trains_as_adam_does_with_those_rates(digits, here):
    schedule = Schedule("burda", 3e-3, 1e-4, 5)
    own = session(digits, lr=schedule)
    by_hand = model_of()
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=1.0)
    torch.manual_seed(4)
    batches = [own.stream.draw()[0] for _ in range(5)]
    own.stream.draw = None
    torch.manual_seed(4)
    for x in batches:
        own.plain_step.update((x,))
    torch.manual_seed(4)
    for x, rate in zip(batches, rates(schedule), strict=True):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        by_hand.loss(x)[0].backward()
        optimizer.step()
    for key, expected in by_hand.state_dict().items():
        torch.testing.assert_close(own.model.state_dict()[key], expected, rtol=1e-4, atol=1e-6)


# The average


def test_the_average_is_the_weighted_mean_of_what_the_weights_were():
    model, decay, n = model_of().double(), 0.8, 6
    average, before = Average(model, decay), []
    for i in range(n):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p) * (i + 1))
        model.advance()
        average.update()
        before.append(weights(model))
    shares = [decay ** (n - 1 - i) for i in range(n)]
    with average.in_place():
        found = weights(model)
    assert same(weights(model), before[-1])
    for key in average.weights:
        expected = sum(s * w[key] for s, w in zip(shares, before, strict=True)) / sum(shares)
        torch.testing.assert_close(found[key], expected)


def test_constants_are_not_averaged():
    assert not {"z_prior_m", "z_prior_v"} & Average(model_of(), 0.9).weights.keys()


def test_before_the_first_step_the_average_is_the_model():
    model = model_of()
    before = weights(model)
    with Average(model, 0.9).in_place():
        assert same(weights(model), before)


def test_evaluated_and_saved_is_the_average_and_trained_the_weights(digits, here):
    seen = []
    model = model_of()
    own = session(digits, model, decay=0.5, on_evaluation=lambda i: seen.append(weights(model)))
    loop(own, quiet, 4, iter_eval=2)
    trained, saved = weights(model), torch.load("checkpoints/run/model-00004.pt")
    plain = session(digits)
    loop(plain, quiet, 4)
    assert same(trained, weights(plain.model))
    assert not same(saved, trained)
    with own.plain_step.average.in_place():
        assert same(weights(model), saved)
    own.settle(4)
    assert same(weights(model), saved)
    assert len(seen) == 1
    assert not same(seen[0], saved)


# The best


def test_the_best_weights_are_the_run_s(digits, here):
    """Numbers that fall and rise: the third of five was the best."""
    numbers, kept = iter([5.0, 4.0, 2.0, 3.0, 9.0]), []
    model = model_of()
    selection = Selection(model, lambda: (kept.append(weights(model)), next(numbers))[1])
    own = session(digits, model, selection=selection)
    loop(own, quiet, 5, iter_eval=1)
    assert (selection.value, selection.step) == (2.0, 3)
    assert same(weights(model), kept[4])
    own.settle(5)
    assert same(weights(model), kept[2])
    assert same(torch.load("checkpoints/run/model-00005.pt"), kept[2])


def test_the_best_weights_go_with_their_number_wherever_a_training_is_taken_up(digits, here):
    """The mutant that keeps them in a file of their own has those of a step that was lost."""
    numbers = iter([5.0, 2.0])
    model = model_of()
    selection = Selection(model, lambda: next(numbers))
    selection.consider(1)
    kept, state = weights(model), selection.state_dict()
    with torch.no_grad():
        next(model.parameters()).add_(1)
    selection.consider(2)  # better, but the process is killed before it is saved
    again = Selection(model, lambda: math.nan)
    again.load_state_dict(state)
    again.put()
    assert (again.value, again.step) == (5.0, 1)
    assert same(weights(model), kept)
    with pytest.raises(ValueError, match="of another model"):
        Selection(VAE(z_dim=7), lambda: 0.0).load_state_dict(state)


def test_a_number_that_is_none_selects_nothing(here):
    model = model_of()
    selection = Selection(model, lambda: math.nan)
    selection.consider(3)
    before = weights(model)
    selection.put()
    assert same(before, weights(model))


def test_held_out_images_are_no_training_images(digits):
    (x, y), out = subsets.validation(digits, 200)
    assert len(x) == len(y) == len(digits.train_x) - 200
    rows = sorted(map(bytes, torch.cat([x, out]).numpy()))
    assert rows == sorted(map(bytes, digits.train_x.numpy()))
    again = subsets.validation(digits, 200)[1]
    assert torch.equal(out, again)
    for label_seed in range(3):  # and no labelled ones either
        xl, _ = subsets.labelled_subset(replace(digits, train_x=x, train_y=y), 100, label_seed)
        drawn, _ = subsets.labelled(digits, 100, label_seed, held_out=200)
        assert torch.equal(drawn, xl)
        assert not {*map(bytes, drawn.numpy())} & {*map(bytes, out.numpy())}
    with pytest.raises(UserError, match="at most a third, 449"):
        subsets.validation(digits, 450)


def rows(x):
    return {bytes(image.numpy()) for image in x}


@pytest.mark.parametrize("n", [1_000, 20_000])
def test_the_protocol_s_labelled_images_are_not_held_out(n, mnist):
    (_, _), out = subsets.validation(mnist, n)
    table, _ = subsets.labelled(mnist)
    same, _ = subsets.labelled(mnist, held_out=n)
    others, _ = subsets.labelled(mnist, label_seed=1, held_out=n)
    assert len(out) == n
    assert torch.equal(table, same)
    assert not rows(out) & (rows(table) | rows(others))


# All together


AIDS = {"decay": 0.7, "lr": Schedule("cosine", 1e-2, 1e-4, 7)}


def aided(digits, **options):
    model = model_of()
    x = (digits.test_x[:50] > 127).float()
    selection = Selection(model, lambda: full_bounds(model, x)["nelbo"].value)
    return session(digits, model, selection=selection, **AIDS, **options)


def test_an_interrupted_training_ends_with_the_same_bits(digits, here):
    whole = aided(digits)
    loop(whole, quiet, 7, iter_eval=2)
    whole.settle(7)
    best = whole.selection.state_dict()
    for iter_max in (3, 7):
        torch.manual_seed(99)
        piece = aided(digits, state_path=here / "resume.pt")
        loop(piece, quiet, iter_max, iter_eval=2)
    assert piece.start == 3
    piece.settle(7)
    assert same(weights(whole.model), weights(piece.model))
    # Stopped at 3, it was measured there too.
    assert piece.selection.value <= best["value"]
    x = (digits.test_x[:50] > 127).float()
    assert full_bounds(piece.model, x)["nelbo"].value == piece.selection.value
    average = whole.plain_step.average.sums, piece.plain_step.average.sums
    assert same(*average)


def test_a_state_of_another_training_is_refused(digits, here):
    loop(aided(digits, state_path=here / "resume.pt"), quiet, 2)
    loop(session(digits, state_path=here / "other.pt"), quiet, 2)
    with pytest.raises(UserError, match="is not the state of this training"):
        aided(digits, state_path=here / "other.pt")


def test_runs_trained_as_one_have_a_schedule_but_no_average(digits, here):
    schedule = Schedule("cosine", 1e-2, 1e-4, 5)
    own = [session(digits, model_of(seed, f"run{seed}"), lr=schedule) for seed in range(2)]
    stacked = StackedSession(own, lr=schedule)
    loop(stacked, quiet, 3)
    (optimizer,) = stacked.plain_step.optimizers.values()
    assert optimizer.param_groups[0]["lr"].item() == pytest.approx(rates(schedule)[2])
    with pytest.raises(NotStackable, match="average"):
        StackedSession([aided(digits), aided(digits)])


def test_through_the_command_line(here):
    flags = ["--dataset", "digits", "--threads", "1", "--z", "3", "--iter_max", "60"]
    aids = ["--schedule", "burda", "--ema", "0.9", "--validation", "300", "--iter_eval", "20"]
    command.main("vae", words=[*flags, *aids])
    (folder,) = Path("checkpoints").iterdir()
    assert (
        folder.name == "model=vae_z=03_run=0000_data=digits_ema=0.9_schedule=burda_validation=300"
    )
    record = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert record["training"]["selected"]["step"] in (20, 40, 60)
    opened = open_run(folder)
    from codebase.data import datasets

    x = subsets.binarized_test(datasets.load("digits"))
    found = full_bounds(opened.model, x)["nelbo"].value
    assert found == pytest.approx(record["numbers"]["test"]["nelbo"]["value"], rel=1e-5)


def test_flags_that_do_not_go_together(here, capsys):
    for words, said in (
        (["--schedule", "cosine", "--lr", "1e-6"], "--lr_end 1e-05 is above --lr 1e-06"),
        (["--validation", "1000"], "at most a third"),
    ):
        with pytest.raises(SystemExit) as end:
            command.main("vae", words=["--dataset", "digits", "--iter_max", "1", *words])
        assert end.value.code == 2
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(
            "ssvae",
            words=["--dataset", "digits", "--gw", "0", "--iter_max", "1", "--validation", "9"],
        )
    assert "has no bound" in capsys.readouterr().err
