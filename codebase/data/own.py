"""One's own images, of any square size up to 64 × 64: an .npz file, or a folder of image files."""

import re
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from codebase.data import checks, images, known
from codebase.data.batches import CLASSES
from codebase.data.datasets import OWN, SUBSET, Dataset, no_labels
from codebase.errors import UserError

SIDES = 4, 64  # pixels, the least and the most
SHARE = 6  # one image of so many is for testing, where the data do not say which
# What arrays may be called: training images and labels, test images and labels; or all in one.
PARTS = (
    ("train_x", "train_y", "test_x", "test_y"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
)
WHOLE = ("x", "y"), ("images", "labels")
LABELS_ADVICE = (
    "an .npz file has them as train_y and test_y, or as y; a folder has a folder for each label, "
    "0 to 9"
)
BROKEN = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    RuntimeError,
    MemoryError,
    zlib.error,
    zipfile.BadZipFile,
)


def load(path: str | Path) -> Dataset:
    """The images of a file or folder, square, grey, of one size, and their labels if they have any.

    An .npz file has train_x and test_x, with train_y and test_y where there are labels (or x_train,
    … as Keras calls them, or train_images, …); or x, with y, of which a sixth, at least 100, is
    for testing, drawn once by a fixed seed and as balanced as the labels are. Images are (N, S, S),
    (N, 1, S, S), (N, S, S, 1) or (N, S²), whole from 0 to 255, booleans, or k/255. A folder has
    folders train and test, or is split in the same way; in each lie the images, or folders 0 to 9
    of them, which are the labels. What lies sorted by label is mixed, the same way every time.

    Returns:
        Its name is "own-" and the path's last part, but "mnist" if it is MNIST to the last byte.
    Raises:
        UserError: it is something else; the sentence says what, and what is expected.
    """
    path = Path(path).expanduser().absolute()
    found = _folder(path) if path.is_dir() else _file(path)
    parts = found if len(found) == 2 else _split(found[0], path)
    (train_x, train_y), (test_x, test_y) = (_mixed(*part) for part in parts)
    if len(test_x) < SUBSET:
        raise UserError(
            f"{path} holds {len(test_x)} test images, expected at least {SUBSET}: so many the "
            "bounds are measured on."
        )
    labelled = train_y is not None
    if not labelled:
        train_y, test_y = no_labels(train_x), no_labels(test_x)
    tensors = train_x, train_y, test_x, test_y
    dataset = Dataset(_named(path), *tensors, labelled=labelled, path=str(path))
    if dataset.sha256() == known.MNIST and train_x.shape[1] == 784:
        return replace(dataset, name="mnist")
    return dataset


def _named(path):
    """The path's last part, without what would not do in a run's name."""
    stem = path.stem if path.suffix == ".npz" else path.name
    return OWN + (re.sub(r"[^\w.-]+|_+", "-", stem, flags=re.ASCII).strip("-.")[:40] or "images")


def _split(whole, path):
    """Training and test images of one array, each class by its share."""
    x, y = whole
    n = max(len(x) // SHARE, SUBSET)
    if len(x) < 2 * SUBSET:
        raise UserError(
            f"{path} holds {len(x)} images, expected at least {2 * SUBSET}, of which {SUBSET} are "
            "for testing."
        )
    order = np.random.default_rng(0).permutation(len(x))
    chosen = order[_in_turn(np.zeros(len(x), int) if y is None else y.numpy()[order])]
    test, train = (torch.from_numpy(np.sort(i)) for i in (chosen[:n], chosen[n:]))
    return [(x[i], None if y is None else y[i]) for i in (train, test)]


def _in_turn(labels):
    """An order, (N,), that has of every class its share wherever it is broken off.

    Within a class it is the order in which the images lie.
    """
    place = np.empty(len(labels))  # in (0, 1), among the images of the same class
    for c in np.unique(labels):
        of_class = np.flatnonzero(labels == c)
        place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    return np.argsort(place, kind="stable")


def _mixed(x, y):
    """Images and labels, in turn where they lie sorted by label: some measures take the first N."""
    if y is None or (y.diff() < 0).any():
        return x, y
    order = torch.from_numpy(_in_turn(y.numpy()))
    return x[order], y[order]


# Files


def _file(path):
    """[(images, labels or None)] of an .npz file: of training and testing, or of all."""
    arrays = _arrays(path)
    there = [names for names in PARTS if {names[0], names[2]} & arrays.keys()]
    whole = [names for names in WHOLE if names[0] in arrays]
    if not there and not whole:
        raise UserError(f"{path} holds {_some(arrays)}, expected train_x and test_x, or x.")
    names: tuple[str, ...] = (there or whole)[0]
    if there:
        x, y, test_x, test_y = names
        if missing := [name for name in (x, test_x) if name not in arrays]:
            raise UserError(f"{path} holds no {missing[0]}; it needs {x} and {test_x}, or x.")
        lone = {y, test_y} & arrays.keys()
        if len(lone) == 1:
            (other,) = {y, test_y} - lone
            raise UserError(f"{path} holds {lone.pop()} but no {other}: bring both, or neither.")
    found = [_squares(arrays[name], f"{path}: {name}") for name in names[::2]]
    if len({t.shape[1] for t in found}) > 1:
        a, b = (round(t.shape[1] ** 0.5) for t in found)
        raise UserError(f"{path}: {names[0]} is of {a} × {a}, {names[2]} of {b} × {b} pixels.")
    pixels = _pixels(found, f"{path}: {' and '.join(names[::2])}")
    labels = [_labels(arrays, y, t, path) for t, y in zip(pixels, names[1::2], strict=True)]
    return list(zip(pixels, labels, strict=True))


def _some(names):
    names = sorted(names)
    return (", ".join(names[:6]) + (", …" if len(names) > 6 else "")) or "nothing"


def _arrays(path):
    """{name: array} of those in an .npz file that have a part in it."""
    if not path.exists():
        raise UserError(f"There is no {path}: neither a file nor a folder of images.")
    wanted = {name for names in (*PARTS, *WHOLE) for name in names}
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise UserError(f"{path} is one array, expected an .npz file, as np.savez writes.")
            found = {name: file[name] if name in wanted else None for name in file.files}
    except BROKEN as error:
        if "allow_pickle" in str(error) or "pickled" in str(error):
            # What else NumPy does not know it takes for a pickle.
            reason = "it holds Python objects" if "Object" in str(error) else "it is none"
            reason += ", expected arrays of numbers, as np.savez writes"
        else:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"{path} cannot be read as an .npz file: {reason}.") from error
    if other := [name for name, array in found.items() if isinstance(array, bytes)]:
        raise UserError(f"{path}: {other[0]} is no array of NumPy's.")
    return found


def _squares(array, name):
    """Images as (N, S²), of an array's own type."""
    if array.dtype.kind not in "biuf":
        raise UserError(f"{name} is of type {array.dtype}, expected whole numbers from 0 to 255.")
    shape = array.shape
    if len(shape) == 4 and 1 in (shape[1], shape[3]):
        array = array.reshape(len(array), *(shape[2:] if shape[1] == 1 else shape[1:3]))
    elif len(shape) == 4:
        colour = ", which are colours: average them first" if {3, 4} & {shape[1], shape[3]} else ""
        raise UserError(f"{name} has shape {shape}{colour}, expected one channel.")
    if array.ndim not in (2, 3) or not array.size:
        raise UserError(f"{name} has shape {shape}, expected (N, S, S), or (N, S²), and N ≥ 1.")
    if array.ndim == 2:
        side = round(array.shape[1] ** 0.5)
        if side**2 != array.shape[1]:
            raise UserError(f"{name} has shape {shape}, but {shape[1]} pixels are no square.")
        check_sides(name, side, side)
    else:
        check_sides(name, *array.shape[1:])
    return array.reshape(len(array), -1)


def check_sides(name: str, height: int, width: int) -> None:
    """Raises a UserError unless images are square, of a size that is taken."""
    low, high = SIDES
    if height != width:
        raise UserError(
            f"{name} is of {height} × {width} pixels, expected squares: pad the shorter side."
        )
    if not low <= height <= high:
        raise UserError(
            f"{name} is of {height} × {width} pixels, expected {low} × {low} to {high} × {high}."
        )


def _pixels(arrays, name):
    """As uint8 tensors, all by the same reading (see `checks.pixels`)."""
    joined = np.concatenate(arrays)
    joined = joined.astype(joined.dtype.newbyteorder("="), copy=False)
    if joined.dtype.kind == "u" and joined.dtype.itemsize > 1:
        joined = joined.clip(max=np.iinfo(np.int32).max).astype(np.int64)
    if joined.dtype.kind == "f" and joined.dtype.itemsize > 8:
        joined = joined.astype(np.float64)
    x = checks.pixels(np.ascontiguousarray(joined), name)
    if x.is_floating_point():
        levels = (x * 255).round()
        if ((levels / 255 - x).abs() > torch.finfo(x.dtype).eps).any():
            raise UserError(
                f"{name} holds grey values between the levels k/255, expected none; "
                "np.round(255 * x).astype(np.uint8) has the nearest."
            )
        x = levels.to(torch.uint8)
    return x.split([len(a) for a in arrays])


def _labels(arrays, name, x, path):
    """Labels (N,) of images x, or None where there is no such array."""
    if name not in arrays:
        return None
    y, name = arrays[name], f"{path}: {name}"
    if y.dtype.kind not in "biuf":
        raise UserError(f"{name} is of type {y.dtype}, expected labels from 0 to 9.")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    y = y.astype(np.float64 if y.dtype.kind == "f" else np.int64)
    return checks.labels(y, len(x), CLASSES, name)


# Folders


def _folder(path):
    """The same of a folder of image files."""
    there = [path / part for part in ("train", "test") if (path / part).is_dir()]
    if len(there) == 1:
        other = {"train", "test"} - {there[0].name}
        raise UserError(f"{path} has a folder {there[0].name} but no {other.pop()}: bring both.")
    found = [images.of_folder(part) for part in there or [path]]
    if len({files.labelled for files in found}) > 1:
        first, second = sorted(found, key=lambda files: not files.labelled)
        raise UserError(
            f"{first.folder} has folders of labels, {second.folder} has none: bring both, or "
            "neither."
        )
    pixels = images.read([files.paths for files in found], check_sides)
    labels = [torch.tensor(f.labels) if f.labelled else None for f in found]
    return list(zip(pixels, labels, strict=True))
