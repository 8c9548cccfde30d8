"""Pydantic types for the values of a spec: fractions, infinities, sizes, durations, one value or several.

The models of a spec annotate their fields with them. `Expects` puts into the JSON Schema, as `$comment`, what a type
expects: messages (`expected a number above 0, found ...`) and the reference quote it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema, PydanticCustomError

FRACTION = "^[0-9]+/[0-9]+$"
"""regular expression of a fraction in a spec, such as 8/255"""


@dataclass(frozen=True)
class Expects:
    """Describe in English what a type expects; `also` holds regular expressions of texts that it reads beside its own
    values."""

    expected: str
    also: tuple[str, ...] = ()

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        others = [{"type": "string", "pattern": pattern} for pattern in self.also]
        return ({"anyOf": [schema, *others]} if others else schema) | {"$comment": self.expected}


@dataclass(frozen=True)
class OneOrSeveral:
    """A marker that extends the JSON Schema of a list: a list of one may be written without its brackets."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        return {"anyOf": [schema["items"], schema]}


@dataclass(frozen=True)
class OneForBoth:
    """A marker that extends the JSON Schema of a pair: a pair of equal values may be written as one of them."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        item = handler(core)["prefixItems"][0]
        return {"anyOf": [item, {"type": "array", "items": item, "minItems": 2, "maxItems": 2}]}


def _float(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**300:  # float() would raise
        return math.inf
    return float(value) if isinstance(value, Fraction) else value


def _time(value: Any) -> Any:
    return math.inf if value in ("inf", ".inf") else _float(value)


def fraction(value: Any) -> Any:
    """Return a number or text (8/255) as a Fraction; 0.1 becomes 1/10, not its binary value. Else return it
    unchanged."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,400}(/0*[1-9]\d{0,400})?", value, re.ASCII):
        return Fraction(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf:
        return Fraction(repr(value))
    return value


def many(value: Any) -> Any:
    """Return a list as a tuple, and any other value as a tuple of one."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def listed(value: Any) -> Any:
    """Return a list as a tuple, the form in which models hold it; return any other value unchanged."""
    return tuple(value) if isinstance(value, list) else value


def repeated(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values; raise PydanticCustomError, with the position of the second, where two of them are equal."""
    seen: set[Any] = set()
    for i, value in enumerate(values):
        if value in seen:
            raise PydanticCustomError("repeated", "{value} stands here twice", {"value": str(value), "at": (i,)})
        seen.add(value)
    return values


def ascending(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(repeated(values)))


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else listed(value)


def _quantity(units: Mapping[str, int | float]) -> BeforeValidator:
    """Return a validator of numbers with an optional unit, such as `512MB` or `30m`; `units` holds factors by unit."""

    def read(value: Any) -> Any:
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)", value) if isinstance(value, str) else None
        if match and match[2].lower() in units:
            return float(match[1]) * units[match[2].lower()]
        return _float(value)

    return BeforeValidator(read)


_SIZES = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
"""bytes of each unit, by its name in lower case; a number without a unit is in bytes"""
_TIMES = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
"""seconds of each unit; a number without a unit is in seconds"""
_UNIT = "^[0-9.]+ ?[A-Za-z]*$"

# Each Field stands before the BeforeValidator that reads the notation, so that its bounds apply to the value read.
Name = Annotated[
    str,
    Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
    Expects("a name of letters, digits, '.', '_' and '-' that starts with a letter or a digit"),
]
Id = Annotated[
    str,
    Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$"),
    Expects("an id of letters, digits, '_' and '-' that starts with a letter or a digit"),
]
Positive = Annotated[
    float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_float), Expects("a number above 0", (FRACTION,))
]
NonNegative = Annotated[
    float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_float), Expects("a number, 0 or more", (FRACTION,))
]
Scale = Annotated[
    float,
    Field(ge=1e-6, le=1e6, allow_inf_nan=False),
    BeforeValidator(_float),
    Expects("a number from 10^-6 to 10^6", (FRACTION,)),
]
Offset = Annotated[
    float,
    Field(ge=0, le=1e6, allow_inf_nan=False),
    BeforeValidator(_float),
    Expects("a number from 0 to 10^6", (FRACTION,)),
]
BelowOne = Annotated[
    float,
    Field(ge=0, lt=1, allow_inf_nan=False),
    BeforeValidator(_float),
    Expects("a number from 0 to below 1", (FRACTION,)),
]
Time = Annotated[
    float,
    Field(gt=0),
    BeforeValidator(_time),
    PlainSerializer(lambda t: "inf" if t == math.inf else t, return_type=float | str, when_used="json"),
    Expects("a number above 0, or inf", (FRACTION, "^[.]?inf$")),
]
FIT = "training"
"""reserved analysis id, under which a record keeps what was measured of the training itself"""
POISON = "poison"
"""reserved analysis id, under which a record keeps how the training images were poisoned"""
MATCHED = "matched"
"""value of a kernel's `time` that stands for the gradient-flow time of the network's training"""
KernelTime = Annotated[
    Literal["matched"] | Time,
    Expects("a number above 0, inf, or matched", (FRACTION, "^[.]?inf$")),
]
Count = Annotated[int, Field(gt=0, le=10**9), Expects("a whole number from 1 to 10^9")]
Units = Annotated[
    Annotated[int, Field(gt=0, le=10**9)] | Annotated[str, Field(pattern="^[1-9][0-9]{0,3}x$")],
    Expects("a whole number from 1 to 10^9, or a multiple of the cell's width such as 2x"),
]
_Positions = Annotated[int, Field(ge=1, le=1000)]
Window = Annotated[
    tuple[_Positions, _Positions],
    BeforeValidator(_pair),
    OneForBoth(),
    Expects("a whole number from 1 to 1000, or a list of two (rows and columns)"),
]
Seed = Annotated[int, Field(ge=0, lt=2**31), Expects("a whole number from 0 to 2^31 - 1")]
EXACT = PlainSerializer(str, return_type=str)


@dataclass(frozen=True)
class Decimal:
    """The JSON Schema of a Fraction, a type that JSON lacks: a number whose `bound` (a keyword of the schema) is 0."""

    bound: str

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "number", self.bound: 0}


Step = Annotated[
    Fraction,
    Field(gt=0),
    BeforeValidator(fraction),
    EXACT,
    Decimal("exclusiveMinimum"),
    Expects("a number above 0 or a fraction such as 2/255", (FRACTION,)),
]
Moment = Annotated[
    Fraction,
    Field(ge=0),
    BeforeValidator(fraction),
    EXACT,
    Decimal("minimum"),
    Expects("an epoch, 0 or more: a number or a fraction such as 1/4", (FRACTION,)),
]
Moments = Annotated[
    tuple[Moment, ...],
    Field(min_length=1),
    BeforeValidator(listed),
    AfterValidator(ascending),
    Expects("a list of epochs such as [0, 1/4, 1, 10]"),
]
Names = Annotated[
    tuple[str, ...],
    AfterValidator(repeated),
    BeforeValidator(many),
    OneOrSeveral(),
    Expects("a name or a list of names"),
]
Splits = Annotated[
    tuple[Literal["train", "test"], ...],
    Field(min_length=1),
    AfterValidator(ascending),
    BeforeValidator(many),
    OneOrSeveral(),
    Expects("train, test, or a list of both"),
]
Texts = Annotated[tuple[str, ...], BeforeValidator(listed), Expects("a list of texts")]
Classes = Annotated[
    tuple[Annotated[str | int, Expects("the name or the number of a class")], ...],
    Field(min_length=2),
    BeforeValidator(listed),
    Expects("a list of two classes or more, by name or number"),
]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), BeforeValidator(listed), AfterValidator(repeated)]
Bytes = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False),
    _quantity(_SIZES),
    Expects("a size such as 512MB, or a number of bytes", (_UNIT,)),
]
Seconds = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False),
    _quantity(_TIMES),
    Expects("a duration such as 30m, or a number of seconds", (_UNIT,)),
]
Indices = Annotated[
    tuple[Annotated[int, Field(ge=0, le=10**9), Expects("an index, 0 or more")], ...],
    Field(min_length=1),
    BeforeValidator(listed),
    AfterValidator(ascending),
    Expects("a list of indices; 0 is the first"),
]
Counts = Annotated[
    tuple[Count, ...],
    Field(min_length=1),
    BeforeValidator(listed),
    AfterValidator(ascending),
    Expects("a list of whole numbers, 1 or more"),
]
Times = Annotated[tuple[Time, ...], Field(min_length=1), BeforeValidator(listed), AfterValidator(ascending)]
Ridges = Annotated[tuple[NonNegative, ...], Field(min_length=1), BeforeValidator(listed), AfterValidator(ascending)]
Several = Annotated[int, Field(gt=0, le=10**4), Expects("a whole number from 1 to 10^4")]
_End = Annotated[int, Field(ge=0, le=10**9), Expects("an index, 0 or more")]
Ranges = Annotated[
    tuple[Annotated[tuple[_End, _End], BeforeValidator(listed), Expects("a pair such as [0, 20]")], ...],
    Field(min_length=1),
    BeforeValidator(listed),
    AfterValidator(repeated),
]
