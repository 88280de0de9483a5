"""The gap of a bound and its parts, where both are known; and the posterior that is looked for."""

import json
import math

import pytest
import torch

from codebase import command
from codebase.engine.randomness import seeded
from codebase.errors import UserError
from codebase.evaluation import gap
from codebase.evaluation.gap import Effort, gaps
from codebase.models.base import LatentVariableModel
from codebase.models.distributions import DiagonalGaussian, FullGaussian
from codebase.models.fitted import fit, negative_elbo_under
from codebase.models.svi import SVI

S = 0.7  # standard deviation of the pixels
EFFORT = Effort(steps=300, fitted=20, scored=4_000, iw=4_000)


class Linear(LatentVariableModel):
    """z ~ N(0, I), x ~ N(Az, s² I): everything about it is known. float64.

    Args:
        kind: of the posterior, DiagonalGaussian or FullGaussian.
        off: how far the encoder is from the best one.
    """

    def __init__(self, kind=DiagonalGaussian, off=0.0, z_dim=3, x_dim=5):
        super().__init__("linear")
        generator = torch.Generator().manual_seed(1)
        self.z_dim, self.kind, self.off = z_dim, kind, off
        self.a = torch.nn.Parameter(
            torch.randn(x_dim, z_dim, generator=generator, dtype=torch.float64)
        )
        eye = torch.eye(z_dim, dtype=torch.float64)
        self.precision = (eye + self.a.T @ self.a / S**2).detach()

    def prior(self):
        return DiagonalGaussian(*(torch.full((self.z_dim,), v).double() for v in (0.0, 1.0)))

    def posterior(self, x):
        m = x @ self.a @ self.precision.inverse() / S**2 + self.off
        if self.kind is FullGaussian:
            factor = torch.linalg.cholesky(self.precision.inverse())
            return FullGaussian(m, factor.expand(len(x), -1, -1))
        return DiagonalGaussian(m, (1 / self.precision.diag()).expand_as(m))

    def likelihood(self, z):
        m = z @ self.a.T
        return DiagonalGaussian(m, torch.full_like(m, S**2))

    def log_p(self, x):
        covariance = self.a @ self.a.T + S**2 * torch.eye(len(self.a), dtype=torch.float64)
        zero = torch.zeros(len(self.a), dtype=torch.float64)
        return torch.distributions.MultivariateNormal(zero, covariance).log_prob(x)

    def approximation(self):
        """½ (Σ log P_ii − log |P|), of the best diagonal Gaussian."""
        return 0.5 * (self.precision.diag().log().sum() - self.precision.logdet()).item()


def images(n=7):
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2


def test_the_split_of_a_linear_model_with_the_best_encoder():
    model, x = Linear(), images()
    found = gaps(model, x, EFFORT)
    assert found["log p"].value == pytest.approx(model.log_p(x).mean().item(), abs=0.05)
    assert model.approximation() > 0.2
    assert found["approximation"].value == pytest.approx(model.approximation(), abs=0.08)
    assert found["amortization"].value == pytest.approx(0, abs=0.05)
    parts = found["approximation"].value + found["amortization"].value
    assert found["gap"].value == pytest.approx(parts)


def test_an_encoder_that_is_off_is_found_to_be_so():
    """KL between Gaussians of one variance: ½ P_ii d² each, under the best diagonal one."""
    model = Linear(off=0.4)
    found = gaps(model, images(), EFFORT)
    expected = 0.5 * 0.4**2 * model.precision.sum().item()
    assert found["amortization"].value == pytest.approx(expected, abs=0.1)
    assert found["approximation"].value == pytest.approx(model.approximation(), abs=0.08)


def test_a_full_covariance_closes_the_gap_of_a_linear_model():
    found = gaps(Linear(FullGaussian), images(), EFFORT)
    for name in ("gap", "approximation", "amortization"):
        assert found[name].value == pytest.approx(0, abs=0.06)


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", [DiagonalGaussian, FullGaussian])
def test_the_best_gaussian_is_the_true_posterior_as_far_as_its_kind_goes(kind):
    model, x = Linear(kind), images(4)
    m = torch.zeros(4, 3, dtype=torch.float64)
    start = kind(m, torch.ones_like(m) if kind is DiagonalGaussian else torch.diag_embed(m + 1))
    with seeded(3):
        found = fit(start, x, model.prior(), model.likelihood, 800, 50, lr=0.1)
    true = model.posterior(x)
    torch.testing.assert_close(found.mean, true.mean, atol=0.03, rtol=0.03)
    torch.testing.assert_close(found.variance, true.variance, atol=0.02, rtol=0.06)
    if kind is FullGaussian:
        torch.testing.assert_close(found.factor, true.factor, atol=0.05, rtol=0.05)


def test_each_image_is_fitted_for_itself():
    """With other images beside it, or without, it gets the same steps."""
    model, x = Linear(), images(3)
    zero, one = torch.zeros(3, 3).double(), torch.ones(3, 3).double()
    noise = torch.randn(1, 3, 3, dtype=torch.float64)

    class Fixed(DiagonalGaussian):
        def rsample_and_log_prob(self, shape=()):
            z = self.m + self.v.sqrt() * noise[:, : len(self.m)]
            return z, self.log_prob(z)

    import codebase.models.fitted as module

    found = []
    for n in (1, 3):
        gaussian = module.DiagonalGaussian
        try:
            module.DiagonalGaussian = Fixed
            found.append(fit(Fixed(zero[:n], one[:n]), x[:n], model.prior(), model.likelihood, 20))
        finally:
            module.DiagonalGaussian = gaussian
    torch.testing.assert_close(found[0].m[0], found[1].m[0])


def test_weights_get_no_gradient_and_keep_none():
    model, x = Linear(), images(2)
    fit(model.posterior(x), x, model.prior(), model.likelihood, 3)
    assert model.a.grad is None


def test_the_bound_under_a_given_posterior_is_the_models_own():
    model, x = Linear(), images()
    with seeded(5):
        expected = model.negative_elbo_terms(x)
    with seeded(5):
        found = negative_elbo_under(model.posterior(x), x, model.prior(), model.likelihood)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_samples_are_decoded_in_parts_and_all_of_them_count():
    assert gap._parts(250) == [100, 100, 50]
    assert gap._parts(100) == [100]
    assert sum(gap._parts(7)) == 7
    model, x = Linear(), images(3)
    with seeded(1):
        many = gap._elbo(model, x, model.prior(), model.posterior(x), 20_050)
    exact = model.log_p(x) - model.approximation()
    torch.testing.assert_close(many, exact, atol=0.1, rtol=0)


# SVI


def test_svi_finds_a_better_posterior_in_more_steps():
    torch.manual_seed(0)
    model, x = SVI(z_dim=3, inner=40), (torch.rand(6, 784) < 0.3).float()
    with torch.no_grad():  # weights as they begin say next to nothing of x
        for p in model.dec.parameters():
            p.mul_(3)
    with seeded(1):
        costs = []
        for inner in (1, 40):
            model.inner = inner
            costs.append(torch.stack([model.negative_elbo_bound(x)[0] for _ in range(20)]).mean())
    assert costs[1] < costs[0] - 5


def test_svi_trains_its_decoder_at_the_posterior_it_found():
    torch.manual_seed(0)
    model, x = SVI(z_dim=3, inner=2), (torch.rand(4, 784) < 0.3).float()
    q = model.posterior(x)
    assert not q.m.requires_grad
    loss, _ = model.loss(x)
    loss.backward()
    assert all(p.grad is not None for p in model.dec.parameters())
    with pytest.raises(ValueError, match="inner"):
        SVI(inner=0)


# The command


def test_run_py_gap(here, capsys):
    flags = ["--dataset", "digits", "--threads", "1", "--iter_max", "30", "--z", "3"]
    command.main("vae", words=flags)
    capsys.readouterr()
    (run,) = (here / "checkpoints").iterdir()
    words = ["gap", run.name, "--images", "9", "--steps", "5", "--samples", "50", "--threads", "1"]
    command.named(words)
    out = capsys.readouterr().out
    assert "test images (9)" in out
    content = json.loads((run / "gap.json").read_text(encoding="utf-8"))
    numbers = {name: n["value"] for name, n in content["numbers"].items()}
    assert all(map(math.isfinite, numbers.values()))
    parts = numbers["approximation"] + numbers["amortization"]
    assert numbers["gap"] == pytest.approx(parts, abs=1e-3)


def test_what_has_no_such_gap_says_so():
    class Labelled(Linear):
        y_dim = 10

    with pytest.raises(UserError, match="label"):
        gaps(Labelled(), images(2), EFFORT)

    class Other(Linear):
        def posterior(self, x):
            return self.prior().__class__.__mro__[1]  # any other object

    with pytest.raises(UserError, match="no Gaussians"):
        gaps(Other(), images(2), EFFORT)


def test_a_run_that_is_not_there(here, capsys):
    with pytest.raises(SystemExit) as end:
        command.named(["gap", "nowhere"])
    assert end.value.code == 2
    assert "There is no run 'nowhere'" in capsys.readouterr().err
