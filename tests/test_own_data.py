"""Files as people bring them: under other names, in other folders, packed anew, of other images."""

import gzip

import numpy as np
import pytest
import torch
from short import command

from codebase import explorer
from codebase.data import datasets, download, places, subsets
from codebase.data.idx import IDX_FILES
from codebase.errors import UserError
from codebase.evaluation import bounds

TRAIN_X, TRAIN_Y, TEST_X, TEST_Y = IDX_FILES


def idx(array):
    """The bytes of an idx file."""
    array = np.asarray(array, dtype=np.uint8)
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def no_network(monkeypatch):
    def fetch(*_):
        raise UserError("no network")

    monkeypatch.setattr(download, "fetch", fetch)


# Where files lie


def small(labels=range(10)):
    """Four small files, {name: bytes}."""
    y = np.resize(list(labels), 200)
    x = np.random.default_rng(0).integers(0, 256, (200, 28, 28))
    return {TRAIN_X: idx(x), TRAIN_Y: idx(y), TEST_X: idx(x[:120]), TEST_Y: idx(y[:120])}


def dotted(name):
    return name.replace("-idx", ".idx")


LAYOUTS = {
    "torchvision's": lambda name: f"MNIST/raw/{name}",
    "flat": lambda name: name,
    "dotted": lambda name: f"MNIST/raw/{dotted(name)}",
    "dotted and flat": dotted,
    "packed": lambda name: f"MNIST/raw/{name}.gz",
    "packed, dotted, flat": lambda name: f"{dotted(name)}.gz",
    "a folder for each": lambda name: f"{name}/{name}",
    "a dotted folder for each": lambda name: f"archive/{dotted(name)}/{dotted(name)}",
    "a folder for each, packed": lambda name: f"archive/{name}/{name}.gz",
    "without raw": lambda name: f"MNIST/{name}",
    "only raw": lambda name: f"raw/{name}",
}


def lay(folder, files, layout):
    for name, content in files.items():
        path = folder / LAYOUTS[layout](name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_obviously_meant_is_found(layout, tmp_path):
    files = small()
    lay(tmp_path, files, layout)
    found = places.find("mnist", tmp_path)
    assert {name: path.read_bytes() for name, path in found.items()} == files


def test_a_packed_file_is_unpacked_beside_itself_once(tmp_path):
    lay(tmp_path, small(), "packed")
    assert places.find("mnist", tmp_path)[TRAIN_X] == tmp_path / "MNIST" / "raw" / TRAIN_X
    for path in tmp_path.rglob("*.gz"):
        path.write_bytes(b"no longer needed")
    assert places.find("mnist", tmp_path).keys() == IDX_FILES.keys()
    assert not list(tmp_path.rglob("*.tmp"))


def test_packed_files_are_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    def refuse(path):
        raise UserError(f"{path} cannot be written")

    lay(tmp_path, small(), "packed, dotted, flat")
    monkeypatch.setattr("codebase.files.disk.atomic", refuse)
    dataset = datasets.load("custom", tmp_path)
    assert dataset.train_x.shape == (200, 784)
    assert not list(tmp_path.glob("*ubyte"))


def test_mnist_packed_by_someone_else_is_mnist(mnist, tmp_path, no_network):
    for part in ("train", "test"):
        x, y = (getattr(mnist, f"{part}_{k}").numpy() for k in "xy")
        names = (TRAIN_X, TRAIN_Y) if part == "train" else (TEST_X, TEST_Y)
        for name, array in zip(names, (x.reshape(-1, 28, 28), y), strict=True):
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array), 1))
    found = datasets.load("auto", tmp_path)
    assert (found.name, found.sha256()) == ("mnist", mnist.sha256())
    assert torch.equal(found.train_x, mnist.train_x)


def test_otherwise_it_is_said_where_they_were_looked_for_and_what_was_found(tmp_path):
    lay(tmp_path, {TRAIN_X: small()[TRAIN_X]}, "dotted and flat")
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw" / f"{TEST_Y}.gz").write_bytes(b"<html>")
    sentence = places.described("mnist", tmp_path)
    for folder in ("MNIST/raw", "MNIST", "raw", "archive"):
        assert str(tmp_path / folder) in sentence
    assert f"found {tmp_path / dotted(TRAIN_X)}." in sentence
    (tmp_path / dotted(TRAIN_X)).rename(tmp_path / "mnist.npz")
    with pytest.raises(UserError, match=r"no images.*Looked for .*found .*mnist\.npz\."):
        datasets.load("custom", tmp_path)


# What files hold


def as_mnist(folder, train_y, test_y, train_x=None, test_x=None):
    """Files of MNIST's sizes and names, blank but for what is given."""
    x = {TRAIN_X: train_x, TEST_X: test_x}
    for name, shape in IDX_FILES.items():
        labels = train_y if name == TRAIN_Y else test_y
        content = x.get(name) if "images" in name else np.resize(labels, shape)
        (folder / name).write_bytes(idx(np.zeros(shape) if content is None else content))


BALANCED = np.tile(np.arange(10), 6_000)


def like_fashion(first):
    """As many of every label, and those ten first, as Fashion-MNIST has them."""

    def labels(n):
        left = np.repeat(np.arange(10), n // 10)
        for c in first:
            left = np.delete(left, np.flatnonzero(left == c)[0])
        return np.concatenate([first, left])

    return labels


FASHION = (
    like_fashion([9, 0, 0, 3, 0, 2, 7, 2, 5, 5])(60_000),
    like_fashion([9, 2, 1, 1, 6, 1, 4, 6, 5, 7])(10_000),
)
OTHERS = {
    "balanced": ((BALANCED, BALANCED), "as many images of every class, as in KMNIST or EMNIST"),
    "no nine": ((BALANCED % 9, BALANCED % 9), "no image has the label 9"),
    "parity": ((BALANCED % 2, BALANCED % 2), "no image has the label 2 or 3 or"),
    "skewed": ((np.maximum(BALANCED, 1) - BALANCED // 9, BALANCED), "the label"),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", ["mnist", "auto"])
def test_other_labels_under_mnist_s_names_are_not_mnist(other, name, tmp_path, no_network):
    labels, reason = OTHERS[other]
    as_mnist(tmp_path, *labels)
    with pytest.raises(UserError, match=rf"does not hold MNIST .*{reason}.*--dataset custom"):
        datasets.load(name, tmp_path)
    own = datasets.load("custom", tmp_path)
    x, y = subsets.test_subset(own)
    assert (own.name, x.shape, len(y)) == ("custom", (100, 784), 100)
    drawn = y.sum(0)[y.sum(0) > 0]
    assert drawn.max() - drawn.min() <= 1


def test_fashion_under_mnist_s_names_is_named(tmp_path):
    as_mnist(tmp_path, *FASHION)
    way = rf"holds Fashion-MNIST, not MNIST: --dataset fashion --data_dir {tmp_path}"
    with pytest.raises(UserError, match=way):
        datasets.load("mnist", tmp_path)
    with pytest.raises(UserError, match="holds Fashion-MNIST, not KMNIST"):
        datasets.load("kmnist", tmp_path)
    with pytest.raises(UserError, match="holds Fashion-MNIST: --dataset fashion"):
        datasets.load("custom", tmp_path)
    assert datasets.load("fashion", tmp_path).name == "fashion"


def test_mnist_under_another_name_is_named(mnist):
    raw = places.own("mnist", datasets.Path(__file__).parents[1] / "data")
    for name in ("fashion", "kmnist", "custom"):
        with pytest.raises(UserError, match=r"holds MNIST.*: --dataset mnist --data_dir"):
            datasets.load(name, raw)


def test_kmnist_is_told_as_far_as_can_be(tmp_path):
    as_mnist(tmp_path, BALANCED, BALANCED)
    assert datasets.load("kmnist", tmp_path).name == "kmnist"
    with pytest.raises(UserError, match="does not hold Fashion-MNIST"):
        datasets.load("fashion", tmp_path)


def test_mnist_s_labels_with_other_images_are_not_mnist(mnist, tmp_path):
    inverted = (255 - t.view(-1, 28, 28).numpy() for t in (mnist.train_x, mnist.test_x))
    as_mnist(tmp_path, mnist.train_y.numpy(), mnist.test_y.numpy(), *inverted)
    with pytest.raises(UserError, match="the labels are, the images are not"):
        datasets.load("mnist", tmp_path)


def test_another_dataset_s_files_are_no_outliers_of_that_name(tmp_path):
    raw = places.own("fashion", tmp_path)
    raw.mkdir(parents=True)
    as_mnist(raw, BALANCED % 9, BALANCED)
    assert not datasets.on_disk("fashion", tmp_path)
    as_mnist(raw, *FASHION)
    assert datasets.on_disk("fashion", tmp_path)


# One's own images


@pytest.fixture
def own(here, monkeypatch):
    """Lays small files of one's own and gives the flags that name them."""
    monkeypatch.setattr(bounds, "SUBSET_REPEATS", 2)

    def flags(labels=range(10), without=()):
        lay(here, {k: v for k, v in small(labels).items() if k not in without}, "flat")
        return "--dataset", "custom", "--data_dir", here

    return flags


@pytest.mark.few(1)
@pytest.mark.parametrize(("labels", "model"), [(range(9), "vae"), ((0, 1), "ssvae"), ([3], "vae")])
def test_classes_that_are_missing_break_nothing(own, labels, model, here, capsys):
    """To the end, pictures and all."""
    command(model, *own(labels))
    (folder,) = (here / "checkpoints").iterdir()
    assert "data=custom" in folder.name
    out = capsys.readouterr().out
    assert "CUSTOM, NOT MNIST" in out
    assert "WARNING: no " not in out


@pytest.mark.slow
def test_figures_and_page_of_data_without_a_class_are_drawn(own, here, capsys):
    """Those that need every class are left out, none ends in an IndexError."""
    flags = own(range(9))
    command("ssvae", *flags, "--figures", 1)
    assert "WARNING: no " not in capsys.readouterr().out
    (folder,) = (here / "checkpoints").iterdir()
    drawn = {path.stem for path in folder.glob("figures/*.png")}
    assert "reconstructions" in drawn
    assert "interpolation" not in drawn
    explorer.write_all([folder.name], data_dir=here)
    assert (folder / "explore.html").exists()


def test_without_labels_a_vae_is_trained(own, here, capsys):
    command("vae", *own(without=(TRAIN_Y, TEST_Y)), "--run", 1)
    assert "WARNING: no " not in capsys.readouterr().out
    assert list(here.glob("checkpoints/*run=0001_data=custom/results.json"))


@pytest.mark.parametrize(("model", "words"), [("ssvae", ()), ("vae", ("--figures", 1))])
def test_without_labels_what_needs_them_is_refused_at_once(own, here, model, words):
    with pytest.raises(UserError, match=r"data custom have no labels.*train-labels-idx1-ubyte"):
        command(model, *own(without=(TRAIN_Y, TEST_Y)), *words)
    assert not (here / "checkpoints").exists()


def test_half_the_labels_are_refused(own, here):
    own(without=(TEST_Y,))
    with pytest.raises(UserError, match=f"{TRAIN_Y} is there, {TEST_Y} is not"):
        datasets.load("custom", here)


def test_labels_of_other_images_are_refused(own, here):
    own()
    (here / TEST_Y).write_bytes(idx(np.zeros(119)))
    with pytest.raises(UserError, match=f"{TEST_Y} holds 119 labels for the 120 images"):
        datasets.load("custom", here)
    (here / TEST_Y).write_bytes(idx(np.full(120, 46)))
    with pytest.raises(UserError, match=r"holds the label 46.*without both files of labels"):
        datasets.load("custom", here)
    for n, complaint in ((0, f"{TEST_X} begins with"), (99, f"{TEST_X} holds 99 images, expected")):
        (here / TEST_Y).write_bytes(idx(np.zeros(n or 1)))
        (here / TEST_X).write_bytes(idx(np.zeros((n, 28, 28))))
        with pytest.raises(UserError, match=complaint):
            datasets.load("custom", here)
