"""The starter code's functions: given, so worth nothing, but blamed where one was changed."""

import numpy as np

from grading import oracles
from grading.checks.base import Check, Finding, FunctionLab, Group, close, recognised, single, worst


class Given(FunctionLab):
    """Questions to a function of the starter code."""

    def __init__(self, session, rng, name):
        super().__init__(session, rng)
        self.name = name


def _cases(rng):
    """{name: (arguments, value)}."""
    a, b = rng.normal(size=(2, 5, 6))
    u, v = np.exp(rng.normal(size=(2, 5, 6)))
    log_q = oracles.log_softmax(a)
    bits = (a > 0).astype(float)
    return {
        "log_bernoulli_with_logits": ((bits, 3 * b), lambda x, h: -oracles.cross_entropy(x, h)),
        "kl_normal": ((a, u, b, v), oracles.kl_normal),
        "kl_cat": (
            (np.exp(log_q), log_q, oracles.log_softmax(b)),
            lambda q, log_q, log_p: (q * (log_q - log_p)).sum(-1),
        ),
    }


def _judge(name):
    def judge(lab):
        lab = Given(lab.session, lab.rng, name)
        answers, expected = [], []
        for _ in range(2):
            arguments, formula = _cases(lab.rng)[name]
            arguments = [single(a) for a in arguments]
            answers.append(lab.value(*arguments))
            expected.append(formula(*arguments))
        pairs = [*zip(answers, expected, strict=True)]
        wrong = [pair for pair in pairs if not close(*pair, 1e-3, 1e-3)]
        if not wrong:
            return Finding(True)
        dim = arguments[0].shape[-1]
        causes = [(("cause.sign", -e), ("cause.mean_over_dim", e / dim)) for e in expected]
        return Finding(False, worst(*wrong[0]), recognised(answers, causes))

    return judge


CHECKED = ("log_bernoulli_with_logits", "kl_normal", "kl_cat")

GROUP = Group(
    "given",
    None,
    FunctionLab,
    tuple(Check(f"given.{name}", 0, _judge(name)) for name in CHECKED),
)
