"""The command line `ntkbench`: it reads options, calls the library, and turns errors into messages and exit codes.

No command computes anything itself. A command's module is imported when the command is asked for: JAX, pandas and
matplotlib take seconds, and commands that only read a spec answer without them. `configure` runs before JAX is
imported, in every command that computes. Docstrings and help texts of commands are the page `docs/cli.md`.

    main(["validate", "spec.yaml"])    # exits with 0, or 2 after a line for each mistake
"""

import codecs
import gc
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType

import click

from ntkbench import __version__
from ntkbench.cli.options import _tell
from ntkbench.errors import NtkbenchError
from ntkbench.run.settings import GIVEN_UP
from ntkbench.text import escape_unencodable, without_control_characters

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "run": ("run", "Execute a spec and write one record per run."),
        "validate": ("validate", "Check specs and report all errors at once, each with line and column."),
        "plan": ("plan", "Show what `run` would do: runs, cached stages, estimated time and memory."),
        "explain": ("status", "Show where each value of a spec comes from, and why its runs are done or not."),
        "status": ("status", "Show progress, speed, estimated end and failures of the runs of a spec."),
        "show": ("results", "Show the results of a spec: mean ± sd (n) over seeds, along any axes."),
        "plot": ("pictures", "Draw the results of specs, or of everything in a store, for a paper."),
        "export": ("results", "Write the numbers of specs, or of everything in a store, one row per number."),
        "diff": ("results", "Show how two runs differ: config, software, device, execution, numbers."),
        "images": ("pictures", "Write a run's adversarial images for other libraries, as an npz file."),
        "weights": ("weights", "Write the trained weights of a run, as a safetensors file."),
        "report": ("pictures", "Write the results of a spec as one HTML page."),
        "leaderboard": ("boards", "Make the pages of leaderboards from their entries."),
        "submit": ("boards", "Make a leaderboard entry from the finished runs of a spec."),
        "verify": ("boards", "Run an entry again, compare every number, and record that they agree."),
        "compare": ("boards", "Compare two entries, or two cells of specs: differences, intervals and p."),
        "doctor": ("reference", "Check the installation: versions, devices, double precision, data sets, the store."),
        "init": ("reference", "Write a commented spec to start from."),
        "list": (
            "reference",
            "List what a spec can name: data sets, architectures, kernels, attacks, analyses, metrics.",
        ),
        "schema": ("reference", "Print the JSON Schema of specs, for editors."),
        "reference": ("reference", "Write the reference pages: spec.md, metrics.md, cli.md and api.md."),
        "store": ("store", "Inspect, clean, check and merge stores, the folders of records and cached stages."),
        "data": ("data", "Bring data sets to this machine."),
    }
)
"""the commands in the order of a workflow: the module of `ntkbench.cli` that has it, and what the help says of it"""
_FUNCTIONS: Mapping[str, str] = MappingProxyType({"list": "list_", "store": "store_"})
"""functions of commands that are not called like their command"""
INTERRUPTED = 130
"""exit code of a command that was interrupted, as shells have it"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with the code of its end: 0 all is well, 1, 2, 3 or 130 (see `docs/cli.md`).

    `arguments`: words of the command line; None for those that the process was started with.
    """
    code = _ended(arguments)
    if arguments is None and (code == INTERRUPTED or any(each.name == GIVEN_UP for each in threading.enumerate())):
        # Compiled code may still run in other threads; it would abort the process while Python shuts down in order.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if arguments is None and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        # While Python shuts down, KeyboardInterrupt inside a library's clean-up would abort the process.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


def _ended(arguments: Sequence[str] | None) -> int:
    """Run a command in this process and return its exit code; errors become messages on stderr.

    Errors of ntkbench and of files are told in words, others as a fault of ntkbench. With `--debug` all of these are
    raised.
    """
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    # Plugins of pydantic could change what a spec means, and to look for them takes a while.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Importing makes many objects and no garbage: collecting after every 700 takes a sixth of a short command's time.
    gc.set_threshold(100_000)
    os.environ["MPLBACKEND"] = "agg"  # pictures are files; the backend that a notebook sets may not be installed
    codecs.register_error("ntkbench", escape_unencodable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ntkbench")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _tell
            return cli.main(arguments, prog_name="ntkbench", standalone_mode=False) or 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command resumes", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            raise
        if isinstance(error, NtkbenchError):
            click.echo(without_control_characters(str(error)), err=True)
            return error.exit_code
        if isinstance(error, OSError) and error.strerror:
            click.echo(without_control_characters(f"{error.filename or 'input or output'}: {error.strerror}"), err=True)
            return 1
        click.echo(
            without_control_characters(f"ntkbench failed unexpectedly: {type(error).__name__}: {error}"), err=True
        )
        click.echo("This is a fault of ntkbench. Add --debug before the command to see where.", err=True)
        return 1


class _Commands(Mapping[str, click.Command]):
    """The commands by name; the module of one is imported when the command is looked up."""

    def __getitem__(self, name: str) -> click.Command:
        module, _ = COMMANDS[name]
        return getattr(import_module(f"ntkbench.cli.{module}"), _FUNCTIONS.get(name, name))

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _CommandGroup(click.Group):
    """A group whose help does not import its commands."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, each with what it is for."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(
    cls=_CommandGroup,
    commands=_Commands(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="ntkbench")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """A declarative benchmark of what the Neural Tangent Kernel says about adversarial robustness."""


if __name__ == "__main__":
    main()
