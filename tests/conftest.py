"""The strictest arithmetic there is: double precision, no implicit dtype or rank promotion."""

import os
from pathlib import Path

import hypothesis
import jax
import numpy as np
import pytest

if programs := os.environ.get("NTKBENCH_TEST_PROGRAMS"):
    # One folder a worker: JAX writes a program in place, and another process may read half of it.
    jax.config.update("jax_compilation_cache_dir", f"{programs}/{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# What is compiled at the first example takes longer than the rest, and machines are busy.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

EXACT = 1e-10
"""relative: the same number by another way, in float64"""
ITERATIVE = 1e-6
"""relative: the limit of an iteration"""
STATISTICAL = 4.0
"""standard errors, over at least 64 draws"""

ORACLES = Path(__file__).parent / "oracles"


SAMPLE = 2
"""cases of a slow test with many that every change runs; a schedule runs the others"""


@pytest.hookimpl(tryfirst=True)  # before what `-m` leaves out is left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cases of slow tests as nightly, but for a few of each at even distances: the same ones every time.

    A test that is marked so by itself stays so.
    """
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("nightly"):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for each in cases.values():
        kept = {round(i * (len(each) - 1) / (SAMPLE - 1)) for i in range(SAMPLE)}
        for place, item in enumerate(each):
            if len(each) > SAMPLE and place not in kept:
                item.add_marker("nightly")


@pytest.fixture
def oracle():
    """Reference arrays by name, float64; the JSON beside each states its conventions."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(ORACLES / f"{name}.npz", allow_pickle=False) as arrays:
            return dict(arrays)

    return load


@pytest.fixture(autouse=True)
def few_programs():
    """A worker compiles more in an hour than a process may hold."""
    from ntkbench.run import environment  # not before the types of what it imports are checked

    yield
    environment.release_compiled_programs()


@pytest.fixture(scope="session", autouse=True)
def kept_programs(tmp_path_factory: pytest.TempPathFactory):
    """Have the processes that tests start share what they compile, apart from this one: some are killed at it."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "programs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield


@pytest.fixture
def full_data() -> Path:
    """The folder of the full data sets, for tests marked `data`."""
    folder = os.environ.get("NTKBENCH_DATA")
    if not folder:
        pytest.skip("NTKBENCH_DATA names no folder of full data sets")
    return Path(folder)
