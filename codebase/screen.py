"""Where a script's words go: a terminal, a notebook's cell, a file, a pipe that ends, nowhere.

Imports no torch.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any


class Screen:
    """A text stream that a run does not depend on.

    What cannot be written, because `| head` has seen enough or the disk behind a file is full, is
    left unsaid from then on; what a run measures is in its results.json.

    Args:
        stream: whatever has write and flush.
    """

    def __init__(self, stream: Any) -> None:
        self._stream, self._lost = stream, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes it, if anyone still reads."""
        self._do(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Writes what is buffered."""
        self._do(self._stream.flush)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return self._stream.isatty()
        except (AttributeError, ValueError):  # it cannot say, or is closed
            return False

    def _do(self, method: Callable[..., object], *args: Any) -> None:
        if self._lost:
            return
        try:
            method(*args)
        except OSError:
            self._lost = True
            self._forget()

    def _forget(self):
        """Has what is still buffered go nowhere, or Python would try, and complain, at its end."""
        with contextlib.suppress(OSError, AttributeError):  # no file stands behind every stream
            nowhere, own = os.open(os.devnull, os.O_WRONLY), self._stream.fileno()
            os.dup2(nowhere, own)
            os.close(nowhere)


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """In this block sys.stdout and sys.stderr are `Screen`s, whatever they were before.

    A stream that Python has none for, because its descriptor is closed, is one that goes nowhere,
    so that no file of the run is taken for it.
    """
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as opened:
        for stream, name in zip(before, ("stdout", "stderr"), strict=True):
            if stream is None:
                stream = opened.enter_context(open(os.devnull, "w", encoding="utf-8"))
            elif isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # without β a console shows a question mark
            setattr(sys, name, Screen(stream))
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = before
