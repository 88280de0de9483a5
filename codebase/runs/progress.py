"""How far a run has come: a bar on a terminal, and elsewhere a line every so often."""

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

from codebase.runs import ranks

Item = TypeVar("Item")

EVERY = 0.05  # of the whole between two lines
OF_SEVERAL = 0.25  # where several processes write them
AT_LEAST_EVERY = 30.0  # seconds
MEASURED = 3.0  # seconds, after which it is said how long everything takes
WORTH_SAYING = 60.0  # seconds that it must take for that
LEAST_BAR = 6  # columns


def bar(
    title: str, more: int = 0, total: int = 0, initial: int = 0, unit: str = "it"
) -> "Bar | Lines":
    """What the loop moves: a `Bar` on a terminal that no other process writes to, else `Lines`.

    Args:
        title: of the run, for lines that stand between those of others.
        more: how many runs this process does after it.
        total, initial: iterations in all, and before this start.
    """
    alone = ranks.world() == 1
    if alone and sys.stderr is not None and sys.stderr.isatty():
        return Bar(total=total, initial=initial, more=more, unit=unit)
    title = f"{title}: " if alone else f"rank {ranks.rank()}, {title}: "
    return Lines(title, more, total, initial, unit, EVERY if alone else OF_SEVERAL)


def over(items: Sequence[Item], title: str, unit: str = "it") -> Iterator[Item]:
    """The items, one after the other, while a bar says how many have been done."""
    with bar(title, total=len(items), unit=unit) as moved:
        for item in items:
            yield item
            moved.update(1)
            moved.set_postfix({})


def runs(n: int) -> str:
    """1 more run, or n more runs."""
    return f"{n:,} more run{'s' if n > 1 else ''}"


def in_words(seconds: float) -> str:
    """40 s, 12 min or 3.4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"


def speed(rate: float) -> str:
    """Iterations a second, in as many digits as tell something."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


class Estimate:
    """Says once, after a short measurement, how long it all takes.

    What came before the first time it is asked, a capture or a compilation, is not measured.

    Args:
        more: how many runs this process does after this one.
        total, initial: iterations in all, and before this start.
    """

    def __init__(self, more: int, total: int, initial: int) -> None:
        self.more, self.total, self.initial, self.said = more, total, initial, False
        self.since: tuple[int, float] | None = None  # iteration and seconds, then

    def words(self, n: int, seconds: float) -> str:
        """A sentence; "" where it is too early to tell, has been said, or is not worth it.

        Args:
            n: the iteration.
            seconds: since this start.
        """
        if self.since is None and n > self.initial:
            self.since = n, seconds
        if self.said or self.since is None or seconds - self.since[1] < MEASURED:
            return ""
        self.said, rate = True, (n - self.since[0]) / (seconds - self.since[1])
        left = (self.total - n + self.more * self.total) / rate
        if left < WORTH_SAYING:
            return ""
        what = f"this run and {runs(self.more)}" if self.more else "this run"
        return f"About {in_words(left)} for {what}, at {speed(rate)} a second."


class Bar(tqdm):
    """tqdm's bar, which keeps its width from 80 columns on: words that do not fit are left out."""

    LAYOUT = "{percentage:3.0f}%|{bar}|{speed} {remaining} left{postfix}"

    def __init__(self, more: int, total: int, initial: int, unit: str) -> None:
        self.estimate = Estimate(more, total, initial)
        super().__init__(
            total=total,
            initial=initial,
            unit=unit,
            bar_format=self.LAYOUT,
            dynamic_ncols=True,
            file=sys.stderr,
        )

    @property
    def format_dict(self) -> dict[str, Any]:
        """tqdm's, and the speed in words."""
        found = super().format_dict
        rate = found["rate"] or (self.n - self.initial) / max(found["elapsed"], 1e-9)
        return found | {"rate": rate or None, "speed": f"{speed(rate)}{self.unit}/s"}

    def set_postfix(self, numbers: Mapping[str, str]) -> None:
        """Shows {name: text}, as much as leaves room for the bar."""
        if self.disable:  # by TQDM_DISABLE; tqdm then knows neither its width nor its beginning
            return
        found = self.format_dict
        left = self.format_interval((self.total - self.n) / (found["rate"] or 1))
        room = (found["ncols"] or 80) - LEAST_BAR - len(f"100%||{found['speed']} {left} left, ")
        self.set_postfix_str(as_far_as_it_fits(numbers, room), refresh=False)
        if words := self.estimate.words(self.n, found["elapsed"]):
            self.write(words, file=sys.stderr)


class Lines:
    """Where a bar would be in the way: in a file, in a pipe, between the lines of other processes.

    Args:
        title: what each line begins with.
        more, total, initial, unit: as for `bar`.
        every: the part of the whole between two lines, unless that lasts longer than 30 s.
    """

    def __init__(
        self, title: str, more: int, total: int, initial: int, unit: str, every: float = EVERY
    ) -> None:
        self.title, self.total, self.n, self.unit = title, total, initial, unit
        self.estimate, self.more, self.initial = Estimate(more, total, initial), more, initial
        self.shown, self.every = (initial, time.monotonic()), every

    def __enter__(self) -> "Lines":
        self.began = time.monotonic()
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def update(self, n: int) -> None:
        """Counts n iterations."""
        self.n += n

    def set_postfix(self, numbers: Mapping[str, str]) -> None:
        """Writes a line that ends with {name: text}, if one is due."""
        now, (n, then) = time.monotonic(), self.shown
        if words := self.estimate.words(self.n, now - self.began):
            self._write(words)
        due = self.n >= n + self.every * self.total or now > then + AT_LEAST_EVERY
        if due or self.n == self.total:
            self.shown = self.n, now
            rate = (self.n - self.initial) / max(now - self.began, 1e-9)
            left = tqdm.format_interval((self.total - self.n) / max(rate, 1e-9))
            parts = [f"{self.n:,} of {self.total:,}", f"{speed(rate)}{self.unit}/s", f"{left} left"]
            parts += [f"{runs(self.more)}"] if self.more else []
            parts += [as_far_as_it_fits(numbers, math.inf)] if numbers else []
            self._write(", ".join(parts))

    def _write(self, words):
        sys.stderr.write(f"{self.title}{words}\n")  # a line at once, between those of others
        sys.stderr.flush()


def as_far_as_it_fits(numbers: Mapping[str, str], room: float) -> str:
    """{name: text} in so many columns, the last ones left out if need be."""
    words, text = [f"{name} {value}" for name, value in numbers.items()], ""
    for word in words:
        if len(text) + 1 + len(word) > room:
            break
        text += f" {word}" if text else word
    return text
