"""The report: numbers against hand-computed ones, nothing filled in, a page that needs no other."""

import base64
import dataclasses
import io
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from throwaway import FullVAE, GreyVAE

from codebase import figures
from codebase.data import subsets
from codebase.errors import UserError
from codebase.evaluation.codes import active_units
from codebase.evaluation.numbers import Number
from codebase.figures import style
from codebase.files import checkpoints
from codebase.models.gmvae import GMVAE
from codebase.models.vae import VAE
from codebase.report import compare, contents, numbers, page, recorded, sweep, training
from codebase.report.reading import reading
from codebase.runs.flags import report_parser

STEPS = {"run_vae.py": 20_000, "run_gmvae.py": 20_000, "run_ssvae.py": 30_000}


def finish(key, run, groups, dataset="mnist", sha256="same", steps=None, model=False):
    """Leaves in checkpoints/ what a finished run leaves that the report reads."""
    experiment = recorded.EXPERIMENTS[key]
    steps = steps or STEPS[experiment.script]
    unusual = experiment.unusual | ({} if dataset == "mnist" else {"data": dataset})
    suffix = "".join(f"_{k}={v:g}" if k == "beta" else f"_{k}={v}" for k, v in unusual.items())
    folder = checkpoints.ROOT / f"{experiment.layout}_run={run:04d}{suffix}"
    folder.mkdir(parents=True)
    content = {
        "flags": {"iter_max": steps},
        "data": {"name": dataset, "sha256": sha256},
        "training": {"iterations_per_second": 12.5},
        "versions": {"git_commit": "a" * 40 + "+"},
        "numbers": {
            group: {name: {"value": v, "se": se} for name, (v, se) in members.items()}
            for group, members in groups.items()
        },
    }
    (folder / "results.json").write_text(json.dumps(content))
    if model:
        torch.manual_seed(run)
        built = GMVAE(z_dim=10, k=500) if "gmvae" in experiment.layout else VAE(z_dim=10)
        checkpoints.save(folder / f"model-{steps:05d}.pt", built.state_dict())
        for kind in ("samples", "samples_probabilities"):
            figures.save_grid(folder / f"{kind}.png", torch.rand(200, 784), 20)
    return folder


def nelbo(value, se=0.0):
    return {"subset": {"nelbo": (value, se)}}


def of(key, runs=5, **options):
    return recorded.read(recorded.EXPERIMENTS[key], runs, "mnist", "same", **options)


# Numbers


def test_a_row_is_what_one_computes_by_hand(here):
    for run, (value, se) in enumerate([(99.0, 0.3), (101.0, 0.4), (104.0, 0.0)]):
        finish("vae", run, nelbo(value, se))
    runs = of("vae")
    (row,) = numbers.rows("vae", runs, "subset", ["nelbo"], comparable=True)
    mean = 304 / 3
    spread = math.sqrt(((99 - mean) ** 2 + (101 - mean) ** 2 + (104 - mean) ** 2) / 2)
    assert row.mean.value == pytest.approx(mean)
    assert row.mean.se == pytest.approx(spread / math.sqrt(3))
    assert row.noise == pytest.approx(math.sqrt((0.09 + 0.16) / 3))
    assert row.inside == 2  # of 100 ± 2
    cells = numbers.cells(row, runs.wanted)
    assert cells == ["nelbo", "100 ± 2", "101.33 ± 1.45", "3 of 5", "2 of 3", "0.29"]


def test_one_run_has_no_standard_error(here):
    finish("ssvae_gw=1", 0, {"test": {"accuracy": (0.94, 0.002)}})
    (row,) = numbers.rows("ssvae_gw=1", of("ssvae_gw=1"), "test", ["accuracy"], comparable=True)
    assert (row.mean.value, row.mean.se, row.inside) == (0.94, None, 1)


def test_without_runs_nothing_is_filled_in(here):
    (row,) = numbers.rows("vae", of("vae"), "subset", ["nelbo"], comparable=True)
    assert row.mean is row.noise is row.elsewhere is None
    assert numbers.cells(row, 5) == ["nelbo", "100 ± 2", None, "0 of 5", "", ""]
    assert "| missing |" in page.table(["a", "b"], [["x", None]])


def test_runs_that_do_not_count_are_left_out_and_say_why(here):
    finish("vae", 0, nelbo(101.0))
    finish("vae", 1, nelbo(150.0), steps=300)
    finish("vae", 2, nelbo(160.0), sha256="other")
    runs = of("vae", runs=4)
    assert [run.id for run in runs.found] == [0]
    assert runs.missing == {
        1: "trained for 300 iterations instead",
        2: "trained on other data of that name",
        3: "not run",
    }
    assert [run.id for run in of("vae", iter_max=300).found] == [1]


def test_bounds_taken_later_join_those_of_the_training(here):
    folder = finish("vae", 0, nelbo(101.0))
    assert of("vae", 1).lacks_iwae()
    later = folder / "evaluation-20000"
    later.mkdir()
    content = json.loads((folder / "results.json").read_text())
    content["numbers"]["subset"] = {"iwae-1": {"value": 101.1, "se": 0.1}}
    (later / "results.json").write_text(json.dumps(content))
    runs = of("vae", 1)
    assert not runs.lacks_iwae()
    assert runs.found[0].number("subset", "nelbo").value == 101.0


@pytest.mark.parametrize(
    "text", ['{"numbers": ', "[]", "{}", '{"numbers": {"subset": {"nelbo": {"value": NaN}}}}']
)
def test_a_damaged_results_json_is_named_in_one_sentence(here, text):
    path = finish("vae", 3, nelbo(100.0)) / "results.json"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        of("vae")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_flag_that_the_report_does_not_hand_on_is_refused(capsys):
    with pytest.raises(SystemExit):
        report_parser("").parse_args(["--without", "4"])
    assert "unrecognized arguments: --without 4" in capsys.readouterr().err


def test_a_number_that_is_none_is_refused(here):
    finish("vae", 0, nelbo(math.nan))
    with pytest.raises(UserError, match="nelbo is nan"):
        of("vae")


def test_the_command_line_says_so_too(run, tmp_path):
    folder = tmp_path / "checkpoints" / "model=gmvae_z=10_k=500_run=0001_data=digits"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text("{")
    done = run("run_report.py", "--dataset", "digits")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("run_report.py: error: ")
    assert str(folder.relative_to(tmp_path)) in line
    assert not (tmp_path / "report").exists()


# VAE against GMVAE


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(0)
    return VAE(z_dim=10), GMVAE(z_dim=10, k=500)


def test_a_pair_s_difference_is_taken_image_by_image(models, digits):
    x = subsets.binarized_test(digits)[:200]
    terms = []
    for model in models:
        torch.manual_seed(0)
        with torch.no_grad():
            kl, rec = model.negative_elbo_terms(x)
        terms.append((kl.double() + rec.double()).numpy())
    d = terms[0] - terms[1]
    pair = compare.pair(7, *models, x)
    assert pair.difference["nelbo"].value == pytest.approx(d.mean())
    assert pair.difference["nelbo"].se == pytest.approx(d.std(ddof=1) / math.sqrt(200))
    apart = sum(np.var(t, ddof=1) / 200 for t in terms)
    assert pair.unpaired_se == pytest.approx(math.sqrt(apart))
    assert pair.better == (d > 0).mean()


def test_a_model_does_not_differ_from_itself(models, digits):
    pair = compare.pair(0, models[0], models[0], subsets.binarized_test(digits)[:50])
    assert pair.difference["nelbo"] == Number(0.0, 0.0)
    assert pair.unpaired_se > 0


def pair_of(difference):
    numbers = dict.fromkeys(compare.NAMES, Number(100.0, 0.3))
    return compare.Pair(0, numbers, numbers, dict.fromkeys(compare.NAMES, difference), 0.5)


def test_over_seeds_the_standard_error_is_the_pairs(here):
    pairs = [pair_of(Number(v, 0.1)) for v in (1.0, 2.0, 4.5)]
    mean = compare.over_seeds(pairs)
    assert mean.value == pytest.approx(2.5)
    assert mean.se == pytest.approx(math.sqrt((2.25 + 0.25 + 4.0) / 2 / 3))
    assert "GMVAE's nelbo is the lower one on average, and in 3 of 3" in compare.reading(pairs)
    assert compare.over_seeds([]) is None
    one = compare.reading([pair_of(Number(-1.0, 0.1))])
    assert "**−1.00** nats" in one
    assert "VAE's nelbo is the lower one" in one
    assert "no standard error over seeds" in one


# β


def points(kls, recs, actives, betas=recorded.BETAS, se=0.1, runs=3):
    return [
        sweep.Point(
            beta, runs, Number(kl + rec, se), Number(kl, se), Number(rec, se), Number(active, 0.0)
        )
        for beta, kl, rec, active in zip(betas, kls, recs, actives, strict=True)
    ]


def test_what_goes_one_way_is_said_to():
    text = " ".join(reading(points([30, 22, 19, 15, 9, 2], [70, 74, 80, 88, 100, 130],
                                   [10, 10, 10, 9, 7, 3]), 10))  # fmt: skip
    assert "kl falls at every step, from 30 at β = 0.1 to 2 at β = 10." in text
    assert "rec rises at every step, from 70 at β = 0.1 to 130.0 at β = 10." in text
    assert "active latent dimensions never rises, from 10 at β = 0.1 to 3 at β = 10." in text
    assert "lowest at β = 0.5 (96), next at β = 1 (99);" in text
    assert "1.00 from 1 to 2" not in text
    assert "2.00 from 1 to 2" in text  # 8 nats of rec for 4 of kl
    assert "At none of these β has the posterior collapsed" in text


def test_what_does_not_is_not():
    text = " ".join(reading(points([30, 22, 22.1, 15, 9, 0.05], [70] * 6,
                                   [10, 10, 10, 9, 7, 0]), 10))  # fmt: skip
    assert "kl does not go one way" in text
    assert "rising between 0.5 and 1, falling between 0.1 and 0.5, 1 and 2" in text
    assert "the change between 0.5 and 1 is less than two standard errors" in text
    assert "rec stays at 70 for every β." in text
    assert "collapsed (kl below 0.1, or fewer than 2 active dimensions) at β = 10 (kl 0.05" in text


def test_nothing_is_said_of_a_beta_that_was_not_run():
    some = points([30, 19], [70, 80], [10, 10], betas=[0.1, 1.0], runs=1)
    text = " ".join(reading([*some, sweep.Point(4.0), sweep.Point(10.0)], 10))
    assert "from β = 0.1 to β = 1 (2 values; one run each, so without" in text
    assert not re.search(r"(β =|to|and) (4|10)\b", text)
    assert reading([sweep.Point(beta) for beta in recorded.BETAS], 10) == [
        "Fewer than two values of β were run, so there is nothing to compare."
    ]


def test_the_entropy_of_what_is_drawn(models):
    model = models[0]
    torch.manual_seed(0)
    with torch.no_grad():
        p = model.sample_sigmoid(sweep.PRIOR_SAMPLES)
    expected = torch.distributions.Bernoulli(p).entropy().sum(-1).mean().item()
    assert sweep.prior_entropy(model) == pytest.approx(expected, rel=1e-5)


def test_the_figure_shows_every_beta_or_says_what_is_missing():
    with style.styled():
        some = points([30, 19], [70, 80], [10, 10], betas=[0.1, 1.0])
        drawn = torch.rand(10, 784)
        shown = dataclasses.replace(some[0], samples=drawn, again=drawn)
        fig = sweep.figure([shown, some[1], sweep.Point(4.0)], drawn, 10)
        fig.draw_without_rendering()
    strip = fig.axes[-1]
    assert [t.get_text() for t in strip.get_yticklabels()] == [
        *("test images", "β = 0.1\n10 active", "rec 70\nkl 30"),
        *("β = 1", "no checkpoint", "β = 4", "not run"),
    ]
    pixels = np.asarray(strip.images[0].get_array())
    inked = [(pixels[int(y) - 13 : int(y) + 13] < 255).any() for y in strip.get_yticks()]
    assert inked == [True, True, True, False, False, False, False]
    box, (width, height) = fig.get_tightbbox(), fig.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.01


def test_models_of_other_parts_are_measured_as_well(digits):
    torch.manual_seed(0)
    full, grey = FullVAE(z_dim=4), GreyVAE()
    assert 0 < sweep.prior_entropy(full) <= 784 * math.log(2)
    assert sweep.prior_entropy(grey) is None  # a density's entropy is no measure of blur
    x = subsets.binarized_test(digits)
    means = torch.cat([full.posterior(part).mean for part in x.split(100)])
    assert active_units(full, x) == sum(means.detach().numpy().var(0, ddof=1) > 0.01)
    for model, images in ((full, x), (grey, subsets.test_images(digits, "grey"))):
        pair = compare.pair(0, model, model, images[:50])
        assert pair.difference["nelbo"] == Number(0.0, 0.0)
        assert pair.vae["rec"].se > 0


# The page


class Attributes(HTMLParser):
    """Everything a page's tags refer to."""

    def __init__(self, text):
        super().__init__()
        self.found, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.found += [(name, value) for name, value in attributes if name in REFERENCES]


REFERENCES = {"src", "href", "srcset", "data", "poster", "action", "background"}


def write(*flags):
    contents.write(report_parser("").parse_args(["--dataset", "digits", "--threads", "1", *flags]))
    return [(contents.Path("report") / f"report.{kind}").read_text("utf-8") for kind in HANDED_IN]


HANDED_IN = "md", "html"


def test_the_page_carries_everything_it_shows(here, digits):
    common = {"dataset": "digits", "sha256": digits.sha256(), "steps": 300, "model": True}
    for i, key in enumerate(("vae", "gmvae", "beta=0.1", "beta=4")):
        test = dict.fromkeys(("nelbo", "kl", "rec"), (100.0 + i, 0.1))
        finish(key, 0, nelbo(100.0 + i) | {"test": test}, **common)
    text, html = write("--runs", "1", "--iter_max", "300")
    assert "not MNIST: the assignment's reference bands do not apply" in text
    assert "reference |" not in text
    attributes = Attributes(html)
    pictures = [value for name, value in attributes.found]
    assert len(pictures) == 5  # 200 digits twice for VAE and GMVAE, and β
    for value in pictures:
        head, _, content = value.partition(",")
        assert head == "data:image/png;base64"
        image = Image.open(io.BytesIO(base64.b64decode(content)))
        assert min(image.size) > 300
        assert len(set(image.convert("L").tobytes())) > 1
    outside = re.sub(r"data:image/png;base64,[^\"]*", "", html)
    assert not re.search(r"https?:|file:|url\(|@import|//", outside)
    assert not {"script", "link", "iframe"} & set(attributes.tags)
    assert outside.count("<table>") == text.count("| --- |")
    # What was not run is missing, in words and in numbers.
    record = json.loads((here / "report" / "results.json").read_text())
    assert record["missing"].keys() == {
        "ssvae_gw=0", "ssvae_gw=1", "beta=0.5", "beta=2", "beta=10",
    }  # fmt: skip
    assert record["numbers"]["ssvae_gw=0"]["accuracy"]["mean"] is None
    assert record["numbers"]["vae"]["nelbo"]["mean"] == 100.0
    assert [p["beta"] for p in record["beta"] if p["kl"]] == [0.1, 1.0, 4.0]
    assert "| 2 | 0 of 1 | missing | missing | missing | missing | missing |" in text
    assert "| accuracy | missing | 0 of 1 |" in text
    (pair,) = record["pairs"]
    assert record["pairs_over_seeds"]["nelbo"] == {
        "value": pair["difference"]["nelbo"]["value"],
        "se": None,
    }
    assert write("--runs", "1", "--iter_max", "300") == [text, html]


def style_of(browser, selector, name):
    """A computed style of every element that the selector finds."""
    return browser.js(
        f"Array.from(document.querySelectorAll('{selector}'), (e) => getComputedStyle(e)['{name}'])"
    )


@pytest.fixture
def long_report(here):
    """A page whose tables are as wide and long as a whole report's."""
    run, number = "model=ssvae_gw=000_cw=100_run=0000_data=digits", "123.45 ± 0.12"
    rows = [[run, *[number] * 6]] * 60
    heading = ["run", *["all 10,000 test images"] * 6]
    text = f"# Wide\n\n## Tables\n\n{page.table(heading, rows)}\n\nSome `code`.\n"
    (here / "report.html").write_text(page.html(text, here), encoding="utf-8")
    return (here / "report.html").as_uri()


def test_on_paper_nothing_is_cut_and_no_heading_is_alone(browser, long_report):
    """680 pixels are the width between the margins of A4, dark screen or not."""
    for dark in (False, True):
        browser.open(long_report, 680, 1000, dark=dark, printed=True)
        assert style_of(browser, "body", "backgroundColor") == ["rgb(255, 255, 255)"]
        assert set(style_of(browser, "tr", "breakInside")) == {"avoid"}
        assert set(style_of(browser, "h1, h2", "breakAfter")) == {"avoid"}
        assert set(style_of(browser, "thead", "display")) == {"table-header-group"}
        assert set(style_of(browser, ".table", "overflowX")) == {"visible"}
        right = "document.querySelector('table').getBoundingClientRect().right"
        assert browser.js(right) <= 680
        assert browser.js("document.documentElement.scrollWidth") <= 680


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_dark_where_the_reader_s_screen_is(browser, long_report, dark):
    browser.open(long_report, dark=dark)
    (paper,), (ink,) = (
        [sum(map(int, re.findall(r"\d+", c)[:3])) for c in style_of(browser, "body", name)]
        for name in ("backgroundColor", "color")
    )
    assert (paper < ink) == dark
    assert abs(paper - ink) > 500  # of 765
    assert browser.complaints == []


def test_a_report_of_nothing_says_so(here):
    text, html = write()
    assert "45 of the 45 runs are missing" in text
    assert text.count("*missing: ") == 4  # 200 digits of two models, β, the pairs
    assert "<img" not in html
    record = json.loads((here / "report" / "results.json").read_text())
    assert not any(row["values"] for rows in record["numbers"].values() for row in rows.values())


def test_a_file_s_words_cannot_become_markup():
    assert page.plain("<img src=x>|`[a](b)`\n") == " img src=x    a (b)  "
    assert "<b>" not in page.table(["a"], [["<b>"]])


def test_a_damaged_picture_is_named(here, digits):
    common = {"dataset": "digits", "sha256": digits.sha256(), "model": True}
    path = finish("vae", 0, nelbo(100.0), **common) / "samples.png"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=re.escape(str(path))):
        write("--runs", "1")


# Training what is missing


def test_the_scripts_are_called_with_the_report_s_flags():
    flags = ["--runs", "3", "--jobs", "2", "--iter_max", "7", "--threads", "1", "--device", "cpu"]
    args = report_parser("").parse_args(flags)
    words = training.command(recorded.EXPERIMENTS["beta=0.1"], args, "digits", train=1)
    assert words[1] == str(ROOT / "run_vae.py")
    given = dict(zip(words[2::2], words[3::2], strict=True))
    assert given == {
        "--beta": "0.1", "--runs": "3", "--jobs": "2", "--train": "1", "--dataset": "digits",
        "--data_dir": "data", "--threads": "1", "--device": "cpu", "--iter_max": "7",
    }  # fmt: skip
    words = training.command(recorded.EXPERIMENTS["ssvae_gw=0"], args, "mnist", train=1)
    assert words[1:4] == [str(ROOT / "run_ssvae.py"), "--gw", "0"]


def test_only_what_is_missing_is_trained(here, monkeypatch):
    for run in range(2):
        finish("vae", run, {"subset": {"nelbo": (100.0, 0.1), "iwae-1": (100.0, 0.1)}})
        finish("gmvae", run, nelbo(97.0))
    called = []
    monkeypatch.setattr(training, "_call", lambda words: called.append(words[1:]))
    args = report_parser("").parse_args(["--runs", "2"])
    for key in ("vae", "gmvae", "ssvae_gw=0"):
        training.train_missing(of(key, 2), lambda key=key: of(key, 2), args, "mnist")
    modes = [(words[0].rpartition("/")[2], words[words.index("--train") + 1]) for words in called]
    assert modes == [("run_gmvae.py", "0"), ("run_ssvae.py", "1")]


@pytest.mark.slow  # .ci/run does the same at full length
def test_everything_from_an_empty_folder(start, tmp_path):
    flags = "--train", "--runs", 1, "--dataset", "digits", "--iter_max", 2
    process = start("run_report.py", *flags)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    record = json.loads((tmp_path / "report" / "results.json").read_text())
    assert record["missing"] == {}
    assert all(row["mean"] for rows in record["numbers"].values() for row in rows.values())
    assert all(p["kl"] and p["active"] and p["entropy"] for p in record["beta"])
    # What is compared here was evaluated there: the same checkpoints, pixels and noise.
    vae, gmvae = (record["numbers"][key]["nelbo"]["all_test_images"] for key in ("vae", "gmvae"))
    difference = record["pairs_over_seeds"]["nelbo"]["value"]
    assert difference == pytest.approx(vae["mean"] - gmvae["mean"], abs=1e-3)
    assert "are not there" not in out
