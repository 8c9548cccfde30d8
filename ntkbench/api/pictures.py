"""Draw the pictures of a spec's analyses as figures, which notebooks show and `save` writes.

results.plot("transfer").save("figures", form="pdf")
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ntkbench.plan.runs import Plan
from ntkbench.results.plots import plot
from ntkbench.store.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ntkbench.results.plots.plot import Drawing


@dataclass(frozen=True)
class Plots:
    """The pictures of some analyses, in order."""

    drawings: "Sequence[Drawing]"

    @property
    def figures(self) -> "list[Figure]":
        """The pictures as figures of matplotlib."""
        return [each.picture.figure for each in self.drawings]

    @property
    def captions(self) -> list[str]:
        """A caption for each picture, with the ids of the runs that it shows."""
        return [each.picture.caption for each in self.drawings]

    def save(self, folder: str | PathLike[str], form: Literal["png", "pdf", "svg"] = "png") -> list[Path]:
        """Write the pictures into a folder, with each caption in a text file beside it; return the paths."""
        return plot.save(self.drawings, Path(folder), form)

    def __len__(self) -> int:
        return len(self.drawings)

    def _repr_html_(self) -> str:
        return "".join(
            f"{html(figure)}<p>{escape(caption)}</p>"
            for figure, caption in zip(self.figures, self.captions, strict=True)
        )


def drawn(planned: Plan, store: Store, analyses: Sequence[str], budgets: Sequence[str]) -> Plots:
    """Return the pictures of a plan's results; UsageError where there is nothing to draw."""
    return Plots(plot.drawings([plot.results_of_plan(planned, store)], store.records, analyses, budgets))


def html(figure: "Figure") -> str:
    """Return a figure as an HTML image that contains its pixels."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return f"<img src='data:image/png;base64,{b64encode(buffer.getvalue()).decode()}'>"
