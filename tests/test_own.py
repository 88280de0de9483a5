"""One's own images, a file or a folder, of any square size: from --dataset to the explorer."""

import io
import json
import shutil
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import steady
from PIL import Image
from short import command

from codebase import explorer
from codebase.catalogue import CATALOGUE, recognised
from codebase.data import datasets, own, subsets
from codebase.data.batches import grey
from codebase.errors import UserError
from codebase.evaluation import bounds, features
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE
from codebase.runs import ranks
from codebase.runs.saved import open_run
from codebase.sides import side_of, sized

SIDE = 12
# Of 64 pixels, 8 × 8, these are not to be had.
REFUSED = {"dfc": "sees images of 28 × 28", "ms-ssim": "8 × 8, halved 2 times, have no room"}


def pictures(n, side=SIDE, seed=0):
    """Images (n, side, side) with a bar each, and which of ten it is."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 10
    x = random.integers(0, 60, (n, side, side)).astype(np.uint8)
    for image, c in zip(x, y, strict=True):
        image[c * side // 10] = 250
    return x, y


def parts(n=150, m=120, side=SIDE):
    (x, y), (test_x, test_y) = pictures(n, side), pictures(m, side, 1)
    return {"train_x": x, "train_y": y, "test_x": test_x, "test_y": test_y}


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


def draw(folder, images, kind="png", mode=None):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        picture = Image.fromarray(image)
        (picture.convert(mode) if mode else picture).save(folder / f"{i:04d}.{kind}")


# Arrays


SPELLINGS = {
    "ours": ("train_x", "train_y", "test_x", "test_y"),
    "keras": ("x_train", "y_train", "x_test", "y_test"),
    "medmnist": ("train_images", "train_labels", "test_images", "test_labels"),
}
SHAPES = {
    "(N, S, S)": lambda x: x,
    "(N, 1, S, S)": lambda x: x[:, None],
    "(N, S, S, 1)": lambda x: x[..., None],
    "(N, S²)": lambda x: x.reshape(len(x), -1),
}
TYPES = {
    "int64": lambda x: x.astype(np.int64),
    "big-endian": lambda x: x.astype(">i4"),
    "uint16": lambda x: x.astype(np.uint16),
    "k/255, float32": lambda x: x.astype(np.float32) / 255,
    "k/255, float64": lambda x: x / 255,
    "k/255, float16": lambda x: (x / 255).astype(np.float16),
    "k/255, long": lambda x: x.astype(np.longdouble) / 255,
    "k times 1/255": lambda x: x.astype(np.float32) * np.float32(1 / 255),
    "column by column": np.asfortranarray,
}


@pytest.mark.parametrize("names", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_arrays_are_read_by_whatever_name_and_shape(names, shape, tmp_path):
    there = parts()
    values = [shape(there["train_x"]), there["train_y"], shape(there["test_x"]), there["test_y"]]
    found = own.load(saved(tmp_path / "a b.npz", **dict(zip(names, values, strict=True))))
    assert (found.name, found.x_dim, found.labelled) == ("own-a-b", SIDE**2, True)
    for name, tensor in there.items():
        assert getattr(found, name).dtype == (torch.uint8 if "x" in name else torch.int64)
        assert np.array_equal(
            getattr(found, name).numpy(), tensor.reshape(len(tensor), -1).squeeze()
        )


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_the_same_levels_in_another_type_are_the_same_data(kind, tmp_path):
    there = parts()
    plain = own.load(saved(tmp_path / "plain.npz", **there)).sha256()
    there |= {name: kind(there[name]) for name in ("train_x", "test_x")}
    there |= {"train_y": there["train_y"][:, None], "test_y": np.eye(10)[there["test_y"]]}
    assert own.load(saved(tmp_path / "other.npz", **there)).sha256() == plain


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float32])
def test_black_and_white_is_0_and_255_in_both_parts(kind, tmp_path):
    there = parts()
    there |= {name: (there[name] > 99).astype(kind) for name in ("train_x", "test_x")}
    found = own.load(saved(tmp_path / "bits.npz", **there))
    assert found.train_x.unique().tolist() == found.test_x.unique().tolist() == [0, 255]


def test_a_part_that_happens_to_be_dark_is_read_as_the_other_is(tmp_path):
    """Beside grey values from 0 to 255 a test set of 0s and 1s is nearly black, not white."""
    there = parts()
    there["test_x"] = there["test_x"] % 2
    assert own.load(saved(tmp_path / "dark.npz", **there)).test_x.max() == 1


@settings(steady, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(n=st.integers(200, 900), side=st.integers(4, 64), classes=st.integers(1, 10))
def test_one_array_is_split_once_and_evenly(n, side, classes, tmp_path):
    x = np.zeros((n, side, side), np.uint8)
    x[:, 0, 0], x[:, 0, 1], x[0, 0, 2] = np.arange(n) % 256, np.arange(n) // 256, 255
    y = np.random.default_rng(n).integers(0, classes, n)
    found = own.load(saved(tmp_path / "x.npz", images=x, labels=y))
    assert found.x_dim == side * side
    assert len(found.test_x) == max(n // 6, 100)
    ids = {p: getattr(found, f"{p}_x").long() @ weights(side) for p in ("train", "test")}
    assert sorted([*ids["train"].tolist(), *ids["test"].tolist()]) == list(range(n))
    for part, i in ids.items():
        assert torch.equal(getattr(found, f"{part}_y"), torch.from_numpy(y)[i])
    share = len(found.test_x) / n
    for c in range(classes):  # each class by its share, to one image
        assert abs((found.test_y == c).sum() - share * (y == c).sum()) <= 1
    again = own.load(tmp_path / "x.npz")
    assert again.sha256() == found.sha256()


def weights(side):
    w = torch.zeros(side * side, dtype=torch.int64)
    w[0], w[1] = 1, 256
    return w


def test_keras_mnist_is_mnist(mnist, tmp_path):
    """With its name come the course's subsets and the reference bands."""
    arrays = [t.numpy() for t in (mnist.train_x, mnist.train_y, mnist.test_x, mnist.test_y)]
    arrays[0], arrays[2] = (a.reshape(-1, 28, 28) for a in arrays[::2])
    found = own.load(
        saved(tmp_path / "m.npz", **dict(zip(SPELLINGS["keras"], arrays, strict=True)))
    )
    assert (found.name, found.path) == ("mnist", str(tmp_path / "m.npz"))
    assert torch.equal(subsets.test_subset(found)[0], subsets.test_subset(mnist)[0])


OBJECTS = np.array([{"a": 1}, None], dtype=object)
X, Y = pictures(200)
WRONG = {
    "no arrays": ({}, "holds nothing, expected train_x and test_x, or x"),
    "other names": ({"a": X, "b": X}, "holds a, b, expected train_x"),
    "no test images": (
        {"train_x": X, "train_y": Y},
        "holds no test_x; it needs train_x and test_x",
    ),
    "no training images": ({"x_test": X}, "holds no x_train"),
    "half the labels": ({"train_x": X, "test_x": X, "test_y": Y}, "holds test_y but no train_y"),
    "objects": ({"x": OBJECTS}, "cannot be read.*Python objects, expected arrays of numbers"),
    "labels of objects": ({"x": X, "y": OBJECTS}, "Python objects, expected arrays of numbers"),
    "text": ({"x": np.array(["a", "b"])}, "x is of type <U1, expected whole numbers"),
    "names as labels": ({"x": X, "y": np.full(200, "cat")}, "y is of type <U3, expected labels"),
    "complex": ({"x": X * 1j}, "x is of type complex128"),
    "one image": ({"x": X[0, :5]}, r"x has shape \(5, 12\), but 12 pixels are no square"),
    "a row": ({"x": X[0, 0]}, r"has shape \(12,\), expected \(N, S, S\)"),
    "none": ({"x": X[:0]}, r"has shape \(0, 12, 12\)"),
    "rectangles": ({"x": X[:, :9]}, "is of 9 × 12 pixels, expected squares: pad the shorter"),
    "no square": ({"x": X[:, 0, :7]}, "7 pixels are no square"),
    "colours": ({"x": np.stack([X] * 3, -1)}, "which are colours: average them"),
    "colours first": ({"x": np.stack([X] * 3, 1)}, "which are colours: average them"),
    "channels": ({"x": np.stack([X] * 2, 1)}, r"\(200, 2, 12, 12\), expected one channel"),
    "too small": ({"x": X[:, :3, :3]}, "is of 3 × 3 pixels, expected 4 × 4 to 64 × 64"),
    "too large": ({"x": np.zeros((200, 65, 65))}, "is of 65 × 65 pixels, expected 4 × 4 to"),
    "two sizes": ({"train_x": X, "test_x": X[:, :8, :8]}, "train_x is of 12 × 12, test_x of 8 × 8"),
    "negative": ({"x": X.astype(int) - 1}, "holds values from -1 to 249, expected grey values"),
    "beyond 255": ({"x": X.astype(np.uint16) * 9}, "holds values from 0 to 2250, expected grey"),
    "undivided": ({"x": X.astype(float)}, r"expected pixels in \[0, 1\]; divide by 255"),
    "scaled to ±1": ({"x": X / 127.5 - 1}, "holds values from -1 to"),
    "not finite": ({"x": np.where(X == 250, np.nan, 0.0)}, "values that are not finite"),
    "between levels": ({"x": X / 256}, "between the levels k/255.*has the nearest"),
    "labels of others": ({"x": X, "y": Y[:9]}, r"y has shape \(9,\), expected \(200,\), a label"),
    "labels beyond 9": ({"x": X, "y": Y + 1}, "y holds values from 1 to 10, expected whole labels"),
    "half a label": ({"x": X, "y": Y / 2}, "y holds values from 0 to 4.5, expected whole labels"),
    "too few": ({"x": X[:199]}, "holds 199 images, expected at least 200"),
    "too few to test": (
        {"train_x": X, "test_x": X[:99]},
        "holds 99 test images, expected at least",
    ),
}


@pytest.mark.parametrize(("arrays", "complaint"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_something_else_is_refused_in_a_sentence(arrays, complaint, tmp_path):
    path = saved(tmp_path / "x.npz", **arrays)
    with pytest.raises(UserError, match=complaint) as refused:
        own.load(path)
    assert str(path) in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    good = saved(tmp_path / "x.npz", **parts()).read_bytes()
    single = io.BytesIO()
    np.save(single, X)
    pickled = io.BytesIO()
    np.save(pickled, OBJECTS, allow_pickle=True)
    contents = {"": "cannot be read", "half": "cannot be read", "text": "it is none, expected"}
    contents |= {"one": "is one array, expected an .npz file", "pickle": "Python objects"}
    bytes_of = {"": b"", "half": good[: len(good) // 2], "text": b"x,y\n1,2\n"}
    bytes_of |= {"one": single.getvalue(), "pickle": pickled.getvalue()}
    for kind, complaint in contents.items():
        path = tmp_path / f"of-{kind}.npz"
        path.write_bytes(bytes_of[kind])
        with pytest.raises(UserError, match=complaint):
            own.load(path)
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as packed:
        packed.writestr("x", b"no array")
    with pytest.raises(UserError, match=r"zip.npz: x is no array"):
        own.load(tmp_path / "zip.npz")
    for i in range(0, len(good), len(good) // 40):  # a byte that is another, anywhere
        (tmp_path / "x.npz").write_bytes(good[:i] + bytes([good[i] ^ 0xFF]) + good[i + 1 :])
        try:
            own.load(tmp_path / "x.npz")
        except UserError as error:
            assert str(tmp_path) in str(error)  # noqa: PT017 — a byte between files harms nothing
    with pytest.raises(UserError, match=r"There is no .*gone.npz"):
        own.load(tmp_path / "gone.npz")


# Folders


@pytest.mark.parametrize("kind", ["png", "bmp", "gif", "tif", "PNG"])
def test_a_folder_of_images_is_the_array_of_them_in_the_order_of_their_names(kind, tmp_path):
    x, _ = pictures(210)
    draw(tmp_path / "some", x, kind)
    (tmp_path / "some" / "readme.txt").write_text("not an image")
    (tmp_path / "some" / ".hidden.png").write_bytes(b"")
    found = own.load(tmp_path / "some")
    same = own.load(saved(tmp_path / "x.npz", x=x))
    assert (found.name, found.labelled) == ("own-some", False)
    assert found.sha256() == same.sha256()


def test_folders_of_labels_and_of_parts(tmp_path):
    there = parts()
    for part in ("train", "test"):
        x, y = there[f"{part}_x"], there[f"{part}_y"]
        for c in range(10):
            draw(tmp_path / "all" / part / str(c), x[y == c])
    found = own.load(tmp_path / "all")
    for part in ("train", "test"):
        x, y = getattr(found, f"{part}_x"), getattr(found, f"{part}_y")
        assert sorted(y.tolist()) == sorted(there[f"{part}_y"].tolist())
        assert all(
            row.view(SIDE, SIDE)[c * SIDE // 10].eq(250).all() for row, c in zip(x, y, strict=True)
        )
    whole = own.load(tmp_path / "all" / "train" / "..")
    assert whole.sha256() == found.sha256()


@settings(steady, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(counts=st.lists(st.integers(1, 90), min_size=2, max_size=10), n=st.integers(1, 400))
def test_images_that_lie_sorted_by_label_are_mixed(counts, n, tmp_path):
    """The first N hold every class by its share, and each class in the order it lay in."""
    y = np.repeat(np.arange(len(counts)), counts)
    x = np.zeros((len(y), 4, 4), np.uint8)
    x[:, 0, 0], x[:, 0, 1], x[0, 0, 2] = np.arange(len(y)) % 256, np.arange(len(y)) // 256, 255
    test_x, test_y = pictures(120, 4)
    there = {"train_x": x, "train_y": y, "test_x": test_x, "test_y": test_y}
    found = own.load(saved(tmp_path / "x.npz", **there))
    assert torch.equal(found.test_x, torch.from_numpy(test_x).flatten(1))  # it lay mixed already
    was = found.train_x.long() @ weights(4)
    assert torch.equal(found.train_y, torch.from_numpy(y)[was])
    n = min(n, len(y))
    for c, count in enumerate(counts):
        of_class = was[found.train_y == c]
        assert of_class.tolist() == np.flatnonzero(y == c).tolist()
        first = (found.train_y[:n] == c).sum().item()
        assert abs(first - n * count / len(y)) <= len(counts)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_pixels_in_other_clothes_are_grey(mode, tmp_path):
    x, _ = pictures(200)
    draw(tmp_path / "plain", x)
    draw(tmp_path / "other", x, mode=mode)
    assert own.load(tmp_path / "other").sha256() == own.load(tmp_path / "plain").sha256()


def test_images_of_one_bit_are_black_and_white_and_jpegs_are_read(tmp_path):
    x, _ = pictures(200)
    draw(tmp_path / "bits", (x > 99) * np.uint8(255), mode="1")
    assert own.load(tmp_path / "bits").train_x.unique().tolist() == [0, 255]
    draw(tmp_path / "jpeg", x, "jpg")
    assert own.load(tmp_path / "jpeg").x_dim == SIDE**2


def _one(change):
    """A folder of 200 good images, of which one is changed."""

    def lay(folder):
        draw(folder, X)
        change(folder / "0150.png")

    return lay


def _as(array, **options):
    return lambda path: Image.fromarray(array).save(path, **options)


COLOURS = np.zeros((SIDE, SIDE, 3), np.uint8)
COLOURS[0, 0] = 9, 0, 0
CLEAR = np.zeros((SIDE, SIDE, 4), np.uint8)
WRONG_FOLDERS = {
    "empty": (lambda f: f.mkdir(), "holds no images, expected files .png"),
    "too few": (lambda f: draw(f, X[:50]), "holds 50 images, expected at least 200"),
    "mixed sizes": (
        _one(_as(X[0, :8, :8])),
        r"0000.png is of 12 × 12, .*0150.png of 8 × 8 pixels, expected one size",
    ),
    "a rectangle": (_one(_as(X[0, :8])), "0150.png is of 8 × 12 pixels, expected squares"),
    "too large": (_one(_as(np.zeros((90, 90), np.uint8))), "0150.png is of 90 × 90 pixels"),
    "colours": (_one(_as(COLOURS)), "0150.png is of colours, expected grey values"),
    "transparent": (_one(_as(CLEAR)), "0150.png has transparent pixels"),
    "16 bits": (_one(_as(X[0].astype(np.uint16) * 99)), "0150.png has pixels of the kind I"),
    "frames": (
        _one(
            lambda path: Image.fromarray(X[0]).save(
                path, format="GIF", save_all=True, append_images=[Image.fromarray(X[1])]
            )
        ),
        "0150.png has 2 frames, expected one image",
    ),
    "damaged": (_one(lambda path: path.write_bytes(path.read_bytes()[:60])), "0150.png cannot be"),
    "text": (_one(lambda path: path.write_text("no")), "0150.png cannot be read: it is no image"),
    "half below": (
        lambda f: (draw(f, X), draw(f / "3", X)),
        "holds images, and its folder 3 too",
    ),
    "names": (
        lambda f: (draw(f / "3", X), draw(f / "cats", X)),
        "holds images in a folder cats, expected labels, 0 to 9",
    ),
    "only train": (lambda f: draw(f / "train", X), "has a folder train but no test: bring both"),
    "labels of one part": (
        lambda f: (draw(f / "train" / "1", X), draw(f / "test", X)),
        "train has folders of labels, .*test has none",
    ),
}


@pytest.mark.parametrize(("lay", "complaint"), WRONG_FOLDERS.values(), ids=WRONG_FOLDERS)
def test_a_folder_of_something_else_is_refused_in_a_sentence(lay, complaint, tmp_path):
    lay(tmp_path / "own")
    with pytest.raises(UserError, match=complaint):
        own.load(tmp_path / "own")


# Models


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_model_is_to_be_had_of_8_by_8_pixels_or_says_why_not(name):
    """It is built, takes a training step, draws and redraws what is of that size."""
    entry = CATALOGUE[name]
    if name in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name]):
            entry.build({}, name, {"x_dim": 64})
        return
    torch.manual_seed(0)
    model = entry.build({}, name, {"x_dim": 64}).train()
    x, y = torch.rand(4, 64), torch.eye(10)[:4]
    x = x.bernoulli() if model.abilities.pixels == "binary" else x
    model.prepare(lambda: torch.rand(20, 64))
    model.advance()
    batch = (x, y) if model.abilities.conditional else (x,)
    batch = (x, x, y) if model.abilities.classifier else batch
    players = model.players()
    for player in players:
        loss, _ = model.loss(*batch, **({"player": player} if len(players) > 1 else {}))
        assert loss.isfinite()
        loss.backward()
    model.eval()
    if hasattr(model, "sample_x"):
        assert model.sample_x(2).shape == (2, 64)
    if model.abilities.reconstructions:
        label = (y,) if model.y_dim else ()
        assert model.likelihood(model.posterior(x, *label).mean, *label).mean.shape == (4, 64)
    for role, net in model.networks().items():
        sizes = {"encoder": net[0].in_features, "classifier": net[0].in_features}
        widths = [m for m in net if isinstance(m, torch.nn.Linear)]
        assert 64 + model.y_dim * (role == "encoder") == sizes.get(role, widths[-1].out_features)


@pytest.mark.parametrize(
    "words", [("vae", "--net", "conv"), ("gan", "--net", "conv"), ("diffusion", "--net", "unet")]
)
def test_convolutions_of_sides_that_four_does_not_divide(words, here):
    """A VAE's are of any side; those of games and the U-Net say what they need."""
    there = saved(here / "odd.npz", **parts(side=9))
    if words[0] == "vae":
        command(*words, "--dataset", there)
        return
    with pytest.raises(UserError, match=rf"There is no {words[0]} of these flags: .*4|multiple"):
        command(*words, "--dataset", there)
    assert not list(here.glob("checkpoints/*/model-*.pt"))


@pytest.mark.parametrize("make", [VAE, GMVAE, SSVAE])
def test_the_constructors_check_the_size_and_the_images(make):
    for x_dim in (0, -3):
        with pytest.raises(ValueError, match="x_dim must be at least 1"):
            make(x_dim=x_dim)
    model = make(x_dim=36)
    label = (torch.eye(10)[:2],) if model.y_dim else ()
    with pytest.raises(ValueError, match=r"x must have shape \(…, 36\)"):
        model.posterior(torch.zeros(2, 784), *label)
    sizes = recognised(model.state_dict())[1]
    assert sizes["x_dim"] == 36
    assert "x_dim" not in recognised(make().state_dict())[1]


def test_sides():
    assert [side_of(n * n) for n in range(1, 70)] == list(range(1, 70))
    for n in (0, -4, 2, 783):
        with pytest.raises(ValueError, match="square"):
            side_of(n)
    assert (sized(784), sized(144)) == ({}, {"x_dim": 144})


# Runs


@pytest.fixture
def quick(here, monkeypatch):
    monkeypatch.setattr(bounds, "SUBSET_REPEATS", 2)
    return here


def folder_of(here):
    (folder,) = (here / "checkpoints").iterdir()
    return folder


def test_a_dataset_that_is_no_name_and_no_path_is_refused_before_anything(run):
    done = run("run_vae.py", "--dataset", "mnits")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "an .npz file or a folder, got 'mnits'. Did you mean mnist?" in line


def test_a_file_from_training_to_the_explorer(run, tmp_path):
    """Real processes: trained, evaluated again, drawn, with the page; then the file is moved."""
    saved(tmp_path / "bars.npz", **parts(side=9))
    flags = "--dataset", "bars.npz", "--threads", 1, "--iter_max", 3
    done = run("run_vae.py", *flags)
    assert done.returncode == 0, done.stderr
    assert "own-bars, 150 training and 120 test images of 9 × 9" in done.stdout
    folder = folder_of(tmp_path)
    assert folder.name == "model=vae_z=10_run=0000_data=own-bars"
    with Image.open(folder / "samples.png") as image:
        assert image.size == (6 * (20 * 10 + 1), 6 * (10 * 10 + 1))
    assert open_run(folder).model.x_dim == 81
    again = run("run_vae.py", *flags, "--train", 0)
    assert again.returncode == 0, again.stderr
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "bars.npz").rename(tmp_path / "elsewhere" / "bars.npz")
    lost = run("run_figures.py", folder.name, "--only", "samples")
    assert lost.returncode == 2
    assert "is not there any more" in lost.stderr
    there = "--data_dir", "elsewhere"
    for script, words in (
        ("run_figures.py", ("--only", "samples", "reconstructions", "traversals")),
        ("run_explorer.py", ()),
    ):
        done = run(script, folder.name, *words, *there)
        assert done.returncode == 0, done.stderr
    assert len(list(folder.glob("figures/*.png"))) == 3
    assert '"side": 9' in (folder / "explore.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("labelled", [True, False])
def test_a_folder_of_images_is_trained_on(run, labelled, tmp_path):
    x, y = pictures(220)
    for c in range(10) if labelled else ():
        draw(tmp_path / "bars" / str(c), x[y == c])
    if not labelled:
        draw(tmp_path / "bars", x)
    usual = "--dataset", "bars", "--threads", 1, "--iter_max", 2
    done = run("run_ssvae.py", *usual)
    assert done.returncode == (0 if labelled else 2), done.stderr
    if labelled:
        assert "own-bars, 120 training and 100 test images of 12 × 12" in done.stdout
        return
    (line,) = done.stderr.splitlines()
    assert "own-bars have no labels, and ssvae needs them: an .npz file has them as" in line
    done = run("run_vae.py", *usual)
    assert done.returncode == 0, done.stderr
    with pytest.raises(UserError, match="and what is drawn of a run needs them"):
        open_run(folder_of(tmp_path)).dataset()


def test_an_interrupted_run_goes_on_and_not_with_other_data(quick, monkeypatch):
    from codebase.runs.run import Run

    path = saved(quick / "bars.npz", **parts())
    words = "vae", "--dataset", path, "--iter_save", 1
    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            command(*words)
    recorded = json.loads((folder_of(quick) / "flags.json").read_text())
    assert (recorded["data"], recorded["x_dim"]) == ("own-bars", 144)
    assert recorded["data_path"] == str(path)
    before = path.read_bytes()
    saved(path, **parts(n=151))
    with pytest.raises(UserError, match=r"other data of the name own-bars .*--dataset names"):
        command(*words)
    (quick / "moved").mkdir()
    moved = quick / "moved" / "bars.npz"
    moved.write_bytes(before)
    command("vae", "--dataset", moved, "--iter_save", 1)
    assert json.loads((folder_of(quick) / "flags.json").read_text())["data_path"] == str(moved)
    with pytest.raises(UserError, match="exists and is finished"):
        command("vae", "--dataset", moved, "--iter_save", 1)
    assert not {"lock", "owner.json"} & {path.name for path in folder_of(quick).iterdir()}


def test_data_that_changed_under_a_run_are_found_out(quick):
    path = saved(quick / "bars.npz", **parts())
    command("vae", "--dataset", path)
    name, kept = folder_of(quick).name, path.read_bytes()
    saved(path, **parts(n=151))
    with pytest.raises(UserError, match=r"trained on other data of the name own-bars"):
        command("vae", "--dataset", path, "--train", 0)
    with pytest.raises(UserError, match=r"trained on other data .*--data_dir names the right"):
        explorer.write_all([name])
    (quick / "data").mkdir()  # where the right ones lie too
    (quick / "data" / "bars.npz").write_bytes(kept)
    explorer.write_all([name])
    shutil.rmtree(quick / "data")
    path.unlink()
    with pytest.raises(
        UserError, match=r"bars.npz, which .* was trained on, is not there any more"
    ):
        explorer.write_all([name])


def test_data_are_not_taken_on_trust_because_the_flags_are_damaged(quick):
    path = saved(quick / "bars.npz", **parts())
    command("vae", "--dataset", path)
    (folder_of(quick) / "flags.json").write_text("{")
    with pytest.raises(UserError, match=r"flags\.json .*Delete it"):
        command("vae", "--dataset", path, "--train", 0)


def test_replicates_name_the_file_to_the_processes_they_start(quick, monkeypatch):
    """Absolute, as it was found."""
    saved(quick / "bars.npz", **parts())
    launched = []
    monkeypatch.setattr(ranks, "launch", lambda jobs, *words: launched.extend(words))
    with pytest.raises(UserError, match="Runs 0, 1 are not finished"):
        command("vae", "--dataset", "bars.npz", "--runs", 2, "--jobs", 2)
    assert f"--dataset={quick / 'bars.npz'}" in launched


def test_what_only_28_by_28_can_is_refused(quick):
    path = saved(quick / "bars.npz", **parts())
    for name in REFUSED:
        with pytest.raises(UserError, match=f"There is no {name} of these flags: "):
            command(name, "--dataset", path)
    with pytest.raises(UserError, match="sees images of 28 × 28; those of own-bars are of 12 × 12"):
        features.features_of(own.load(path))
    assert datasets.others("own-bars", quick, 144) == {}


def test_a_solution_whose_constructor_knows_no_size_says_so(quick, monkeypatch):
    class Solution(VAE):
        def __init__(self, nn="v1", name="vae", z_dim=2):
            super().__init__(nn, name, z_dim)

    monkeypatch.setattr("codebase.models.vae.VAE", Solution)
    with pytest.raises(
        UserError, match=r"is of 28 × 28 pixels and takes no x_dim, which .*12 × 12"
    ):
        command("vae", "--dataset", saved(quick / "bars.npz", **parts()))
    command("vae", "--dataset", saved(quick / "large.npz", **parts(side=28)))


def test_the_page_s_content_is_of_the_size(quick):
    command("ssvae", "--dataset", saved(quick / "bars.npz", **parts()))
    opened = open_run(folder_of(quick))
    dataset = opened.dataset()
    found = explorer.content(opened, dataset)
    assert found["side"] == SIDE
    assert found["nets"]["encoder"]["layers"][0] == [154, 300]
    with torch.no_grad():
        assert opened.model.label_posterior(grey(dataset.test_x[:3])).probs.shape == (3, 10)
