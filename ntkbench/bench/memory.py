"""How much memory there is, and how much of it one piece of work may take."""

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_SHARE = 1 / 16
"""A tile, the matrix that it is part of, and what compilers need live side by side."""
_MOST = 512e6
"""on a processor, whose caches more would not help"""
_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def host_bytes() -> int:
    """Bytes that this process may use: those of the machine, or of its container or its user's limit (`ulimit`) where
    these are fewer. Not what is free now: the same machine must give the same tiles, and so the same bits."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical, *_of_user(), *_of_container()])


def _of_user() -> Iterator[int]:
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY:
            yield limit


def _of_container() -> Iterator[int]:
    """Limits of the control groups, versions 1 and 2, that the process is in, and of those above them."""
    for path in _limits():
        with suppress(OSError, ValueError):  # `max` is none
            yield int(path.read_text())


def _limits() -> Iterator[Path]:
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
    """Of kernels that are kept to be compared with others; a share of the machine's, where they lie."""
    return host_bytes() / 4


def tile_bytes(told: float | None, accelerator_bytes: int | None = None) -> float:
    """What the spec says, or a share of the accelerator's memory, or of the machine's."""
    if told is not None:
        return told
    if accelerator_bytes is not None:
        return _SHARE * accelerator_bytes
    return min(_MOST, _SHARE * host_bytes())
