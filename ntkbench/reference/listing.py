"""Tables for `ntkbench list`: shipped specs, and what a spec can name: data sets, metrics, the kinds of each section.

The meaning of a kind is the first line of its model's docstring.
"""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from ntkbench.data.catalog import CATALOG
from ntkbench.render import table
from ntkbench.spec import analyses, architectures, attacks, data, kernels, layers
from ntkbench.spec.extensions import installed, known_metrics
from ntkbench.spec.reading import shipped
from ntkbench.spec.schema import models

_UNIONS: dict[str, Any] = {
    "architectures": architectures.Architecture,
    "layers": layers.Layer,
    "kernels": kernels.Kernel,
    "attacks": attacks.AnyAttack,
    "analyses": analyses.Analysis,
}
"""the union of models from which a section chooses, by the name of its table"""


def listing(what: str) -> str:
    """Return the table of `what`: specs, datasets, metrics, or the kinds of a section.

    That of architectures is followed by that of layers.
    """
    if what == "specs":
        return table(["name", "title"], [[name, shipped.title(name)] for name in shipped.names()], "plain")
    if what == "datasets":
        return table(["name", "classes", "image", "train", "test", "licence", "bundled"], [*_datasets()], "plain")
    if what == "metrics":
        rows = [[m.name, m.unit, m.better, m.meaning] for m in known_metrics().values()]
        return table(["name", "unit", "better", "meaning"], rows, "plain")
    if what == "architectures":
        return "\n\n".join([_kinds("architectures", "kind"), _kinds("layers", "op")])
    return _kinds(what, "kind")


def _datasets() -> Iterator[list[str]]:
    """Yield a row for each data set: those of the catalog, synthetic ones, kinds of files, those of other packages."""
    for e in CATALOG.values():
        shape = " x ".join(map(str, e.shape))
        yield [e.name, str(len(e.classes)), shape, str(e.n_train), str(e.n_test), e.licence, "yes" if e.bundled else ""]
    for model in (data.TwoGaussians, data.SphereTeacher):
        yield [*_words(model, "kind"), "2", "1 x 1 x dim", "any", "any", "", "synthetic"]
    for model in data.FileDataset.__subclasses__():
        yield [*_words(model, "kind"), "", "", "", "", "", "your own files"]
    for each in installed("datasets"):
        yield [each.kind, "", "", "", "", "", f"of {each.package}"]


def _kinds(what: str, tag: str) -> str:
    """Return the table of a section's models, which the field `tag` tells apart."""
    rows = []
    for model in models(_UNIONS[what]):
        fields = [name for name in model.model_fields if name != tag]
        rows.append([", ".join(_words(model, tag)), (model.__doc__ or " ").splitlines()[0], ", ".join(fields)])
    return table([tag, "meaning", "fields"], rows, "plain")


def _words(model: type[BaseModel], tag: str) -> tuple[str, ...]:
    """Return the words that select a model in a spec."""
    return get_args(model.model_fields[tag].annotation)
