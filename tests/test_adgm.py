"""Semi-supervised models with an auxiliary variable, against the SSVAE, quadrature and slopes."""

import math

import pytest
import torch
from oracles import binary, log_bernoulli, standard
from torch import nn

from codebase.data.batches import one_hot
from codebase.engine.randomness import seeded
from codebase.models.adgm import ADGM, DRAWS
from codebase.models.distributions import Categorical, DiagonalGaussian
from codebase.models.m1 import M1, M1M2
from codebase.models.sdgm import SDGM
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE

B, Z, A, Y, D = 5, 3, 2, 10, 784
GRID = torch.linspace(-6, 6, 61).double()
STEP = (GRID[1] - GRID[0]).item()


def built(cls, **sizes):
    torch.manual_seed(0)
    model = cls(**({"z_dim": Z, "a_dim": A} | sizes)).double()
    with torch.no_grad():  # so that quadrature and samples have little to miss
        model.dec[-1].weight.mul_(0.2)
        for name, p in model.named_parameters():
            if name.endswith("weight"):
                p.mul_(0.5)
            if name.endswith("bias") and p.requires_grad:
                p.copy_(0.3 * torch.randn_like(p))
    return model


def images(n=B):
    return binary(n, D).double()


def labels(n=B):
    return one_hot(torch.arange(n) % Y).double()


def test_with_an_auxiliary_variable_that_says_nothing_it_is_the_ssvae():
    """p(a|x, z, y) := q(a|x), and neither q(y|·) nor q(z|·) looks at a."""
    model, x = built(ADGM), images()
    ssvae = SSVAE(z_dim=Z).double()
    with torch.no_grad():
        for own, other in ((model.cls, ssvae.cls.net), (model.enc, ssvae.enc.net)):
            own[0].weight[:, :A] = 0
            other[0].weight.copy_(own[0].weight[:, A:])
            other[0].bias.copy_(own[0].bias)
            other[2:].load_state_dict(own[2:].state_dict())
        for net in (ssvae.enc.net, ssvae.dec.net):
            net[1] = net[3] = nn.ReLU()
        ssvae.dec.net.load_state_dict(model.dec.state_dict())
        model.back[0].weight.zero_()
        model.back[0].weight[:, :D] = model.enc_a[0].weight
        model.back[0].bias.copy_(model.enc_a[0].bias)
        model.back[2:].load_state_dict(model.enc_a[2:].state_dict())
    with seeded(1):
        found = model.negative_elbo_terms(x)
    with seeded(1):
        torch.randn_like(x[:, :A])  # the noise of a
        expected = ssvae.negative_elbo_terms(x)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def log_evidence(model, x):
    """log p(x) = log Σ_y p(y) ∫∫ p(z) p(a|z, y) p(x|a, z, y) da dz, Z = A = 1, by quadrature."""
    each = []
    for y in torch.eye(Y).double():
        rows = []
        for z in GRID:
            z = z.view(1, 1)
            if isinstance(model, ADGM):
                log_x = log_bernoulli(x, model.p_x(z, z, y.view(1, Y)).logits)  # (B,)
            else:
                p = model.p_a(x, z, y.view(1, Y))
                a = p.m + p.v.sqrt() * GRID[:, None]  # (G, 1), spaced by √v
                log_a = standard(GRID[:, None]) + math.log(STEP)
                logits = model.p_x(a, z, y.view(1, Y)).logits  # (G, D)
                log_x = (log_a[:, None] + log_bernoulli(x, logits[:, None])).logsumexp(0)
            rows.append(log_x + standard(z)[0] + math.log(STEP))
        each.append(torch.stack(rows).logsumexp(0))
    return torch.stack(each).logsumexp(0) - math.log(Y)


@pytest.mark.few(1)
@pytest.mark.parametrize("cls", [ADGM, SDGM, M1M2])
def test_bounds_bound_the_likelihood_and_reach_it(cls):
    model, x, n = built(cls, z_dim=1, a_dim=1), images(2), 400
    with torch.no_grad():
        log_p = log_evidence(model, x)
        with seeded(1):
            nelbo = sum(model.negative_elbo_terms(x.repeat(n, 1))).view(n, 2)
            kl, rec = model.importance_terms(x, 1_000)
    assert (nelbo.mean(0) - 5 * nelbo.std(0) / n**0.5 > -log_p).all()
    weights = torch.exp(-(kl + rec) - log_p)  # (M·Y, B), of mean 1
    se = weights.view(1_000, Y, 2).mean(1).std(0) / 1_000**0.5
    assert ((weights.mean(0) - 1).abs() <= 5 * se).all()
    assert (se < 0.2).all()


@pytest.mark.parametrize("cls", [SDGM, M1M2])
def test_the_density_of_noise_and_latents_is_one(cls):
    """The integral of q([ε, z]|x, y); without the scale of p(a|z) it would be another number."""
    model, x, y = built(cls, z_dim=1, a_dim=1), images(1), labels(1)
    fine = torch.linspace(-8, 8, 161).double()
    points = torch.cartesian_prod(fine, fine)
    with torch.no_grad():
        q = model.posterior(x, y)
        mass = q.log_prob(points[:, None]).exp().sum().item() * (fine[1] - fine[0]).item() ** 2
        drawn, log_q = q.rsample_and_log_prob((7,))
    assert mass == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(q.log_prob(drawn), log_q)
    assert model.p_a(x, points[:1, 1:], y).v.log().abs().item() > 0.05  # the mutant would differ


@pytest.mark.parametrize("cls", [ADGM, SDGM, M1M2])
def test_a_certain_label_gives_the_labelled_bound(cls):
    model, n = built(cls), 300
    x, y = images(1).repeat(n, 1), labels(4)[3:].repeat(n, 1)
    with torch.no_grad():
        model.cls[-1].weight.zero_()
        model.cls[-1].bias.copy_(1e4 * (labels(4)[3] - 1))
        with seeded(1):
            summed = sum(model.negative_elbo_terms(x))
            given = sum(model.negative_elbo_terms_given(x, y)) + math.log(Y)
    se = (summed.var() / n + given.var() / n).sqrt()
    assert abs(summed.mean() - given.mean()) <= 5 * se
    other = summed.mean() - given.mean() + math.log(Y)  # the mutant without log p(y)
    assert abs(other) > 5 * se


@pytest.mark.parametrize("cls", [ADGM, SDGM, M1M2])
def test_images_are_classified_by_the_mean_over_the_auxiliary_variable(cls):
    model, x = built(cls), images()
    with torch.no_grad():
        model.enc_a[-1].weight.mul_(20)
    with seeded(2):
        found = model.label_posterior(x)
    with seeded(2):
        a = model.q_a(x).rsample((DRAWS,))
        expected = model.q_y(x, a).probs.mean(0)
    torch.testing.assert_close(found.probs, expected)
    torch.testing.assert_close(found.probs.sum(-1), torch.ones(B).double())


@pytest.mark.parametrize("cls", [ADGM, SDGM])
def test_labels_met_by_chance_give_the_same_bound_and_slopes(cls):
    """The mean over draws of labels, z being drawn anew too, and of its slope in each q(y)."""
    model, n = built(cls, prune=True), 4_000
    x = images(1).repeat(n, 1)
    with torch.no_grad():
        a, log_q = (t[:1].expand_as(t) for t in model.auxiliary(x))
    q = torch.tensor([0.9, 0.06, 0.01, 0.009, 0.008, 0.007, 0.003, 0.002, 0.001, 0.0]).double()
    q = q.expand(n, Y).clone().requires_grad_()
    model.seldom = 0.02
    torch.manual_seed(1)

    def given(y, x, *drawn):
        return model.negative_elbo_terms_given(x, y, *drawn)

    found = model.expected(q, given, x, a, log_q)  # (n,) each
    (slope,) = torch.autograd.grad(sum(found).sum(), q)  # (n, Y)
    with seeded(2), torch.no_grad():
        by_label = [t.T for t in given(model.labels(x), x, a, log_q)]
    for term, each in zip(found, by_label, strict=True):
        summed = (q * each).sum(-1)
        se = ((term.var() + summed.var()) / n).sqrt()
        assert abs(term.mean() - summed.mean()) <= 5 * se
        assert se < 0.05
    assert (slope[:, 9] == 0).all()  # a label of weight 0 is never met
    # What every label's slope has alike moves no logits.
    exact = sum(by_label) - sum(by_label)[:, :1]
    slope = slope - slope[:, :1]
    se = ((slope.var(0) + exact.var(0)) / n).sqrt()[1:9]
    assert ((slope - exact).mean(0)[1:9].abs() <= 5 * se).all()
    assert (se < 0.6).all()
    assert (exact.mean(0)[1:9].abs() > 5 * se).any()


def test_labels_met_by_chance_are_unbiased_for_each_of_several_images():
    """The sum over labels of given costs, and its slopes in logits and costs, by many draws."""
    n, model = 20_000, built(SDGM, prune=True)
    model.seldom = 0.05
    torch.manual_seed(1)
    logits, costs = ((s * torch.randn(B, Y).double()).repeat(n, 1) for s in (2, 30))  # (n·B, Y)
    logits, costs = logits.requires_grad_(), costs.requires_grad_()
    rows = torch.arange(n * B).double().unsqueeze(-1)

    def given(y, row):
        return [costs[torch.broadcast_tensors(row[..., 0].long(), y.argmax(-1))]]

    def value_and_slopes():
        (k,) = model.expected(logits.softmax(-1), given, rows)
        return k.detach(), *torch.autograd.grad(k.sum(), (logits, costs))

    found = value_and_slopes()
    model.eval().prune = False
    for by_chance, exact in zip(found, value_and_slopes(), strict=True):
        by_chance, exact = by_chance.view(n, B, -1), exact[:B].view(B, -1)
        se = by_chance.std(0) / n**0.5
        assert ((by_chance.mean(0) - exact).abs() <= 5 * se + 1e-9 * exact.abs()).all()
        assert (se < 0.02 * exact.abs().max()).all()


def test_slopes_are_finite_however_little_a_label_weighs(monkeypatch):
    """Also where the random number is 0, as one of 2²⁴ is, in float32."""
    monkeypatch.setattr(torch, "rand_like", torch.zeros_like)
    model = SDGM(z_dim=Z, a_dim=A, prune=True)
    logits = torch.tensor([[0.0, -10, -50, -80, -90, -92, -95, -100, -104, -110]])
    logits.requires_grad_()
    costs = torch.arange(Y).float()
    (k,) = model.expected(logits.softmax(-1), lambda y, x: [y @ costs], torch.zeros(1, 1))
    (slope,) = torch.autograd.grad(k.sum(), logits)
    assert slope.isfinite().all()
    assert slope[0, 1] > 0


def test_by_chance_a_step_meets_few_labels_and_an_evaluation_all():
    model, met = built(SDGM, prune=True), []
    own = model.negative_elbo_terms_given

    def watched(x, y, *drawn):
        met.append(y.shape[:-1].numel() * (len(x) if y.shape[-2] == 1 else 1))
        return own(x, y, *drawn)

    model.negative_elbo_terms_given = watched
    with torch.no_grad():
        model.cls[-1].weight.zero_()
        model.cls[-1].bias.copy_(torch.arange(Y).double())  # every label above rounding
        x = images(60)
        model.train().negative_elbo_terms(x)
        model.eval().negative_elbo_terms(x)
        model.train().seldom = 0
        model.negative_elbo_terms(x)
    few, every, without = met
    assert few < 0.8 * 600
    assert every == without == 600


def slopes(model, loss):
    model.zero_grad()
    loss.backward()
    return {k: None if p.grad is None else p.grad.clone() for k, p in model.named_parameters()}


def test_m2_does_not_move_m1():
    """The slopes of enc_a and dec are those of a VAE's −ELBO, whatever M2 costs."""
    x, xl, yl = images(), images(4), labels(4)
    model = built(M1M2, gen_weight=7.0, class_weight=50.0)
    vae = VAE(z_dim=A).double()
    vae.enc.net.load_state_dict(model.enc_a.state_dict())
    vae.dec.net.load_state_dict(model.dec.state_dict())
    torch.manual_seed(1)
    found = slopes(model, model.loss(x, xl, yl)[0])
    torch.manual_seed(1)
    expected = slopes(vae, vae.loss(x)[0])
    for name in ("enc", "dec"):
        own = "enc_a" if name == "enc" else "dec"
        for key, slope in expected.items():
            if key.startswith(f"{name}.net"):
                torch.testing.assert_close(found[key.replace(f"{name}.net", own)], slope)
    assert all(found[k].abs().max() > 0 for k in found if k.split(".")[0] in ("cls", "back"))


def test_what_m1m2_logs_is_the_bound_with_m2_as_the_prior():
    model, n = built(M1M2), 400
    x = images().repeat(n, 1)
    with seeded(1), torch.no_grad():
        model.enc_a[-1].weight.mul_(100)  # the codes of the images lie apart, each at a label's
        at = model.q_a(images(Y)).m
        model.p_a = lambda _, z, y: DiagonalGaussian(y @ at, torch.ones(A))
        model.q_y = lambda _, a: Categorical(-(a.unsqueeze(-2) - at).square().sum(-1))
        _, found = model.loss(x, images(2), labels(2))
        terms = torch.stack(model.negative_elbo_terms(x))
    se = terms.sum(0).view(n, -1).var(0).mean().sqrt() * (2 / (n * B)) ** 0.5
    assert abs(-found["gen/elbo"] - terms.sum(0).mean()) <= 5 * se
    parts = found["gen/kl_z"] + found["gen/kl_y"] + found["gen/rec"]
    assert parts.item() == pytest.approx(-found["gen/elbo"].item())


@pytest.mark.parametrize("part", ["cls", "enc", "back"])
def test_m2_is_moved_by_its_cost(part):
    """Its slopes, against how its loss changes with the same random numbers."""
    x, xl, yl = images(), images(4), labels(4)
    model = built(M1M2, class_weight=0.5)
    parameters = list(model.get_submodule(part).parameters())
    torch.manual_seed(2)
    ways = [torch.randn_like(p) for p in parameters]

    def loss(along):
        with torch.no_grad():
            for p, way in zip(parameters, ways, strict=True):
                p.add_(along * way)
        torch.manual_seed(1)
        return model.loss(x, xl, yl)[0]

    slope = torch.autograd.grad(loss(0), parameters)
    found = sum((a * b).sum() for a, b in zip(slope, ways, strict=True))
    expected = (loss(1e-6) - loss(-2e-6)) / 2e-6
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_classifier_of_codes_does_not_move_the_vae():
    x, xl, yl = images(), images(4), labels(4)
    torch.manual_seed(0)
    model, vae = M1(z_dim=Z).double(), VAE(z_dim=Z).double()
    vae.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("cls")})
    torch.manual_seed(1)
    found = slopes(model, model.loss(x, xl, yl)[0])
    torch.manual_seed(1)
    expected = slopes(vae, vae.loss(x)[0])
    for key, slope in expected.items():
        assert (slope is None) == (found[key] is None)
        assert slope is None or torch.equal(found[key], slope)
    q = (model.label_posterior(xl).probs - yl) / 4  # the slope of the cross-entropy
    torch.testing.assert_close(found["cls.weight"], q.T @ model.posterior(xl).mean)


@pytest.mark.parametrize("cls", [ADGM, SDGM, M1M2, M1])
@pytest.mark.parametrize("y", [torch.arange(B), torch.ones(B, 4)])
def test_labels_that_are_not_one_hot_are_refused_in_a_sentence(cls, y):
    with pytest.raises(ValueError, match=r"must be|must have") as refused:
        cls(z_dim=Z).loss(binary(2, D), binary(B, D), y)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("wrong", [{"z_dim": 0}, {"a_dim": 0}, {"gen_weight": -1}])
def test_sizes_and_weights_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"at least") as refused:
        ADGM(**wrong)
    assert "\n" not in str(refused.value)
