"""ONNX files give what PyTorch gives."""

import sys

import numpy as np
import onnxruntime
import pytest
import torch
from throwaway import FullVAE, GreyVAE

from codebase import starter
from codebase.errors import UserError
from codebase.explorer import export
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE
from codebase.runs.saved import SavedRun

MODELS = {
    "vae": lambda: VAE(z_dim=3, name="run"),
    "gmvae": lambda: GMVAE(z_dim=2, k=5, name="run"),
    "ssvae": lambda: SSVAE(name="run", z_dim=4),
    "full": lambda: FullVAE(name="run", z_dim=3),
    "grey": lambda: GreyVAE(name="run", z_dim=2),
}


def computed(path, **inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == list(inputs)
    names = [o.name for o in session.get_outputs()]
    found = session.run(None, {name: t.numpy() for name, t in inputs.items()})
    return dict(zip(names, found, strict=True))


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", MODELS)
@torch.no_grad()
def test_every_network_computes_the_same(here, kind):
    torch.manual_seed(0)
    model = MODELS[kind]()
    for p in model.parameters():
        p.mul_(3)  # as trained ones do, they tell images apart
    folder = here / "checkpoints" / "run"
    if kind in ("full", "grey"):  # no checkpoint says by itself that it is of these
        folder.mkdir(parents=True)
        export.write(SavedRun(folder, model, 1, "digits"))
    else:
        starter.save_model_by_name(model, 1)
        export.write_all(["run"])
    labelled = kind == "ssvae"
    written = {"encoder.onnx", "decoder.onnx"} | ({"classifier.onnx"} if labelled else set())
    assert {p.name for p in folder.glob("*.onnx*")} == written  # no weights in files of their own
    for n in (1, 7):
        x, z = torch.rand(n, 784), torch.randn(n, model.z_dim)
        y = {"y": torch.eye(10)[:n]} if labelled else {}
        q, decoded = model.posterior(x, *y.values()), model.dec(z, *y.values())
        names, values = ("logits", "probabilities"), (decoded, decoded.sigmoid())
        if kind == "grey":
            names, values = ("mean",), (decoded,)
        expected = {
            "encoder": ({"x": x, **y}, ("mean", "variance"), (q.mean, q.variance)),
            "decoder": ({"z": z, **y}, names, values),
        }
        if labelled:
            scores = model.cls(x), model.cls(x).softmax(1)
            expected["classifier"] = ({"x": x}, ("logits", "probabilities"), scores)
        for name, (inputs, outputs, values) in expected.items():
            found = computed(folder / f"{name}.onnx", **inputs)
            assert tuple(found) == outputs
            for output, value in zip(outputs, values, strict=True):
                np.testing.assert_allclose(found[output], value, rtol=1e-4, atol=1e-4)


def test_nets_that_were_not_trained_are_not_exported(here):
    starter.save_model_by_name(SSVAE(name="run", z_dim=2), 1)
    folder = here / "checkpoints" / "run"
    (folder / "flags.json").write_text('{"gw": 0}', encoding="utf-8")
    export.write_all([str(folder)])
    assert [p.name for p in folder.glob("*.onnx")] == ["classifier.onnx"]


class Wavering(VAE):
    """Its decoder goes another way for some inputs, which a graph cannot say."""

    def likelihood(self, z):
        return super().likelihood(-z if z.sum() > 0 else z)


def test_what_onnx_has_no_words_for_is_a_clear_sentence(here):
    with pytest.raises(UserError, match=r"^The decoder cannot be written as ONNX: \S"):
        export.write(SavedRun(here, Wavering(), 1, "digits"))


def test_without_the_packages_it_says_which(here, monkeypatch):
    starter.save_model_by_name(VAE(name="run"), 1)
    for name in [n for n in sys.modules if n.partition(".")[0] == "onnxscript"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match="pip install onnx onnxscript"):
        export.write_all(["run"])
