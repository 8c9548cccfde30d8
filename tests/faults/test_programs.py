"""Compiled programs that processes leave to one another: a fault costs a compilation, and never a number."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ntkbench.store.programs import opened
from ntkbench.store.store import Store
from tests.examples import tiny
from tests.faults.test_space import again, mounted

pytestmark = pytest.mark.slow

SMALL = """
import json, sys, warnings
from collections import Counter
from pathlib import Path
import jax, jax.numpy as jnp
from ntkbench.run.settings import configure, keep_programs
from ntkbench.store.programs import Programs

events, told = Counter(), []
warnings.showwarning = lambda message, *_, **__: told.append(str(message))
configure()
jax.monitoring.register_event_listener(lambda event, **_: events.update([event.rpartition("/")[2]]))
keep_programs(Programs(Path(sys.argv[1])))
x = jnp.linspace(0.0, 1.0, 200)
found = jax.jit(lambda x: jnp.linalg.eigh(jnp.cos(x[:, None] * x[None]))[0])(x)
print(json.dumps({"hits": events["cache_hits"], "misses": events["cache_misses"], "told": told,
                  "found": [float(each).hex() for each in found]}))
"""


@dataclass(frozen=True)
class End:
    """What a process that computed has told."""

    hits: int
    misses: int
    told: list[str]
    found: list[str]


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that compiles a few small programs, or finds them in the folder."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment = {**variables, "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen([sys.executable, "-c", SMALL, str(folder)], env=environment, stdout=subprocess.PIPE)


def end(process: subprocess.Popen[bytes]) -> End:
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return End(**json.loads(told))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, bytes], End]:
    """The programs of a first process, and what it has told."""
    folder = opened(tmp_path_factory.mktemp("cache") / "programs").folder
    first = end(start(folder))
    assert first.misses > 0
    return {path.name: path.read_bytes() for path in folder.iterdir()}, first


def placed(folder: Path, content: Mapping[str, bytes]) -> Path:
    opened(folder)
    for name, each in content.items():
        (folder / name).write_bytes(each)
    return folder


def test_a_second_process_compiles_nothing(full: tuple[Mapping[str, bytes], End], tmp_path: Path):
    content, first = full
    second = end(start(placed(tmp_path / "programs", content)))
    assert second == End(first.hits + first.misses, 0, [], first.found)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-20] + bytes([content[-20] ^ 4]) + content[-19:],
        lambda _: b"",
        lambda content: b"\0" * len(content),
    ],
    ids=["cut", "flipped", "empty", "zeroed"],
)
def test_damage_costs_a_compilation(
    damage: Callable[[bytes], bytes], full: tuple[Mapping[str, bytes], End], tmp_path: Path
):
    content, first = full
    folder = placed(tmp_path / "programs", {name: damage(each) for name, each in content.items()})
    assert end(start(folder)) == first, "as if nothing had been there"
    assert end(start(folder)).misses == 0, "and what was damaged has been written anew"


def test_processes_that_write_together(full: tuple[Mapping[str, bytes], End], tmp_path: Path):
    content, first = full
    folder = opened(tmp_path / "programs").folder
    ends = [end(process) for process in [start(folder) for _ in range(3)]]
    assert [each.found for each in ends] == [first.found] * 3
    assert not [told for each in ends for told in each.told]
    assert {path.name for path in folder.iterdir()} == set(content)
    assert end(start(folder)).misses == 0


def test_a_disk_that_is_full_or_read_only(full: tuple[Mapping[str, bytes], End], tmp_path: Path):
    content, first = full
    with mounted(disk := tmp_path / "disk", "size=8k,mode=700"):
        folder = disk / "programs"
        folder.mkdir(mode=0o700)
        found = end(start(folder))
        assert found.found == first.found
        assert len(found.told) == 1
        assert "No space left on device" in found.told[0]
        again(disk, "size=10m")
        placed(folder, content)
        again(disk, "ro")
        read = end(start(folder))
        assert (read.found, read.misses, read.told) == (first.found, 0, [])


def test_a_run_of_the_command_has_the_same_numbers(tmp_path: Path):
    spec, runs = tiny.spec(tmp_path), tiny.planned(tmp_path).runs
    variables = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment = {**variables, "JAX_PLATFORMS": "cpu", "NTKBENCH_CACHE": str(tmp_path / "cache")}
    results, sizes = [], []
    for name, options in (("first", ()), ("second", ()), ("third", ("--no-compile-cache",))):
        store = Store(tmp_path / name)
        command = [sys.executable, "-m", "ntkbench", "run", str(spec), "--store", str(store.root), *options]
        subprocess.run(command, env=environment, capture_output=True, check=True, timeout=600)
        results.append(tiny.results(store, runs))
        sizes.append(len(list((tmp_path / "cache" / "programs").iterdir())))
    assert results[0] == results[1] == results[2]
    assert sizes[0] > 20
    assert sizes[2] == sizes[1]
