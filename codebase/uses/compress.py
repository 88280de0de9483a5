"""Bits per image: what a model's codes take, beside zlib and PNG on the same pixels."""

import io
import math
import zlib
from argparse import Namespace
from typing import cast

import numpy as np
import torch
from PIL import Image

from codebase.data.batches import grey
from codebase.errors import UserError
from codebase.evaluation.bounds import CHUNK, image_terms
from codebase.evaluation.numbers import Number, Numbers
from codebase.models.base import LatentVariableModel
from codebase.sides import side_of
from codebase.uses.subject import Found, Subject

BITS = 2, 4, 6, 8  # a number of the code is rounded to
LOSSLESS = 8  # of them where the rest is kept beside


def measure(subject: Subject, args: Namespace) -> Found:
    """Bits per test image: of binary pixels the bits-back rate; of others code and remainder."""
    x, _ = subject.test
    side = side_of(x.shape[1])
    if subject.pixels == "binary" and subject.model.abilities.bounds:
        terms = image_terms(cast(LatentVariableModel, subject.model), x)
        own = {"bits-back, nelbo / ln 2": Number.of(terms.sum(0) / math.log(2))}
        columns = {"bits per image": own | by_files(packed(x), binary=True, side=side)}
        return Found("bits per image, without loss, of binary pixels", columns, (BACK,))
    pixels = subject.dataset.test_x.cpu().numpy()
    if subject.model.y_dim:
        raise UserError(f"{subject.name} has a label in its code, whose bits are not counted here.")
    rates, columns = {}, {}
    reach = _range(subject.codes(subject.train[0]))
    for bits in BITS:
        again = _from_rounded(subject, x, reach, bits)
        error = (grey(subject.dataset.test_x) - again).square().sum(1)
        columns[f"code of {bits} bits a number"] = {
            "bits per image": Number(_rate(subject, bits), None),
            "squared error": Number.of(error.cpu().double()),
        }
        rates[bits] = again
    rest = remainder(pixels, rates[LOSSLESS].cpu().numpy())
    code = _rate(subject, LOSSLESS)
    whole = {
        "code + rest, zlib of each": _plus(each_by_zlib(rest), code),
        "code + rest, zlib of all": Number(code + all_by_zlib(rest), None),
    }
    columns["without loss"] = whole | by_files(pixels, binary=False, side=side)
    notes = (
        f"without loss: the code at {LOSSLESS} bits a number, and what it leaves of the pixels",
    )
    return Found("bits per image of grey pixels", columns, notes)


BACK = "the rate that bits-back coding comes to over many images (Hinton & van Camp, 1993)"


def _rate(subject, bits):
    """Of a code: the numbers that may differ from 0, and which those are."""
    return subject.size * bits + math.log2(math.comb(subject.model.z_dim, subject.size))


def _from_rounded(subject, x, reach, bits):
    """Images redrawn from codes whose numbers are rounded within their reach, (N, D)."""
    low, high = reach
    with torch.no_grad():
        return torch.cat(
            [
                subject.model.likelihood(rounded(subject.codes(part), low, high, bits)).mean
                for part in x.split(CHUNK)
            ]
        )


def _range(codes):
    return codes.amin(0), codes.amax(0)


def rounded(z: torch.Tensor, low: torch.Tensor, high: torch.Tensor, bits: int) -> torch.Tensor:
    """To one of 2^bits values from low to high of each dimension, (N, Z); 0 stays 0."""
    step = (high - low).clamp(min=1e-12) / (2**bits - 1)
    found = low + ((z - low) / step).round().clamp(0, 2**bits - 1) * step
    return torch.where(z == 0, z, found)


def remainder(pixels: np.ndarray, again: np.ndarray) -> np.ndarray:
    """What has to be added to the redrawn pixels, modulo 256: uint8 (N, D)."""
    predicted = np.clip(np.round(again * 255), 0, 255).astype(np.int16)
    return ((pixels.astype(np.int16) - predicted) % 256).astype(np.uint8)


# Files


def packed(x: torch.Tensor) -> np.ndarray:
    """Binary images (N, D), eight pixels a byte: uint8 (N, ⌈D/8⌉)."""
    return np.packbits(x.cpu().numpy().astype(bool), axis=1)


def by_files(rows: np.ndarray, binary: bool, side: int = 28) -> Numbers:
    """{way: bits per image} without any model: as they lie, by zlib and PNG."""
    return {
        "as they lie": Number(8.0 * rows.shape[1], None),
        "zlib of each": each_by_zlib(rows),
        "PNG of each": Number.of([8.0 * len(_png(row, binary, side)) for row in rows]),
        "zlib of all": Number(all_by_zlib(rows), None),
        "PNG of all": Number(8.0 * len(_png(rows, binary, side)) / len(rows), None),
    }


def each_by_zlib(rows: np.ndarray) -> Number:
    """Of every image's own stream."""
    return Number.of([8.0 * len(zlib.compress(row.tobytes(), 9)) for row in rows])


def all_by_zlib(rows: np.ndarray) -> float:
    """Of one stream of all images."""
    return 8.0 * len(zlib.compress(rows.tobytes(), 9)) / len(rows)


def _png(rows, binary, side=28):
    """The file of one image, or of all of them below each other."""
    if binary:
        bits = np.unpackbits(np.atleast_2d(rows), axis=1)[:, : side * side]
        picture = Image.fromarray(bits.reshape(-1, side).astype(np.uint8) * 255).convert("1")
    else:
        picture = Image.fromarray(rows.reshape(-1, side))
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return file.getvalue()


def _plus(number, more):
    return Number(number.value + more, number.se)
