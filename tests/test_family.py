"""Every two parts together: what is legal trains, what is not is refused in a sentence."""

import itertools
import math
import random

import pytest
import torch

from codebase import axes, command
from codebase.axes import AXES
from codebase.catalogue import CATALOGUE, FAMILY
from codebase.data.batches import Batches, as_pixels, seeded_generator
from codebase.data.stream import Stream
from codebase.engine.randomness import seeded
from codebase.engine.step import Step
from codebase.errors import UserError
from codebase.models.family import FamilyVAE
from codebase.models.vae import VAE

VAE_ENTRY = CATALOGUE["vae"]
SMALL = {"z": 3, "k": 4, "hidden": 11, "layers": 1, "samples": 2, "groups": 2, "flow_hidden": 7}
STEPS = 20


def legal(parts):
    """Whether these parts, {axis: name}, go together."""
    try:
        axes.check(parts, parts)
    except UserError:
        return False
    return True


def usual():
    return {axis: choices[0].name for axis, choices in AXES.items()}


PAIRS = [
    {a: p.name, b: q.name}
    for a, b in itertools.combinations(AXES, 2)
    for p, q in itertools.product(AXES[a], AXES[b])
]


def covering():
    """Few choices of one part of every axis in which every legal pair comes up."""
    draw = random.Random(0)
    left = [pair for pair in PAIRS if legal(usual() | pair)]
    rows = []
    while left:
        tries = [usual() | left[0]]
        for _ in range(200):
            row = {axis: draw.choice(choices).name for axis, choices in AXES.items()} | left[0]
            tries += [row] if legal(row) else []
        best = max(tries, key=lambda row: sum(pair.items() <= row.items() for pair in left))
        rows.append(best)
        left = [pair for pair in left if not pair.items() <= best.items()]
    return rows


def built(parts):
    torch.manual_seed(0)
    values = parts | {name: v for name, v in SMALL.items() if name in VAE_ENTRY.defaults()}
    return VAE_ENTRY.build(values, "run")


def name_of(row):
    return "-".join(name for axis, name in row.items() if name != AXES[axis][0].name) or "vae"


@pytest.mark.few(12)
@pytest.mark.parametrize("parts", covering(), ids=name_of)
def test_any_two_parts_train_together(parts, digits):
    model = built(parts)
    images, pixels = digits.train_x[:120], model.abilities.pixels
    model.prepare(lambda: as_pixels(images, "grey"))
    step = Step(
        model,
        Stream(Batches(images, digits.train_y[:120], 13, seeded_generator(0)), None, "cpu", pixels),
    )
    model.train()
    reached = {name: False for name, p in model.named_parameters() if p.requires_grad}
    for _ in range(STEPS):
        values, _, _ = step()
        assert torch.isfinite(values).all(), dict(zip(step.tags, values.tolist(), strict=True))
        for name, p in model.named_parameters():
            if p.grad is not None:
                reached[name] |= bool((p.grad != 0).any())
    assert all(reached.values()), [name for name, was in reached.items() if not was]
    assert {"train/loss", "gen/elbo", "gen/kl_z", "gen/rec"} <= set(step.tags)
    model.eval()
    x = as_pixels(digits.test_x[:7], pixels, seeded_generator(1))
    with seeded(1):
        bounds = [*model.negative_elbo_bound(x), *model.negative_iwae_bound(x, 5)]
        drawn = model.sample_x(4)
    assert all(math.isfinite(b) for b in bounds)
    assert bounds[0].item() == pytest.approx((bounds[1] + bounds[2]).item(), rel=1e-5)
    assert drawn.shape == (4, 784)
    assert torch.isfinite(drawn).all()


ILLEGAL = [pair for pair in PAIRS if not legal(usual() | pair)]


def every_entry_with_every_part():
    """Of entries whose own flags a part reads, which another part in its place does not."""
    of_parts = {f.name for choices in AXES.values() for part in choices for f in part.flags}
    for entry in CATALOGUE.values():
        if entry.parts is not None and of_parts & {flag.name for flag in entry.own}:
            for axis, choices in AXES.items():
                yield from ((entry.name, axis, part.name) for part in choices)


@pytest.mark.parametrize(("name", "axis", "part"), [*every_entry_with_every_part()])
def test_an_entry_takes_any_part_that_goes_with_its_others(name, axis, part):
    entry = CATALOGUE[name]
    values = entry.defaults() | {axis: part}
    try:
        entry.check(values)
    except UserError:
        pytest.skip("is refused in a sentence")
    model = entry.build(values, "x")
    assert model.z_dim == values["z"]


def test_a_flag_that_nothing_reads_is_in_no_name():
    vamp = CATALOGUE["vamp"]
    other = vamp.defaults() | {"prior": "realnvp"}
    assert vamp.layout(vamp.defaults()) == "model=vamp_z=10_k=500"
    assert vamp.layout(other) == "model=vamp_z=10"
    assert "k" not in {flag.name for flag in vamp.matters(other)}
    with pytest.raises(UserError, match="--k 10 changes nothing here"):
        vamp.check(other | {"k": 10})


@pytest.mark.parametrize("pair", ILLEGAL, ids=name_of)
def test_what_does_not_go_together_is_refused_in_a_sentence(pair, capsys):
    words = [word for axis, name in pair.items() for word in (f"--{axis}", name)]
    with pytest.raises(SystemExit) as end:
        command.main("vae", words=[*words, "--data_dir", "nowhere"], prog="run.py vae")
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    for axis, name in pair.items():
        assert f"--{axis} {name}" in said


def test_the_first_parts_are_the_vae(digits):
    """Bit for bit: weights, loss and bounds."""
    torch.manual_seed(3)
    family = FamilyVAE("run", 5)
    torch.manual_seed(3)
    plain = VAE(name="run", z_dim=5)
    x = as_pixels(digits.train_x[:6], "binary", seeded_generator(0))
    own, theirs = family.state_dict(), plain.state_dict()
    assert all(torch.equal(own[key], theirs[key]) for key in own)
    assert theirs.keys() - own.keys() == {"z_prior_m", "z_prior_v"}
    for ask in (lambda m: m.loss(x)[0], lambda m: m.negative_elbo_bound(x)[0]):
        with seeded(1):
            expected = ask(plain)
        with seeded(1):
            assert torch.equal(ask(family), expected)


def test_a_mixture_prior_is_the_gmvae_s(digits):
    """The same weights in other places: the same loss."""
    torch.manual_seed(0)
    plain = CATALOGUE["gmvae"].build({"z": 3, "k": 4}, "run")
    torch.manual_seed(0)
    family = FamilyVAE("run", 3, prior=axes.chosen({"prior": "mixture"})["prior"].factory({"k": 4}))
    state = {k: v for k, v in plain.state_dict().items() if k not in ("pi", "z_pre")}
    family.load_state_dict(state | {"prior_part.pre": plain.z_pre.detach().squeeze(0)})
    x = as_pixels(digits.train_x[:6], "binary", seeded_generator(0))
    with seeded(1):
        expected = plain.loss(x)[0]
    with seeded(1):
        torch.testing.assert_close(family.loss(x)[0], expected)


@pytest.mark.parametrize("objective", ["iwae", "dreg", "renyi"])
def test_a_scale_that_is_best_for_a_plain_mean_goes_with_no_weights(objective, capsys):
    words = ["--likelihood", "gaussian", "--sigma", "optimal", "--objective", objective]
    with pytest.raises(SystemExit):
        command.main("vae", words=[*words, "--data_dir", "nowhere"], prog="run.py vae")
    said = capsys.readouterr().err
    assert f"--sigma optimal does not go with --objective {objective}" in said
    assert len(said.splitlines()) == 1


def test_a_flag_that_changes_nothing_is_refused(capsys):
    for words, said in (
        (["--k", "7"], "--k 7 changes nothing here: it is for --prior mixture or --prior vamp."),
        (["--net", "nowhere"], "invalid choice: 'nowhere'"),
    ):
        with pytest.raises(SystemExit) as end:
            command.main("vae", words=words, prog="run.py vae")
        assert end.value.code == 2
        assert said in capsys.readouterr().err


def test_the_assignment_s_scripts_know_no_parts(capsys):
    with pytest.raises(SystemExit) as end:
        command.main("vae", words=["--prior", "vamp"])
    assert end.value.code == 2
    assert "unrecognized arguments: --prior" in capsys.readouterr().err


def test_parts_are_in_a_run_s_name_and_record_only_if_chosen():
    plain = VAE_ENTRY.matters(VAE_ENTRY.defaults())
    assert [flag.name for flag in plain] == ["z", "beta"]
    chosen = VAE_ENTRY.defaults() | {"prior": "vamp"}
    found = {flag.name for flag in VAE_ENTRY.matters(chosen)}
    assert {"z", "k", *AXES} <= found
    assert "gmvae" in CATALOGUE
    assert CATALOGUE["vamp"].model == FAMILY


def test_every_flag_of_a_part_is_one_of_the_constructor():
    """And the defaults said on the command line are those of Python."""
    import inspect

    for choices in AXES.values():
        for part in choices:
            cls = part.factory({}).func
            arguments = inspect.signature(cls.__init__).parameters
            for flag in part.flags:
                assert arguments[flag.argument].default == flag.default, (part.name, flag.name)
