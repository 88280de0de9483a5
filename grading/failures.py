"""Ways in which a submission gives no answer, each with a note to its author."""

import re

from grading.messages import Note, plain

RAISE = re.compile(r"\braise\b")


class Failure(Exception):
    """No answer came, and why.

    Attributes:
        note: to the submission's author.
        final: asking the same again would end the same way and cost as long.
    """

    def __init__(self, note, final=False):
        super().__init__(note.key)
        self.note, self.final = note, final


class NotImplementedYet(Failure):
    """The function is still the starter code's gap."""


def of_error(error):
    """The Failure that a worker's description of an exception stands for."""
    kind, message = _text(error, "type"), _text(error, "message")
    text = _text(error, "text")
    somewhere = "file" in error
    place = f"{_text(error, 'file')}:{_text(error, 'line')}" if somewhere else "?"
    # Raised by the line itself: torch has such errors too.
    gap = kind == "NotImplementedError" and bool(RAISE.search(text))
    gap |= kind in ("NameError", "returned") and bool(error.get("gap"))
    if gap:
        return NotImplementedYet(Note("not_implemented", place=place))
    if kind == "returned" and message == "NoneType" and "file" in error:
        return Failure(Note("no_return", place=place))
    if kind == "returned":
        return Failure(Note("returned", kind=message))
    if kind == "no_network":
        return Failure(Note("no_network", name=message))
    if kind == "PlaceholderUsed":
        return Failure(Note("not_here", name=message, place=place))
    if kind == "NotText":
        return Failure(Note("not_text", place=place.rpartition(":")[0]))
    if "python" in error:  # of any other that does not parse
        python = _text(error, "python")
        return Failure(_with_line("no_syntax", text, message=message, place=place, python=python))
    if kind == "SystemExit":
        return Failure(Note("called_exit", place=place))
    if kind == "MemoryError" or "allocate memory" in message:
        return Failure(Note("out_of_memory", place=place))
    if kind in ("ModuleNotFoundError", "ImportError") and "file" in error:
        return Failure(Note("import_failed", place=place, message=message))
    if not somewhere:  # within a library, such as by what it was asked to look up
        return Failure(Note("raised_somewhere", kind=kind, message=message))
    return Failure(_with_line("raised", text, kind=kind, message=message, place=place))


def of_time(seconds, error):
    """The Failure of code that took too long, by what it raised when it was interrupted, if that
    came in time.
    """
    said = f"{seconds:g}"
    line = _text(error, "text") if isinstance(error, dict) and "file" in error else ""
    if not line:
        return Failure(Note("timed_out", seconds=said), final=True)
    place = f"{_text(error, 'file')}:{_text(error, 'line')}"
    return Failure(Note("timed_out_at", seconds=said, place=place, line=line), final=True)


def _with_line(key, text, **values):
    """A note that quotes a line, or one that does not where that is empty: at a file's end, say."""
    return Note(key, line=text, **values) if text else Note(f"{key}_there", **values)


def _text(error, name):
    return plain(str(error.get(name, "")))
