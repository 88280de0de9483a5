"""A stopwatch."""

import contextlib
import time
from collections.abc import Iterator


class Stopwatch:
    """Seconds spent inside a `with` block, but for those inside `stopped()`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> "Stopwatch":
        self._since = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self.seconds = self.so_far()

    def so_far(self) -> float:
        """The seconds until now, inside the block."""
        return self.seconds + time.perf_counter() - self._since

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Leaves the seconds of this block out."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()
