"""Models whose posterior is not (m, v), or whose pixels are grey, through the whole house."""

import contextlib
import json
import math
from pathlib import Path

import pytest
import throwaway
import torch

from codebase import catalogue, command, explorer
from codebase.catalogue import Entry, dimensions
from codebase.data import subsets
from codebase.data.batches import grey
from codebase.evaluation import bounds
from codebase.runs.saved import open_run

ENTRIES = {
    "full": Entry(
        *(
            "full",
            "full covariance",
            "",
            "",
            "throwaway:FullVAE",
            "likelihood",
            20,
            (dimensions(3),),
        )
    ),
    "grey": Entry(
        *("grey", "grey pixels", "", "", "throwaway:GreyVAE", "likelihood", 20, (dimensions(3),))
    ),
}
EVERY = pytest.mark.parametrize("name", ENTRIES)
FLAGS = ["--dataset", "digits", "--threads", "1", "--precision", "fp32"]


@pytest.fixture(autouse=True)
def in_the_catalogue(monkeypatch, here):
    for name, entry in ENTRIES.items():
        monkeypatch.setitem(catalogue.CATALOGUE, name, entry)
    monkeypatch.setattr(bounds, "SUBSET_REPEATS", 3)
    monkeypatch.setattr(bounds, "IWAE_REPEATS", 2)


def trained(name, *flags):
    """Runs the command line and opens what it leaves."""
    command.main(name, words=[*FLAGS, *flags])
    (folder,) = Path("checkpoints").glob(f"model={name}_z=03_run=0000_data=digits*")
    return open_run(folder)


@pytest.mark.slow
@EVERY
def test_it_is_trained_measured_drawn_and_explored(name, here):
    opened = trained(name, "--iter_max", "60", "--train", "2", "--figures", "1")
    assert type(opened.model).__name__ == {"full": "FullVAE", "grey": "GreyVAE"}[name]
    record = json.loads((opened.folder / "results.json").read_text(encoding="utf-8"))
    assert record["model"] == name
    for group in ("subset", "test"):
        for number in record["numbers"][group].values():
            assert math.isfinite(number["value"])
    subset = {n: v["value"] for n, v in record["numbers"]["subset"].items()}
    assert subset["nelbo"] == pytest.approx(subset["kl"] + subset["rec"])
    assert subset["iwae-1000"] < subset["nelbo"]
    pictures = {p.name for p in opened.folder.glob("*.png")}
    assert pictures - {"curves.png"} == {
        "samples.png",
        "samples_probabilities.png",
        "reconstructions.png",
    }
    drawn = {p.stem for p in (opened.folder / "figures").glob("*.png")}
    assert {"samples", "reconstructions", "kl_per_dimension", "likelihood", "tsne"} <= drawn
    explorer.write_all([opened.folder])
    assert (opened.folder / "explore.html").stat().st_size > 100_000


@pytest.mark.few(1)
@EVERY
def test_its_record_is_what_it_gives_again(name, digits):
    opened = trained(name, "--iter_max", "5")
    record = json.loads((opened.folder / "results.json").read_text(encoding="utf-8"))
    x = subsets.test_images(digits, opened.model.abilities.pixels)
    again = bounds.full_bounds(opened.model, x)
    for term, number in record["numbers"]["test"].items():
        assert again[term].value == pytest.approx(number["value"], rel=1e-6)


@pytest.mark.slow
@EVERY
def test_interrupted_it_ends_with_the_same_bits(name, here, monkeypatch):
    whole = trained(name, "--iter_max", "70").model.state_dict()
    (here / "checkpoints").rename(here / "whole")
    from codebase.engine import session

    write = session.Session.write

    class Killed(BaseException):
        """What a kill is to the process."""

    def killed(self, iteration, *rest):
        write(self, iteration, *rest)
        if iteration == 50:
            raise Killed

    flags = ("--iter_max", "70", "--save_every_seconds", "0.001")
    monkeypatch.setattr(session.Session, "write", killed)
    with contextlib.suppress(Killed):
        trained(name, *flags)
    monkeypatch.setattr(session.Session, "write", write)
    torch.manual_seed(99)
    resumed = trained(name, *flags)
    record = json.loads((resumed.folder / "results.json").read_text(encoding="utf-8"))
    assert record["training"]["iterations_in_this_stretch"] == 20
    assert all(torch.equal(t, whole[key]) for key, t in resumed.model.state_dict().items())


def test_grey_pixels_reach_the_model_as_they_are(digits, monkeypatch):
    met = []
    loss = throwaway.GreyVAE.loss
    monkeypatch.setattr(
        throwaway.GreyVAE, "loss", lambda self, x: (met.append(x.clone()), loss(self, x))[1]
    )
    trained("grey", "--iter_max", "2")
    images = {tuple(row) for row in grey(digits.train_x).tolist()}
    assert all(tuple(row) in images for x in met for row in x.tolist())


def test_a_stranger_has_no_band(capsys):
    trained("grey", "--iter_max", "2")
    assert "reference" not in capsys.readouterr().out


@EVERY
def test_seeds_are_tabulated(name, capsys):
    command.main(name, words=[*FLAGS, "--iter_max", "2", "--runs", "2", "--stack", "1"])
    out = capsys.readouterr().out
    assert "2 runs trained as one" in out
    assert "mean ± s.e." in out
