"""Replicates: one run per seed, the missing ones trained by as many processes as there are."""

import contextlib
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from codebase.data import datasets
from codebase.engine import stack
from codebase.engine.devices import device
from codebase.errors import UserError
from codebase.evaluation.reference import BANDS
from codebase.evaluation.summary import numbers, summary
from codebase.runs import ranks
from codebase.runs.flags import complain
from codebase.runs.folder import Place
from codebase.runs.run import Run

STACKED = 32  # runs trained as one; more do not gain much, and each keeps its files open


@dataclass(frozen=True)
class Task:
    """What sets the runs of one script apart from those of the others.

    Args:
        build: makes the model, build(run).
        watch: called as watch(run, model, step) at every checkpoint.
        report: evaluates and records a trained model, report(run, model).
        labelled: gives the labelled pairs of a semi-supervised model, labelled(run).
    """

    build: Callable
    watch: Callable
    report: Callable
    labelled: Callable = lambda run: None

    def do(self, run):
        """Trains, evaluates and records a run."""
        model, labelled = self._parts(run)
        run.fit(model, labelled, self.watch)
        self.report(run, model)

    def begin(self, run):
        """The `Training` of a run."""
        model, labelled = self._parts(run)
        return run.begin(model, labelled, self.watch)

    def _parts(self, run):
        labelled = self.labelled(run)
        return self.build(run).to(run.device), labelled


def replicate(task, parser, args, layout, named, problem):
    """Does one run, or with --runs N those of the ids --run … --run + N − 1, and tabulates them.

    What is finished with the same flags is not done again, what is unfinished goes on, and what
    has other flags is refused before anything is trained. Under torchrun the ranks share the runs;
    with --jobs this process starts ranks, and shares in nothing but the table. On a GPU, or with
    --stack 1, a process trains its runs as one; otherwise one after the other, and on a CPU every
    run then is, to the bit, what it would be if it were started alone with the same --threads.

    Args:
        task: a Task.
        parser, args, layout, named: as for Place.
        problem: where reference.BANDS has the bands of the default flags.
    Raises:
        UserError: flags that do not go together; a run that is refused; in the end, after all the
            others, a run that failed.
    """
    check(args)
    if args.runs is None:
        with Run(parser, args, layout, named) as run:
            task.do(run)
        return
    args.threads = args.threads or (1 if args.jobs > 1 else 0)
    try:
        _replicate(task, args, lambda i: (parser, _alone(args, i), layout, named), problem)
    finally:
        ranks.leave()


def _replicate(task, args, described, problem):
    """`replicate` with --runs; described(i) is what Place and Run take for run i."""
    if device(args.device).type == "cuda":  # refused before the data are loaded
        ranks.take_a_gpu()
    dataset = _dataset(args)
    places = {i: Place(*described(i), dataset.name) for i in _ids(args)}
    if args.overwrite:
        for place in places.values():
            place.clear()
    finished = _finished(places)
    missing = [i for i in places if i not in finished]
    if finished and ranks.rank() == 0:
        print(f"Finished already, and left as they are: runs {_listed(finished)}", flush=True)

    jobs = min(args.jobs, len(missing))
    if jobs > 1:
        # What this process has seen to is not for its ranks, which may be started again.
        again = {"jobs": 1, "threads": args.threads, "dataset": dataset.name}
        again |= {"overwrite": 0, "resume": "auto"}
        ranks.launch(jobs, *(f"--{flag}={value}" for flag, value in again.items()))
    else:
        dataset = dataset.to(device(args.device))
        mine = [(places[i].name, described(i)) for i in missing[ranks.rank() :: ranks.world()]]
        at_once = STACKED if args.train and _stacks(args) else 1
        for first in range(0, len(mine), at_once):
            _train(task, mine[first : first + at_once], dataset)
    if ranks.launched_here():
        return  # the process that launched this one tabulates

    found = _results(places)
    if ranks.rank() == 0:
        if found:
            _show(found, places[args.run], args, problem)
        if lost := [i for i in places if i not in found]:
            raise UserError(
                f"Runs {_listed(lost)} are not finished, for the reasons above. What was saved is "
                "intact; the same command goes on with them."
            )


def check(args):
    """Raises a UserError for flags that do not go together, or not with torchrun."""
    shared = ranks.world() > 1 and not ranks.launched_here()
    if args.runs is None:
        if args.jobs > 1 or shared:
            way = "torchrun" if shared else f"--jobs {args.jobs}"
            raise UserError(f"{way} shares the runs of --runs N among processes; give --runs too.")
        if args.stack == "1":
            raise UserError("--stack 1 trains the runs of --runs N as one; give --runs too.")
        return
    if args.runs > 1 and args.seed is not None:
        raise UserError(
            f"--seed {args.seed} with --runs {args.runs} would train one run {args.runs} times; "
            "leave it out, and each run's id is its seed."
        )
    if args.run + args.runs > 10_000:
        raise UserError(
            f"--run {args.run} --runs {args.runs} goes beyond 9999, the largest run id."
        )
    if shared and args.jobs > 1:
        raise UserError(f"torchrun has started the processes; leave --jobs {args.jobs} out.")
    if shared and (args.overwrite or args.resume == "0"):
        raise UserError(
            "--overwrite 1 and --resume 0 are for one start; torchrun starts ranks again. Delete "
            "the folders in checkpoints/, or use --jobs."
        )


def _ids(args):
    return range(args.run, args.run + args.runs)


def _alone(args, i):
    """The flags that would start run i alone."""
    return Namespace(**vars(args) | {"run": i, "runs": None, "jobs": 1, "overwrite": 0})


def _dataset(args):
    """The dataset, on the CPU; what "auto" is, and downloads, rank 0 sees to before the others."""
    first = datasets.load(args.dataset, args.data_dir) if ranks.rank() == 0 else None
    name = ranks.gathered(first and first.name)[0]
    return first or datasets.load(name, args.data_dir)


def _finished(places):
    """Ids of the runs whose results some rank has on its disk, in order; the same for every rank.

    Raises:
        UserError: a folder holds another run, or the ranks were not started with the same flags.
    """
    refusal, mine = None, []
    try:
        for i, place in places.items():
            if place.args.train:
                place.refuse_others()
            if place.results_path.exists():
                numbers(place.results_path)
                mine.append(i)
    except UserError as error:
        refusal = str(error)
    plan = {place.name: place.flags for place in places.values()}
    everyone = ranks.gathered((plan, mine, refusal))
    for number, (theirs, _, refusal) in enumerate(everyone):
        if theirs != plan:
            raise UserError(f"Ranks {ranks.rank()} and {number} were started with other flags.")
        if refusal:  # said once
            raise UserError(refusal) if ranks.rank() == 0 else SystemExit(2)
    return sorted({i for _, some, _ in everyone for i in some})


def _stacks(args):
    return args.stack == "1" or (args.stack == "auto" and device(args.device).type == "cuda")


def _train(task, described, dataset):
    """Runs from their start, or from where they were, to their results; says why one fails.

    Args:
        described: [(name, what Run takes)]; if several, those that have come to the same iteration
            are trained as one.
    """
    names = ", ".join(name for name, _ in described)
    ranks.say(f"rank {ranks.rank()} of {ranks.world()}: {names}\n" if ranks.world() > 1 else "\n")
    with ranks.in_one_piece(), contextlib.ExitStack() as opened:
        if len(described) == 1:
            ((name, description),) = described
            with _complaining(name), Run(*description, dataset) as run:
                task.do(run)
            return
        begun, free = [], None
        for name, description in described:
            with _complaining(name):
                run = opened.enter_context(Run(*description, dataset, free))
                free = run.free  # watched once for all
                begun.append((run, task.begin(run)))
        begun.sort(key=lambda pair: pair[1].start)
        for _, together in groupby(begun, key=lambda pair: pair[1].start):
            _fit_as_one(task, dict(together))


@contextlib.contextmanager
def _complaining(name):
    """A run that fails in this block says why, and keeps no other back."""
    try:
        yield
    except (UserError, OSError) as error:
        complain(f"{name}: {error}")


def _fit_as_one(task, begun):
    """Trains {run: Training} by one step, from the iteration that all have come to.

    If it must be, by a step for each.
    """
    first, *others = begun
    if others:
        trainings, args = list(begun.values()), first.args
        try:
            step = stack.step_of(trainings, args.lr, args.precision)
            print(f"\n{len(begun)} runs trained as one")
            _fit(task, step, begun)
            return
        except stack.NotStackable as error:
            print(f"\nThese models cannot be trained as one ({error}); going on one by one.")
    for run, training in begun.items():
        _fit(task, training.step(run.args.precision), {run: training})


def _fit(task, step, begun):
    """Trains {run: Training} by a step that is theirs, and reports each."""
    run, *_ = begun
    try:
        trained = run.loop(step, list(begun.values()), on_failure=_say)
    except (UserError, OSError):
        if not all(training.failure for training in begun.values()):
            raise
    for run, training in begun.items():
        if not training.failure:
            run.trained = trained
            with _complaining(run.name):
                task.report(run, training.model)


def _say(training):
    complain(f"{training.model.name}: {training.failure}")


def _results(places):
    """{id: numbers} of every finished run, whichever rank's disk it lies on, by id."""
    mine = {i: numbers(p.results_path) for i, p in places.items() if p.results_path.exists()}
    found = {i: run for some in ranks.gathered(mine) for i, run in some.items()}
    return dict(sorted(found.items()))


def _show(found, place, args, problem):
    """Prints the tables of the runs found; place is the first one's."""
    bands = BANDS.get(problem) if place.changed.keys() <= {"gw", "precision"} else None
    name = place.name.replace(f"_run={args.run:04d}", "")
    print(f"\n{name} after {args.iter_max:,} iterations: runs {_listed(found)}\n")
    print(summary(found, bands))
    print("\n± standard error over the runs, one seed each; noise: the standard error of one run's")
    print("estimate, over its repeats (subset) or over the images (test), root mean square of runs")


def _listed(ids):
    """0 to 4, or 1, 3."""
    ids = list(ids)
    if len(ids) > 2 and ids[-1] - ids[0] == len(ids) - 1:
        return f"{ids[0]} to {ids[-1]}"
    return ", ".join(map(str, ids))
