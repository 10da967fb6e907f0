"""The house task decorator.

Prefect's caching is off: it looks at a task's own lines only, so a change in the pure code behind a thin task would
leave a stale hit. The store is the cache: every task skips what is committed.
"""

from functools import partial

import prefect
from prefect.cache_policies import NO_CACHE

task = partial(prefect.task, cache_policy=NO_CACHE)
