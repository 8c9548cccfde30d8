"""Describe with what and on what a run was made, and how it ended; nothing tells whose machine it was."""

import contextlib
import ctypes
import errno
import functools
import importlib.metadata
import os
import platform
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax

import ntkbench
from ntkbench.errors import DivergedError, StorageError, TimeoutReached, UsageError
from ntkbench.run import settings
from ntkbench.spec import extensions
from ntkbench.store.record import Status

# The software, settings and device of a run, and the resources it took, as records keep them.
#
# Called by the worker. Nothing here identifies a user or a machine: no user or host names and no paths.


_PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy", "scipy")
"""packages whose versions can change a number"""
_PEAK_RESET = Path("/proc/self/clear_refs")
"""file that resets the process's peak memory on Linux (proc(5))"""


@functools.cache
def software() -> dict[str, Any]:
    """Return the versions of ntkbench, Python, numerical packages and extensions, and the commit of ntkbench.

    `commit` and `dirty` (whether tracked files of the package differ from the commit) are None outside of a checkout.
    """
    versions: dict[str, Any] = {package: importlib.metadata.version(package) for package in _PACKAGES}
    added = dict(extensions.packages())
    versions |= {"extensions": added} if added else {}
    return {"ntkbench": ntkbench.__version__, **_commit(), "python": platform.python_version(), **versions}


def _commit() -> dict[str, Any]:
    """Return the commit of the checkout that ntkbench runs from, and whether the package was changed since."""
    folder = Path(ntkbench.__file__).parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        tracked = _git(folder, "ls-files", "--error-unmatch", "__init__.py")
        # Only files of the package count: boards, specs and pages beside it change no number.
        dirty = bool(_git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")) if tracked else None
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": dirty}


def _git(folder: Path, *arguments: str) -> str:
    """Return what a git command prints. Raise OSError without git, SubprocessError where the command fails."""
    done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def jax_settings() -> dict[str, Any]:
    """Return the options of JAX and XLA that can change a number.

    `changed` holds those that differ from a run by the command line.
    """
    told: Any = jax.config
    return {
        "backend": jax.default_backend(),
        "x64": told.jax_enable_x64,
        "matmul_precision": {"kernel": "highest", "network": told.jax_default_matmul_precision},
        "prng": told.jax_default_prng_impl,
        "threefry_partitionable": told.jax_threefry_partitionable,
        "changed": _changed(),
        "xla_flags": settings.unsafe_flags(os.environ.get("XLA_FLAGS", "")),
    }


def _changed() -> dict[str, Any]:
    """Return the options that differ from a run by the command line, as where a caller has configured JAX."""
    held = {name: getattr(jax.config, name) for name in settings.SETTINGS}
    return {name: value for name, value in held.items() if value != settings.SETTINGS[name]}


def require_device() -> None:
    """Raise UsageError if JAX finds no device of the platforms that it was told to use."""
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts that it found a device
        told = os.environ.get("JAX_PLATFORMS") or "what JAX looks for"
        why = str(error).splitlines()[0] if str(error) else "no such device, or JAX is installed without it"
        raise UsageError(
            f"JAX_PLATFORMS={told}: {why}. Unset JAX_PLATFORMS to take what there is, set it to cpu, or install what "
            "the device needs, as in pip install 'ntkbench[cuda]'"
        ) from None


def device() -> dict[str, Any]:
    """Return the kind, platform and number of JAX's devices: accelerators if there are any, otherwise the processor."""
    first = jax.devices()[0]
    return {"kind": first.device_kind, "platform": first.platform, "count": jax.local_device_count()}


def accelerator_bytes() -> int | None:
    """Return the bytes of memory that JAX may use on its first accelerator; None on a processor."""
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def accelerators_bytes() -> int | None:
    """Return the bytes of all accelerators together, whose memory holds parts of one matrix; None without any."""
    each = accelerator_bytes()
    return each and each * jax.local_device_count()


def reset_peak_memory() -> None:
    """Reset this process's peak memory, where Linux allows it (proc(5), `clear_refs`)."""
    with contextlib.suppress(OSError):
        _PEAK_RESET.write_text("5")


def resources(wall_s: float) -> dict[str, Any]:
    """Return the resources of a run that took `wall_s` seconds.

    `host_peak_bytes` is the peak since `reset_peak_memory` (`host_peak_of: run`), or of the process's life (`process`)
    where that cannot be reset; `device_peak_bytes` is given on accelerators.
    """
    own = _high_water()
    taken = {"wall_s": wall_s, "host_peak_bytes": own or _lifetime_peak(), "host_peak_of": "run" if own else "process"}
    device = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return taken if device is None else {**taken, "device_peak_bytes": device}


def _high_water() -> int | None:
    """Return the peak resident bytes since `reset_peak_memory`; None where it cannot be reset."""
    try:
        if not os.access(_PEAK_RESET, os.W_OK):
            return None
        found = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _lifetime_peak() -> int:
    """Return the peak resident bytes of the process; the system counts in kB, on macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def return_memory() -> None:
    """Return freed memory to the system.

    glibc keeps what the threads of XLA have freed: 0.9 of the 1.9 GB of a process after five networks of different
    widths. Other C libraries have no such call, or need none.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def release_compiled_programs(most: float = 0.2) -> bool:
    """Clear JAX's compiled programs if the process uses too many memory maps; return whether it did.

    Every program takes a few maps, and a process without any left dies. `most`: the share of Linux's limit
    (`vm.max_map_count`) from which on programs are cleared; a fifth of it is about 1 GB of programs. Other systems have
    no such limit: nothing is cleared there.
    """
    try:
        there = int(Path("/proc/sys/vm/max_map_count").read_text())
        taken = Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:  # another system
        return False
    if taken <= most * there:
        return False
    jax.clear_caches()
    return True


class CompileClock:
    """Context manager that counts the seconds JAX spends on compilation while it is open.

    JAX takes durations from a clock that may jump, so `seconds` stays between 0 and the time that has passed.
    """

    def __init__(self) -> None:
        self.seconds, self._began = 0.0, time.perf_counter()

    def __enter__(self) -> "CompileClock":
        jax.monitoring.register_event_duration_secs_listener(self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._hear)

    def _hear(self, event: str, duration_secs: float, **_: object) -> None:
        """Add the duration of a compilation event; other events of JAX are ignored."""
        if event.startswith("/jax/core/compile/"):
            passed = time.perf_counter() - self._began
            self.seconds = min(self.seconds + max(0.0, duration_secs), passed)


# The statuses that records give to runs that end without a result.


_FOR_MEMORY = ("RESOURCE_EXHAUSTED", "OUT_OF_MEMORY", "out of memory", "Out of memory", "bad_alloc")
"""parts of messages by which XLA, which raises one type for everything, says that memory ran out"""


def status_of(failure: BaseException | None) -> Status:
    """Return the status that a record gives to a run that ended with `failure`; None is `ok`."""
    match failure:
        case None:
            return "ok"
        case KeyboardInterrupt():
            return "interrupted"
        case TimeoutReached():
            return "timeout"
        case DivergedError():
            return "diverged"
        case MemoryError():
            return "oom"
        case OSError(errno=errno.ENOMEM):
            return "oom"
        case jax.errors.JaxRuntimeError() if any(word in str(failure) for word in _FOR_MEMORY):
            return "oom"
    return "failed"


def is_of_the_store(failure: BaseException) -> bool:
    """Return whether a failure is the store's and not the run's.

    Such a failure gets no record and ends the command: the next run could not be written either.
    """
    return isinstance(failure, StorageError)


def message(failure: BaseException) -> str:
    """Return a failure's message, or its type if it has none, in at most 20,000 characters."""
    return (str(failure) or type(failure).__name__)[:20_000]
