"""A submission's verdict: every check, with stand-ins so that no mistake is punished twice."""

import contextlib
import time
from dataclasses import dataclass, field, replace

import numpy as np

from grading import failures
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
        guards: of lockdown.GUARDS, those that held; None if no process was started.
        missing: graded files that were not handed in.
        copies: folders with more graded files, which were not looked at.
        others: what else this person handed in, which was not looked at.
        foreign: graded files that are no UTF-8 and do not say what they are.
        gpu: whether the CPU had to pass for a GPU.
        seconds: of wall clock.
    """

    name: str
    seed: int
    results: list[Result] = field(default_factory=list)
    standins: dict[str, tuple[str, ...]] = field(default_factory=dict)
    guards: list[str] | None = None
    missing: list[str] = field(default_factory=list)
    copies: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    foreign: list[str] = field(default_factory=list)
    gpu: bool = False
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
    verdict = Verdict(
        submission.name, seed, missing=missing, copies=submission.copies, others=submission.others
    )
    bench = Bench(submission, launcher, limits)
    wrong, hopeless = {}, set()  # targets that lost points; those that hung or killed the process
    paid = set()  # functions that lost no points of their own and have cost a model some
    try:
        blocked, spoilers = _broken(bench)
        for number, group in enumerate(GROUPS):
            if only is not None and group.target not in only:
                continue
            attempts = _attempts(group, wrong, hopeless, blocked, spoilers, paid)
            best, used, hung = _best(group, bench, attempts, [seed, number], blocked)
            if hung:
                hopeless.add(group.target)
            if used:
                verdict.standins[group.target] = used
            if any(not r.finding.passed for r in best if r.check.points or group.item is None):
                wrong[group.target] = [r for r in best if not r.finding.passed]
                if group.target in FILES and not hung:
                    suspects = _suspects(group, wrong, paid, used)
                    again = group, bench, used, [seed, number], blocked
                    best, guilty = _convicted(best, suspects, *again)
                    paid |= guilty
            verdict.results += best
        verdict.results.sort(key=lambda result: result.item or "")
        # What is blocked is told by its failure.
        foreign = [path for path in submission.foreign if path not in blocked]
        verdict.foreign = [f"codebase/{path}" for path in foreign]
        verdict.guards, verdict.gpu = bench.own.guards, bench.gpu
    finally:
        bench.own.close()
    verdict.seconds = time.perf_counter() - began
    return verdict


def _best(group, bench, attempts, seed, blocked):
    """The best results that a group has with one of the stand-ins.

    Returns:
        Results; what was stood in for; and whether without any it hung or killed its process.
    """
    best, used, without = None, (), False
    for names in attempts:
        with bench.session(names) as session:
            results, hung = _run(group, session, np.random.default_rng(seed), blocked)
        without |= hung and not names
        # Where nothing is earned either way, what is said is to be of the item itself.
        if not best or not _points(best) or _points(results) > _points(best):
            best, used = results, names
        if _points(best) == sum(check.points for check in group.checks):
            break
    return best, used, without


def _given(result):
    """The function of the starter's that a check is of."""
    return result.check.name.partition(".")[2]


def _suspects(group, wrong, paid, used):
    """Functions that a group may have lost points for, and that have lost none so far: the
    starter's that are wrong, and what it needs that seemed right."""
    if "utils.py" in used:
        return []
    needed = [name for name in group.needs if name not in (*wrong, *FILES)]
    changed = [_given(r) for r in wrong.get("given", ())]
    return [name for name in (*needed, *changed) if name not in (*paid, *used)]


def _convicted(best, suspects, group, bench, used, seed, blocked):
    """Whom a group has lost points for.

    Returns:
        Its results, where each check that passes once one of these functions is stood in for names
        that function as the cause; and the functions that are named.
    """

    def cured(names):
        with bench.session((*used, *names)) as session:
            results, _ = _run(group, session, np.random.default_rng(seed), blocked)
        return results if _points(results) > _points(best) else []

    guilty = {}
    # One by one only where all of them together make a difference: most mistakes are the model's.
    for name in suspects if suspects and cured(suspects) else ():
        for i, result in enumerate(cured([name])):
            if result.earned > best[i].earned:
                guilty.setdefault(i, name)
    named = [
        replace(r, finding=replace(r.finding, cause=Note("cause.function", name=guilty[i])))
        if i in guilty
        else r
        for i, r in enumerate(best)
    ]
    return named, set(guilty.values())


class Bench:
    """Sessions with one submission, as it is or with stand-ins.

    Attributes:
        own: the session with the submission as it is.
        gpu: whether in any of them the CPU had to pass for a GPU.
    """

    def __init__(self, submission, launcher, limits):
        self.submission, self.launcher, self.limits = submission, launcher, limits
        self.own, self.gpu = Session(launcher, submission.assemble, limits), False

    @contextlib.contextmanager
    def session(self, names):
        """With this project's files and functions of these names."""
        session = self.own
        if names:
            session = Session(self.launcher, assembly(self.submission, names), self.limits)
        try:
            yield session
        finally:
            self.gpu |= session.gpu
            if session is not self.own:
                session.close()

    def import_failure(self, names=()):
        """The Failure of importing utils with these stand-ins, or None."""
        try:
            with self.session(names) as session:
                session.ask("load", module="utils")
        except Failure as failure:
            return failure
        return None


def _points(results):
    return sum(r.earned for r in results)


def _broken(bench):
    """What of a submission cannot be asked at all.

    Returns:
        {graded file: Failure} of those that were not handed in, do not parse, or, of utils.py,
        cannot be imported; and the models' files without which utils.py can be, because it imports
        the models, as in the starter code.
    """
    submission, models = bench.submission, tuple(FILES.values())
    blocked = {path: Failure(_absent(submission, path)) for path in submission.missing}
    with contextlib.suppress(Failure):  # else every file's own questions will tell
        found = bench.own.ask("check")[0].get("broken", {})
        blocked |= {
            path: failures.of_error(found[submission.place(path)])
            for path in submission.files
            if submission.place(path) in found
        }
    if "utils.py" in blocked:
        return blocked, ()
    failure = bench.import_failure()
    known = tuple(path for path in models if path in blocked)
    if failure:
        suspects = [known, *((*known, path) for path in models if path not in known), models]
        for names in filter(None, suspects):
            if not bench.import_failure(names):
                return blocked, names
    return blocked | ({"utils.py": failure} if failure else {}), ()


def _absent(submission, path):
    """A graded file was not handed in; or in a name of other letters, such as Utils.py."""
    alike = [file for file in submission.files if file.casefold() == path.casefold()]
    if alike:
        found = submission.place(alike[0])
        return Note("file_misnamed", path=f"codebase/{path}", found=found)
    return Note("file_missing", path=f"codebase/{path}")


def _attempts(group, wrong, hopeless, blocked, spoilers, paid):
    """What to stand in for, in the order to try: as little as can be, then what earlier items lost
    points for and what cannot be asked.

    Yields tuples of names of functions and of graded files.
    """
    mine = FILES.get(group.target, "utils.py")
    base = tuple(path for path in spoilers if path != mine)
    functions = [t for t in group.needs if t in wrong and t not in FILES]
    functions += sorted(paid)
    files = [FILES[t] for t in group.needs if t in wrong and t in FILES]
    files += [path for path in blocked if path not in (*files, *base, mine)]
    if "utils.py" in blocked and mine != "utils.py":
        functions, base = [], ("utils.py", *base)
        files = [path for path in files if path != "utils.py"]
        yield base
    elif not hopeless & set(group.needs):
        yield base
    if functions:
        yield (*functions, *base)
    if files and mine not in blocked:
        yield (*functions, *base, *(path for path in files if path not in base))


def assembly(submission, names, whole=False):
    """What assembles the submission with this project's files and functions of these names."""
    files = [name for name in names if name.endswith(".py")]
    functions = [] if "utils.py" in files else [name for name in names if name not in files]
    return lambda folder: submission.assemble(folder, functions, files, whole)


def _run(group, session, rng, blocked):
    """Results of a group's checks, and whether one hung or killed its process."""
    lab = group.lab(session, rng)
    failure = blocked.get(FILES.get(group.target, "utils.py"))
    results = [_result(check, group.item, lab, failure) for check in group.checks]
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
        return lab.idle() or check.judge(lab)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise Failure(Note("talked_nonsense")) from error
