"""Files: whole or not at all, and never trusted."""

import os
import pickle
import stat

import pytest
import torch

from codebase import starter
from codebase.engine import randomness
from codebase.errors import UserError
from codebase.files import checkpoints, disk
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE

MODELS = {
    "vae": lambda: VAE(z_dim=3),
    "gmvae": lambda: GMVAE(z_dim=3, k=5),
    "ssvae": lambda: SSVAE(),
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_loaded_model_has_the_same_bound(kind, here):
    saved, loaded = MODELS[kind](), MODELS[kind]()
    starter.save_model_by_name(saved, 42)
    assert (here / "checkpoints" / kind / "model-00042.pt").exists()
    starter.load_model_by_name(loaded, 42, device="cpu")
    x = torch.bernoulli(torch.full((5, 784), 0.5))
    bounds = []
    for model in (saved, loaded):
        with randomness.seeded():
            bounds.append(torch.stack(model.negative_elbo_bound(x)))
    assert torch.equal(*bounds)


def spoil(key, value):
    def change(state):
        if value is None:
            del state[key]
        else:
            state[key] = value
        return state

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (spoil("dec.net.4.bias", None), "dec.net.4.bias is missing"),
        (spoil("cls.net.0.bias", torch.zeros(3)), "cls.net.0.bias is unknown to VAE"),
        (spoil("enc.net.0.bias", torch.zeros(1, 300)), r"enc.net.0.bias has shape \(1, 300\)"),
        (spoil("enc.net.0.bias", torch.full((300,), torch.nan)), "enc.net.0.bias .* not finite"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_and_nothing_is_loaded(here, change, complaint):
    model = VAE(z_dim=3)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    checkpoints.save("x.pt", change(VAE(z_dim=3).state_dict()))
    with pytest.raises(UserError, match=complaint):
        checkpoints.load_weights(model, "x.pt")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_every_fault_is_named_at_once(here):
    checkpoints.save("x.pt", GMVAE(z_dim=3, k=5).state_dict())
    with pytest.raises(UserError) as caught:
        checkpoints.load_weights(VAE(z_dim=3), "x.pt")
    for key in (
        "z_prior_m is missing",
        "z_prior_v is missing",
        "z_pre is unknown",
        "pi is unknown",
    ):
        assert key in str(caught.value)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_a_checkpoint_does_not_run(here):
    trap = here / "sprung"
    torch.save({"enc.net.0.bias": Trap(trap)}, "x.pt")
    with pytest.raises(UserError, match="not loaded"):
        checkpoints.load_weights(VAE(z_dim=3), "x.pt")
    assert not trap.exists()
    pickle.loads(pickle.dumps(Trap(trap))).close()  # the trap works where it is trusted
    assert trap.exists()


@pytest.mark.parametrize("keep", [0, 1, 100, 5000, -1])
def test_a_file_cut_short_is_refused(here, keep):
    checkpoints.save("x.pt", VAE(z_dim=3).state_dict())
    content = (here / "x.pt").read_bytes()
    (here / "x.pt").write_bytes(content[:keep])
    with pytest.raises(UserError, match=r"x\.pt"):
        checkpoints.load_weights(VAE(z_dim=3), "x.pt")


@pytest.mark.parametrize("content", [{}, [1], 3, {"enc": 1}, torch.zeros(2)])
def test_other_content_is_refused(here, content):
    checkpoints.save("x.pt", content)
    with pytest.raises(UserError, match=r"x\.pt"):
        checkpoints.load_weights(VAE(z_dim=3), "x.pt")


def test_a_missing_checkpoint_names_those_that_are_there(here):
    model = VAE(z_dim=3)
    starter.save_model_by_name(model, 10)
    with pytest.raises(UserError, match=r"no checkpoint .*model-00020\.pt.*holds model-00010\.pt"):
        starter.load_model_by_name(model, 20)


def test_a_failed_write_leaves_the_old_file_and_no_other(here):
    path = here / "x.pt"
    checkpoints.save(path, {"a": 1})

    def fail_halfway():
        with disk.atomic(path) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert checkpoints.load(path) == {"a": 1}
    assert [p.name for p in here.iterdir()] == ["x.pt"]


def test_a_place_that_cannot_be_written_is_named(here):
    (here / "file").write_text("")
    with pytest.raises(UserError, match=r"file.x\.pt cannot be written"):
        checkpoints.save(here / "file" / "x.pt", {})


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_have_ordinary_permissions(here):
    checkpoints.save("x.pt", {})
    (here / "y").write_text("")
    assert stat.S_IMODE((here / "x.pt").stat().st_mode) == stat.S_IMODE((here / "y").stat().st_mode)
