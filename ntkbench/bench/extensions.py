"""Kinds that other packages add to specs, by entry points: found when a spec is first read, not before.

An entry point of the group `ntkbench.architectures`, `ntkbench.attacks`, `ntkbench.analyses` or `ntkbench.datasets`
names a model of words, a `Section` with a `kind` of its own. What turns these words into numbers is named by the model
(`builder`) and imported when a run needs it: words never import JAX.
"""

import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Annotated, Any, Union, get_args

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from ntkbench.bench.section import Section
from ntkbench.errors import NtkbenchError

GROUPS = ("architectures", "attacks", "analyses", "datasets")


@dataclass(frozen=True)
class Extension:
    """A model and the package that it comes from."""

    model: type[Section]
    package: str
    version: str

    @property
    def kind(self) -> str:
        return get_args(self.model.model_fields["kind"].annotation)[0]


@dataclass(frozen=True)
class Kinds:
    """Alternatives that `kind` tells apart, and those that installed packages add to them; these build on `base`."""

    group: str
    base: type[Section]

    @property
    def models(self) -> tuple[type[Section], ...]:
        found = installed(self.group)
        for each in found:
            if not issubclass(each.model, self.base):
                raise NtkbenchError(f"{each.package}: {each.kind} of ntkbench.{self.group} is no {self.base.__name__}")
        return tuple(each.model for each in found)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        every = Union[(source, *self.models)]
        kinds = [word for model in get_args(every) for word in get_args(model.model_fields["kind"].annotation)]
        if twice := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
            raise NtkbenchError(
                f"ntkbench.{self.group}: several packages, or ntkbench itself, have the kind {twice[0]}"
            )
        return handler.generate_schema(Annotated[every, Field(discriminator="kind")])


@cache
def installed(group: str) -> tuple[Extension, ...]:
    """Of a group; one that cannot be used is a NtkbenchError that names its package."""
    return tuple(map(_load, sorted(entry_points(group=f"ntkbench.{group}"))))


def packages() -> Mapping[str, str]:
    """Installed packages that extend specs, and their versions."""
    return MappingProxyType({each.package: each.version for group in GROUPS for each in installed(group)})


@cache
def identity(model: type) -> Mapping[str, Any] | None:
    """What a hash says of a model beside its fields: the package, and the revision that it raises by hand."""
    if model.__module__.partition(".")[0] == "ntkbench":
        return None
    found = (each for group in GROUPS for each in installed(group) if each.model is model)
    return next(({"package": each.package, "revision": getattr(model, "revision", 1)} for each in found), None)


def builder(words: Any) -> Callable[..., Any]:
    """What makes numbers of the words."""
    try:
        return pkgutil.resolve_name(words.builder)
    except Exception as error:
        raise NtkbenchError(f"{words.kind}: its builder {words.builder} cannot be loaded: {error}") from error


def _load(point: EntryPoint) -> Extension:
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
    return found
