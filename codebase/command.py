"""The front door: from a command line to runs. Imports no torch before it is known what for."""

import contextlib
import importlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence

from codebase import home, screen
from codebase.catalogue import CATALOGUE, PRESETS, Preset, entry_of
from codebase.errors import UserError
from codebase.runs import gap, ranks
from codebase.runs.flags import complain, parser_of
from codebase.uses import front as uses


def main(
    name: str,
    description: str | None = None,
    words: Sequence[str] | None = None,
    prog: str | None = None,
    preset: Preset | None = None,
) -> None:
    """Does what the flags say with a model of the catalogue.

    Args:
        name: of the model.
        description: what --help says first; by default the catalogue's line.
        words: the flags; by default the command line's.
        prog: what --help calls the program, if it is one for every model and every part.
        preset: of that model, whose values are the defaults.
    """
    with said_in_one_line():
        entry = entry_of(name)
        parser = parser_of(entry, description, prog, axes=prog is not None)
        parser.set_defaults(**(preset.values if preset else {}))
        args = parser.parse_args(words)
        entry.check(vars(args))

        from codebase.runs.replicates import replicate
        from codebase.runs.run import do
        from codebase.runs.settings import settings_of

        settings = settings_of(entry, parser, args)
        task = importlib.import_module(f"codebase.tasks.{entry.task}")
        if preset:
            from codebase.runs import forecast

            forecast.say(preset.name, settings)
        if args.runs:
            replicate(settings, task)
        else:
            do(settings, task)


def named(words: Sequence[str]) -> None:
    """`run.py NAME …`: the model or preset that the first word names; --list, gap or use.

    Args:
        words: of the command line, without the script.
    """
    with said_in_one_line():
        if words[:1] == ["--list"]:
            print(listed())
        elif not words or words[0].startswith("-"):
            print("usage: run.py NAME [flags]; run.py NAME --help lists them")
            print("       run.py PRESET [flags]  a long recipe: a model with other defaults")
            print("       run.py gap RUN  what a finished run's bound lacks to log p(x), and why")
            print("       run.py use WHAT RUN  what a finished run is good for:")
            print(uses.listed())
            print("\n" + listed())
        elif words[0] == "gap":
            gap.main(words[1:])
        elif words[0] == "use":
            uses.main(words[1:])
        elif words[0] not in PRESETS:
            entry_of(words[0])
    if words and words[0] in CATALOGUE:
        main(words[0], words=words[1:], prog=f"run.py {words[0]}")
    elif words and words[0] in PRESETS:
        preset = PRESETS[words[0]]
        line = f"{preset.name}: {preset.line}; {preset.entry} with other defaults."
        main(preset.entry, line, words[1:], f"run.py {preset.name}", preset)


def listed() -> str:
    """The catalogue as text: name, line, source; below it the presets: name, line, model."""
    models = [(entry.name, entry.line, entry.source) for entry in CATALOGUE.values()]
    presets = [(p.name, p.line, f"run.py {p.entry}") for p in PRESETS.values()]
    return f"{_aligned(models)}\n\npresets, long recipes:\n{_aligned(presets)}"


def _aligned(rows):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "   ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def script(main: Callable[[], object]) -> None:
    """Runs the main function of a script that trains nothing."""
    with said_in_one_line():
        main()


@contextlib.contextmanager
def said_in_one_line() -> Iterator[None]:
    """What is no mistake of the program ends it with one line, not a traceback.

    Nor does it matter where the words go (see `screen.lasting`). The status is 2 for a UserError,
    for trouble with files and for a package that is not installed, 130 after Ctrl-C.
    """
    ranks.end_with_the_launcher()
    home.given()
    with screen.lasting():
        try:
            yield
        except KeyboardInterrupt:
            print(f"Stopped; {_way_on()} from what was saved.", file=sys.stderr)
            raise SystemExit(128 + signal.SIGINT) from None
        except ModuleNotFoundError as error:
            package = (error.name or "codebase").partition(".")[0]
            if package == "codebase":
                raise
            complain(
                f"{package} is missing; python -m pip install -r requirements.txt installs it."
            )
            raise SystemExit(2) from None
        except SystemExit as end:
            if end.code in (128 + signal.SIGINT, 128 + signal.SIGTERM):  # said where, and saved
                print(f"{_way_on().capitalize()} from there.", file=sys.stderr)
            raise
        except (UserError, OSError) as error:
            complain(error)
            raise SystemExit(2) from None


def _way_on():
    starts_anew = any(word.startswith("--overwrite") for word in sys.argv)
    return f"the same command{' without --overwrite' if starts_anew else ''} goes on"
