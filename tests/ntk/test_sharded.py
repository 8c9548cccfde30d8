"""A matrix by rows on eight devices: the entries, solutions and refusals of one device, in an eighth of its memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    "checks",
    [
        "entries,solve:299",
        pytest.param("kernels,memory:1024", marks=pytest.mark.slow),
        pytest.param("solve:40,solve:401,memory:16384,memory:50000", marks=pytest.mark.slow),
    ],
)
def test_eight_devices(checks: str):
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, str(HERE / "shards.py"), *checks.split(",")],
        capture_output=True,
        text=True,
        timeout=300,
        env={**environment, "PYTHONPATH": str(HERE.parents[1])},
    )
    assert done.stdout == "8 devices agree\n", done.stderr
