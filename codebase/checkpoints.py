"""Files of tensors that are written whole or not at all, and read without trusting them."""

import contextlib
import io
import os
import pickle
import tempfile
import zipfile
from pathlib import Path

import torch

from codebase.errors import UserError

ROOT = Path("checkpoints")


@contextlib.contextmanager
def atomic(path):
    """Gives a binary file to write to; `path` holds its content once the block ends, or stays.

    Raises:
        UserError: the file cannot be written; what was at `path` is as before.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = tempfile.NamedTemporaryFile(  # noqa: SIM115 — closed before it is renamed
            dir=path.parent, prefix=f".{path.name}-", delete=False
        )
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(file.name, 0o666 & ~_umask())
            os.replace(file.name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file.name)
            raise
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}. What was saved before is intact."
        ) from error


def _umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


def save(path, content):
    """Writes tensors, numbers, strings, lists and dicts to path, atomically."""
    buffer = io.BytesIO()  # written by torch itself, a full disk would be an error of its zip code
    torch.save(content, buffer)
    with atomic(path) as file:
        file.write(buffer.getbuffer())


def load(path, device=None):
    """Reads what `save` wrote, onto the CPU by default; runs no code that the file may carry.

    Raises:
        UserError: the file is missing, cut short, or no plain checkpoint.
    """
    try:
        return torch.load(path, map_location=device or "cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"There is no checkpoint {path}.{_alternatives(Path(path))}") from None
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is not a plain checkpoint of tensors and is not loaded: it may run code."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} is damaged or no checkpoint: {reason}.{_alternatives(Path(path))}"
        ) from error


def _alternatives(path):
    others = sorted(p.name for p in path.parent.glob("model-*.pt") if p.name != path.name)
    return f" That folder also holds {', '.join(others)}." if others else ""


def load_weights(model, path, device=None):
    """Loads a state_dict from path into the model; every key and shape must match.

    Raises:
        UserError: as `load`, and when keys are missing, unknown or misshapen, or a value is
            not finite. The model is then as before.
    """
    found = load(path, device)
    if not isinstance(found, dict) or not all(isinstance(v, torch.Tensor) for v in found.values()):
        raise UserError(f"{path} is not a state_dict, a dict from names to tensors.")
    expected = model.state_dict()
    faults = [f"{key} is missing" for key in expected if key not in found]
    faults += [
        f"{key} is unknown to {type(model).__name__}" for key in found if key not in expected
    ]
    for key, value in found.items():
        if key not in expected:
            continue
        if value.shape != expected[key].shape:
            shapes = f"{tuple(value.shape)}, expected {tuple(expected[key].shape)}"
            faults.append(f"{key} has shape {shapes}")
        elif not torch.isfinite(value).all():
            faults.append(f"{key} holds values that are not finite")
    if faults:
        raise UserError(f"{path} does not fit this model: {'; '.join(faults)}.")
    model.load_state_dict(found)


def model_path(name, global_step):
    """checkpoints/‹name›/model-‹step:05d›.pt"""
    return ROOT / name / f"model-{global_step:05d}.pt"


def save_model_by_name(model, global_step):
    """Writes model.state_dict() to checkpoints/‹model.name›/model-‹step:05d›.pt."""
    path = model_path(model.name, global_step)
    save(path, model.state_dict())
    return path


def load_model_by_name(model, global_step, device=None):
    """Loads checkpoints/‹model.name›/model-‹step:05d›.pt, strictly (see `load_weights`)."""
    path = model_path(model.name, global_step)
    load_weights(model, path, device)
    print(f"Loaded from {path}")
