"""Give the results of a spec to Python programs: tables, pictures, images, kernels, features and networks.

    found = results("specs/quickstart.yaml", store="docs/results")
    found.frame.groupby(["attack", "width"])["value"].mean()

What the store has is read; what it does not have is computed again from the spec, as the run computed it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ntkbench.api import display
from ntkbench.api.experiment import Labels, Source, load, part
from ntkbench.api.pictures import Plots, drawn
from ntkbench.data.places import search_roots
from ntkbench.errors import UsageError
from ntkbench.plan.runs import Plan, Run
from ntkbench.results import show, tables
from ntkbench.results.frame import frame_of_plans, with_numbers
from ntkbench.run.settings import configured
from ntkbench.spec.attacks import SELF
from ntkbench.store import lookup
from ntkbench.store.record import Record
from ntkbench.store.store import Store
from ntkbench.text import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ntkbench.api.images import Images, PoisonedImages

_DIGITS = 2
"""digits after the point of the table that a notebook shows"""


class Features(NamedTuple):
    """Eigen-features of a kernel at the test points: f_i(x) = Theta(x, X) v_i (v_i . Y) / lambda_i."""

    values: "np.ndarray"
    """(features, test points, outputs)"""
    gradients: "np.ndarray"
    """(features, test points, rows, columns, channels): derivatives of the output of the true class by the image"""
    eigenvalues: "np.ndarray"
    """(features,): eigenvalues of the kernel on the training examples, of which index 0 is the largest"""


@dataclass(eq=False)
class Results:
    """Give access to what a store has of a spec's runs, and compute from it what the store does not keep.

    `cell` and `seed` choose a run in all methods: labels by axis, such as `{"width": 64}`, and a seed of the spec.
    `cell` may be left out where the spec has one cell, `seed` for the first.
    """

    planned: Plan
    store: Store
    roots: tuple[Path, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """networks that were given, by their SHA-256"""
    _rebuilt: dict[str, Any] = field(default_factory=dict, repr=False)
    """predictors by the id of their run, and what runs share, as far as they were asked for"""

    @cached_property
    def records(self) -> list[Record]:
        """The records of the runs, in the order of the plan, without runs that have none."""
        return lookup.records(self.store, self.planned.runs)

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """A tidy frame with one row for each number (docs/python.md names its columns).

        Axes and budgets are numbers, which sort, where all their labels are; `eps_label` is the budget as the spec
        writes it, such as `8/255`.
        """
        return with_numbers(frame_of_plans(self.store, [self.planned]))

    @cached_property
    def runs(self) -> "pd.DataFrame":
        """A frame with one row for each run: `run_id`, `status`, `seed`, its axes, and the `error` of a failed one."""
        errors = {each.run_id: each.error.message for each in self.records if each.error is not None}
        found = with_numbers(tables.runs(self.records, self.planned.runs)).drop(columns="spec")
        return found.assign(error=[errors.get(run, "") for run in found["run_id"]])

    def plot(self, analysis: str | Sequence[str] = (), eps: str | Sequence[str] = ()) -> Plots:
        """Draw the pictures of some analyses, or of all that have pictures; a notebook shows them.

        `eps`: budgets of pictures under attack, such as "8/255"; the largest by default. Raise UsageError where there
        is nothing to draw.
        """
        return drawn(self.planned, self.store, _listed(analysis), _listed(eps))

    def images(
        self,
        attack: str,
        eps: str | Fraction | float | None = None,
        cell: Labels | None = None,
        seed: int | None = None,
        target: str | None = None,
    ) -> "Images":
        """Return the test images before and after an attack, with labels and what a predictor says of both.

        Args:
            attack: the id of an attack of the spec.
            eps: one of its budgets, such as "8/255"; the largest by default.
            cell: labels of the cell.
            seed: a seed of the spec.
            target: who classifies: `self` or the id of a kernel or of a further network; by default the target of the
                first analysis that shows the attack.
        """
        run = self._run(cell, seed)
        _known("attack", attack, run.cell.attacks)
        if target not in (None, SELF):
            _known("kernel or network", target, {**run.cell.kernels, **run.cell.networks})
        with configured():
            return _rebuilt().images(self._predictors(run), attack, eps, target)

    def poisoned(self, cell: Labels | None = None, seed: int | None = None) -> "PoisonedImages":
        """Return the training images of a run before and after they were poisoned; UsageError if they are clean."""
        run = self._run(cell, seed)
        with configured():
            return _rebuilt().poisoned(self._shared(), run.cell)

    def kernel(self, id: str, cell: Labels | None = None, seed: int | None = None) -> "tuple[np.ndarray, np.ndarray]":
        """Return a kernel on the training examples, (n, n), and between test and training examples, (t, n).

        An empirical kernel of o outputs has o rows and o columns for each example. `id`: that of a kernel of the spec.
        """
        run = self._run(cell, seed)
        _known("kernel", id, run.cell.kernels)
        with configured():
            return _rebuilt().kernel(self._predictors(run), id)

    def features(
        self, kernel: str, indices: Sequence[int], cell: Labels | None = None, seed: int | None = None
    ) -> Features:
        """Return eigen-features of a kernel at the test points: values, input gradients and eigenvalues.

        `kernel`: the id of a kernel of the spec; `indices`: which features, of which 0 has the largest eigenvalue.
        """
        run = self._run(cell, seed)
        _known("kernel", kernel, run.cell.kernels)
        with configured():
            return Features(*_rebuilt().features(self._predictors(run), kernel, tuple(indices)))

    def network(self, cell: Labels | None = None, seed: int | None = None, at: str | int | Fraction = "final") -> Any:
        """Return the network of a run: a PyTree, callable with one image (rows, columns, channels) of pixels in [0, 1].

        `at`: "init", "final", or an epoch that an analysis or a kernel of the spec looks back at. The outputs are one a
        class; two classes have one output, which is positive for the second.
        """
        run = self._run(cell, seed)
        with configured():
            return self._predictors(run).kept_network(at)

    def __repr__(self) -> str:
        done = sum(each.status == "ok" for each in self.records)
        text = f"<Results of {self.planned.header.name}: {done} of {len(self.planned.runs)} runs are ok>"
        with suppress(UsageError):
            text += f"\n{show.show(self.records, planned=self.planned.runs, form='plain')}"
        return text

    def _repr_html_(self) -> str:
        found = show.grid(self.records, planned=self.planned.runs)
        rows = [
            [*labels, *("" if row is None else show.cell(row, _DIGITS) for row in line)] for labels, line in found.lines
        ]
        return display.table([*found.axes, *found.columns], rows) + display.paragraphs(found.caption)

    def _run(self, cell: Labels | None, seed: int | None) -> Run:
        """Return the run of a cell and a seed; raise UsageError if there is none, or if several cells are meant."""
        runs = part(self.planned, cell, None if seed is None else [seed]).runs
        cells = list(dict.fromkeys(tuple(run.coordinates.items()) for run in runs))
        if len(cells) > 1:
            first = ", ".join(f"{axis!r}: {label!r}" for axis, label in cells[0])
            raise UsageError(f"{len(cells)} cells are meant; name one, such as cell={{{first}}}")
        return runs[0]

    def _predictors(self, run: Run) -> Any:
        """Return the predictors of a run, which are built once; JAX is configured already."""
        if run.id not in self._rebuilt:
            self._rebuilt[run.id] = _rebuilt().predictors(self.planned, run, self._shared())
        return self._rebuilt[run.id]

    def _shared(self) -> Any:
        """Return what the runs share, built once; JAX is configured already."""
        if "" not in self._rebuilt:
            self._rebuilt[""] = _rebuilt().shared(self.planned, self.store, self.roots, self.given)
        return self._rebuilt[""]


def _rebuilt() -> Any:
    """Import and return the module that computes with a run's predictors; JAX has to be configured already."""
    from ntkbench.api import rebuilt

    return rebuilt


def results(
    spec: Source,
    store: str | PathLike[str] = "runs",
    where: Labels | None = None,
    data_dir: str | PathLike[str] | None = None,
) -> Results:
    """Return the results that a store has of a spec; no run is executed.

    Args:
        spec: what `load` returns or takes.
        store: the folder of records and cached stages.
        where: only these cells of the matrix, such as `{"width": [64, 512]}`.
        data_dir: the folder of data sets, searched before the usual ones.
    """
    roots = search_roots(None if data_dir is None else Path(data_dir))
    return Results(part(load(spec).planned, where), Store(Path(store)), roots)


def _listed(words: str | Sequence[str]) -> Sequence[str]:
    return (words,) if isinstance(words, str) else tuple(words)


def _known(what: str, id: str | None, there: Any) -> None:
    """Raise UsageError if a section of the cell has no such id."""
    if id not in there:
        raise UsageError(f"no {what} {id}{did_you_mean(str(id), there) or '; the spec has none'}")
