"""Tiles on several devices, of one process and of two: the same numbers as on one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def start(devices: int, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    return subprocess.Popen(
        [sys.executable, str(HERE / "spread.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONPATH": str(HERE.parents[1]), "JAX_PLATFORMS": "cpu"},
    )


@pytest.mark.parametrize("names", ["vectors", pytest.param("rows,images", marks=pytest.mark.slow)])
def test_eight_devices(names: str):
    out, errors = start(8, names).communicate(timeout=200)
    assert out == "8 devices agree\n", errors


@pytest.mark.slow
def test_two_processes_of_two_devices():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    both = [start(2, "vectors,rows,images", address, "2", str(number)) for number in range(2)]
    for process in both:
        out, errors = process.communicate(timeout=200)
        assert out.endswith("4 devices agree\n"), errors
