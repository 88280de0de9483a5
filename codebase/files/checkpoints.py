"""Files of tensors: written whole or not at all, and read without trusting them."""

import copy
import io
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from codebase.errors import UserError
from codebase.files import disk
from codebase.files.kinds import kind_of
from codebase.files.weights import weights_of

ROOT = Path("checkpoints")
REMARKS = "Detected pickle protocol", "'torch.load' received a zip file"  # torch's


def save(path: Path, content: Any) -> None:
    """Writes tensors, numbers, strings, lists and dicts to path, atomically."""
    buffer = io.BytesIO()  # torch may turn a failed write into an error that says nothing of it
    torch.save(_own(content), buffer)
    # The view is let go of whatever comes, or Python 3.13 complains beside the error.
    with disk.atomic(path) as file, buffer.getbuffer() as view:
        file.write(view)


def _own(content):
    """The content with tensors of their own for views, whose whole storage torch would save."""
    if isinstance(content, dict):
        same = copy.copy(content)  # a state_dict is more than a dict
        same.update((key, _own(value)) for key, value in content.items())
        return same
    if isinstance(content, list):
        return [_own(value) for value in content]
    if isinstance(content, torch.Tensor) and content.untyped_storage().nbytes() > content.nbytes:
        return content.clone()
    return content


def load(path: str | Path, device: torch.device | str | None = None) -> Any:
    """Reads what `save` wrote, onto the CPU by default; runs no code that the file may carry.

    Raises:
        UserError: the file is missing, cut short, changed since it was written, or no plain
            checkpoint.
    """
    path = Path(path)
    try:
        _check_sums(path)
        with warnings.catch_warnings():
            for remark in REMARKS:  # on formats that are refused, with the reason
                warnings.filterwarnings("ignore", remark)
            return torch.load(path, map_location=device or "cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"There is no checkpoint {path}.{others(path)}") from None
    except Exception as error:  # what a broken pickle raises is no one's contract
        reason = _reason(error, path)
        raise UserError(f"{path} is not loaded: {reason}.{others(path)}") from error


def _reason(error, path):
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be read ({error.strerror})"
    if kind := kind_of(path):
        return f"it is {kind}"
    if isinstance(error, LookupError):  # whose words are a number in the file
        return "it is damaged or no checkpoint"
    if isinstance(error, pickle.UnpicklingError):  # torch's own words fill a page
        if "nsupported" in str(error):
            what = re.search(r"GLOBAL ([\w.]+)", str(error))
            more = f" ({what[1]})" if what else ""
            return f"it holds more than plain tensors{more} and might run code"
        return "it is damaged or no checkpoint"
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return f"it is damaged or no checkpoint ({first.rstrip('. ')})"


def _check_sums(path):
    """Raises ValueError if a part of a zip file does not have its checksum; torch does not look."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as parts:
            damaged = parts.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of its part {damaged} is wrong")


def others(path: Path) -> str:
    """Names the checkpoints beside that one, and the flag that takes one; "" if there is none."""
    names = sorted(p.name for p in path.parent.glob("model-*.pt") if p.name != path.name)
    if not names:
        return ""
    return f" That folder also holds {', '.join(names)} (--train 0 --iter_max N evaluates one)."


def load_weights(
    model: nn.Module, path: str | Path, device: torch.device | str | None = None
) -> None:
    """Loads a state_dict from path into the model; every key and shape must match.

    Out of the usual wrappers and without the usual prefixes (see `weights_of`).

    Raises:
        UserError: as `load`, and when keys are missing, unknown or misshapen, or a value is
            not finite. The model is then as before.
    """
    path = Path(path)
    found = weights_of(load(path, device), path, model.state_dict().keys())
    fill(model, found, path, others(path))


def fill(model: nn.Module, found: Any, path: Path, advice: str = "") -> None:
    """Loads a state_dict that was found in path, once all of it fits.

    Raises:
        UserError: as `load_weights`; it ends with the advice.
    """
    if not isinstance(found, dict) or not all(isinstance(v, torch.Tensor) for v in found.values()):
        raise UserError(f"{path} holds no state_dict, a dict from names to tensors.{advice}")
    expected = model.state_dict()
    faults = [f"{key} is missing" for key in expected if key not in found]
    for key, value in found.items():
        if key not in expected:
            faults.append(f"{key} is unknown to {type(model).__name__}")
        elif fault := misfit(value, expected[key]):
            faults.append(f"{key} {fault}")
    if faults:
        raise UserError(f"{path} does not fit this model: {'; '.join(faults)}.{advice}")
    model.load_state_dict(dict(found))


def misfit(found: torch.Tensor, expected: torch.Tensor) -> str | None:
    """What keeps one tensor from taking another's place, in words; None if nothing does."""
    if found.layout != torch.strided or found.is_nested or found.is_meta:
        return "is no plain tensor"
    if found.shape != expected.shape:
        return f"has shape {tuple(found.shape)}, expected {tuple(expected.shape)}"
    if not found.is_floating_point():
        return f"holds {found.dtype}, not real numbers"
    if not torch.isfinite(found.to(expected.dtype)).all():
        return "holds values that are not finite"
    return None


def model_path(name: str, global_step: int) -> Path:
    """checkpoints/‹name›/model-‹step:05d›.pt"""
    return ROOT / name / f"model-{global_step:05d}.pt"
