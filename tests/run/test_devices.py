"""A sweep on several devices of one process: tiles of kernels are spread, and the records are the same to round-off."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ntkbench.plan.read import read
from ntkbench.store import lookup
from ntkbench.store.record import Record
from ntkbench.store.store import Store
from tests.examples import tiny

pytestmark = pytest.mark.slow

SPEC = """
ntkbench: 1
name: devices
data: {dataset: fashion_mnist_mini, classes: [sneaker, ankle_boot], n_train: 24, n_test: 12}
architecture: {kind: conv, depth: 1}
width: 8
training: {mode: standard, epochs: 5}
kernels:
  limit: {kind: infinite}
  own: {kind: empirical, at: final}
attacks:
  ntk: {kind: fgsm, source: limit, eps: [2/255, 8/255]}
  own: {kind: fgsm, source: self, eps: [2/255, 8/255]}
  noise: {kind: random_sign, eps: [2/255, 8/255]}
analyses:
  transfer: {kind: transfer, attack: ntk, ceiling: own, floor: noise}
  kernel: {kind: accuracy, target: own, attacks: [ntk]}
  parts: {kind: eigenspace, target: limit, attack: ntk}
matrix: {width: [8, 12]}
run: {tile_bytes: 1MB}
"""
ROUND_OFF = 1e-5
"""relative: networks are trained in float32"""


def records(folder: Path, devices: int) -> list[Record]:
    spec, store = tiny.spec(folder, SPEC), Store(folder / f"runs{devices}")
    environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    command = [sys.executable, "-m", "ntkbench.cli.main", "run", str(spec), "--store", str(store.root)]
    done = subprocess.run(command, env={**environment, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return lookup.records(store, read(spec).runs)


def test_eight_devices_give_the_records_of_one(tmp_path: Path):
    alone, spread = records(tmp_path, 1), records(tmp_path, 8)
    assert [found.device["count"] for found in (*alone, *spread)] == [1, 1, 8, 8]
    for one, eight in zip(alone, spread, strict=True):
        assert one.run_id == eight.run_id
        assert [_place(row) for row in one.metrics] == [_place(row) for row in eight.metrics]
        values = np.array([[row.value or 0.0 for row in each.metrics] for each in (one, eight)])
        assert len(values[0]) > 50
        np.testing.assert_allclose(values[1], values[0], rtol=ROUND_OFF, atol=ROUND_OFF)
        assert [row.k for row in one.metrics] == [row.k for row in eight.metrics]


def _place(row) -> tuple:
    return row.analysis, row.metric, row.n, json.dumps(row.where, sort_keys=True)
