"""Arrays over a pipe: eight bytes of length, a JSON header, then the arrays' bytes.

Nothing read is ever executed or unpickled, and a reader says how much it is willing to take.
"""

import json
import math

import numpy as np

DTYPES = ("float32", "float64", "int64", "uint8", "bool")
MAX_HEADER = 1 << 20


class BadMessage(Exception):
    """What came is not a message, or is larger than agreed."""


def send(stream, info, arrays=None):
    """Write one message: info, a JSON object, and arrays, {name: array of one of DTYPES}."""
    arrays = {name: np.asarray(array, order="C") for name, array in (arrays or {}).items()}
    shapes = [[name, array.dtype.name, array.shape] for name, array in arrays.items()]
    header = json.dumps([info, shapes]).encode()
    stream.write(len(header).to_bytes(8, "little"))
    stream.write(header)
    for array in arrays.values():
        stream.write(array.tobytes())
    stream.flush()


def receive(stream, limit):
    """Read one message of at most `limit` bytes of arrays.

    Returns:
        info and {name: array}.
    Raises:
        EOFError: the other end is closed.
        BadMessage: what came is no message.
    """
    size = int.from_bytes(_exactly(stream, 8), "little")
    if size > MAX_HEADER:
        raise BadMessage(f"a header of {size} bytes")
    try:
        info, shapes = json.loads(_exactly(stream, size))
        if not isinstance(info, dict):
            raise BadMessage("the header holds no object")
        sizes = [_size(*entry) for entry in shapes]
        if sum(sizes) > limit:
            raise BadMessage(f"{sum(sizes)} bytes, more than {limit}")
        arrays = {}
        for (name, dtype, shape), size in zip(shapes, sizes, strict=True):
            flat = np.frombuffer(_exactly(stream, size), dtype)
            arrays[str(name)] = flat.reshape(shape)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadMessage(str(error)) from error
    return info, arrays


def _size(name, dtype, shape):
    """Bytes of one announced array."""
    if dtype not in DTYPES or any(type(n) is not int or n < 0 for n in shape):
        raise BadMessage(f"an array of {dtype} {shape}")
    return math.prod(shape) * np.dtype(dtype).itemsize


def _exactly(stream, size):
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the other end closed the pipe")
    return data
