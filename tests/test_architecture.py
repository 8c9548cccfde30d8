"""The fences of the house: who may know whom. Each is tried on a small house that breaks it, too."""

import ast
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

GROUND = ("memo", "text", "labels", "budgets", "errors", "files", "documents", "render", "vocabulary", "uncertainty")
WORDS = ("data", "spec", "plan", "store", "status", "results", "boards", "reference")
ORDER = (*GROUND, *WORDS, "api", "cli")
"""a package, or a module of the ground floor, imports none that stands after it; `ntk`, `analyses` and `run` beside"""
FOUNDATIONS = {
    "text": (),
    "labels": (),
    "budgets": (),
    "errors": ("text",),
    "files": ("errors",),
    "documents": ("errors", "text", "files"),
    "render": (),
    "vocabulary": ("errors", "text"),
    "uncertainty": (),
    "memo": (),
    "ntk": ("ntk", "errors"),
    "analyses": ("analyses", "ntk", "uncertainty", "vocabulary", "budgets", "errors"),
    "data": ("data", "errors", "text", "files"),
}
"""what these may import of the house"""
SECTIONS = {
    "extensions": ("notation",),
    "layers": ("notation",),
    "architectures": ("extensions", "layers", "notation"),
    "attacks": ("extensions", "notation"),
    "data": ("extensions", "notation"),
    "training": ("attacks", "notation"),
    "kernels": ("architectures", "attacks", "notation"),
    "analyses": ("attacks", "extensions", "notation"),
    "cell": ("analyses", "architectures", "attacks", "data", "kernels", "notation", "training"),
    "identity": ("attacks", "cell", "data", "extensions", "kernels", "training"),
    "schema": ("cell", "document", "extensions", "identity"),
    "section": ("notation",),
    **dict.fromkeys(("notation", "document"), ()),
}
"""which modules of `spec` one imports, beside `section`"""
BUILDERS = {
    "data": (),
    "networks": (),
    "losses": (),
    "attacks": ("networks", "losses"),
    "kernels": ("networks", "losses", "attacks"),
    "tiles": (),
    "matrices": ("kernels", "tiles"),
    "training": ("networks", "losses", "attacks", "kernels"),
    "poison": ("data", "networks", "losses", "kernels"),
}
NUMBERS = (
    "api.models",
    "api.rebuilt",
    "run.build",
    "run.predictors",
    "run.shared",
    "run.phase",
    "run.group",
    "run.measure",
)
"""modules that may import the science, beside itself and the analyses"""
PICTURES = (
    "transfer",
    "transfer_matrix",
    "eigenspace",
    "drift",
    "consistency",
    "time_course",
    "robustness.accuracy",
    "robustness.certificate",
    "robustness.label_flips",
)
AT_ONCE = (
    "api.experiment",
    "api.forecast",
    "api.execution",
    "api.results",
    "cli.main",
    "plan.read",
    "plan.runs",
    "boards.standings",
    "boards.submit",
    "boards.verify",
    "boards.compare",
    "boards.frame",
    "boards.site",
    "results.show",
    "results.export",
    "results.diff",
    "results.frame",
    "results.report",
    "results.plots.plot",
    "store.folder",
    "store.record",
    "store.running",
    "store.store",
    "store.lookup",
    "store.upkeep.audit",
    "store.upkeep.garbage",
    "store.upkeep.inventory",
    "store.upkeep.merge",
    "status.explain",
    "status.forecast",
    "status.status",
    "status.watch",
    "reference.listing",
    "reference.pages",
    "spec.schema",
    "uncertainty",
    "run.interrupt",
    "run.job",
    "run.progress",
    "run.settings",
    "run.tracking.tracked",
)
FILES = ("os", "io", "pathlib", "shutil", "tempfile", "subprocess", "sys")
JAX = ("jax", "jaxlib", "equinox", "optax")
HEAVY = ("jax", "pandas", "ray", "scipy", "tabulate")
"""libraries that are imported where they are used"""
CONFIGURED = {
    "cli.options": "run.execute",
    "cli.reference": "run.doctor",
    "api.execution": "run.execute",
    "api.results": "api.rebuilt",
}
"""what imports a module only after JAX has been configured, and that module"""
SELDOM = {"plan.user_files": "data.user", "status.forecast": "store.kept"}
"""modules that import NumPy, by the one that needs them only for files of the user's own, or once runs are done"""
MOST_MODULES = 14
MOST_LINES = 300
OF_THE_LIBRARY = ("ntkbench.boards.site",)
"""modules that are called like one of the standard library, for lack of another word"""


def top(name: str) -> str:
    """Return the package of a module, or the module itself where it stands on the ground floor."""
    return name.split(".")[1] if "." in name else ""


def ours(module: Module) -> Iterator[str]:
    """Yield the modules of the house that a module imports."""
    return (to for to in sorted(module.imports) if within(to, "ntkbench") and to != "ntkbench")


def arrows(house: House, folder: str) -> Iterator[tuple[str, str]]:
    """Yield who of a folder imports whom of the house."""
    for name, module in house.items():
        if within(name, folder):
            yield from ((name, to) for to in ours(module))


def never(folder: str, *forbidden: str) -> Fence:
    """No module of the folder reaches any of these, at any hand."""

    def broken(house: House) -> Iterator[str]:
        for name in (name for name in house if within(name, folder)):
            yield from (" -> ".join(way) for to, way in reach(house, name).items() if within(to, *forbidden))

    return broken


def packages_stand_in_order(house: House) -> Iterator[str]:
    for name, to in arrows(house, "ntkbench"):
        one, other = top(name), top(to)
        if one in ORDER and other in ORDER and ORDER.index(one) < ORDER.index(other):
            yield f"{name} -> {to}"


def foundations_know_little(house: House) -> Iterator[str]:
    for name, to in arrows(house, "ntkbench"):
        if (one := top(name)) in FOUNDATIONS and top(to) not in FOUNDATIONS[one]:
            yield f"{name} -> {to}"


def nobody_knows_the_interface(house: House) -> Iterator[str]:
    """`ntkbench` itself finds it by names, when they are used."""
    for name, to in arrows(house, "ntkbench"):
        if top(to) == "api" and top(name) != "api":
            yield f"{name} -> {to}"


def nobody_but_commands_and_the_interface_know_run(house: House) -> Iterator[str]:
    for name, to in arrows(house, "ntkbench"):
        if top(to) == "run" and top(name) not in ("", "run", "api", "cli"):
            yield f"{name} -> {to}"


def run_shows_nothing(house: House) -> Iterator[str]:
    for name, to in arrows(house, "ntkbench.run"):
        if top(to) in ("status", "results", "boards", "reference", "cli"):
            yield f"{name} -> {to}"


def words_never_reach_jax(house: House) -> Iterator[str]:
    for name in (name for name in house if top(name) in (*GROUND, *WORDS)):
        for to, way in reach(house, name).items():
            if within(to, *JAX, "ntkbench.ntk", "ntkbench.analyses"):
                yield " -> ".join(way)


def few_turn_words_into_numbers(house: House) -> Iterator[str]:
    for name, to in arrows(house, "ntkbench"):
        if top(to) == "ntk" and not within(name, *(f"ntkbench.{each}" for each in ("ntk", "analyses", *NUMBERS))):
            yield f"{name} -> {to}"


def sections_build_on_one_another(house: House) -> Iterator[str]:
    for name, to in arrows(house, "ntkbench.spec"):
        section = name.removeprefix("ntkbench.spec.")
        known = SECTIONS.get(section)
        within_spec = to.removeprefix("ntkbench.spec.")
        if known is not None and within(to, "ntkbench.spec") and within_spec not in (*known, "section"):
            yield f"{name} -> {to}"
        if not within(name, "ntkbench.spec.reading") and within(to, "ntkbench.spec.reading"):
            yield f"{name} -> {to}"


def rules_know_no_other_rule(house: House) -> Iterator[str]:
    for name, to in arrows(house, "ntkbench.plan.rules"):
        if within(to, "ntkbench.plan.rules", "ntkbench.plan.read", "ntkbench.plan.cost"):
            yield f"{name} -> {to}"


def what_is_stored_knows_no_plan(house: House) -> Iterator[str]:
    for each in ("store", "folder", "record", "locks", "arrays"):
        for name, to in arrows(house, f"ntkbench.store.{each}"):
            if within(to, "ntkbench.plan"):
                yield f"{name} -> {to}"
    yield from (f"{name} -> {to}" for name, to in arrows(house, "ntkbench.store") if within(to, "ntkbench.plan.cost"))


def upkeep_is_for_commands(house: House) -> Iterator[str]:
    for name, to in arrows(house, "ntkbench"):
        if within(to, "ntkbench.store.upkeep") and not within(name, "ntkbench.store.upkeep", "ntkbench.cli"):
            yield f"{name} -> {to}"


def builders_build_on_one_another(house: House) -> Iterator[str]:
    for name, to in arrows(house, "ntkbench.run.build"):
        builder = name.removeprefix("ntkbench.run.build.")
        if within(to, "ntkbench.run") and to.removeprefix("ntkbench.run.build.") not in BUILDERS.get(builder, ()):
            yield f"{name} -> {to}"


def executors_know_no_other(house: House) -> Iterator[str]:
    for name, to in arrows(house, "ntkbench.run.executors"):
        if within(to, "ntkbench.run.executors") and to != "ntkbench.run.executors.dispatch":
            yield f"{name} -> {to}"


def helpers_know_no_worker(house: House) -> Iterator[str]:
    for each in ("environment", "interrupt", "job", "progress", "settings"):
        yield from (
            f"{name} -> {to}" for name, to in arrows(house, f"ntkbench.run.{each}") if within(to, "ntkbench.run.worker")
        )


def pictures_know_no_other(house: House) -> Iterator[str]:
    kinds = [f"ntkbench.results.plots.{kind}" for kind in PICTURES]
    for kind in kinds:
        yield from (f"{name} -> {to}" for name, to in arrows(house, kind) if to in kinds)


def pictures_alone_draw(house: House) -> Iterator[str]:
    for name, module in house.items():
        if not within(name, "ntkbench.results.plots", "ntkbench.boards.pictures"):
            yield from (f"{name} -> {to}" for to in sorted(module.imports) if within(to, "matplotlib"))


def commands_know_no_other(house: House) -> Iterator[str]:
    for name, to in arrows(house, "ntkbench.cli"):
        if within(to, "ntkbench.cli") and to != "ntkbench.cli.options":
            yield f"{name} -> {to}"


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
        "scipy",
        "jaxtyping",
        "ntkbench",
    )
    for name, module in house.items():
        if within(name, "ntkbench.ntk"):
            yield from (f"{name} -> {to}" for to in module.imports if not within(to, *allowed, *JAX))


def science_and_analyses_open_no_file(house: House) -> Iterator[str]:
    for name, module in house.items():
        if within(name, "ntkbench.ntk", "ntkbench.analyses"):
            yield from (
                f"{name}: {function}" for function in module.calls() if function.endswith(("open", "read_text"))
            )


def no_cycle(house: House) -> Iterator[str]:
    yield from (" -> ".join(cycle) for cycle in cycles(house))


def names_say_what_is_inside(house: House) -> Iterator[str]:
    forbidden = {"utils", "util", "helpers", "helper", "misc", "common", "base", "core"}
    for name in house:
        _, *parts = name.split(".")
        if forbidden & set(parts) or (parts and parts[-1] in sys.stdlib_module_names and name not in OF_THE_LIBRARY):
            yield name


def folders_and_files_are_small(house: House) -> Iterator[str]:
    inside: dict[str, int] = {}
    for name, module in house.items():
        folder, _, last = name.rpartition(".")
        is_package = any(other.startswith(f"{name}.") for other in house)
        inside[folder] = inside.get(folder, 0) + (not is_package and last != "__main__")
        lines = max((node.end_lineno or 0 for node in module.tree.body), default=0)
        if lines > MOST_LINES and not within(name, "ntkbench.ntk"):
            yield f"{name}: {lines} lines"
    for folder, modules in inside.items():
        if modules > MOST_MODULES and folder != "ntkbench.ntk":
            yield f"{folder}: {modules} modules"


def packages_are_docstrings(house: House) -> Iterator[str]:
    """`ntkbench` itself has the names of the interface, too, and what finds them."""
    folders = {name.rpartition(".")[0] for name in house if "." in name}
    for name in sorted(folders):
        statements = [type(node).__name__ for node in house[name].tree.body] if name in house else ["nothing"]
        if "." in name and statements != ["Expr"]:
            yield f"{name}: {statements}"
    allowed = (ast.Import, ast.ImportFrom, ast.If, ast.Expr, ast.Assign, ast.Delete)
    for node in house["ntkbench"].tree.body:
        if not isinstance(node, allowed) and getattr(node, "name", "") not in ("__getattr__", "__dir__"):
            yield f"ntkbench: {ast.unparse(node)}"
    yield from (f"ntkbench -> {to}" for to in ours(house["ntkbench"]) if to not in folders)


def no_relative_imports(house: House) -> Iterator[str]:
    yield from (f"{name}:{line}" for name, module in house.items() for line in module.relative_imports)


def no_import_is_hidden(house: House) -> Iterator[str]:
    for name, module in house.items():
        for function, to in module.hidden_imports:
            late = any(
                within(name, f"ntkbench.{a}") and within(to, f"ntkbench.{b}")
                for a, b in (*CONFIGURED.items(), *SELDOM.items())
            )
            if not (late or within(to, *HEAVY)):
                yield f"{name}.{function} -> {to}"


def a_class_has_a_name_of_its_own(house: House) -> Iterator[str]:
    """What is one thing in words and in numbers is allowed one name in `spec` and in `ntk`."""
    homes: dict[str, list[str]] = {}
    for name, module in house.items():
        for each in module.classes:
            homes.setdefault(each, []).append(name)
    for each, modules in homes.items():
        if len(modules) > 1 and sorted(map(top, modules)) != ["ntk", "spec"]:
            yield f"{each}: {', '.join(modules)}"


def jax_is_configured_by_settings(house: House) -> Iterator[str]:
    """The environment of a run is allowed to read what was configured."""
    for name, module in house.items():
        used = {name for name in module.attributes() if name.startswith("jax.config")}
        if name not in ("ntkbench.run.settings", "ntkbench.run.environment") and used:
            yield f"{name}: {used}"
        if name == "ntkbench.run.environment" and used != {"jax.config"}:
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
    "order of packages": packages_stand_in_order,
    "foundations know little": foundations_know_little,
    "run is for commands": nobody_but_commands_and_the_interface_know_run,
    "the interface": nobody_knows_the_interface,
    "run shows nothing": run_shows_nothing,
    "words never reach jax": words_never_reach_jax,
    "few turn words into numbers": few_turn_words_into_numbers,
    "sections": sections_build_on_one_another,
    "rules": rules_know_no_other_rule,
    "what is stored knows no plan": what_is_stored_knows_no_plan,
    "upkeep is for commands": upkeep_is_for_commands,
    "builders": builders_build_on_one_another,
    "executors": executors_know_no_other,
    "helpers of run": helpers_know_no_worker,
    "kinds of pictures": pictures_know_no_other,
    "pictures alone draw": pictures_alone_draw,
    "commands": commands_know_no_other,
    "the science knows only arrays": science_knows_only_arrays,
    "the science has no pandas, yaml, click or files": never("ntkbench.ntk", "pandas", "yaml", "click", *FILES),
    "analyses know no files": never("ntkbench.analyses", *FILES),
    "no file is opened by science": science_and_analyses_open_no_file,
    "no cycle": no_cycle,
    "names": names_say_what_is_inside,
    "sizes": folders_and_files_are_small,
    "packages are docstrings": packages_are_docstrings,
    "no relative imports": no_relative_imports,
    "jax.config": jax_is_configured_by_settings,
    "hidden imports": no_import_is_hidden,
    "class names": a_class_has_a_name_of_its_own,
    "isinstance Network": nobody_asks_whether_it_is_a_network,
    "names of data sets": only_data_knows_data_sets,
    "effects at import": nothing_happens_at_import,
    "mutable globals": nothing_global_changes,
}

BREAKS: dict[str, dict[str, str]] = {
    "order of packages": {"spec/a.py": "from ntkbench.plan import b", "plan/b.py": ""},
    "foundations know little": {"ntk/a.py": "from ntkbench.data import b", "data/b.py": ""},
    "run is for commands": {"plan/a.py": "from ntkbench.run import b", "run/b.py": ""},
    "the interface": {"cli/a.py": "from ntkbench.api import b", "api/b.py": "", "api/__init__.py": '"""A door."""'},
    "run shows nothing": {"run/a.py": "from ntkbench.results import b", "results/b.py": ""},
    "words never reach jax": {
        "plan/a.py": "from ntkbench.plan import b",
        "plan/b.py": "import equinox",
    },
    "few turn words into numbers": {"run/worker.py": "from ntkbench.ntk import b", "ntk/b.py": ""},
    "sections": {"spec/attacks.py": "from ntkbench.spec import kernels", "spec/kernels.py": ""},
    "rules": {
        "plan/rules/__init__.py": '"""Rules."""',
        "plan/rules/a.py": "from ntkbench.plan.rules import b",
        "plan/rules/b.py": "",
    },
    "what is stored knows no plan": {"store/record.py": "from ntkbench.plan import b", "plan/b.py": ""},
    "upkeep is for commands": {
        "store/upkeep/__init__.py": '"""Upkeep."""',
        "store/upkeep/b.py": "",
        "status/a.py": "from ntkbench.store.upkeep import b",
    },
    "builders": {
        "run/build/__init__.py": '"""Builders."""',
        "run/build/losses.py": "from ntkbench.run.build import attacks",
        "run/build/attacks.py": "",
    },
    "executors": {
        "run/executors/__init__.py": '"""Executors."""',
        "run/executors/pool.py": "from ntkbench.run.executors import cluster",
        "run/executors/cluster.py": "",
    },
    "helpers of run": {"run/job.py": "from ntkbench.run import worker", "run/worker.py": ""},
    "kinds of pictures": {
        "results/plots/__init__.py": '"""Pictures."""',
        "results/plots/drift.py": "from ntkbench.results.plots import transfer",
        "results/plots/transfer.py": "",
    },
    "pictures alone draw": {"results/a.py": "import matplotlib.pyplot"},
    "commands": {"cli/a.py": "from ntkbench.cli import b", "cli/b.py": ""},
    "the science knows only arrays": {"ntk/a.py": "import requests"},
    "the science has no pandas, yaml, click or files": {"ntk/a.py": "from pathlib import Path"},
    "analyses know no files": {"analyses/a.py": "import os.path"},
    "no file is opened by science": {"analyses/a.py": "def f():\n    return open('x')"},
    "no cycle": {"store/a.py": "import ntkbench.store.b", "store/b.py": "from ntkbench.store import a"},
    "names": {"plan/statistics.py": ""},
    "sizes": {f"store/{letter}.py": "" for letter in "abcdefghijklmno"},
    "packages are docstrings": {
        "store/__init__.py": '"""Words."""\nfrom ntkbench.store.c import d',
        "store/c.py": "d = 1",
    },
    "no relative imports": {"store/a.py": "from . import b", "store/b.py": ""},
    "hidden imports": {"store/a.py": "def f():\n    from ntkbench.store import b", "store/b.py": ""},
    "class names": {"ntk/a.py": "class A: ...", "spec/b.py": "class A: ...", "run/c.py": "class A: ..."},
    "jax.config": {"ntk/a.py": "import jax\n\ndef f():\n    jax.config.update('jax_enable_x64', True)"},
    "isinstance Network": {"store/a.py": "def f(x):\n    return isinstance(x, (int, network.Network))"},
    "names of data sets": {"store/a.py": "def f(x):\n    return 1 if x == 'mnist' else 2"},
    "effects at import": {"store/a.py": "register('a')"},
    "mutable globals": {"store/a.py": "SEEN = {}\n\ndef f(x):\n    SEEN[x] = 1"},
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
    files |= {f"{folder}/__init__.py": '"""A room."""\n' for folder in ("ntk", "analyses", "run", "cli", *WORDS)}
    for name, text in {**files, **BREAKS[fence]}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, "utf-8")
    broken = read(package)
    assert list(FENCES[fence](broken))
    down = {name for name in FENCES if name not in _implied(fence) and list(FENCES[name](broken))}
    assert down == {fence}, "the example breaks one fence and no other"


def _implied(fence: str) -> set[str]:
    """Fences that stand behind one another on purpose."""
    behind = {"the science has no pandas, yaml, click or files": {"the science knows only arrays"}}
    return behind.get(fence, set())


def test_a_long_file_is_noticed(tmp_path: Path):
    (tmp_path / "ntkbench").mkdir()
    (tmp_path / "ntkbench" / "a.py").write_text("b = 1\n" * (MOST_LINES + 1))
    assert list(folders_and_files_are_small(read(tmp_path / "ntkbench"))) == [f"ntkbench.a: {MOST_LINES + 1} lines"]


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
