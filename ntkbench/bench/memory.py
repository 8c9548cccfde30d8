"""How much memory there is, and how much of it one piece of work may take."""

import os

_SHARE = 1 / 16
"""A tile, the matrix that it is part of, and what compilers need live side by side."""
_MOST = 512e6
"""on a processor, whose caches more would not help"""


def host_bytes() -> int:
    """Of the machine. Not what is free now: the same machine must give the same tiles, and so the same bits."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


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
