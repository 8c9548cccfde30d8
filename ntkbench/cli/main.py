"""The command line `ntkbench`: it reads options, calls the library, and turns errors into messages and exit codes.

No command computes anything itself. Modules are imported inside the commands that need them: JAX, pandas and matplotlib
take seconds, and commands that only read a spec answer without them. `configure` runs before JAX is imported, in every
command that computes. Docstrings and help texts of commands are the page `docs/cli.md`.

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
from collections.abc import Sequence

import click

from ntkbench import __version__
from ntkbench.cli.boards import compare, leaderboard, submit, verify
from ntkbench.cli.options import _tell
from ntkbench.cli.reference import data, doctor, init, list_, reference, schema
from ntkbench.cli.results import diff, export, images, plot, report, show
from ntkbench.cli.run import explain, plan, run, status, validate
from ntkbench.cli.store import store_
from ntkbench.errors import NtkbenchError
from ntkbench.run.settings import GIVEN_UP
from ntkbench.text import escape_unencodable, without_control_characters

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


@click.group(
    commands=[
        run,
        validate,
        plan,
        explain,
        status,
        show,
        plot,
        export,
        diff,
        images,
        report,
        leaderboard,
        submit,
        verify,
        compare,
        doctor,
        init,
        list_,
        schema,
        reference,
        store_,
        data,
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="ntkbench")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """A declarative benchmark of what the Neural Tangent Kernel says about adversarial robustness."""


if __name__ == "__main__":
    main()
