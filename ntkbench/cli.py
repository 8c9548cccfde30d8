"""The command line `ntkbench`: it reads options, calls the library, and turns errors into messages and exit codes.

No command computes anything itself. Modules are imported inside the commands that need them: JAX, pandas and matplotlib
take seconds, and commands that only read a spec answer without them. `_configure_jax` runs before JAX is imported, in
every command that computes. Docstrings and help texts of commands are the page `docs/cli.md`.

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
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from ntkbench import __version__
from ntkbench.bench.clock import GIVEN_UP
from ntkbench.errors import NtkbenchError, UsageError
from ntkbench.foreign import in_few_letters, tamed

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


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
FORMS = ("plain", "md", "csv", "latex", "json")
"""formats of `show`"""
PICTURES = ("png", "pdf", "svg")
"""formats of `plot`"""
EXECUTORS = ("local", "ray")
"""where `run` executes: processes of this machine, or a Ray cluster"""
STAGES = ("training", "checkpoint", "snapshot", "kernel", "craft")
"""stages whose cached objects `store gc` can drop or keep"""
TABLES = ("csv", "json", "jsonl", "latex", "parquet")
"""formats of `export`"""
FOLDER = _Place(path_type=Path, file_okay=False)
"""type of options that name a folder"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with the code of its end: 0 all is well, 1, 2, 3 or 130 (see `docs/cli.md`).

    `arguments`: words of the command line; None for those that the process was started with.
    """
    code = _ended(arguments)
    if arguments is None and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        # While Python shuts down, KeyboardInterrupt inside a library's clean-up would abort the process.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if arguments is None and any(thread.name == GIVEN_UP for thread in threading.enumerate()):
        # A thread that was given up still runs compiled code, and would crash while Python shuts down in order.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
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
    codecs.register_error("ntkbench", in_few_letters)
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
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            raise
        if isinstance(error, NtkbenchError):
            click.echo(tamed(str(error)), err=True)
            return error.exit_code
        if isinstance(error, OSError) and error.strerror:
            click.echo(tamed(f"{error.filename or 'input or output'}: {error.strerror}"), err=True)
            return 1
        click.echo(tamed(f"ntkbench failed unexpectedly: {type(error).__name__}: {error}"), err=True)
        click.echo("This is a fault of ntkbench. Add --debug before the command to see where.", err=True)
        return 1


def _tell(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one line on stderr."""
    click.echo(tamed(f"warning: {message}"), err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ntkbench")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """A declarative benchmark of what the Neural Tangent Kernel says about adversarial robustness."""


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
    command = click.option("--smoke", is_flag=True, help="Apply the spec's `smoke` section.")(command)
    command = click.option(
        "--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field, e.g. --set data.n_train=100."
    )(command)
    return click.argument("spec")(command)


def _part(command: F) -> F:
    """Add the option `--where`, which selects cells of the matrix."""
    return click.option(
        "--where",
        multiple=True,
        metavar="AXIS=LABEL",
        help="Only these cells of the matrix, e.g. --where width=64 --where width=512.",
    )(command)


def _leaderboards(command: F) -> F:
    """Add the option `--folder`."""
    return click.option(
        "--folder", type=FOLDER, default=Path("leaderboards"), show_default=True, help="Folder of the leaderboards."
    )(command)


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


# ---- commands ------------------------------------------------------------------------------------


@cli.command()
@_spec
@_part
@_store
@_data_dir
@click.option("--retry/--no-retry", default=True, help="Try runs again that ended badly. Interrupted ones always are.")
@click.option(
    "--executor", type=click.Choice(EXECUTORS), default="local", show_default=True,
    help="Processes of this machine, or a Ray cluster.",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(1), help="Processes of this machine. Default: one for each accelerator, or one."
)
@click.option("--address", help="Of a running Ray cluster (or `auto`). Default: one on this machine, for this command.")
@click.option("--force", is_flag=True, help="Begin also what takes far more memory than there is.")
@click.option("--shard", metavar="i/n", help="Only the i-th of n parts, for array jobs. More cells move none.")
def run(
    spec: str, overrides: Sequence[str], smoke: bool, where: Sequence[str], store: Path, data_dir: Path | None,
    retry: bool, executor: Any, workers: int | None, address: str | None, force: bool, shard: str | None,
) -> int:  # fmt: skip
    """Execute a spec: one record a run. The same command again resumes, and repeats nothing that is done.

    Ctrl-C ends in order, a second Ctrl-C at once; nothing that is finished is lost.
    """
    from rich.console import Console

    from ntkbench.bench import ledger, outlook, remaining
    from ntkbench.bench.interrupt import interruptible
    from ntkbench.bench.job import Options
    from ntkbench.bench.progress import progress
    from ntkbench.bench.store import Store
    from ntkbench.bench.unit import Shard
    from ntkbench.data.load import search_roots

    if executor == "local" and address:
        raise UsageError("--address is that of a Ray cluster: add --executor ray")
    if executor == "ray" and workers:
        raise UsageError(
            "--workers is for --executor local; what a Ray cluster runs at once follows from run.resources"
        )
    planned = _planned(spec, overrides, smoke, where)  # before JAX is imported, so that mistakes show at once
    if shard:
        planned = Shard.parse(shard).part(planned)
        if not planned.runs:
            click.echo(f"no run of the plan belongs to part {shard}")
            return 0
    _configure_jax()
    from ntkbench.bench.run import execute

    kept = Store(store)
    options = Options(retry, smoke, tuple(overrides), executor, workers, address, force)
    console = Console(stderr=True)
    seen = console.is_terminal
    watcher = progress(console, remaining.expected(planned, outlook.cached(planned.runs, kept)) if seen else None)
    try:
        with interruptible():
            ended = execute(planned, kept, search_roots(data_dir), options, watcher)
    finally:
        watcher.close()
    click.echo(_summary(planned, ledger.records(kept, planned.runs)))
    return 0 if ended["ok"] == len(planned.runs) else 1


def _planned(spec: str, overrides: Sequence[str], smoke: bool, where: Sequence[str]) -> Any:
    """Return the plan of a spec, without the cells that `--where` leaves out."""
    from ntkbench.bench import plan

    return plan.narrowed(plan.read(spec, overrides, smoke), _choices(where, "--where"))


def _summary(planned: Any, records: Sequence[Any]) -> str:
    """Return the table that `run` ends with, or a hint if no run has a number."""
    from ntkbench.bench.show import show

    if not any(record.metrics for record in records):
        return "no results; `ntkbench status` shows why"
    return show(records, planned=planned.runs, form="md")


def _configure_jax() -> None:
    """Tell JAX how to compute, so that no setting of the shell changes a number. JAX is configured nowhere else.

    The settings are environment variables, which JAX reads when it is imported, and which worker processes inherit.
    Flags of XLA that change arithmetic are left out, with a warning.
    """
    from ntkbench.bench import settings

    for name, value in settings.environment().items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    flags, unsafe = settings.safe(os.environ.get("XLA_FLAGS", ""))
    if unsafe:
        os.environ["XLA_FLAGS"] = flags
        warnings.warn(f"XLA_FLAGS: {unsafe} would change results, and is left out", stacklevel=2)
    if jax := sys.modules.get("jax"):
        for option, setting in settings.SETTINGS.items():
            jax.config.update(option, setting)


@cli.command()
@click.argument("specs", nargs=-1, required=True)
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field.")
@click.option("--smoke", is_flag=True, help="Apply the spec's `smoke` section.")
@_data_dir
def validate(specs: Sequence[str], overrides: Sequence[str], smoke: bool, data_dir: Path | None) -> None:
    """Check specs: all errors at once, each with line and column. Data sets that are not here are told, too."""
    from ntkbench.bench import plan
    from ntkbench.errors import SpecError

    problems = []
    for spec in specs:
        try:
            planned = plan.read(spec, overrides, smoke)
            click.echo(f"{spec}: {len(planned.runs)} runs")
            _tell_absent(planned, data_dir)
        except SpecError as error:
            problems.extend(error.problems)
    if problems:
        raise SpecError(problems)


def _tell_absent(planned: Any, data_dir: Path | None) -> None:
    """Print a warning for each data set of the plan that is not on this machine."""
    from ntkbench.bench.availability import absent

    names = (getattr(run.cell.data.dataset, "name", None) for run in planned.runs)
    for line in absent(filter(None, names), data_dir):
        _tell(line)


@cli.command()
@_spec
@_part
@_store
@_data_dir
def plan(
    spec: str, overrides: Sequence[str], smoke: bool, where: Sequence[str], store: Path, data_dir: Path | None
) -> None:
    """Show what `run` would do: runs, what is there already, time and memory. Nothing is executed."""
    from ntkbench.bench.outlook import outlook
    from ntkbench.bench.store import Store

    planned = _planned(spec, overrides, smoke, where)
    click.echo(outlook(planned, Store(store)))
    _tell_absent(planned, data_dir)


@cli.command()
@_spec
@_store
@click.option("--where", multiple=True, metavar="AXIS=LABEL", help="Which cell of the matrix. Default: the first.")
def explain(spec: str, overrides: Sequence[str], smoke: bool, store: Path, where: Sequence[str]) -> None:
    """Show where each value of a spec comes from, and why its runs are done or are still to be done."""
    from ntkbench.bench.origin import explain
    from ntkbench.bench.store import Store

    click.echo(explain(spec, overrides, smoke, Store(store), _pairs(where, "--where")))


@cli.command()
@_spec
@_part
@_store
@click.option("--watch", "live", is_flag=True, help="Go on looking until every run has ended.")
@click.option("--every", type=click.FloatRange(0.1), default=2, show_default=True, help="Seconds between two looks.")
def status(
    spec: str, overrides: Sequence[str], smoke: bool, where: Sequence[str], store: Path, live: bool, every: float
) -> int:
    """Show progress, speed, estimated end and failures of the runs of a spec.

    It works from any terminal, whoever executes the runs. --watch exits as `run` does: 0 if all are ok, 1 otherwise.
    """
    from rich.console import Console

    from ntkbench.bench import watch
    from ntkbench.bench.store import Store

    planned, kept = _planned(spec, overrides, smoke, where), Store(store)
    if not live:
        click.echo(watch.status(planned, kept))
        return 0
    try:
        return 0 if watch.watch(planned, kept, Console(), every) else 1
    except KeyboardInterrupt:  # ends the watching alone, not the runs
        return 130


@cli.command()
@_spec
@_store
@click.option("--metric", "metrics", multiple=True, help="Which metrics. Default: transfer_rate, or all there are.")
@click.option("--where", multiple=True, metavar="NAME=VALUE", help="Only these, e.g. --where eps=8/255.")
@click.option("--rows", multiple=True, metavar="AXIS", help="Axes down the side.")
@click.option("--column", metavar="AXIS", help="The axis across.")
@click.option("--format", "form", type=click.Choice(FORMS), default="md", show_default=True)
@click.option("--digits", type=click.IntRange(0, 15), default=2, show_default=True)
def show(
    spec: str, overrides: Sequence[str], smoke: bool, store: Path, metrics: Sequence[str], where: Sequence[str],
    rows: Sequence[str], column: str | None, form: Any, digits: int,
) -> None:  # fmt: skip
    """Show the results of a spec: mean ± sd (n) over seeds, along any axes."""
    from ntkbench.bench import ledger, plan
    from ntkbench.bench.show import show
    from ntkbench.bench.store import Store

    planned = plan.read(spec, overrides, smoke)
    table = show(
        ledger.records(Store(store), planned.runs), metrics=metrics, where=_pairs(where, "--where"), rows=rows,
        column=column, form=form, planned=planned.runs, digits=digits,
    )  # fmt: skip
    click.echo(table)


@cli.command()
@click.argument("specs", nargs=-1)
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field.")
@click.option("--smoke", is_flag=True, help="Apply the spec's `smoke` section.")
@_store
@click.option("-o", "--output", type=FOLDER, default=Path("figures"), show_default=True, help="Folder of the pictures.")
@click.option("--format", "form", type=click.Choice(PICTURES), default="png", show_default=True)
@click.option("--analysis", "analyses", multiple=True, metavar="ID", help="Which analyses. Default: all with pictures.")
@click.option("--eps", "budgets", multiple=True, help="Which budgets, e.g. --eps 8/255. Default: the largest.")
def plot(
    specs: Sequence[str], overrides: Sequence[str], smoke: bool, store: Path, output: Path, form: str,
    analyses: Sequence[str], budgets: Sequence[str],
) -> None:  # fmt: skip
    """Draw the results of specs, or of everything in a store, for a paper. A caption lies beside each picture."""
    from ntkbench.bench import plan
    from ntkbench.bench.store import Store

    if not specs and (overrides or smoke):
        raise UsageError("--set and --smoke change a spec: name one")
    planned, kept = [plan.read(spec, overrides, smoke) for spec in specs], Store(store)
    from ntkbench.bench import plot  # imports matplotlib: mistakes in specs show before that

    results = [plot.of_plan(each, kept) for each in planned] or plot.of_store(kept)
    written = plot.plot(results, kept.records, output, form=form, analyses=analyses, budgets=budgets)
    click.echo("\n".join(map(str, written)))


@cli.command()
@click.argument("specs", nargs=-1)
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field.")
@click.option("--smoke", is_flag=True, help="Apply the spec's `smoke` section.")
@_store
@click.option("--metric", "metrics", multiple=True, help="Which metrics. Default: all there are.")
@click.option(
    "--format", "form", type=click.Choice(TABLES), help="Default: by the file's name (.gz is compressed), or csv."
)
@click.option("-o", "--output", type=FILE, help="A file instead of the screen.")
def export(
    specs: Sequence[str], overrides: Sequence[str], smoke: bool, store: Path, metrics: Sequence[str], form: Any,
    output: Path | None,
) -> None:  # fmt: skip
    """Write the numbers of specs, or of everything in a store, one row each, with all digits and provenance."""
    from ntkbench.bench import export, frame, jsonfile

    if not specs and (overrides or smoke):
        raise UsageError("--set and --smoke change a spec: name one")
    form, gzipped = export.of_file(output, form)
    if output is None and form == "parquet":
        raise UsageError("a Parquet file is no text for a screen; name a file with -o FILE")
    rows = export.of_metrics(frame.records(store, *specs, overrides=overrides, smoke=smoke), metrics)
    content = export.export(rows, form, gzipped)
    if output is None:
        click.echo(content, nl=False)
    else:
        jsonfile.write(output, content)


@cli.command()
@click.argument("one", metavar="RUN")
@click.argument("other", metavar="RUN")
@_store
def diff(one: str, other: str, store: Path) -> None:
    """Show how two runs differ: config, software, device, execution, numbers.

    RUN is an id, the beginning of one, or the file of a record.
    """
    from ntkbench.bench import diff
    from ntkbench.bench.store import Store

    click.echo(diff.diff(*(diff.find(name, Store(store)) for name in (one, other))))


@cli.command()
@_spec
@_store
@click.option("-o", "--output", type=FILE, default=Path("report.html"), show_default=True, help="The page.")
def report(spec: str, overrides: Sequence[str], smoke: bool, store: Path, output: Path) -> None:
    """Write the results of a spec as one page for a browser: numbers, pictures, and what did not go well."""
    from ntkbench.bench import jsonfile, plan
    from ntkbench.bench.store import Store

    planned = plan.read(spec, overrides, smoke)
    from ntkbench.bench.report import report  # imports matplotlib: mistakes in specs show before that

    options = [part for override in overrides for part in ("--set", override)] + ["--smoke"] * smoke
    jsonfile.write(output, report(planned, Store(store), options).encode())
    click.echo(output)


@cli.group()
def leaderboard() -> None:
    """Make the pages of leaderboards from their entries."""


@leaderboard.command()
@_leaderboards
@click.option("--check", is_flag=True, help="Write nothing; fail if a table is not what its entries give.")
def build(folder: Path, check: bool) -> None:
    """Write README.md and table.csv of every leaderboard, and their index, from the entries alone."""
    from ntkbench.bench import leaderboard

    changed = leaderboard.build(folder, check)
    click.echo("\n".join(f"wrote {path}" for path in changed) or "every table is what its entries give")


@leaderboard.command()
@_leaderboards
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder of the pages.")
def site(folder: Path, output: Path) -> None:
    """Write the leaderboards as a website: pages to open from disk, or to put on any host."""
    from ntkbench.bench import leaderboard
    from ntkbench.bench.site import site

    click.echo(site(leaderboard.boards(folder), output))


@cli.command()
@_spec
@_store
@_data_dir
@_leaderboards
@click.option("--track", "board", help="The leaderboard. Default: the one that the spec names.")
@click.option("--name", required=True, help="What the entry is called on the board.")
@click.option("--where", multiple=True, metavar="AXIS=LABEL", help="Which cells of the matrix, e.g. --where width=512.")
@click.option("--author", "authors", multiple=True)
@click.option("--link", "links", multiple=True, help="Of a paper or code.")
@click.option("--replace", is_flag=True, help="Overwrite the entry of that name.")
@click.option("--allow-dirty", is_flag=True, help="Accept runs made with uncommitted changes of ntkbench.")
@click.option("--mini/--no-mini", default=True, help="Run the track's small experiments, for others to check.")
def submit(
    spec: str, overrides: Sequence[str], smoke: bool, store: Path, data_dir: Path | None, folder: Path,
    board: str | None, name: str, where: Sequence[str], authors: Sequence[str], links: Sequence[str], replace: bool,
    allow_dirty: bool, mini: bool,
) -> None:  # fmt: skip
    """Make a leaderboard entry from the finished runs of a spec: of a cell, or of one for each target of the track."""
    from ntkbench.bench import ledger, plan, submit, track, verify
    from ntkbench.bench.store import Store

    planned, kept = plan.read(spec, overrides, smoke), Store(store)
    board = board or planned.header.track
    if board is None:
        raise UsageError(f"{spec} names no track: add one, or name it with --track transfer-fashion@2")
    runs, rules = submit.narrowed(planned.runs, _pairs(where, "--where")), track.read(folder / board)
    entry = submit.make(
        rules, runs, ledger.records(kept, runs), kept.records,
        name=name, authors=authors, links=links, allow_dirty=allow_dirty,
    )  # fmt: skip
    submit.free(entry, folder, replace)
    if mini:
        entry = verify.with_mini(entry, rules, _run_again(verify.small(rules, entry), store / "mini", data_dir))
    click.echo(submit.next_steps(submit.save(entry, folder, replace), entry))


def _run_again(runs: Sequence[Any], store: Path, data_dir: Path | None) -> Sequence[Any]:
    """Return the records of these runs; those that the store lacks are executed now."""
    from rich.console import Console

    from ntkbench.bench import ledger, verify
    from ntkbench.bench.progress import progress
    from ntkbench.bench.store import Store
    from ntkbench.data.load import search_roots

    _configure_jax()
    from ntkbench.bench.job import Options
    from ntkbench.bench.run import execute

    watcher = progress(Console(stderr=True))
    try:
        execute(verify.planned(runs), Store(store), search_roots(data_dir), Options(), watcher)
    finally:
        watcher.close()
    return ledger.records(Store(store), runs)


@cli.command()
@click.argument("name", metavar="ENTRY")
@click.option(
    "--seeds", multiple=True, type=click.IntRange(0), help="Which of its seeds, e.g. --seeds 0. Default: the first."
)
@click.option("--draw", "lot", metavar="TEXT", help="A seed drawn by this text, unknown when the entry was made, too.")
@click.option("--mini", is_flag=True, help="The track's small experiments instead.")
@click.option(
    "--store", type=FOLDER, help="Where to run; what is there is not run again. Default: a new folder, thrown away."
)
@_data_dir
@_leaderboards
def verify(
    name: str, seeds: Sequence[int], lot: str | None, mini: bool, store: Path | None, data_dir: Path | None,
    folder: Path,
) -> None:  # fmt: skip
    """Run an entry again, compare every number, and write down that they agree. ENTRY: a file, or TRACK/NAME.

    If a number differs by more than the track allows, nothing is written, and the exit code is 3.
    """
    from tempfile import TemporaryDirectory

    from ntkbench.bench import verify
    from ntkbench.bench.store import Store

    if mini and (seeds or lot):
        raise UsageError("--mini is a run of its own; leave --seeds and --draw out")
    board, rules, entry = verify.claim(name, folder)
    seeds = [*seeds, verify.drawn(entry, lot)] if lot is not None else seeds
    runs = verify.of_mini(rules, entry) if mini else verify.of_seeds(rules, entry, seeds)
    with TemporaryDirectory() as new:
        place = store or Path(new)
        records = _run_again(runs, place, data_dir)
        reruns = [verify.rerun(rules, entry, record, Store(place).records) for record in records]
    click.echo("\n\n".join(verify.report(rules, entry, each) for each in reruns))
    click.echo(f"\n{verify.conclude(board, rules, entry, reruns)}")


@cli.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--paired/--unpaired", default=True, help="On the same test points (default), or as if on others.")
@click.option("--metric", "metrics", multiple=True, help="Which metrics. Default: all that both have.")
@click.option("--where", multiple=True, metavar="NAME=VALUE", help="Only these, e.g. --where eps=8/255.")
@click.option("--format", "form", type=click.Choice(["plain", "md"]), default="plain", show_default=True)
@_store
@_leaderboards
def compare(
    a: str, b: str, paired: bool, metrics: Sequence[str], where: Sequence[str], form: Any, store: Path, folder: Path
) -> None:
    """Compare two entries, or two cells of specs: each number they share, the difference, its interval and p.

    A, B: the file of an entry, TRACK/NAME, or SPEC:AXIS=LABEL,AXIS=LABEL for what the store has of a cell.
    """
    from ntkbench.bench import compare, side
    from ntkbench.bench.store import Store

    sides = [side.find(name, folder, Store(store)) for name in (a, b)]
    click.echo(compare.compare(*sides, paired=paired, metrics=metrics, where=_pairs(where, "--where"), form=form))


@cli.command()
@_store
@_data_dir
def doctor(store: Path, data_dir: Path | None) -> int:
    """Check the installation: versions, devices, double precision, data sets, the store.

    Exit code 1 if something is wrong.
    """
    _configure_jax()
    from ntkbench.bench.doctor import examine

    healthy, report = examine(store, data_dir)
    click.echo(report)
    return 0 if healthy else 1


@cli.command()
@click.argument("path", type=FILE, default=Path("experiment.yaml"))
def init(path: Path) -> None:
    """Write a commented spec to start from. Never overwrites."""
    from ntkbench.bench.starter import write

    write(path)
    click.echo(f"{path}: edit it, then `ntkbench run {path}`")


@cli.command("list")
@click.argument("what", type=click.Choice(["datasets", "architectures", "kernels", "attacks", "analyses", "metrics"]))
def list_(what: str) -> None:
    """List what a spec can name."""
    from ntkbench.bench.listing import listing

    click.echo(listing(what))


@cli.command()
@click.option("-o", "--output", type=FILE, help="A file instead of the screen.")
def schema(output: Path | None) -> None:
    """Print the JSON Schema of specs, for editors."""
    from ntkbench.bench import jsonfile
    from ntkbench.bench.schema import dumps

    if output is None:
        click.echo(dumps(), nl=False)
    else:
        jsonfile.write(output, dumps().encode())


@cli.command()
@click.option("-o", "--output", type=FOLDER, default=Path("docs"), show_default=True, help="Folder of the pages.")
@click.option("--check", is_flag=True, help="Write nothing; fail if a page is not what the program says.")
def reference(output: Path, check: bool) -> None:
    """Write the reference pages: spec.md, metrics.md and cli.md."""
    from ntkbench.bench import manual

    changed = manual.write(output, cli, check)
    click.echo("\n".join(f"wrote {path}" for path in changed) or "every page is what the program says")


@cli.group("store")
def store_() -> None:
    """Inspect, clean, check and merge stores, the folders of records and cached stages."""


@store_.command()
@_store
def du(store: Path) -> None:
    """Show the disk space that a store takes, by kind of content."""
    from ntkbench.bench import index, inventory
    from ntkbench.bench.store import Store

    click.echo(inventory.usage(inventory.things(Store(store)), index.ends(Store(store))))


@store_.command("gc")
@_store
@click.option("--delete", is_flag=True, help="Delete it. Without this, it is only shown.")
@click.option(
    "--older-than", default="7d", show_default=True, metavar="AGE", help="What was of use later stays: 90s, 12h, 30d."
)
@click.option("--drop", multiple=True, type=click.Choice(STAGES), help="Everything of a stage, whoever names it.")
@click.option("--keep", multiple=True, type=click.Choice(STAGES), help="Nothing of a stage.")
def gc_(store: Path, delete: bool, older_than: str, drop: Sequence[str], keep: Sequence[str]) -> None:
    """Show, or delete, cached files that no result and no running process uses. No result is lost.

    A run that needs one of them later computes it again.
    """
    from ntkbench.bench import collect, index, inventory
    from ntkbench.bench.store import Store

    kept, wishes = Store(store), collect.Wishes(collect.seconds(older_than), drop, keep)
    found = collect.waste(kept, inventory.things(kept), index.ends(kept), wishes)
    if delete:
        found = list(collect.remove(kept, found))
    click.echo(collect.told(found))
    if collect.at_work(kept):
        click.echo("a run is at work in this store: its objects are left alone until it ends", err=True)
    click.echo("deleted" if delete else "nothing was deleted: add --delete")


@store_.command("verify")
@_store
@click.option("--repair", is_flag=True, help="Move what is damaged to `damaged` in the store. Nothing is deleted.")
def verify_(store: Path, repair: bool) -> int:
    """Read every object and every record of a store: checksums, form, run ids. Exit code 3 if one is damaged."""
    from ntkbench.bench import audit, inventory
    from ntkbench.bench.store import Store

    kept = Store(store)
    things = audit.examined(inventory.things(kept))
    found = [each for thing in _track(things, "verify") if (each := audit.examine(kept, thing)) is not None]
    moved = [path for each in found for path in audit.set_aside(kept, each)] if repair else []
    click.echo(audit.report(found, len(things), moved))
    return 3 if found else 0


@store_.command()
@_store
def reindex(store: Path) -> None:
    """Read all records again and rebuild the index that `status`, `plan` and `run` use. Never needed in normal use."""
    from ntkbench.bench import index
    from ntkbench.bench.store import Store

    built, damaged = index.build(Store(store))
    built.save()
    click.echo("\n".join([*(f"warning: {error}" for error in damaged), f"{len(built.entries)} records"]))


@store_.command()
@click.argument("others", nargs=-1, required=True, type=FOLDER, metavar="OTHER...")
@_store
@click.option("--objects/--no-objects", default=True, help="Cached stages, too, or records alone.")
def merge(others: Sequence[Path], store: Path, objects: bool) -> None:
    """Copy the records and cached stages of other stores into this one.

    A run that is in both must have the same numbers: exit code 3 if not.
    """
    from ntkbench.bench import reconcile
    from ntkbench.bench.store import Store

    kept, found = Store(store), {}
    for other in others:
        for merged in _track(reconcile.merge(kept, other, objects=objects), str(other)):
            found[other] = merged
        for line in found[other].skipped:
            _tell(line)
    click.echo(reconcile.conclude(kept, found))


def _track(items: Iterable[T], what: str) -> Iterable[T]:
    """Yield the items; a terminal shows a progress bar meanwhile."""
    from rich.console import Console
    from rich.progress import track

    return track(items, what, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


@cli.group()
def data() -> None:
    """Bring data sets to this machine."""


@data.command()
@click.argument("name")
@click.option("--data-dir", type=FOLDER, envvar="NTKBENCH_DATA", help="Where to put it. Default: your own cache.")
def fetch(name: str, data_dir: Path | None) -> None:
    """Download a data set from its official address, and check every byte."""
    from ntkbench.data.fetch import fetch

    click.echo(fetch(name, data_dir, progress=sys.stderr.isatty()))


if __name__ == "__main__":
    main()
