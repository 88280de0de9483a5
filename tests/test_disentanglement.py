"""Scores of disentanglement on codes whose scores are known, and wrong versions that these find."""

import json
from argparse import Namespace

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score
from test_uses import subject

from codebase import command
from codebase.data import sprites
from codebase.data.datasets import Dataset
from codebase.errors import UserError
from codebase.evaluation import disentanglement as de
from codebase.uses import disentangle

SCORES = "MIG", "DCI disentanglement", "DCI completeness", "SAP", "FactorVAE"


@pytest.fixture(scope="module")
def factors():
    return sprites.factors("test").numpy()


@pytest.fixture(scope="module", autouse=True)
def fewer():
    """Of votes and trees, so that it is quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(de, "VOTES", 2_000)
        patch.setattr(de, "TREES", 4)
        yield


def standard(factors):
    return (factors - factors.mean(0)) / factors.std(0)


def values(codes, factors, ordered=sprites.ORDERED):
    return {name: n.value for name, n in de.scores(codes, factors, ordered).items()}


def noise(factors, width):
    return np.random.default_rng(1).standard_normal((len(factors), width))


def test_codes_that_are_the_factors_score_1(factors):
    """In any order, of any sign and size, beside dimensions of noise."""
    codes = np.hstack([standard(factors)[:, ::-1] * [3, -1, 0.5, 1, -2], noise(factors, 2)])
    found = values(codes, factors)
    assert all(found[name] == pytest.approx(1, abs=0.02) for name in SCORES)
    assert found["DCI informativeness"] == pytest.approx(1, abs=0.02)


def test_noise_scores_0_and_votes_as_a_guess_does(factors):
    found = values(noise(factors, 7), factors)
    for name in ("MIG", "DCI disentanglement", "DCI completeness", "SAP"):
        assert found[name] == pytest.approx(0, abs=0.02)
    assert found["FactorVAE"] == pytest.approx(found["FactorVAE of a guess"], abs=0.03)
    assert found["FactorVAE of a guess"] == pytest.approx(1 / 5, abs=0.03)


def test_codes_turned_by_45_degrees_score_low(factors):
    """Two factors, each of which both dimensions tell as much of."""
    two = factors[:, 3:]
    turned = standard(two) @ np.array([[1, 1], [-1, 1]]) / 2**0.5
    found = values(turned, two, (True, True))
    assert found["DCI informativeness"] > 0.9  # nothing is lost
    assert max(found[name] for name in SCORES[:-1]) < 0.1
    assert found["FactorVAE"] < 0.6  # of 0.5


def test_a_factor_told_twice_has_no_gap_but_is_disentangled(factors):
    found = values(np.hstack([standard(factors)] * 2), factors)
    assert found["MIG"] == pytest.approx(0, abs=1e-9)
    assert found["SAP"] == pytest.approx(0, abs=1e-9)
    assert found["DCI disentanglement"] == pytest.approx(1, abs=0.02)
    assert found["DCI completeness"] < 0.9
    assert found["FactorVAE"] == pytest.approx(1, abs=0.02)


def test_two_factors_in_one_dimension_are_complete_but_entangled(factors):
    """Told by a number that has both as digits: a factor is in one place, which is not its own."""
    two = factors[:, [1, 0]]
    codes = np.stack([3.0 * two[:, 0] + two[:, 1], noise(two, 1)[:, 0]], axis=1)
    found = values(codes, two, (True, False))
    assert found["DCI disentanglement"] < 0.1
    assert found["DCI completeness"] > 0.9


# Parts


def test_information_is_scikit_learn_s(factors):
    rng = np.random.default_rng(0)
    a = np.stack([factors[:, 0] + rng.integers(2, size=len(factors)), factors[:, 2] // 3], axis=1)
    found = de.information(a, factors)
    for i in range(2):
        for k in range(5):
            assert found[i, k] == pytest.approx(mutual_info_score(a[:, i], factors[:, k]), abs=1e-9)


def test_mig_is_its_formula():
    """Of uniform bits: one dimension tells v₀ and half of v₁, the other only v₁."""
    v = np.array([(a, b) for a in range(2) for b in range(4)] * 20)
    codes = np.stack([v[:, 0] * 2 + v[:, 1] // 2, v[:, 1]], axis=1).astype(float)
    expected = np.mean([np.log(2) / np.log(2), (np.log(4) - np.log(2)) / np.log(4)])
    assert de.mig(codes, v) == pytest.approx(expected)
    transposed = de._gap(de.told(codes, v).T) / np.log([2, 4])  # the mutant: gaps between factors
    assert abs(transposed.mean() - expected) > 0.1
    mean_of_all = de._gap(de.told(codes, v)).mean() / np.log(4)  # the mutant: one entropy for all
    assert abs(mean_of_all - expected) > 0.1


def test_importances_by_hand():
    """Three dimensions, two factors: entropies over factors to the base 2, over dimensions to 3."""
    r = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 0.0]])
    disentanglement, completeness = de.of_importances(r)
    assert disentanglement == pytest.approx(1 / 2 * 1 + 1 / 2 * 0)
    p = np.array([2 / 3, 1 / 3])
    expected = (1 + p @ np.log(p) / np.log(3) + 1) / 2
    assert completeness == pytest.approx(expected)
    assert abs((1 + p @ np.log(p) / np.log(2) + 1) / 2 - expected) > 0.05  # the mutant: base 2
    uniform = de.of_importances(np.full((5, 2), 0.2))
    assert uniform == pytest.approx((0, 0))
    unweighted = np.mean([1, 0, 0])  # the mutant, of dimensions that say nothing too
    assert abs(unweighted - disentanglement) > 0.1


def test_sap_is_the_correlation_and_of_shapes_the_share_between():
    rng = np.random.default_rng(0)
    v = np.stack([np.arange(300) % 3, rng.integers(5, size=300)], axis=1)
    shape = np.array([0.0, 5.0, 1.0])[v[:, 0]]  # tells the shape, in no order
    codes = np.stack([shape + rng.standard_normal(300), v[:, 1] + 0.0], axis=1)
    share = np.var(np.array([codes[v[:, 0] == s, 0].mean() for s in range(3)])) / codes[:, 0].var()
    found = de.sap(codes, v, (False, True))
    assert found == pytest.approx((share + 1) / 2, abs=0.02)
    assert de.sap(codes, v, (True, True)) < found - 0.2  # the mutant: shapes as numbers


def test_the_vote_is_by_variance_relative_to_all_images(factors):
    """A dimension of tiny codes would always vary least, had nobody divided."""
    codes = (standard(factors) + 0.2 * noise(factors, 5)) * [10, 1, 1, 1, 0.2]
    assert de.factor_vae(codes, factors)[0] == pytest.approx(1, abs=0.02)


def test_dimensions_that_say_nothing_have_no_vote(factors):
    """Wherever they stand: what votes is counted among those that are left."""
    dead = 1e-3 * noise(factors, 3)
    codes = np.hstack([dead[:, :2], standard(factors), dead[:, 2:]])
    assert de.factor_vae(codes, factors)[0] == pytest.approx(1, abs=0.02)
    assert de.factor_vae(dead, factors) == (de.factor_vae(dead, factors)[1],) * 2


def test_traces_of_factors_in_dimensions_that_say_nothing_do_not_count(factors):
    """A histogram sees them, whatever their size."""
    codes = np.hstack([standard(factors), 1e-3 * standard(factors)])
    assert values(codes, factors)["MIG"] == pytest.approx(1, abs=0.02)
    assert de.mig(codes, factors) < 0.1  # the mutant: of all dimensions
    small = values(1e-3 * standard(factors), factors)  # where all are small, they do
    assert small["MIG"] == pytest.approx(1, abs=0.02)


def test_constant_dimensions_and_lone_ones_are_scored(factors):
    codes = np.zeros((len(factors), 1))
    found = values(codes, factors)
    assert all(np.isfinite(value) for value in found.values())
    assert max(found["MIG"], found["SAP"]) < 1e-9


@pytest.mark.parametrize(
    ("codes", "factors", "words"),
    [
        (np.zeros((99, 2)), np.zeros((99, 1)), "100 images"),
        (np.zeros((200, 2)), np.zeros((100, 1)), "200 codes and 100 rows"),
        (np.zeros((200, 2)), np.zeros((200, 1)), "same in all images"),
        (np.full((200, 2), np.nan), np.arange(200)[:, None], "not finite"),
    ],
)
def test_what_cannot_be_scored_is_said(codes, factors, words):
    with pytest.raises(UserError, match=words):
        de.scores(codes, factors, (True,))


# run.py use disentangle


@pytest.mark.parametrize("name", ["vae", "ae", "ssvae"])
def test_a_run_on_sprites_is_measured_and_drawn(name, here, monkeypatch):
    order = sprites._order()[:400]
    monkeypatch.setattr(sprites, "_rows", lambda part: order)
    x = torch.randint(0, 2, (400, 784), generator=torch.Generator().manual_seed(0)) * 255
    y = sprites.factors("test")[:, 0]
    data = Dataset("sprites", x.byte(), y, x.byte(), y)
    found = disentangle.measure(subject(name, data, here), Namespace())
    assert set(SCORES) < set(found.columns["score"])
    assert (here / "use-disentangle.png").exists()
    told = np.array(found.extra["information in nats, by dimension"])
    assert told.shape[1] == len(found.extra["factors"]) == 5


def test_it_is_a_use_of_a_finished_run(here, monkeypatch, capsys):
    """From the command line, on a few hundred sprites."""
    few = {"shape": 3, "scale": 2, "angle": 5, "x": 4, "y": 4}
    monkeypatch.setattr(sprites, "FACTORS", few)
    monkeypatch.setattr(sprites, "TEST", 150)
    order = np.random.default_rng(0).permutation(480)
    monkeypatch.setattr(sprites, "_order", lambda: order)
    words = ["--dataset", "sprites", "--iter_max", "2", "--threads", "1", "--z", "3"]
    command.main("vae", words=words, prog="run.py vae")
    (folder,) = (here / "checkpoints").iterdir()
    command.named(["use", "disentangle", folder.name, "--threads", "1"])
    record = json.loads((folder / "use-disentangle.json").read_text())
    assert set(SCORES) < set(record["numbers"]["score"])
    assert record["data"] == "sprites"
    out = capsys.readouterr().out
    assert "150 test images, 1 at best" in out
    assert de.NOTES[1] in out


def test_other_data_are_refused(digits, here):
    with pytest.raises(UserError, match="trained on digits, whose factors are not known"):
        disentangle.measure(subject("vae", digits, here), Namespace())
