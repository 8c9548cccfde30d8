"""Check that this installation can run, for `ntkbench doctor`: device, arithmetic, data sets, store."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp

from ntkbench.data.catalog import CATALOG
from ntkbench.data.load import load
from ntkbench.data.places import search_roots
from ntkbench.errors import NtkbenchError, UsageError
from ntkbench.run import environment


@dataclass(frozen=True)
class HealthCheck:
    """One line of the report: `ok` True, False for a fault, None for what is worth knowing and no fault."""

    ok: bool | None
    what: str
    detail: str

    def __str__(self) -> str:
        mark = {True: "ok", False: "FAULT", None: "note"}[self.ok]
        return f"{mark:<6}{self.what:<20}{self.detail}"


def examine(store: Path, data_dir: Path | None) -> tuple[bool, str]:
    """Return whether there is no fault, and the report.

    `store` is the folder in which results would be written, `data_dir` one that is searched for data sets first.
    """
    findings = [*_software(), *_devices(), *_data(data_dir), _writable(store)]
    return all(finding.ok is not False for finding in findings), "\n".join(map(str, findings))


def _software() -> Iterator[HealthCheck]:
    """Report versions of packages and the number of processors."""
    versions = environment.software()
    yield HealthCheck(True, "versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version))
    yield HealthCheck(True, "processors", str(os.cpu_count()))


def _devices() -> Iterator[HealthCheck]:
    """Report the device that JAX uses; a fault if it cannot be used."""
    try:
        environment.require_device()
    except UsageError as error:
        yield HealthCheck(False, "device", str(error))
        return
    found = environment.device()
    yield HealthCheck(True, "device", f"{found['count']} x {found['kind']} ({found['platform']})")
    yield from _arithmetic()


def _arithmetic() -> Iterator[HealthCheck]:
    """Report the errors of matrix products in float64 and float32.

    Kernels need double precision, and float32 products that are not rounded to fewer digits, as TF32 does.
    """
    third = jnp.full((64, 64), 1 / 3)
    error = float(jnp.max(jnp.abs(third @ third - 64 / 9)))
    yield HealthCheck(error < 1e-13, "double precision", f"a product of 64 x 64 matrices is off by {error:.1e}")
    single = third.astype(jnp.float32)
    error = float(jnp.max(jnp.abs(jnp.matmul(single, single, precision=jax.lax.Precision.HIGHEST) - 64 / 9)))
    yield HealthCheck(error < 1e-4, "single precision", f"at the highest setting, off by {error:.1e}")


def _data(data_dir: Path | None) -> Iterator[HealthCheck]:
    """Report whether each data set of the catalog can be loaded; a missing one is no fault, a damaged one is."""
    for name in CATALOG:
        try:
            load(name, search_roots(data_dir))
            yield HealthCheck(True, name, "found, checksums agree")
        except NtkbenchError as error:
            missing = "is not on this machine" in str(error)
            detail = f"not on this machine; `ntkbench data fetch {name}` brings it" if missing else str(error)
            yield HealthCheck(None if missing else False, name, detail)


def _writable(store: Path) -> HealthCheck:
    """Report whether the store can be written; its folder is made if there is none."""
    try:
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=store):
            pass
    except OSError as error:
        return HealthCheck(False, "store", f"{store}: {error.strerror}")
    return HealthCheck(True, "store", f"{store} can be written")
