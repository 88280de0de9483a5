"""Every figure is drawn where it applies, whole and legible; what cannot be drawn says why."""

import itertools
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from matplotlib.text import Text
from PIL import Image
from throwaway import FullVAE, GreyVAE

from codebase.data import subsets
from codebase.errors import UserError
from codebase.figures import book, grid, maps, outliers, style
from codebase.figures.captions import CAPTIONS
from codebase.figures.study import Study
from codebase.files import checkpoints, records
from codebase.models.autoencoders import DeepAutoencoder, DenoisingAutoencoder
from codebase.models.convolutional import ConvAutoencoder
from codebase.models.gmvae import GMVAE
from codebase.models.sparse import KSparseAutoencoder, NormSparseAutoencoder
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE

MODELS = {
    "vae": lambda: VAE(z_dim=3),
    "vae-plane": lambda: VAE(z_dim=2),
    "gmvae": lambda: GMVAE(z_dim=3, k=12),
    "gmvae-plane": lambda: GMVAE(z_dim=2, k=40),
    "ssvae": lambda: SSVAE(),
    "ssvae-classifier": lambda: SSVAE(gen_weight=0),
    "full": lambda: FullVAE(z_dim=3),
    "grey-plane": lambda: GreyVAE(z_dim=2),
    "ae": lambda: DeepAutoencoder(z_dim=3),
    "denoising-plane": lambda: DenoisingAutoencoder(z_dim=2),
    "conv": lambda: ConvAutoencoder(z_dim=3),
    "k-sparse": lambda: KSparseAutoencoder(z_dim=40, active=5),
}
GENERATIVE = {"samples", "reconstructions", "kl_per_dimension", "traversals", "interpolation"}
GENERATIVE |= {"arithmetic", "likelihood", "outliers"}
FLAT, PLANE = {"pca", "tsne"}, {"map", "manifold"}
MIXTURE, CLASSIFIER = {"components", "clustering"}, {"calibration", "mistakes"}
CODING = {"reconstructions", "traversals", "interpolation", "arithmetic", "activations"}
LABELS = {"class_conditional", "style_transfer"}
EXPECTED = {
    "vae": GENERATIVE | FLAT,
    "vae-plane": GENERATIVE | PLANE,
    "gmvae": GENERATIVE | FLAT | MIXTURE,
    "gmvae-plane": GENERATIVE | PLANE | MIXTURE,
    "ssvae": GENERATIVE | FLAT | CLASSIFIER | LABELS,
    "ssvae-classifier": CLASSIFIER,
    "full": GENERATIVE | FLAT,
    "grey-plane": GENERATIVE | PLANE,
    "ae": CODING | FLAT | {"filters"},
    "denoising-plane": CODING | {"filters", "restored", "map"},
    "conv": CODING | FLAT,
    "k-sparse": CODING | FLAT | {"filters"},
}
MOST_PIXELS = style.DPI * 9  # a page is 11 inches high


def study(kind, digits, seed=0):
    torch.manual_seed(seed)
    return Study(MODELS[kind](), digits, f"model={kind}")


def whole(fig):
    """Nothing sticks out of the figure's edges."""
    box = fig.get_tightbbox()  # inches
    width, height = fig.get_size_inches()
    return min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.01


def smallest_type(fig):
    return min(t.get_fontsize() for t in fig.findobj(lambda a: hasattr(a, "get_fontsize")))


def check_png(path):
    picture = Image.open(path)
    width, height = picture.size
    assert width == round(style.WIDTH * style.DPI)
    assert 300 < height < MOST_PIXELS
    assert picture.info["dpi"] == pytest.approx((style.DPI, style.DPI), abs=0.1)
    ink = np.asarray(picture.convert("L")) < 200
    assert 0.002 < ink.mean() < 0.9


def check_svg(path):
    text = path.read_text(encoding="utf-8")
    width, height = re.search(r'<svg[^>]*width="([\d.]+)pt" height="([\d.]+)pt"', text).groups()
    assert float(width) == style.WIDTH * 72
    assert 72 < float(height) < MOST_PIXELS
    assert len(text) < 1_000_000  # dense layers are one picture
    assert text.count("<path") + text.count("<image") > 3


def test_every_figure_has_a_caption():
    assert set(CAPTIONS) == set(book.FIGURES) | set(book.COMPARISONS)
    for title, sentence in CAPTIONS.values():
        assert title
        assert sentence.endswith(".")


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_what_applies_is_drawn_whole(kind, digits, here):
    """Every figure of a model on the screen: complete, of the stated size, in readable type."""
    subject = study(kind, digits)
    applicable = book.applicable(subject)
    assert set(applicable) == EXPECTED[kind]
    faults = []
    for name in applicable:
        with style.styled():
            fig, numbers = book.render(name, subject)
            style.save(fig, here, name, kinds=["png"])
        check_png(here / f"{name}.png")
        faults += [f"{name} is cut off"] * (not whole(fig))
        faults += [f"{name} has small type"] * (smallest_type(fig) < 5)
        faults += [f"{name} has no title"] * (not (fig.get_suptitle() or fig.axes[0].get_title()))
        json.dumps(numbers, allow_nan=False)
    assert not faults


def test_comparisons_take_what_differs_in_one_setting(digits, here):
    settings = [(2, 1), (5, 1), (3, 1), (3, 1), (3, 4), (3, 0.5)]  # z, β
    studies = [
        Study(VAE(z_dim=z), digits, f"{z} {b}", kind="vae", settings={"z": z, "beta": b})
        for z, b in settings
    ]
    studies += [
        Study(GMVAE(z_dim=3, k=k), digits, f"k {k}", kind="gmvae", settings={"z": 3, "k": k})
        for k in (4, 7)
    ]
    studies += [study("ssvae", digits)]
    assert [s.z_dim for s in book.alike(studies, "z")["vae"]] == [2, 5, 3]
    assert [s.settings["beta"] for s in book.alike(studies, "beta")["vae"]] == [1, 4, 0.5]
    assert [s.settings["k"] for s in book.alike(studies, "k")["gmvae"]] == [4, 7]
    book.compare(studies, here)
    drawn = {"samples_by_z_vae", "rate_distortion_vae", "clustering_by_k_gmvae"}
    assert {p.stem for p in here.glob("*.png")} == drawn
    for name in drawn:
        check_png(here / f"{name}.png")
        check_svg(here / f"{name}.svg")
    numbers = records.read(here / "numbers.json")
    assert [run["beta"] for run in numbers["rate_distortion_vae"]["runs"]] == [0.5, 1, 4]
    with style.styled():
        for name, setting in [("samples_by_z", "z"), ("rate_distortion", "beta")]:
            fig, _ = book.render(name, book.alike(studies, setting)["vae"])
            fig.draw_without_rendering()
            assert whole(fig), name


LONG, SHORT = {"iterations": 20_000, "lr": 0.001}, {"iterations": 2_000, "lr": 0.001}
OTHER = {"iterations": 20_000, "lr": 0.01}


def words(fig):
    """All that is written in a figure."""
    return "\n".join(t.get_text() for t in fig.findobj(Text))


@pytest.mark.parametrize("trainings", [(LONG, SHORT), (LONG, OTHER), (LONG, {}), (LONG, LONG)])
def test_runs_that_were_not_trained_alike_are_not_compared_in_silence(trainings, digits):
    """The figure says it, run by run; the numbers have it always."""
    pairs = {
        "samples_by_z": [Study(VAE(z_dim=z), digits, f"z {z}") for z in (2, 3)],
        "rate_distortion": [Study(VAE(z_dim=2), digits, "", settings={"beta": b}) for b in (1, 4)],
        "clustering_by_k": [Study(GMVAE(z_dim=2, k=k), digits, f"k {k}") for k in (4, 7)],
    }
    for name, studies in pairs.items():
        for study, training in zip(studies, trainings, strict=True):
            study.training = training
        with style.styled():
            fig, numbers = book.render(name, studies)
            fig.draw_without_rendering()
            assert whole(fig), name
        said, differ = words(fig), trainings[0] != trainings[1]
        assert ("not trained alike" in said) == differ, name
        assert ("2,000 iterations\n" in said + "\n") == (trainings[1] == SHORT), name
        assert ("lr 0.01" in said) == (trainings[1] == OTHER), name
        assert ("unknown iterations" in said) == (trainings[1] == {}), name
        rows = numbers["runs"] if "runs" in numbers else list(numbers.values())
        assert [row.get("iterations") for row in rows] == [t.get("iterations") for t in trainings]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vae", "vae-plane"])
def test_a_map_has_a_legend_and_no_names_that_cover_each_other(kind, digits):
    """Of an untrained model, whose digits all lie on one heap."""
    with style.styled():
        fig, _ = book.render("map" if kind == "vae-plane" else "tsne", study(kind, digits))
        fig.draw_without_rendering()
    (legend,) = fig.legends
    assert [t.get_text() for t in legend.get_texts()] == list("0123456789")
    colours = [handle.get_color() for handle in legend.get_lines()]
    assert colours == list(style.DIGITS)
    boxes = [t.get_window_extent() for t in fig.axes[0].texts]
    assert not [1 for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
    if kind == "vae-plane":
        assert (fig.axes[0].get_xlabel(), fig.axes[0].get_ylabel()) == ("z[0]", "z[1]")


def test_digits_that_lie_apart_are_named_on_the_map():
    places = {0: np.array([0, 0]), 1: np.array([0.5, 0]), 2: np.array([3, 0])}
    assert maps.apart(places, 1.0) == [2]
    assert maps.apart(places, 0.1) == [0, 1, 2]


def test_dimensions_are_counted_as_in_python(digits):
    """In the traversals, the bars of kl and its numbers, the same dimension has the same name."""
    subject = study("vae", digits)
    order = subject.kl[0].mean(0).argsort(descending=True).tolist()
    with style.styled():
        fig, _ = book.render("traversals", subject)
        rows = [label.get_text().split()[0] for label in fig.axes[0].get_yticklabels()]
        fig, numbers = book.render("kl_per_dimension", subject)
        bars = [label.get_text() for label in fig.axes[0].get_xticklabels()]
    assert rows == [f"z[{d}]" for d in order]
    assert bars == [str(d) for d in order]
    assert np.argsort(numbers["kl_per_dimension"])[::-1].tolist() == order


def test_bins_of_few_images_are_marked_and_not_joined(digits):
    """Two bins of one image each, right and wrong, beside one of many."""
    subject = study("ssvae-classifier", digits)
    confidence, predicted = torch.full((450, 1), 0.82), subject.y.clone()
    confidence[:2, 0] = torch.tensor([0.55, 0.7])
    predicted[1] = (predicted[1] + 1) % 10
    others = (1 - confidence) / 9
    q = others.expand(-1, 10).scatter(1, predicted.unsqueeze(1), confidence)
    subject.log_q = q.log()
    with style.styled():
        fig, numbers = book.render("calibration", subject)
    few, many = numbers["bins"][:-1], numbers["bins"][-1]
    assert [(b["images"], b["accuracy"]) for b in few] == [(1, 1.0), (1, 0.0)]
    assert many["images"] == 448
    for b in numbers["bins"]:
        low, high = b["interval_95"]
        assert 0 <= low <= b["accuracy"] <= high <= 1
        assert (high - low > 0.5) == (b["images"] < 10)  # an accuracy of 1 of 1 image says little
    lines = [line for line in fig.axes[0].get_lines() if line.get_marker() == "o"]
    filled, hollow = sorted(lines, key=lambda line: line.get_markerfacecolor() == "white")
    assert (len(filled.get_xdata()), len(hollow.get_xdata())) == (1, 2)
    assert (hollow.get_markerfacecolor(), hollow.get_linestyle()) == ("white", "None")
    said = words(fig)
    assert "of fewer than 10 images" in said
    assert "Wilson" in said


def test_one_run_alone_has_nothing_to_compare(digits, here):
    book.compare([study("vae", digits)], here / "out")
    assert not (here / "out").exists()


def test_drawing_leaves_the_random_numbers_alone_and_repeats(digits, here):
    subject, names = study("gmvae", digits), ["samples", "kl_per_dimension", "likelihood"]
    before = torch.get_rng_state()
    book.draw(subject, here / "one", names)
    assert torch.equal(torch.get_rng_state(), before)
    book.draw(study("gmvae", digits), here / "two", names)
    files = sorted(p.name for p in (here / "one").iterdir())
    assert files == sorted(
        [*(f"{n}.{kind}" for n in names for kind in ("png", "svg")), "index.md", "numbers.json"]
    )
    for name in files:
        assert (here / "one" / name).read_bytes() == (here / "two" / name).read_bytes()
    for name in names:
        check_svg(here / "one" / f"{name}.svg")
        assert f"]({name}.png)" in (here / "one" / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["full", "grey"])
@torch.no_grad()
def test_codes_are_posterior_means_and_pictures_the_likelihood_s(kind, digits):
    torch.manual_seed(0)
    model = {"full": FullVAE, "grey": GreyVAE}[kind](z_dim=3)
    subject = Study(model, digits, kind)
    x = digits.test_x.float() / 255 if kind == "grey" else subsets.binarized_test(digits)
    net = model.enc if kind == "full" else model.enc.net
    dec = model.dec if kind == "full" else model.dec.net
    torch.testing.assert_close(subject.codes, net(x)[:, :3])
    expected = dec(net(x)[:, :3])
    expected = expected.sigmoid() if kind == "full" else expected
    torch.testing.assert_close(subject.decode(subject.codes), expected)
    drawn = subject.draw(subject.codes)
    assert (drawn.unique().tolist() == [0, 1]) == (kind == "full")
    error = (drawn - expected).mean().abs()
    assert error < 6 * 0.5 / drawn.numel() ** 0.5
    for name, x in outliers.images(subject).items():
        binary = ((x == 0) | (x == 1)).all()
        assert binary == (kind == "full"), name


@pytest.mark.slow
def test_drawing_depends_on_no_environment(tmp_path):
    """Another backend, no display and settings of the user's own change no byte."""
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nsavefig.transparent: True\n")
    draw = (
        "import sys, pathlib, torch\n"
        "from codebase import figures\n"
        "figures.save_confusion(pathlib.Path(sys.argv[1]), torch.eye(10, dtype=torch.long))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    for name, more in [("plain", {}), ("odd", {"MPLBACKEND": "TkAgg", "MATPLOTLIBRC": tmp_path})]:
        env = os.environ | {"PYTHONPATH": str(ROOT)} | {k: str(v) for k, v in more.items()}
        command = [sys.executable, "-c", draw, str(tmp_path / f"{name}.png")]
        subprocess.run(command, check=True, cwd=ROOT, env=env)
    check_png(tmp_path / "plain.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "odd.png").read_bytes()


def test_a_grid_s_labels_stand_at_its_digits(digits):
    """Each digit's corner is where its pixels begin, with and without gaps between rows."""
    images = torch.zeros(6, 784)
    images[:, 0] = 1  # the upper left pixel
    with style.styled():
        ax = style.figure(2).subplots()
        corners = style.digits(ax, images, 2, ["a", "b"], ["x", "y", "z"], gaps=[0])
    pixels = ax.images[0].get_array()
    for x, y in corners:
        assert pixels[int(y + 0.5), int(x + 0.5)] == 0
    assert (pixels == 0).sum() == 6
    assert ax.get_xticks().tolist() == sorted({x + 14 for x, _ in corners})
    assert grid(images, 2).shape[1] == pixels.shape[1]


# From the disk


def keep(name, model, **flags):
    """Leaves behind what a run does, under checkpoints/."""
    folder = checkpoints.ROOT / name
    folder.mkdir(parents=True)
    checkpoints.save(folder / "model-00007.pt", model.state_dict())
    records.write(folder / "flags.json", {"data": "digits", "seed": 3, "lr": 0.002} | flags)
    return folder


RUNS = {
    "model=vae_z=03_run=0000": (lambda: VAE(z_dim=3, beta=4.0), {"beta": 4.0}),
    "model=gmvae_z=02_k=005_run=0000": (lambda: GMVAE(z_dim=2, k=5), {}),
    "model=ssvae_gw=000_cw=100_run=0000": (lambda: SSVAE(gen_weight=0), {"gw": 0.0}),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_studied_as_it_was_trained(name, here):
    build, flags = RUNS[name]
    model = build()
    folder = keep(name, model, **flags)
    for run in (name, str(folder), str(folder.resolve())):
        study, found = book.open_study(run)
        assert found.resolve() == folder.resolve()
        assert (study.name, study.kind, study.seed) == (name, name.split("=")[1].split("_")[0], 3)
        assert study.dataset.name == "digits"
        assert study.settings.get("z", 64) == study.z_dim == model.z_dim  # an SSVAE has no --z
        assert study.settings.get("beta", 1.0) == study.model.beta == model.beta
        assert study.abilities == model.abilities  # with gw = 0 those of a classifier
        assert study.training == {"iterations": 7, "lr": 0.002}


def test_mistakes_are_clear_sentences(here):
    name = "model=vae_z=03_run=0000"
    keep(name, VAE(z_dim=3))
    with pytest.raises(UserError, match=r"--only cats: the figures are samples,"):
        book.draw_runs([name], here / "figures", only=["cats", "samples"])
    for wrong in ("", "model=vae_z=3"):
        with pytest.raises(UserError, match=rf"no run '{wrong}'.*{name}"):
            book.open_study(wrong)
    ssvae = "model=ssvae_gw=001_cw=100_run=0000"
    keep(ssvae, SSVAE())
    for run, flags in [(name, {"seed": "many"}), (name, {"beta": -1}), (ssvae, {"gw": None})]:
        records.write(checkpoints.ROOT / run / "flags.json", {"data": "digits"} | flags)
        with pytest.raises(UserError, match=r"flags\.json is no run's"):
            book.open_study(run)


@pytest.mark.slow
def test_the_command_line(run, tmp_path):
    """Figures at the end of a training, then of two finished runs and what compares them."""
    flags = "--dataset", "digits", "--iter_max", 2
    done = run("run_ssvae.py", *flags, "-gw", 0, "--figures", 1)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("checkpoints/*/figures")
    expected = {f"{n}.{kind}" for n in CLASSIFIER for kind in ("png", "svg")}
    assert {p.name for p in folder.iterdir()} == expected | {"index.md", "numbers.json"}
    for file in expected:
        (check_png if file.endswith("png") else check_svg)(folder / file)

    for z in (2, 3):
        assert run("run_vae.py", *flags, "--z", z).returncode == 0
    names = [f"model=vae_z={z:02d}_run=0000_data=digits" for z in (2, 3)]
    figures = tmp_path / "checkpoints" / names[1] / "figures"
    only = "--only", "samples", "samples_by_z"
    done = run("run_figures.py", names[0], tmp_path / "checkpoints" / names[1], *only)
    assert done.returncode == 0, done.stderr
    check_png(figures / "samples.png")
    check_png(tmp_path / "figures" / "samples_by_z_vae.png")
    # What is drawn later joins what is there.
    assert run("run_figures.py", names[1], "--only", "kl_per_dimension").returncode == 0
    index = (figures / "index.md").read_text(encoding="utf-8")
    assert index.index("](samples.png)") < index.index("](kl_per_dimension.png)")
    numbers = json.loads((figures / "numbers.json").read_text(encoding="utf-8"))
    assert numbers.keys() == {"samples", "kl_per_dimension"}
    kl = numbers["kl_per_dimension"]
    assert sum(kl["kl_per_dimension"]) == pytest.approx(kl["kl"], rel=1e-5)

    for wrong, complaint in [
        (["model=vae_z=04_run=0000"], "There is no run"),
        ([names[0], "--only", "cats"], "the figures are"),
        ([names[0], "--only", "tsne", "rate_distortion"], "nothing of that applies"),
        ([], "required: RUN"),
    ]:
        done = run("run_figures.py", *wrong)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert complaint in line


# The gallery of docs/figures.md


def test_the_gallery_is_what_its_command_writes():
    import importlib.util

    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
    gallery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gallery)
    page = gallery.PAGE.read_text(encoding="utf-8")
    assert gallery.updated(page) == page
    named = {name for name, _ in gallery.PICTURES}
    assert named <= set(CAPTIONS)
    files = sorted((ROOT / "docs" / "gallery").glob("*"))
    assert {p.stem for p in files} <= named
    assert sum(p.stat().st_size for p in files) < 3_000_000
    for path in files:
        check_png(path)


def test_autoencoders_are_put_side_by_side(digits, here):
    """By the size of the code, with their errors; and by the weight of a penalty."""
    torch.manual_seed(0)
    studies = [
        Study(DeepAutoencoder(z_dim=z), digits, f"z {z}", kind="ae", settings={"z": z})
        for z in (5, 2)
    ]
    studies += [
        Study(
            *(NormSparseAutoencoder(z_dim=20, weight=w), digits, f"w {w}"),
            kind="l1-ae",
            settings={"z": 20, "weight": w},
        )
        for w in (0.0, 0.5)
    ]
    assert book.compare(studies, here) == 2
    numbers = records.read(here / book.NUMBERS)
    assert set(numbers) == {"reconstructions_by_z_ae", "activations_by_weight_l1-ae"}
    found = numbers["reconstructions_by_z_ae"]
    assert [run["z"] for run in found.values()] == [2, 5]
    with torch.no_grad():
        x = studies[0].x
        again = studies[0].model.decode(studies[0].model.encode(x))
    expected = (x - again).square().sum(1).mean().item()
    assert found["z 5"]["error"] == pytest.approx(expected, rel=1e-5)
    for name in numbers:
        check_png(here / f"{name}.png")
