"""A stopwatch."""

import contextlib
import time


class Stopwatch:
    """Seconds spent inside a `with` block, but for those inside `stopped()`."""

    def __init__(self):
        self.seconds = 0.0

    def __enter__(self):
        self._since = time.perf_counter()
        return self

    def __exit__(self, *exception):
        self.seconds = self.so_far()

    def so_far(self):
        """The seconds until now, inside the block."""
        return self.seconds + time.perf_counter() - self._since

    @contextlib.contextmanager
    def stopped(self):
        """Leaves the seconds of this block out."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()
