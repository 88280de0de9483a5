"""MNIST binarized once and for all, as much of the literature has it (Larochelle & Murray, 2011).

Its three text files hold a row of 784 zeros and ones for each image, without labels. Numbers on
these bits do not compare with those of pixels that are drawn anew at every step.
"""

from pathlib import Path

import numpy as np
import torch

from codebase.errors import UserError

ROWS = {
    "binarized_mnist_train.amat": 50_000,
    "binarized_mnist_valid.amat": 10_000,
    "binarized_mnist_test.amat": 10_000,
}
PIXELS = 784


def folder_of(data_dir: Path) -> Path:
    """Where the three files lie.

    Raises:
        UserError: they are in none of the folders that are looked in.
    """
    looked_in = [data_dir, data_dir / "BinarizedMNIST", data_dir / "MNIST", data_dir / "MNIST/raw"]
    for folder in looked_in:
        if all((folder / name).is_file() for name in ROWS):
            return folder
    raise UserError(
        f"--dataset fixed-mnist needs {', '.join(ROWS)}, which this project does not download; "
        f"they are in none of {', '.join(map(str, looked_in))}."
    )


def tensors(data_dir: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Images for training, the 50,000 and then the 10,000 of validation, and those for testing.

    Returns:
        (60000, 784) and (10000, 784), uint8, 0 or 255: drawing such pixels gives them again.
    Raises:
        UserError: a file is missing, or holds something else.
    """
    folder = folder_of(data_dir)
    train, valid, test = (_read(folder / name, rows) for name, rows in ROWS.items())
    return torch.cat([train, valid]), test


def _read(path, rows):
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    # Whatever stands between them, the digits are the pixels.
    bits = content[~np.isin(content, np.frombuffer(b" \t\r\n", np.uint8))] - ord("0")
    if bits.size != rows * PIXELS or bits.max() > 1:
        raise UserError(f"{path} does not hold {rows:,} rows of {PIXELS} zeros and ones.")
    return torch.from_numpy((bits * np.uint8(255)).reshape(rows, PIXELS))
