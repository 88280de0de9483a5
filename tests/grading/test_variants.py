"""The grader's verdict on deliberately wrong, and on right but unusual solutions."""

import pytest
from mutants import RIGHT_BUT_UNUSUAL, WRONG

from grading.messages import Note

EVERY = WRONG + RIGHT_BUT_UNUSUAL


def items_lost(verdict):
    return {r.item for r in verdict.results if r.check.points and not r.finding.passed}


def causes(verdict):
    return {r.finding.cause.key for r in verdict.results if r.finding.cause}


def judged(grade, solutions, variant, seed):
    return grade(variant.apply(solutions[variant.base]), seed, only=variant.reach)


def by_name(variants):
    """One test per variant."""
    return pytest.mark.parametrize("variant", variants, ids=lambda v: v.name)


def test_there_are_enough():
    assert len(WRONG) >= 60
    assert len(RIGHT_BUT_UNUSUAL) >= 12
    names = [v.name for v in WRONG + RIGHT_BUT_UNUSUAL]
    assert len(set(names)) == len(names)


@pytest.mark.few(6)
@by_name(WRONG)
def test_a_mistake_loses_its_items_points_and_no_others(variant, grade, solutions):
    verdict = judged(grade, solutions, variant, seed=0)
    assert items_lost(verdict) == {variant.item}
    if variant.cause:
        assert variant.cause in causes(verdict)


@pytest.mark.few(3)
@by_name(RIGHT_BUT_UNUSUAL)
def test_a_right_solution_keeps_every_point(variant, grade, solutions):
    assert items_lost(judged(grade, solutions, variant, seed=0)) == set()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_the_verdict_does_not_depend_on_the_seed(seed, grade, solutions):
    found = {v.name: items_lost(judged(grade, solutions, v, seed)) for v in EVERY}
    assert found == {v.name: {v.item} if v.item else set() for v in EVERY}


@pytest.mark.few(1)
@pytest.mark.parametrize("base", ["ours", "classic"])
def test_right_solutions_earn_all_61_points(base, grade, solutions):
    assert grade(solutions[base], seed=1).total == 61


def test_a_function_not_written_is_said_to_be_so_and_stood_in_for(grade, solutions):
    files = dict(solutions["classic"])
    files["utils.py"] = files["utils.py"].replace(
        "    epsilon = torch.randn_like(v)\n    z = m + torch.sqrt(v) * epsilon\n", ""
    )
    verdict = grade(files)
    assert verdict.earned("1.1") == 0
    assert verdict.total == 61 - 9
    gaps = [r for r in verdict.results if not r.implemented and r.check.points]
    assert len(gaps) == 5
    assert set(verdict.standins) == {"VAE", "GMVAE", "SSVAE"}


@pytest.mark.slow
def test_a_file_with_a_syntax_error_costs_only_its_items(grade, solutions):
    files = solutions["classic"] | {"utils.py": solutions["classic"]["utils.py"] + "\ndef :\n"}
    verdict = grade(files)
    assert verdict.earned("1.2") == 9
    assert verdict.earned("3.2") == 21
    assert verdict.earned("2.1") == 9  # the GMVAE's
    files = solutions["ours"] | {"models/gmvae.py": "import nowhere\n"}
    verdict = grade(files)
    assert verdict.total == 61 - 9


@pytest.mark.slow
def test_a_broken_model_costs_its_item_though_utils_imports_it(grade, solutions):
    """As in the starter code, utils.py imports the models at its top."""
    for broken in ("import nowhere\n", "class GMVAE(:\n"):
        verdict = grade(solutions["classic"] | {"models/gmvae.py": broken})
        assert verdict.total == 61 - 9
        assert verdict.standins["SSVAE"] == ("models/gmvae.py",)
    files = dict(solutions["classic"])
    del files["models/vae.py"], files["models/gmvae.py"]
    assert grade(files).total == 61 - 9 - 9


def test_a_variance_taken_for_a_standard_deviation_costs_the_variance(grade, solutions):
    code = "\n\ndef sample_gaussian(m, v):\n    return m + v * torch.randn_like(m)\n"
    files = solutions["classic"] | {"utils.py": solutions["classic"]["utils.py"] + code}
    verdict = grade(files, only=("sample_gaussian",))
    assert [r.check.name for r in verdict.results if not r.finding.passed] == [
        "sample_gaussian.variance"
    ]


def test_a_constant_earns_nothing(grade, solutions):
    code = (
        "\n\ndef log_normal(x, m, v):\n    return 0 * x.sum(-1)\n"
        "\n\ndef log_normal_mixture(z, m, v):\n    return 0 * z.sum(-1)\n"
    )
    files = solutions["classic"] | {"utils.py": solutions["classic"]["utils.py"] + code}
    verdict = grade(files, only=("log_normal", "log_normal_mixture"))
    assert not any(r.finding.passed for r in verdict.results)


def test_what_is_said_is_of_the_item_itself(grade, solutions):
    """Nothing is earned with the gap in sample_gaussian nor without: the model's own is told."""
    gap = "\n\ndef sample_gaussian(m, v):\n    raise NotImplementedError\n"
    files = dict(solutions["classic"])
    files["utils.py"] += gap
    files["models/ssvae.py"] = files["models/ssvae.py"].replace("ut.kl_cat(", "ut.kl_kat(")
    verdict = grade(files, only=("sample_gaussian", "SSVAE"))
    said = {r.finding.seen.say("en") for r in verdict.results if r.item == "3.2"}
    assert len(said) == 1
    assert "models/ssvae.py" in said.pop()


@pytest.mark.slow
def test_a_changed_given_function_is_charged_once(grade, solutions):
    """kl_normal serves 1.2 and 3.2; the first of them pays."""
    code = "\n\ndef kl_normal(qm, qv, pm, pv):\n    return ((qm - pm) ** 2).sum(-1)\n"
    files = solutions["classic"] | {"utils.py": solutions["classic"]["utils.py"] + code}
    verdict = grade(files)
    assert items_lost(verdict) == {"1.2"}
    assert any(r.check.name == "given.kl_normal" for r in verdict.results if not r.finding.passed)
    assert causes(verdict) == {"cause.function"}


def test_a_function_that_seemed_right_is_named_where_it_costs_points(grade, solutions):
    """1e-8 is nothing to the variances of 1.1, and as much as the smallest ones of a model."""
    body = "return m + torch.sqrt(v + 1e-8) * torch.randn_like(m)"
    code = f"\n\ndef sample_gaussian(m, v):\n    {body}\n"
    files = solutions["classic"] | {"utils.py": solutions["classic"]["utils.py"] + code}
    verdict = grade(files, only=("sample_gaussian", "GMVAE"))
    (lost,) = (r for r in verdict.results if r.check.points and not r.finding.passed)
    assert lost.check.name == "GMVAE.kl"
    assert lost.finding.cause == Note("cause.function", name="sample_gaussian")
