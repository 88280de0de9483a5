"""The precision of the products: what runs in it, what does not, and who decides."""

import contextlib
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from codebase.engine import precision, step
from codebase.engine.precision import gradients, products, resolve
from codebase.engine.step import Step
from codebase.errors import UserError
from codebase.models.gmvae import GMVAE
from codebase.models.precise import precise
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE

CPU = torch.device("cpu")
MODELS = {"vae": VAE, "gmvae": lambda: GMVAE(z_dim=3, k=5), "ssvae": SSVAE}
PRODUCTS = {"mm", "addmm", "bmm"}
DENSITIES = {"softplus", "sqrt", "log", "log_sigmoid_forward", "_log_softmax", "sum", "randn_like"}


def binary(*shape):
    return torch.bernoulli(torch.full(shape, 0.3))


@pytest.fixture(params=MODELS)
def case(request):
    torch.manual_seed(0)
    model = MODELS[request.param]()
    batch = (binary(40, 784),)
    if request.param == "ssvae":
        batch += binary(10, 784), torch.eye(10)
    return model, batch


class Types(TorchDispatchMode):
    """Notes the types that the operations of a name hand back."""

    def __init__(self):
        super().__init__()
        self.of = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        first = out[0] if isinstance(out, tuple | list) else out
        self.of.setdefault(func.overloadpacket.__name__, set()).add(first.dtype)
        return out


def test_bf16_takes_the_products_in_bf16_and_the_densities_in_float32(case):
    model, batch = case
    with Types() as types, products("bf16", CPU):
        model.loss(*batch)
    used = {t for name in PRODUCTS for t in types.of.get(name, ())}
    densities = {t for name in DENSITIES for t in types.of.get(name, ())}
    assert used == {torch.bfloat16}
    assert densities == {torch.float32}


def test_a_weight_that_was_used_without_gradients_has_them_afterwards():
    """In torch 2.6 the copy in bf16 that the first product leaves has none."""
    w, x = torch.ones(2, 3, requires_grad=True), torch.ones(4, 2)
    with products("bf16", CPU):
        with torch.no_grad():
            x @ w
        (x @ w).sum().backward()
    assert torch.equal(w.grad, torch.full((2, 3), 4.0))


def test_bf16_changes_the_loss_by_its_rounding_only(case):
    model, batch = case
    found = {}
    for name in ("fp32", "bf16"):
        torch.manual_seed(1)
        with products(name, CPU):
            found[name] = {tag: t.item() for tag, t in model.loss(*batch)[1].items()}
    assert found["bf16"] != found["fp32"]  # in some part: those of a sum may make up for each other
    # bfloat16 keeps 8 bits; thousands of logits, rounded independently, average out.
    loss = found["fp32"]["train/loss"]
    assert found["bf16"]["train/loss"] == pytest.approx(loss, rel=2**-9)


MATMUL, CUDNN = torch.backends.cuda.matmul, torch.backends.cudnn


def flags():
    return MATMUL.allow_tf32, CUDNN.allow_tf32


@pytest.fixture(params=[(False, True), (True, False)])
def flags_before(request):
    """Settings of CUDA GPUs, which torch has without one too."""
    own = flags()
    MATMUL.allow_tf32, CUDNN.allow_tf32 = request.param
    yield request.param
    MATMUL.allow_tf32, CUDNN.allow_tf32 = own


@pytest.mark.parametrize("name", ["fp32", "tf32"])
@pytest.mark.parametrize("context", [products, gradients])
def test_tf32_is_for_the_products_of_a_training_alone(name, context, flags_before):
    gpu = torch.device("cuda")
    with contextlib.suppress(RuntimeError), context(name, gpu):
        assert flags() == (name == "tf32",) * 2
        with precise(SimpleNamespace(device=gpu)):
            assert flags() == (False, False)
        assert flags() == (name == "tf32",) * 2
        raise RuntimeError("as training may")
    assert flags() == flags_before
    with context(name, CPU):
        assert flags() == flags_before


def test_the_gradient_is_taken_as_the_products_are(case, monkeypatch):
    model, batch = case
    asked = []

    @contextlib.contextmanager
    def noted(precision, device):
        asked.append((precision, device))
        assert not any(p.grad is not None for p in model.parameters())
        yield
        assert any(p.grad is not None for p in model.parameters())

    monkeypatch.setattr(step, "gradients", noted)
    Step(model, None, precision="tf32").update(batch)
    assert asked == [("tf32", CPU)]


def test_weights_gradients_and_moments_stay_float32(case):
    model, batch = case
    training = Step(model, None, precision="bf16")
    summaries = training.update(batch)
    trained = [p for p in model.parameters() if p.requires_grad]
    moments = [m for state in training.optimizers["model"].state.values() for m in state.values()]
    assert {t.dtype for t in [*trained, *moments, *summaries.values()]} == {torch.float32}
    assert {p.grad.dtype for p in trained if p.grad is not None} == {torch.float32}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx512f avx512_bf16", "bf16"), ("fpu amx_bf16", "bf16"), ("fpu avx512f", "fp32")],
)
def test_auto_asks_the_processor(monkeypatch, flags, expected):
    monkeypatch.setattr(precision, "_processor_flags", lambda: set(flags.split()))
    assert resolve("auto", CPU) == expected


def test_auto_is_fp32_where_nobody_says(monkeypatch):
    def absent(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(precision.Path, "read_text", absent)
    assert resolve("auto", CPU) == "fp32"


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_a_named_precision_is_taken(name):
    assert resolve(name, CPU) == name


def test_tf32_needs_a_gpu_that_has_it():
    with pytest.raises(UserError, match="--precision tf32 is of CUDA GPUs"):
        resolve("tf32", CPU)
