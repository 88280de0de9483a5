"""Sprites: every combination once, factors that images tell, shapes that turn onto nothing else."""

import math

import numpy as np
import pytest
import torch

from codebase.data import datasets, sprites, subsets

SHAPES = len(sprites.OUTLINES)


@pytest.fixture(scope="module")
def made():
    """A picture for each row of the grid, as booleans."""
    return sprites.images().reshape(-1, sprites.SIDE, sprites.SIDE) > 0


@pytest.fixture(scope="module")
def dataset():
    return datasets.load("sprites")


def shown(made, grid, **wanted):
    """Positions of the images whose factors are these."""
    names = list(sprites.FACTORS)
    return np.flatnonzero(np.all([grid[:, names.index(k)] == v for k, v in wanted.items()], 0))


@pytest.mark.slow
def test_no_two_images_are_alike(made):
    assert len(made) == math.prod(sprites.FACTORS.values()) == 92_160
    rows = np.packbits(made.reshape(len(made), -1), axis=1)
    assert len(np.unique(rows, axis=0)) == len(made)


def test_the_grid_has_every_combination_once():
    grid = sprites.grid()
    assert len(np.unique(grid, axis=0)) == len(grid)
    assert tuple(grid.max(0) + 1) == tuple(sprites.FACTORS.values())


def test_places_are_where_the_centroid_lies(made):
    """Within a pixel; and to the right where x is larger, down where y is."""
    at = np.arange(sprites.SIDE) - (sprites.SIDE - 1) / 2
    n = made.sum((1, 2))
    for axis, factor in ((1, 3), (2, 4)):
        centroid = (made.sum(axis) * at).sum(1) / n
        wanted = sprites.STEP / sprites.FINE * (sprites.grid()[:, factor] - 7.5)
        assert np.abs(centroid - wanted).max() < 0.7
        assert np.corrcoef(centroid, wanted)[0, 1] > 0.998


def test_nothing_is_cut_off(made):
    """Shapes have as many white pixels wherever they lie, but for how the pixels fall."""
    sizes = made.sum((1, 2)).reshape(-1, 16, 16)
    inner = sizes[:, 4:12, 4:12].mean((1, 2), keepdims=True)
    assert np.abs(sizes.mean((1, 2), keepdims=True) / inner - 1).max() < 0.02


def test_pixels_are_the_shape_s_area(made):
    """π r² / 2 of the half-disc, whose corner lies farthest from its centroid."""
    to_corner = math.hypot(1, 4 / (3 * math.pi))
    for scale, r in enumerate(np.linspace(*sprites.RADII, 6)):
        at = shown(made, sprites.grid(), shape=0, scale=scale)
        assert made[at].sum((1, 2)).mean() == pytest.approx(
            math.pi * (r / to_corner) ** 2 / 2, rel=0.02
        )


@pytest.mark.parametrize("shape", range(SHAPES))
def test_no_turn_but_the_whole_leaves_a_shape_as_it_is(made, shape):
    """At least a fifth of its pixels move, so that the angle can be told."""
    at = shown(made, sprites.grid(), shape=shape, scale=5, x=8, y=8)
    first, others = made[at[0]], made[at[1:]]
    assert ((others ^ first).sum((1, 2)) > 0.2 * first.sum()).all()


def test_a_square_would_be_found_symmetric(monkeypatch):
    monkeypatch.setattr(sprites, "OUTLINES", (((0, 0), (1, 0), (1, 1), (0, 1)),) * SHAPES)
    with pytest.raises(AssertionError):
        test_no_turn_but_the_whole_leaves_a_shape_as_it_is(
            sprites.images().reshape(-1, 28, 28) > 0, 0
        )


def test_the_dataset_is_a_fixed_split_with_shapes_as_labels(made, dataset):
    assert dataset.train_x.dtype == torch.uint8
    assert len(dataset.test_x) == sprites.TEST
    grid = np.concatenate([sprites.factors(part).numpy() for part in ("train", "test")])
    assert len(np.unique(grid, axis=0)) == len(grid) == len(made)
    place = np.ravel_multi_index(tuple(grid.T), tuple(sprites.FACTORS.values()))
    x = torch.cat([dataset.train_x, dataset.test_x]).numpy().reshape(-1, 28, 28) > 0
    assert (x == made[place]).all()
    assert torch.equal(dataset.test_y, sprites.factors("test")[:, 0])


def test_subsets_are_drawn_as_other_data_s(dataset):
    x, y = subsets.test_subset(dataset)
    assert torch.equal(x, subsets.test_subset(dataset, "grey")[0])  # black and white as they are
    assert sorted(y.sum(0).tolist()) == [0] * 7 + [33, 33, 34]
