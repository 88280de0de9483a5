"""Steps whose replay is compiled: the same to rounding, the same bits every time."""

import shutil
import sys
from dataclasses import replace

import pytest
import torch
from test_capture import states
from test_graph import built, stepping, stream_of, trace
from torch.utils._pytree import tree_leaves

from codebase.catalogue import CATALOGUE
from codebase.engine.fusion import fused
from codebase.engine.graph import CapturedStep, captured
from codebase.engine.passes import simplified
from codebase.engine.program import compiled
from codebase.engine.recording import recorded
from codebase.engine.replay import _alike
from codebase.engine.step import Step
from codebase.errors import UserError
from codebase.runs import settings as settings_module
from codebase.runs.flags import parser_of
from codebase.runs.settings import settings_of

needs_a_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Compiled anew, in this process."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")


@needs_a_compiler
@pytest.mark.slow
def test_compiled_steps_are_the_plain_ones_to_rounding(digits, cache, capsys):
    found = []
    for how in ("plain", "compiled", "compiled"):
        plain = stepping("vae", digits)
        step = plain if how == "plain" else captured(plain, fuse=True)
        torch.manual_seed(1)
        found.append([*trace(step, plain, 9), *states(plain)])
    expected, first, second = found
    assert len(step.graphs) == 1
    assert all(map(torch.equal, first, second))  # whenever it is compiled
    assert not all(map(torch.equal, expected, first))
    for a, b in zip(expected, first, strict=True):
        if a.is_floating_point():
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * a.abs().max().item())
        else:
            assert torch.equal(a, b)  # generators: the same numbers were drawn
    assert not capsys.readouterr().out


@pytest.mark.slow
@needs_a_compiler
def test_the_longest_stretch_becomes_one_call(cache):
    """Before and behind it stands what draws from a generator of its own, or what lasts."""
    torch.manual_seed(0)
    generator, lasting = torch.Generator(), torch.zeros(5)
    x = torch.randn(5)

    def function():
        drawn = torch.rand(5, generator=generator)
        y = (x * drawn).exp().add_(1).log()
        parts = (y + torch.rand(5)).chunk(2)
        lasting.add_(parts[0].sum())
        return parts[1] * 2, lasting

    def given(do):
        generator.manual_seed(3)
        torch.manual_seed(3)
        lasting.zero_()
        return [t.clone() for t in do()]

    generator.manual_seed(3)
    recorder, results = recorded(function)
    calls, results = simplified(recorder.calls, results)
    short, results = fused(calls, results)
    assert len(short) < len(calls)
    for a, b in zip(given(function), given(compiled(short, results)), strict=True):
        torch.testing.assert_close(a, b)


def no_compiler(*program):
    raise RuntimeError("no compiler here")


def other_numbers(calls, results):
    return calls, [torch.zeros(()) for _ in tree_leaves(results)]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [(no_compiler, "no compiler here"), (other_numbers, "it would give other numbers")],
)
def test_where_compiling_fails_the_steps_are_replayed(broken, reason, digits, monkeypatch, capsys):
    monkeypatch.setattr("codebase.engine.replay.fused", broken)
    found = []
    for fuse in (False, True):
        plain = Step(built("vae"), stream_of("vae", digits))
        step = captured(plain, fuse=fuse)
        torch.manual_seed(1)
        found.append([*trace(step, plain, 6), *states(plain)])
        assert isinstance(step, CapturedStep)
        assert step.graphs
        assert not step.failed
    assert all(map(torch.equal, *found))
    said = capsys.readouterr().out.strip()
    assert said == f"The step cannot be compiled ({reason}); it is replayed as it is."


def test_a_wrong_number_is_not_rounding():
    a = torch.tensor([1.0, 1e-3, 0.0])
    assert _alike(a, a + 1e-5)
    assert not _alike(a, a + 1e-3)
    assert not _alike(a, torch.tensor([1.0, float("nan"), 0.0]))
    assert not _alike(torch.tensor([1, 2]), torch.tensor([1, 3]))
    assert not _alike(None, a)


@pytest.mark.parametrize(
    ("flags", "cxx", "comes_to"),
    [
        (["--iter_max", "10000"], sys.executable, 1),
        (["--iter_max", "9999"], sys.executable, 0),
        (["--iter_max", "10000"], "no-such-compiler", 0),
        (["--iter_max", "10000", "--graph", "0"], sys.executable, 0),
        (["--compile", "1"], sys.executable, 1),
        (["--compile", "0", "--iter_max", "10000"], sys.executable, 0),
    ],
)
def test_auto_asks_the_machine_and_the_command_never_the_clock(flags, cxx, comes_to, monkeypatch):
    monkeypatch.setenv("CXX", cxx)  # anything that is there
    entry = CATALOGUE["vae"]
    parser = parser_of(entry)
    words = ["--dataset", "digits", "--device", "cpu", "--compile", "auto", *flags]
    settings = settings_of(entry, parser, parser.parse_args(words))
    assert settings.compile == settings.identity["compile"] == comes_to
    assert settings.name.endswith("_compile=1_data=digits") == bool(comes_to)


def test_rounding_takes_no_run_away_from_the_reference(monkeypatch):
    monkeypatch.setenv("CXX", sys.executable)
    entry = CATALOGUE["vae"]
    parser = parser_of(entry)
    for words, problem in (["--compile", "1"], "vae"), (["--beta", "2"], ""):
        args = parser.parse_args(["--dataset", "digits", *words])
        settings = settings_of(entry, parser, args)
        on_mnist = replace(settings, dataset=replace(settings.dataset, name="mnist"))
        assert on_mnist.problem == problem


REFUSED = [
    (["--graph", "0"], "g++", "--graph 0 replays nothing"),
    ([], "no-such-compiler", "needs a C++ compiler"),
]


@pytest.mark.parametrize(("flags", "cxx", "said"), REFUSED)
def test_what_cannot_be_compiled_is_refused(flags, cxx, said, here, monkeypatch, capsys):
    from codebase import command

    monkeypatch.setenv("CXX", cxx)
    words = ["--dataset", "digits", "--compile", "1", *flags]
    with pytest.raises(SystemExit):
        command.main("vae", words=words)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ssvae", "long-sdgm"])
def test_steps_that_differ_are_not_said_to_be_compiled(name, here, monkeypatch, capsys):
    from codebase import command

    monkeypatch.setenv("CXX", "g++")
    with pytest.raises(SystemExit):
        command.named([name, "--dataset", "digits", "--compile", "1", "--iter_max", "2"])
    said = capsys.readouterr()
    assert "those of model=s" in said.err
    assert "iterations take" not in said.out  # nobody waits for a forecast of what is refused
    assert not list(here.glob("checkpoints/*/*"))


def test_what_no_cpu_replays_is_not_compiled(monkeypatch):
    monkeypatch.setattr(settings_module, "device", torch.device)
    parser = parser_of(CATALOGUE["vae"])
    args = parser.parse_args(["--dataset", "digits", "--compile", "1", "--device", "mps"])
    with pytest.raises(UserError, match="what a CPU replays, and this run is on mps"):
        settings_of(CATALOGUE["vae"], parser, args)
