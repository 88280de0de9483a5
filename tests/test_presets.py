"""Presets: flags as data, said apart, timed before they start, runs of their own names."""

import re

import pytest
import torch

from codebase import command
from codebase.catalogue import CATALOGUE, PRESETS, entry_of
from codebase.engine import resume
from codebase.errors import UserError
from codebase.runs import forecast
from codebase.runs.flags import parser_of
from codebase.runs.settings import settings_of
from codebase.tasks.likelihood import tightening

NAMES = list(PRESETS)
QUICK = ["--dataset", "digits", "--threads", "1", "--validation", "100", "--eval_iw", "0"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(forecast, "SECONDS", 0.01)


def words_of(preset):
    """Its values as a user would type them."""
    return [word for k, v in preset.values.items() for word in (f"--{k}", str(v))]


@pytest.mark.parametrize("name", NAMES)
def test_its_values_are_flags_and_go_together(name):
    preset = PRESETS[name]
    entry = CATALOGUE[preset.entry]
    parser = parser_of(entry)
    typed = vars(parser.parse_args(words_of(preset)))
    parser.set_defaults(**preset.values)
    assert vars(parser.parse_args([])) == typed
    entry.check(typed)


@pytest.mark.parametrize("name", NAMES)
def test_its_run_has_another_name_than_the_model_s_default(name, here):
    preset = PRESETS[name]
    entry, found = CATALOGUE[preset.entry], []
    for values in ({}, preset.values):
        parser = parser_of(entry)
        parser.set_defaults(**values)
        quick = ["--dataset", "digits", "--threads", "1"]
        found.append(settings_of(entry, parser, parser.parse_args(quick)))
    first = f"z={preset.values['z']}_" if "z" in preset.values else ""
    assert found[1].name.startswith(f"model={preset.entry}_{first}")
    assert found[0].name != found[1].name
    assert found[1].problem == ""  # no reference of the assignment compares
    assert len(found[1].name) < 240  # a folder's may have 255


def test_names_are_taken_once():
    taken = [*CATALOGUE, *PRESETS, "gap", "use"]
    assert len({*taken}) == len(taken)
    assert all(preset.name == name for name, preset in PRESETS.items())
    with pytest.raises(UserError, match=r"ladder-vae"):
        entry_of("ladder-va")


def test_they_are_listed_apart():
    models, presets = command.listed().split("\n\n")
    assert [line.split()[0] for line in models.splitlines()] == list(CATALOGUE)
    heading, *lines = presets.splitlines()
    assert heading.startswith("presets")
    assert [line.split()[0] for line in lines] == NAMES
    assert all(f"run.py {p.entry}" in line for p, line in zip(PRESETS.values(), lines, strict=True))


def test_help_has_its_defaults(capsys):
    with pytest.raises(SystemExit) as end:
        command.named(["ladder-vae", "--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "training iterations (default: 300000)" in text
    assert PRESETS["ladder-vae"].line in text


@pytest.mark.slow
def test_it_is_the_model_with_those_flags_and_says_its_time_first(here, capsys):
    command.named(["ladder-stl", *QUICK, "--iter_max", "4"])
    out = capsys.readouterr().out
    assert out.startswith("ladder-stl: 4 iterations take about ")
    (folder,) = (here / "checkpoints").iterdir()
    mine = torch.load(folder / "model-00004.pt", weights_only=True)
    folder.rename(here / "other")
    typed = [*words_of(PRESETS["ladder-stl"]), *QUICK, "--iter_max", "4"]
    command.main("stl", words=typed, prog="run.py stl")
    assert "take about" not in capsys.readouterr().out
    theirs = torch.load(folder / "model-00004.pt", weights_only=True)  # of the same name
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[k], theirs[k]) for k in mine)


def stopped(run, model):
    """In the place of a report."""
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_stopped_one_goes_on_and_says_what_is_left(here, capsys, monkeypatch):
    words = ["ladder-vae", *QUICK, "--iter_max", "6"]
    with monkeypatch.context() as patch:
        patch.setattr("codebase.tasks.likelihood.report", stopped)
        with pytest.raises(SystemExit):
            command.named(words)
    (folder,) = (here / "checkpoints").iterdir()
    assert resume.read(folder / "resume.pt")["step"] == 6
    capsys.readouterr()
    command.named(words)
    assert capsys.readouterr().out.startswith("ladder-vae: 0 iterations")
    with pytest.raises(SystemExit):
        command.named(words)
    done = capsys.readouterr()
    assert "take about" not in done.out  # nothing is measured of what is finished
    assert "exists and is finished" in done.err


def test_the_forecast_has_the_bound_and_every_run(here, capsys):
    preset = PRESETS["ladder-realnvp"]
    entry = CATALOGUE[preset.entry]
    parser = parser_of(entry)
    parser.set_defaults(**preset.values)
    args = parser.parse_args([*QUICK[:-2], "--eval_iw", "7", "--runs", "2"])
    forecast.say(preset.name, settings_of(entry, parser, args))
    out = capsys.readouterr().out
    assert re.match(r"ladder-realnvp: 300,000 iterations take about .+ with 1 CPU thread, and", out)
    assert "IWAE-7 of 450 test images" in out
    assert "each of 2 runs" in out
    assert not (here / "checkpoints").exists()  # nothing is left behind


def test_the_forecast_of_a_model_of_few_labels_has_them(here, capsys):
    preset = PRESETS["long-m1m2"]
    entry = CATALOGUE[preset.entry]
    parser = parser_of(entry)
    parser.set_defaults(**preset.values)
    args = parser.parse_args(["--dataset", "digits", "--threads", "1"])
    forecast.say(preset.name, settings_of(entry, parser, args))
    out = capsys.readouterr().out
    assert re.match(r"long-m1m2: 50,000 iterations take less than .+ with 1 CPU thread\. ", out)


@pytest.mark.parametrize(("iw", "expected"), [(0, ()), (500, (500,)), (5_000, (50, 500, 5_000))])
def test_a_large_bound_is_measured_with_fewer_samples_too(iw, expected):
    assert tightening(iw) == expected
