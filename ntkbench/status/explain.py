"""The text of `ntkbench explain`: where each value of a cell was written, and which of its runs the store has.

Every node of a document keeps the place (file, line, column) where it was written, whatever was merged, extended or
overridden since. The origin of a value is looked up by that place.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ntkbench.errors import NtkbenchError, UsageError
from ntkbench.plan.read import document, read
from ntkbench.plan.runs import Run, label
from ntkbench.plan.user_files import FilesOfSpec
from ntkbench.spec.document import Node, SourcePosition
from ntkbench.spec.identity import normalized, resolved
from ntkbench.spec.reading import extends
from ntkbench.spec.reading.matrix import Matrix
from ntkbench.store import comparison, lookup, record
from ntkbench.store.folder import ListedFolder, StoreFolder
from ntkbench.store.groups import objects
from ntkbench.store.record import Record

DEFAULT = "default"
"""origin of a value that is written nowhere"""
_MANY = 5
"""largest number of differences at which a similar run is mentioned"""
_PLAIN = re.compile(r"[A-Za-z][\w./@-]*|[0-9]+/[0-9]+")
"""strings that a spec can hold without quotes"""
_NO_TEXT = frozenset(("null", "true", "false", "nan"))
"""words that YAML reads as something else than text, so that as strings they need quotes"""
_TAGS = ("kind", "mode", "op")
"""fields that tell the variants of a section apart; they are shown first, wherever the model declares them"""


def explain(
    file: str, overrides: Sequence[str], smoke: bool, store: StoreFolder, where: Mapping[str, str] | None = None
) -> str:
    """Return a cell as a spec of its own with the origin of each value, then the state of its runs in the store.

    Raise UsageError where no cell has the labels asked for, and SpecError where the spec has mistakes.

    Args:
        file: path of the spec.
        overrides: assignments `path=value`, as of `--set`.
        smoke: whether the spec's `smoke` section is applied.
        store: the store in which records and stages are looked up.
        where: labels by axis. The first cell that has them is shown, with the runs of every cell that has them.
    """
    planned = read(file, overrides, smoke)
    runs = [run for run in planned.runs if (where or {}).items() <= run.coordinates.items()]
    if not runs:
        axes = ", ".join(planned.runs[0].coordinates) or "none"
        raise UsageError(
            f"{file}: no cell is {_axes(where or {})}; its axes are {axes}, `ntkbench plan` lists its cells"
        )
    sources = _sources(file, overrides, smoke, runs[0])
    header = {"ntkbench": 1, "name": planned.header.name, "seeds": list(planned.header.seed_values)}
    lines = [*_lines(header | resolved(runs[0].cell), sources), "", *(f"# {line}" for line in _states(runs, store))]
    if len({tuple(run.coordinates.items()) for run in runs}) > 1:
        lines.insert(0, f"# the cell {_axes(runs[0].coordinates)}; another with --where AXIS=LABEL")
    return "\n".join(lines)


def _axes(labels: Mapping[str, str]) -> str:
    """Return labels in the notation of `--where`: `width=512 regime=standard`."""
    return " ".join(f"{axis}={label}" for axis, label in labels.items())


# ---- values --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sources:
    """The merged document of one cell, and what is known of the places in it."""

    root: Node
    """the document, with the cell's labels applied"""
    axes: Mapping[SourcePosition, str]
    """for each place that a label of the matrix set: `axis: label`"""
    smoke: frozenset[SourcePosition]
    """places in the `smoke` section, if it is applied"""
    overrides: Sequence[str]
    """the assignments of `--set`; the nth is line n of the file that is called `--set`"""

    def of(self, path: tuple[str, ...]) -> str:
        """Return the origin of the value at a path.

        It is one of `specs/base.yaml:3:10`, `matrix width: 512 (...)`, `smoke (...)`, `--set width=512`, `default`.
        """
        node = self._written(path)
        if node is None:
            return DEFAULT
        place = node.place
        if place.file == "--set":
            return f"--set {self.overrides[place.line - 1]}"
        if place in self.axes:
            return f"matrix {self.axes[place]} ({place})"
        return f"smoke ({place})" if place in self.smoke else str(place)

    def _written(self, path: tuple[str, ...]) -> Node | None:
        """Return the node that sets the value at a path, or None where a default does.

        The node may stand above the path: a scalar in the place of a mapping, or `mode: linearized`, which sets
        `linearize_at`.
        """
        node = self.root.at(path)
        if all(self.root.at(path[:i]) is not self.root.at(path[: i - 1]) for i in range(1, len(path) + 1)):
            return node
        mode = self.root.at(("training", "mode"))
        if path == ("training", "linearize_at") and mode.value == "linearized":
            return mode
        return None if isinstance(node.value, Mapping) else node


def _sources(file: str, overrides: Sequence[str], smoke: bool, run: Run) -> Sources:
    """Read the spec again as a document, and note which places belong to the cell of `run`."""
    root = document(file, overrides, smoke)
    matrix = Matrix(root)
    (corner,) = (each for each in matrix.cells() if each.labels == run.coordinates)
    axes = {
        place: f"{axis.name}: {corner.labels[axis.name]}"
        for axis in matrix.axes
        for _, node in axis.labels[corner.labels[axis.name]]
        for place in _places(node)
    }
    filled, _ = FilesOfSpec().filled(corner.root)
    entries = {**root.entries, **filled.entries}
    tried = extends.load(file).child("smoke") if smoke else None
    return Sources(root.with_entries(entries), axes, frozenset(_places(tried) if tried else ()), overrides)


def _places(node: Node) -> Iterator[SourcePosition]:
    """Yield the places of a node and of all nodes below it."""
    yield node.place
    for below in (*node.entries.values(), *node.items):
        yield from _places(below)


def _lines(values: Mapping[str, Any], sources: Sources) -> list[str]:
    """Return values as lines of YAML with their origins as comments, aligned behind lines of up to 60 characters."""
    rows = list(_rows(values, sources, ()))
    width = max(len(text) for text, origin in rows if origin and len(text) <= 60)
    return [f"{text:<{width}}  # {origin}" if origin else text for text, origin in rows]


def _rows(values: Mapping[str, Any], sources: Sources, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield a line of YAML and its origin for each value; the origin of a line that opens a mapping is empty."""
    for key in sorted(values, key=lambda key: key not in _TAGS):
        value, here, indent = values[key], (*path, key), "  " * len(path)
        if isinstance(value, Mapping) and value:
            yield f"{indent}{key}:", ""
            yield from _rows(value, sources, here)
        else:
            yield f"{indent}{key}: {_yaml(value)}", sources.of(here)


def _yaml(value: Any) -> str:
    """Return a value in one line, as a spec could hold it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_yaml(below)}" for key, below in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value not in _NO_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)


# ---- runs ----------------------------------------------------------------------------------------


def _states(runs: Sequence[Run], store: StoreFolder) -> Iterator[str]:
    """Yield a line for each run; below a pending one its stages, and the done run most like one without a record."""
    others, listed = _done(store), ListedFolder(store.root)
    for run in runs:
        found = lookup.find(store, run)
        pending = lookup.is_pending(store, run)
        yield f"{run.id}  {label(run)}  {_state(found, pending)}"
        if pending:
            for stage, key, there in objects(run.cell, [run.seed], listed):
                yield f"    {stage:<9} {key}  {'in the store' if there else 'not in the store, would be made'}"
            if found is None and (near := _nearest(run, others)):
                yield f"    {near}"


def _done(store: StoreFolder) -> dict[str, Mapping[str, Any]]:
    """Return cell and seed, as `diff.asked` does, of each run of the store that is ok.

    Runs whose cells use kinds that are not installed here are left out.
    """
    found = {}
    for each in record.read_all(store.records)[0]:
        if each.status == "ok":
            with suppress(NtkbenchError):
                found[each.run_id] = comparison.asked(each)
    return found


def _state(found: Record | None, pending: bool) -> str:
    if found is None:
        return "no record: would be run"
    if found.error is not None:
        why = found.error.message.splitlines()[0]
        return f"{found.status} at attempt {found.attempt}, would be tried again: {why}"
    return "ok, but its arrays are damaged or gone: would be run again" if pending else "ok: kept as it is"


def _nearest(run: Run, others: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return in which values the run differs from the done run most like it.

    Return None where these are more than `_MANY`, or where no run is done.
    """
    mine = {**resolved(normalized(run.cell)), "seed": run.seed}
    found = [(name, comparison.differences(mine, other)) for name, other in others.items()]
    name, apart = min(found, key=lambda each: len(each[1]), default=("", {}))
    if not 0 < len(apart) <= _MANY:
        return None
    listed = "; ".join(f"{path}: {ours}, not {theirs}" for path, (ours, theirs) in apart.items())
    return f"differs from {name} in {listed}"
