"""One grading: many submissions, side by side, and their report."""

import itertools
import secrets
import sys
import traceback
from collections import Counter
from pathlib import Path

from grading import report, sandbox, training
from grading.judge import judge
from grading.messages import Note, plain
from grading.people import find, loose, name_of
from grading.submission import few, read
from grading.tree import Refused
from grading.work import side_by_side


def grade_all(args):
    """Judge everything under the given paths and report it.

    Args:
        args: what grade.py parsed.
    Returns:
        The exit status: 0 if all could be judged, 1 if some could not, 2 if nothing is there to
        judge or train with or the results could not be written, 130 if stopped.
    """
    found, refused = _found(args.paths)
    if len(refused) == len(args.paths):
        for note in refused:
            print(note.say(args.lang), file=sys.stderr)
        return 2
    for path in args.paths:
        if rest := loose(path):
            print(Note("report.loose", path=path, files=few(rest)).say(args.lang), file=sys.stderr)
    seed = secrets.randbelow(1 << 32) if args.seed is None else args.seed
    launcher = sandbox.launcher()
    try:
        report.try_out(args.out)
        dataset = training.dataset(args) if args.train else None  # missed before, not after
        outcomes = judged(found, launcher, seed, args)
        try:
            report.write(args.out, outcomes, args.lang)  # before the screen, of which it needs none
        finally:
            _show(outcomes, args)
        if args.train:
            trained = training.judged(found, outcomes, dataset, launcher, args)
            try:
                report.write(args.out, outcomes, args.lang, trained)
            finally:
                for name, lines in trained.items():
                    print("\n".join([name, *lines, ""]))
    except Refused as refusal:
        print(refusal.note.say(args.lang), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        launcher.close()
    print(report.ungraded(args.lang, bool(args.train)))
    print(Note("report.seed", seed=seed).say(args.lang))
    print(Note("report.written", folder=args.out).say(args.lang))
    return 1 if any(isinstance(outcome, Note) for _, outcome in outcomes) else 0


def _found(paths):
    """Whose submissions lie under the paths, [(name, path)], and notes about what holds none.

    That has an entry too, and its reading says again why: one empty folder among many stops nobody.
    """
    looked_at = [_under(Path(path)) for path in paths]
    found = named([entry for entries, _ in looked_at for entry in entries])
    return found, [note for _, note in looked_at if note]


def _under(path):
    """Whose submissions lie under one path, and a note where none does."""
    try:
        return find(path), None
    except Refused as refusal:
        return [(name_of(path), path)], refusal.note


def _show(outcomes, args):
    """The table, and what each submission lost points for."""
    print(f"\n{report.table(outcomes, args.lang)}\n")
    for name, outcome in outcomes:
        if isinstance(outcome, Note):
            lines = [outcome.say(args.lang)]
        else:
            lines = report.losses(outcome, args.lang)
        if lines:
            print("\n".join([name, *lines, ""]))
    for line in report.isolation(outcomes, args.lang):
        print(line)


def judged(found, launcher, seed, args):
    """Outcomes of [(name, path)] in their order; progress goes to stderr."""
    limits = sandbox.Limits(args.seconds, int(args.memory * (1 << 30)))
    outcomes = [None] * len(found)
    work = side_by_side(
        lambda name, path: _one(name, path, launcher, limits, seed), found, args.jobs
    )
    for done, (i, outcome) in enumerate(work, 1):
        outcomes[i] = outcome
        points = "–" if isinstance(outcome, Note) else outcome.total
        print(f"[{done}/{len(found)}] {found[i][0]}: {points}", file=sys.stderr)
    return [(name, outcome) for (name, _), outcome in zip(found, outcomes, strict=True)]


def _one(name, path, launcher, limits, seed):
    """A Verdict, or why there is none."""
    try:
        return judge(read(name, path), launcher, limits, seed)
    except Refused as refusal:
        return refusal.note
    except Exception as error:  # whatever it is, the others are still to be judged
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__}, {last.filename}:{last.lineno}"
        return Note("grader_failed", path=path, where=where, message=error)


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
