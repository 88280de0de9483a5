"""Replicates: one run per seed, the missing ones trained by as many processes as there are."""

import contextlib
import time
from argparse import Namespace
from dataclasses import replace
from itertools import groupby
from types import ModuleType

from codebase.engine.stack import NotStackable
from codebase.engine.stacked_session import StackedSession
from codebase.errors import UserError
from codebase.evaluation.reference import words
from codebase.evaluation.summary import numbers, summary
from codebase.runs import ranks
from codebase.runs.flags import complain
from codebase.runs.folder import Folder
from codebase.runs.run import Run, do
from codebase.runs.settings import Settings
from codebase.train import loop

STACKED = 32  # runs trained as one; more do not gain much, and each keeps its files open


def replicate(settings: Settings, task: ModuleType) -> None:
    """Does the runs of the ids --run … --run + N − 1, and tabulates them.

    What is finished with the same flags is not done again, what is unfinished goes on, and what
    has other flags is refused before anything is trained. Under torchrun the ranks share the runs;
    with --jobs this process starts ranks, and shares in nothing but the table. On a GPU, or with
    --stack 1, a process trains its runs as one; otherwise one after the other, and on a CPU every
    run then is, to the bit, what it would be if it were started alone with the same --threads.

    Args:
        settings: `Settings` with --runs N.
        task: a module of codebase.tasks.
    Raises:
        UserError: a run that is refused; in the end, after all the others, a run that failed.
    """
    args = settings.args
    threads = args.threads or (1 if args.jobs > 1 else 0)
    settings = replace(settings, args=Namespace(**vars(args) | {"threads": threads}))
    try:
        _replicate(settings, task)
    finally:
        ranks.leave()


def _replicate(settings, task):
    args = settings.args
    runs = {i: settings.of_run(i) for i in range(args.run, args.run + args.runs)}
    if args.overwrite:
        for run in runs.values():
            Folder(run).look_for_others()  # before any is deleted
        for run in runs.values():
            Folder(run).clear()
    finished = _finished(runs)
    missing = [i for i in runs if i not in finished]
    if finished and ranks.rank() == 0:
        print(f"Finished already, and left as they are: runs {_listed(finished)}", flush=True)

    jobs = min(args.jobs, len(missing))
    if jobs > 1:
        # What this process has seen to is not for its ranks, which may be started again.
        again = {"jobs": 1, "threads": args.threads, "dataset": settings.dataset.source}
        again |= {"overwrite": 0, "resume": "auto"}
        ranks.launch(jobs, *(f"--{flag}={value}" for flag, value in again.items()))
    else:
        _train([runs[i] for i in missing[ranks.rank() :: ranks.world()]], settings, task)
    if ranks.launched_here():
        return  # the process that launched this one tabulates

    found = _results(runs)
    if ranks.rank() == 0:
        if found:
            _show(found, settings, runs[args.run])
        if lost := [i for i in runs if i not in found]:
            raise UserError(
                f"Runs {_listed(lost)} are not finished, for the reasons above; the same "
                "command goes on with what was saved of them."
            )


def _finished(runs):
    """Ids of the runs whose results some rank has on its disk, in order; the same for every rank.

    Raises:
        UserError: a folder holds another run, or the ranks were not started with the same flags.
    """
    refusal, mine = None, []
    try:
        for i, folder in ((i, Folder(run)) for i, run in runs.items()):
            folder.refuse_others()
            if folder.finished():
                numbers(folder.results_path)
                mine.append(i)
    except UserError as error:
        refusal = str(error)
    plan = {run.name: run.identity for run in runs.values()}
    everyone = ranks.gathered((plan, mine, refusal))
    for number, (theirs, _, refusal) in enumerate(everyone):
        if theirs != plan:
            raise UserError(f"Ranks {ranks.rank()} and {number} were started with other flags.")
        if refusal:  # said once
            raise UserError(refusal) if ranks.rank() == 0 else SystemExit(2)
    return sorted({i for _, some, _ in everyone for i in some})


def _train(runs, settings, task):
    """Does this process's share of the runs, together if they are to be stacked."""
    dataset = settings.dataset.to(settings.device)  # once for all
    runs = [replace(run, dataset=dataset) for run in runs]
    stacks = settings.args.stack == "1" or (
        settings.args.stack == "auto" and settings.device.type == "cuda"
    )
    at_once = STACKED if settings.args.train and stacks else 1
    for first in range(0, len(runs), at_once):
        some, more = runs[first : first + at_once], max(len(runs) - first - at_once, 0)
        some = [replace(run, more=more, began=time.perf_counter()) for run in some]
        names, world = ", ".join(run.name for run in some), ranks.world()
        ranks.say(f"rank {ranks.rank()} of {world}: {names}\n" if world > 1 else "\n")
        with ranks.in_one_piece():
            if len(some) > 1:
                _train_stacked(some, task)
            for run in some if len(some) == 1 else ():
                with _complaining(run.name):
                    do(run, task)


def _train_stacked(settings, task):
    """Begins all of the runs; those that have come to the same iteration are trained as one."""
    with contextlib.ExitStack() as opened:
        begun, free = [], None
        for own in settings:
            with _complaining(own.name):
                run = opened.enter_context(Run(replace(own, free=free)))
                free = run.free  # watched once for all
                begun.append((run, run.session(run.build(), task)))
        begun.sort(key=lambda pair: pair[1].start)
        for _, together in groupby(begun, key=lambda pair: pair[1].start):
            _as_one(list(together), task)


def _as_one(begun, task):
    """Trains [(run, session)] by one step; if it must be, by a step for each."""
    runs, sessions = zip(*begun, strict=True)
    if len(begun) > 1:
        settings, graph = runs[0].settings, bool(runs[0].args.graph)
        options = {"lr": settings.lr, "precision": settings.precision, "graph": graph}
        options |= {"fuse": bool(settings.compile), "on_failure": _say}
        try:
            session = StackedSession(sessions, **options)
            print(f"\n{len(begun)} runs trained as one")
            _finish(session, begun, task)
            return
        except NotStackable as error:
            print(f"\nThese models cannot be trained as one ({error}); going on one by one.")
    for run, session in begun:
        with _complaining(run.name):
            _finish(session, [(run, session)], task)


def _finish(session, begun, task):
    """Trains [(run, its session)] by a session that is theirs, and reports each."""
    try:
        trained = loop(session, *begun[0][0].pace())
    except (UserError, OSError):
        if session.models == 1 or not session.failure:  # otherwise each has been said
            raise
        return
    for run, own in begun:
        if not own.failure:
            run.trained = trained
            with _complaining(run.name):
                own.settle(trained.step)
                task.report(run, own.model.eval())


@contextlib.contextmanager
def _complaining(name):
    """A run that fails in this block says why, and keeps no other back."""
    try:
        yield
    except (UserError, OSError) as error:
        complain(f"{name}: {error}")


def _say(session):
    complain(f"{session.model.name}: {session.failure}")


def _results(runs):
    """{id: numbers} of every finished run, whichever rank's disk it lies on, by id."""
    folders = {i: Folder(run) for i, run in runs.items()}
    mine = {i: numbers(f.results_path) for i, f in folders.items() if f.finished()}
    found = {i: run for some in ranks.gathered(mine) for i, run in some.items()}
    return dict(sorted(found.items()))


def _show(found, settings, first):
    """Prints the tables of the runs found; first is that of the lowest id."""
    args = settings.args
    name = first.name.replace(f"_run={args.run:04d}", "")
    print(f"\n{name} after {args.iter_max:,} iterations: runs {_listed(found)}\n")
    print(summary(found, first.bands))
    print("\n± standard error over the runs, one seed each; noise: the standard error of one run's")
    print("estimate, over its repeats (subset) or over the images (test), root mean square of runs")
    print(words(first.problem), end="\n" if first.bands else "")


def _listed(ids):
    """0 to 4, or 1, 3."""
    ids = list(ids)
    if len(ids) > 2 and ids[-1] - ids[0] == len(ids) - 1:
        return f"{ids[0]} to {ids[-1]}"
    return ", ".join(map(str, ids))
