"""A JSON file that holds one document: bounded, validated on the way in, atomic on the way out."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import uuid4

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from ntkbench.bench import disk
from ntkbench.errors import NtkbenchError

LIMIT = 32 * 2**20
"""bytes; a longer document is none of ours"""
_SHOWN = 5


class Document(BaseModel):
    """What a file holds. Strict, frozen, without unknown fields and without NaN or infinity."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


D = TypeVar("D", bound=Document)


def _writable(value: dict) -> dict:
    """Refuses what JSON cannot carry: NaN, infinity, numbers beyond all bounds."""
    json.dumps(value, allow_nan=False)
    return value


Facts = Annotated[dict[str, JsonValue], AfterValidator(_writable)]
"""A free mapping of JSON values."""
Natural = Annotated[int, Field(ge=0, le=2**53)]
Line = Annotated[str, Field(max_length=1000)]


def read(path: Path, limit: int = LIMIT) -> bytes:
    """The content of a file of bounded size."""
    try:
        if path.stat().st_size > limit:
            raise NtkbenchError(f"{path}: larger than {limit} bytes; this is not a file of ntkbench")
        return path.read_bytes()
    except OSError as error:
        raise NtkbenchError(f"{path}: cannot be read: {error.strerror}") from None


def parse(model: type[D], content: bytes | str, place: object) -> D:
    """A validated document; everything wrong is one NtkbenchError with a line `place: field: problem` each."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise NtkbenchError(explain(error, place)) from None


def accept(model: type[D], value: Any, place: object) -> D:
    """A document from a value in memory, as it would read back from its file."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise NtkbenchError(f"{place}: not JSON: {error}") from None
    return parse(model, text, place)


def dump(document: Document) -> bytes:
    """JSON in the order of the model's fields."""
    value = document.model_dump(mode="json", by_alias=True)
    return (json.dumps(value, allow_nan=False, indent=1) + "\n").encode()


def write(path: Path, content: bytes, *, durable: bool = True) -> None:
    """The whole file or none: a reader never sees half of it, if `durable` not even after a power cut.

    StorageError if the disk does not take it.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    with disk.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                if durable:
                    disk.flush(file)
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def printable(text: object, length: int = 80) -> str:
    """Foreign text that is safe in a message: no control characters, not endless."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def explain(error: ValidationError, place: object) -> str:
    """The first problems of a validation, a line each."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    lines = []
    for problem in problems[:_SHOWN]:
        field = printable(".".join(map(str, problem["loc"])))
        lines.append(
            f"{place}: {field + ': ' if field else ''}{printable(problem['msg'].removeprefix('Value error, '), 200)}"
        )
    if len(problems) > _SHOWN:
        lines.append(f"{place}: and {len(problems) - _SHOWN} more problems")
    return "\n".join(lines)
