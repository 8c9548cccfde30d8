"""Read specs for Python programs: from a file, a mapping, or YAML text.

    spec = load({"ntkbench": 1, "name": "mine", ...}, set=["data.n_train=100"])

`plan` and `run` take what `load` returns, or what it takes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any, TypeAlias

from ntkbench.api import display
from ntkbench.plan import read
from ntkbench.plan.runs import Plan
from ntkbench.spec.document import text
from ntkbench.spec.identity import resolved
from ntkbench.spec.reading import extends, parse, values

Source: TypeAlias = "Spec | str | PathLike[str] | Mapping[str, Any]"
"""what stands for a spec: a `Spec`, the path of a file, YAML text of several lines, or a mapping"""
Labels: TypeAlias = Mapping[str, Any]
"""a label of an axis of the matrix, or a list of labels, by the name of the axis: `{"width": 64}`"""


@dataclass(frozen=True)
class Spec:
    """A spec that was read and has no mistakes."""

    planned: Plan
    overrides: tuple[str, ...] = ()
    smoke: bool = False

    @property
    def name(self) -> str:
        """The name of the spec, which tables and records show."""
        return self.planned.header.name

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The experiments that the spec spans, each as a mapping with all defaults filled in."""
        return [resolved(run.cell) for run in _first_of_each_cell(self.planned)]

    def __repr__(self) -> str:
        return f"<Spec {self.name}: {len(self.cells)} cells, {len(self.planned.runs)} runs>"

    def _repr_html_(self) -> str:
        header = self.planned.header
        about = [("spec", header.name), ("title", header.title), ("about", header.about), ("runs", repr(self))]
        return display.table((), [pair for pair in about if pair[1]])


def load(spec: Source, set: Sequence[str] = (), smoke: bool = False) -> Spec:
    """Return a spec, checked; raise SpecError with every mistake and its place.

    Args:
        spec: the path of a file, YAML text (of more than one line), or a mapping as `yaml.safe_load` would return it.
            In a mapping, budgets such as 8/255 are texts or fractions: `"8/255"`, `Fraction(8, 255)`.
        set: assignments `"path=value"` that override fields, such as `"training.epochs=10"`.
        smoke: whether to apply the spec's section `smoke`, which makes the experiment small.
    """
    if isinstance(spec, Spec):
        return spec
    overrides = (set,) if isinstance(set, str) else tuple(set)
    if isinstance(spec, Mapping):
        file, root = "spec", values.document(spec, "spec")
    elif "\n" in (file := fspath(spec)):
        file, root = "text", parse.parse(file, "text")
    else:
        return Spec(read.read(file, overrides, smoke), overrides, smoke)
    return Spec(read.planned(extends.merged(root, file), file, overrides, smoke), overrides, smoke)


def part(planned: Plan, where: Labels | None, seeds: Sequence[int] | None = None) -> Plan:
    """Return the plan with only those runs whose cells have the labels, and with only those seeds.

    Raise UsageError for an unknown axis or label, or where no run is left.
    """
    several = {axis: label if isinstance(label, list | tuple) else [label] for axis, label in (where or {}).items()}
    labels = {axis: [text(values.node(label, axis)) for label in each] for axis, each in several.items()}
    return read.with_seeds(read.narrowed(planned, labels), seeds)


def _first_of_each_cell(planned: Plan) -> list[Any]:
    """Return the first run of each cell of a plan."""
    return list({tuple(run.coordinates.items()): run for run in reversed(planned.runs)}.values())[::-1]
