"""One grading: many submissions, side by side, and their report."""

import itertools
import os
import secrets
import sys
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed

from grading import report, sandbox
from grading.judge import judge
from grading.messages import plain
from grading.submission import Refused, find, read


def grade_all(args):
    """Judge everything under the given paths and report it.

    Args:
        args: what grade.py parsed.
    Returns:
        The exit status: 0 if all could be judged, 1 if some could not, 2 if nothing is there.
    """
    try:
        found = named([pair for path in args.paths for pair in find(path)])
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    seed = secrets.randbelow(1 << 32) if args.seed is None else args.seed
    limits = sandbox.Limits(args.seconds, int(args.memory * (1 << 30)))
    launcher = sandbox.launcher()
    try:
        outcomes = judged(found, launcher, limits, seed, args.jobs or os.cpu_count())
        trained = {}
        if args.train:
            from grading import training

            trained = training.judged(found, outcomes, launcher, args)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        launcher.close()

    print(f"\n{report.table(outcomes, args.lang)}\n")
    for name, verdict in outcomes:
        lines = [verdict] if isinstance(verdict, str) else report.losses(verdict, args.lang)
        lines += trained.get(name, [])
        if lines:
            print("\n".join([name, *lines, ""]))
    verdicts = [v for _, v in outcomes if not isinstance(v, str)]
    if verdicts:
        guards = set.intersection(*(set(v.guards) for v in verdicts))
        print(report.isolation(guards, args.lang))
    print(report.ungraded(args.lang, bool(args.train)))
    report.write(args.out, outcomes, args.lang, trained)
    print(report.Note("report.seed", seed=seed).say(args.lang))
    print(report.Note("report.written", folder=args.out).say(args.lang))
    return 0 if len(verdicts) == len(outcomes) else 1


def judged(found, launcher, limits, seed, jobs):
    """Outcomes of [(name, path)] in their order, so many at a time; progress goes to stderr."""
    with ThreadPoolExecutor(min(jobs, len(found))) as pool:
        futures = {pool.submit(_one, *pair, launcher, limits, seed): pair[0] for pair in found}
        for done, future in enumerate(as_completed(futures), 1):
            outcome = future.result()
            points = "–" if isinstance(outcome, str) else outcome.total
            print(f"[{done}/{len(found)}] {futures[future]}: {points}", file=sys.stderr)
        return [(name, future.result()) for future, name in futures.items()]


def _one(name, path, launcher, limits, seed):
    """A Verdict, or why there is none."""
    try:
        return judge(read(name, path), launcher, limits, seed)
    except Refused as refusal:
        return plain(str(refusal))
    except Exception as error:  # whatever it is, the others are still to be judged
        traceback.print_exc()
        return plain(f"the grader itself failed on {path}: {type(error).__name__}: {error}")


def named(found):
    """Names made unique, so that nobody's feedback overwrites another's.

    Files of one name are told apart by their folders, and where that does not help by a number.
    """
    alike = Counter(report.file_name(name) for name, _ in found)
    taken, unique = set(), []
    for name, path in found:
        if alike[report.file_name(name)] > 1:
            name = f"{plain(path.resolve().parent.name)} {name}"
        several = itertools.chain([name], (f"{name} ({i})" for i in itertools.count(2)))
        name = next(n for n in several if report.file_name(n) not in taken)
        taken.add(report.file_name(name))
        unique.append((name, path))
    return unique
