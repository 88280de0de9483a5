"""Code written for a GPU, on a machine without one: run as if the CPU were that GPU.

The starter code runs on either, and most submissions do. One that names a GPU outright computes
the same numbers on the CPU, so it is judged there; the feedback says so.
"""

import contextlib
import re
from types import SimpleNamespace

import torch
from torch.overrides import TorchFunctionMode

WORDS = (b"cuda", b"mps", b"xpu")  # a file without them names no GPU
DEVICE = re.compile(r"(cuda|mps|xpu)(:\d+)?")
TENSOR_TYPE = re.compile(r"torch\.(cuda|mps|xpu)\.(\w+Tensor)")


def blamed(error):
    """Whether a worker's description of an exception has to do with a GPU."""
    said = " ".join(str(error.get(part, "")) for part in ("message", "text")).lower()
    return any(word in said for word in ("cuda", "nvidia", "gpu", "mps", "xpu"))


def on_cpu(value):
    """A device, or the name of one or of its tensor type, with the CPU in a GPU's place."""
    if isinstance(value, torch.device):
        return torch.device("cpu") if DEVICE.match(value.type) else value
    if isinstance(value, str):
        if DEVICE.fullmatch(value):
            return "cpu"
        return TENSOR_TYPE.sub(r"torch.\2", value)
    return value


class CpuForGpu(TorchFunctionMode):
    """Makes every call of torch see the CPU where it is given a GPU."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in (torch.Tensor.cuda, torch.Tensor.pin_memory):
            return args[0]
        kwargs = {name: on_cpu(value) for name, value in (kwargs or {}).items()}
        return function(*map(on_cpu, args), **kwargs)


def _seeing_cpu(function):
    """A function of torch that is no tensor operation, given the CPU for a GPU."""

    def called(*args, **kwargs):
        kwargs = {name: on_cpu(value) for name, value in kwargs.items()}
        return function(*map(on_cpu, args), **kwargs)

    return called


@contextlib.contextmanager
def pretended():
    """Within it the CPU passes for a GPU, also to those who look for one."""
    changes = [
        (torch, name, _seeing_cpu(getattr(torch, name)))
        for name in ("set_default_device", "set_default_tensor_type", "Generator", "load")
    ]
    answers = {
        "is_available": True, "device_count": 1, "current_device": 0, "set_device": None,
        "get_device_name": "CPU", "synchronize": None, "empty_cache": None, "init": None,
        "manual_seed": None, "manual_seed_all": None, "is_bf16_supported": False,
        "get_device_capability": (7, 0), "mem_get_info": (1 << 33, 1 << 34),
        "get_device_properties": SimpleNamespace(
            name="CPU", major=7, minor=0, total_memory=1 << 34, multi_processor_count=1),
    }  # fmt: skip
    changes += [(torch.cuda, name, _answering(value)) for name, value in answers.items()]
    tensors = [name for name in vars(torch.cuda) if name.endswith("Tensor")]
    changes += [(torch.cuda, name, getattr(torch, name)) for name in tensors]
    changes += [(torch.backends.mps, "is_available", _answering(True))]
    with contextlib.ExitStack() as undo:
        for owner, name, value in changes:
            undo.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        undo.enter_context(CpuForGpu())
        yield


def _answering(value):
    return lambda *args, **kwargs: value
