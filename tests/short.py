"""Short runs in this process, for tests that need a run and no process of its own."""

import importlib

from codebase.catalogue import entry_of
from codebase.runs.flags import parser_of
from codebase.runs.replicates import replicate
from codebase.runs.run import do
from codebase.runs.settings import settings_of


def command(model, *words):
    """What `run_‹model›.py ‹words›` does; mistakes are raised, not printed."""
    entry = entry_of(model)
    parser = parser_of(entry)
    usual = ["--dataset", "digits", "--threads", "1", "--iter_max", "2"]
    args = parser.parse_args([*usual, *map(str, words)])
    settings = settings_of(entry, parser, args)
    task = importlib.import_module(f"codebase.tasks.{entry.task}")
    (replicate if args.runs else do)(settings, task)
