"""The fences of the house: who may know whom. Each is tried on a small house that breaks it, too."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ntkbench
from ntkbench.data.catalog import CATALOG
from tests.house import Module, cycles, reach, read, within

House = dict[str, Module]
Fence = Callable[[House], Iterator[str]]

_COMPUTES = ("build", "doctor", "environment", "experiment", "fitting", "laboratory", "recipe", "stretch", "train")
_COMPUTES += ("failures", "worker", "task", "here", "pool", "cluster", "run")
COMPUTES = {f"ntkbench.bench.{name}" for name in _COMPUTES}
"""modules of `bench` that may know JAX; no other does, at any hand"""
AT_ONCE = ("cli", "bench.plan", "bench.leaderboard", "bench.show", "bench.record", "bench.statistics")
AT_ONCE += (
    "bench.drive",
    "bench.interrupt",
    "bench.job",
    "bench.journal",
    "bench.unit",
    "bench.store",
    "bench.ledger",
    "bench.outlook",
    "bench.sight",
    "bench.watch",
    "bench.submit",
    "bench.verify",
    "bench.compare",
    "bench.listing",
    "bench.schema",
    "bench.plot",
    "bench.frame",
    "bench.export",
    "bench.diff",
    "bench.origin",
    "bench.manual",
    "bench.report",
    "bench.site",
    "bench.audit",
    "bench.collect",
    "bench.inventory",
    "bench.reconcile",
)
FILES = ("os", "io", "pathlib", "shutil", "tempfile", "subprocess", "sys")
JAX = ("jax", "jaxlib", "equinox", "optax")


def never(folder: str, *forbidden: str) -> Fence:
    """No module of the folder reaches any of these, at any hand."""

    def broken(house: House) -> Iterator[str]:
        for name in (name for name in house if within(name, folder)):
            yield from (" -> ".join(way) for to, way in reach(house, name).items() if within(to, *forbidden))

    return broken


def science_knows_only_arrays(house: House) -> Iterator[str]:
    allowed = (
        "abc",
        "collections",
        "contextlib",
        "contextvars",
        "dataclasses",
        "enum",
        "functools",
        "itertools",
        "math",
        "operator",
        "typing",
        "numpy",
        "jaxtyping",
    )
    for name, module in house.items():
        if within(name, "ntkbench.ntk"):
            strange = (to for to in module.imports if not within(to, *allowed, *JAX, "ntkbench.ntk", "ntkbench.errors"))
            yield from (f"{name} -> {to}" for to in strange)


def science_and_analyses_open_no_file(house: House) -> Iterator[str]:
    for name, module in house.items():
        if within(name, "ntkbench.ntk", "ntkbench.analyses"):
            yield from (
                f"{name}: {function}" for function in module.calls() if function.endswith(("open", "read_text"))
            )


def words_never_reach_jax(house: House) -> Iterator[str]:
    for name in (name for name in house if within(name, "ntkbench.bench") and name not in COMPUTES):
        yield from (" -> ".join(way) for to, way in reach(house, name).items() if within(to, *JAX, "ntkbench.ntk"))


def no_cycle(house: House) -> Iterator[str]:
    yield from (" -> ".join(cycle) for cycle in cycles(house))


def names_say_what_is_inside(house: House) -> Iterator[str]:
    forbidden = {"utils", "util", "helpers", "helper", "misc", "common", "base", "core"}
    yield from (name for name in house if forbidden & set(name.split(".")))


def packages_are_docstrings(house: House) -> Iterator[str]:
    folders = {name.rpartition(".")[0] for name in house if "." in name}
    for name in sorted(folders):
        statements = [type(node).__name__ for node in house[name].tree.body] if name in house else ["nothing"]
        if statements != ["Expr", "Assign"][: 2 if "." not in name else 1]:
            yield f"{name}: {statements}"


def no_relative_imports(house: House) -> Iterator[str]:
    yield from (f"{name}:{line}" for name, module in house.items() for line in module.relative_imports)


def jax_is_configured_by_the_command_line(house: House) -> Iterator[str]:
    """The environment of a run is allowed to read what was configured."""
    for name, module in house.items():
        used = {name for name in module.attributes() if name.startswith("jax.config")}
        if name not in ("ntkbench.cli", "ntkbench.bench.environment") and used:
            yield f"{name}: {used}"
        if name == "ntkbench.bench.environment" and used != {"jax.config"}:
            yield f"{name}: {used}"


def nobody_asks_whether_it_is_a_network(house: House) -> Iterator[str]:
    for name, module in house.items():
        asked = {of.rpartition(".")[2] for of in module.asks_for()}
        if name != "ntkbench.ntk.network" and "Network" in asked:
            yield name


def only_data_knows_data_sets(house: House) -> Iterator[str]:
    for name, module in house.items():
        if not within(name, "ntkbench.data"):
            yield from (f"{name}: {found}" for found in module.compared_strings() & set(CATALOG))


def nothing_happens_at_import(house: House) -> Iterator[str]:
    for name, module in house.items():
        yield from (f"{name}: {effect}" for effect in module.effects_at_import())


def nothing_global_changes(house: House) -> Iterator[str]:
    yield from (f"{name}: {changed}" for name, module in house.items() for changed in module.mutated_globals())


FENCES: dict[str, Fence] = {
    "the science knows only arrays": science_knows_only_arrays,
    "the science knows nobody": never("ntkbench.ntk", "ntkbench.bench", "ntkbench.analyses", "ntkbench.data"),
    "the science has no pandas, yaml, click or files": never("ntkbench.ntk", "pandas", "yaml", "click", *FILES),
    "data has no jax": never("ntkbench.data", *JAX, "ntkbench.ntk"),
    "data knows no bench": never("ntkbench.data", "ntkbench.bench", "ntkbench.analyses", "ntkbench.cli"),
    "analyses know no bench and no files": never("ntkbench.analyses", "ntkbench.bench", "ntkbench.data", *FILES),
    "nobody knows the command line": never("ntkbench.bench", "ntkbench.cli"),
    "no file is opened by science": science_and_analyses_open_no_file,
    "words never reach jax": words_never_reach_jax,
    "no cycle": no_cycle,
    "names": names_say_what_is_inside,
    "packages are docstrings": packages_are_docstrings,
    "no relative imports": no_relative_imports,
    "jax.config": jax_is_configured_by_the_command_line,
    "isinstance Network": nobody_asks_whether_it_is_a_network,
    "names of data sets": only_data_knows_data_sets,
    "effects at import": nothing_happens_at_import,
    "mutable globals": nothing_global_changes,
}

BREAKS: dict[str, dict[str, str]] = {
    "the science knows only arrays": {"ntk/a.py": "import requests"},
    "the science knows nobody": {
        "ntk/a.py": "import ntkbench.b",
        "b.py": "from ntkbench.bench import c",
        "bench/c.py": "",
    },
    "the science has no pandas, yaml, click or files": {"ntk/a.py": "def f():\n    from pathlib import Path"},
    "data has no jax": {"data/a.py": "from ntkbench import b", "b.py": "import jax.numpy as jnp"},
    "data knows no bench": {"data/a.py": "from ntkbench.bench.c import d", "bench/c.py": ""},
    "analyses know no bench and no files": {"analyses/a.py": "import os.path"},
    "nobody knows the command line": {"bench/a.py": "from ntkbench import cli", "cli.py": ""},
    "no file is opened by science": {"analyses/a.py": "def f():\n    return open('x')"},
    "words never reach jax": {
        "bench/plan.py": "from ntkbench.bench import b",
        "bench/b.py": "def f():\n    import equinox",
    },
    "no cycle": {"a.py": "import ntkbench.b", "b.py": "def f():\n    from ntkbench import a"},
    "names": {"bench/utils.py": ""},
    "packages are docstrings": {
        "bench/__init__.py": '"""Words."""\nfrom ntkbench.bench.c import d',
        "bench/c.py": "d = 1",
    },
    "no relative imports": {"bench/a.py": "from . import b", "bench/b.py": ""},
    "jax.config": {"ntk/a.py": "import jax\n\ndef f():\n    jax.config.update('jax_enable_x64', True)"},
    "isinstance Network": {"bench/a.py": "def f(x):\n    return isinstance(x, (int, network.Network))"},
    "names of data sets": {"bench/a.py": "def f(x):\n    return 1 if x == 'mnist' else 2"},
    "effects at import": {"bench/a.py": "register('a')"},
    "mutable globals": {"bench/a.py": "SEEN = {}\n\ndef f(x):\n    SEEN[x] = 1"},
}


@pytest.fixture(scope="module")
def house() -> House:
    return read(Path(ntkbench.__file__).parent)


@pytest.mark.parametrize("fence", FENCES)
def test_the_house_keeps(fence: str, house: House):
    assert list(FENCES[fence](house)) == []


@pytest.mark.parametrize("fence", FENCES)
def test_a_broken_house_is_noticed(fence: str, tmp_path: Path):
    package = tmp_path / "ntkbench"
    files = {"__init__.py": '"""A house."""\n__version__ = "0"\n'}
    files |= {f"{folder}/__init__.py": '"""A room."""\n' for folder in ("ntk", "data", "analyses", "bench")}
    for name, text in {**files, **BREAKS[fence]}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, "utf-8")
    broken = read(package)
    assert list(FENCES[fence](broken))
    down = {name for name in FENCES if name not in _implied(fence) and list(FENCES[name](broken))}
    assert down == {fence}, "the example breaks one fence and no other"


def _implied(fence: str) -> set[str]:
    """Fences that stand behind one another on purpose."""
    behind = {
        "the science knows nobody": {"the science knows only arrays"},
        "the science has no pandas, yaml, click or files": {"the science knows only arrays"},
    }
    return behind.get(fence, set())


def test_imports_for_type_checkers_do_not_count(tmp_path: Path):
    (tmp_path / "p").mkdir()
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import jax\n"
    (tmp_path / "p" / "a.py").write_text(source)
    assert read(tmp_path / "p")["p.a"].imports == {"typing"}


def test_what_answers_at_once_leaves_jax_alone():
    imports = "".join(f"import ntkbench.{name}\n" for name in AT_ONCE)
    code = f"{imports}import sys\nprint(*({set(JAX)} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
