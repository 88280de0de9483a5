"""The tensor maths of codebase.utils, each function against torch.distributions or float64."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from oracles import gaussian, mixture, normal, positive, seeded, steady
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence
from torch.testing import assert_close

from codebase import utils as ut

sizes = st.integers(1, 6)
seeds = st.integers(0, 10_000)
dtypes = st.sampled_from([torch.float32, torch.float64])
shapes = st.lists(st.integers(1, 5), min_size=0, max_size=3).map(tuple)
scales = st.sampled_from([1e-3, 1.0, 1e3])
spreads = st.sampled_from([0.1, 1.0, 4.0])  # of log-variances

exactly = partial(assert_close, rtol=0, atol=0)
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def assert_accurate(actual, expected, magnitude=1.0):
    """Equal to the float64 oracle, up to rounding of terms as large as `magnitude`."""
    assert actual.shape == expected.shape
    eps = 64 * torch.finfo(actual.dtype).eps
    assert ((actual.double() - expected).abs() <= eps * (expected.abs() + magnitude)).all()


# --- sample_gaussian ------------------------------------------------------------------------


@steady
@given(shapes, seeds, dtypes)
def test_a_sample_is_m_plus_root_v_times_one_global_normal(shape, seed, dtype):
    m, v = gaussian(*shape, seed=1, dtype=dtype), positive(*shape, seed=2, dtype=dtype)
    z = seeded(seed, ut.sample_gaussian, m, v)
    state = torch.get_rng_state()
    noise = seeded(seed, torch.randn_like, m)
    assert_close(z, m + v.sqrt() * noise)
    assert torch.equal(state, torch.get_rng_state()), "exactly one normal per element is drawn"
    assert z.dtype == dtype


def test_samples_have_the_mean_and_the_variance_asked_for():
    n, m, v = 100_000, torch.tensor([-3.0, 0.0, 2.0]), torch.tensor([0.01, 1.0, 9.0])
    z = seeded(0, ut.sample_gaussian, m.expand(n, 3), v.expand(n, 3)).double()
    mean_se = (v / n).sqrt()
    variance_se = v * math.sqrt(2 / n)
    assert ((z.mean(0) - m).abs() <= 5 * mean_se).all()
    assert ((z.var(0) - v).abs() <= 5 * variance_se).all()


def test_elements_of_a_sample_are_independent():
    n = 50_000
    z = seeded(0, ut.sample_gaussian, torch.zeros(n, 4), torch.ones(n, 4))
    correlation = torch.corrcoef(z.T) - torch.eye(4)
    neighbours = (z[1:] * z[:-1]).mean(0)
    assert correlation.abs().max() <= 5 / math.sqrt(n)
    assert neighbours.abs().max() <= 5 / math.sqrt(n)


def test_gradients_pass_through_a_sample():
    m, v = gaussian(4, 3).requires_grad_(), positive(4, 3).requires_grad_()
    seeded(3, ut.sample_gaussian, m, v).sum().backward()
    noise = seeded(3, torch.randn_like, m)
    assert_close(m.grad, torch.ones_like(m))
    assert_close(v.grad, noise / (2 * v.detach().sqrt()))


def test_a_variance_may_broadcast_to_the_mean():
    m, v = torch.zeros(3, 2), torch.tensor([4.0])
    assert_close(seeded(0, ut.sample_gaussian, m, v), 2 * seeded(0, torch.randn, 3, 2))


@pytest.mark.parametrize("shape", [(3,), (4, 2), (3, 2, 2)])
def test_a_variance_that_does_not_fit_the_mean_is_refused(shape):
    with pytest.raises(ValueError, match="v has shape"):
        ut.sample_gaussian(torch.zeros(3, 2), torch.ones(shape))


# --- log_normal -----------------------------------------------------------------------------


@steady
@given(shapes, sizes, scales, spreads, dtypes)
def test_log_normal_is_the_density_summed_over_the_last_dimension(shape, dim, scale, spread, dtype):
    x = gaussian(*shape, dim, seed=1, dtype=dtype, scale=scale)
    m = gaussian(*shape, dim, seed=2, dtype=dtype, scale=scale)
    v = positive(*shape, dim, seed=3, dtype=dtype, spread=spread)
    expected = normal(m.double(), v.double()).log_prob(x.double())
    assert_accurate(ut.log_normal(x, m, v), expected, 2 * dim * (1 + v.log().abs().max().item()))


@both_dtypes
def test_log_normal_broadcasts_a_prior_of_one_number_over_every_coordinate(dtype):
    x, m, v = gaussian(5, 4, dtype=dtype), torch.tensor([0.5]), torch.tensor([3.0])
    expected = normal(m.double().expand(5, 4), v.double().expand(5, 4)).log_prob(x.double())
    assert_close(ut.log_normal(x, m.to(dtype), v.to(dtype)), expected.to(dtype))


def test_one_variance_without_a_dimension_counts_for_every_coordinate():
    x, m, v = gaussian(4, 3, seed=1), gaussian(4, 3, seed=2), torch.tensor(0.7).double()
    assert_close(ut.log_normal(x, m, v), ut.log_normal(x, m, v.expand(4, 3)))


def test_log_normal_broadcasts_points_against_components():
    z, m, v = gaussian(5, 1, 3, seed=1), gaussian(1, 4, 3, seed=2), positive(1, 4, 3, seed=3)
    got = ut.log_normal(z, m, v)
    assert got.shape == (5, 4)
    assert_close(got[2, 3], normal(m[0, 3], v[0, 3]).log_prob(z[2, 0]))


def test_log_normal_broadcasts_the_mean_apart_from_the_variance():
    x, m = gaussian(5, 3, seed=1), gaussian(5, 3, seed=2)
    got = ut.log_normal(x, m, torch.tensor([2.0], dtype=torch.float64))
    assert_close(got, normal(m, torch.full_like(m, 2)).log_prob(x))


def test_a_standard_normal_at_its_mean_has_half_log_two_pi_nats_per_dimension():
    got = ut.log_normal(torch.zeros(1, 10), torch.zeros(1, 10), torch.ones(1, 10))
    assert_close(got, torch.tensor([-5 * math.log(2 * math.pi)]))


def test_the_second_argument_pair_of_log_normal_is_mean_then_variance():
    one, four = torch.tensor([1.0]), torch.tensor([4.0])
    assert_close(ut.log_normal(one, one, four), -0.5 * torch.log(2 * math.pi * torch.tensor(4.0)))


def test_log_normal_gradients_are_right():
    args = [gaussian(3, 2, seed=1), gaussian(3, 2, seed=2), positive(3, 2, seed=3)]
    assert torch.autograd.gradcheck(ut.log_normal, [a.requires_grad_() for a in args])


# --- log_normal_mixture ---------------------------------------------------------------------

batches = pytest.mark.parametrize("batch", [1, 4], ids=["shared", "per-image"])


@steady
@given(sizes, sizes, sizes, st.booleans(), scales, spreads, dtypes)
def test_the_mixture_density_is_the_one_of_torch(b, k, dim, shared, scale, spread, dtype):
    components = 1 if shared else b
    z = gaussian(b, dim, seed=1, dtype=dtype, scale=scale)
    m = gaussian(components, k, dim, seed=2, dtype=dtype, scale=scale)
    v = positive(components, k, dim, seed=3, dtype=dtype, spread=spread)
    expected = mixture(m.double(), v.double()).log_prob(z.double())
    size = 2 * dim * (1 + v.log().abs().max().item())
    assert_accurate(ut.log_normal_mixture(z, m, v), expected, size)


@batches
def test_the_components_are_summed_after_the_coordinates(batch):
    z, m, v = gaussian(4, 3), gaussian(batch, 2, 3, seed=1, scale=3), positive(batch, 2, 3, seed=2)
    per_component = Normal(m, v.sqrt()).log_prob(z[:, None]).sum(-1)  # (B, K)
    wrong = (Normal(m, v.sqrt()).log_prob(z[:, None]).logsumexp(1) - math.log(2)).sum(-1)
    right = per_component.logsumexp(-1) - math.log(2)
    assert (right - wrong).abs().max() > 0.1
    assert_close(ut.log_normal_mixture(z, m, v), right)


def test_equal_components_are_one_component():
    z, m, v = gaussian(5, 3), gaussian(1, 1, 3, seed=1), positive(1, 1, 3, seed=2)
    many = ut.log_normal_mixture(z, m.repeat(1, 7, 1), v.repeat(1, 7, 1))
    assert_close(many, ut.log_normal(z, m[0], v[0]))


def test_the_order_of_the_components_does_not_matter():
    z, m, v = gaussian(5, 3), gaussian(5, 4, 3, seed=1), positive(5, 4, 3, seed=2)
    assert_close(ut.log_normal_mixture(z, m.flip(1), v.flip(1)), ut.log_normal_mixture(z, m, v))


def test_every_point_of_a_batch_is_measured_against_its_own_components():
    z, m, v = gaussian(3, 2), gaussian(3, 4, 2, seed=1), positive(3, 4, 2, seed=2)
    alone = [ut.log_normal_mixture(z[i : i + 1], m[i : i + 1], v[i : i + 1]) for i in range(3)]
    assert_close(ut.log_normal_mixture(z, m, v), torch.cat(alone))


def test_a_one_dimensional_mixture_integrates_to_one():
    z = torch.arange(-40, 40, 0.01, dtype=torch.float64)[:, None]
    density = ut.log_normal_mixture(z, gaussian(1, 5, 1, scale=4), positive(1, 5, 1)).exp()
    assert_close(density.sum() * 0.01, torch.ones((), dtype=torch.float64), rtol=1e-8, atol=0)


@both_dtypes
@batches
@pytest.mark.parametrize("v", [1e-8, 1e-4, 1.0, 1e4, 1e8])
@pytest.mark.parametrize("place", [-1e3, 1e3])
def test_a_far_mixture_is_finite_and_right(place, v, batch, dtype):
    z = place + gaussian(4, 3, dtype=dtype)
    m = gaussian(batch, 5, 3, seed=1, dtype=dtype)
    v = torch.full_like(m, v)
    expected = mixture(m.double(), v.double()).log_prob(z.double())
    got = ut.log_normal_mixture(z, m, v)
    assert torch.isfinite(got).all()
    assert_accurate(got, expected, magnitude=60)


@both_dtypes
@batches
def test_a_point_on_a_narrow_far_component_keeps_its_whole_density(batch, dtype):
    z = torch.full((4, 3), 1e3, dtype=dtype)
    m = gaussian(batch, 5, 3, dtype=dtype)
    m[:, 2] = 1e3
    v = torch.ones_like(m)
    v[:, 2] = 1e-8
    expected = -1.5 * math.log(2 * math.pi * 1e-8) - math.log(5)
    assert_close(ut.log_normal_mixture(z, m, v), torch.full((4,), expected, dtype=dtype))


@both_dtypes
@batches
def test_wide_and_narrow_components_live_in_one_mixture(batch, dtype):
    z = torch.tensor([[1e3, -1e3], [0.0, 0.0], [1e3, 1e3], [1.0, 2.0]], dtype=dtype)
    m = gaussian(batch, 3, 2, dtype=dtype)
    v = torch.tensor([1e-8, 1.0, 1e8], dtype=dtype)[None, :, None].expand(batch, 3, 2)
    expected = mixture(m.double(), v.double()).log_prob(z.double())
    assert_accurate(ut.log_normal_mixture(z, m, v), expected, magnitude=60)


@batches
@pytest.mark.parametrize("place", [0.0, 1e3])
def test_mixture_gradients_stay_finite_in_float32(place, batch):
    z = (place + gaussian(4, 2, dtype=torch.float32)).requires_grad_()
    m = gaussian(batch, 3, 2, seed=1, dtype=torch.float32).requires_grad_()
    v = torch.tensor([1e-8, 1.0, 1e8])[None, :, None].repeat(batch, 1, 2).requires_grad_()
    ut.log_normal_mixture(z, m, v).sum().backward()
    assert all(torch.isfinite(t.grad).all() for t in (z, m, v))


needs = pytest.mark.parametrize(
    "needs_grad",
    [(True, True, True), (True, False, False), (False, True, False), (False, False, True)],
    ids=["all", "z", "m", "v"],
)


@needs
@batches
def test_mixture_gradients_are_right(batch, needs_grad):
    args = [gaussian(4, 2), gaussian(batch, 3, 2, seed=1), positive(batch, 3, 2, seed=2)]
    args = [a.requires_grad_(g) for a, g in zip(args, needs_grad, strict=True)]
    assert torch.autograd.gradcheck(ut.log_normal_mixture, args)


@pytest.mark.parametrize(("b", "k", "dim"), [(1, 1, 1), (1, 4, 2), (3, 1, 2), (3, 4, 1)])
@pytest.mark.parametrize("shared", [True, False])
def test_mixture_gradients_are_right_at_the_smallest_sizes(b, k, dim, shared):
    components = 1 if shared else b
    args = [gaussian(b, dim), gaussian(components, k, dim, seed=1), positive(components, k, dim)]
    assert torch.autograd.gradcheck(ut.log_normal_mixture, [a.requires_grad_() for a in args])


@pytest.mark.parametrize(("m_batch", "v_batch"), [(1, 4), (4, 1)])
def test_mean_and_variance_may_have_different_batches(m_batch, v_batch):
    z, m, v = gaussian(4, 2), gaussian(m_batch, 3, 2, seed=1), positive(v_batch, 3, 2, seed=2)
    assert_close(ut.log_normal_mixture(z, m, v), mixture(m, v).log_prob(z))
    args = [a.requires_grad_() for a in (z, m, v)]
    assert torch.autograd.gradcheck(ut.log_normal_mixture, args)


@batches
def test_mixture_gradients_weigh_each_point_by_what_flows_in(batch):
    args = [gaussian(4, 2), gaussian(batch, 3, 2, seed=1), positive(batch, 3, 2, seed=2)]
    args = [a.requires_grad_() for a in args]
    weights = gaussian(4, seed=3)
    got = torch.autograd.grad(ut.log_normal_mixture(*args) @ weights, args)
    assert_close(got, torch.autograd.grad(mixture(*args[1:]).log_prob(args[0]) @ weights, args))


@batches
@pytest.mark.parametrize("place", [0.0, 10.0, 1e3])
@pytest.mark.parametrize("spread", [1e-4, 1e-2, 1.0, 1e4])
def test_mixture_gradients_in_float32_are_those_of_float64(spread, place, batch):
    s = math.sqrt(spread)
    z, m = place + gaussian(4, 5, scale=s), place + gaussian(batch, 6, 5, seed=1, scale=s)
    single = [a.float().requires_grad_() for a in (z, m, spread * positive(batch, 6, 5, seed=2))]
    double = [a.detach().double().requires_grad_() for a in single]
    got = torch.autograd.grad(ut.log_normal_mixture(*single).sum(), single)
    expected = torch.autograd.grad(mixture(*double[1:]).log_prob(double[0]).sum(), double)
    for actual, reference in zip(got, expected, strict=True):
        assert actual.dtype == torch.float32
        assert_close(actual.double(), reference, rtol=0, atol=3e-5 * reference.abs().max().item())


@batches
def test_second_derivatives_of_the_mixture_are_right(batch):
    args = [gaussian(4, 2), gaussian(batch, 3, 2, seed=1), positive(batch, 3, 2, seed=2)]
    assert torch.autograd.gradgradcheck(
        ut.log_normal_mixture, [a.requires_grad_() for a in args], gaussian(4, seed=3)
    )


@pytest.mark.parametrize("k", [499, 500, 501, 1250])
def test_components_taken_a_few_hundred_together_are_one_mixture(k):
    args = [gaussian(4, 2), gaussian(1, k, 2, seed=1), positive(1, k, 2, seed=2)]
    expected = torch.logsumexp(ut.log_normal(args[0].unsqueeze(1), *args[1:]), 1) - math.log(k)
    args = [a.requires_grad_() for a in args]
    assert_close(ut.log_normal_mixture(*args), expected)
    assert torch.autograd.gradcheck(
        lambda *a: ut.log_normal_mixture(*a).sum(), args, fast_mode=True
    )


@pytest.mark.parametrize(("b", "k", "dim"), [(333, 500, 40), (1000, 77, 13)])
def test_points_taken_a_cacheful_together_have_the_density_of_each_alone(b, k, dim):
    """On the last bit: no number depends on how many points stand beside it, 64 or more."""
    z, m, v = gaussian(b, dim, seed=1), gaussian(1, k, dim, seed=2), positive(1, k, dim)
    together = ut.log_normal_mixture(z, m, v)
    assert_close(together, mixture(m, v).log_prob(z))
    last = b // 64 * 64 - 64  # begins a block of 64, wherever the parts begin
    assert torch.equal(together[last:], ut.log_normal_mixture(z[last:], m, v))


def test_the_mixture_leaves_its_inputs_as_they_were():
    args = [gaussian(4, 2), gaussian(1, 3, 2, seed=1), positive(1, 3, 2, seed=2)]
    copies = [a.clone() for a in args]
    args = [a.requires_grad_() for a in args]
    ut.log_normal_mixture(*args).sum().backward()
    exactly([a.detach() for a in args], copies)


@pytest.mark.parametrize(
    ("z", "m", "v"),
    [
        ((4,), (1, 3, 2), (1, 3, 2)),
        ((4, 2), (3, 2), (3, 2)),
        ((4, 2), (2, 3, 2), (2, 3, 2)),
        ((4, 2), (1, 3, 1), (1, 3, 2)),
        ((4, 2), (1, 3, 2), (1, 3, 1)),
    ],
)
def test_a_mixture_of_other_shapes_is_refused(z, m, v):
    with pytest.raises(ValueError, match="Z"):
        ut.log_normal_mixture(torch.zeros(z), torch.zeros(m), torch.ones(v))


# --- gaussian_parameters --------------------------------------------------------------------


@steady
@given(shapes, sizes, st.data(), scales, dtypes)
def test_parameters_are_a_mean_half_and_a_softplus_half(shape, half, data, scale, dtype):
    dim = data.draw(st.integers(-len(shape) - 1, len(shape)))
    at = dim % (len(shape) + 1)
    h = gaussian(*shape[:at], 2 * half, *shape[at:], dtype=dtype, scale=scale)
    m, v = ut.gaussian_parameters(h, dim=dim)
    exactly(m, h.narrow(at, 0, half))
    expected = F.softplus(h.double().narrow(at, half, half)) + 1e-8
    assert_close(v.double(), expected, rtol=1e-5 if dtype == torch.float32 else 1e-12, atol=0)


def test_parameters_are_split_along_the_last_dimension_by_default():
    m, v = ut.gaussian_parameters(torch.arange(8.0).reshape(2, 4))
    exactly(m, torch.tensor([[0.0, 1.0], [4.0, 5.0]]))
    assert_close(v, F.softplus(torch.tensor([[2.0, 3.0], [6.0, 7.0]])))


@both_dtypes
def test_a_variance_can_be_far_below_one_but_never_zero(dtype):
    _, v = ut.gaussian_parameters(torch.tensor([0.0, -1e3], dtype=dtype))
    assert_close(v, torch.tensor([1e-8], dtype=dtype))


def test_a_large_variance_does_not_overflow():
    _, v = ut.gaussian_parameters(torch.tensor([0.0, 1e4]))
    assert_close(v, torch.tensor([1e4]))


def test_an_odd_number_of_parameters_is_refused():
    with pytest.raises(ValueError, match="odd"):
        ut.gaussian_parameters(torch.zeros(2, 3))


# --- log_bernoulli_with_logits --------------------------------------------------------------


@steady
@given(shapes, sizes, scales, dtypes)
def test_log_bernoulli_is_the_mass_summed_over_pixels(shape, dim, scale, dtype):
    logits = gaussian(*shape, dim, seed=1, dtype=dtype, scale=scale)
    x = (gaussian(*shape, dim, seed=2) > 0).to(dtype)
    expected = Bernoulli(logits=logits.double()).log_prob(x.double()).sum(-1)
    assert_accurate(ut.log_bernoulli_with_logits(x, logits), expected, magnitude=dim)


@both_dtypes
def test_saturated_logits_cost_nothing_when_right_and_themselves_when_wrong(dtype):
    logits = torch.tensor([[1e3], [-1e3], [1e3], [-1e3]], dtype=dtype)
    x = torch.tensor([[1.0], [0.0], [0.0], [1.0]], dtype=dtype)
    got = ut.log_bernoulli_with_logits(x, logits)
    assert_close(got, torch.tensor([0, 0, -1e3, -1e3], dtype=dtype))


def test_blank_logits_cost_log_two_per_pixel():
    got = ut.log_bernoulli_with_logits(torch.zeros(2, 784), torch.zeros(2, 784))
    assert_close(got, torch.full((2,), -784 * math.log(2)))


def test_the_gradient_of_log_bernoulli_is_the_residual():
    x, logits = torch.tensor([[1.0, 0.0, 1.0]]), gaussian(1, 3).float().requires_grad_()
    ut.log_bernoulli_with_logits(x, logits).sum().backward()
    assert_close(logits.grad, x - torch.sigmoid(logits.detach()))


# --- kl_cat ---------------------------------------------------------------------------------


@steady
@given(sizes, sizes, st.sampled_from([1e-3, 1.0, 30.0]), dtypes)
def test_kl_cat_is_the_divergence_of_torch(batch, dim, scale, dtype):
    log_q = gaussian(batch, dim, seed=1, dtype=dtype, scale=scale).log_softmax(-1)
    log_p = gaussian(batch, dim, seed=2, dtype=dtype, scale=scale).log_softmax(-1)
    q, p = Categorical(logits=log_q.double()), Categorical(logits=log_p.double())
    assert_accurate(ut.kl_cat(log_q.exp(), log_q, log_p), kl_divergence(q, p), 1 + 10 * scale)


@pytest.mark.parametrize("shape", [(1,), (1, 5), (5,)])
def test_the_reference_of_kl_cat_broadcasts(shape):
    log_q = gaussian(3, 5).log_softmax(-1)
    uniform = torch.full(shape, -math.log(5), dtype=torch.float64)
    entropy = Categorical(logits=log_q).entropy()
    assert_close(ut.kl_cat(log_q.exp(), log_q, uniform), math.log(5) - entropy)


@both_dtypes
def test_what_has_no_probability_has_no_gradient(dtype):
    q = torch.tensor([[1.0, 0.0], [0.25, 0.75]], dtype=dtype, requires_grad=True)
    log_q = q.detach().log().requires_grad_()
    log_p = torch.full((2,), -math.log(2), dtype=dtype, requires_grad=True)
    ut.kl_cat(q, log_q, log_p).sum().backward()
    expected = (2 * q.detach()).log().nan_to_num(neginf=0)
    assert_close(q.grad, expected)
    assert_close(log_q.grad, q.detach())
    assert_close(log_p.grad, -q.detach().sum(0))


@both_dtypes
def test_a_certain_classifier_is_log_ten_from_the_uniform(dtype):
    log_q = (1e3 * torch.eye(10, dtype=dtype)).log_softmax(-1)
    got = ut.kl_cat(log_q.exp(), log_q, torch.full_like(log_q, -math.log(10)))
    assert_close(got, torch.full((10,), math.log(10), dtype=dtype))


# --- kl_normal ------------------------------------------------------------------------------


@steady
@given(sizes, sizes, st.sampled_from([1e-3, 1.0, 1e2]), spreads, dtypes)
def test_kl_normal_is_the_divergence_of_torch(batch, dim, scale, spread, dtype):
    qm, pm = (gaussian(batch, dim, seed=s, dtype=dtype, scale=scale) for s in (1, 2))
    qv, pv = (positive(batch, dim, seed=s, dtype=dtype, spread=spread) for s in (3, 4))
    q, p = normal(qm.double(), qv.double()), normal(pm.double(), pv.double())
    size = 2 * dim * (1 + qv.log().abs().max() + pv.log().abs().max()).item()
    assert_accurate(ut.kl_normal(qm, qv, pm, pv), kl_divergence(q, p), size)


@both_dtypes
def test_kl_normal_broadcasts_a_prior_of_one_number_over_every_coordinate(dtype):
    qm, qv = gaussian(5, 4, dtype=dtype), positive(5, 4, dtype=dtype)
    pm, pv = torch.tensor([0.5], dtype=dtype), torch.tensor([3.0], dtype=dtype)
    expected = kl_divergence(normal(qm, qv), normal(pm.expand(5, 4), pv.expand(5, 4)))
    assert_close(ut.kl_normal(qm, qv, pm, pv), expected)


def test_kl_normal_is_summed_over_dimensions_and_kept_apart_for_images():
    got = ut.kl_normal(torch.ones(3, 8), torch.ones(3, 8), torch.zeros(1), torch.ones(1))
    assert_close(got, torch.full((3,), 4.0))


def test_kl_normal_is_zero_only_between_equals():
    m, v = gaussian(6, 3), positive(6, 3)
    assert_close(ut.kl_normal(m, v, m, v), torch.zeros(6, dtype=torch.float64))
    assert (ut.kl_normal(m, v, m + 0.1, v) > 0).all()
    assert (ut.kl_normal(m, v, m, 1.5 * v) > 0).all()


def test_kl_normal_is_what_samples_of_log_ratios_average_to():
    n, m, v = 20_000, gaussian(1, 3), positive(1, 3)
    z = seeded(0, ut.sample_gaussian, m.expand(n, 3), v.expand(n, 3))
    zero, one = torch.zeros(1), torch.ones(1)
    ratios = ut.log_normal(z, m, v) - ut.log_normal(z, zero, one)
    se = ratios.std() / math.sqrt(n)
    assert (ratios.mean() - ut.kl_normal(m, v, zero, one)).abs() <= 5 * se


# --- duplicate ------------------------------------------------------------------------------


@steady
@given(sizes, shapes, st.integers(1, 4))
def test_copies_of_the_whole_batch_follow_each_other(batch, rest, rep):
    x = gaussian(batch, *rest)
    exactly(ut.duplicate(x, rep), torch.cat([x] * rep))


def test_the_copy_index_is_outermost():
    exactly(ut.duplicate(torch.tensor([1, 2, 3]), 2), torch.tensor([1, 2, 3, 1, 2, 3]))


def test_gradients_of_copies_add_up():
    x = gaussian(2, 3).requires_grad_()
    ut.duplicate(x, 5).sum().backward()
    exactly(x.grad, torch.full((2, 3), 5.0, dtype=torch.float64))


@pytest.mark.parametrize("rep", [0, -1])
def test_fewer_than_one_copy_is_refused(rep):
    with pytest.raises(ValueError, match="rep"):
        ut.duplicate(torch.zeros(2, 3), rep)


# --- log_mean_exp and log_sum_exp -----------------------------------------------------------

reductions = pytest.mark.parametrize("reduce", [ut.log_mean_exp, ut.log_sum_exp])


@steady
@given(shapes, sizes, st.data(), st.sampled_from([1e-3, 1.0, 1e3, 1e30]), dtypes)
def test_log_exp_reductions_are_those_of_float64(shape, n, data, scale, dtype):
    dim = data.draw(st.integers(-len(shape) - 1, len(shape)))
    at = dim % (len(shape) + 1)
    x = gaussian(*shape[:at], n, *shape[at:], dtype=dtype, scale=scale)
    expected = x.double().logsumexp(dim)
    assert_accurate(ut.log_sum_exp(x, dim), expected)
    assert_accurate(ut.log_mean_exp(x, dim), expected - math.log(n), 1 + math.log(n))


def test_log_sum_exp_reduces_the_first_dimension_by_default():
    x = gaussian(3, 4)
    assert_close(ut.log_sum_exp(x), x.exp().sum(0).log())


@reductions
@pytest.mark.parametrize("shift", [-1e3, 1e3])
def test_a_shift_passes_through(reduce, shift):
    x = gaussian(5, 3)
    assert_close(reduce(x + shift, 0), reduce(x, 0) + shift)


@pytest.mark.parametrize("c", [-1e30, -1e3, 0.0, 1e3, 1e30])
def test_the_log_mean_exp_of_a_constant_is_the_constant(c):
    assert_close(ut.log_mean_exp(torch.full((7, 2), c), 0), torch.full((2,), c))


@both_dtypes
@reductions
def test_all_terms_minus_infinity_give_minus_infinity(reduce, dtype):
    x = torch.full((3, 4), -math.inf, dtype=dtype)
    exactly(reduce(x, 1), x[:, 0])


@reductions
def test_one_empty_row_leaves_the_others_alone(reduce):
    x = gaussian(3, 4)
    x[1] = -math.inf
    got = reduce(x, 1)
    assert got[1] == -math.inf
    assert_close(got[[0, 2]], reduce(x[[0, 2]], 1))


def test_an_impossible_term_counts_in_the_mean_but_adds_nothing():
    x = torch.tensor([0.0, -math.inf])
    assert_close(ut.log_mean_exp(x, 0), torch.tensor(-math.log(2)))
    assert_close(ut.log_sum_exp(x, 0), torch.tensor(0.0))


@reductions
def test_nan_is_not_hidden(reduce):
    assert torch.isnan(reduce(torch.tensor([0.0, math.nan]), 0))


@reductions
def test_the_gradient_of_a_reduction_is_the_softmax(reduce):
    x = (1e3 * gaussian(3, 4)).requires_grad_()
    reduce(x, 1).sum().backward()
    assert_close(x.grad, x.detach().softmax(1))


@reductions
def test_impossible_terms_have_no_gradient(reduce):
    x = torch.tensor([0.0, 1.0, -math.inf], requires_grad=True)
    reduce(x, 0).backward()
    assert_close(x.grad, x.detach().softmax(0))
