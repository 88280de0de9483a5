"""Models given labels or pixels, against the VAE, enumeration and slopes."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from oracles import GRID, SPACING, Net, binary, gaussian, log_bernoulli, standard

from codebase.data.batches import Batches, one_hot, seeded_generator
from codebase.engine.randomness import seeded
from codebase.engine.session import Session
from codebase.errors import UserError
from codebase.models.complete import Completion, quadrants
from codebase.models.cvae import CVAE
from codebase.models.vae import VAE
from codebase.runs import settings

B, Z, Y = 6, 3, 10
MASK = torch.tensor([1.0, 1, 0, 0, 0, 1, 0, 0, 0])
D = len(MASK)


def labels(n=B):
    return one_hot(torch.arange(n) % Y).double()


def test_where_the_label_says_nothing_it_is_the_vae():
    torch.manual_seed(0)
    vae, cvae = VAE(z_dim=Z).double(), CVAE(z_dim=Z).double()
    with torch.no_grad():
        for ours, theirs, width in ((cvae.enc, vae.enc, 784), (cvae.dec, vae.dec, Z)):
            for p, q in zip(
                list(ours.parameters())[1:], list(theirs.parameters())[1:], strict=True
            ):
                p.copy_(q)
            ours.net[0].weight[:, :width] = theirs.net[0].weight
            ours.net[0].weight[:, width:] = 0
    x = binary(B, 784).double()
    with seeded(1):
        expected = vae.loss(x)
    with seeded(1):
        found = cvae.loss(x, labels())
    assert found[0].item() == pytest.approx(expected[0].item(), rel=1e-10)
    for tag in ("gen/elbo", "gen/kl_z", "gen/rec"):
        assert found[1][tag].item() == pytest.approx(expected[1][tag].item(), rel=1e-10)


def test_the_bound_of_log_p_is_the_enumerated_one():
    """p(x) = Σ_y p(y) ∫ p(z) p(x|z, y) dz, by enumeration and quadrature."""
    torch.manual_seed(0)
    model, n = CVAE(z_dim=1, y_dim=3).double(), 2_000
    w = gaussian(3, 4, seed=3)
    flat = Net(lambda x, y: 0 * (x[..., :1] + y[..., :1]))
    model.enc = Net(lambda x, y: (flat(x, y) + 0.2, flat(x, y) + 1))
    model.dec = Net(lambda z, y: z * torch.tensor([2.0, -1.0, 0.5, 1.5]).double() + y @ w)
    x = binary(4, 4).double()
    each = torch.stack(
        [
            (standard(GRID)[:, None] + log_bernoulli(x, model.dec(GRID, y)[:, None])).logsumexp(0)
            for y in torch.eye(3).double()
        ]
    )
    log_p = each.logsumexp(0) + math.log(SPACING) - math.log(3)
    with seeded(1):
        iwae = model.negative_iwae_bound(x, 20_000)[0]
        nelbo = sum(model.negative_elbo_terms(x.repeat(n, 1))).view(n, 4)
        logits = model.label_posterior(x.repeat(n, 1)).logits.view(n, 4, 3)
    assert iwae.item() == pytest.approx(-log_p.mean().item(), abs=0.02)
    assert (nelbo.mean(0) - 5 * nelbo.std(0) / n**0.5 > -log_p).all()
    # log q(y|x) is ELBO(x|y), but for a constant: by quadrature over q(z|x, y) = N(0.2, 1).
    q = (standard(GRID - 0.2).exp() * SPACING)[:, None]
    kl = 0.2**2 / 2
    exact = torch.stack(
        [
            (q * log_bernoulli(x, model.dec(GRID, y)[:, None])).sum(0) - kl
            for y in torch.eye(3).double()
        ],
        dim=-1,
    )
    found, expected = (t - t[..., :1] for t in (logits, exact))
    assert ((found.mean(0) - expected).abs() <= 5 * found.std(0) / n**0.5).all()


@pytest.mark.parametrize(
    "y", [torch.arange(B), torch.ones(B, 5), torch.zeros(B, Y, dtype=torch.int64), torch.ones(2, Y)]
)
def test_labels_that_are_not_one_hot_are_refused_in_a_sentence(y):
    with pytest.raises(ValueError, match="y must be one-hot labels of shape") as refused:
        CVAE(z_dim=Z).loss(binary(B, 784), y)
    assert "\n" not in str(refused.value)


def test_its_steps_are_alike_for_every_label_is_known():
    model = CVAE(z_dim=Z)
    model.allow_data_dependent_shapes()
    assert not model.steps_differ


def test_a_label_that_the_model_does_not_have_is_refused_before_training(digits, here):
    loader = Batches(digits.train_x[:50], digits.train_y[:50], 10, seeded_generator(0))
    with pytest.raises(UserError, match="expected whole labels from 0 to 4"):
        Session(CVAE(z_dim=Z, y_dim=5), loader, None, "cpu", None, "fullsup")


def test_data_without_labels_are_refused_in_a_sentence(digits, monkeypatch, capsys):
    from codebase import command

    without = replace(digits, labelled=False)
    monkeypatch.setattr(settings.datasets, "load", lambda *_: without)
    with pytest.raises(SystemExit):
        command.main("cvae", words=["--dataset", "digits"], prog="run.py cvae")
    said = capsys.readouterr().err
    assert "have no labels, and cvae needs them" in said
    assert len(said.splitlines()) == 1


def completion(**options):
    torch.manual_seed(0)
    return Completion(z_dim=Z, mask=MASK, x_dim=D, **options).double()


def test_pixels_that_are_seen_are_not_learned_from():
    model, x = completion(), binary(B, D).double()
    model.loss(x)[0].backward()
    for net in (model.dec, model.baseline):
        assert torch.equal(net[-1].bias.grad != 0, MASK == 0)
    logits = gaussian(B, D)
    flipped = torch.where(MASK > 0, 1 - x, x)
    assert torch.equal(model.unseen(x, logits), model.unseen(flipped, logits))
    assert (-log_bernoulli(x, logits) > model.unseen(x, logits)).all()  # the mutant, all pixels


def test_neither_prior_nor_baseline_looks_at_what_is_not_seen():
    model, x = completion(), binary(B, D).double()
    other = torch.where(MASK > 0, x, 1 - x)
    assert torch.equal(model.prior(x).mean, model.prior(other).mean)
    z = gaussian(B, Z)
    assert torch.equal(model.logits(z, x), model.logits(z, other))
    assert torch.equal(model.guess(x)[:, MASK > 0], x[:, MASK > 0])
    assert not torch.equal(model.posterior(x).mean, model.posterior(other).mean)
    with seeded(0):
        drawn = model.complete(x, 4)
    assert drawn.shape == (4, B, D)
    assert torch.equal(drawn[..., MASK > 0], x[:, MASK > 0].expand(4, -1, -1))


def test_both_ways_of_sampling_find_the_enumerated_likelihoods():
    """Over every way to fill what is not seen the likelihoods sum to one."""
    model = completion()
    ways = list(itertools.product([0.0, 1.0], repeat=int((MASK == 0).sum())))
    x = torch.zeros(len(ways), D).double()
    x[:, MASK > 0] = torch.tensor([1.0, 0, 1]).double()
    x[:, MASK == 0] = torch.tensor(ways).double()
    with seeded(1):
        own, prior = (model.negative_iwae(x, 3_000, own=how) for how in (True, False))
        nelbo = torch.stack([sum(model.negative_elbo_terms(x)) for _ in range(50)]).mean(0)
    assert torch.exp(-own).sum().item() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(own, prior, rtol=0, atol=0.1)
    assert (nelbo - own).mean() > 0


def test_with_nothing_said_by_what_is_seen_it_is_a_vae_of_the_rest():
    model, x = completion(), binary(B, D).double()
    with torch.no_grad():
        model.dec[0].weight[:, Z:] = 0
        model.prior_net[-1].weight.zero_()
        model.prior_net[-1].bias[:Z] = 0
        model.prior_net[-1].bias[Z:] = math.log(math.e - 1)  # softplus⁻¹ 1
    with seeded(2):
        kl, rec = model.negative_elbo_terms(x)
    q = model.posterior(x)
    expected = 0.5 * (q.v + q.m.square() - 1 - q.v.log()).sum(-1)
    torch.testing.assert_close(kl, expected, rtol=1e-6, atol=1e-6)
    with seeded(2):
        z = q.rsample()
    logits = model.dec(torch.cat([z, torch.zeros_like(x)], -1))[:, MASK == 0]
    torch.testing.assert_close(rec, -log_bernoulli(x[:, MASK == 0], logits))


def test_quadrants_are_those_that_are_said():
    for seen in (1, 2, 3):
        mask = quadrants(seen).view(28, 28)
        assert mask.sum() == seen * 14 * 14
        assert mask[20, 3] == 1
        assert mask[20, 20] == 0
    assert quadrants(1).view(28, 28)[3, 3] == 0


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (torch.ones(D), "hides nothing"),
        (torch.zeros(D), "hides everything"),
        (torch.ones(4), "of shape"),
        (torch.full((D,), 0.5), "0s and 1s"),
    ],
)
def test_a_mask_that_makes_no_sense_is_refused_in_a_sentence(mask, said):
    with pytest.raises(ValueError, match=said) as refused:
        Completion(z_dim=Z, mask=mask, x_dim=D)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("seen", [0, 4])
def test_so_many_quadrants_are_refused(seen):
    with pytest.raises(ValueError, match="1, 2 or 3 quadrants"):
        Completion(seen=seen)
