"""Whether all pictures of a folder can be read, before work that one bad file would end. Writes nothing."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from models.errors import UserError
from storage.photos.folders import Benchmark

Check = Literal["full", "headers"]

FULL_BELOW = 20_000  # pictures; above, decoding all takes minutes
SHOWN = 3  # errors in the message


def usual_check(pairs: Benchmark) -> Check:
    """How much of a folder is checked if nobody says."""
    return "full" if 2 * len(pairs) < FULL_BELOW else "headers"


def check_readable(pairs: Benchmark, on_pair: Callable[[], object] = lambda: None) -> None:
    """UserError naming the first pairs that cannot be read, after reading every pair as a training does.

    on_pair is called after each pair. Pairs are read in threads, because decoding releases the GIL.
    """
    errors = []
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for error in pool.map(lambda i: _error_of(pairs, i), range(len(pairs))):
            on_pair()
            errors += [error] if error else []
    finally:
        pool.shutdown(cancel_futures=True)
    if errors:
        more = f"; and {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
        raise UserError(
            f"{len(errors)} of {len(pairs)} pairs cannot be read: {'; '.join(errors[:SHOWN])}{more}; replace these "
            "files, or remove both of each pair"
        )


def _error_of(pairs: Benchmark, i: int) -> str:
    try:
        pairs.pair(i)
        return ""
    except (UserError, OSError) as error:
        return str(error)
