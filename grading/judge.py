"""A submission's verdict: every check, with stand-ins so that no mistake is punished twice."""

import time
from dataclasses import dataclass, field

import numpy as np

from grading.checks import densities, given, gmvae, sampling, ssvae, vae
from grading.checks.base import Check, Finding
from grading.failures import Failure, NotImplementedYet
from grading.messages import Note
from grading.sandbox import Session

GROUPS = (
    sampling.GROUP,
    densities.LOG_NORMAL,
    densities.LOG_MIXTURE,
    given.GROUP,
    vae.GROUP,
    gmvae.GROUP,
    ssvae.GROUP,
)
FILES = {"VAE": "models/vae.py", "GMVAE": "models/gmvae.py", "SSVAE": "models/ssvae.py"}
POINTS = {"1.1": 9, "1.2": 9, "2.1": 22, "3.2": 21}
HUMAN = ("1.4", "1.5", "2.3")  # pictures and an essay
TRAINED = ("1.3", "2.2", "3.1", "3.3")  # numbers of a training


@dataclass(frozen=True)
class Result:
    """One check's outcome."""

    check: Check
    item: str | None
    finding: Finding
    answered: bool = True
    implemented: bool = True

    @property
    def earned(self):
        return self.check.points if self.finding.passed else 0


@dataclass
class Verdict:
    """What a submission earned, and why.

    Attributes:
        name: the submission's.
        results: of every check, in the order of the report.
        standins: {target: what this project's code stood in for while it was judged}.
        guards: of lockdown.GUARDS, those that held.
        missing: graded files that were not handed in.
        copies: folders with more graded files, which were not looked at.
        seconds: of wall clock.
    """

    name: str
    seed: int
    results: list[Result] = field(default_factory=list)
    standins: dict[str, tuple[str, ...]] = field(default_factory=dict)
    guards: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    copies: tuple[str, ...] = ()
    seconds: float = 0.0

    def earned(self, item):
        """Points of an item."""
        return sum(r.earned for r in self.results if r.item == item)

    @property
    def total(self):
        return sum(self.earned(item) for item in POINTS)


def judge(submission, launcher, limits, seed, only=None):
    """Judge a submission.

    Args:
        submission: Submission.
        launcher: starts its processes.
        limits: sandbox.Limits.
        seed: of every random input.
        only: targets to judge; all of them if not given. A group's inputs do not depend on it.
    Returns:
        Verdict.
    """
    began = time.perf_counter()
    missing = [f"codebase/{path}" for path in submission.missing]
    verdict = Verdict(submission.name, seed, missing=missing, copies=submission.copies)
    own = Session(launcher, submission.assemble, limits)
    wrong, hopeless = {}, set()  # targets that lost points; those that hung or killed the process
    try:
        unusable, broken = _utils_failure(submission, own, launcher, limits)
        for number, group in enumerate(GROUPS):
            if only is not None and group.target not in only:
                continue
            best, used = None, ()
            others = tuple(file for file in broken if file != FILES.get(group.target))
            for extra in _attempts(group, wrong, hopeless, unusable):
                used_now = (*extra, *(file for file in others if file not in extra))
                session = own
                if used_now:
                    session = Session(launcher, assembly(submission, used_now), limits)
                rng = np.random.default_rng([seed, number])
                try:
                    results, hung = _run(group, session, rng, submission, unusable)
                finally:
                    if session is not own:
                        session.close()
                if not extra and hung:
                    hopeless.add(group.target)
                # Where nothing is earned either way, what is said is to be of the item itself.
                if not best or not _points(best) or _points(results) > _points(best):
                    best, used = results, used_now
                if _points(best) == sum(check.points for check in group.checks):
                    break
            verdict.results += best
            if used:
                verdict.standins[group.target] = used
            if any(not r.finding.passed for r in best if r.check.points or group.item is None):
                wrong[group.target] = [r for r in best if not r.finding.passed]
        verdict.results.sort(key=lambda result: result.item or "")
        verdict.guards = own.guards
    finally:
        own.close()
    verdict.seconds = time.perf_counter() - began
    return verdict


def _points(results):
    return sum(r.earned for r in results)


def _utils_failure(submission, own, launcher, limits):
    """Why utils.py cannot be used at all, None where it can, and with which files stood in for.

    The starter code's utils.py imports the models, so a mistake in one of those can keep all the
    rest from being imported.
    """
    if "utils.py" in submission.missing:
        return Failure(Note("file_missing", path="codebase/utils.py")), ()
    failure = _import_failure(own)
    models = tuple(FILES.values())
    for broken in ((file,) for file in models) if failure else ():
        if not _tried(submission, broken, launcher, limits, _import_failure):
            return None, broken
    if failure and not _tried(submission, models, launcher, limits, _import_failure):
        return None, models
    return failure, ()


def _import_failure(session):
    try:
        session.ask("load", module="utils")
    except Failure as failure:
        return failure
    return None


def _tried(submission, names, launcher, limits, question):
    """A question's answer with this project's files and functions of these names."""
    session = Session(launcher, assembly(submission, names), limits)
    try:
        return question(session)
    finally:
        session.close()


def _attempts(group, wrong, hopeless, unusable):
    """What to stand in for, in the order to try: nothing, then what earlier items lost points for.

    Yields tuples of names of functions and of graded files.
    """
    functions = [t for t in group.needs if t in wrong and t not in FILES]
    if "VAE" in wrong and "VAE" in group.needs:  # a changed given function was charged there
        functions += [r.check.name.partition(".")[2] for r in wrong.get("given", ())]
    files = [FILES[t] for t in group.needs if t in wrong and t in FILES]
    if unusable and group.needs:
        functions = ["utils.py"]
    elif not hopeless & set(group.needs):
        yield ()
    if functions:
        yield tuple(functions)
    if files:
        yield (*functions, *files)


def assembly(submission, names):
    """What assembles the submission with this project's files and functions of these names."""
    files = [name for name in names if name.endswith(".py")]
    functions = [] if "utils.py" in files else [name for name in names if name not in files]
    return lambda folder: submission.assemble(folder, functions, files)


def _run(group, session, rng, submission, unusable):
    """Results of a group's checks, and whether one hung or killed its process."""
    lab = group.lab(session, rng)
    gone = FILES.get(group.target)
    blocked = None
    if gone in submission.missing:
        blocked = Failure(Note("file_missing", path=f"codebase/{gone}"))
    elif unusable and group.target not in FILES:
        blocked = unusable
    results = [_result(check, group.item, lab, blocked) for check in group.checks]
    return results, lab.hopeless is not None


def _result(check, item, lab, blocked):
    try:
        if blocked:
            raise blocked
        with lab.session.limited(), np.errstate(all="ignore"):
            return Result(check, item, _judged(check, lab))
    except Failure as failure:
        implemented = not isinstance(failure, NotImplementedYet)
        return Result(check, item, Finding(False, failure.note), False, implemented)


def _judged(check, lab):
    """A check's finding; arrays that no honest code sends must not upset the grader."""
    try:
        return check.judge(lab)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise Failure(Note("talked_nonsense")) from error
