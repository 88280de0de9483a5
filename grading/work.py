"""Several pieces of work at a time."""

import os
from concurrent.futures import ThreadPoolExecutor, as_completed


def side_by_side(work, jobs, at_once=None):
    """(i, work(*jobs[i])) as each is done, so many at once: as many as CPU cores if not given.

    Where the caller stops early (Ctrl-C), what has not begun is dropped and nothing is waited for.
    """
    pool = ThreadPoolExecutor(at_once or os.cpu_count())
    try:
        futures = {pool.submit(work, *job): i for i, job in enumerate(jobs)}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
