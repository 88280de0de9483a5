"""The page of the VAE's neighbours: up to date, complete, the best of each, with its picture."""

import json
import runpy

import pytest
from conftest import ROOT
from test_comparison import put, record

from codebase.catalogue import CATALOGUE
from codebase.report import neighbours

DOCS, RESULTS = ROOT / "docs", ROOT / "results"


def row(text, name):
    """Cells of the table's row of a model."""
    (line,) = (line for line in text.splitlines() if f" | {name} | " in line)
    return [cell.strip() for cell in line.strip("|").split("|")]


def number(value):
    return {"value": value, "se": 0.2}


def quality(fid, seconds=1.25):
    """What `run.py use quality` leaves."""
    floor = {"FID": {"value": 1.5, "se": None}}
    samples = {"FID": {"value": fid, "se": None}, "class entropy": {"value": 2.2, "se": None}}
    numbers = {"samples": samples, "training images: the floor": floor}
    return {"uses": {"quality": {"numbers": numbers, "seconds_for_1000_samples": seconds}}}


def test_the_page_is_what_the_records_say():
    """python run_comparison.py writes it."""
    written = (DOCS / "neighbours.md").read_text(encoding="utf-8")
    assert written == neighbours.page(RESULTS, DOCS)


def test_every_neighbour_has_a_row_and_a_place_for_its_picture(here):
    text = neighbours.page(here, here)  # of no record at all
    for name in neighbours.KINDS.keys() - {neighbours.FAMILY}:
        assert name in CATALOGUE
        assert row(text, name)[-1] == "missing"
        assert f"`{name}`" in text


def test_nats_say_what_they_are(here):
    bound = {"nelbo": number(100.0), "iwae-500": number(95.0)}
    put(
        *(
            here,
            record(numbers=bound) | quality(20.0),
            record("made", numbers={"nll": number(88.0)}),
        ),
        *(record("gan", numbers={}) | quality(9.0, None), record("diffusion")),
        record("vae-gan", numbers=bound),
    )
    text = neighbours.page(here, here)
    assert row(text, "vae")[3:9] == [
        "95.00 ± 0.20",
        "bound, 500 samples",
        *["20.00", "1.50", "2.20", "20,000"],
    ]
    assert row(text, "vae")[10] == "1.2"  # 1.25 to even
    assert row(text, "made")[3:5] == ["88.00 ± 0.20", "exact"]
    assert row(text, "gan")[3:6] == ["", "none", "9.00"]
    assert row(text, "gan")[10] == "missing"
    assert row(text, "diffusion")[3:5] == ["100.00 ± 0.30", "bound, one sample"]
    assert row(text, "vae-gan")[3:5] == ["", "of grey levels"]


def test_of_a_model_s_settings_and_of_the_family_the_best_is_shown(here):
    def iwae(value):
        return {"nelbo": number(value + 5), "iwae-500": number(value)}

    put(
        *(here, record(numbers=iwae(95.0)), record(z=40, numbers=iwae(85.0))),
        *(record("vamp", numbers=iwae(93.0)), record("realnvp", numbers=iwae(92.0))),
        record("gaussian", numbers=iwae(-900.0)),  # of grey pixels
        *(record("made", numbers={"nll": number(v)}, hidden=h) for v, h in ((90.0, 9), (86.0, 99))),
    )
    text = neighbours.page(here, here)
    assert row(text, "vae")[2:4] == ["", "95.00 ± 0.20"]
    assert row(text, "realnvp")[0] == "a VAE of other parts"
    assert " | vamp | " not in text
    assert " | gaussian | " not in text
    assert row(text, "made")[2:4] == ["--hidden 99", "86.00 ± 0.20"]


def test_what_was_not_measured_is_not_the_best(here):
    put(here, record("gan", numbers={}) | quality(60.0), record("gan", numbers={}, lr=0.01))
    assert row(neighbours.page(here, here), "gan")[2:6] == ["", "", "none", "60.00"]


def test_a_model_s_own_rate_of_learning_is_no_setting(here):
    put(here, record("gan", numbers={}, lr=2e-4), record("made", numbers={}, lr=2e-4))
    text = neighbours.page(here, here)
    assert row(text, "gan")[2] == ""
    assert row(text, "made")[2] == "--lr 0.0002"


def test_the_picture_is_of_the_runs_in_the_row(here):
    """Not of the model's with other flags, whichever of the two was added last."""
    for name, nats in ("better", 86.0), ("worse", 90.0):
        run = here / name
        run.mkdir()
        content = record("made", numbers={"nll": number(nats)}, hidden=len(name)) | {"run": name}
        (run / "results.json").write_text(json.dumps(content))
        (run / "samples.png").write_bytes(name.encode())
        put(here, *(json.loads(p.read_text()) for p in here.glob("*/results.json")))
        kept = neighbours.keep_picture(run, here, here)
        assert bool(kept) == (name == "better")
    assert (here / "neighbours" / "made.png").read_bytes() == b"better"


@pytest.mark.parametrize(("name", "shown"), [("gan", True), ("gmvae", True), ("ae", False)])
def test_a_run_that_is_added_brings_its_picture(here, monkeypatch, name, shown):
    run = here / "run"
    run.mkdir()
    numbers = {"iwae-500": number(93.0)} if name == "gmvae" else {}
    content = record(name, numbers=numbers or {"error": number(1.0)}) | {"unit": "nats"}
    (run / "results.json").write_text(json.dumps(content))
    (run / "samples.png").write_bytes(b"picture")
    words = ["--results", "results", "--out", "there", "--add", str(run)]
    monkeypatch.setattr("sys.argv", ["run_comparison.py", *words])
    runpy.run_path(str(ROOT / "run_comparison.py"), run_name="__main__")
    copy = here / "there" / "neighbours" / f"{name}.png"
    assert copy.exists() == shown
    text = (here / "there" / "neighbours.md").read_text(encoding="utf-8")
    assert (f"(neighbours/{name}.png)" in text) == shown
    assert not shown or copy.read_bytes() == b"picture"
