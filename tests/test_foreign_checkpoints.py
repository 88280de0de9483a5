"""Checkpoints as other programs leave them: loaded where it is clear, named otherwise."""

import argparse
import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from codebase.errors import UserError
from codebase.files import checkpoints
from codebase.files.kinds import kind_of
from codebase.models.gmvae import GMVAE
from codebase.models.vae import VAE
from codebase.runs.saved import open_run


@pytest.fixture
def path(here):
    """Where the run's only checkpoint is to lie."""
    folder = here / "checkpoints" / "run"
    folder.mkdir(parents=True)
    return folder / "model-00007.pt"


STATE = VAE(z_dim=3).state_dict()


def packed(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def safetensors(state):
    """Its layout: the length of a JSON header, the header, the numbers."""
    header, data = {}, b""
    for name, t in state.items():
        part = t.numpy().tobytes()
        places = [len(data), len(data) + len(part)]
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": places}
        data += part
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def archive(kind, name="weights.pt"):
    file, content = io.BytesIO(), packed(STATE)
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as opened:
            opened.writestr(name, content)
    else:
        with tarfile.open(fileobj=file, mode="w") as opened:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return file.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 2634411\n"
OTHERS = {
    "lfs": (POINTER, "a Git LFS pointer"),
    "html": (b"\n<!DOCTYPE html><html><head><title>Sign in</title>", "a web page"),
    "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a web page"),
    "gzip": (gzip.compress(packed(STATE)), "packed by gzip"),
    "safetensors": (safetensors(STATE), "a safetensors file"),
    "pickle 4": (pickle.dumps(STATE, protocol=4), "a pickle of protocol 4"),
    "pickle 2": (pickle.dumps(STATE, protocol=2), "a pickle of protocol 2"),
    "pickle 0": (pickle.dumps(STATE, protocol=0), "a pickle, not"),
    "torch 4": (packed(STATE, pickle_protocol=4), "a file of torch.save with pickle_protocol=4"),
    "old torch 4": (
        packed(STATE, pickle_protocol=4, _use_new_zipfile_serialization=False),
        "a file of torch.save with pickle_protocol=4",
    ),
    "zip": (archive("zip"), "a zip archive of something else"),
    "tar": (archive("tar"), "a tar archive"),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "numpy": (b"\x93NUMPY\x01\x00v\x00", "a NumPy array"),
    "json": (b'{"a": {"b": [1, 2]}}', "a JSON text"),
    "empty": (b"", "empty, so it is damaged"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_checkpoint_is_named(kind, path):
    content, words = OTHERS[kind]
    path.write_bytes(content)
    for read in (lambda: checkpoints.load_weights(VAE(z_dim=3), path), lambda: open_run("run")):
        with pytest.raises(UserError) as caught:
            read()
        assert f"{path.name} is not loaded: it is {words}" in str(caught.value)
        assert "might run code" not in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_torch_s_own_files_are_none_of_these(path, options):
    path.write_bytes(packed(STATE, **options))
    assert kind_of(path) is None
    checkpoints.load_weights(VAE(z_dim=3), path)
    path.write_bytes(packed(STATE, **options)[:5000])
    assert kind_of(path) is None


def test_what_is_not_allowed_in_a_checkpoint_is_named(path):
    torch.save({"state_dict": STATE, "args": argparse.Namespace(z=3)}, path)
    with pytest.raises(UserError, match=r"plain tensors \(argparse\.Namespace\) and might run"):
        open_run("run")


def prefixed(prefix, state=STATE):
    return {prefix + name: value for name, value in state.items()}


HABITS = {
    "wrapped": {"epoch": 3, "state_dict": STATE},
    "PyTorch's tutorial": {
        "epoch": 3,
        "model_state_dict": STATE,
        "optimizer_state_dict": {"state": {}, "param_groups": []},
        "loss": torch.tensor(99.0),
    },
    "DataParallel": prefixed("module."),
    "compiled": prefixed("_orig_mod."),
    "both": prefixed("module._orig_mod."),
    "Lightning": {"state_dict": prefixed("model."), "global_step": 7},
    "wrapped and parallel": {"state_dict": prefixed("module."), "best_acc1": 0.5},
    "a compiled encoder": {n.replace("enc.", "enc._orig_mod."): v for n, v in STATE.items()},
}


@pytest.mark.parametrize("habit", HABITS)
def test_weights_are_loaded_where_it_is_clear_which(habit, path, capsys):
    torch.save(HABITS[habit], path)
    model = VAE(z_dim=3)
    checkpoints.load_weights(model, path)
    opened = open_run("run").model
    assert f"{path} holds its weights" in capsys.readouterr().out
    for name, value in STATE.items():
        assert torch.equal(model.state_dict()[name], value)
        assert torch.equal(opened.state_dict()[name], value)


def test_several_state_dicts_are_not_chosen_between(path):
    torch.save({"state_dict": STATE, "model_state_dict": STATE}, path)
    with pytest.raises(UserError, match=r"several state_dicts .state_dict, model_state_dict"):
        open_run("run")


def test_names_that_the_model_has_stay_as_they_are(here, capsys):
    """A DataParallel's own checkpoint fits a DataParallel."""
    model = torch.nn.DataParallel(torch.nn.Linear(2, 2))
    checkpoints.save("x.pt", model.state_dict())
    checkpoints.load_weights(model, "x.pt")
    assert not capsys.readouterr().out


def test_wrong_weights_in_a_wrapper_are_still_refused(path):
    torch.save({"state_dict": prefixed("module.", GMVAE(z_dim=3, k=5).state_dict())}, path)
    with pytest.raises(UserError, match="z_pre is unknown to VAE"):
        checkpoints.load_weights(VAE(z_dim=3), path)
    torch.save({"state_dict": STATE | {"enc.net.0.bias": torch.full((300,), np.nan)}}, path)
    with pytest.raises(UserError, match=r"enc\.net\.0\.bias holds values that are not finite"):
        open_run("run")
