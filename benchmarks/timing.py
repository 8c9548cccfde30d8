"""How long a function takes."""

import time
from collections.abc import Callable

import jax


def best(function: Callable[[], object], repeats: int = 7) -> float:
    """Seconds of the quickest of some runs after the first."""
    jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return min(times)
