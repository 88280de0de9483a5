"""Objectives against what they are reduced to, closed forms, and gradients' means."""

import math

import pytest
import torch
from oracles import draws
from torch.distributions import MultivariateNormal
from torch.func import functional_call, grad, vmap

from codebase import utils as ut
from codebase.engine.randomness import seeded
from codebase.models import disentangling, importance, matching, objectives, perceptual, priors
from codebase.models.base import LatentVariableModel
from codebase.models.distributions import DiagonalGaussian, Mixture
from codebase.models.family import FamilyVAE

Z, B, D = 3, 5, 6


class Linear(LatentVariableModel):
    """z ~ N(0, I) or what is given, x ~ N(Az, s² I), q = N(Wx + c, diag v): float64.

    Args:
        of: makes the prior of the posterior; None: N(0, I).
    """

    s = 0.8

    def __init__(self, of=None):
        super().__init__("linear")
        self.z_dim, self.of = Z, of
        self.a = torch.nn.Parameter(draws(D, Z) / 2)
        self.w = torch.nn.Parameter(draws(Z, D, seed=2) / 3)
        self.log_v = torch.nn.Parameter(draws(Z, seed=3) / 2 - 1)

    def prior(self):
        if self.of:
            return self.of(self.posterior)
        return DiagonalGaussian(*(torch.full((Z,), v).double() for v in (0.0, 1.0)))

    def posterior(self, x):
        m = x @ self.w.T
        return DiagonalGaussian(m, self.log_v.exp().expand_as(m))

    def likelihood(self, z):
        m = z @ self.a.T
        return DiagonalGaussian(m, torch.full_like(m, self.s**2))


def value(objective, model=None, x=None, seed=7, player="model"):
    """Loss and summaries with that noise."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        loss, found = objective(model or Linear(), draws(B, D) if x is None else x, player)
    return loss, found


def gradient(objective, model, x=None, seed=7):
    loss, _ = value(objective, model, x, seed)
    return torch.autograd.grad(loss, list(model.parameters()))


class Layers(torch.nn.Module):
    """Two layers that nobody trains, of any size."""

    def maps(self, x):
        return x, x.tanh()


ALL = {
    "elbo": objectives.Elbo(Z),
    "warmup": objectives.Warmup(Z),
    "capacity": objectives.Capacity(Z),
    "freebits": objectives.FreeBits(Z),
    "iwae": importance.Iwae(Z),
    "miwae": importance.Miwae(Z),
    "ciwae": importance.Ciwae(Z),
    "renyi": importance.Renyi(Z),
    "dreg": importance.Dreg(Z),
    "stl": importance.Stl(Z),
    "infovae": matching.InfoVae(Z),
    "wae-mmd": matching.Wae(Z),
    "swae": matching.Swae(Z),
    "dip": disentangling.Dip(Z),
    "tc": disentangling.TotalCorrelation(Z),
    "dfc": perceptual.Dfc(Z, features=Layers()),
}


@pytest.mark.parametrize("name", ALL)
def test_what_is_reported_is_the_plain_bound(name):
    """The mean of gen/elbo over much noise is the model's own −nelbo, whatever is minimized."""
    model, x = Linear(), draws(B, D)
    model.advance()
    with torch.no_grad():
        found = torch.stack([value(ALL[name], model, x, i)[1]["gen/elbo"] for i in range(100)])
        terms = model.negative_elbo_terms(x.repeat(2_000, 1))
    own = -sum(terms).view(2_000, B).mean(1)
    se = math.hypot(found.std() / 10, own.std() / 2_000**0.5)
    assert abs(found.mean() - own.mean()) < 5 * se


@pytest.mark.parametrize("name", ALL)
def test_a_batch_twice_as_large_costs_the_same(name):
    """Of the same images twice, but for the noise; what compares codes sees others then."""
    if name in ("tc", "infovae", "wae-mmd", "swae"):
        pytest.skip("compares the codes of a minibatch with each other")
    model, x = Linear(), draws(B, D)
    model.advance()
    with torch.no_grad():
        once, twice = (
            torch.stack([value(ALL[name], model, some, i)[0] for i in range(100)])
            for some in (x, torch.cat([x, x]))
        )
    se = math.hypot(once.std(), twice.std()) / 10
    # The distance of a mean to the capacity is less for a mean that varies less.
    assert abs(once.mean() - twice.mean()) < (20 if name == "capacity" else 5) * se + 1e-9


# Schedules and floors


def test_a_warm_up_weighs_kl_more_and_more_and_then_as_much_as_it_is():
    model, objective = Linear(), objectives.Warmup(Z, beta=2.0, warmup=4)
    for step in range(1, 7):
        model.advance()
        loss, found = value(objective, model)
        weight = 2.0 * min(step / 4, 1)
        torch.testing.assert_close(loss, found["gen/rec"] + weight * found["gen/kl_z"])
    torch.testing.assert_close(loss, value(objectives.Elbo(Z, beta=2.0), model)[0])


def test_kl_is_held_to_its_capacity_by_its_mean_over_the_batch():
    model, x = Linear(), draws(B, D)
    kl = model.negative_elbo_terms(x)[0]
    middle = kl.mean().item()
    objective = objectives.Capacity(Z, gamma=3.0, capacity=2 * (middle + 0.1), warmup=10)
    for _ in range(5):
        model.advance()
    loss, found = value(objective, model, x)
    torch.testing.assert_close(loss, found["gen/rec"] + 3.0 * 0.1)
    # The mutant: each image's own distance.
    assert (kl - middle - 0.1).abs().mean() > 0.2


def test_free_bits_are_free():
    model, x = Linear(), draws(B, D)
    torch.testing.assert_close(
        value(objectives.FreeBits(Z, 0.0), model, x)[0], value(objectives.Elbo(Z), model, x)[0]
    )
    q = model.posterior(x)
    zero, one = torch.zeros(1).double(), torch.ones(1).double()
    kl = torch.stack([ut.kl_normal(q.m[:, [j]], q.v[:, [j]], zero, one) for j in range(Z)])
    bits = kl.mean(1).median().item()
    loss, found = value(objectives.FreeBits(Z, bits), model, x)
    expected = found["gen/rec"] + kl.mean(1).clamp(min=bits).sum()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(found["gen/kl_z"], kl.sum(0).mean())
    # All of it free: no gradient of kl, that of rec alone.
    free = gradient(objectives.FreeBits(Z, 1e3), model, x)
    torch.manual_seed(7)
    rec = -model.likelihood(q.rsample()).log_prob(x).mean()
    for mine, theirs in zip(free, torch.autograd.grad(rec, list(model.parameters())), strict=True):
        torch.testing.assert_close(mine, theirs)


# Several samples


def test_one_sample_is_the_elbo_and_one_group_iwae():
    model, x = Linear(), draws(B, D)
    one = importance.Iwae(Z, 1)
    plain = value(one, model, x)[1]
    torch.testing.assert_close(value(one, model, x)[0], -plain["gen/elbo"])
    for same in (importance.Dreg(Z, 1), importance.Renyi(Z, 1, 0.3), importance.Ciwae(Z, 1, 0.7)):
        torch.testing.assert_close(value(same, model, x)[0], value(one, model, x)[0])
    torch.testing.assert_close(
        value(importance.Miwae(Z, 6, 1), model, x)[0], value(importance.Iwae(Z, 6), model, x)[0]
    )
    each = value(importance.Miwae(Z, 1, 6), model, x)
    torch.testing.assert_close(each[0], -each[1]["gen/elbo"])


def test_miwae_averages_bounds_of_k_samples_and_not_k_bounds_of_m():
    """With K ≠ M: the mutant that swaps them is another number."""
    model, x = Linear(), draws(B, D)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        kl, rec = importance.terms_of(model, x, 6)
    by_hand = (kl + rec).reshape(3, 2, B)  # samples, groups
    expected = -((-by_hand).logsumexp(0) - math.log(3)).mean()
    swapped = -((-by_hand).logsumexp(1) - math.log(2)).mean()
    found = value(importance.Miwae(Z, samples=3, groups=2), model, x)[0]
    torch.testing.assert_close(found, expected)
    assert abs(found - swapped) > 1e-3


def test_ciwae_mixes_and_renyi_goes_from_iwae_to_the_elbo():
    model, x = Linear(), draws(B, D)
    iwae, plain = value(importance.Iwae(Z, 5), model, x)
    nelbo = -plain["gen/elbo"]
    for mix in (0.0, 0.3, 1.0):
        torch.testing.assert_close(
            value(importance.Ciwae(Z, 5, mix), model, x)[0], mix * nelbo + (1 - mix) * iwae
        )
    torch.testing.assert_close(value(importance.Renyi(Z, 5, 0.0), model, x)[0], iwae)
    torch.testing.assert_close(value(importance.Renyi(Z, 5, 1.0), model, x)[0], nelbo)
    near = value(importance.Renyi(Z, 5, 0.9995), model, x)[0]
    torch.testing.assert_close(near, nelbo, rtol=1e-2, atol=0.05)
    costs = [value(importance.Renyi(Z, 5, a), model, x)[0].item() for a in (0, 0.5, 0.9, 1, 2, 5)]
    assert costs == sorted(costs)  # the bound falls in α


def test_weights_are_an_image_s_own():
    """The mutant that weighs whole batches (a sum over images inside the logarithm) is another."""
    model, x = Linear(), draws(B, D)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        kl, rec = importance.terms_of(model, x, 5)
    whole = -((-(kl + rec).sum(1)).logsumexp(0) - math.log(5)) / B
    assert abs(value(importance.Iwae(Z, 5), model, x)[0] - whole) > 0.05


def test_more_samples_bound_more_tightly_down_to_log_p():
    model, x = Linear(), draws(B, D)
    precision = torch.eye(Z).double() + model.a.T @ model.a / model.s**2
    with torch.no_grad():  # somewhat wider than the true posterior, so that the weights have tails
        model.w.copy_(precision.inverse() @ model.a.T / model.s**2)
        model.log_v.copy_((1.5 / precision.diagonal()).log())
    with torch.no_grad():
        costs = [
            torch.stack([value(importance.Iwae(Z, m), model, x, i)[0] for i in range(60)]).mean()
            for m in (1, 4, 16, 2_000)
        ]
    assert costs == sorted(costs, reverse=True)
    covariance = model.a @ model.a.T + model.s**2 * torch.eye(D).double()
    log_p = MultivariateNormal(torch.zeros(D).double(), covariance).log_prob(x).mean()
    assert costs[-1].item() == pytest.approx(-log_p.item(), abs=0.03)


def of_posteriors(posterior):
    """A prior in which the encoder stands too: two fixed images' posteriors."""
    return Mixture(posterior(draws(2, D, seed=8)))


class Loss(torch.nn.Module):
    """A model's loss by an objective, as torch.func calls it."""

    def __init__(self, model, objective):
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, x):
        return self.objective(self.model, x, "model")[0]


def mean_gradient(objective, model, x, repeats):
    """Of every parameter, over draws that differ, with its standard error: (P,) each."""
    loss = Loss(model, objective)
    parameters = {k: p.detach() for k, p in loss.named_parameters()}

    def of_one(p, _):
        return functional_call(loss, p, (x,))

    with seeded(5):
        of_each = vmap(grad(of_one), in_dims=(None, 0), randomness="different")
        found = of_each(parameters, torch.zeros(repeats))
    rows = torch.cat([g.flatten(1) for g in found.values()], dim=1)
    return rows.mean(0), rows.std(0) / repeats**0.5


class Unsplit(importance.Dreg):
    """The mutant: w̃² on everything the encoder has a part in, the prior too."""

    def forward(self, model, x, player):
        q = model.posterior(x)
        z = q.rsample((self.samples,))
        held = q.detached()
        kl, rec = held.log_prob(z) - model.prior().log_prob(z), -model.likelihood(z).log_prob(x)
        share = (-(kl + rec)).softmax(0).detach()
        return (share.square() * (kl + rec)).sum(0).mean(), {}


@pytest.mark.parametrize("of", [None, of_posteriors], ids=["normal", "vamp"])
def test_dreg_has_iwae_s_gradient_in_the_mean_and_the_mutant_has_not(of):
    model, x, n = Linear(of), draws(2, D), 6_000
    (iwae, se), (dreg, other) = (
        mean_gradient(kind(Z, 4), model, x, n) for kind in (importance.Iwae, importance.Dreg)
    )
    assert ((iwae - dreg).abs() < 5 * torch.hypot(se, other)).all()
    if of:
        wrong, its = mean_gradient(Unsplit(Z, 4), model, x, n)
        encoder = slice(D * Z, None)
        off = (iwae - wrong).abs() / torch.hypot(se, its)
        assert off[encoder].max() > 8


def test_stl_at_one_sample_is_dreg_and_has_the_elbo_s_gradient_in_the_mean():
    model, x = Linear(), draws(2, D)
    pairs = (gradient(kind, model, x) for kind in (importance.Stl(Z), importance.Dreg(Z, 1)))
    for a, b in zip(*pairs, strict=True):
        torch.testing.assert_close(a, b)
    (stl, se), (elbo, other) = (
        mean_gradient(kind, model, x, 4_000) for kind in (importance.Stl(Z), objectives.Elbo(Z))
    )
    assert ((stl - elbo).abs() < 5 * torch.hypot(se, other)).all()


def test_at_the_true_posterior_stl_s_gradient_of_the_encoder_is_0():
    """Of one latent, whose true posterior is diagonal: every single draw's."""

    class One(Linear):
        def __init__(self):
            super().__init__()
            self.z_dim = 1
            self.a = torch.nn.Parameter(draws(D, 1))
            precision = 1 + self.a.detach().square().sum() / self.s**2
            self.w = torch.nn.Parameter(self.a.detach().T / self.s**2 / precision)
            self.log_v = torch.nn.Parameter((-precision.log()).reshape(1))

        def prior(self):
            return DiagonalGaussian(torch.zeros(1).double(), torch.ones(1).double())

    model = One()
    for objective in (importance.Stl(1), importance.Dreg(1, 4)):
        _, w, v = gradient(objective, model)
        assert w.abs().max() < 1e-9
        assert v.abs().max() < 1e-9
    _, w, _ = gradient(objectives.Elbo(1), model)
    assert w.abs().max() > 1e-3


def test_dreg_s_gradient_varies_less_the_more_samples():
    model, x = Linear(), draws(2, D)
    spread = {
        (kind, m): mean_gradient(kind(Z, m), model, x, 300)[1][D * Z :].mean().item()
        for kind in (importance.Iwae, importance.Dreg)
        for m in (1, 32)
    }
    assert spread[importance.Dreg, 32] < spread[importance.Dreg, 1] / 5
    assert spread[importance.Dreg, 32] < spread[importance.Iwae, 32] / 2


def test_piwae_s_players_minimize_different_bounds_and_share_no_parameter():
    torch.manual_seed(0)
    model = FamilyVAE("run", Z, objective=lambda z: importance.Piwae(z, 3, 2))
    players = model.players()
    names = {id(p): name for name, p in model.named_parameters()}
    own = {player: {names[id(p)].split(".")[0] for p in ps} for player, ps in players.items()}
    assert own == {"model": {"dec"}, "encoder": {"enc"}}
    linear = Linear()
    for player, other in (("encoder", importance.Miwae(Z, 3, 2)), ("model", importance.Iwae(Z, 6))):
        mine = value(importance.Piwae(Z, 3, 2), linear, player=player)[0]
        torch.testing.assert_close(mine, value(other, linear)[0])


# Distances between codes and prior


def test_the_mmd_is_unbiased():
    """One law: its mean is 0. Shifted: it grows. With its diagonals left in it would not be 0."""
    found, kept = [], []
    for i in range(400):
        a, b = draws(7, Z, seed=2 * i), draws(7, Z, seed=2 * i + 1)
        found.append(matching.mmd(a, b))
        n = len(a)
        k = matching.kernel
        kept.append(k(a, a).mean() + k(b, b).mean() - 2 * k(a, b).mean())
    found, kept = torch.stack(found), torch.stack(kept)
    assert abs(found.mean()) < 5 * found.std() / 20
    assert kept.mean() > 5 * kept.std() / 20
    assert matching.mmd(draws(50, Z), draws(50, Z, seed=2) + 1) > 0.1
    assert n == 7


def test_the_mmd_of_a_gaussian_kernel_has_its_closed_form(monkeypatch):
    """exp(−d²/2), N(μ, I) from N(0, I): 2·3^(−Z/2) (1 − e^(−‖μ‖²/6))."""
    monkeypatch.setattr(
        matching, "kernel", lambda a, b: (-(a.unsqueeze(1) - b).square().sum(-1) / 2).exp()
    )
    shift = torch.tensor([0.5, -1.0, 0.3]).double()
    pairs = ((draws(60, Z, seed=2 * i), draws(60, Z, seed=2 * i + 1)) for i in range(300))
    found = torch.stack([matching.mmd(a + shift, b) for a, b in pairs])
    expected = 2 * 3 ** (-Z / 2) * (1 - math.exp(-shift.square().sum().item() / 6))
    assert abs(found.mean() - expected) < 5 * found.std() / 300**0.5


def test_the_kernel_is_a_sum_of_inverse_multiquadratics():
    a, b = draws(2, Z), draws(4, Z, seed=2)
    d = torch.cdist(a, b).square()
    expected = sum(2 * Z * s / (2 * Z * s + d) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10))
    torch.testing.assert_close(matching.kernel(a, b), expected)


def test_a_shift_is_its_square_over_the_dimensions_apart():
    a, shift = draws(40, Z), torch.tensor([0.5, -1.0, 2.0]).double()
    with seeded(1):
        found = torch.stack([matching.sliced(a, a + shift, 200) for _ in range(50)])
    expected = shift.square().sum() / Z
    assert abs(found.mean() - expected) < 5 * found.std() / 50**0.5
    with seeded(1):
        assert matching.sliced(a, a[torch.randperm(40)], 9) == 0


def test_squared_errors_are_summed_over_pixels_and_the_bound_is_plain():
    model, x = Linear(), draws(B, D)
    loss, found = value(matching.Wae(Z, weight=0.0), model, x)
    torch.manual_seed(7)
    z = model.posterior(x).rsample()
    expected = (x - model.likelihood(z).mean).square().sum(-1).mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(found["gen/squared_error"], expected)
    full = value(matching.InfoVae(Z, alpha=0.0, weight=1.0), model, x)
    torch.testing.assert_close(full[0], -full[1]["gen/elbo"])  # α + λ = 1: the ELBO
    whole = value(matching.InfoVae(Z, alpha=1.0, weight=4.0), model, x)
    torch.testing.assert_close(whole[0], whole[1]["gen/rec"] + 4 * whole[1]["gen/mmd"])


# Dimensions apart


def test_where_the_networks_are_in_bf16_distances_of_codes_are_not():
    """Sorted or cancelled, the mutant's are off by their rounding."""
    a, b = draws(40, Z), draws(40, Z, seed=2)
    with seeded(1):
        expected = matching.sliced(a, b, 9).float(), disentangling.covariance(a).float()
    with seeded(1), torch.autocast("cpu", torch.bfloat16):
        found = matching.sliced(a.float(), b.float(), 9), disentangling.covariance(a.float())
    assert {t.dtype for t in found} == {torch.float32}
    torch.testing.assert_close(found[1], expected[1])


def test_the_covariance_is_torch_s_over_the_batch():
    m = draws(9, Z)
    torch.testing.assert_close(disentangling.covariance(m), torch.cov(m.T, correction=0))
    over_latents = m - m.mean(1, keepdim=True)  # the mutant
    assert not torch.allclose(over_latents.T @ over_latents / 9, disentangling.covariance(m))


@pytest.mark.parametrize("kind", [1, 2])
def test_dip_s_penalty(kind):
    model, x = Linear(), draws(B, D)
    loss, found = value(disentangling.Dip(Z, kind, off=3.0, on=2.0), model, x)
    q = model.posterior(x)
    c = torch.cov(q.m.T, correction=0)
    if kind == 2:
        c = c + torch.diag(q.v.mean(0))
    off = sum(c[i, j] ** 2 for i in range(Z) for j in range(Z) if i != j)
    expected = 3.0 * off + 2.0 * (c.diagonal() - 1).square().sum()
    torch.testing.assert_close(found["gen/dip"], expected)
    torch.testing.assert_close(loss, -found["gen/elbo"] + expected)


def test_shares_are_weights_of_all_images():
    shares = disentangling.log_shares(5, 12, draws(1)).exp()
    torch.testing.assert_close(shares.sum(1), torch.ones(5).double())
    torch.testing.assert_close(shares.diagonal(), torch.full((5,), 1 / 12).double())
    whole = disentangling.log_shares(7, 7, draws(1)).exp()
    torch.testing.assert_close(whole, torch.full((7, 7), 1 / 7).double())


def test_the_decomposition_is_exact_for_all_images_and_adds_up():
    model, x = Linear(), draws(B, D)
    q, p = model.posterior(x), model.prior()
    z = q.rsample()
    log_p = p.log_prob(z)
    mi, tc, apart = disentangling.decomposed(z, q, log_p, B)
    torch.testing.assert_close(mi + tc + apart, q.log_prob(z) - log_p)
    # By hand, an image and a dimension at a time.
    for i in range(B):
        each = [[_log_n(z[i, j], q.m[k, j], q.v[k, j]) for j in range(Z)] for k in range(B)]
        joint = math.log(sum(math.exp(sum(row)) for row in each) / B)
        single = sum(math.log(sum(math.exp(row[j]) for row in each) / B) for j in range(Z))
        assert mi[i].item() == pytest.approx(q.log_prob(z)[i].item() - joint)
        assert tc[i].item() == pytest.approx(joint - single)
        assert apart[i].item() == pytest.approx(single - log_p[i].item())


def _log_n(z, m, v):
    return (-0.5 * ((z - m) ** 2 / v + v.log() + math.log(2 * math.pi))).item()


def test_mutual_information_is_at_most_log_n_and_reached_by_codes_far_apart():
    q = DiagonalGaussian(torch.arange(6.0).double().unsqueeze(1) * 50, torch.ones(6, 1).double())
    z = q.rsample()
    mi, tc, _ = disentangling.decomposed(z, q, torch.zeros(6).double(), 6)
    assert mi.mean().item() == pytest.approx(math.log(6))
    assert tc.abs().max() < 1e-9  # of one dimension there is none


def test_a_minibatch_s_estimate_of_q_is_unbiased():
    """Over minibatches that hold image 0, the mean estimate of q(z_0) is that of all images."""
    m, v = draws(8, 2), draws(8, 2, seed=2).exp()
    z = m[:1] + 0.3
    everyone = torch.stack([DiagonalGaussian(m[k], v[k]).log_prob(z)[0] for k in range(8)])
    exact = everyone.exp().mean()
    import itertools

    found = []
    for others in itertools.combinations(range(1, 8), 3):
        rows = [0, *others]
        shares = disentangling.log_shares(4, 8, z)[0]
        found.append((shares + everyone[rows]).exp().sum())
    torch.testing.assert_close(torch.stack(found).mean(), exact)


def test_tc_with_weight_1_is_the_elbo():
    model, x = Linear(), draws(B, D)
    loss, found = value(disentangling.TotalCorrelation(Z, beta=1.0), model, x)
    torch.testing.assert_close(loss, -found["gen/elbo"])
    parts = found["gen/mi"] + found["gen/tc"] + found["gen/dimension_kl"]
    torch.testing.assert_close(parts, found["gen/kl_z"])
    objective = disentangling.TotalCorrelation(Z, beta=3.0)
    objective.prepare(lambda: torch.zeros(17, D))
    assert objective.images == 17
    loss, found = value(objective, model, x)
    torch.testing.assert_close(loss, -found["gen/elbo"] + 2 * found["gen/tc"])


def test_dimensions_are_shuffled_each_for_itself():
    z = torch.arange(200.0).unsqueeze(1).expand(200, 2)
    with seeded(1):
        found = disentangling.shuffled(z)
    for j in range(2):
        assert torch.equal(found[:, j].sort().values, z[:, j])
    assert (found[:, 0] != found[:, 1]).float().mean() > 0.9  # not one order for all
    assert abs(torch.corrcoef(found.T)[0, 1]) < 0.3


def test_the_discriminator_finds_the_total_correlation_of_a_gaussian():
    """TC = −½ log |R|; its log odds, once it is trained, average to that."""
    torch.manual_seed(0)
    r = 0.8
    objective = disentangling.Factor(2, width=32)
    factor = torch.linalg.cholesky(torch.tensor([[1.0, r], [r, 1.0]]))

    class Coded(Linear):
        def posterior(self, x):
            return DiagonalGaussian(x, torch.full_like(x, 1e-8))

    model = Coded()
    optimizer = torch.optim.Adam(objective.players(model)["discriminator"], 3e-3)
    for _ in range(400):
        loss, _ = objective(model, torch.randn(256, 2) @ factor.T, "discriminator")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = objective.log_odds(torch.randn(20_000, 2) @ factor.T).mean().item()
    assert found == pytest.approx(-0.5 * math.log(1 - r**2), abs=0.08)


def test_each_player_moves_its_own_parameters():
    torch.manual_seed(0)
    model = FamilyVAE("run", Z, objective=lambda z: disentangling.Factor(z, 5.0, 8))
    players = model.players()
    assert players.keys() == {"model", "discriminator"}
    assert not {id(p) for p in players["model"]} & {id(p) for p in players["discriminator"]}
    x = (torch.rand(6, 784) < 0.3).float()
    loss, _ = model.loss(x, player="discriminator")
    loss.backward()
    assert all(p.grad is None for p in model.enc.parameters())  # codes are given to it
    loss, found = model.loss(x)
    torch.testing.assert_close(loss, -found["gen/elbo"] + 5.0 * found["gen/tc"])


# Stacked


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["elbo", "miwae", "dreg", "stl", "infovae", "swae", "tc", "dip"])
def test_batched_models_have_the_mean_gradient_that_they_have_alone(name):
    """Under vmap a trick that is left out in silence would give another."""
    model, x = Linear(), draws(B, D)
    model.advance()
    batched, se = mean_gradient(ALL[name], model, x, 3_000)
    rows = [torch.cat([g.flatten() for g in gradient(ALL[name], model, x, i)]) for i in range(250)]
    rows = torch.stack(rows)
    assert ((batched - rows.mean(0)).abs() < 5 * torch.hypot(se, rows.std(0) / 250**0.5)).all()


def test_a_prior_with_an_encoder_in_it_is_the_vamp_prior_s_shape():
    """What the mutants are tried with is what the VampPrior is."""
    torch.manual_seed(0)
    model = FamilyVAE("run", Z, prior=lambda z, x: priors.Vamp(z, x, 4))
    assert isinstance(model.prior(), Mixture)
    assert model.prior().k == 4
