"""Turn a spec file into the runs that it asks for, or into a SpecError with everything that is wrong with it.

    planned = read("spec.yaml", ["width=512"])
    planned.runs[0].cell, planned.runs[0].seed, planned.runs[0].id

JAX is not imported, so that commands can check a spec quickly and without an accelerator.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from os import PathLike

from ntkbench.errors import MOST, Problem, SpecError, UsageError
from ntkbench.labels import same_label
from ntkbench.plan import check, contents
from ntkbench.plan.rules import architectures, data
from ntkbench.plan.runs import Plan, Run
from ntkbench.plan.seeding import for_seed
from ntkbench.plan.user_files import FilesOfSpec
from ntkbench.spec import schema
from ntkbench.spec.cell import Cell, Header
from ntkbench.spec.document import Node, mapping
from ntkbench.spec.identity import run_id, run_ids
from ntkbench.spec.reading import extends
from ntkbench.spec.reading.matrix import EXCLUDE, Coordinates, Matrix, no_such_path
from ntkbench.spec.reading.validate import Validator
from ntkbench.text import did_you_mean

_MANY = 2 * MOST
"""problems after which no further cell is checked; a problem that several cells share counts in each"""


@dataclass(frozen=True)
class _Reading:
    """The result of checking a document; where it has problems, `runs` may be empty and `header` None."""

    header: Header | None
    runs: Sequence[Run]
    problems: Sequence[Problem]


def read(path: str | PathLike[str], overrides: Sequence[str] = (), smoke: bool = False) -> Plan:
    """Return the plan of a spec file; raise SpecError with every problem there is.

    Without `smoke` and `overrides`, the `smoke` section is checked too, so that it works when it is needed.

    Args:
        path: the spec file, or the name of a spec that comes with ntkbench.
        overrides: assignments `path=value` of `--set`, applied last.
        smoke: whether the spec's `smoke` section is applied.
    """
    return planned(extends.load(str(path)), str(path), overrides, smoke)


def planned(
    root: Node, file: str, overrides: Sequence[str] = (), smoke: bool = False, given: Collection[str] = ()
) -> Plan:
    """Return the plan of a document that is merged with what it extends; otherwise as `read`.

    `file` is what messages call the spec, `given` the digests of the given networks that are at hand.
    """
    root = _changed(root, overrides, smoke)
    validator, files = Validator(), FilesOfSpec()
    reading = _reading(root, validator, files, given)
    tried = (
        _reading(extends.smoked(root), validator, files, given).problems
        if not (smoke or overrides) and root.child("smoke")
        else ()
    )
    problems = [*reading.problems, *tried]
    if problems or reading.header is None:
        raise SpecError(problems)
    return Plan(reading.header, tuple(reading.runs), file)


def narrowed(plan: Plan, where: Mapping[str, Sequence[str]]) -> Plan:
    """Return the plan with only those runs whose cells have, on each axis in `where`, one of the labels given.

    Raise UsageError for an unknown axis or label, or where no run is left.
    """
    axes = {axis: list(dict.fromkeys(run.coordinates[axis] for run in plan.runs)) for axis in plan.runs[0].coordinates}
    for axis, labels in where.items():
        if axis not in axes:
            raise UsageError(f"{plan.file} has no axis {axis!r}{did_you_mean(axis, axes)}")
        for label in labels:
            if not any(same_label(each, label) for each in axes[axis]):
                raise UsageError(f"{plan.file}: the axis {axis} has no label {label}; it has {', '.join(axes[axis])}")
    runs = tuple(
        run
        for run in plan.runs
        if all(any(same_label(run.coordinates[axis], label) for label in labels) for axis, labels in where.items())
    )
    if not runs:
        words = " ".join(f"{axis}={label}" for axis, labels in where.items() for label in labels)
        raise UsageError(f"{plan.file}: no cell is {words}; the matrix excludes it")
    return Plan(plan.header, runs, plan.file)


def with_seeds(plan: Plan, seeds: Sequence[int] | None) -> Plan:
    """Return the plan with only the runs of these seeds; None keeps all. UsageError for a seed it does not have."""
    if seeds is None:
        return plan
    there = list(dict.fromkeys(run.seed for run in plan.runs))
    if unknown := [str(seed) for seed in seeds if seed not in there]:
        raise UsageError(f"{plan.file} has no seed {', '.join(unknown)}; it has {', '.join(map(str, there))}")
    if not seeds:
        raise UsageError("no seed is asked for; name one, or leave seeds out")
    return Plan(plan.header, tuple(run for run in plan.runs if run.seed in seeds), plan.file)


def document(path: str | PathLike[str], overrides: Sequence[str] = (), smoke: bool = False) -> Node:
    """Return the document of a spec file: merged with what it extends, with `smoke` and `overrides` applied.

    Only the paths of overrides are checked, not the values. Raise SpecError for files and paths that do not fit.
    """
    return _changed(extends.load(str(path)), overrides, smoke)


def _changed(root: Node, overrides: Sequence[str], smoke: bool) -> Node:
    """Return the document with its `smoke` section applied where asked for, then the overrides."""
    return _overridden(extends.smoked(root) if smoke else root, extends.overrides(overrides))


def _overridden(root: Node, settings: Sequence[tuple[str, Node]]) -> Node:
    """Apply the settings of `--set`; raise SpecError for unknown paths and for paths that an axis sets."""
    if not settings:
        return root
    known, axes = schema.paths(root), Matrix(root).axes
    problems = []
    settings = [_with_axis(path, node, known) for path, node in settings]
    for path, node in settings:
        if path != "matrix" and not schema.holds(path, node, known):
            problems.append(node.key.problem(path, no_such_path(path, known)))
        for axis in axes:
            if any(f"{path}.".startswith(f"{leaf}.") for leaf in axis.leaves):
                whole = f"override the axis, --set 'matrix.{axis.name}=[...]', or " if axis.node.items else ""
                message = (
                    f"the axis {axis.name} of the matrix sets this; {whole}choose of it, --where {axis.name}=LABEL"
                )
                problems.append(node.key.problem(path, message))
    if problems:
        raise SpecError(problems)
    return extends.merge(root, extends.overlay(settings, root.place))


def _with_axis(path: str, node: Node, known: Collection[str]) -> tuple[str, Node]:
    """Return a setting; a list of values for `matrix.PATH` is an axis, one key of the matrix whatever dots PATH has."""
    section, _, name = path.partition(".")
    if section != "matrix" or not node.items or name == EXCLUDE:
        return path, node
    return ("matrix", mapping({name: node}, node.place)) if name in known or path in known else (name, node)


def _reading(root: Node, validator: Validator, files: FilesOfSpec, given: Collection[str]) -> _Reading:
    """Check a document and expand its matrix; `validator` and `files` remember what cells share.

    `given` is as in `planned`.
    """
    header, problems = validator.header(root)
    found = list(problems)
    matrix = Matrix(root)
    found.extend(matrix.problems)
    if too_large := matrix.too_large(len(header.seed_values) if header else 1):
        return _Reading(None, (), [*found, too_large])
    cells = []
    corners = list(matrix.cells())
    if not corners and not matrix.problems:
        found.append(
            root.at(("matrix", "exclude")).key.problem("matrix.exclude", "everything is excluded, no run is left")
        )
    for corner in corners:
        filled, problems = files.filled(corner.root)
        found.extend(problems)
        draft, problems = validator.draft(filled)
        found.extend(problems)
        found.extend(islice(check.rule_problems(draft), MOST + 1))
        found.extend(architectures.absent(draft, given))
        found.extend(islice(data.problems(filled), MOST + 1))
        if not found:
            cells.append((corner, contents.with_content_digests(draft.cell)))
            found.extend(_seeds_that_change_nothing(header, draft.cell, root))
        elif len(found) > _MANY:
            break
    if found or header is None:
        return _Reading(header, (), found)
    runs = tuple(_runs(header, cells))
    return _Reading(header, runs, list(_same(runs, root.at(("matrix",)))))


def _seeds_that_change_nothing(header: Header | None, cell: Cell, root: Node) -> Iterator[Problem]:
    """Yield a problem where seeds are to draw training subsets of data whose subset is not drawn."""
    if header is not None and header.seed_of == "data" and cell.data.subset == "first":
        message = "the first examples of a file are the same for every seed; write data.subset: balanced"
        yield root.at(("seed_of",)).key.problem("seed_of", message)


def _same(runs: Sequence[Run], matrix: Node) -> Iterator[Problem]:
    """Yield a problem for each run whose id an earlier one has under other labels: one experiment with two names."""
    first: dict[str, Run] = {}
    for run in runs:
        known = first.setdefault(run.id, run)
        if known is not run:
            yield matrix.key.problem(
                "matrix", f"{_full_name(run)} and {_full_name(known)} are the same experiment; delete one"
            )


def _full_name(run: Run) -> str:
    return "{" + ", ".join(f"{axis}: {label}" for axis, label in run.coordinates.items()) + "}"


def _runs(header: Header, cells: Sequence[tuple[Coordinates, Cell]]) -> Iterator[Run]:
    """Yield the runs of the cells, seeds innermost."""
    for corner, cell in cells:
        if header.seed_of == "run":  # one cell of many seeds is hashed once
            for seed, id in zip(header.seed_values, run_ids(cell, header.seed_values), strict=True):
                yield Run(header.name, cell, corner.labels, seed, id)
        else:
            for seed in header.seed_values:
                own = for_seed(cell, seed, header.seed_of)
                yield Run(header.name, own, corner.labels, seed, run_id(own, seed))
