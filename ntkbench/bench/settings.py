"""What JAX is told of whatever can change a number: one way of computing for one run id, whoever's shell it is."""

import re
from collections.abc import Mapping
from types import MappingProxyType

SETTINGS: Mapping[str, str | bool | int | None] = MappingProxyType(
    {
        "jax_enable_x64": True,  # kernels are double precision
        "jax_numpy_dtype_promotion": "strict",  # no float becomes one unasked
        "jax_default_matmul_precision": None,  # the device's own for networks; kernels ask for the highest
        "jax_default_prng_impl": "threefry2x32",
        "jax_threefry_partitionable": True,
        "jax_random_seed_offset": 0,
        "jax_debug_nans": False,
        "jax_debug_infs": False,
        "jax_disable_jit": False,
    }
)
"""JAX' options by their names, with the values that runs are made with."""
_UNSAFE = re.compile(r"fast_math|fast_min_max|excess_precision|denormal")
"""in the names of XLA's flags: arithmetic that is not IEEE's"""


def variable(option: str) -> str:
    """Of the environment, which JAX reads an option from when it is imported."""
    return option.upper()


def environment() -> dict[str, str | None]:
    """The variables and what they are to say; None: not to be there."""
    return {variable(name): None if value is None else _text(value) for name, value in SETTINGS.items()}


def _text(value: str | bool | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def safe(xla_flags: str) -> tuple[str, str]:
    """XLA's flags without those that change arithmetic, and these."""
    flags = xla_flags.split()
    bad = [flag for flag in flags if _UNSAFE.search(flag)]
    return " ".join(flag for flag in flags if flag not in bad), " ".join(bad)


def told(xla_flags: str) -> list[str]:
    """XLA's flags as a record may tell them: folders stay where they are."""
    return sorted(flag if "/" not in flag and "\\" not in flag else flag.split("=")[0] for flag in xla_flags.split())
