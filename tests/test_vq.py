"""The VQ-VAE against brute force: choices, one step of k-means, lengths of codes."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from oracles import binary, gaussian, log_bernoulli
from sklearn.cluster import KMeans

from codebase.engine.randomness import seeded
from codebase.models.codebook import Codebook, CodePrior, CodeSequence, nearest
from codebase.models.vq import COMMITMENT, VQVAE

L, K, W, D, B = 3, 4, 2, 9, 5


def small(**options):
    torch.manual_seed(0)
    model = VQVAE(codes=L, k=K, width=W, x_dim=D, **options).double()
    with torch.no_grad():
        for p in model.enc.parameters():
            p.mul_(3)
        if model.code_prior is not None:
            model.code_prior.last.weight.normal_()
    return model


@pytest.mark.parametrize("n", [1, 7])
def test_the_nearest_is_found_as_by_looking_at_each(n):
    found, entries = gaussian(n, L, W), gaussian(K, W, seed=1)
    for i, place in itertools.product(range(n), range(L)):
        far = [math.dist(found[i, place].tolist(), e.tolist()) for e in entries]
        assert nearest(found, entries)[i, place] == int(np.argmin(far))


def test_without_memory_a_full_batch_is_a_step_of_k_means():
    found, entries = gaussian(40, 1, W), gaussian(K, W, seed=1)
    book = Codebook(K, W, decay=0.0).double()
    book.begin(entries)
    chosen, _ = book(found)
    book.go_on(found, torch.nn.functional.one_hot(chosen, K).double())
    means = torch.stack([found[chosen[:, 0] == k, 0].mean(0) for k in range(K)])
    torch.testing.assert_close(book.entries, means, rtol=1e-4, atol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that one step does not converge
        once = KMeans(K, init=entries.numpy(), n_init=1, max_iter=1, tol=0).fit(found[:, 0].numpy())
    torch.testing.assert_close(torch.from_numpy(once.cluster_centers_), means)


def test_an_entry_that_nobody_chooses_stays_where_it_is():
    """The mutant, averages that begin with s = e but n = 0, throws it away."""
    found, entries = gaussian(40, 1, W), gaussian(K, W, seed=1)
    entries[0] = 50
    book = Codebook(K, W).double()
    book.begin(entries)
    torch.testing.assert_close(book.entries, entries)
    chosen, _ = book(found)
    one_hots = torch.nn.functional.one_hot(chosen, K).double()
    for _ in range(3_000):  # as often as γ³⁰⁰⁰ = 10⁻¹³; the mutant s/(n + 10⁻⁵) is at 0 by then
        book.go_on(found, one_hots)
    torch.testing.assert_close(book.entries[0], entries[0])
    book.go_on(found, one_hots.roll(1, -1))  # chosen again, it goes to what chose it
    assert (book.entries[0] - entries[0]).abs().min() > 40
    mutant = Codebook(K, W).double()
    mutant.begin(entries)
    mutant.count.fill_(1e-3)
    assert mutant.entries.abs().max() > 1_000


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
def test_the_loss_is_its_parts_summed_over_dimensions(codebook):
    model, x = small(codebook=codebook), binary(B, D, dtype=torch.float64)
    before = model.book.entries.detach().clone()
    loss, found = model.loss(x)
    encoded = model.enc(x).view(B, L, W)
    chosen = nearest(encoded, before)
    far = (encoded - before[chosen]).square().sum((-2, -1))
    rec = -log_bernoulli(x, model.dec(before[chosen].flatten(1)))
    one_hots = torch.nn.functional.one_hot(chosen, K).double()
    kl = -(model.code_prior(one_hots) * one_hots).sum((-2, -1))
    weight = COMMITMENT + (codebook == "gradient")
    assert loss.item() == pytest.approx((rec + kl + weight * far).mean().item(), rel=1e-10)
    assert found["gen/elbo"].item() == pytest.approx(-(rec + kl).mean().item(), rel=1e-10)
    # Choices are made before the entries move, and move in training only.
    assert torch.equal(before, model.book.entries) == (codebook == "gradient")
    model.eval()
    at_rest = model.book.entries.detach().clone()
    model.loss(x)
    assert torch.equal(at_rest, model.book.entries)
    # The mutant, means over dimensions and places, is another cost.
    mean = (rec + kl).mean() + weight * far.mean() / (L * W)
    assert loss.item() != pytest.approx(mean.item(), rel=1e-6)


def test_gradients_pass_the_choice_and_stop_where_they_should():
    model, x = small(codebook="gradient", code_prior="uniform"), binary(B, D, dtype=torch.float64)
    encoded = model.enc(x).view(B, L, W)
    _, entries = model.book(encoded)
    (of_entries,) = torch.autograd.grad(
        (encoded.detach() - entries).square().sum(), model.book.own, retain_graph=True
    )
    model.loss(x)[0].backward()
    torch.testing.assert_close(model.book.own.grad, of_entries / B)  # none of rec's
    at = entries.detach().flatten(1).requires_grad_()
    (of_rec,) = torch.autograd.grad(-log_bernoulli(x, model.dec(at)).mean(), at)
    pull = 2 * COMMITMENT * (encoded - entries).detach().flatten(1) / B
    (expected,) = torch.autograd.grad(encoded.flatten(1), model.enc[-1].bias, of_rec + pull)
    torch.testing.assert_close(model.enc[-1].bias.grad, expected)


def test_the_prior_over_codes_sums_to_one_and_sees_only_what_came_before():
    prior = CodePrior(L, K, hidden=11).double()
    torch.nn.init.normal_(prior.last.weight)
    every = torch.tensor(list(itertools.product(range(K), repeat=L)))
    one_hots = torch.nn.functional.one_hot(every, K).double()
    assert prior.log_prob(one_hots).exp().sum().item() == pytest.approx(1, abs=1e-10)
    slopes = torch.autograd.functional.jacobian(prior, one_hots[5])  # (L, K, L, K)
    seen = slopes.abs().sum((1, 3)) > 0
    assert torch.equal(seen, torch.ones(L, L).tril(-1).bool())
    # The mutant whose masks let a place see itself does not sum to one.
    prior.outwards.fill_(True)
    assert abs(prior.log_prob(one_hots).exp().sum().item() - 1) > 1e-3


def test_the_bound_is_the_length_of_a_code():
    x = binary(B, D, dtype=torch.float64)
    uniform = small(code_prior="uniform")
    kl, rec = uniform.negative_elbo_terms(x)
    assert kl.tolist() == pytest.approx([L * math.log(K)] * B)
    every = torch.tensor(list(itertools.product(range(K), repeat=L)))
    z = uniform.book.entries[every].flatten(1)
    log_p = (log_bernoulli(x[:, None], uniform.dec(z)) - L * math.log(K)).logsumexp(-1)
    assert (kl + rec > -log_p).all()
    learned = small()
    assert not torch.allclose(learned.negative_elbo_terms(x)[0], kl)
    further = learned.further(x, None)
    torch.testing.assert_close(
        further["nelbo, uniform prior"], learned.negative_elbo_terms(x)[1] + kl
    )
    assert learned.negative_iwae_bound(x, 7)[0].item() == pytest.approx(
        learned.negative_elbo_bound(x)[0].item()
    )


def test_codes_are_drawn_by_the_prior():
    torch.manual_seed(0)
    prior = CodePrior(2, 3, hidden=5).double()
    torch.nn.init.normal_(prior.last.weight, std=2)
    entries, n = gaussian(3, W), 20_000
    with seeded(1):
        z = CodeSequence(entries, 2, prior).sample((n,))
    drawn = nearest(z.view(n, 2, W), entries)
    shares = torch.bincount(drawn[:, 0] * 3 + drawn[:, 1], minlength=9).double() / n
    every = torch.tensor(list(itertools.product(range(3), repeat=2)))
    expected = prior.log_prob(torch.nn.functional.one_hot(every, 3).double()).exp()
    assert ((shares - expected).abs() < 5 * (expected * (1 - expected) / n).sqrt() + 1e-9).all()


def test_one_entry_has_the_perplexity_of_one_and_the_set_s_is_not_the_batches():
    x = binary(B, D, dtype=torch.float64)
    torch.manual_seed(0)
    alone = VQVAE(codes=L, k=1, width=W, x_dim=D).double()
    assert alone.further(x, None)["perplexity"].item() == pytest.approx(1)
    model = small()
    model.book.begin(gaussian(K, W, scale=0.3))
    found = nearest(model.enc(x).view(B, L, W), model.book.entries)
    entropy = torch.distributions.Categorical(
        torch.bincount(found.flatten(), minlength=K).double()
    ).entropy()
    assert model.further(x, None)["perplexity"].item() == pytest.approx(entropy.exp().item())


def test_words_and_sizes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="ema or gradient"):
        VQVAE(codebook="average")
    with pytest.raises(ValueError, match="at least 1"):
        VQVAE(codes=0)
