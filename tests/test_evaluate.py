"""Bounds and accuracies by the protocol."""

import itertools
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

from codebase import starter
from codebase.data import subsets
from codebase.data.batches import seeded_generator
from codebase.engine import randomness
from codebase.errors import UserError
from codebase.evaluation import reference
from codebase.evaluation.bounds import full_bounds, image_iwae, subset_bounds
from codebase.evaluation.classifier import classification
from codebase.evaluation.numbers import Number
from codebase.models.base import Abilities
from codebase.models.distributions import Categorical
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE


@pytest.fixture
def x():
    return torch.bernoulli(torch.full((20, 784), 0.3), generator=seeded_generator(0))


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return VAE(z_dim=2)


def test_a_number_is_mean_and_standard_error():
    values = torch.tensor([1.0, 2.0, 4.0, 5.0])
    number = Number.of(values)
    assert number.value == 3
    assert number.se == pytest.approx(((4 + 1 + 1 + 4) / 3 / 4) ** 0.5)
    assert Number.of([7.0]) == Number(7.0, None)


def test_the_subset_numbers_are_the_protocol_s(vae, x):
    numbers = subset_bounds(vae, x)
    torch.manual_seed(0)
    with torch.no_grad():
        elbo = [torch.stack(vae.negative_elbo_bound(x)) for _ in range(100)]
        iwae = {
            m: [vae.negative_iwae_bound(x, m)[0] for _ in range(max(100 // m, 1))]
            for m in (1, 10, 100, 1000)
        }
    expected = torch.stack(elbo).double().mean(0)
    assert [numbers[n].value for n in ("nelbo", "kl", "rec")] == pytest.approx(expected.tolist())
    for m, values in iwae.items():
        assert numbers[f"iwae-{m}"].value == pytest.approx(torch.stack(values).mean().item())


def test_more_samples_bound_tighter(vae, x):
    numbers = subset_bounds(vae, x, least=5)
    bounds = [numbers[f"iwae-{m}"] for m in (1, 10, 100, 1000)]
    for loose, tight in itertools.pairwise(bounds):
        assert tight.value < loose.value + 5 * (tight.se**2 + loose.se**2) ** 0.5
    assert bounds[-1].value < bounds[0].value


def test_evaluating_changes_nothing(vae, x):
    torch.manual_seed(3)
    expected = torch.rand(5)
    torch.manual_seed(3)
    subset_bounds(vae, x, run_iwae=False)
    full_bounds(vae, x)
    assert torch.equal(torch.rand(5), expected)
    assert all(p.grad is None for p in vae.parameters())


@pytest.mark.parametrize("n", [1, 999, 1000, 1001, 2500])
def test_every_image_counts_once_in_the_full_bound(n):
    class Fake:
        abilities = Abilities()

        def negative_elbo_terms(self, x):
            return x[:, 0], 2 * x[:, 0]

    x = torch.zeros(n, 784)
    x[: n // 2 + 1, 0] = 1
    numbers = full_bounds(Fake(), x)
    share = (n // 2 + 1) / n
    assert numbers["kl"].value == pytest.approx(share)
    assert numbers["nelbo"].value == pytest.approx(3 * share)
    if n > 1:
        assert numbers["kl"].se == pytest.approx((share * (1 - share) / (n - 1)) ** 0.5)


def test_every_image_counts_once_in_the_full_iwae_bound():
    class Fake:
        abilities = Abilities()

        def negative_iwae_bound(self, x, iw):
            return x.sum(-1).mean() * iw, None, None

    x = torch.zeros(30, 784)
    for i, image in enumerate(x):
        image[:i] = 1
    number = Number.of(image_iwae(Fake(), x, 7))
    assert number.value == pytest.approx(7 * 14.5)
    assert number.se == pytest.approx(7 * (30 * 31 / 12) ** 0.5 / 30**0.5)  # of 0 … 29


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_full_iwae_bound_is_the_bound_of_all_images_at_once(vae, x, precision):
    alone = image_iwae(vae, x, 500, precision).mean().item()
    with randomness.seeded(1):
        together = torch.stack([vae.negative_iwae_bound(x, 500)[0] for _ in range(8)])
    noise = 6 * together.std().item() * (1 + 1 / 8) ** 0.5
    assert alone == pytest.approx(together.mean().item(), abs=noise + 0.01 * (precision == "bf16"))


def three_samples(model, x):
    return image_iwae(model, x, 3)


@pytest.mark.parametrize("evaluation", [subset_bounds, full_bounds, three_samples])
def test_grey_pixels_are_refused(vae, evaluation):
    with pytest.raises(UserError, match="binary pixels"):
        evaluation(vae, torch.full((4, 784), 0.5))


class Sure(SSVAE):
    """A classifier that reads its answer off the first pixel."""

    def label_posterior(self, x):
        answer = torch.nn.functional.one_hot((x[:, 0] * 10).round().long(), 10)
        return Categorical(50.0 * answer)


def test_accuracy_and_confusion():
    answers = torch.tensor([3, 3, 7, 1] * 400)
    truth = torch.tensor([3, 5, 7, 1] * 400)
    x = torch.zeros(1600, 784)
    x[:, 0] = answers / 10
    numbers, confusion = classification(Sure(), x, truth)
    assert numbers["accuracy"].value == 0.75
    assert numbers["accuracy"].se == pytest.approx((0.75 * 0.25 / 1599) ** 0.5)
    assert numbers["ce"].value == pytest.approx(12.5)
    assert confusion[5, 3] == 400
    assert confusion.sum() == 1600
    assert confusion.diag().sum() == 1200


def test_the_lower_bound_is_printed_as_the_starter_code_does(vae, x, capsys):
    starter.evaluate_lower_bound(vae, (x, None), run_iwae=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "LOG-LIKELIHOOD LOWER BOUNDS ON TEST SUBSET"
    assert lines[3].startswith("NELBO: ")
    assert ". KL: " in lines[3]
    assert ". Rec: " in lines[3]
    assert [line.split(":")[0] for line in lines[4:]] == [
        f"Negative IWAE-{m}" for m in (1, 10, 100, 1000)
    ]


def test_the_classifier_is_printed_as_the_starter_code_does(capsys):
    x = torch.zeros(10, 784)
    starter.evaluate_classifier(Sure(), (x, torch.tensor([0] * 4 + [1] * 6)))
    assert "Test set classification accuracy: 0.4" in capsys.readouterr().out


def test_the_ssvae_has_its_own_terms(digits):
    torch.manual_seed(0)
    model = SSVAE(z_dim=2)
    x, _ = subsets.test_subset(digits)
    subset = subset_bounds(model, x, run_iwae=False)
    full = full_bounds(model, subsets.binarized_test(digits))
    for numbers in (subset, full):
        parts = sum(numbers[name].value for name in ("kl_z", "kl_y", "rec"))
        assert numbers["nelbo"].value == pytest.approx(parts, rel=1e-6)


MEMORY = """
import re, torch
from codebase.engine import randomness
from codebase.models.{module} import {model}
from codebase.engine.memory import keep_memory

def peak():  # in MB; ru_maxrss would start from the parent's
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024

torch.set_num_threads(1)
keep_memory()  # as every script does
x = torch.bernoulli(torch.full((100, 784), 0.3))
model = {model}(z_dim=10)
with randomness.seeded():
    model.negative_iwae_bound(x, 1)
    before = peak()
    model.negative_iwae_bound(x, {samples})
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("module", "model", "samples"), [("vae", "VAE", 3000), ("gmvae", "GMVAE", 1000)]
)
def test_an_importance_bound_adds_less_than_500_mb(module, model, samples):
    code = MEMORY.format(module=module, model=model, samples=samples)
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert 0 <= float(out) < 500


def test_the_mixture_is_chunked_without_changing_the_bound(x, monkeypatch):
    from codebase.models import base as module

    torch.manual_seed(0)
    model = GMVAE(z_dim=2, k=7)
    bounds = []
    for chunk in (20, 10_000):
        monkeypatch.setattr(module, "CHUNK", chunk)
        with randomness.seeded():
            bounds.append(model.negative_iwae_bound(x, 50)[0].item())
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-6)


def test_the_references_say_their_version_and_what_right_solutions_give():
    vae, gmvae = reference.words("vae"), reference.words("gmvae")
    assert "(the newest: iwae-10 ± 2.5, iwae-100 ± 2.5)" in vae
    assert vae.endswith("nelbo 101.49 ± 0.09 (11)")
    assert "(the newest: iwae-10 ± 2.95, iwae-100 ± 2.9)" in gmvae
    assert gmvae.endswith("nelbo 99.00 ± 0.08 (9)")
    assert max(map(len, f"{vae}\n{gmvae}".splitlines())) <= 80
    assert reference.words("ssvae_gw=1") == "reference: the graders' two-sided bands"
    assert reference.words("") == ""
    for problem, bands in reference.NEWEST.items():  # the table has the widest
        for name, (centre, half) in bands.items():
            assert reference.BANDS[problem][name][0] == centre
            assert reference.BANDS[problem][name][1] >= half
