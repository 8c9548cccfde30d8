"""Define the options that several commands share, and what they do before and after their work."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import click

from ntkbench.errors import StorageError, UsageError
from ntkbench.run.settings import configure
from ntkbench.store import programs
from ntkbench.text import without_control_characters

F = TypeVar("F", bound=Callable[..., Any])


class _Place(click.Path):
    """A path option in which `~` is the user's home also where no shell expands it: `--store=~/runs`, a variable."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path with `~` expanded; an unknown home is a usage error."""
        home = os.path.expanduser(value)
        if str(home).startswith("~"):
            self.fail(f"{value}: the system knows no such home; write the whole path", param, ctx)
        return super().convert(home, param, ctx)


FILE = _Place(path_type=Path, dir_okay=False)
"""type of options that name a file"""
FORMS = ("terminal", "plain", "md", "csv", "latex", "json")
"""formats of `show`"""
PICTURES = ("png", "pdf", "svg")
"""formats of `plot`"""
EXECUTORS = ("local", "ray")
"""where `run` executes: processes of this machine, or a Ray cluster"""
STAGES = ("training", "checkpoint", "snapshot", "tile", "factor", "kernel", "solve", "craft", "poison")
"""stages whose cached objects `store gc` can drop or keep"""
TABLES = ("csv", "json", "jsonl", "latex", "parquet", "xlsx")
"""formats of `export`"""
FOLDER = _Place(path_type=Path, file_okay=False)
"""type of options that name a folder"""


def _tell(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one line on stderr."""
    click.echo(without_control_characters(f"warning: {message}"), err=True)


# ---- options that several commands share ---------------------------------------------------------


def _store(command: F) -> F:
    """Add the option `--store`."""
    return click.option(
        "--store", type=FOLDER, default=Path("runs"), show_default=True, envvar="NTKBENCH_STORE",
        help="Folder of records and cached stages (or NTKBENCH_STORE).",
    )(command)  # fmt: skip


def _data_dir(command: F) -> F:
    """Add the option `--data-dir`."""
    return click.option(
        "--data-dir", type=FOLDER, envvar="NTKBENCH_DATA", help="Folder of data sets (or NTKBENCH_DATA)."
    )(command)


def _spec(command: F) -> F:
    """Add the argument SPEC and the options `--set` and `--smoke`, which change it."""
    command = click.option(
        "--smoke", is_flag=True, help="Apply the spec's `smoke` section, which makes the experiment small."
    )(command)
    command = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="PATH=VALUE",
        help="Override a field of the spec, e.g. --set data.n_train=100; may be repeated. Values that commas separate "
        "are an axis of the matrix, e.g. --set width=16,32.",
    )(command)
    return click.argument("spec")(command)


def _specs(command: F) -> F:
    """Add the options `--set` and `--smoke` to a command that takes several specs."""
    command = click.option(
        "--smoke", is_flag=True, help="Apply the spec's `smoke` section, which makes the experiment small."
    )(command)
    return click.option(
        "--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field of the spec; may be repeated."
    )(command)


def _part(command: F) -> F:
    """Add the option `--where`, which selects cells of the matrix."""
    return click.option(
        "--where",
        multiple=True,
        metavar="AXIS=LABEL",
        help="Select cells of the matrix, e.g. --where width=64 --where width=512. Default: all cells.",
    )(command)


def _leaderboards(command: F) -> F:
    """Add the option `--folder`."""
    return click.option(
        "--folder", type=FOLDER, default=Path("leaderboards"), show_default=True, help="Folder of the leaderboards."
    )(command)


def _compile_cache(command: F) -> F:
    """Add the option `--no-compile-cache`."""
    return click.option(
        "--no-compile-cache",
        "no_cache",
        is_flag=True,
        help="Compile anew, instead of keeping compiled programs in the user's cache (or in NTKBENCH_CACHE).",
    )(command)


def _engine() -> ModuleType:
    """Configure JAX, and return `run.execute`, which imports it and all that computes."""
    configure()
    from ntkbench.run import execute

    return execute


def _programs(no_cache: bool) -> programs.Programs | None:
    """Return where compiled programs are kept; None if the user has said otherwise, or, with a warning, nowhere."""
    if no_cache or os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return None
    try:
        return programs.opened(programs.default_folder())
    except StorageError as error:
        _tell(f"compiled programs are not kept: {error}")
        return None


def _choices(items: Sequence[str], option: str) -> dict[str, list[str]]:
    """Return the values that each name is given by items NAME=VALUE; UsageError, naming `option`, for others."""
    found: dict[str, list[str]] = {}
    for item in items:
        if "=" not in item:
            raise UsageError(f"{option} {item!r}: write NAME=VALUE")
        name, value = item.split("=", 1)
        found.setdefault(name, []).append(value)
    return found


def _pairs(items: Sequence[str], option: str) -> dict[str, str]:
    """Return the value of each name in items NAME=VALUE; UsageError if a name is given twice."""
    found = _choices(items, option)
    for name, values in found.items():
        if len(values) > 1:
            raise UsageError(f"{option}: {name} is given {len(values)} times; one value can be asked for")
    return {name: value for name, [value] in found.items()}
