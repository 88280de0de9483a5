"""Several models trained as one: what each would have learned alone, and no trouble shared."""

import json
import math
import re
import shutil
import signal
import statistics
from argparse import Namespace

import filelock
import pytest
import torch
from processes import until
from short_runs import SCRIPTS
from test_graph import KINDS, ON_GPU, NoWaiting, StandIn, labelled_of, quiet, trace

from codebase import train
from codebase.data import subsets
from codebase.data.batches import Batches, seeded_generator
from codebase.data.stream import Stream
from codebase.engine import stack
from codebase.engine.graph import CapturedStep, captured
from codebase.engine.session import Session, take_up_noise
from codebase.engine.stacked_session import StackedSession
from codebase.errors import UserError
from codebase.evaluation.bounds import full_bounds
from codebase.files import checkpoints
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE
from codebase.runs import replicates

MODELS = 3
pytestmark = pytest.mark.usefixtures("here")  # for checkpoints/


def built(kind, seed=0, **sizes):
    torch.manual_seed(seed)
    sizes = {"z_dim": 3, "name": f"m{seed}"} | sizes
    if kind == "vae":
        return VAE(**sizes)
    if kind == "gmvae":
        return GMVAE(k=4, **sizes)
    return SSVAE(gen_weight=0 if "no bound" in kind else 1, **sizes)


def training(kind, digits, seed=0, writer=None, device="cpu", **options):
    """On 250 images: epochs are minibatches of 97, 97 and 56."""
    shuffling = seeded_generator(seed, device)
    loader = Batches(digits.train_x[:250], digits.train_y[:250], 97, shuffling)
    labelled = labelled_of(kind, digits, device)
    y_status = "none" if labelled is None else "semisup"
    model = built(kind, seed).to(device)
    return Session(model, loader, labelled, device, writer, y_status, **options)


def trainings(kind, digits, models=MODELS, **options):
    return [training(kind, digits, seed, **options) for seed in range(models)]


def step_of(together, **options):
    return StackedSession(together, **options).step


def fit(together, iter_max, **options):
    return train.loop(StackedSession(together, **options), quiet, iter_max)


def weights(together):
    return [{k: v.clone() for k, v in t.model.state_dict().items()} for t in together]


def same(a, b):
    return all(torch.equal(own[k], b[i][k]) for i, own in enumerate(a) for k in own)


@pytest.fixture
def same_noise(monkeypatch):
    monkeypatch.setattr(torch, "randn_like", lambda t: torch.full_like(t, 0.7))


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", KINDS)
def test_each_model_takes_the_step_it_would_take_alone(kind, digits, here, same_noise):
    """From one and the same minibatch and noise: the same terms, moments and weights."""
    together = step_of(trainings(kind, digits), lr=3e-4)
    alone = trainings(kind, digits, lr=3e-4)
    for _ in range(3):
        _, _, batch = together.stream.draw()
        found = together.update(batch)
        for k, own in enumerate(alone):
            expected = own.step.update([t[k] for t in batch])
            assert found.keys() == expected.keys()
            for tag in expected:
                torch.testing.assert_close(found[tag][k], expected[tag], rtol=1e-4, atol=1e-4)
            (norm,) = own.step.gradient_norms()
            assert together.gradient_norms()[k] == pytest.approx(norm, rel=1e-4)
            moments = own.step.moments()[0]["model"]
            assert together.moments()[k]["model"].keys() == moments.keys()
            for number, of_parameter in moments.items():
                for key, t in of_parameter.items():
                    assert (
                        together.moments()[k]["model"][number][key] - t
                    ).norm() <= 1e-4 * t.norm()
            for p, q in zip(trained(together.model), trained(own.model), strict=True):
                # Adam's first steps are as long as lr, in a direction that rounding may choose
                # where the gradient is next to nothing.
                assert ((p[k] - q).abs() > 3e-5).float().mean() < 0.001


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", KINDS)
def test_bf16_rounds_as_alone(kind, digits, here, same_noise):
    """Distances of the first step's gradients from those in fp32."""
    _, _, batch = step_of(trainings(kind, digits)).stream.draw()
    gradients = {}
    for precision in ("fp32", "bf16"):
        own = training(kind, digits, 1, precision=precision)
        own.step.update([t[1] for t in batch])
        gradients[precision] = [p.grad for p in trained(own.model) if p.grad is not None]
    together = step_of(trainings(kind, digits), precision="bf16")
    together.update(batch)
    found = [p.grad[1] for p in together.model.parameters() if p.grad is not None]
    distances = []
    for g, alone, exact in zip(found, gradients["bf16"], gradients["fp32"], strict=True):
        assert g.dtype == torch.float32
        distances.append([(g - exact).norm() / exact.norm(), (alone - exact).norm() / exact.norm()])
    stacked, alone = map(sum, zip(*distances, strict=True))
    assert alone / 2 < stacked < alone * 2


def trained(model):
    return [p for p in model.parameters() if p.requires_grad]


def test_every_model_draws_noise_of_its_own(digits, here):
    """Equal models on equal minibatches: their bounds differ by the noise alone."""
    equal = [training("vae", digits, seed=0) for _ in range(MODELS)]
    step = step_of(equal)
    x, _, _ = step.stream.draw()
    x = x[:1].expand_as(x)
    with torch.no_grad():
        losses = step.model.loss(x)[1]["gen/rec"]
    assert len(set(losses.tolist())) == MODELS


@pytest.mark.parametrize("kind", KINDS)
def test_every_model_meets_every_image_in_an_order_of_its_own(kind, digits, here):
    """An epoch is three minibatches; the first is in the order it would have alone."""
    stream = step_of(trainings(kind, digits)).stream
    alone = [t.stream for t in trainings(kind, digits)]
    for epoch in range(2):
        positions = []
        for _ in range(3):
            x, y, batch = stream.draw()
            positions.append(stream.drawn())
            grey = digits.train_x[stream.drawn()]
            assert (x[grey == 0] == 0).all()
            assert (x[grey == 255] == 1).all()
            assert torch.equal(y, digits.train_y[stream.drawn()])
            assert torch.equal(batch[0], x)
            assert all(len(part) == MODELS for part in batch)
        order = torch.cat(positions, dim=1)
        assert torch.equal(order.sort().values, torch.arange(250).expand(MODELS, -1))
        assert not torch.equal(order[0], order[1])
        if epoch == 0:
            assert torch.equal(order, torch.stack([own.loader._shuffle() for own in alone]))


def test_a_stack_of_one_is_a_plain_training(digits, here):
    (one,) = together = trainings("vae", digits, models=1)
    step, plain = step_of(together), training("vae", digits)
    other = plain.step
    for _ in range(5):
        torch.manual_seed(1)
        values, x, _ = step()
        torch.manual_seed(1)
        expected, own_x, _ = other()
        assert torch.equal(x[0], own_x)
        torch.testing.assert_close(values[0], expected, rtol=1e-4, atol=1e-4)
    assert trained(one.model)[0].data_ptr() == trained(step.model)[0].data_ptr()


def test_what_is_loaded_into_a_model_is_in_the_stack(digits):
    models = [built("vae", seed) for seed in range(MODELS)]
    stacked, other = stack.Stack(models), built("vae", 7)
    models[1].load_state_dict(other.state_dict())
    for own, together in zip(other.parameters(), stacked.parameters(), strict=True):
        assert torch.equal(together[1], own)


class WithMore(VAE):
    """Has a frozen parameter and a buffer, which the loss shows."""

    def __init__(self, number):
        super().__init__(z_dim=3)
        self.frozen = torch.nn.Parameter(torch.tensor(number), requires_grad=False)
        self.register_buffer("buffer", torch.tensor(2 * number))

    def loss(self, x):
        loss, summaries = super().loss(x)
        return loss, summaries | {"frozen": self.frozen, "buffer": self.buffer, "none": 0}


def test_frozen_parameters_buffers_and_plain_numbers_are_each_models_own():
    stacked = stack.Stack([WithMore(float(n)) for n in range(MODELS)])
    _, summaries = stacked.loss(torch.zeros(MODELS, 5, 784))
    assert summaries["frozen"].tolist() == [0, 1, 2]
    assert summaries["buffer"].tolist() == [0, 2, 4]
    assert summaries["none"].tolist() == [0, 0, 0]


def test_only_models_of_one_class_and_size_are_stacked():
    for other in (built("gmvae"), built("vae", z_dim=4)):
        with pytest.raises(ValueError, match="one class and size"):
            stack.Stack([built("vae"), other])


def test_only_streams_of_the_same_images_are(digits):
    one = training("vae", digits).stream
    loader = Batches(digits.train_x[250:500], digits.train_y[:250], 97, seeded_generator(0))
    for other in (Stream(loader, None, "cpu"), Stream([], None, "cpu")):
        with pytest.raises(ValueError, match="same images"):
            stack.Streams([one, other])


class Asking(VAE):
    """Its loss asks a number of the device."""

    def loss(self, x):
        loss, summaries = super().loss(x)
        return loss, summaries | {"asked": loss.item()}


def test_a_loss_that_cannot_be_batched_is_refused_and_nothing_has_changed(digits):
    together = trainings("vae", digits)
    for own in together:
        own.model.__class__ = Asking
    before, state = weights(together), together[0].stream.loader.generator.get_state()
    torch.manual_seed(3)
    with pytest.raises(ValueError, match="item"):
        step_of(together)
    assert torch.initial_seed() == 3
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), drawn)
    assert same(before, weights(together))
    assert torch.equal(together[0].stream.loader.generator.get_state(), state)
    done = train.loop(together[1], quiet, 2)
    assert done.step == 2


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_a_step_waits_for_the_device(kind, digits, here):
    step = step_of(trainings(kind, digits))
    with NoWaiting():
        for _ in range(4):
            step()


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", KINDS)
def test_a_stacked_step_can_be_replayed(kind, digits, here):
    plain, wrapped = (step_of(trainings(kind, digits)) for _ in range(2))
    device = StandIn()
    found = []
    for step, inner in ((plain, plain), (CapturedStep(wrapped, device), wrapped)):
        torch.manual_seed(1)
        found.append(trace(step, inner, 20))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert device.replays > 10


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["gmvae", "ssvae", "ssvae, many labels", "ssvae, no bound"])
def test_an_interrupted_training_ends_with_the_same_bits(kind, digits, here):
    whole = trainings(kind, digits)
    torch.manual_seed(5)
    fit(whole, 21)
    for iter_max in (4, 14, 21):
        paths = [here / f"resume-{seed}.pt" for seed in range(MODELS)]
        pieces = [training(kind, digits, s, state_path=paths[s]) for s in range(MODELS)]
        if iter_max == 4:
            torch.manual_seed(5)
        assert fit(pieces, iter_max).step == iter_max
    assert same(weights(whole), weights(pieces))


def test_in_other_company_noise_is_not_met_again(digits, here):
    """Three that shared their noise go on apart, or two of them together: each draws its own."""
    paths = [here / f"resume-{seed}.pt" for seed in range(MODELS)]
    fit([training("vae", digits, s, state_path=paths[s]) for s in range(MODELS)], 4)
    saved = [path.read_bytes() for path in paths]
    drawn = []
    for company in ([0, 1, 2], [0], [1], [2], [0, 1], [1, 2]):
        for path, content in zip(paths, saved, strict=True):
            path.write_bytes(content)
        again = [training("vae", digits, s, state_path=paths[s]) for s in company]
        torch.manual_seed(99)  # whatever was drawn since, as by another run that is refused
        take_up_noise(again)
        drawn.append(torch.rand(1).item())
    assert len(set(drawn)) == 6
    torch.set_rng_state(torch.load(paths[0], weights_only=True)["random"]["cpu"])
    assert drawn[0] == torch.rand(1).item()


def test_trainings_that_have_come_to_other_iterations_are_not_stacked(digits, here):
    apart = trainings("vae", digits, models=2)
    apart[1].start = 3
    with pytest.raises(ValueError, match="same iteration"):
        step_of(apart)


def test_files_hold_one_model_each(digits, here):
    together = [
        training("vae", digits, seed, state_path=here / f"resume-{seed}.pt") for seed in range(8)
    ]
    fit(together, 2)
    alone = training("vae", digits, 9, state_path=here / "resume-9.pt")
    train.loop(alone, quiet, 2)
    for name in ("resume-{}.pt", "checkpoints/m{}/model-00002.pt"):
        size, expected = (len((here / name.format(i)).read_bytes()) for i in (3, 9))
        assert size == pytest.approx(expected, rel=0.01)
    again = built("vae", 11)
    checkpoints.load_weights(again, checkpoints.model_path("m3", 2))
    assert same([again.state_dict()], [together[3].model.state_dict()])


class Log:
    """A writer that remembers."""

    def __init__(self):
        self.scalars = {}

    def add_scalar(self, tag, value, step):
        self.scalars[tag, step] = value

    def flush(self):
        pass


@pytest.mark.slow
def test_every_model_logs_its_own_numbers(digits, here):
    logs = [Log() for _ in range(MODELS)]
    together = [training("ssvae", digits, seed, logs[seed]) for seed in range(MODELS)]
    fit(together, 51)
    tags = {tag for tag, _ in logs[0].scalars}
    assert {"train/loss", "train/grad_norm", "gen/elbo", "class/ce", "class/acc"} <= tags
    for log in logs:
        assert set(log.scalars) == {(tag, step) for tag in tags for step in (50, 51)}
        assert all(math.isfinite(v) for v in log.scalars.values())
    for tag in ("train/loss", "train/grad_norm", "gen/rec"):
        assert len({log.scalars[tag, 50] for log in logs}) == MODELS


@pytest.mark.slow
def test_one_that_breaks_keeps_no_other_back(digits, here):
    whole = trainings("vae", digits)
    torch.manual_seed(5)
    fit(whole, 60)
    shutil.rmtree(here / "checkpoints")
    together = trainings("vae", digits)
    session = StackedSession(together)
    with torch.no_grad():
        together[1].model.dec.net[4].bias[0] = math.nan
    torch.manual_seed(5)
    done = train.loop(session, quiet, 60)
    assert done.step == 60
    assert [t.failure is None for t in together] == [True, False, True]
    assert "iteration 1: gen/" in str(together[1].failure)
    found, expected = weights(together), weights(whole)
    assert same([found[0], found[2]], [expected[0], expected[2]])
    written = {p.parent.name for p in here.glob("checkpoints/*/model-00060.pt")}
    assert written == {"m0", "m2"}
    replay = json.loads((here / "checkpoints/m1/nonfinite-00001.json").read_text())
    own = training("vae", digits, 1).stream
    own.draw()
    assert replay["train_positions"] == own.drawn().tolist()


def test_a_disk_that_fails_one_keeps_no_other_back(digits, here):
    def full(step):
        raise OSError(28, "No space left on device")

    together = [
        training("vae", digits, seed, on_checkpoint=full if seed == 1 else None)
        for seed in range(MODELS)
    ]
    told = []
    fit(together, 2, on_failure=told.append)
    assert told == [together[1]]
    assert isinstance(together[1].failure, OSError)


def test_a_signal_is_heeded_though_all_have_failed(digits, here):
    together = trainings("vae", digits, models=2)
    session = StackedSession(together, on_failure=lambda session: None)
    undisturbed = session.step

    def step():
        signal.raise_signal(signal.SIGTERM)
        return undisturbed()

    session.step = step
    for own in together:
        with torch.no_grad():
            own.model.dec.net[4].bias[0] = math.nan
    with pytest.raises(SystemExit) as stopped:
        train.loop(session, quiet, 60)
    assert stopped.value.code == 128 + signal.SIGTERM


def test_when_all_break_the_first_ones_reason_is_given(digits, here):
    together = trainings("vae", digits, models=2)
    for own in together:
        with torch.no_grad():
            own.model.dec.net[4].bias[0] = math.nan
    with pytest.raises(UserError, match="stopped at iteration 1"):
        fit(together, 60)


@pytest.mark.slow
def test_stacked_models_learn_what_models_alone_do(digits, here):
    """The bound after 150 steps, over eight seeds each, within five standard errors."""
    x = subsets.binarized_test(digits)
    together, alone = (trainings("vae", digits, models=8) for _ in range(2))
    fit(together, 150)
    for own in alone:
        train.loop(own, quiet, 150)
    bounds = [[full_bounds(t.model, x)["nelbo"].value for t in some] for some in (together, alone)]
    se = math.sqrt(sum(statistics.variance(values) / 8 for values in bounds))
    assert abs(statistics.fmean(bounds[0]) - statistics.fmean(bounds[1])) < 5 * se
    assert max(bounds[0]) < 350  # from about 540


def test_models_that_cannot_be_stacked_are_trained_one_after_the_other(digits, capsys):
    class Run:
        args = Namespace(graph=0)
        settings = Namespace(lr=1e-3, precision="fp32", compile=0)

        def __init__(self, name):
            self.name = name

        def pace(self):
            return quiet, 2

    together, reported = trainings("vae", digits), []
    for own in together:
        own.model.__class__ = Asking
    task = Namespace(report=lambda run, model: reported.append((run, model)))
    runs = [Run(f"m{seed}") for seed in range(MODELS)]
    replicates._as_one(list(zip(runs, together, strict=True)), task)
    assert [run for run, _ in reported] == runs
    assert [model for _, model in reported] == [own.model for own in together]
    assert [run.trained.models for run in runs] == [1, 1, 1]
    (line,) = capsys.readouterr().out.strip().splitlines()
    assert line.startswith("These models cannot be trained as one (")
    assert "item()" in line
    assert line.endswith("); going on one by one.")


@ON_GPU
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_of_a_stack_computes_what_its_plain_steps_do(kind, precision, digits, capsys):
    on_gpu, rows = digits.to("cuda"), []
    for wrap in (lambda step: step, captured):
        together = trainings(kind, on_gpu, device="cuda")
        step = wrap(step_of(together, precision=precision))
        torch.manual_seed(1)
        rows.append([tuple(t.clone() for t in step()) for _ in range(20)])
    assert "cannot be captured" not in capsys.readouterr().out
    for (values, x, y), (expected, x_plain, y_plain) in zip(*rows, strict=True):
        assert torch.equal(x, x_plain)
        assert torch.equal(y, y_plain)
        torch.testing.assert_close(values, expected, rtol=1e-2, atol=1e-2)


# The command line


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_runs_are_trained_as_one(script, nursery, tmp_path):
    flags = [*SCRIPTS[script], "--iter_max", 60, "--runs", 3, "--stack", 1]
    done = nursery.run(script, *flags, cwd=tmp_path)
    assert done.status == 0, done.err
    assert "3 runs trained as one" in done.out
    records = [json.loads(p.read_text()) for p in tmp_path.glob("checkpoints/*/results.json")]
    assert [r["training"]["runs_at_once"] for r in records] == [3, 3, 3]
    assert [r["flags"]["threads"] for r in records] == [0, 0, 0]
    assert len({json.dumps(r["numbers"]) for r in records}) == 3
    again = nursery.run(script, *flags, cwd=tmp_path)
    group = "test" if "ssvae" in script else "subset"
    assert "left as they are: runs 0 to 2" in again.out
    assert (
        again.out[again.out.index(f"{group}, run") :] == done.out[done.out.index(f"{group}, run") :]
    )


@pytest.mark.slow
def test_what_was_interrupted_goes_on(nursery, tmp_path):
    """Two runs from where they were stopped, one whose folder was lost from its start."""
    flags = [*SCRIPTS["run_vae.py"], "--iter_save", 100, "--runs", 3, "--stack", 1]
    process = nursery.start("run_vae.py", *flags, "--iter_max", 600, cwd=tmp_path)
    until(lambda: list(tmp_path.glob("checkpoints/*/model-00100.pt")), process)
    process.send(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    step, path = re.findall(r"at iteration (\d+); saved in (\S+) and", process.out)[0]
    assert "2 other runs" in process.out
    assert (tmp_path / path).exists()
    shutil.rmtree(next(tmp_path.glob("checkpoints/*run=0001*")))
    done = nursery.run("run_vae.py", *flags, "--iter_max", 600, cwd=tmp_path)
    assert done.status == 0, done.err
    assert done.out.count(f"Going on with this run from iteration {step}") == 2
    records = [json.loads(p.read_text()) for p in tmp_path.glob("checkpoints/*/results.json")]
    stretches = {r["training"]["iterations_in_this_stretch"] for r in records}
    assert stretches == {600, 600 - int(step)}
    assert done.out.count("2 runs trained as one") == 1


def test_one_run_that_is_refused_keeps_no_other_back(nursery, tmp_path):
    flags = [*SCRIPTS["run_vae.py"], "--iter_max", 10, "--runs", 3, "--stack", 1]
    taken = tmp_path / "checkpoints" / "model=vae_z=02_run=0001_batch_size=20_data=digits"
    taken.mkdir(parents=True)
    with filelock.FileLock(taken / "lock"):
        done = nursery.run("run_vae.py", *flags, cwd=tmp_path)
    assert done.status == 2
    assert "is being trained by" in done.err
    assert "Runs 1 are not finished" in done.err
    assert "2 runs trained as one" in done.out
    assert len(list(tmp_path.glob("checkpoints/*/results.json"))) == 2


@pytest.mark.slow
def test_alone_there_is_nothing_to_stack(nursery, tmp_path):
    done = nursery.run("run_vae.py", "--stack", 1, cwd=tmp_path)
    assert "give --runs too" in done.complaint()
