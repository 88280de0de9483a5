"""Products that keep the precision of their tensors, where the networks' are taken in less."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """A context in which a CUDA GPU may round the factors of float32 products and convolutions
    to TensorFloat-32, or may not. torch allows it to convolutions by default.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


@contextlib.contextmanager
def precise(like: torch.Tensor) -> Iterator[None]:
    """A context for the products of densities and distances, which cancel or are sorted.

    Their gradients are taken after it, and in TensorFloat-32 where the networks' are.

    Args:
        like: a tensor of theirs, for its device.
    """
    of_gpu = tf32(False) if like.device.type == "cuda" else contextlib.nullcontext()
    with torch.autocast(like.device.type, enabled=False), of_gpu:
        yield
