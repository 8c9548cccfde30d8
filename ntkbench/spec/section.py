"""The base classes of the sections of a spec: of all, and of those that name files.

Also what several sections have in common: paths, budgets, and unions of sections that a word tells apart.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    GetPydanticSchema,
    PlainSerializer,
    WrapValidator,
)
from pydantic.json_schema import CoreRef, GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ntkbench import budgets
from ntkbench.spec.notation import EXACT, FRACTION, Decimal, Expects, fraction


class Section(BaseModel):
    """Base of the models of a spec's sections: strict, frozen, without unknown fields.

    The docstring of a section and the texts below its fields are the text of the reference page. A section's validator
    is built when it is first used, since no spec uses all of them.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> "Section":
        """Return the section itself, which is frozen: all cells share one default, as Pydantic copies defaults."""
        return self


def _name(path: str) -> str:
    """Return the last part of a path: records and entries do not tell in which folder of whom a file was."""
    return os.path.basename(os.path.normpath(path))


FilePath = Annotated[
    str,
    Field(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f]*$", json_schema_extra={"identity": False}),
    PlainSerializer(_name, return_type=str),
    Expects("the path of a file or folder, relative to the file that names it"),
]
"""a path, absolute once a spec is read; what counts for a run is the content, not the path"""
Digest = Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$"), Expects("a digest such as sha256:0123... (64 digits)")]


PATHS = ("path", "train", "test", "weights")
"""fields of sections that are paths"""


class FileSection(Section):
    """Base of the sections that name files, whose content is part of a run's identity."""

    content: Digest | None = None
    """digest of the content of the files, filled in when a spec is read; where it is written, files with another
    content are refused"""

    @property
    def paths(self) -> tuple[str, ...]:
        """The files and folders that the section names."""
        return tuple(getattr(self, name) for name in PATHS if hasattr(self, name))


INVERSE_SQRT_DIM = "inverse_sqrt_dim"
"""word of a budget c / sqrt(d), d the number of inputs of the data: `{in: inverse_sqrt_dim, value: c}`"""


def _relative(value: Any, read: Callable[[Any], budgets.Budget]) -> budgets.Budget:
    """Return a budget; one that is relative to the dimension is a mapping, or a text such as `1/2/sqrt(d)`."""
    if isinstance(value, Mapping) and value.keys() & {"in", "value"}:
        if wrong := next((key for key in value if key not in ("in", "value")), None):
            raise _not_relative("unknown field", wrong)
        if value.get("in") != INVERSE_SQRT_DIM:
            raise _not_relative(f"expected in: {INVERSE_SQRT_DIM}, which means value / sqrt(d)", "in")
        number = fraction(value.get("value"))
        if not isinstance(number, Fraction) or number < 0:
            raise _not_relative("expected a number, 0 or more, or a fraction such as 1/2", "value")
        return replace(read(number), relative=True)
    if isinstance(value, str) and value.endswith(budgets.PER_ROOT):
        return replace(read(fraction(value.removesuffix(budgets.PER_ROOT))), relative=True)
    return read(value)


def _not_relative(message: str, at: str) -> PydanticCustomError:
    return PydanticCustomError("budget", "{message}", {"message": message, "at": (at,)})


@dataclass(frozen=True)
class _InRelation:
    """A marker that extends the JSON Schema of a budget by the mapping that makes it relative to the dimension."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        number = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": FRACTION}]}
        value = {"anyOf": [*number["anyOf"], {"type": "array", "items": number, "minItems": 1}]}
        fields = {"in": {"const": INVERSE_SQRT_DIM, "type": "string"}, "value": value}
        mapping = {"type": "object", "properties": fields, "additionalProperties": False}
        return {**schema, "anyOf": [*schema["anyOf"], mapping]}


Budget = Annotated[
    budgets.Budget,
    GetPydanticSchema(lambda _, handler: handler.generate_schema(Fraction)),
    Field(ge=0),
    BeforeValidator(fraction),
    AfterValidator(budgets.Budget),
    WrapValidator(_relative),
    EXACT,
    Decimal("minimum"),
    Expects("a number, 0 or more, or a fraction such as 8/255", (FRACTION, "^[0-9./]+/sqrt[(]d[)]$")),
    _InRelation(),
]


@dataclass(frozen=True)
class ToldApart:
    """Annotation of a union of sections of which the word in one of their fields selects one.

    It is a discriminated union of pydantic, but each section's validator is built when its word first occurs.
    """

    by: str
    """the field with the word: kind, mode or op"""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of the union `source`."""
        return self.union(get_args(source))

    def words(self, model: type[BaseModel]) -> tuple[str, ...]:
        """Return the words that select a section."""
        return get_args(model.model_fields[self.by].annotation)

    def union(self, models: Iterable[type[BaseModel]]) -> CoreSchema:
        """Return the schema of the union of these sections; the last one with a word has it."""
        choices = {word: _built_when_used(model) for model in models for word in self.words(model)}
        return core_schema.tagged_union_schema(choices, self.by)


def _built_when_used(model: type[BaseModel]) -> CoreSchema:
    """Return a schema that asks a model, whose errors have their places in it."""
    return core_schema.no_info_plain_validator_function(model.model_validate, metadata={"model": model})


class WrittenOut(GenerateJsonSchema):
    """Writes the sections of unions out, which validators build when they are used."""

    def function_plain_schema(self, schema: Any) -> JsonSchemaValue:
        """Return a reference to the schema of a section of a union."""
        model = schema["metadata"]["model"]
        name, reference = self.get_cache_defs_ref_schema(
            CoreRef(f"{model.__module__}.{model.__qualname__}:{id(model)}")
        )
        if name not in self.definitions:
            self.definitions[name] = {}  # a section may hold others of its kind
            core: Any = {key: value for key, value in model.__pydantic_core_schema__.items() if key != "ref"}
            self.definitions[name] = self.generate_inner(core)
        return reference
