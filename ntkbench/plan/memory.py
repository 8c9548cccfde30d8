"""Tell how much memory this process may use, and how much of it one tile of a kernel may take.

The answers depend on the machine and not on what is free at the moment: the same machine must give the same tiles, and
so results that agree in every bit.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_SHARE = 1 / 16
"""share of the memory for a tile; the matrix around it and what compilers need are in memory at the same time"""
_MOST = 512e6
"""the most bytes of a tile on a processor; larger ones do not fit its caches any better"""
_MATRIX_SHARE = 3 / 4
"""share of the memory for the matrix of a kernel; images, tiles and compiled programs take the rest"""
_GROUPS = Path("/sys/fs/cgroup")
"""root of Linux's control groups"""
_OWN = Path("/proc/self/cgroup")
"""file that names the control groups of this process"""


def host_bytes() -> int:
    """Return the bytes that this process may use.

    These are the machine's, or fewer where its container or its user's limit (`ulimit`) allows less.
    """
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical, *_user_limits(), *_container_limits()])


def _user_limits() -> Iterator[int]:
    """Yield the limits of the user in bytes."""
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY:
            yield limit


def _container_limits() -> Iterator[int]:
    """Yield the limits, in bytes, of the control groups (versions 1 and 2) of this process and of all above."""
    for path in _limits():
        with suppress(OSError, ValueError):  # `max` means that there is no limit
            yield int(path.read_text())


def _limits() -> Iterator[Path]:
    """Yield the files that hold the limits; none on other systems than Linux."""
    try:
        lines = _OWN.read_text().splitlines()
    except OSError:  # another system
        return
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers == "":
            root, name = _GROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = _GROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / own.lstrip("/")
        yield from (folder / name for folder in (group, *group.parents) if folder.is_relative_to(root))


def kernel_bytes() -> float:
    """Return the bytes for kernels that are kept to be compared with each other; they lie in the host's memory."""
    return host_bytes() / 4


def matrix_bytes(accelerator_bytes: int | None = None) -> float:
    """Return the bytes that a kernel's matrix may take; a larger one is computed and factored in tiles."""
    return _MATRIX_SHARE * (accelerator_bytes or host_bytes())


def tile_bytes(told: float | None, accelerator_bytes: int | None = None) -> float:
    """Return the bytes that a tile may take.

    These are what the spec says (`told`), or a share of the accelerator's memory, or without one of the host's.
    """
    if told is not None:
        return told
    if accelerator_bytes is not None:
        return _SHARE * accelerator_bytes
    return min(_MOST, _SHARE * host_bytes())
