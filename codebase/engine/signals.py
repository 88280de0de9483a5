"""Signals that are noted, so that a step is never cut in two."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def noted_signals() -> Iterator[list[signal.Signals]]:
    """A list that SIGINT and SIGTERM are noted in, so that a step is never cut in two.

    A second one ends the program at once. Outside the main thread, where Python lets nobody
    handle signals, the list stays empty.
    """
    received: list[signal.Signals] = []

    def note(number, frame):
        if received:
            raise SystemExit(128 + number)
        received.append(signal.Signals(number))

    try:
        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        before = {}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
