"""How sharply wrong draws, wrong IWAE bounds, placeholders and one fixed size are told apart."""

import re

import numpy as np
import pytest
from mutants import (
    PLACEHOLDERS,
    RIGHT,
    RIGHT_IWAE,
    WRONG,
    WRONG_DRAWS,
    WRONG_IWAE,
    Variant,
    bound,
    mistake,
    util,
)  # fmt: skip

from grading.checks.bounds import rising
from grading.significance import spread_limit

FUNCTIONS = ("sample_gaussian", "log_normal", "log_normal_mixture")
SEEDS = range(200, 220)


def each(variants):
    """One test per variant."""
    return pytest.mark.parametrize("variant", variants, ids=lambda v: v.name)


def lost(verdict):
    return {r.check.name for r in verdict.results if r.check.points and not r.finding.passed}


def causes(verdict):
    return {r.check.name: r.finding.cause for r in verdict.results if r.finding.cause}


@pytest.fixture
def judged(grade, solutions):
    """Judges a variant, as far as it reaches."""

    def judged(variant, seed=0, only=None):
        if only is None:
            only = FUNCTIONS if variant.where == "utils" else (variant.where,)
        return grade(variant.apply(solutions[variant.base]), seed, only=only)

    return judged


# How z is drawn


@pytest.mark.few(1)
@each(WRONG_DRAWS)
def test_a_wrong_draw_within_a_bound_loses_points(judged, variant):
    assert lost(judged(variant))


@pytest.mark.slow
@pytest.mark.parametrize("variant", WRONG_DRAWS, ids=lambda v: v.name)
def test_a_wrong_draw_loses_as_much_with_any_seed(judged, variant):
    totals = {judged(variant, seed).total for seed in SEEDS}
    assert len(totals) == 1
    assert totals.pop() < {"VAE": 9, "GMVAE": 9, "SSVAE": 21}[variant.where]


def test_noise_of_its_own_is_told_from_shared_noise_in_arrays():
    """The rising image, for a decoder that is linear: shared noise doubles the spread."""
    rng = np.random.default_rng(0)
    slopes = rng.normal(size=(4, 784)) * np.array([[2.0], [1.0], [0.7], [0.5]])
    p = rng.uniform(0.3, 0.7, 784)
    ((x),) = rising(slopes, p)
    assert set(x) == {0.0, 1.0}
    rise = ((p - x) * slopes).sum(axis=1)
    assert rise.sum() / np.sqrt((rise**2).sum()) > 1.8
    e = rng.normal(size=(100_000, 4))
    assert (rise.sum() * e[:, 0]).std() / (e @ rise).std() > 1.8


@pytest.mark.parametrize("calls", [24, 96, 192])
def test_the_spreads_limit_is_that_of_chi_square(calls):
    stats = pytest.importorskip("scipy.stats")
    exact = np.sqrt(stats.chi2.isf(5e-7, calls - 1) / (calls - 1))
    assert exact <= spread_limit(calls, 10**12) * 1.001
    assert spread_limit(calls, 10**12) <= exact * 1.04


# The IWAE bound


def iwae_of(verdict):
    (result,) = (r for r in verdict.results if r.check.name == "VAE.iwae")
    return result.finding


@pytest.mark.few(2)
@each(RIGHT_IWAE)
def test_a_right_iwae_bound_is_said_to_be_so(judged, variant):
    finding = iwae_of(judged(variant))
    assert finding.passed
    assert [note.key for note in finding.remarks] == ["iwae_right"]


BLIND = "each term averaged so"  # which is right for independent terms and many samples


@pytest.mark.few(3)
@each([v for v in WRONG_IWAE if v.name != BLIND])
def test_a_wrong_iwae_bound_is_found(judged, variant):
    assert not iwae_of(judged(variant)).passed


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_iwae_bounds_are_told_apart_with_any_seed(judged, seed):
    assert all(iwae_of(judged(v, seed)).passed for v in RIGHT_IWAE)
    missed = {v.name for v in WRONG_IWAE if iwae_of(judged(v, seed)).passed}
    assert missed <= {BLIND}


def test_what_is_wrong_with_an_iwae_bound_is_named(judged):
    mixed, elbo = (next(v for v in WRONG_IWAE if v.name == n) for n in ("images mixed", "the ELBO"))
    assert iwae_of(judged(mixed)).cause.key == "cause.images_mixed"
    assert iwae_of(judged(elbo)).cause.key == "cause.mean_of_logs"


# No points for nothing


@pytest.mark.few(2)
@each(PLACEHOLDERS)
def test_a_placeholder_earns_nothing(judged, variant):
    reached = variant.code.partition("def ")[2].partition("(")[0]
    target = reached if variant.where == "utils" else variant.where
    verdict = judged(variant, only=(target,))
    assert verdict.total == 0
    assert len({r.finding.seen.key for r in verdict.results if r.check.points}) == 1


# One size of a minibatch


SIZED = {
    "the labels of 100 images": Variant("", **bound(
        {"torch.eye(10).repeat_interleave(n, dim=0)":
         "torch.eye(10).repeat_interleave(100, dim=0)"}, "SSVAE")),
    "a view of 97 rows": Variant("", **bound(
        {"m, v = self.enc.encode(x)": "m, v = (t.view(97, -1) for t in self.enc.encode(x))"},
        "VAE")),
    "noise for 100 images": Variant("", **bound(
        {"z = ut.sample_gaussian(m, v)": "z = m + v.sqrt() * torch.randn(100, self.z_dim)"},
        "GMVAE")),
}  # fmt: skip


@pytest.mark.few(1)
@pytest.mark.parametrize("name", SIZED)
def test_one_size_of_a_minibatch_is_one_mistake(judged, name):
    """It costs the check of that name; the rest is judged with minibatches of that size."""
    variant = SIZED[name]
    verdict = judged(variant)
    assert lost(verdict) == {f"{variant.where}.minibatch"}
    (cause,) = causes(verdict).values()
    assert cause.key == "cause.size"
    assert str(cause.values["size"]) in name


def test_what_else_is_wrong_at_one_size_is_seen(judged):
    wrong = Variant("", **bound(
        {"torch.eye(10).repeat_interleave(n, dim=0)":
         "torch.eye(10).repeat_interleave(100, dim=0)",
         "ut.kl_cat(q, log_q, -np.log(10))": "(q * log_q).sum(-1)"}, "SSVAE"))  # fmt: skip
    verdict = judged(wrong)
    assert lost(verdict) == {"SSVAE.minibatch", "SSVAE.kl_y"}


def test_a_sum_over_a_fixed_size_is_one_mistake(judged):
    variant = next(v for v in WRONG if v.name == "a batch of 100 assumed")
    verdict = judged(variant)
    assert lost(verdict) == {"VAE.minibatch"}
    assert causes(verdict)["VAE.minibatch"].values == {"size": 100}


RECOGNISED = [
    v
    for v in WRONG
    if "def log_normal" in v.code and v.cause not in (None, "cause.no_log_mean_exp")
]


@each(RECOGNISED)
def test_a_wrong_density_that_is_recognised_is_one_mistake(judged, variant):
    """Its gradient, which is another one for it, is not charged again."""
    assert {check.partition(".")[2] for check in lost(judged(variant))} == {"values"}


def test_a_density_kept_with_keepdim_is_one_mistake(judged):
    variant = next(v for v in WRONG if "keepdim" in v.name)
    assert lost(judged(variant, only=("log_normal",))) == {"log_normal.shape"}


def test_a_wrong_densitys_gradient_is_not_any_gradient(judged):
    code = "d = torch.distributions.Normal(m.detach() + 0 * m, v.sqrt())\n"
    code = f"def log_normal(x, m, v):\n    {code}    return d.log_prob(x).mean(-1)"
    found = lost(judged(Variant("", **util(code)), only=("log_normal",)))
    assert found == {"log_normal.values", "log_normal.gradient"}


@pytest.mark.parametrize("terms", [("kl",), ("kl", "rec")])
def test_a_missing_mean_is_one_mistake(judged, terms):
    lines = {
        "kl": {"self.z_prior_v).mean()": "self.z_prior_v)"},
        "rec": {"logits).mean()": "logits)"},
    }
    variant = Variant("", **bound({k: v for term in terms for k, v in lines[term].items()}, "VAE"))
    assert lost(judged(variant)) == {"VAE.scalars"}


# What is said is true


SAID = {
    "zeros": (("VAE", {"kl = ut": "kl = 0 * ut", "rec = -ut": "rec = -0 * ut"}), {}),
    "the prior": (
        ("VAE", {"z = ut.sample_gaussian(m, v)": "z = torch.randn_like(m)"}),
        {"VAE.rec": "prior_sample"},
    ),
    "arguments swapped": (
        ("VAE", {"with_logits(x, logits)": "with_logits(logits, x)"}),
        {"VAE.rec": "swapped_arguments", "VAE.stability": "swapped_arguments"},
    ),
    "probabilities for logits": (
        ("VAE", {"with_logits(x, logits)": "with_logits(x, logits.sigmoid())"}),
        {"VAE.rec": "sigmoid_as_logits", "VAE.stability": "sigmoid_as_logits"},
    ),
    "arguments swapped, GMVAE": (
        ("GMVAE", {"with_logits(x, logits)": "with_logits(logits, x)"}),
        {"GMVAE.rec": "swapped_arguments"},
    ),
    "terms reshaped wrongly": (
        ("SSVAE", {
            "torch.eye(10).repeat_interleave(n, dim=0)": "torch.eye(10).repeat(n, 1)",
            "ut.duplicate(x, 10)": "x.repeat_interleave(10, dim=0)"}),
        {"SSVAE.kl_z": "reshaped_wrong", "SSVAE.rec": "reshaped_wrong"},
    ),
}  # fmt: skip


@pytest.mark.few(3)
@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_cause_is_named_that_explains_it(judged, name, seed):
    (where, lines), wanted = SAID[name]
    found = {k: c.key for k, c in causes(judged(Variant("", **bound(lines, where)), seed)).items()}
    for check, cause in wanted.items():
        assert found.get(check) == f"cause.{cause}"
    assert "cause.mean_over_pixels" not in found.values()
    assert "cause.no_logits" not in found.values()


SOFT = """
def negative_elbo_bound(self, x):
    log_q = F.log_softmax(self.cls.classify(x), dim=1)
    q = log_q.exp()
    m, v = self.enc.encode(x, q)
    z = ut.sample_gaussian(m, v)
    kl_y = ut.kl_cat(q, log_q, -np.log(10)).mean()
    kl_z = ut.kl_normal(m, v, self.z_prior_m, self.z_prior_v).mean()
    rec = -ut.log_bernoulli_with_logits(x, self.dec.decode(z, q)).mean()
    return kl_y + kl_z + rec, kl_z, kl_y, rec
"""


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 2))])
def test_soft_labels_are_told_with_any_seed(judged, seed):
    found = causes(judged(Variant("", "SSVAE", SOFT), seed))
    keys = {c.key for k, c in found.items() if k in ("SSVAE.kl_z", "SSVAE.rec")}
    assert keys == {"cause.soft_labels"}


LABELS_DRAWN = [v for v in WRONG if v.cause == "cause.sampled_label"]


@pytest.mark.few(3)
@each(LABELS_DRAWN)
@pytest.mark.parametrize("seed", range(4))
def test_a_sampled_label_is_one_mistake_with_any_seed(judged, variant, seed):
    """Though its noise would hide a wrong mean, and many a wrong mean would pass for it."""
    verdict = judged(variant, seed)
    assert lost(verdict) == {"SSVAE.expectation"}
    assert [c.key for c in causes(verdict).values()] == ["cause.sampled_label"]


@pytest.mark.few(3)
@each([v for v in WRONG if v.cause == "cause.reseeded" and v.where != "utils"])
@pytest.mark.parametrize("seed", range(2))
def test_a_seed_in_a_bound_is_one_mistake_with_any_seed(judged, variant, seed):
    verdict = judged(variant, seed)
    assert lost(verdict) == {f"{variant.where}.rec"}
    assert [c.key for k, c in causes(verdict).items() if "iwae" not in k] == ["cause.reseeded"]


def test_noise_of_another_size_is_not_taken_for_a_sampled_label(judged):
    wrong = {"z = ut.sample_gaussian(m, v)": "z = m + torch.randn_like(m)"}
    found = causes(judged(Variant("", **bound(wrong, "SSVAE"))))
    assert {cause.key for cause in found.values()} == {"cause.unit_noise"}


def seen(verdict):
    return {r.finding.seen.key for r in verdict.results if r.finding.seen}


def test_a_mixture_without_its_sum_is_not_said_to_vanish(judged):
    code = (
        "def log_normal_mixture(z, m, v):\n"
        "    d = torch.distributions.Normal(m, v.sqrt())\n"
        "    return torch.logsumexp(d.log_prob(z.unsqueeze(1)), 1) - np.log(m.shape[1])"
    )
    verdict = judged(Variant("", **util(code)), only=("log_normal_mixture",))
    assert "cause.no_log_mean_exp" not in {c.key for c in causes(verdict).values()}


@pytest.mark.parametrize(("where", "code", "key"), [
    ("VAE", RIGHT["VAE"].replace("return kl + rec, kl, rec", "nelbo = kl + rec"), "no_return"),
    ("utils", "def log_normal(x, m, v):\n    p = x - m\n", "no_return"),
    ("utils", "def log_normal(x, m, v):\n    '''Density.'''\n", "not_implemented"),
    ("utils", "def log_normal(x, m, v):\n    raise NotImplementedError\n", "not_implemented"),
    ("utils", "def log_normal(x, m, v):\n    return log_prob\n", "not_implemented"),
    ("utils", "def log_normal(x, m, v):\n    log_p = x - m\n    return log_prob\n", "raised"),
    ("utils", "def log_normal(x, m, v):\n    return logprob\n", "raised"),
    ("VAE", RIGHT["VAE"].replace("kl, rec\n", "kl, recc\n"), "raised"),
    ("GMVAE", "def negative_elbo_bound(self, x):\n"
     "    prior = ut.gaussian_parameters(self.z_pre, dim=1)\n    return nelbo, kl, rec\n",
     "not_implemented"),
    ("utils", "def log_normal(x, m, v):\n    return torch.zeros(2).to_sparse().median()\n",
     "raised"),
])  # fmt: skip
def test_a_gap_is_told_from_a_mistake(judged, where, code, key):
    only = ("log_normal",) if where == "utils" else (where,)
    verdict = judged(Variant("", where, code), only=only)
    assert seen(verdict) - {"iwae_absent"} == {key}


@pytest.mark.parametrize(("path", "old", "new", "said"), [
    ("models/vae.py", "return nelbo, kl, rec", "return nelbo",
     "should return nelbo, kl, rec; 1 value came"),
    ("models/vae.py", "class VAE", "class Vae",
     "raised AttributeError: module 'codebase.models.vae' has no attribute 'VAE'"),
    ("models/vae.py", "nelbo = kl + rec", "nelbo = = kl",
     "is no Python 3.x, which the grader runs, at codebase/models/vae.py:N: invalid syntax"
     " — line: nelbo = = kl"),
    ("models/vae.py", "        return ut.sample_gaussian(m, v)\n", "        if True:\n\n",
     "is no Python 3.x, which the grader runs, at codebase/models/vae.py:N:"
     " expected an indented block after 'if' statement on line 48"),
])  # fmt: skip
def test_a_failure_is_one_plain_sentence(grade, solutions, path, old, new, said):
    files = dict(solutions["classic"])
    assert old in files[path]
    files[path] = files[path].replace(old, new)
    results = [r for r in grade(files, only=("VAE",)).results if r.check.points]
    (found,) = {r.finding.seen.say("en") for r in results}
    assert re.sub(r"\.py:\d+", ".py:N", re.sub(r"Python 3\.\d+", "Python 3.x", found)) == said


def test_a_file_in_another_case_is_told_so(grade, solutions):
    files = dict(solutions["classic"])
    files["Utils.py"] = files.pop("utils.py")
    verdict = grade(files, only=("log_normal",))
    for text in (r.finding.seen.say("en") for r in verdict.results):
        assert text.startswith("codebase/utils.py was not handed in; codebase/Utils.py lies there")


def test_nothing_is_said_to_be_expected_and_come_alike(judged):
    """Nor is 0 said to be expected where any number would do."""
    lines = {"rec, kl_z, kl_y, rec": "rec, kl_z * np.nan, kl_y, rec"}
    verdict = judged(Variant("", **bound(lines, "SSVAE")))
    for result in verdict.results:
        if result.finding.seen:
            text = result.finding.seen.say("en")
            assert "expected nan" not in text
            assert "expected 0, got nan" not in text


def test_another_cause_than_the_right_one_is_not_named_for_another_z(judged):
    """Wrong in mean already, the two terms need not have another z each."""
    wrong = mistake("", "2.1", **bound(
        {"z = ut.sample_gaussian(m, v)": "z = m + torch.randn_like(m)"}, "GMVAE"))  # fmt: skip
    assert "cause.other_sample" not in {c.key for c in causes(judged(wrong)).values()}


@pytest.mark.parametrize("noise", ["Laplace(0.0, 0.7071)", "StudentT(5.0,)"])
def test_noise_that_is_not_normal_need_not_be_uniform(judged, noise):
    code = (
        "def sample_gaussian(m, v):\n"
        f"    e = torch.distributions.{noise.replace('(', '(*map(torch.tensor, (', 1)}))\n"
        "    return m + v.sqrt() * e.sample(m.shape)"
    )
    verdict = judged(Variant("", **util(code)), only=("sample_gaussian",))
    assert "sample_gaussian.distribution" in lost(verdict)
    assert "cause.uniform_noise" not in {c.key for c in causes(verdict).values()}
