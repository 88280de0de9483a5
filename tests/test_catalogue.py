"""One contract for every model of the catalogue, and the page that says how to add one."""

import re
import shutil
import subprocess
import sys
from functools import partial

import pytest
import torch
from conftest import ROOT
from tqdm import tqdm

from benchmarks import family
from codebase import command
from codebase.catalogue import CATALOGUE
from codebase.data import subsets
from codebase.data.batches import Batches, as_pixels, one_hot, seeded_generator
from codebase.engine.graph import CapturedStep
from codebase.engine.randomness import seeded
from codebase.engine.session import Session
from codebase.engine.stack import NotStackable
from codebase.engine.stacked_session import StackedSession
from codebase.evaluation.classifier import predictions
from codebase.evaluation.codes import codes, redrawn
from codebase.figures.book import applicable, render
from codebase.figures.study import Study
from codebase.figures.style import styled
from codebase.files import checkpoints, records
from codebase.report import evidence
from codebase.runs.saved import open_run
from codebase.train import loop

quiet = partial(tqdm, disable=True)
# Of the flags that have them.
SMALL = {"z": 3, "a_dim": 2, "k": 4, "channels": 4, "width": 8, "looks": 1, "times": 9}
SMALL |= {"inner": 2, "active": 2, "pretrain": 2}
EVERY = pytest.mark.parametrize("name", CATALOGUE)
PAGE = ROOT / "docs" / "models.md"


def values_of(name):
    """The flags that make it what it is, at their defaults but for small sizes."""
    entry = CATALOGUE[name]
    values = {flag.name: flag.default for flag in entry.matters(entry.defaults())}
    return values | {k: v for k, v in SMALL.items() if k in values}


def built(name, seed=0, run="run"):
    torch.manual_seed(seed)
    return CATALOGUE[name].build(values_of(name), run)


def able(ability):
    """A parameter: the names of the models that say they can."""
    names = [name for name in CATALOGUE if getattr(built(name).abilities, ability)]
    return pytest.mark.parametrize("name", names)


def numbers(model, batch):
    """What a model says of a minibatch: its bound, or without one what it redraws, or its loss."""
    if model.abilities.bounds:
        return model.negative_elbo_bound(batch[0])
    if model.abilities.reconstructions:
        return (redrawn(model, batch[0]),)
    return (model.loss(*batch)[0],)


def minibatch(model, digits, n=6):
    """What model.loss takes: n images, and of a model with a classifier ten labelled ones."""
    generator = seeded_generator(0)
    x = as_pixels(digits.train_x[:n], model.abilities.pixels, generator)
    if model.abilities.conditional:
        return x, one_hot(digits.train_y[:n])
    if not model.abilities.classifier:
        return (x,)
    xl = as_pixels(digits.train_x[20:30], model.abilities.pixels, generator)
    return x, xl, one_hot(digits.train_y[20:30])


def session(name, digits, seed=0, **options):
    model = built(name, seed, f"run{seed}")
    loader = Batches(digits.train_x[:150], digits.train_y[:150], 60, seeded_generator(seed))
    labelled = subsets.labelled(digits) if model.abilities.classifier else None
    y_status = "none" if labelled is None else "semisup"
    if model.abilities.conditional:
        y_status = "fullsup"
    return Session(model, loader, labelled, "cpu", None, y_status, **options)


def weights(model):
    return {key: t.clone() for key, t in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# Whose bound is of some pixels only, or by no posterior, or who has a likelihood, or is a game.
NO_BOUND = "reconstruction", "completion", "exact", "adversarial", "diffusion"


def test_who_has_no_bound_is_of_another_task():
    """So that what follows leaves out nobody else."""
    for name, entry in CATALOGUE.items():
        has = entry.task not in NO_BOUND
        assert built(name).abilities.bounds == has, name


@able("bounds")
def test_nats_of_grey_pixels_are_known_to_be_so(name):
    """The pages keep them apart, without torch."""
    group = evidence.Group(name, CATALOGUE[name], "", 1, "mnist", {})
    assert group.grey == (built(name).abilities.pixels != "binary")


@able("bounds")
def test_distributions_have_the_shapes_they_should(name, digits):
    model = built(name)
    x, *_ = minibatch(model, digits)
    y = [model.labels(x)] if model.y_dim else []
    before = (model.y_dim,) if y else ()
    q, p = model.posterior(x, *y), model.prior()
    assert q.mean.shape == (*before, 6, model.z_dim)
    z = q.rsample((2,))
    assert z.shape == (2, *before, 6, model.z_dim)
    _, log_q = q.rsample_and_log_prob((2,))
    assert log_q.shape == p.log_prob(z).shape == z.shape[:-1]
    drawn = model.likelihood(z, *y)
    assert drawn.mean.shape == drawn.sample().shape == (*z.shape[:-1], 784)
    assert drawn.log_prob(x).shape == z.shape[:-1]
    assert p.rsample((5,)).shape == (5, model.z_dim)
    assert p.mean.shape == p.variance.shape == (model.z_dim,)
    assert all(term.shape == (6,) for term in model.negative_elbo_terms(x))


@able("reconstructions")
def test_codes_and_what_is_redrawn_have_the_shapes_they_should(name, digits):
    model = built(name)
    x, *_ = minibatch(model, digits)
    y = [model.labels(x)] if model.y_dim else []
    z = model.posterior(x, *y).mean
    assert z.shape[-2:] == (6, model.z_dim)
    z = z.expand(2, *z.shape)
    assert model.likelihood(z, *y).mean.shape == (*z.shape[:-1], 784)
    assert model.posterior(x, *y).variance.shape == z.shape[1:]
    assert redrawn(model, x).shape == (6, 784)


@EVERY
def test_looking_at_a_model_is_no_chance_and_moves_none(name, digits):
    """Between two steps as after the last: the mutant's numbers depend on what was drawn before."""
    model = built(name)
    x, *_ = minibatch(model, digits)
    looks = []
    if model.abilities.reconstructions:
        looks += [codes, redrawn]
    if model.abilities.classifier:
        looks.append(predictions)
    before = torch.get_rng_state()
    first = [look(model, x) for look in looks]
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert all(torch.equal(look(model, x), was) for look, was in zip(looks, first, strict=True))


@EVERY
def test_gradients_reach_every_trained_parameter_and_no_other(name, digits):
    model = built(name)
    with torch.no_grad():  # behind a layer that begins at 0 nothing would be reached as yet
        for p in model.parameters():
            p.add_(0.03 * torch.randn_like(p) * p.requires_grad)
    model.steps_taken.fill_(100)  # behind what is trained before the rest
    batch = minibatch(model, digits)
    players = model.players()
    trained = {id(p) for own in players.values() for p in own}
    for player in players:
        asked = {} if len(players) == 1 else {"player": player}
        loss, _ = model.loss(*batch, **asked)
        loss.backward()
    for key, p in model.named_parameters():
        assert (p.grad is not None and bool((p.grad != 0).any())) == (id(p) in trained), key


@EVERY
def test_the_loss_is_a_mean_over_the_images(name, digits):
    """Twice the images, whose noise is not the same: it stays, within its own noise."""
    if name == "swae":
        pytest.skip("the sorted codes of more images lie nearer to as many draws of the prior")
    model = built(name).double()
    model.steps_taken.fill_(100)
    batch = [t.double() for t in minibatch(model, digits)]
    with seeded(2):
        once, twice = (
            torch.stack([model.loss(*some)[0].detach() for _ in range(30)])
            for some in (batch, [torch.cat([t, t]) for t in batch])
        )
    se = ((once.var() + twice.var()) / 30).sqrt()
    assert abs(once.mean() - twice.mean()) < 5 * se + 1e-9 * once.mean().abs()


@able("bounds")
def test_costs_add_up_and_do_not_depend_on_the_size_of_the_batch(name, digits):
    model = built(name).double()
    x, *_ = minibatch(model, digits)
    x = x.double()
    with seeded(1):
        nelbo, *terms = model.negative_elbo_bound(x)
    assert nelbo.item() == pytest.approx(sum(t.item() for t in terms), rel=1e-12)
    with seeded(1):
        each = sum(model.negative_elbo_terms(x))
    assert nelbo.item() == pytest.approx(each.mean().item(), rel=1e-12)
    # Twice the images, whose noise is not the same: the mean stays, within its own noise.
    with seeded(2):
        once, twice = (
            torch.stack([model.negative_elbo_bound(some)[0] for _ in range(30)])
            for some in (x, torch.cat([x, x]))
        )
    se = ((once.var() + twice.var()) / 30).sqrt()
    assert abs(once.mean() - twice.mean()) <= 5 * se + 1e-9


@able("bounds")
def test_the_importance_weighted_bound_is_tighter(name, digits):
    model = built(name)
    x, *_ = minibatch(model, digits)
    with seeded(1):
        loose, tight = (
            torch.stack([model.negative_iwae_bound(x, m)[0] for _ in range(30)]) for m in (1, 20)
        )
        nelbo = torch.stack([model.negative_elbo_bound(x)[0] for _ in range(30)])
        q = model.posterior(x, *[model.labels(x)] if model.y_dim else [])
        certain = torch.equal(q.rsample(), q.rsample())
    if certain:  # all weights are alike
        assert tight.mean().item() == pytest.approx(nelbo.mean().item(), rel=1e-5)
        return
    assert tight.mean() < loose.mean()
    assert tight.mean() < nelbo.mean()


@pytest.mark.few(12)
@EVERY
def test_the_same_seed_gives_the_same_bits(name, digits, here):
    found = []
    for _ in range(2):
        own = session(name, digits)
        torch.manual_seed(4)
        loop(own, quiet, 5)
        found.append(weights(own.model))
    assert same(*found)


@pytest.mark.few(24)
@EVERY
def test_replayed_steps_have_the_bits_of_plain_ones(name, digits, here, capsys):
    """And none waits for the device, which no recording could repeat."""
    found = []
    for graph in (False, True):
        own = session(name, digits, graph=graph)
        torch.manual_seed(4)
        loop(own, quiet, 9)
        found.append(weights(own.model))
    assert same(*found)
    assert isinstance(own.step, CapturedStep) != own.model.steps_differ
    assert not capsys.readouterr().out


@pytest.mark.few(24)
@EVERY
def test_an_interrupted_training_ends_with_the_same_bits(name, digits, here):
    whole = session(name, digits)
    loop(whole, quiet, 7)
    for iter_max in (2, 7):
        piece = session(name, digits, state_path=here / "resume.pt")
        loop(piece, quiet, iter_max)
    assert same(weights(whole.model), weights(piece.model))


@pytest.mark.few(12)
@EVERY
def test_seeds_are_trained_as_one(name, digits, here):
    together = [session(name, digits, seed) for seed in range(2)]
    if len(together[0].model.players()) > 1:
        with pytest.raises(NotStackable, match="several players"):
            StackedSession(together)
        return
    before = [weights(own.model) for own in together]
    done = loop(StackedSession(together), quiet, 2)
    assert (done.step, done.models) == (2, 2)
    assert not any(same(old, weights(own.model)) for old, own in zip(before, together, strict=True))


@EVERY
def test_a_saved_model_opens_by_its_record_with_the_same_numbers(name, digits, here):
    model = built(name)
    path = checkpoints.model_path("run", 3)
    path.parent.mkdir(parents=True)
    checkpoints.save(path, model.state_dict())
    identity = {"model": name, **values_of(name), "data": "digits", "seed": 0}
    records.write(path.with_name("flags.json"), identity)
    opened = open_run("run")
    assert (opened.kind, type(opened.model)) == (name, type(model))
    assert opened.settings == values_of(name)
    batch = minibatch(model, digits)
    with seeded(1):
        expected = numbers(model.eval(), batch)
    with seeded(1):
        assert all(map(torch.equal, numbers(opened.model, batch), expected))


@able("samples")
def test_images_are_drawn(name, digits):
    model = built(name)
    with seeded(3):
        x = model.sample_x(9)
    assert x.shape == (9, 784)
    if model.abilities.pixels == "binary":
        assert set(x.unique().tolist()) == {0, 1}


@pytest.mark.few(6)
@EVERY
def test_one_iteration_through_the_command_line(name, here, capsys):
    flags = [f"--{flag}={value}" for flag, value in SMALL.items() if flag in values_of(name)]
    command.named([name, *flags, "--dataset", "digits", "--iter_max", "1", "--threads", "1"])
    assert f"model={name}_" in capsys.readouterr().out
    (folder,) = (here / "checkpoints").iterdir()
    assert (folder / "results.json").exists()


@pytest.mark.slow
def test_a_script_s_run_is_the_catalogue_s(run, tmp_path):
    """run_vae.py and run.py vae: the same folder and bits."""
    found = []
    for script in (("run_vae.py",), ("run.py", "vae")):
        cwd = tmp_path / script[0]
        cwd.mkdir()
        done = run(*script, "--dataset", "digits", "--iter_max", 2, "--threads", 1, cwd=cwd)
        assert done.returncode == 0, done.stderr
        (path,) = cwd.glob("checkpoints/*/model-00002.pt")
        found.append((path.parent.name, torch.load(path, weights_only=True)))
    (name, expected), (other, state) = found
    assert name == other
    assert same(expected, state)


def test_the_list_is_the_catalogue_and_needs_no_torch(tmp_path):
    code = f"""
import runpy, sys
sys.argv, sys.path[0] = ["run.py", "--list"], {str(ROOT)!r}
runpy.run_path({str(ROOT / "run.py")!r}, run_name="__main__")
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    lines = done.stdout.partition("\n\n")[0].splitlines()  # below are the presets
    assert [line.split()[0] for line in lines] == list(CATALOGUE)
    for line, entry in zip(lines, CATALOGUE.values(), strict=True):
        assert entry.line in line
        assert entry.source in line


def test_an_unknown_name_is_said_in_a_sentence(run):
    done = run("run.py", "wae")
    assert done.returncode == 2
    assert "There is no model 'wae'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# The page


def test_the_page_s_tables_are_the_catalogue_s_and_what_was_measured():
    """python -m benchmarks.family page writes them."""
    text = PAGE.read_text(encoding="utf-8")
    assert text == family.page()
    for entry in CATALOGUE.values():
        assert f"| `{entry.name}` | {entry.line} | {entry.source} | {entry.claim} |" in text


@EVERY
def test_figures_know_what_applies(name, digits):
    """And what samples there are, are drawn."""
    study = Study(built(name), digits, name)
    wanted = applicable(study)
    assert ("samples" in wanted) == study.abilities.samples
    if "samples" in wanted:
        with styled():
            figure, _ = render("samples", study)
        assert figure.axes


def test_a_model_is_added_as_the_page_says(tmp_path):
    """Its three blocks put where they say, in a copy of the project: it trains, its tests pass."""
    project = tmp_path / "project"
    for part in ("codebase", "tests", "benchmarks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, project / part, ignore=ignored)
    for part in ("run.py", "pyproject.toml"):
        shutil.copy(ROOT / part, project / part)
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n# (\S+?)(?:, the last of (\w+))?\n(.*?)```", text, re.DOTALL)
    assert [path for path, *_ in blocks] == [
        "codebase/models/laplace.py",
        "codebase/axes/priors.py",
        "codebase/catalogue/family.py",
        "tests/test_laplace.py",
    ]
    for path, of, code in blocks:
        target = project / path
        if of:
            before, begin, after = target.read_text("utf-8").partition(f"\n{of} = (")
            inside, end, after = after.partition("\n)\n")
            code = before + begin + inside + "\n" + code.rstrip("\n") + end + after
        target.write_text(code, encoding="utf-8")
    command = [sys.executable, "run.py", "laplace", "--dataset", "digits", "--iter_max", "2"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (project / "checkpoints" / "model=laplace_z=10_run=0000_data=digits").is_dir()
    tests = [
        *("tests/test_laplace.py", "tests/test_catalogue.py", "tests/test_family.py"),
        *("-k", "laplace and (torch or gradients or record or any_two)"),
    ]
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", *tests]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert re.search(r"[5-9] passed|\d\d passed", done.stdout)
