"""The loop: what it does to weights, logs and files, and how it stops."""

import json
import signal
import threading

import numpy as np
import pytest
import torch
from tqdm import tqdm

from codebase import starter, train
from codebase.data import subsets
from codebase.data.batches import Batches, seeded_generator
from codebase.engine import resume
from codebase.engine.randomness import seeded
from codebase.engine.session import Session
from codebase.engine.stacked_session import StackedSession
from codebase.errors import UserError
from codebase.evaluation.bounds import full_bounds, subset_bounds
from codebase.files import checkpoints
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE


class Log:
    """A writer that remembers."""

    def __init__(self):
        self.scalars, self.flushed = [], 0

    def add_scalar(self, tag, value, step):
        self.scalars.append((tag, value, step))

    def flush(self):
        self.flushed += 1

    def tags(self, step):
        return {tag for tag, _, at in self.scalars if at == step}


def quiet(**kwargs):
    return tqdm(**kwargs, disable=True)


def fit(model, digits, iter_max, labelled=None, writer=None, seed=0, **options):
    loader = Batches(digits.train_x, digits.train_y, 97, seeded_generator(seed))
    y_status = "none" if labelled is None else "semisup"
    return train.train(
        model,
        loader,
        labelled,
        "cpu",
        quiet,
        writer,
        iter_max=iter_max,
        y_status=y_status,
        **options,
    )


def built(kind, seed=0):
    torch.manual_seed(seed)
    if kind == "vae":
        return VAE(z_dim=3)
    return GMVAE(z_dim=3, k=4) if kind == "gmvae" else SSVAE(gen_weight=1)


def labelled_for(kind, digits):
    """All pairs a step for "ssvae"; a hundred of more for "ssvae, many labels"."""
    if not kind.startswith("ssvae"):
        return None
    return subsets.labelled(digits, 250 if "many" in kind else 100)


def same_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("kind", ["vae", "gmvae", "ssvae"])
def test_one_seed_gives_one_set_of_weights(kind, here, digits):
    models = []
    for seed in (0, 0, 1):
        models.append(built(kind, seed))
        fit(models[-1], digits, 3, labelled_for(kind, digits), seed=seed)
    assert same_weights(models[0], models[1])
    assert not same_weights(models[0], models[2])


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", ["vae", "gmvae", "ssvae", "ssvae, many labels"])
def test_an_interrupted_training_ends_with_the_same_bits(kind, here, digits):
    whole = built(kind)
    fit(whole, digits, 21, labelled_for(kind, digits))

    state = here / "resume.pt"
    for iter_max in (4, 14, 21):  # epochs of digits are 14 steps
        torch.manual_seed(iter_max)  # what another process would have drawn
        pieces = built(kind, seed=99)
        if iter_max == 4:
            pieces = built(kind)
        done = fit(pieces, digits, iter_max, labelled_for(kind, digits), state_path=state)
        assert done.step == iter_max
    assert same_weights(whole, pieces)


def test_a_state_of_another_model_is_refused(here, digits):
    state = here / "resume.pt"
    fit(built("vae"), digits, 2, state_path=state)
    with pytest.raises(UserError, match="does not fit this model"):
        fit(built("gmvae"), digits, 4, state_path=state)


def test_the_loss_goes_down(here, digits):
    model = built("vae")
    x = subsets.binarized_test(digits)
    before = full_bounds(model, x)["nelbo"].value
    fit(model, digits, 200)
    assert full_bounds(model, x)["nelbo"].value < before - 200


def test_scalars_come_every_fifty_iterations_and_at_the_end(here, digits):
    log = Log()
    fit(built("vae"), digits, 120, writer=log)
    assert {step for _, _, step in log.scalars} == {50, 100, 120}
    assert log.tags(50) == {"train/loss", "train/grad_norm", "gen/elbo", "gen/kl_z", "gen/rec"}
    assert log.flushed


def test_the_semi_supervised_scalars(here, digits):
    log = Log()
    fit(built("ssvae"), digits, 2, labelled_for("ssvae", digits), writer=log)
    generative = {"gen/elbo", "gen/kl_z", "gen/kl_y", "gen/rec"}
    assert log.tags(2) == {"train/loss", "train/grad_norm", "class/ce", "class/acc"} | generative


def test_every_step_is_told_with_the_seconds_so_far(here, digits):
    seconds, model = [], built("vae").eval()
    done = fit(model, digits, 7, on_step=seconds.append)
    assert len(seconds) == 7
    assert seconds[0] > 0
    assert seconds == sorted(seconds)
    assert seconds[-1] <= done.seconds
    assert model.training


def test_checkpoints_come_when_they_should(here, digits):
    seen = []
    fit(built("vae"), digits, 7, iter_save=3, on_checkpoint=seen.append)
    files = sorted(p.name for p in (here / "checkpoints" / "vae").iterdir())
    assert files == ["model-00003.pt", "model-00006.pt", "model-00007.pt"]
    assert seen == [3, 6, 7]


def test_watching_does_not_change_the_weights(here, digits):
    def watch(step):
        subset_bounds(watched, x, run_iwae=False)

    x, _ = subsets.test_subset(digits)
    plain = built("vae")
    fit(plain, digits, 6)
    watched = built("vae")
    fit(watched, digits, 6, iter_save=2, on_checkpoint=watch)
    assert same_weights(plain, watched)


@pytest.mark.few(1)
@pytest.mark.parametrize("stacked", [False, True])
def test_evaluating_in_between_changes_no_bit(here, digits, stacked):
    """At every iter_eval iterations but those of checkpoints, which have a better one."""

    def session(evaluated, seed):
        def evaluate(step):
            assert not model.training
            assert torch.equal(torch.rand(3), first)  # seeded, whatever the training drew
            subset_bounds(model, x, run_iwae=False, repeats=3)
            evaluated.append(step)

        def watch(step):
            assert not model.training
            torch.rand(step)

        model = built("vae", seed)
        loader = Batches(digits.train_x, digits.train_y, 97, seeded_generator(seed))
        on = {"on_evaluation": evaluate, "on_checkpoint": watch}
        return Session(model, loader, None, "cpu", None, **on)

    def trained(iter_eval):
        evaluated = []
        sessions = [session(evaluated, seed) for seed in range(1 + stacked)]
        own = StackedSession(sessions) if stacked else sessions[0]
        train.loop(own, quiet, 60, iter_save=20, iter_eval=iter_eval)
        assert all(s.model.training for s in sessions)
        return [s.model for s in sessions], evaluated

    x, _ = subsets.test_subset(digits)
    with seeded():
        first = torch.rand(3)
    plain, nothing = trained(1_000)
    watched, evaluated = trained(8)
    assert nothing == []
    assert evaluated == [s for s in (8, 16, 24, 32, 48, 56) for _ in watched]  # 40: a checkpoint
    assert all(same_weights(*pair) for pair in zip(plain, watched, strict=True))


class Exploding(VAE):
    """A VAE whose term of that name is not finite from one step on."""

    def __init__(self, term, step):
        super().__init__(z_dim=2)
        self.term, self.step, self.steps = term, step, 0

    def loss(self, x):
        self.steps += 1
        loss, summaries = super().loss(x)
        if self.steps >= self.step:
            summaries[self.term] = summaries[self.term] * np.inf
            loss = loss + summaries[self.term]
            summaries["train/loss"] = loss
        return loss, summaries


@pytest.mark.few("gen/rec-77")
@pytest.mark.parametrize("step", [1, 49, 50, 51, 77])
@pytest.mark.parametrize("term", ["gen/kl_z", "gen/rec"])
def test_a_number_that_goes_wrong_stops_the_run_and_is_named(here, digits, term, step):
    with pytest.raises(UserError, match=rf"at iteration {step}: {term} is inf"):
        fit(Exploding(term, step), digits, 100, iter_save=20)
    saved = sorted((here / "checkpoints" / "vae").glob("model-*.pt"))
    assert len(saved) == min((step - 1) // 20, 4)
    for path in saved:
        weights = torch.load(path, weights_only=True).values()
        assert all(torch.isfinite(w).all() for w in weights)
    replay = json.loads((here / "checkpoints" / "vae" / f"nonfinite-{step:05d}.json").read_text())
    loader = Batches(digits.train_x, digits.train_y, 97, seeded_generator(0))
    for _ in range(step):
        loader.draw()
    assert replay["train_positions"] == loader.drawn.tolist()


def test_what_went_wrong_unseen_is_not_saved(here, digits):
    """Timed saves wait until the numbers since the last look are known to be finite."""
    state = here / "resume.pt"
    with pytest.raises(UserError, match="at iteration 77"):
        fit(Exploding("gen/rec", 77), digits, 100, state_path=state, save_every_seconds=0)
    assert resume.read(state)["step"] == 50


def test_weights_that_are_not_finite_are_not_saved(here, digits):
    with pytest.raises(UserError, match="at iteration 1: a weight is not finite"):
        fit(built("vae"), digits, 1, lr=1e39)
    assert not list((here / "checkpoints" / "vae").iterdir())


class Signalling(Log):
    """A log that is sent a signal while it is written."""

    def add_scalar(self, tag, value, step):
        if not self.scalars:
            signal.raise_signal(signal.SIGINT)
        super().add_scalar(tag, value, step)


def test_a_signal_after_the_step_is_answered_by_the_next_one(here, digits, capsys):
    with pytest.raises(SystemExit):
        fit(built("vae"), digits, 100, writer=Signalling())
    assert "at iteration 51; saved in" in capsys.readouterr().out
    assert checkpoints.model_path("vae", 51).exists()


def test_a_signal_at_the_very_end_is_not_lost(here, digits):
    with pytest.raises(SystemExit):
        fit(built("vae"), digits, 50, writer=Signalling())
    assert checkpoints.model_path("vae", 50).exists()


class Kinked(VAE):
    """Its loss is finite, its gradient at 0 is not, at one step."""

    def __init__(self, step):
        super().__init__(z_dim=2)
        self.step, self.steps = step, 0

    def loss(self, x):
        self.steps += 1
        loss, summaries = super().loss(x)
        if self.steps == self.step:
            loss = loss + (self.dec.net[4].bias * 0).sum().abs().sqrt()
        return loss, summaries


@pytest.mark.parametrize("step", [3, 50])
def test_a_gradient_that_goes_wrong_at_a_look_is_named(here, digits, step):
    with pytest.raises(UserError, match=f"at iteration {step}: train/grad_norm is nan"):
        fit(Kinked(step), digits, step)


def test_a_gradient_that_goes_wrong_unseen_is_found_by_the_next_terms(here, digits):
    with pytest.raises(UserError, match="at iteration 8: gen/elbo is nan"):
        fit(Kinked(7), digits, 50)
    replay = json.loads((here / "checkpoints" / "vae" / "nonfinite-00008.json").read_text())
    loader = Batches(digits.train_x, digits.train_y, 97, seeded_generator(0))
    for key, draws in (("train_positions_before", 7), ("train_positions", 1)):
        for _ in range(draws):
            loader.draw()
        assert replay[key] == loader.drawn.tolist()


class Interrupted(VAE):
    """A VAE that gets a signal in the middle of its seventh step."""

    def __init__(self, number):
        super().__init__(z_dim=3)
        self.number, self.steps = number, 0

    def loss(self, x):
        self.steps += 1
        if self.steps == 7:
            signal.raise_signal(self.number)
        return super().loss(x)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_saves_and_ends(here, digits, number):
    before = signal.getsignal(number)
    torch.manual_seed(0)
    model = Interrupted(number)
    with pytest.raises(SystemExit) as ended:
        fit(model, digits, 100)
    assert ended.value.code == 128 + number
    assert signal.getsignal(number) is before
    saved, whole = built("vae"), built("vae")
    starter.load_model_by_name(saved, 7)
    fit(whole, digits, 7)
    assert same_weights(saved, whole)


@pytest.mark.parametrize("iter_save", [7, 5])
def test_a_signal_where_a_checkpoint_is_due_takes_nothing_from_it(here, digits, iter_save):
    """What is measured at one is not made up for later; where none was due it is not measured."""
    told, evaluated = [], []
    torch.manual_seed(0)
    loader = Batches(digits.train_x, digits.train_y, 97, seeded_generator(0))
    on = {"on_checkpoint": told.append, "on_evaluation": evaluated.append}
    session = Session(Interrupted(signal.SIGTERM), loader, None, "cpu", None, **on)
    with pytest.raises(SystemExit):
        train.loop(session, quiet, 100, iter_save, iter_eval=7)
    assert told == ([7] if iter_save == 7 else [5])
    assert evaluated == ([] if iter_save == 7 else [7])  # once, by the better of the two
    assert checkpoints.model_path("vae", 7).exists()


def test_the_seconds_of_an_interrupted_training_are_of_all_its_iterations(here, digits):
    state = here / "resume.pt"
    first = fit(built("vae"), digits, 60, state_path=state)
    second = fit(built("vae"), digits, 90, state_path=state)
    assert second.step - second.steps == 60
    assert second.seconds > first.seconds > 0
    nothing = fit(built("vae"), digits, 90, state_path=state)
    assert nothing.steps == 0
    assert nothing.seconds == pytest.approx(second.seconds, abs=0.05)


def test_a_solution_may_log_plain_numbers(here, digits):
    class Plain(VAE):
        def loss(self, x):
            loss, summaries = super().loss(x)
            return loss, summaries | {"gen/kl_y": 0, "mine": 2.5}

    log = Log()
    fit(Plain(), digits, 1, writer=log)
    assert ("gen/kl_y", 0.0, 1) in log.scalars
    assert ("mine", 2.5, 1) in log.scalars


def test_an_empty_loader_is_refused(here):
    with pytest.raises(ValueError, match="no minibatch"):
        train.train(built("vae"), [], None, "cpu", quiet, None, iter_max=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("kind", ["vae", "gmvae", "ssvae"])
def test_training_and_evaluating_on_a_gpu(here, digits, kind):
    on_gpu = digits.to("cuda")
    model = built(kind).to("cuda")
    loader = Batches(on_gpu.train_x, on_gpu.train_y, 97, seeded_generator(0, "cuda"))
    labelled = subsets.labelled(on_gpu) if kind == "ssvae" else None
    y_status = "semisup" if kind == "ssvae" else "none"
    train.train(model, loader, labelled, "cuda", quiet, None, iter_max=3, y_status=y_status)
    x, _ = subsets.test_subset(on_gpu)
    numbers = subset_bounds(model, x, run_iwae=kind != "ssvae")
    assert all(np.isfinite(n.value) for n in numbers.values())


def test_training_works_outside_the_main_thread(here, digits):
    done = []
    thread = threading.Thread(target=lambda: done.append(fit(built("vae"), digits, 2)))
    thread.start()
    thread.join()
    assert done[0].step == 2


def test_the_learning_rate_reaches_adam(here, digits):
    slow, fast = built("vae"), built("vae")
    start = built("vae").dec.net[4].bias
    fit(slow, digits, 1, lr=1e-4)
    fit(fast, digits, 1, lr=1e-2)
    # Adam's first step is lr times the sign of the gradient.
    assert (slow.dec.net[4].bias - start).abs().max() <= 1.01e-4
    assert (fast.dec.net[4].bias - start).abs().max().item() == pytest.approx(1e-2, rel=1e-3)


def test_reinitialize_draws_new_layers(here, digits):
    model, again = built("vae"), built("vae")
    fit(model, digits, 0, reinitialize=True)
    assert not torch.equal(model.enc.net[0].weight, again.enc.net[0].weight)


def test_constants_are_never_trained(here, digits):
    model = built("gmvae")
    prior = model.z_pre.clone()
    fit(model, digits, 2)
    assert torch.equal(model.pi, torch.full((4,), 0.25))
    assert not torch.equal(model.z_pre, prior)


def test_an_unknown_y_status_is_refused(here, digits):
    with pytest.raises(ValueError, match="'none', 'semisup' or 'fullsup', got"):
        train.train(built("vae"), [], None, "cpu", quiet, None, iter_max=1, y_status="all")


def test_a_checkpoint_lies_under_the_model_s_name(here, digits):
    model = VAE(z_dim=2, name="model=vae_z=02_run=0000")
    fit(model, digits, 1)
    assert checkpoints.model_path(model.name, 1).exists()
