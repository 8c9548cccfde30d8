"""One run id, one number: what a shell tells JAX and XLA changes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from ntkbench.run import settings
from ntkbench.store.store import Store
from tests.examples import tiny

ROOT = Path(__file__).parents[2]
RUN = "import sys; from ntkbench.cli.main import main; main(sys.argv[1:])"
SHELL = {
    "JAX_THREEFRY_PARTITIONABLE": "0",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_RANDOM_SEED_OFFSET": "7",
    "JAX_ENABLE_X64": "0",
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
    "JAX_DEBUG_NANS": "1",
    "JAX_NUMPY_DTYPE_PROMOTION": "standard",
    "XLA_FLAGS": "--xla_cpu_enable_fast_math=true --xla_force_host_platform_device_count=1",
}


def test_every_setting_is_an_option_of_jax():
    assert {name: getattr(jax.config, name) for name in settings.SETTINGS} == dict(settings.SETTINGS)


def test_flags_that_change_arithmetic_are_left_out():
    flags = "--xla_a=1 --xla_cpu_enable_fast_math=true --xla_b=/tmp/x"
    assert settings.safe(flags) == ("--xla_a=1 --xla_b=/tmp/x", "--xla_cpu_enable_fast_math=true")
    assert settings.unsafe_flags("--xla_b=/tmp/x --xla_a=1") == ["--xla_a=1", "--xla_b"]


@pytest.mark.slow
def test_a_shell_changes_no_number(tmp_path: Path):
    spec = tiny.spec(tmp_path)
    runs = tiny.planned(tmp_path).runs
    found = []
    for name, shell in (("plain", {}), ("odd", SHELL)):
        store = Store(tmp_path / name)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", **shell}
        command = [sys.executable, "-c", RUN, "run", str(spec), "--store", str(store.root)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert ("fast_math" in done.stderr) == bool(shell)
        found.append(tiny.results(store, runs))
    assert found[0] == found[1]
