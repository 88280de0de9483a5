"""What existing scripts, notebooks and checkpoints rely on."""

import inspect
import re
import subprocess
import sys

import pytest
import torch
from conftest import DATA, ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from codebase import utils as ut
from codebase.data import subsets
from codebase.data.batches import grey
from codebase.errors import UserError
from codebase.models import nns
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE
from codebase.train import train

SIGNATURES = {
    ut.sample_gaussian: "(m, v)",
    ut.log_normal: "(x, m, v)",
    ut.log_normal_mixture: "(z, m, v)",
    ut.gaussian_parameters: "(h, dim=-1)",
    ut.log_bernoulli_with_logits: "(x, logits)",
    ut.kl_cat: "(q, log_q, log_p)",
    ut.kl_normal: "(qm, qv, pm, pv)",
    ut.duplicate: "(x, rep)",
    ut.log_mean_exp: "(x, dim)",
    ut.log_sum_exp: "(x, dim=0)",
    ut.save_model_by_name: "(model, global_step)",
    ut.load_model_by_name: "(model, global_step, device=None)",
    ut.prepare_writer: "(model_name, overwrite_existing=False)",
    ut.log_summaries: "(writer, summaries, global_step)",
    ut.evaluate_lower_bound: "(model, labeled_test_subset, run_iwae=True)",
    ut.evaluate_classifier: "(model, test_set)",
    ut.reset_weights: "(m)",
}
STARTS = {
    ut.get_mnist_data: "(device, use_test_subset=True",
    train: "(model, train_loader, labeled_subset, device, tqdm, writer, iter_max=inf, "
    "iter_save=inf, model_name='model', y_status='none', reinitialize=False",
    VAE: "(nn='v1', name='vae', z_dim=2",
    GMVAE: "(nn='v1', z_dim=2, k=500, name='gmvae'",
    SSVAE: "(nn='v1', name='ssvae', gen_weight=1, class_weight=100",
    nns.v1.Encoder: "(z_dim, y_dim=0",
    nns.v1.Decoder: "(z_dim, y_dim=0",
    nns.v1.Classifier: "(y_dim",
}


def called_with(function):
    """A function's signature, without its hints."""
    found = inspect.signature(function)
    bare = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    return str(found.replace(parameters=bare, return_annotation=found.empty))


@pytest.mark.parametrize(("function", "signature"), SIGNATURES.items())
def test_signatures(function, signature):
    assert called_with(function) == signature


@pytest.mark.parametrize(("function", "start"), STARTS.items())
def test_signatures_begin_as_they_did(function, start):
    assert called_with(function).startswith(start)


def test_an_unknown_helper_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ut.nonsense  # noqa: B018


def test_a_star_import_brings_the_helpers_too():
    names = {}
    exec("from codebase.utils import *", names)
    assert {function.__name__ for function in SIGNATURES} <= names.keys()
    assert {"get_mnist_data", "torch", "F"} <= names.keys()


def test_importing_utils_stays_light():
    code = "import sys, codebase.utils; print('codebase.starter' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_evaluation_unpacks_into_its_terms(here):
    x = torch.zeros(3, 784)
    nelbo, kl, rec = found = ut.evaluate_lower_bound(VAE(), (x, None))
    assert nelbo == pytest.approx(kl + rec, abs=1e-4)
    assert found["rec"].value == rec
    assert {"nelbo", "kl", "rec", "iwae-1", "iwae-1000"} <= found.keys()
    terms = ut.evaluate_lower_bound(SSVAE(), (x, None), run_iwae=False)
    assert [n.value for n in terms.values()] == [*terms]
    assert len([*terms]) == 4


def test_later_versions_pass_more(mnist, monkeypatch):
    monkeypatch.chdir(DATA.parent)
    loader, *_ = ut.get_mnist_data("cpu", 100, use_test_subset=True)
    assert next(iter(loader))[0].shape == (100, 784)
    assert ut.get_mnist_data("cpu", 100, False)[1][0].unique().numel() > 2
    assert ut.get_mnist_data("cpu", True)[0].batch_size == 97
    test = torch.rand(3, 784), torch.arange(3)
    model = SSVAE()
    assert ut.evaluate_classifier(model, 1, test) == ut.evaluate_classifier(model, test)
    assert ut.evaluate_classifier(model, gw=0, test_set=test).value <= 1


def test_the_data_of_the_starter_code(mnist):
    loader, (xl, yl), (x_test, y_test) = ut.get_mnist_data("cpu", data_dir=DATA)
    x, y = next(iter(loader))
    assert x.shape == (97, 784)
    assert 0 <= x.min() < x.max() <= 1
    assert len(x.unique()) > 2
    assert not y.is_floating_point()
    assert len(loader) == 619
    assert xl.shape == (100, 784)
    assert set(xl.unique().tolist()) == {0, 1}
    assert torch.equal(yl.sum(0), torch.full((10,), 10.0))
    assert x_test.shape == (10_000, 784)
    assert x_test.max() == 1
    assert y_test.shape == (10_000,)
    _, (xl, _), _ = ut.get_mnist_data("cpu", use_test_subset=False, data_dir=DATA)
    assert (xl * 255).round().sum() == 2_684_050


def test_a_log_is_not_clobbered_unless_told_to(here):
    ut.prepare_writer("x").close()
    for expected in (UserError, FileExistsError):
        with pytest.raises(expected, match=r"^logs.x exists; pass"):
            ut.prepare_writer("x")
    ut.prepare_writer("x", overwrite_existing=True).close()


def test_a_short_log_is_not_empty(here):
    writer = ut.prepare_writer("x")
    ut.log_summaries(writer, {"a/b": torch.tensor(2.0)}, 7)
    writer.close()
    log = EventAccumulator("logs/x").Reload()
    assert [(e.step, e.value) for e in log.Scalars("a/b")] == [(7, 2.0)]


def test_reset_weights_draws_layers_anew():
    model = VAE(z_dim=2)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.apply(ut.reset_weights)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {k for k in before if ".net." in k}


@pytest.fixture
def beside_mnist(mnist, tmp_path):
    (tmp_path / "data").symlink_to(DATA.resolve())
    return tmp_path


@pytest.mark.few(1)
@pytest.mark.parametrize(("script", "flags"), [("run_vae.py", ()), ("run_gmvae.py", ("--k", 20))])
def test_starter_scripts_run_unchanged(script, flags, run, beside_mnist):
    flags = *flags, "--iter_max", 2
    trained = run(f"tests/starter/{script}", *flags, "--iter_save", 1)
    assert trained.returncode == 0, trained.stderr
    loaded = run(f"tests/starter/{script}", *flags, "--train", 0)
    assert loaded.returncode == 0, loaded.stderr
    bound = re.compile(r"^NELBO: (\S+)\. KL: (\S+)\. Rec: (\S+)$", re.MULTILINE)
    first, second = bound.search(trained.stdout), bound.search(loaded.stdout)
    assert first
    assert first.groups() == second.groups()
    assert "Negative IWAE-1000" in loaded.stdout
    name = script.removeprefix("run_").removesuffix(".py")
    (folder,) = (beside_mnist / "checkpoints").iterdir()
    assert folder.name.startswith(f"model={name}_z=10")
    assert {p.name for p in folder.iterdir()} == {"model-00001.pt", "model-00002.pt"}


def test_the_starter_ssvae_runs_unchanged(run, beside_mnist):
    done = run("tests/starter/run_ssvae.py", "--gw", 0, "--iter_max", 2)
    assert done.returncode == 0, done.stderr
    assert "Test set classification accuracy: 0." in done.stdout
    assert (beside_mnist / "checkpoints" / "model=ssvae_gw=000_cw=100_run=0000").is_dir()


@pytest.mark.slow
def test_the_same_numbers_through_either_door(run, beside_mnist):
    """The project's script evaluates the starter script's checkpoint to the same bound."""
    starter = run("tests/starter/run_vae.py", "--iter_max", 2)
    ours = run("run_vae.py", "--iter_max", 2, "--train", 0, "--dataset", "mnist")
    assert ours.returncode == 0, ours.stderr
    nelbo = float(re.search(r"NELBO: (\d+\.\d+)", starter.stdout)[1])
    assert f"{nelbo:.2f}" in re.search(r"nelbo +(\S+)", ours.stdout)[1]


@pytest.mark.parametrize("y", [None, "labels"])
def test_networks_are_called_as_they_were(y):
    y_dim = 10 if y else 0
    labels = (torch.eye(10)[:4],) if y else ()
    m, v = nns.v1.Encoder(3, y_dim)(torch.zeros(4, 784), *labels)
    assert m.shape == v.shape == (4, 3)
    assert (v > 0).all()
    assert nns.v1.Decoder(3, y_dim)(m, *labels).shape == (4, 784)
    assert nns.v1.Classifier(10)(torch.zeros(4, 784)).shape == (4, 10)


def test_joined_inputs_are_x_before_y_and_z_before_y():
    enc, dec = nns.v1.Encoder(3, 10), nns.v1.Decoder(3, 10)
    x, y = torch.rand(4, 784), torch.eye(10)[:4]
    h = enc.net(torch.cat([x, y], dim=1))
    m, v = ut.gaussian_parameters(h)
    for ours, joined in zip(enc(x, y), (m, v), strict=True):
        assert torch.allclose(ours, joined, atol=1e-6)
    logits = dec.net(torch.cat([m, y], dim=1))
    assert torch.allclose(dec(m, y), logits, atol=1e-6)


def test_the_labelled_subset_is_the_one_ssvae_trains_on(mnist):
    xl, yl = subsets.labelled(mnist)
    _, (x, one_hot), _ = ut.get_mnist_data("cpu", use_test_subset=False, data_dir=DATA)
    assert torch.equal(grey(xl), x)
    assert torch.equal(yl, one_hot)
