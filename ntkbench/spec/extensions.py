"""Kinds that other packages add to specs through entry points; they are loaded when a spec is first read.

To add a kind, write a pydantic class for the spec (a `Section` with a `kind`) and a JAX function for the computation.
Register the class as an entry point of the group `ntkbench.architectures`, `ntkbench.attacks`, `ntkbench.analyses` or
`ntkbench.datasets`, named like its kind, and name the function in the class (docs/extending.md):

    class MIM(ExtensionAttack):
        kind: Literal["mim"]
        builder: ClassVar[str] = "my_package.numbers:mim"

The function is imported when a run needs it, so that specs are read without JAX.
"""

import pkgutil
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from math import inf
from types import MappingProxyType, UnionType
from typing import Any, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema

from ntkbench.errors import NtkbenchError, UsageError
from ntkbench.spec.section import Section, ToldApart
from ntkbench.text import did_you_mean
from ntkbench.vocabulary import Metric, own_metrics

GROUPS = ("architectures", "attacks", "analyses", "datasets")
"""groups of entry points, each after `ntkbench.`"""


@dataclass(frozen=True)
class Extension:
    """A kind that an installed package adds, with the package's name and version."""

    model: type[Section]
    package: str
    version: str

    @property
    def kind(self) -> str:
        """The word that selects the extension in a spec."""
        return get_args(self.model.model_fields["kind"].annotation)[0]


@dataclass(frozen=True)
class Kinds:
    """Annotation of a union of models that `kind` tells apart; it adds those of installed packages to the union.

    `group`: the entry points to look at; `base`: the class that their models have to build on, or a union of classes.
    """

    group: str
    base: type[Section] | UnionType

    @property
    def models(self) -> tuple[type[Section], ...]:
        """The models that installed packages add. Raise NtkbenchError if one does not build on `base`."""
        found = installed(self.group)
        for each in found:
            if not issubclass(each.model, self.base):
                bases = get_args(self.base) if isinstance(self.base, UnionType) else (self.base,)
                wanted = " and no ".join(base.__name__ for base in bases)
                raise NtkbenchError(f"{each.package}: {each.kind} of ntkbench.{self.group} is no {wanted}")
        if any(getattr(each.model, "metrics", ()) for each in found):
            known_metrics()  # raises an error for names that clash
        return tuple(each.model for each in found)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of the whole union. Raise NtkbenchError if two models share a kind."""
        told, every = ToldApart("kind"), (*get_args(source), *self.models)
        kinds = [word for model in every for word in told.words(model)]
        if twice := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
            raise NtkbenchError(
                f"ntkbench.{self.group}: several packages, or ntkbench itself, have the kind {twice[0]}"
            )
        return told.union(every)


@cache
def installed(group: str) -> tuple[Extension, ...]:
    """Return the extensions of a group. Raise NtkbenchError, with the package's name, if one cannot be used."""
    return tuple(map(_load, sorted(_entry_points().select(group=f"ntkbench.{group}"))))


@cache
def _entry_points() -> Any:
    """Return the entry points of all installed packages, which takes as long as asking for one group of them."""
    return entry_points()


@cache
def known_metrics() -> Mapping[str, Metric]:
    """Return all metrics by their names: those of ntkbench first, then those that installed analyses declare.

    Raise NtkbenchError if two packages, or ntkbench and a package, mean different things by one name.
    """
    found = dict(own_metrics())
    for each in installed("analyses"):
        for metric in getattr(each.model, "metrics", ()):
            if found.setdefault(metric.name, metric) != metric:
                owner = "ntkbench" if metric.name in own_metrics() else "another analysis"
                message = f"{each.package}: {each.kind} declares the metric {metric.name}, which {owner} has in another"
                raise NtkbenchError(f"{message} meaning; rename it")
    return MappingProxyType(found)


def metric(name: str) -> Metric:
    """Return the metric of a name; UsageError with a suggestion if there is none."""
    if name in known_metrics():
        return known_metrics()[name]
    near = did_you_mean(name, known_metrics()) or "; `ntkbench list metrics` shows those there are"
    raise UsageError(f"there is no metric {name!r}{near}")


def in_order(names: Collection[str]) -> list[str]:
    """Return names in the order of the metrics, those that are no metric's last: their package is not installed."""
    return [*(name for name in known_metrics() if name in names), *sorted(set(names) - known_metrics().keys())]


def bounds(name: str) -> tuple[float, float]:
    """Return the least and largest value of a metric; everything for a name that is no metric's."""
    return known_metrics()[name].range if name in known_metrics() else (-inf, inf)


def packages() -> Mapping[str, str]:
    """Return the installed packages that extend specs, with their versions."""
    return MappingProxyType({each.package: each.version for group in GROUPS for each in installed(group)})


@cache
def identity(model: type) -> Mapping[str, Any] | None:
    """Return what a run's id contains of an extension in addition to its fields; None for all other models.

    That is its package, and the `revision` that its author raises when results change (1 if the class has none).
    """
    if model.__module__.partition(".")[0] == "ntkbench":
        return None
    found = (each for group in GROUPS for each in installed(group) if each.model is model)
    return next(({"package": each.package, "revision": getattr(model, "revision", 1)} for each in found), None)


def builder(words: Any) -> Callable[..., Any]:
    """Import and return the function that a model of an extension names as its `builder`.

    Raise NtkbenchError if it cannot be imported.
    """
    try:
        return pkgutil.resolve_name(words.builder)
    except Exception as error:
        raise NtkbenchError(f"{words.kind}: its builder {words.builder} cannot be loaded: {error}") from error


def _load(point: EntryPoint) -> Extension:
    """Load an entry point. Raise NtkbenchError if it fails, imports JAX, or is no `Section` with a kind of its name."""
    package = point.dist.name if point.dist else "an unknown package"
    known = "jax" in sys.modules
    try:
        model = point.load()
    except Exception as error:
        message = f"{package}: its extension {point.name} ({point.value}) cannot be loaded: {error}"
        raise NtkbenchError(f"{message}; mend or uninstall it") from error
    if "jax" in sys.modules and not known:
        raise NtkbenchError(f"{package}: {point.value} imports jax; words do without, import it where the builder is")
    if not (isinstance(model, type) and issubclass(model, Section) and "kind" in model.model_fields):
        raise NtkbenchError(f"{package}: its extension {point.name} ({point.value}) is no Section with a kind")
    found = Extension(model, package, point.dist.version if point.dist else "")
    if found.kind != point.name:
        raise NtkbenchError(f"{package}: the entry point {point.name} is of the kind {found.kind}; give it this name")
    declared = getattr(model, "metrics", ())
    if not (isinstance(declared, tuple) and all(isinstance(each, Metric) for each in declared)):
        raise NtkbenchError(f"{package}: `metrics` of {point.name} ({point.value}) is no tuple of vocabulary.Metric")
    return found
