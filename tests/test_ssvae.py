"""The SSVAE: its sum over labels, its two-part loss, its samplers, its contract."""

import math

import pytest
import torch
import torch.nn.functional as F
from oracles import (
    IMAGES,
    Net,
    binary,
    default_mlp,
    estimate,
    exact_elbo,
    gaussian,
    log_bernoulli,
    log_evidence,
    mlp_shapes,
    normal,
    numbers,
    run_mlp,
    seeded,
    shapes_of,
    standard,
    within,
)
from torch.distributions import Categorical, kl_divergence
from torch.testing import assert_close

from codebase.models.ssvae import SSVAE

X = binary(4, 784)
XL = binary(5, 784, seed=1)


def one_hot(y, y_dim, dtype=torch.float32):
    return F.one_hot(torch.as_tensor(y), y_dim).to(dtype)


def small(y_dim=10, z_dim=3, **options):
    """A model whose labels and latents matter: default weights hardly look at them."""
    model = seeded(0, SSVAE, z_dim=z_dim, y_dim=y_dim, **options)
    model.enc.net[0].weight.data[:, 784:] *= 10
    model.dec.net[0].weight.data *= 5
    model.cls.net[4].weight.data *= 10
    return model


def terms_of_a_label(model, x, y, noise):
    """Per-image (kl_z, rec) in float64 of images x that all have the one-hot labels y."""
    m, v = model.enc(x, y)
    z = m + v.sqrt() * noise
    kl_z = kl_divergence(normal(m, v), normal(torch.zeros_like(m), torch.ones_like(v)))
    return kl_z, -log_bernoulli(x, model.dec(z, y))


def naive_bound(model, x, y_dim, z_dim):
    """(nelbo, kl_z, kl_y, rec) by a loop over labels, noise drawn labels outermost."""
    q = Categorical(logits=model.cls(x))
    noise = torch.randn(y_dim * len(x), z_dim, dtype=x.dtype).reshape(y_dim, len(x), z_dim)
    kl_z, rec = torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0])
    for label in range(y_dim):
        y = one_hot([label] * len(x), y_dim, x.dtype)
        kl_z_of_label, rec_of_label = terms_of_a_label(model, x, y, noise[label])
        kl_z = kl_z + q.probs[:, label] * kl_z_of_label
        rec = rec + q.probs[:, label] * rec_of_label
    kl_y = kl_divergence(q, Categorical(logits=torch.zeros_like(q.probs)))
    return (kl_y + kl_z + rec).mean(), kl_z.mean(), kl_y.mean(), rec.mean()


def enumerated_bound(model, x, y_dim):
    """The same as the course writes it: every image copied once per label, labels outermost."""
    q = Categorical(logits=model.cls(x))
    y = torch.eye(y_dim, dtype=x.dtype).repeat_interleave(len(x), 0)  # (Y·B, Y)
    copies = torch.cat([x] * y_dim)  # (Y·B, D)
    m, v = model.enc(copies, y)
    z = m + v.sqrt() * torch.randn_like(m)
    kl_z = kl_divergence(normal(m, v), normal(torch.zeros_like(m), torch.ones_like(v)))
    rec = -log_bernoulli(copies, model.dec(z, y))
    kl_z, rec = ((q.probs.T * t.reshape(y_dim, len(x))).sum(0).mean() for t in (kl_z, rec))
    kl_y = (math.log(y_dim) - q.entropy()).mean()
    return kl_y + kl_z + rec, kl_z, kl_y, rec


# --- a case with one latent dimension, three labels and four pixels, which can be integrated ---

SLOPES = torch.tensor([[2.0, -1, 0.5, 1.5], [-2, 1, 1, 0], [0.3, 2, -2, 1]], dtype=torch.float64)
OFFSETS = torch.tensor([[0.5, -1, 0, 1], [0, 1, -1, 0], [-1, 0.5, 0.5, 0]], dtype=torch.float64)


def decode(z, y):
    return z * (y @ SLOPES) + y @ OFFSETS


def posterior(x, y):
    """Neither the prior nor the truth, and different for every label."""
    s = x.sum(-1, keepdim=True) + y @ torch.tensor([[-1.0], [0], [1.5]], dtype=x.dtype)
    return 0.4 * s - 0.6, 0.3 + 0.05 * s.abs()


def classify(x):
    return x @ torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0, -0.5]]).to(x)


@pytest.fixture
def toy():
    model = SSVAE(z_dim=1, y_dim=3).double()
    model.enc, model.dec, model.cls = Net(posterior), Net(decode), Net(classify)
    return model


def exact_elbo_of_label(x, label):
    """(B,) E_q(z|x,y)[log p(x, z|y) − log q(z|x, y)], by quadrature."""
    y = one_hot([label], 3, torch.float64)
    q = normal(*posterior(x, y))
    return exact_elbo(q, standard, lambda z: decode(z, y), x)


def log_evidence_of_label(x, label):
    """(B,) log p(x|y), by quadrature."""
    y = one_hot([label], 3, torch.float64)
    return log_evidence(standard, lambda z: decode(z, y), x)


def exact_bound(x):
    """(B,) ELBO(x), by quadrature in z and a sum over y."""
    q = Categorical(logits=classify(x))
    elbos = torch.stack([exact_elbo_of_label(x, label) for label in range(3)], 1)
    return (q.probs * elbos).sum(1) - (math.log(3) - q.entropy())


# --- the evidence lower bound ---------------------------------------------------------------


def test_the_bound_is_the_sum_of_its_terms():
    terms = small().negative_elbo_bound(X)
    nelbo, kl_z, kl_y, rec = terms
    assert [t.shape for t in terms] == [()] * 4
    assert_close(nelbo, kl_z + kl_y + rec)


@pytest.mark.parametrize("y_dim", [3, 10])
def test_the_bound_is_a_sum_over_labels(y_dim):
    model = small(y_dim).double()
    got = seeded(1, model.negative_elbo_bound, X.double())
    assert_close(got, seeded(1, naive_bound, model, X.double(), y_dim, 3))


@pytest.mark.parametrize("y_dim", [3, 10])
def test_the_bound_is_the_one_over_duplicated_images_under_the_same_seed(y_dim):
    model = small(y_dim)
    got = seeded(1, model.negative_elbo_bound, X)
    assert_close(got, seeded(1, enumerated_bound, model, X, y_dim), rtol=1e-6, atol=1e-4)


def test_the_bound_draws_one_normal_per_label_image_and_latent():
    model = small(y_dim=3)
    seeded(5, model.negative_elbo_bound, X)
    state = torch.get_rng_state()
    seeded(5, torch.randn, 3 * 4, 3)
    assert torch.equal(state, torch.get_rng_state())


def test_kl_y_is_the_divergence_from_uniform_labels():
    model = small()
    entropy = Categorical(logits=model.cls(X)).entropy()
    kl_y = model.negative_elbo_bound(X)[2]
    assert_close(kl_y, (math.log(10) - entropy).mean())
    assert kl_y > 0


def test_terms_are_summed_over_dimensions_and_pixels():
    model = small(z_dim=8)
    model.enc = Net(lambda x, y: (torch.ones(10, len(x), 8), torch.ones(10, len(x), 8)))
    model.dec = Net(lambda z, y: torch.zeros(*z.shape[:-1], 784))
    _, kl_z, _, rec = model.negative_elbo_bound(X)
    assert_close(kl_z, torch.tensor(4.0))
    assert_close(rec, torch.tensor(784 * math.log(2)))


def test_every_image_keeps_its_own_labels(toy):
    """Without noise, the bound of a batch is the mean of the bounds of its images."""
    toy.dec = Net(lambda z, y: 0 * z + 4 * (y @ OFFSETS))
    batch = torch.stack(toy.negative_elbo_bound(IMAGES))
    alone = torch.stack([torch.stack(toy.negative_elbo_bound(x[None])) for x in IMAGES])
    assert alone.std(0).min() > 0.01
    assert_close(batch, alone.mean(0))


def test_the_bound_is_exact_when_q_is_the_true_posterior(toy):
    """Pixels that depend on y alone: q(z|x,y) = p(z) and q(y|x) = p(y|x) leave no gap."""
    log_p_x_given_y = torch.stack([log_bernoulli(IMAGES, logits) for logits in OFFSETS], 1)
    toy.enc = Net(lambda x, y: (0 * posterior(x, y)[0], 0 * posterior(x, y)[0] + 1))
    toy.dec = Net(lambda z, y: 0 * z + y @ OFFSETS)
    toy.cls = Net(lambda x: log_p_x_given_y + 7)
    log_p_x = log_p_x_given_y.logsumexp(1) - math.log(3)
    assert_close(-toy.negative_elbo_bound(IMAGES)[0], log_p_x.mean())


def test_the_bound_is_unbiased(toy):
    x = IMAGES.repeat(300, 1)
    mean, se = estimate(lambda: toy.negative_elbo_bound(x)[0], 100)
    assert within(mean, se, -exact_bound(IMAGES).mean())
    assert 5 * se < 0.05


def test_the_bound_lies_below_the_evidence(toy):
    log_p = torch.stack([log_evidence_of_label(IMAGES, y) - math.log(3) for y in range(3)])
    for x, evidence in zip(IMAGES, log_p.logsumexp(0), strict=True):
        mean, se = estimate(lambda x=x: toy.negative_elbo_bound(x.expand(1000, 4))[0], 20)
        assert -mean + 5 * se < evidence


def test_a_certain_classifier_leaves_one_label_and_log_ten_nats():
    model = small().double()
    x = X.double()
    model.cls = Net(lambda x: 1e4 * one_hot([6] * len(x), 10, torch.float64))
    _, kl_z, kl_y, rec = seeded(2, model.negative_elbo_bound, x)
    noise = seeded(2, torch.randn, 10, 4, 3, dtype=torch.float64)[6]
    expected = terms_of_a_label(model, x, one_hot([6] * 4, 10, torch.float64), noise)
    assert_close((kl_z, rec), tuple(t.mean() for t in expected))
    assert_close(kl_y, torch.tensor(math.log(10), dtype=torch.float64))


def test_the_gradient_with_respect_to_the_classifier_is_that_of_finite_differences():
    model = small(y_dim=3).double()
    x = X.double()
    bias, weight = model.cls.net[4].bias, model.cls.net[4].weight
    bound = seeded(8, model.negative_elbo_bound, x)[0]
    gradients = torch.autograd.grad(bound, [bias, weight])
    for parameter, gradient in zip([bias, weight], gradients, strict=True):
        direction = gaussian(*parameter.shape, seed=9)
        values = []
        for step in (-1e-6, 1e-6):
            with torch.no_grad():
                parameter += step * direction
                values.append(seeded(8, model.negative_elbo_bound, x)[0])
                parameter -= step * direction
        slope = (values[1] - values[0]) / 2e-6
        assert slope.abs() > 1e-2
        assert_close((gradient * direction).sum(), slope, rtol=1e-5, atol=1e-6)


def test_every_gradient_is_that_of_the_naive_loop():
    model = small(y_dim=3).double()
    parameters = [p for p in model.parameters() if p.requires_grad]
    got = torch.autograd.grad(seeded(8, model.negative_elbo_bound, X.double())[0], parameters)
    expected = seeded(8, naive_bound, model, X.double(), 3, 3)[0]
    assert_close(got, torch.autograd.grad(expected, parameters))


# --- labels that weigh nothing --------------------------------------------------------------


class Watched(SSVAE):
    """Notes how many pairs of an image and a label it was last asked for."""

    def negative_elbo_terms_given(self, x, y):
        kl_z, rec = super().negative_elbo_terms_given(x, y)
        self.pairs = kl_z.numel()
        return kl_z, rec


def nearly_certain(prune, dtype=torch.float32):
    """One label has nearly all the weight, the next e^-9.9 = 5e-5 of it, the third 2.5e-9, …"""
    model = seeded(0, Watched, z_dim=3, prune=prune).to(dtype)
    model.steepness = torch.nn.Parameter(torch.tensor(9.9, dtype=dtype))
    order = (torch.arange(10) - torch.tensor([4, 6, 6, 1]).unsqueeze(1)) % 10
    order = order.repeat(10, 1).to(dtype)
    model.cls = Net(lambda x: -model.steepness * order[: len(x)])
    return model


@pytest.mark.parametrize(("dtype", "left"), [(torch.float32, 2), (torch.float64, 4)])
def test_a_pruned_label_weighs_less_than_rounding(dtype, left, monkeypatch):
    """Terms and gradients with and without, from noise that depends on nothing."""
    monkeypatch.setattr(torch, "randn_like", lambda m: torch.full_like(m, 0.7))
    x, found = binary(40, 784).to(dtype), []
    for prune in (False, True):
        model = nearly_certain(prune, dtype)
        terms = model.negative_elbo_terms(x)
        parameters = [*model.enc.parameters(), *model.dec.parameters(), model.steepness]
        gradients = torch.autograd.grad(sum(term.mean() for term in terms), parameters)
        found.append((terms, gradients))
        assert model.pairs == (32 * math.ceil(40 * left / 32) if prune else 400)
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-9}
    assert_close(found[1], found[0], **close)


def test_with_most_labels_likely_none_is_pruned():
    dense, pruned = (seeded(0, Watched, z_dim=3, prune=prune) for prune in (False, True))
    found, expected = (seeded(1, model.negative_elbo_terms, X) for model in (pruned, dense))
    assert_close(found, expected, rtol=0, atol=0)
    assert pruned.pairs == 40


def test_the_pruned_bound_has_the_same_mean():
    """Over many draws of its noise, within five standard errors."""
    models = [nearly_certain(prune) for prune in (False, True)]
    (mean, se), (pruned, error) = (
        estimate(lambda model=model: model.negative_elbo_bound(X)[0], 300) for model in models
    )
    assert abs(mean - pruned) < 5 * math.hypot(se, error)


# --- the loss -------------------------------------------------------------------------------

YL = one_hot([3, 1, 4, 1, 5], 10)


def test_cross_entropy_is_minus_the_mean_log_probability_of_the_label():
    model = small()
    log_q = model.cls(XL).log_softmax(1)
    expected = -log_q[range(5), [3, 1, 4, 1, 5]].mean()
    assert_close(model.classification_cross_entropy(XL, YL), expected)


@pytest.mark.parametrize(("gw", "cw"), [(1, 100), (0.5, 2.5)])
def test_the_loss_weighs_the_bound_and_the_cross_entropy(gw, cw):
    model = small(gen_weight=gw, class_weight=cw)
    loss, summaries = seeded(3, model.loss, X, XL, YL)
    nelbo, kl_z, kl_y, rec = seeded(3, model.negative_elbo_bound, X)
    ce = model.classification_cross_entropy(XL, YL)
    assert_close(loss, gw * nelbo + cw * ce)
    expected = {
        "train/loss": loss,
        "class/ce": ce,
        "gen/elbo": -nelbo,
        "gen/kl_z": kl_z,
        "gen/kl_y": kl_y,
        "gen/rec": rec,
    }
    assert numbers(summaries) == pytest.approx(numbers(expected))


@pytest.mark.parametrize("labeled_elbo", [False, True])
def test_no_generative_weight_means_no_generative_work(labeled_elbo):
    model = small(gen_weight=0, labeled_elbo=labeled_elbo)

    def refuse(*_):
        pytest.fail("the net was called")

    model.enc.register_forward_pre_hook(refuse)
    model.dec.register_forward_pre_hook(refuse)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    loss, summaries = model.loss(X, XL, YL)
    assert torch.equal(state, torch.get_rng_state())
    loss.backward()
    assert_close(loss, 100 * model.classification_cross_entropy(XL, YL))
    assert all(p.grad is None for net in (model.enc, model.dec) for p in net.parameters())
    assert all(p.grad.abs().sum() > 0 for p in model.cls.parameters())
    assert set(summaries) == {"train/loss", "class/ce"}


def test_every_net_learns_when_both_terms_count():
    model = small()
    model.loss(X, XL, YL)[0].backward()
    for net in (model.enc, model.dec, model.cls):
        assert all(p.grad.abs().sum() > 0 for p in net.parameters())


# --- the objective with the bound of labelled pairs -----------------------------------------


@pytest.mark.parametrize("gw", [1, 0.5])
def test_the_labelled_bound_is_added_when_asked_for(gw):
    """Noise-free pixels, so the loss is known whatever the order in which noise is drawn."""
    model = SSVAE(gen_weight=gw, class_weight=2.5, z_dim=1, y_dim=3, labeled_elbo=True).double()
    offsets = 3 * OFFSETS
    model.enc, model.cls = Net(posterior), Net(classify)
    model.dec = Net(lambda z, y: 0 * z + y @ offsets)
    xl, labels = IMAGES.flip(0).repeat(2, 1), [0, 1, 2, 1, 0, 2]
    yl = one_hot(labels, 3, torch.float64)
    m, v = posterior(xl, yl)
    kl_z = kl_divergence(normal(m, v), normal(torch.zeros_like(m), torch.ones_like(v)))
    labelled = kl_z - log_bernoulli(xl, offsets[labels]) + math.log(3)
    unlabelled = model.negative_elbo_bound(IMAGES)[0]
    ce = -classify(xl).log_softmax(1)[range(6), labels].mean()
    loss, _ = model.loss(IMAGES, xl, yl)
    assert_close(loss, gw * unlabelled + gw * labelled.mean() + 2.5 * ce)


def test_the_labelled_bound_is_unbiased(toy):
    model = SSVAE(class_weight=0, z_dim=1, y_dim=3, labeled_elbo=True).double()
    model.enc, model.dec, model.cls = toy.enc, toy.dec, toy.cls
    labels = [2, 0, 1]
    xl, yl = IMAGES.repeat(300, 1), one_hot(labels * 300, 3, torch.float64)
    mean, se = estimate(lambda: model.loss(xl, xl, yl)[0], 100)
    pairs = [exact_elbo_of_label(x[None], y)[0] for x, y in zip(IMAGES, labels, strict=True)]
    labelled = torch.stack(pairs).mean() - math.log(3)
    assert within(mean, se, -exact_bound(IMAGES).mean() - labelled)
    assert 5 * se < 0.1


def test_the_labelled_objective_trains_every_net_and_keeps_the_summary_names():
    model = small(labeled_elbo=True)
    loss, summaries = model.loss(X, XL, YL)
    loss.backward()
    for net in (model.enc, model.dec, model.cls):
        assert all(p.grad.abs().sum() > 0 for p in net.parameters())
    agreed = {"train/loss", "class/ce", "gen/elbo", "gen/kl_z", "gen/kl_y", "gen/rec"}
    assert agreed <= set(summaries)


# --- sampling -------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 6])
def test_as_many_samples_come_as_were_asked_for(batch):
    model = small()
    y = one_hot([2] * batch, 10)
    z = model.sample_z(batch)
    assert z.shape == (batch, 3)
    assert model.sample_x_given(z, y).shape == (batch, 784)
    assert model.compute_sigmoid_given(z, y).shape == (batch, 784)


def test_latents_are_standard_normal():
    n = 50_000
    z = seeded(0, small().sample_z, n)
    assert (z.mean(0).abs() <= 5 / math.sqrt(n)).all()
    assert ((z.var(0) - 1).abs() <= 5 * math.sqrt(2 / n)).all()


def test_sigmoids_are_those_of_the_decoder_given_the_label():
    model = small()
    z, y = torch.randn(10, 3), torch.eye(10)
    assert_close(model.compute_sigmoid_given(z, y), torch.sigmoid(model.dec(z, y)))


def test_pixels_are_binary_and_on_as_often_as_their_sigmoid_says():
    n, model, logits = 20_000, small(), torch.tensor([[-4.0, 0.0], [1.0, 3.0]])
    model.dec = Net(lambda z, y: 0 * z[..., :1] + y[..., :2] @ logits)
    p = torch.sigmoid(logits[1])
    x = seeded(0, model.sample_x_given, torch.zeros(n, 3), one_hot([1] * n, 10))
    assert set(x.unique().tolist()) == {0, 1}
    assert within(x.mean(0), (p * (1 - p) / n).sqrt(), p)


# --- construction and checkpoints -----------------------------------------------------------


def test_building_draws_only_the_default_layers_classifier_last():
    model = seeded(0, SSVAE)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    enc = default_mlp(794, 300, 300, 128)
    dec = default_mlp(74, 300, 300, 784)
    cls = default_mlp(784, 300, 300, 10)
    assert torch.equal(state, torch.get_rng_state())
    assert_close([*model.enc.parameters()], enc, rtol=0, atol=0)
    assert_close([*model.dec.parameters()], dec, rtol=0, atol=0)
    assert_close([*model.cls.parameters()], cls, rtol=0, atol=0)


def test_the_constructor_has_the_defaults_of_the_starter_code():
    model = SSVAE()
    assert (model.name, model.gen_weight, model.class_weight) == ("ssvae", 1, 100)
    assert (model.z_dim, model.y_dim) == (64, 10)
    given = SSVAE("v1", "other", 0.5, 2.5)
    assert (given.name, given.gen_weight, given.class_weight) == ("other", 0.5, 2.5)


@pytest.mark.parametrize(
    "options",
    [
        {"z_dim": 0},
        {"y_dim": 0},
        {"gen_weight": -1},
        {"class_weight": -0.5},
        {"class_weight": 0, "gen_weight": 0},
    ],
)
def test_a_model_out_of_range_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SSVAE(**options)


def test_images_labels_and_latents_of_another_width_are_refused():
    model = small()
    with pytest.raises(ValueError, match="784"):
        model.negative_elbo_bound(X[:, 1:])
    with pytest.raises(ValueError, match="784"):
        model.loss(X, XL[:, 1:], YL)
    with pytest.raises(ValueError, match="10"):
        model.compute_sigmoid_given(torch.zeros(2, 3), torch.eye(9)[:2])
    with pytest.raises(ValueError, match="y must"):
        model.dec(torch.zeros(2, 3))


@pytest.mark.parametrize("yl", [YL[:, 1:], YL[1:]], ids=["width", "length"])
def test_labels_that_do_not_fit_the_images_are_refused(yl):
    with pytest.raises(ValueError, match="must be"):
        small().loss(X, XL, yl)


def test_a_checkpoint_has_exactly_the_agreed_keys_and_shapes():
    expected = {"z_prior_m": (1,), "z_prior_v": (1,)}
    expected |= mlp_shapes("enc", 794, 300, 300, 128) | mlp_shapes("dec", 74, 300, 300, 784)
    expected |= mlp_shapes("cls", 784, 300, 300, 10)
    assert shapes_of(SSVAE()) == expected


def test_the_prior_is_standard_and_not_trained():
    m, v = SSVAE(z_dim=2).z_prior
    assert (m.item(), v.item()) == (0, 1)
    assert not m.requires_grad
    assert not v.requires_grad


def test_nets_join_pixels_or_latents_first_and_labels_last():
    model = small()
    z, y = torch.randn(4, 3), one_hot([7, 0, 9, 2], 10)
    m, h = run_mlp(model, "enc", F.elu, X, y).chunk(2, dim=1)
    assert_close(model.enc(X, y), (m, F.softplus(h) + 1e-8))
    assert_close(model.dec(z, y), run_mlp(model, "dec", F.elu, z, y))


def test_the_classifier_is_a_relu_network_of_the_checkpoint_s_weights():
    model = small()
    assert_close(model.cls(X), run_mlp(model, "cls", F.relu, X))
