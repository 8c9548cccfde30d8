"""What a spec can name, one line each."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from ntkbench.bench import spec
from ntkbench.bench.render import table
from ntkbench.bench.vocabulary import METRICS
from ntkbench.data.catalog import CATALOG

_UNIONS: dict[str, Any] = {
    "architectures": spec.Architecture,
    "kernels": spec.Kernel,
    "attacks": spec.AnyAttack,
    "analyses": spec.Analysis,
}


def listing(what: str) -> str:
    """A table of the data sets, the metrics, or the kinds of a section."""
    if what == "datasets":
        return table(["name", "classes", "image", "train", "test", "licence", "bundled"], [*_datasets()], "plain")
    if what == "metrics":
        rows = [[m.name, m.unit, "higher" if m.higher_is_better else "lower", m.meaning] for m in METRICS.values()]
        return table(["name", "unit", "better", "meaning"], rows, "plain")
    return table(["kind", "meaning", "fields"], [*_kinds(_UNIONS[what])], "plain")


def _datasets() -> Iterator[list[str]]:
    for e in CATALOG.values():
        shape = " x ".join(map(str, e.shape))
        yield [e.name, str(len(e.classes)), shape, str(e.n_train), str(e.n_test), e.licence, "yes" if e.bundled else ""]
    for model in (spec.TwoGaussians, spec.SphereTeacher):
        yield [_kind(model), "2", "1 x 1 x dim", "any", "any", "", "synthetic"]


def _kinds(union: Any) -> Iterator[list[str]]:
    for model in _members(union):
        fields = [name for name in model.model_fields if name != "kind"]
        yield [_kind(model), (model.__doc__ or "").splitlines()[0], ", ".join(fields)]


def _members(union: Any) -> Iterator[type[BaseModel]]:
    if isinstance(union, type):
        yield union
        return
    for argument in get_args(union):
        if (isinstance(argument, type) and issubclass(argument, BaseModel)) or get_args(argument):
            yield from _members(argument)


def _kind(model: type[BaseModel]) -> str:
    return get_args(model.model_fields["kind"].annotation)[0]
