"""Datasets, minibatches, binarization and the protocol's subsets."""

import hashlib
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codebase.data import datasets, subsets
from codebase.data.batches import Batches, binarize, grey, seeded_generator
from codebase.data.stream import Stream
from codebase.errors import UserError

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = datasets.IDX_FILES


def generator(seed=0):
    return seeded_generator(seed)


# Binarization


def test_each_grey_level_is_on_as_often_as_it_is_bright():
    n = 40_000
    levels = torch.arange(256, dtype=torch.uint8)
    shares = binarize(levels.expand(n, 256), generator()).mean(0).double()
    p = levels.double() / 255
    assert shares[0] == 0
    assert shares[255] == 1
    se = (p * (1 - p) / n).sqrt()
    assert ((shares - p).abs() <= 5 * se).all()


def test_bytes_and_floats_are_binarized_to_the_same_distribution():
    n = 40_000
    x = torch.tensor([0, 51, 128, 204, 255], dtype=torch.uint8)
    p = grey(x).double()
    shares = binarize(grey(x).expand(n, 5), generator()).mean(0).double()
    assert ((shares - p).abs() <= 5 * (p * (1 - p) / n).sqrt()).all()


def test_a_pixel_is_redrawn_every_time():
    x = torch.full((1, 784), 128, dtype=torch.uint8)
    g = generator()
    assert not torch.equal(binarize(x, g), binarize(x, g))


def test_neighbouring_pixels_are_drawn_independently():
    n = 100_000
    x = binarize(torch.full((n, 2), 128, dtype=torch.uint8), generator())
    correlation = torch.corrcoef(x.T)[0, 1].item()
    assert abs(correlation) < 5 / math.sqrt(n)


# Minibatches


def batches(n=10, size=4, seed=0):
    x = torch.arange(n, dtype=torch.uint8).unsqueeze(1)
    return Batches(x, torch.arange(n), size, generator(seed))


@given(n=st.integers(1, 40), size=st.integers(1, 50))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_an_epoch_is_every_image_once(n, size):
    loader = batches(n, size)
    drawn = [y for _, y in loader]
    assert sorted(torch.cat(drawn).tolist()) == list(range(n))
    assert len(drawn) == len(loader)
    assert all(len(y) == size for y in drawn[:-1])


@given(n=st.integers(1, 40), size=st.integers(1, 50))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_drawing_goes_through_epoch_after_epoch(n, size):
    loader = batches(n, size)
    for _ in range(3):
        epoch = [loader.draw()[1] for _ in range(len(loader))]
        assert sorted(torch.cat(epoch).tolist()) == list(range(n))


def test_two_epochs_come_in_different_orders():
    loader = batches(50, 50)
    assert not torch.equal(loader.draw()[1], loader.draw()[1])


def test_image_and_label_stay_together():
    for x, y in batches(30, 7):
        assert torch.equal((x * 255).round().long().squeeze(1), y)


@pytest.mark.parametrize("steps", [0, 1, 3, 4, 7])
def test_a_restored_loader_goes_on_with_the_same_minibatches(digits, steps):
    def loader(seed):
        return Batches(digits.train_x, digits.train_y, 400, generator(seed))

    one = loader(1)
    for _ in range(steps):
        one.draw()
    other = loader(2)
    other.load_state_dict(one.state_dict())
    for _ in range(6):
        (x, y), (x_again, y_again) = one.draw(), other.draw()
        assert torch.equal(x, x_again)
        assert torch.equal(y, y_again)


def test_a_stream_takes_any_loader_of_grey_images():
    images = torch.rand(6, 1, 28, 28)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(images, torch.arange(6)), batch_size=4
    )
    stream = Stream(loader, None, "cpu")
    for size in (4, 2, 4):
        x, y, batch = stream.draw()
        assert x.shape == (size, 784)
        assert set(x.unique().tolist()) <= {0, 1}
        assert len(y) == size
        assert batch[0] is x


def test_labelled_images_are_redrawn_and_keep_their_labels():
    xl = torch.full((5, 784), 0.5)
    yl = torch.eye(5)
    stream = Stream(batches(20, 4), (xl, yl), "cpu")
    (_, first, labels), (_, second, _) = stream.draw()[2], stream.draw()[2]
    assert not torch.equal(first, second)
    assert torch.equal(labels, yl)


# Fixed subsets


def test_the_test_subset_is_the_published_one(mnist):
    x, y = subsets.test_subset(mnist)
    assert x.shape == (100, 784)
    assert x.sum() == 10_257
    digest = hashlib.sha256(x.to(torch.uint8).numpy().tobytes()).hexdigest()
    assert digest.startswith("e987bfcffd12")
    assert y.argmax(1).tolist() == [c for c in range(10) for _ in range(10)]


def test_the_labelled_subset_is_the_published_one(mnist):
    x, y = subsets.labelled_subset(mnist)
    assert x.shape == (100, 784)
    assert x.long().sum() == 2_684_050
    assert y.argmax(1).tolist() == [c for c in range(10) for _ in range(10)]
    assert len(x.unique(dim=0)) == 99


def test_the_files_are_mnist(mnist):
    expected = "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"
    assert mnist.sha256() == expected
    assert torch.bincount(mnist.train_y).tolist()[:3] == [5923, 6742, 5958]


@given(n=st.integers(1, 1347), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_labelled_images_are_as_balanced_as_can_be(digits, n, seed):
    x, y = subsets.labelled_subset(digits, n, seed)
    assert x.shape == (n, 784)
    drawn, available = y.sum(0), torch.bincount(digits.train_y)
    short = drawn < drawn.max() - 1
    assert torch.equal(drawn[short].long(), available[short])


def test_other_labelled_draws_are_other_images(digits):
    one, _ = subsets.labelled_subset(digits, 50, seed=1)
    same, _ = subsets.labelled_subset(digits, 50, seed=1)
    other, _ = subsets.labelled_subset(digits, 50, seed=2)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("n", [0, -1, 1348])
def test_an_impossible_number_of_labels_is_refused(digits, n):
    with pytest.raises(UserError, match="from 1 to 1,347"):
        subsets.labelled_subset(digits, n)


def test_over_a_hundred_labelled_images_come_a_hundred_at_a_time(digits):
    xl, yl = subsets.labelled(digits, 250).draw()
    assert len(xl) == len(yl) == 100


def test_the_test_set_is_binarized_once(digits):
    x = subsets.binarized_test(digits)
    assert torch.equal(x, subsets.binarized_test(digits))
    assert set(x.unique().tolist()) == {0, 1}


# Digits


def test_digits_are_split_evenly_and_fixed(digits):
    assert digits.train_x.shape == (1347, 784)
    assert digits.test_x.shape == (450, 784)
    train, test = torch.bincount(digits.train_y), torch.bincount(digits.test_y)
    assert ((test / (train + test) - 450 / 1797).abs() < 0.01).all()
    assert digits.train_x.max() == 255
    assert datasets.load("digits").sha256() == digits.sha256()


# Files


def write_idx(folder, labels=None, images=None):
    """Four idx files of the full size, blank but for what is given."""
    folder.mkdir(parents=True)
    for name, shape in datasets.IDX_FILES.items():
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, dtype=">u4").tobytes()
        content = np.zeros(math.prod(shape), dtype=np.uint8)
        if labels is not None and "labels" in name:
            content[:] = labels
        (folder / name).write_bytes(header + content.tobytes())


@pytest.fixture
def files(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    write_idx(raw)
    return raw


def load(files):
    return datasets.load("mnist", files.parents[1])


def test_good_files_are_read(files):
    dataset = datasets.load("custom", files)
    assert dataset.train_x.shape == (60_000, 784)
    assert dataset.train_x.dtype == torch.uint8


@pytest.mark.parametrize("auto", [False, True])
def test_a_truncated_file_is_named_with_expected_and_found_size(files, auto):
    content = (files / TRAIN_IMAGES).read_bytes()
    (files / TRAIN_IMAGES).write_bytes(content[:-1])
    with pytest.raises(UserError, match=f"{TRAIN_IMAGES} has 47,040,015 bytes.* 47,040,016"):
        datasets.load("auto" if auto else "mnist", files.parents[1])


def test_a_file_that_is_too_long_is_refused(files):
    with (files / TEST_LABELS).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(UserError, match=f"{TEST_LABELS} has 10,009 bytes, expected 10,008"):
        load(files)


def test_a_wrong_magic_number_is_refused(files):
    with (files / TEST_IMAGES).open("r+b") as file:
        file.write(b"\x1f\x8b")
    with pytest.raises(UserError, match=f"{TEST_IMAGES} begins with 1f8b"):
        load(files)


def test_a_label_out_of_range_is_refused(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    write_idx(raw, labels=10)
    with pytest.raises(UserError, match="holds the label 10"):
        load(raw)


def test_a_folder_in_the_place_of_a_file_is_refused(files):
    (files / TRAIN_LABELS).unlink()
    (files / TRAIN_LABELS).mkdir()
    with pytest.raises(UserError, match=f"{TRAIN_LABELS} cannot be read"):
        load(files)


def test_the_index_table_is_the_course_s():
    tables = json.loads(
        (datasets.Path(datasets.__file__).parent / "subset_indices.json").read_text()
    )
    assert {k: np.shape(v) for k, v in tables.items()} == {"train": (10, 10), "test": (10, 10)}
    duplicates = {
        part: [(c, i) for c, row in enumerate(tables[part]) for i in set(row) if row.count(i) > 1]
        for part in tables
    }
    assert duplicates == {"train": [(4, 2176)], "test": [(5, 128)]}
