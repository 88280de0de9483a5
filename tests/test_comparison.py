"""The page of evidence: it is up to date, complete, and each number is where it belongs."""

import json
import runpy
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

from codebase.axes import AXES
from codebase.catalogue import CATALOGUE, PRESETS
from codebase.errors import UserError
from codebase.report import comparison, evidence
from codebase.report.page import html

DOCS, RESULTS = ROOT / "docs", ROOT / "results"


def record(model="vae", seed=0, iterations=20_000, numbers=None, **flags):
    """A finished run's, as `results.json` has it."""
    return {
        "run": f"model={model}_z=10_run={seed:04d}",
        "model": model,
        "flags": CATALOGUE[model].defaults() | {"seed": seed, "precision": "bf16"} | flags,
        "data": {"name": "mnist", "sha256": "0"},
        "finished": f"2026-01-0{seed + 1}T00:00:00+00:00",
        "training": {"iterations": iterations, "seconds": 100.0 + seed},
        "numbers": {"test": numbers or {"nelbo": {"value": 100.0 + seed, "se": 0.3}}},
    }


def put(folder, *records):
    for i, content in enumerate(records):
        (folder / f"{i}.json").write_text(json.dumps(content))


def found(folder, name, settings=""):
    """The groups of that name with runs."""
    return [
        g for g in evidence.groups(folder) if (g.name, g.settings) == (name, settings) and g.runs
    ]


# The page


def test_the_page_is_what_the_records_say():
    """python run_comparison.py writes it."""
    text = (DOCS / "comparison.md").read_text(encoding="utf-8")
    assert text == comparison.page(RESULTS)
    written = (DOCS / "comparison.html").read_text(encoding="utf-8")
    assert written == comparison.sortable(html(text, DOCS))


def test_a_new_record_makes_it_out_of_date(here):
    shutil.copytree(RESULTS, here / "results")
    put(here / "results", record(seed=17))
    assert comparison.page(here / "results") != (DOCS / "comparison.md").read_text("utf-8")


def test_every_model_and_preset_has_a_row(here):
    text = comparison.page(here)  # of no record at all
    for name in (*CATALOGUE, *PRESETS):
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
        assert "missing" in row
    assert f"{len(CATALOGUE) + len(PRESETS)} of the above" in text


def test_what_was_run_otherwise_does_not_stand_for_the_default(here):
    put(here, record(iterations=1_500), record(z=20))
    rows = [line for line in comparison.page(here).splitlines() if line.startswith("| vae |")]
    assert [("missing" in row.split("|")[3], row.split("|")[2].strip()) for row in rows[:3]] == [
        (True, ""),
        (False, "--iter_max 1500"),
        (False, "--z 20"),
    ]


def test_the_html_needs_nothing_else(here):
    comparison.write(here, here)
    text = (here / "comparison.html").read_text(encoding="utf-8")
    assert text.count("<script>") == 1
    assert "http" not in text
    assert "src=" not in text


def test_a_click_on_a_heading_sorts_by_it_and_a_second_one_the_other_way(here, browser):
    values = [101.5, 99.25, 1_000.0, 98.0, -3.0]
    runs = [{"nelbo": {"value": value, "se": 0.3}} for value in values]
    put(here, *(record(z=z, numbers=numbers) for z, numbers in enumerate(runs, 20)))
    comparison.write(here, here)
    browser.open((here / "comparison.html").as_uri())
    table = "document.querySelector('table')"
    heads = browser.js(f"[...{table}.tHead.rows[0].cells].map(c => c.textContent)")
    i = heads.index("nelbo")
    found = []
    for _ in range(2):
        browser.js(f"{table}.tHead.rows[0].cells[{i}].click()")
        cells = browser.js(f"[...{table}.tBodies[0].rows].map(r => r.cells[{i}].textContent)")
        assert set(cells[5:]) <= {"", "missing"}  # behind the others both times
        shown = [cell.split()[0].replace(",", "").replace("−", "-") for cell in cells[:5]]
        found.append([float(number) for number in shown])
    assert found == [sorted(values), sorted(values, reverse=True)]
    assert browser.complaints == []


# Groups


def test_means_and_errors_are_over_the_seeds(here):
    put(here, *(record(seed=i) for i in range(3)))
    (group,) = found(here, "vae")
    number, n = group.number("numbers", "test", "nelbo")
    assert n == 3
    assert number.value == pytest.approx(101)
    assert number.se == pytest.approx(np.std([100, 101, 102], ddof=1) / 3**0.5)
    assert "| vae |  | all | 101.00 ± 0.58 |" in comparison.page(here)


def test_seconds_are_the_median_s_which_a_busy_machine_does_not_move(here):
    times = 90.0, 1_300.0, 100.0
    put(
        here,
        *(
            record(seed=i) | {"training": {"iterations": 20_000, "seconds": t}}
            for i, t in enumerate(times)
        ),
    )
    row = next(line for line in comparison.page(here).splitlines() if line.startswith("| vae |"))
    assert row.endswith("| 20,000 | 100 | 1.0 | 3 |")


def test_a_lone_run_has_its_own_error_and_few_are_said(here):
    bound = {"nelbo": {"value": 99.0, "se": 0.3}, "iwae-500": {"value": 95.0, "se": 0.25}}
    put(here, record(numbers=bound), record(seed=1))
    text = comparison.page(here)
    assert "95.00 ± 0.25 (1) | 500" in text


def test_a_run_is_counted_once(here):
    """Of two records the one with the bound, though the other is later and has more numbers."""
    bound = {"nelbo": {"value": 99.0, "se": 0.3}, "iwae-500": {"value": 95.0, "se": 0.25}}
    more = {name: {"value": 1.0, "se": 0.1} for name in ("nelbo", "kl", "rec", "other")}
    later = record(numbers=more) | {"finished": "2027-01-01T00:00:00+00:00"}
    put(here, record(numbers=bound), later)
    (group,) = found(here, "vae")
    assert group.number("numbers", "test", "nelbo")[0].value == 99
    assert len(group.runs) == 1


def test_other_flags_are_another_group(here):
    put(
        *(here, record(), record(z=20), record(beta=4.0), record(precision="fp32")),
        *(record(precision=None), record(lr=1e-4), record(threads=7), record(k=3)),
    )
    names = {g.settings for g in evidence.groups(here) if g.name == "vae" and g.runs}
    assert names == {"", "--z 20", "--beta 4.0", "--lr 0.0001", "--precision fp32"}


def test_precision_is_said_where_the_same_was_run_in_both(here):
    """A machine without bf16 computes in fp32 what another does in bf16: no other flags."""
    fp32 = {"precision": "fp32"}
    put(here, record("iaf", **fp32), record("iaf", 1, **fp32), record("maf", **fp32), record("maf"))
    ((iaf,), (maf,), (other,)) = (
        found(here, "iaf"),
        found(here, "maf"),
        found(here, "maf", "--precision fp32"),
    )
    assert [len(group.runs) for group in (iaf, maf, other)] == [2, 1, 1]
    assert maf.runs[0, 0]["flags"]["precision"] == "bf16"


def test_a_preset_s_run_is_its_own_and_never_the_model_s(here):
    values = dict(PRESETS["ladder-vae"].values)
    put(
        *(here, record(iterations=300_000, **values), record()),
        record(iterations=300_000, **values | {"z": 50}),
        record(iterations=300_000, **values | {"iter_eval": 7}),  # makes no run another
    )
    (ladder,), (vae,) = found(here, "ladder-vae"), found(here, "vae")
    assert ladder.iterations == 300_000
    assert (len(ladder.runs), len(vae.runs)) == (1, 1)
    others = [g for g in evidence.groups(here) if g.name == "vae" and g.settings and g.runs]
    assert ["--z 50" in g.settings for g in others] == [True]


def test_runs_of_other_labelled_images_are_a_row_together(here):
    values = dict(PRESETS["long-sdgm"].values)
    put(
        here,
        *(record("sdgm", s, iterations=100_000, **values | {"label_seed": s}) for s in range(3)),
        record("sdgm", 1, iterations=100_000, **values | {"label_seed": 5}),
        *(record("sdgm", s, iterations=100_000, **values | {"n_labels": 50}) for s in range(2)),
    )
    (row,) = found(here, "long-sdgm")
    assert row.runs.keys() == {(0, 0), (1, 1), (2, 2), (1, 5)}
    (fewer,) = [g for g in evidence.groups(here) if g.settings == "--n_labels 50"]
    assert len(fewer.runs) == 2


def test_other_data_are_no_row_among_mnist_s(here):
    put(here, record() | {"data": {"name": "digits", "sha256": "1"}})
    assert not any(line.startswith("| vae |  | all") for line in comparison.page(here).splitlines())


def test_scores_of_sprites_stand_in_their_table(here):
    score = {"numbers": {"score": {"MIG": {"value": 0.25, "se": None}}}}
    of_sprites = record("tc") | {"data": {"name": "sprites"}, "uses": {"disentangle": score}}
    put(here, of_sprites, of_sprites | {"flags": of_sprites["flags"] | {"tc_beta": 9.0}})
    table = comparison.page(here).split("## Disentanglement")[1]
    assert "| tc |  | 0.250 |" in table
    assert "| tc | --tc_beta 9.0 | 0.250 |" in table
    assert "| factor |  | missing |" in table


def test_grey_pixels_stand_apart(here):
    put(here, record(likelihood="logistic"), record("logistic"))
    binary, grey = comparison.page(here).split("## Completion")[0].split("## Grey pixels")
    assert "--likelihood logistic" not in binary
    assert "--likelihood logistic" in grey
    assert "| logistic |  | all | 100.00" in grey


def test_which_likelihoods_are_of_grey_pixels():
    """As the models that have them say."""
    for part in AXES["likelihood"]:
        model = CATALOGUE["vae"].build({"likelihood": part.name}, "run")
        assert (model.abilities.pixels != "binary") == (part.name in evidence.GREY_PIXELS)


def test_what_a_model_has_not_is_empty_and_what_bounds_nothing_stands_apart(here):
    exact = record("made", numbers={"nll": {"value": 88.0, "se": 0.2}})
    game = record("gan", numbers={"variety": {"value": 0.9, "se": None}})
    quality = {"numbers": {"samples": {"FID": {"value": 7.0, "se": None}}}}
    alone = record("ssvae", numbers={"accuracy": {"value": 0.75, "se": 0.01}}, gw=0.0)
    put(here, exact, game | {"uses": {"quality": quality}}, alone)
    text = comparison.page(here)
    assert "| made |  | all | 88.00 ± 0.20 |  |  |  |  |  |  | missing |  |  |  | 20,000 |" in text
    assert "| ssvae | --gw 0.0 --iter_max 20000 |  |  |  |  |  |  |  | 0.7500 ± 0.0100 |" in text
    assert "| gan |  | 7.00 | 0.900 | missing | 20,000 |" in text.split("## Samples alone")[1]


def test_a_damaged_record_is_named(here):
    (here / "0.json").write_text("{")
    with pytest.raises(UserError, match=r"0\.json is damaged"):
        comparison.page(here)
    put(here, record() | {"flags": {}})
    with pytest.raises(UserError, match=r"0\.json is no record of a run"):
        comparison.page(here)


# What is added


def finished(here, name, bounds, sha256="0", seed=0, **more):
    """A run's folder, with bounds of each image."""
    content = record(name, seed, data_dir=str(here), **more) | {
        "data": {"name": "mnist", "sha256": sha256},
        "unit": "nats",
        "more": 1,
    }
    folder = here / content["run"]
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(content))
    np.savez(folder / "per_image.npz", **bounds)
    return folder


def test_a_run_is_added_with_its_difference_on_the_same_bits(here):
    rng = np.random.default_rng(0)
    hard = rng.normal(100, 30, 400)  # images differ by more than models do
    better = hard - 2 + rng.normal(0, 1, 400)
    vae = finished(here, "vae", {"nelbo": hard, "iwae-500": hard})
    flow = finished(here, "realnvp", {"nelbo": better, "iwae-500": better, "iwae-50": hard})
    (flow / "use-neighbours.json").write_text('{"use": "neighbours", "iterations": 20000}')
    path = evidence.add(flow, vae, here / "results")
    content = json.loads(path.read_text())
    assert "data_dir" not in content["flags"]  # it is the machine's
    assert path.name == "model=realnvp_z=10_run=0000.json"
    assert content["uses"]["neighbours"]["use"] == "neighbours"
    assert "more" not in content
    assert content["over_vae"].keys() == {"of", "nelbo", "iwae-500"}
    assert content["over_vae"]["of"] == vae.name
    mean, se = content["over_vae"]["iwae-500"]
    assert mean == pytest.approx((better - hard).mean())
    assert se == pytest.approx((better - hard).std(ddof=1) / 20)
    assert f"−{-mean:.2f} ± {se:.2f}" in comparison.page(here / "results")


def test_a_use_of_another_checkpoint_is_not_booked_under_the_run(here):
    run = finished(here, "vae", {})
    (run / "use-quality.json").write_text('{"use": "quality", "iterations": 10000}')
    with pytest.raises(UserError, match=r"use-quality\.json .* is of iteration 10000"):
        evidence.add(run, None, here / "results")


def test_a_record_is_not_replaced_by_that_of_another_training(here):
    run = finished(here, "vae", {})
    first = evidence.add(run, None, here / "results").read_bytes()
    evidence.add(run, None, here / "results")  # the same again
    path = run / "results.json"
    short = json.loads(path.read_text())
    short["training"]["iterations"] = 200
    path.write_text(json.dumps(short))
    with pytest.raises(UserError, match=r"is of 20,000 iterations .* another training \(200\)"):
        evidence.add(run, None, here / "results")
    (target,) = (here / "results").rglob("model=vae*.json")
    assert target.read_bytes() == first


def test_records_are_in_a_folder_that_there_is(here, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["run_comparison.py", "--results", "nowhere", "--out", "there"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "run_comparison.py"), run_name="__main__")
    assert "There is no folder nowhere of records" in capsys.readouterr().err
    assert not (here / "there").exists()


def test_what_is_the_same_for_every_run_keeps_its_own_error(here):
    """The mutant says ± 0.00 of a number that has all of its noise in common."""
    floor = {"nelbo": {"value": 99.0, "se": 0.31}}
    put(here, record(numbers=floor), record(seed=1, numbers=floor))
    (group,) = found(here, "vae")
    number, n = group.number("numbers", "test", "nelbo")
    assert (number.se, n) == (0.31, 2)


def test_a_run_is_held_against_the_vae_of_its_seed_that_lies_beside_it(here):
    own = {"iwae-500": np.full(7, 97.0)}
    for seed, bound in enumerate((99.0, 100.0)):
        finished(here, "vae", {"iwae-500": np.full(7, bound)}, seed=seed)

    def held(run):
        content = json.loads(evidence.add(run, None, here / "results").read_text())
        return content.get("over_vae")

    difference = {"of": "model=vae_z=10_run=0001", "iwae-500": [-3.0, 0.0]}
    assert held(finished(here, "realnvp", own, seed=1)) == difference
    fp32 = {"precision": "fp32"}
    finished(here, "vae", {"iwae-500": np.full(7, 98.0)}, seed=4, **fp32)
    assert held(finished(here, "stl", own, seed=4, **fp32))["of"] == "model=vae_z=10_run=0004"
    assert held(finished(here, "vamp", own, seed=2)) is None  # there is none
    assert held(finished(here, "maf", own, sha256="1", seed=1)) is None  # of these images
    assert held(finished(here, "logistic", own, seed=1)) is None  # of these pixels
    assert held(here / "model=vae_z=10_run=0001") is None  # but itself
    finished(here, "vae", {"iwae-500": np.full(7, 98.0)}, seed=3, iterations=5)
    assert held(finished(here, "iaf", own, seed=3)) is None  # of that length
    preset = dict(PRESETS["ladder-vamp"].values)
    ladder = finished(here, "vamp", own, seed=1, iterations=300_000, **preset)
    assert held(ladder) is None  # for there is no ladder-vae


@pytest.mark.parametrize("name", ["logistic", "vae-gan"])
def test_nats_of_grey_pixels_are_held_against_none_of_binary_ones(here, name):
    vae, grey = finished(here, "vae", {}), finished(here, name, {})
    with pytest.raises(UserError, match="one has nats of binary pixels"):
        evidence.add(grey, vae, here / "results")


def test_runs_on_other_images_have_no_difference(here):
    vae, flow = finished(here, "vae", {}), finished(here, "realnvp", {}, sha256="1")
    with pytest.raises(UserError, match="not evaluated on the same images"):
        evidence.add(flow, vae, here / "results")


def test_what_is_not_finished_is_not_added(here):
    with pytest.raises(UserError, match=r"results\.json cannot be read.*Only a finished run"):
        evidence.add(here, None, here)
    (here / "results.json").write_text(json.dumps(record()))
    with pytest.raises(UserError, match="no bounds of each image"):
        evidence.add(here, here, here / "results")


def test_the_script_adds_and_writes_where_it_is_told(here, monkeypatch, capsys):
    runs = [str(finished(here, name, {})) for name in ("vae", "iaf")]
    words = ["--results", "results", "--out", "there", "--add", *runs]
    monkeypatch.setattr("sys.argv", ["run_comparison.py", *words])
    runpy.run_path(str(ROOT / "run_comparison.py"), run_name="__main__")
    assert "| vae |  | all | 100.00 ± 0.30" in (here / "there" / "comparison.md").read_text("utf-8")
    assert "| iaf |  | all | 100.00 ± 0.30" in (here / "there" / "comparison.md").read_text("utf-8")
    assert (here / "there" / "comparison.html").exists()
    assert capsys.readouterr().out.count("added: ") == 2


# Sorting


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node")
def test_a_click_sorts_by_number_and_leaves_what_is_missing_last(tmp_path):
    stand_in = """
const element = (text) => ({textContent: text, style: {}, at: {}, on: {},
  getAttribute(k) { return this.at[k] ?? null; }, setAttribute(k, v) { this.at[k] = v; },
  removeAttribute(k) { delete this.at[k]; }, addEventListener(k, f) { this.on[k] = f; }});
const column = ["99.5 ± 1.00", "missing", "−2.84", "1,234", "100.2", ""];
const head = element("nelbo");
const body = {rows: column.map((text) => ({cells: [element(text)]})),
              append(...rows) { this.rows = rows; }};
const table = {tHead: {rows: [{cells: [head]}]}, tBodies: [body]};
const document = {querySelectorAll: () => [table]};
"""
    after = """
const shown = () => body.rows.map((row) => row.cells[0].textContent);
head.on.click(); const up = shown(), said = head.at["aria-sort"];
head.on.keydown({key: "Enter"}); const down = shown();
console.log(JSON.stringify([up, said, down, head.at["aria-sort"]]));
"""
    path = tmp_path / "sort.js"
    path.write_text(stand_in + comparison.SORT.read_text("utf-8") + after, encoding="utf-8")
    done = subprocess.run(["node", str(path)], capture_output=True, check=True, encoding="utf-8")
    up, said, down, then = json.loads(done.stdout)
    numbers = ["−2.84", "99.5 ± 1.00", "100.2", "1,234"]
    assert up[:4] == numbers
    assert down[:4] == numbers[::-1]
    assert {*up[4:]} == {*down[4:]} == {"missing", ""}
    assert (said, then) == ("ascending", "descending")


def test_rows_of_one_model_stand_together_its_default_first(here):
    put(here, record(z=20), record(iterations=5), record())
    groups = [g for g in evidence.groups(here) if g.name == "vae"]
    assert [(g.settings, g.iterations) for g in groups] == [
        ("", 20_000),
        ("", 5),
        ("--z 20", 20_000),
    ]
    assert replace(groups[0], runs={}).number("numbers", "test", "nelbo") is None
