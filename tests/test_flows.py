"""Flow priors and posteriors against Jacobians, quadrature and closed forms."""

import math

import oracles
import pytest
import torch
from oracles import draws
from torch.distributions import MultivariateNormal, kl_divergence
from torch.func import jacrev, vmap

from codebase.engine.randomness import seeded
from codebase.models import flows, posteriors, priors
from codebase.models.distributions import DiagonalGaussian, FullGaussian, Mixture, sample_and_kl
from codebase.models.family import FamilyVAE

Z, B = 4, 3


def shaken(module, scale=0.5):
    """Away from where it begins, in float64."""
    torch.manual_seed(0)
    module = module.double()
    with torch.no_grad():
        for p in module.parameters():
            p.add_(scale * torch.randn_like(p))
    return module


def log_det_of(flow, z):
    """log |det| of the Jacobian at every row of z, by automatic differentiation."""
    jacobians = vmap(jacrev(lambda one: flow(one)[0]))(z)
    return torch.linalg.slogdet(jacobians).logabsdet


MODULES = {
    "coupling": lambda z: flows.Coupling(z, 5, odd=False),
    "coupling, odd": lambda z: flows.Coupling(z, 5, odd=True),
    "autoregressive": lambda z: flows.Autoregressive(z, 7, backwards=False),
    "autoregressive, backwards": lambda z: flows.Autoregressive(z, 7, backwards=True),
}


def of_an_image(name, z_dim=Z):
    """A flow whose parameters are one image's own, far from the identity."""
    w, u = draws(z_dim, seed=2), 2 * draws(z_dim, seed=3)
    if name == "planar":
        return lambda z: flows.planar(z, w, u, torch.tensor(0.3).double())
    if name == "radial":
        return lambda z: flows.radial(z, w, torch.tensor(0.2).double(), torch.tensor(1.5).double())
    if name == "radial, pulling":
        return lambda z: flows.radial(z, w, torch.tensor(0.2).double(), torch.tensor(-3.0).double())
    net = shaken(flows.InverseAutoregressive(z_dim, 7, 5, backwards=name.endswith("backwards")))
    h = draws(5, seed=4)
    return lambda z: net(z, h)


CORNERS = [(slice(*i), slice(*j)) for i, j in (((-1,), (-1,)), ((1, None), (-1,)),
           ((1, None), (1, None)), ((-1,), (1, None)))]  # fmt: skip
GIVEN = "planar", "radial", "radial, pulling", "iaf", "iaf, backwards"


@pytest.mark.parametrize("z_dim", [1, 2, 5])
@pytest.mark.parametrize("name", MODULES)
def test_a_flow_with_weights_has_its_log_det_and_its_inverse(name, z_dim):
    flow, z = shaken(MODULES[name](z_dim)), draws(6, z_dim)
    u, log_det = flow(z)
    torch.testing.assert_close(log_det, log_det_of(flow, z))
    torch.testing.assert_close(flow.inverse(u), z)
    if z_dim > 1:  # of one dimension the odd coupling is the identity
        assert (u - z).abs().max() > 0.01


@pytest.mark.parametrize("z_dim", [1, 2, 5])
@pytest.mark.parametrize("name", GIVEN)
def test_an_image_s_own_flow_has_its_log_det(name, z_dim):
    flow, z = of_an_image(name, z_dim), draws(6, z_dim)
    _, log_det = flow(z)
    torch.testing.assert_close(log_det, log_det_of(flow, z))


@pytest.mark.parametrize("name", GIVEN)
def test_a_pushed_gaussian_integrates_to_one(name):
    """In two dimensions, on a grid of z₀: the areas that f makes of its cells, times q, sum to 1;
    and f is one to one, its determinant nowhere below 0."""
    flow, edges = of_an_image(name, 2), torch.linspace(-5, 5, 401).double()
    corners, _ = flow(torch.cartesian_prod(edges, edges))
    a, b, c, d = (corners.view(401, 401, 2)[i, j] for i, j in CORNERS)  # around each cell
    (x, y), (s, t) = (c - a).unbind(-1), (d - b).unbind(-1)
    areas = (x * t - y * s) / 2  # half the diagonals' cross product
    middles = (edges[1:] + edges[:-1]) / 2
    z = torch.cartesian_prod(middles, middles)
    base = DiagonalGaussian(torch.zeros(2).double(), torch.ones(2).double())
    q = (base.log_prob(z) - flow(z)[1]).exp()
    assert (q * areas.flatten()).sum().item() == pytest.approx(1, abs=1e-3)
    signs = torch.linalg.slogdet(vmap(jacrev(lambda z: flow(z)[0]))(draws(500, 2) * 2)).sign
    assert (signs > 0).all()


def test_a_planar_flow_without_its_condition_would_fold():
    """The mutant: u in the place of û, whose determinant is below 0 somewhere."""
    w, z = draws(2, seed=2), draws(500, 2) * 2
    u = -3 * w / w.square().sum()

    def folded(z):
        return z + u * torch.tanh((w * z).sum(-1, keepdim=True))

    assert (torch.linalg.slogdet(vmap(jacrev(folded))(z)).sign < 0).any()
    zero = torch.tensor(0.0).double()
    kept = torch.linalg.slogdet(vmap(jacrev(lambda z: flows.planar(z, w, u, zero)[0]))(z))
    assert (kept.sign > 0).all()


@pytest.mark.parametrize("backwards", [False, True])
def test_a_made_s_outputs_see_the_dimensions_before_their_own_and_all_of_the_context(backwards):
    net, z, h = shaken(flows.Made(5, 8, 3, backwards)), draws(5), draws(3)
    for which in (0, 1):
        j = jacrev(lambda z, which=which: net(z, h)[which])(z)
        seen = j.flip(0, 1) if backwards else j
        assert (seen.triu() == 0).all()
        assert (seen.tril(-1).abs().sum(1)[1:] > 0).all()
        by_context = jacrev(lambda h, which=which: net(z, h)[which])(h)
        assert (by_context.abs().sum(1) > 0).all()  # the first dimension's too


def test_flows_turn_the_order_of_dimensions_between_them():
    """So that every dimension of the last depends on every one of the first."""
    part = shaken(posteriors.Iaf(Z, 6, steps=2, hidden=16))
    first, second = part.of_images(draws(6))
    j = jacrev(lambda z: second(first(z)[0])[0])(draws(Z))
    assert (j != 0).all()
    for prior in (priors.RealNVP(Z, 9, 3, 8), priors.Maf(Z, 9, 2, 16)):
        flow = shaken(prior).flow
        j = jacrev(lambda z, flow=flow: flow(z)[0])(draws(Z))
        assert (j != 0).sum() > Z * Z - Z


# Distributions


@pytest.mark.parametrize("kind", [priors.RealNVP, priors.Maf])
def test_a_flow_prior_begins_as_the_normal_and_integrates_to_one(kind):
    z = draws(7, Z)
    expected = DiagonalGaussian(torch.zeros(Z).double(), torch.ones(Z).double()).log_prob(z)
    torch.testing.assert_close(kind(Z, 9).double()(None).log_prob(z), expected)
    # The mean of p/N over a wider Gaussian's draws is 1, within 5 standard errors.
    p = shaken(kind(2, 9, 2, 6), 0.3)(None)
    n = 200_000
    proposal = DiagonalGaussian(torch.zeros(2).double(), torch.full((2,), 2.5**2).double())
    z = draws(n, 2) * 2.5
    with torch.no_grad():
        weights = (p.log_prob(z) - proposal.log_prob(z)).exp()
    assert abs(weights.mean() - 1) < 5 * weights.std() / math.sqrt(n)


@pytest.mark.parametrize("kind", [priors.RealNVP, priors.Maf])
def test_a_flow_prior_s_samples_are_of_its_density(kind):
    """E log p of its own samples, against the same by importance sampling from a wider Gaussian."""
    p = shaken(kind(2, 9, 2, 6), 0.3)(None)
    with seeded(3):
        z = p.rsample((50_000,))
        wide = draws(400_000, 2) * 2.5
        proposal = DiagonalGaussian(torch.zeros(2).double(), torch.full((2,), 2.5**2).double())
        weights = (p.log_prob(wide) - proposal.log_prob(wide)).exp()
    for of in (lambda z: z[:, 0], lambda z: z[:, 1].square(), lambda z: z.prod(-1)):
        direct, weighted = of(z), weights * of(wide)
        se = math.hypot(direct.std() / 50_000**0.5, weighted.std() / 400_000**0.5)
        assert abs(direct.mean() - weighted.mean()) < 5 * se
    assert (p.mean - z.mean(0)).abs().max() < 0.1
    assert torch.equal(p.mean, p.mean)


def test_a_pushed_gaussian_s_density_is_that_of_its_samples():
    """log q by the change of variables, at the z₀ that were drawn."""
    flow = of_an_image("iaf")
    base = DiagonalGaussian(draws(Z), draws(Z, seed=5).exp())
    q = flows.Pushed(base, [flow, of_an_image("planar")], flows.fixed_noise(8, Z).double())
    with seeded(2):
        z, log_q = q.rsample_and_log_prob((6,))
    with seeded(2):
        z0 = base.rsample((6,))
    step, log_det = flow(z0)
    last, more = of_an_image("planar")(step)
    torch.testing.assert_close(z, last)
    dets = log_det_of(flow, z0) + log_det_of(of_an_image("planar"), step)
    torch.testing.assert_close(log_det + more, dets)
    torch.testing.assert_close(log_q, base.log_prob(z0) - dets)
    assert log_q.shape == (6,)
    with pytest.raises(TypeError, match="own samples"):
        q.log_prob(z)
    with pytest.raises(TypeError, match="no parameters"):
        q.detached()


def test_a_log_det_summed_over_the_batch_would_be_seen():
    """The mutant: one number for all images."""
    part = shaken(posteriors.Planar(Z, 6, 3))
    q = part(draws(B, Z), draws(B, Z).exp(), draws(B, 6))
    with seeded(1):
        _, log_q = q.rsample_and_log_prob((2,))
    assert log_q.shape == (2, B)
    for i in range(B):  # each image's alone, with the same noise
        one = part(draws(B, Z)[i], draws(B, Z)[i].exp(), draws(B, 6)[i])
        flow_log_det = one._push(one.base.m)[1]
        whole = q._push(q.base.m)[1]
        torch.testing.assert_close(flow_log_det, whole[i])


PARTS = {
    "full": lambda h: posteriors.Full(Z, h),
    "planar": lambda h: posteriors.Planar(Z, h),
    "radial": lambda h: posteriors.Radial(Z, h),
    "iaf": lambda h: posteriors.Iaf(Z, h),
    "householder": lambda h: posteriors.Householder(Z, h, 4),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_posterior_begins_as_the_diagonal_one(name, digits):
    torch.manual_seed(0)
    kind = {"full": posteriors.Full, "planar": posteriors.Planar, "radial": posteriors.Radial}
    kind |= {"iaf": posteriors.Iaf, "householder": posteriors.Householder}
    family = FamilyVAE("run", Z, posterior=kind[name]).double()
    torch.manual_seed(0)
    plain = FamilyVAE("run", Z).double()
    x = (digits.train_x[:5] > 99).double()
    with seeded(1):
        expected = plain.importance_terms(x, 3)
    with seeded(1):
        found = family.importance_terms(x, 3)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_each_image_has_flows_of_its_own():
    for name in ("planar", "radial", "iaf", "householder", "full"):
        part = shaken(PARTS[name](6))
        m, v = draws(1, Z).expand(2, Z), draws(1, Z).exp().expand(2, Z)
        with seeded(1):
            q = part(m, v, torch.stack([draws(6), draws(6, seed=9)]))
            z, log_q = q.rsample_and_log_prob((4,))
        assert z.shape == (4, 2, Z)
        assert q.mean.shape == q.variance.shape == (2, Z)
        assert not torch.allclose(q.variance[0], q.variance[1])
        assert log_q.shape == (4, 2)


# Full covariances


def test_a_full_gaussian_is_torch_s():
    q = shaken(PARTS["full"](6))(draws(B, Z), draws(B, Z).exp(), draws(B, 6))
    theirs = MultivariateNormal(q.m, scale_tril=q.factor)
    z = draws(5, B, Z, seed=7)
    torch.testing.assert_close(q.log_prob(z), theirs.log_prob(z))
    torch.testing.assert_close(q.variance, theirs.variance)
    p = DiagonalGaussian(draws(Z, seed=8), draws(Z, seed=9).exp())
    other = MultivariateNormal(p.m, torch.diag(p.v))
    with seeded(1):
        sample, kl = sample_and_kl(q, p)
    torch.testing.assert_close(kl, kl_divergence(theirs, other))
    with seeded(1):
        drawn, log_q = q.rsample_and_log_prob()
    torch.testing.assert_close(sample, drawn)
    torch.testing.assert_close(log_q, theirs.log_prob(drawn))
    below = q.factor.tril(-1)
    assert (below.abs().sum((-1, -2)) > 0).all()
    assert (q.factor.triu(1) == 0).all()
    assert len(below[0][below[0] != 0].unique()) == Z * (Z - 1) // 2  # each its own number


def test_reflections_make_the_covariance_that_they_say():
    q = shaken(PARTS["householder"](6))(draws(B, Z), draws(B, Z).exp(), draws(B, 6))
    h = torch.eye(Z).double().expand(B, Z, Z)
    for v in q.axes:
        unit = (v / v.norm(dim=-1, keepdim=True))[..., None]
        h = (torch.eye(Z) - 2 * unit @ unit.mT) @ h
    covariance = h @ torch.diag_embed(q.base.v) @ h.mT
    theirs = MultivariateNormal((h @ q.base.m[..., None])[..., 0], covariance)
    torch.testing.assert_close(q.mean, theirs.mean)
    torch.testing.assert_close(q.variance, theirs.variance)
    z = draws(5, B, Z, seed=7)
    torch.testing.assert_close(q.log_prob(z), theirs.log_prob(z))
    p = DiagonalGaussian(draws(Z, seed=8), draws(Z, seed=9).exp())
    kl = sample_and_kl(q, p)[1]
    torch.testing.assert_close(kl, kl_divergence(theirs, MultivariateNormal(p.m, torch.diag(p.v))))
    with seeded(1):
        sample, log_q = q.rsample_and_log_prob((2,))
    torch.testing.assert_close(log_q, theirs.log_prob(sample))


def test_a_full_covariance_closes_the_gap_of_a_linear_gaussian_model():
    """Posterior precision P = I + AᵀA/s²: the diagonal's gap is ½ (Σ log P_ii − log |P|)."""
    a, s, x = draws(6, Z), 0.8, draws(6, seed=3)
    precision = torch.eye(Z).double() + a.T @ a / s**2
    mean = precision.inverse() @ a.T @ x / s**2
    log_p = MultivariateNormal(
        torch.zeros(6).double(), a @ a.T + s**2 * torch.eye(6).double()
    ).log_prob(x)
    p = DiagonalGaussian(torch.zeros(Z).double(), torch.ones(Z).double())

    def elbo(q, covariance):
        expected = -0.5 * ((x - a @ q.mean).square().sum() + (a @ covariance @ a.T).trace()) / s**2
        constant = -3 * math.log(2 * math.pi * s**2)
        return expected + constant - sample_and_kl(q, p)[1]

    full = FullGaussian(mean, torch.linalg.cholesky(precision.inverse()))
    assert (log_p - elbo(full, precision.inverse())).item() == pytest.approx(0, abs=1e-9)
    v = 1 / precision.diagonal()
    gap = 0.5 * (precision.diagonal().log().sum() - precision.logdet())
    diagonal = DiagonalGaussian(mean, v)
    assert (log_p - elbo(diagonal, torch.diag(v))).item() == pytest.approx(gap.item(), abs=1e-9)
    assert gap > 0.1


# The VampPrior


def test_the_vamp_prior_is_the_mixture_of_the_posteriors_of_its_images(digits):
    torch.manual_seed(0)
    model = FamilyVAE("run", 3, prior=lambda z, x: priors.Vamp(z, x, 7, "data"))
    images = digits.train_x[:30].float() / 255
    with torch.no_grad():  # an untrained encoder's posteriors are nearly alike
        for p in model.enc.parameters():
            p.mul_(3)
    with seeded(2):
        model.prepare(lambda: images)
    found = model.prior_part.images
    # Each is a training image, but for where that is black or white.
    distances = torch.cdist(found, images.clamp(0.01, 0.99)).min(1).values
    assert distances.max() < 0.02
    m, v, _ = model.enc(found)
    z = torch.randn(5, 3)
    expected = oracles.mixture(m.unsqueeze(0), v.unsqueeze(0)).log_prob(z)
    torch.testing.assert_close(model.prior().log_prob(z), expected)
    with seeded(1), torch.no_grad():
        drawn = model.prior().rsample((4_000,))
    # From all K of them, each as often.
    assert oracles.within(drawn.mean(0), drawn.std(0) / 4_000**0.5, m.mean(0))
    variance = (v + m.square()).mean(0) - m.mean(0).square()
    squares = (drawn - m.mean(0)).square()
    assert oracles.within(squares.mean(0), squares.std(0) / 4_000**0.5, variance)
    assert (m.var(0, correction=0) > 0.1 * variance).any()


def test_a_vamp_prior_of_all_images_costs_the_mutual_information_at_most_log_n(digits):
    """u = the data: the mean of KL(q(z|x) ‖ p(z)) is I(x; z) ≤ log N."""
    torch.manual_seed(0)
    model = FamilyVAE("run", 2).double()
    with torch.no_grad():
        for p in model.enc.parameters():
            p.mul_(3)
    x = (digits.train_x[:40] > 99).double()
    q = model.posterior(x)
    p = Mixture(DiagonalGaussian(q.m, q.v))
    with seeded(1):
        z, log_q = q.rsample_and_log_prob((2_000,))
        kl = (log_q - p.log_prob(z)).mean()
    assert 0.5 < kl < math.log(40)


def test_a_posterior_of_full_covariance_may_stand_in_a_vamp_prior(digits):
    torch.manual_seed(0)
    model = FamilyVAE("run", 3, prior=lambda z, x: priors.Vamp(z, x, 5), posterior=posteriors.Full)
    model = shaken(model, 0.02)
    q = model.posterior(model.prior_part.images)
    z = draws(6, 3)
    each = MultivariateNormal(q.m, scale_tril=q.factor).log_prob(z[:, None])
    torch.testing.assert_close(model.prior().log_prob(z), each.logsumexp(1) - math.log(5))
