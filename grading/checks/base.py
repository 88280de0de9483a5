"""What every check is made of."""

import functools
from dataclasses import dataclass

import numpy as np

from grading.failures import Failure
from grading.messages import Note


@dataclass(frozen=True)
class Finding:
    """What one check saw.

    Attributes:
        passed: the verdict.
        seen: what was expected and what came.
        cause: the likely mistake, where it was recognised.
        remarks: what the author should know although it costs nothing.
    """

    passed: bool
    seen: Note | None = None
    cause: Note | None = None
    remarks: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Check:
    """One question about one target, worth points of an item.

    Attributes:
        name: unique, such as "log_normal.values"; its title is the message "title.‹name›".
        points: of the item, lost when it fails.
        judge: a function Lab → Finding that may raise Failure.
    """

    name: str
    points: int
    judge: object


@dataclass(frozen=True)
class Group:
    """The checks of one target.

    Attributes:
        target: a function of utils.py or a class.
        item: of the assignment; None for what earns nothing and is only remarked on.
        lab: called with a session and a generator of random numbers.
        checks: in the order of the report.
        needs: earlier targets that this one may use, and that are stood in for if they are wrong.
    """

    target: str
    item: str | None
    lab: object
    checks: tuple[Check, ...]
    needs: tuple[str, ...] = ()


def once(measurement):
    """A method whose answer, or failure to answer, is kept."""

    @functools.wraps(measurement)
    def kept(self, *arguments):
        key = measurement.__name__, arguments
        if key not in self.memory:
            try:
                self.memory[key] = measurement(self, *arguments)
            except Failure as failure:
                self.memory[key] = failure
        if isinstance(self.memory[key], Failure):
            raise self.memory[key]
        return self.memory[key]

    return kept


class Lab:
    """What the checks of a group ask of one submission, each question once.

    Args:
        session: with the assembled submission.
        rng: where every random input comes from.
    """

    def __init__(self, session, rng):
        self.session, self.rng, self.memory = session, rng, {}
        self.hopeless = None

    def ask(self, operation, arrays=None, **info):
        """A question to the submission; after one that hung or killed its process, none."""
        if self.hopeless:
            raise self.hopeless
        try:
            return self.session.ask(operation, arrays, **info)
        except Failure as failure:
            if failure.final:
                self.hopeless = failure
            raise

    def idle(self):
        """A finding where what is asked answers the same whatever it is given; None otherwise.

        Such a placeholder is right in some respects, and earns nothing for that.
        """
        return None

    def seed(self):
        """A seed for the submission's own generators."""
        return int(self.rng.integers(1 << 31))


class FunctionLab(Lab):
    """Questions to one function of utils.py."""

    name = None

    def draw(self, *arguments, repeat=1):
        """Its values on float32 arrays, (repeat, …)."""
        return self._ask(arguments, None, repeat)[1]

    def value(self, *arguments):
        """Its value on float32 arrays."""
        return self.draw(*arguments)[0]

    def types(self, *arguments):
        """The types that its arguments and its value have, as torch names them."""
        given, got = self._ask(arguments, None, 1)[0]["types"]
        return str(given), str(got)

    def gradients(self, cotangent, *arguments):
        """Its value, and Σ cotangent · value differentiated by each argument.

        Raises:
            Failure: the value does not depend on an argument, as far as autograd knows, or has
                another size.
        """
        info, value, found = self._ask(arguments, cotangent, 1)
        if value[0].size != cotangent.size:
            shapes = {"expected": list(cotangent.shape), "got": list(value[0].shape)}
            raise Failure(Note("shapes", **shapes))
        if info.get("constant"):
            raise Failure(Note("no_gradient", name=self.name))
        for i, argument in enumerate(arguments):
            gradient = found.get(f"d{i}")
            if gradient is None or gradient.shape != argument.shape:
                raise Failure(Note("no_gradient_to", name=self.name, argument=self.signature[i]))
        return value[0], [found[f"d{i}"].astype(np.float64) for i in range(len(arguments))]

    def values(self):
        """What it answers to several questions, as arrays."""
        return []

    @once
    def idle(self):
        try:
            values = [np.ravel(value) for value in self.values()]
        except Failure:
            return None
        constant = values and np.ptp(np.concatenate(values)) == 0
        return Finding(False, Note("constant", name=self.name)) if constant else None

    def _ask(self, arguments, cotangent, repeat):
        arrays = {str(i): a.astype(np.float32) for i, a in enumerate(arguments)}
        if cotangent is not None:
            arrays["cotangent"] = cotangent.astype(np.float32)
        info, found = self.ask(
            "function",
            arrays,
            name=self.name,
            arguments=len(arguments),
            repeat=repeat,
            seed=self.seed(),
            gradient=cotangent is not None,
        )
        if "0" not in found:
            raise Failure(Note("talked_nonsense"))
        return info, found["0"].astype(np.float64), found


def single(a):
    """Rounded to float32, as the submission sees it, in float64 for our own arithmetic."""
    return np.asarray(a, np.float32).astype(np.float64)


def close(got, expected, relative=1e-4, absolute=1e-4):
    """Whether arrays of one size agree; never where anything is not a number."""
    got, expected = np.ravel(got), np.ravel(expected)
    if got.size != expected.size:
        return False
    with np.errstate(invalid="ignore"):
        return bool(np.all(np.abs(got - expected) <= absolute + relative * np.abs(expected)))


def worst(got, expected):
    """The pair of entries that differ most, as text; shapes where those differ."""
    if np.size(got) != np.size(expected):
        return Note("shapes", expected=list(np.shape(expected)), got=list(np.shape(got)))
    got, expected = np.ravel(got), np.ravel(expected)
    with np.errstate(invalid="ignore"):
        error = np.abs(got - expected) / (1 + np.abs(expected))
    i = int(np.argmax(np.where(np.isfinite(error), error, np.inf)))
    return numbers(expected[i], got[i])


def numbers(expected, got, tolerance=None):
    """Expected and got, as text."""
    if tolerance is None:
        return Note("numbers", expected=f"{expected:.5g}", got=f"{got:.5g}")
    return Note(
        "numbers_within",
        expected=f"{expected:.5g}",
        got=f"{got:.5g}",
        tolerance=f"{tolerance:.2g}",
    )


def fitting(answers, candidates):
    """The number of the first wrong formula that gives what came, in every case; None if none does.

    Args:
        answers: what came, one array per case.
        candidates: for every case [(key, value), …], the formulas in the same order.
    """
    for i, tried in enumerate(zip(*candidates, strict=True)):
        values = [value for _, value in tried]
        alike = (close(got, value, 1e-3, 1e-3) for got, value in zip(answers, values, strict=True))
        if all(np.all(np.isfinite(value)) for value in values) and all(alike):
            return i
    return None


def recognised(answers, candidates):
    """The note of the first wrong formula that gives what came, in every case: see `fitting`."""
    i = fitting(answers, candidates)
    if i is not None:
        return Note(candidates[0][i][0])
    if any(np.any(np.isnan(got)) for got in answers):
        return Note("cause.nan")
    if any(np.any(np.isinf(got)) for got in answers):
        return Note("cause.inf")
    return None
