"""JAX settings that can change a number, the same for every run: one run id means one way of computing.

The command line applies them first of all, whatever the shell that it was started from says.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

SETTINGS: Mapping[str, str | bool | int | None] = MappingProxyType(
    {
        "jax_enable_x64": True,  # kernels are double precision
        "jax_numpy_dtype_promotion": "strict",  # types are never converted unasked
        "jax_default_matmul_precision": None,  # networks take the device's own; kernels ask for the highest
        "jax_default_prng_impl": "threefry2x32",
        "jax_threefry_partitionable": True,
        "jax_random_seed_offset": 0,
        "jax_debug_nans": False,
        "jax_debug_infs": False,
        "jax_disable_jit": False,
    }
)
"""JAX' options by their names, with the values that runs are made with."""
GIVEN_UP = "given up"
"""name of a thread that was abandoned in compiled code; the command line looks for it before it exits"""
_UNSAFE = re.compile(r"fast_math|fast_min_max|excess_precision|denormal")
"""parts of the names of XLA's flags that allow arithmetic other than IEEE's"""


def variable(option: str) -> str:
    """Return the environment variable from which JAX reads `option` when it is imported."""
    return option.upper()


def environment() -> dict[str, str | None]:
    """Return the environment variables of all settings with their values; None: the variable is to be removed."""
    return {variable(name): None if value is None else _text(value) for name, value in SETTINGS.items()}


def _text(value: str | bool | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def safe(xla_flags: str) -> tuple[str, str]:
    """Split XLA's flags into two texts: those that leave arithmetic as it is, and those that change it."""
    flags = xla_flags.split()
    bad = [flag for flag in flags if _UNSAFE.search(flag)]
    return " ".join(flag for flag in flags if flag not in bad), " ".join(bad)


def unsafe_flags(xla_flags: str) -> list[str]:
    """Return XLA's flags as a record states them, sorted, without values that hold a path: folders are private."""
    return sorted(flag if "/" not in flag and "\\" not in flag else flag.split("=")[0] for flag in xla_flags.split())
