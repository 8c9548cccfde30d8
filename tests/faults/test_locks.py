"""File systems that are not as they should be: without locks, or read-only. Real processes on one store."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ntkbench.plan.read import read
from ntkbench.store import lookup
from ntkbench.store.store import Store
from ntkbench.store.upkeep import audit, inventory
from tests.cli.test_cli import a_track
from tests.examples import tiny

pytestmark = pytest.mark.slow

SPEC = tiny.SPEC + "matrix: {width: [8, 12], training.epochs: [3, 4]}\n"
NO_FLOCK = """
import fcntl, os

def flock(*_):
    raise OSError({0}, os.strerror({0}))

fcntl.flock = flock
"""
NO_LOCK_AT_ALL = """
from contextlib import contextmanager
from ntkbench.store.store import Store

@contextmanager
def lock(*_, **__):
    yield True

Store.lock = lock
"""
QUICK = "from ntkbench.store import locks; locks.BEAT, locks.EXPIRED = 0.2, 3.0\n"


def start(spec: Path, store: Store, before: str) -> subprocess.Popen[bytes]:
    code = f"{before}\nimport sys\nfrom ntkbench.cli.main import main\nmain(sys.argv[1:])"
    command = [sys.executable, "-c", code, "run", str(spec), "--store", str(store.root)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> str:
    _, told = process.communicate(timeout=900)
    assert process.returncode == 0, told.decode()
    return told.decode()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, Store]:
    """The spec, and a store where it ran alone, with locks."""
    folder = tmp_path_factory.mktemp("whole")
    spec, store = tiny.spec(folder, SPEC), Store(folder / "runs")
    finish(start(spec, store, ""))
    return spec, store


def as_expected(whole: tuple[Path, Store], store: Store) -> bool:
    """Whether all is whole, and the records say what they have to."""
    spec, expected = whole
    items, runs = audit.examinable(inventory.items(store)), read(spec).runs
    found = [str(each) for item in items if (each := audit.examine(store, item)) is not None]
    return found == [] and tiny.results(store, runs) == tiny.results(expected, runs)


def test_runners_on_a_file_system_without_locks_share_the_work(whole: tuple[Path, Store], tmp_path: Path):
    runs, store = read(whole[0]).runs, Store(tmp_path / "runs")
    processes = [start(whole[0], store, NO_FLOCK.format(errno.ENOLCK)) for _ in range(4)]
    told = [finish(process) for process in processes]
    assert [text.count("has no locks") for text in told] == [1] * 4, "told once"
    assert [record.attempt for record in lookup.records(store, runs)] == [1] * len(runs)
    assert sum(text.count("  ok  ") for text in told) == len(runs), "each run was made once"
    assert as_expected(whole, store)
    assert list((store.root / "locks").iterdir()) == []


def test_runners_that_know_nothing_of_each_other_corrupt_nothing(whole: tuple[Path, Store], tmp_path: Path):
    store = Store(tmp_path / "runs")
    for process in [start(whole[0], store, NO_LOCK_AT_ALL) for _ in range(2)]:
        finish(process)
    assert as_expected(whole, store)


def test_what_a_killed_runner_was_at_is_taken_over_without_locks(whole: tuple[Path, Store], tmp_path: Path):
    store, quick = Store(tmp_path / "runs"), NO_FLOCK.format(errno.ENOLCK) + QUICK
    process = start(whole[0], store, quick)
    while not list((store.root / "locks").glob("*.lease")):
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list((store.root / "locks").glob("*.lease"))
    finish(start(whole[0], store, quick))
    assert as_expected(whole, store)
    assert list((store.root / "locks").glob("*.lease")) == []


READ = """
import sys
from ntkbench.cli.main import cli

spec, store, board = sys.argv[1:]
commands = [
    ["status", spec], ["plan", spec], ["show", spec], ["explain", spec], ["export", spec], ["export"],
    ["report", spec], ["plot", spec], ["leaderboard", "build"],
    ["submit", spec, "--name", "one", "--track", "tiny@1", "--no-mini", "--allow-dirty"],
    ["store", "du"], ["store", "gc"], ["store", "verify"],
]
for command in commands:
    print(*command)
    cli.main(command, standalone_mode=False)
"""


def as_a_reader(code: str, *arguments: object, out: Path) -> subprocess.CompletedProcess[str]:
    """Runs Python where permissions count: the superuser gives up what lets it write anything."""
    bound = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    if bound and shutil.which("setpriv") is None:
        pytest.skip("the superuser may write anything, and there is no setpriv")
    command = [*bound, sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "NTKBENCH_STORE": str(arguments[1])}
    return subprocess.run(command, capture_output=True, text=True, cwd=out, env=environment)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Store]:
    """A store where the tiny experiment ran, which nobody may write."""
    store = Store(tmp_path / "runs")
    finish(start(tiny.spec(tmp_path), store, ""))
    folders = [path for path in (store.root, *store.root.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    yield store
    for folder in folders:
        folder.chmod(0o755)


def test_a_store_that_can_only_be_read_is_read(read_only: Store, tmp_path: Path):
    spec, before = tmp_path / "tiny.yaml", tiny.files(read_only.root)
    board = a_track(tmp_path)
    done = as_a_reader(READ, spec, read_only.root, board, out=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 runs: 2 ok" in done.stdout
    assert (board / "entries" / "one.json").is_file()
    assert tiny.files(read_only.root) == before
    run = "import sys\nfrom ntkbench.cli.main import main\nmain(['run', sys.argv[1], '--set', 'seeds=5'])"
    done = as_a_reader(run, spec, read_only.root, out=tmp_path)
    assert done.returncode == 1
    told = f"{read_only.root}: cannot be written: Permission denied; name another place\n"
    assert done.stderr == told
    assert tiny.files(read_only.root) == before
