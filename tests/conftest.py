"""The strictest arithmetic there is: double precision, no implicit dtype or rank promotion."""

import os
from pathlib import Path

import hypothesis
import jax
import numpy as np
import pytest

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
    from ntkbench.bench import environment  # not before the types of what it imports are checked

    yield
    environment.forget_programs()


@pytest.fixture(scope="session", autouse=True)
def kept_programs(tmp_path_factory: pytest.TempPathFactory):
    """Processes that tests start share what they compile; this one read its environment before, and keeps nothing."""
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
