"""One constructor and one loop: the scripts and the contract's train() leave the same bits."""

import os
import runpy
import sys
import traceback
from functools import partial

import pins
import pytest
import torch
from conftest import ROOT
from tqdm import tqdm

from codebase.command import main
from codebase.data import subsets
from codebase.data.batches import Batches, seeded_generator
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE
from codebase.train import train

FLAGS = ["--dataset", "digits", "--threads", "1", "--precision", "fp32", "--iter_max", "3"]
MODELS = {
    "vae": lambda: VAE(z_dim=10, name="contract"),
    "gmvae": lambda: GMVAE(z_dim=10, k=500, name="contract"),
    "ssvae": lambda: SSVAE(name="contract", prune=True),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("name", MODELS)
def test_a_script_and_the_contract_s_train_leave_the_same_weights(name, here, digits):
    main(name, words=FLAGS)
    torch.manual_seed(0)
    model = MODELS[name]()
    labelled = subsets.labelled(digits) if name == "ssvae" else None
    loader = Batches(digits.train_x, digits.train_y, 97, seeded_generator(0))
    bar, y_status = partial(tqdm, disable=True), "semisup" if name == "ssvae" else "none"
    train(model, loader, labelled, "cpu", bar, None, 3, y_status=y_status)
    found = {"script": {}, "contract": {}}
    for key, value in pins.leavings(here).items():
        path, _, tensor = key.partition("/model-00003.pt ")
        if tensor:
            found["contract" if path == "contract" else "script"][tensor] = value
    assert len(found["script"]) > 10
    assert found["script"] == found["contract"]


def test_from_the_script_to_the_gradient_there_are_six_frames_of_ours(here, monkeypatch):
    frames, backward = [], torch.Tensor.backward
    rooms = f"{ROOT / 'codebase'}{os.sep}", str(ROOT / "run_vae.py")

    def noted(self, *args, **kwargs):
        names = [frame.filename for frame in traceback.extract_stack()]
        frames.append(sum(name.startswith(rooms) for name in names))
        return backward(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "backward", noted)
    monkeypatch.setattr(sys, "argv", ["run_vae.py", *FLAGS, "--graph", "0"])
    runpy.run_path(str(ROOT / "run_vae.py"), run_name="__main__")
    assert frames == [6, 6, 6]
