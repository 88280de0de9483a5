"""The precision of the networks' matrix products; weights, Adam, densities and sums are float32."""

import contextlib
from functools import cache
from pathlib import Path

import torch

from codebase.errors import UserError
from codebase.models.precise import tf32

NATIVE = {"avx512_bf16", "amx_bf16"}  # flags of a processor that multiplies bfloat16 itself


def resolve(name: str, device: torch.device) -> str:
    """ "fp32", "tf32" or "bf16" for a name of `--precision`.

    "auto" is bf16 where the device multiplies it natively, else fp32. On other processors bf16
    works too, but is emulated and slower than fp32.

    Raises:
        UserError: tf32, and the device is no CUDA GPU.
    """
    if name == "tf32" and device.type != "cuda":
        raise UserError(f"--precision tf32 is of CUDA GPUs, and this run is on {device}; try auto.")
    if name != "auto":
        return name
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device.type == "cpu" and bool(NATIVE & _processor_flags())
    return "bf16" if native else "fp32"


def _processor_flags() -> set[str]:
    """What Linux says the processor can do; nothing on another system."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("flags"):
                return set(line.split())
    return set()


def products(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """A context in which matrix products and convolutions of float32 are taken in that precision.

    The gradient of what is computed in it is taken in `gradients`.
    """
    if precision == "bf16":
        return torch.autocast(
            device.type, torch.bfloat16, cache_enabled=_cache_minds_gradients(device.type)
        )
    return gradients(precision, device)


def gradients(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """A context for the gradient of what was computed in `products`.

    autograd keeps to bf16 by itself; TensorFloat-32 is a setting of all that is computed meanwhile.
    """
    if device.type == "cuda":
        return tf32(precision == "tf32")
    return contextlib.nullcontext()


@cache
def _cache_minds_gradients(kind):
    """Whether a weight that was first multiplied without gradients has them in a later product.

    Older versions of torch (2.6) hand the later one the bf16 copy that the first has made, which
    knows of no gradient.
    """
    one = torch.ones(1, 1, device=kind)
    weight = one.clone().requires_grad_()
    with torch.enable_grad(), torch.autocast(kind, torch.bfloat16):
        with torch.no_grad():
            one @ weight
        return (one @ weight).requires_grad
