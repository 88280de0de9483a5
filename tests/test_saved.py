"""Trained runs opened again."""

import json

import pytest
import torch

from codebase import starter
from codebase.errors import UserError
from codebase.files import checkpoints
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE
from codebase.runs.saved import open_run

MODELS = {
    "VAE": lambda: VAE(z_dim=3, name="run"),
    "GMVAE": lambda: GMVAE(z_dim=4, k=7, name="run"),
    "SSVAE": lambda: SSVAE(name="run", z_dim=5, y_dim=6),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("run", ["run", "checkpoints/run"])
def test_the_checkpoint_says_what_model_it_is(here, kind, run):
    """Name or folder; nothing but the checkpoint lies there, as other scripts leave it."""
    model = MODELS[kind]()
    starter.save_model_by_name(model, 7)
    opened = open_run(run)
    assert type(opened.model) is type(model)
    assert opened.model.state_dict().keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(opened.model.state_dict()[key], value)
    assert (opened.step, opened.data, opened.model.name) == (7, "mnist", "run")


def test_the_last_checkpoint_unless_another_is_asked_for(here):
    model = VAE(name="run")
    for step in (99_999, 100_000):  # the names do not sort as the numbers do
        model.dec.net[4].bias.data.fill_(step)
        starter.save_model_by_name(model, step)
    assert open_run("run").model.dec.net[4].bias[0] == 100_000
    assert open_run("run", 99_999).model.dec.net[4].bias[0] == 99_999
    with pytest.raises(UserError, match="no checkpoint of step 5; it has those of 99999, 100000"):
        open_run("run", 5)


def test_flags_tell_the_data_and_an_untrained_decoder(here):
    starter.save_model_by_name(SSVAE(name="run"), 1)
    flags = here / "checkpoints" / "run" / "flags.json"
    flags.write_text(json.dumps({"gw": 0.0, "data": "digits"}), encoding="utf-8")
    opened = open_run("run")
    assert (opened.data, opened.model.gen_weight) == ("digits", 0)
    flags.write_text('{"data": "cats"}', encoding="utf-8")
    with pytest.raises(UserError, match=r"flags\.json names the data 'cats', expected one of"):
        open_run("run")
    flags.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"flags\.json is damaged"):
        open_run("run")


def test_what_is_no_run_is_said_in_a_sentence(here):
    with pytest.raises(UserError, match=r"no run 'nowhere', neither .* train one first"):
        open_run("nowhere")
    starter.save_model_by_name(VAE(name="run"), 1)
    with pytest.raises(UserError, match=r"no run 'nowhere', neither .* checkpoints holds run\."):
        open_run("nowhere")
    (here / "checkpoints" / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no checkpoint .* as yet"):
        open_run("empty")


@pytest.mark.parametrize(
    "content",
    [
        [torch.zeros(3)],
        {"weight": torch.zeros(3)},
        {"enc.net.4.bias": torch.zeros(0)},
        {"enc.net.4.bias": 4},
        {"enc.net.4.bias": torch.zeros(4), "z_pre": torch.zeros(3)},
    ],
)
def test_what_is_no_model_of_ours_is_refused(here, content):
    (here / "run").mkdir()
    checkpoints.save(here / "run" / "model-00001.pt", content)
    with pytest.raises(UserError, match="holds no model of this project"):
        open_run("run")


def test_a_misshapen_model_is_refused(here):
    state = VAE(name="run").state_dict()
    state["dec.net.0.weight"] = torch.zeros(300, 9)
    (here / "run").mkdir()
    checkpoints.save(here / "run" / "model-00001.pt", state)
    with pytest.raises(UserError, match=r"dec\.net\.0\.weight has shape \(300, 9\)"):
        open_run("run")
