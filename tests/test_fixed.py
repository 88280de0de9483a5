"""MNIST's bits as the literature has fixed them: read, trained on, told apart, or refused."""

import json

import numpy as np
import pytest
import torch
from short import command

from codebase.data import datasets, fixed, subsets
from codebase.data.batches import binarize, dequantize
from codebase.errors import UserError

SMALL = dict(zip(fixed.ROWS, (150, 60, 110), strict=True))


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The three files with fewer rows, and what is in them."""
    monkeypatch.setattr(fixed, "ROWS", SMALL)
    rng = np.random.default_rng(0)
    bits = {name: (rng.random((n, 784)) < 0.2).astype(int) for name, n in SMALL.items()}
    for name, rows in bits.items():
        np.savetxt(tmp_path / name, rows, fmt="%d")
    return bits


def test_the_bits_are_the_files(files, tmp_path):
    dataset = datasets.load("fixed-mnist", tmp_path)
    train, valid, test = (torch.from_numpy(rows) for rows in files.values())
    assert torch.equal(dataset.train_x.long(), 255 * torch.cat([train, valid]))
    assert torch.equal(dataset.test_x.long(), 255 * test)
    assert not dataset.labelled


def test_drawing_them_gives_them_again(files, tmp_path):
    dataset = datasets.load("fixed-mnist", tmp_path)
    bits = torch.from_numpy(files["binarized_mnist_test.amat"]).float()
    assert torch.equal(binarize(dataset.test_x), bits)
    assert torch.equal(binarize(bits), bits)
    assert torch.equal(subsets.binarized_test(dataset), bits)
    x, _ = subsets.test_subset(dataset)
    assert x.shape == (100, 784)
    assert set(x.unique().tolist()) == {0, 1}
    assert not torch.equal(dequantize(dataset.test_x), bits)


@pytest.mark.parametrize("folder", ["", "BinarizedMNIST", "MNIST/raw"])
def test_folders_that_are_looked_in(files, tmp_path, folder):
    there = tmp_path / "data" / folder
    there.mkdir(parents=True)
    for name in SMALL:
        (tmp_path / name).rename(there / name)
    assert len(datasets.load("fixed-mnist", tmp_path / "data").test_x) == 110


def test_without_a_file_one_sentence_says_what_was_looked_for(files, tmp_path):
    (tmp_path / "binarized_mnist_valid.amat").unlink()
    with pytest.raises(UserError, match=r"needs .*valid\.amat.*does not download.*BinarizedMNIST"):
        datasets.load("fixed-mnist", tmp_path)


@pytest.mark.parametrize(
    "spoil",
    [lambda b: b[:-2], lambda b: b + b"1\n", lambda b: b.replace(b"1", b"2", 1), lambda b: b"",
     lambda b: b.replace(b"0 ", b".5 ", 1), lambda b: b"<html>" + b],
)  # fmt: skip
def test_other_content_is_refused(files, tmp_path, spoil):
    path = tmp_path / "binarized_mnist_test.amat"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UserError, match=r"test\.amat does not hold 110 rows of 784 zeros and ones"):
        datasets.load("fixed-mnist", tmp_path)


def test_a_run_says_what_it_is_of(files, tmp_path, here, capsys):
    command("vae", "--dataset", "fixed-mnist", "--data_dir", tmp_path)
    (folder,) = (here / "checkpoints").iterdir()
    assert "data=fixed-mnist" in folder.name
    assert json.loads((folder / "results.json").read_text())["data"]["name"] == "fixed-mnist"
    assert "NOT MNIST" in capsys.readouterr().out


def test_what_needs_labels_is_refused_at_once(files, tmp_path, here):
    with pytest.raises(UserError, match=r"data fixed-mnist have no labels"):
        command("ssvae", "--dataset", "fixed-mnist", "--data_dir", tmp_path)
    assert not (here / "checkpoints").exists()
