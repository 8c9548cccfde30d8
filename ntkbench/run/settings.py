"""JAX settings that can change a number, the same for every run: one run id means one way of computing.

The command line calls `configure` first of all, whatever the shell that it was started from says. Callers from Python
compute inside `configured`, which gives JAX back as it was:

    with configured():
        execute(plan, store, roots, Options(), watcher)

JAX is configured nowhere else.
"""

import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

from ntkbench.errors import UsageError
from ntkbench.store.programs import Programs

GIVEN_UP = "given up"
"""name of a thread that was abandoned; the command line looks for it before it exits"""

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
_SHORTEST = "jax_persistent_cache_min_compile_time_secs"
"""JAX's option: seconds of compilation from which on a program is kept"""
_MOST_BYTES = "jax_compilation_cache_max_size"
"""JAX's option: bytes that a cache may hold; -1 is JAX's default"""
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


def configure() -> None:
    """Tell JAX how to compute, so that no setting of the shell changes a number.

    The settings are environment variables, which JAX reads when it is imported, and which worker processes inherit.
    Flags of XLA that change arithmetic are left out, with a warning.
    """
    _set_variables(environment())
    flags, unsafe = safe(os.environ.get("XLA_FLAGS", ""))
    if unsafe:
        os.environ["XLA_FLAGS"] = flags
        warnings.warn(f"XLA_FLAGS: {unsafe} would change results, and is left out", stacklevel=2)
    if jax := sys.modules.get("jax"):
        for option, setting in SETTINGS.items():
            jax.config.update(option, setting)


@contextmanager
def configured() -> Iterator[None]:
    """Configure JAX inside the block, and give it back as it was: the process, a notebook's, is not ours.

    Raise UsageError where JAX computes in another way that can no longer be changed: flags of XLA that it has read
    already, or a `with` of JAX around the call, which overrides its settings.
    """
    _, unsafe = safe(os.environ.get("XLA_FLAGS", ""))
    if unsafe and "jax" in sys.modules:
        raise UsageError(
            f"XLA_FLAGS: {unsafe} changes results, and JAX may have read it already; restart Python with XLA_FLAGS "
            "free of it, or delete it from os.environ before jax is imported"
        )
    import jax

    variables = {variable(name): os.environ.get(variable(name)) for name in SETTINGS}
    held = {name: getattr(jax.config, name) for name in SETTINGS}
    configure()
    try:
        _require(jax)
        yield
    finally:
        _set_variables(variables)
        if any(thread.name == GIVEN_UP for thread in threading.enumerate()):
            # Work that was interrupted inside compiled code goes on for a while, and may still save what it finds.
            warnings.warn("interrupted work still runs, so that JAX keeps the settings of ntkbench", stacklevel=3)
        else:
            for name, value in held.items():
                jax.config.update(name, value)


def keep_programs(programs: Programs | None) -> None:
    """Have JAX look for compiled programs in `programs` before it compiles, in this process, and keep them there.

    JAX's options hold: its bound on the size, and the seconds of compilation from which on a program is kept (any, if
    the variable is not set). Nothing changes with None, or where JAX has a cache already. JAX has no public way to name
    a cache of another kind; if a later version has no such attribute, every process compiles anew.
    """
    if programs is None:
        return
    import jax._src.compilation_cache

    if getattr(jax._src.compilation_cache, "_cache", programs) is not None:
        return
    if (most_bytes := getattr(jax.config, _MOST_BYTES)) >= 0:
        programs = replace(programs, most_bytes=most_bytes)
    if variable(_SHORTEST) not in os.environ:
        jax.config.update(_SHORTEST, 0)
    jax._src.compilation_cache._cache = programs  # type: ignore[assignment]


def _set_variables(values: Mapping[str, str | None]) -> None:
    """Set environment variables; None removes one."""
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _require(jax: object) -> None:
    """Raise UsageError where an option of JAX has another value than the one that was set."""
    config = jax.config  # type: ignore[attr-defined]
    for name, wanted in SETTINGS.items():
        if (found := getattr(config, name)) != wanted:
            raise UsageError(
                f"JAX computes with {name} = {found} here, and runs are made with {wanted}: a `with jax....` around "
                f"this call overrides the setting; call ntkbench outside of it"
            )
