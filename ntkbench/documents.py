"""Read, validate and write JSON files that hold one document each, such as records and leaderboard entries.

    class Note(Document):
        text: Line

    write(path, dump(accept(Note, {"text": "done"}, path)))
    note = parse(Note, read(path), path)

Files may come from strangers: their size is bounded, and characters that would control a terminal are replaced.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from ntkbench.errors import NtkbenchError
from ntkbench.files import TooLarge, read_bounded
from ntkbench.text import one_line, without_control_characters

LIMIT = 16 * 2**20
"""bytes; larger files are refused"""
_SHOWN = 5
"""problems of a file that a message lists"""


class Document(BaseModel):
    """The content of a JSON file: strict and frozen, without unknown fields, NaN or infinity.

    Its validator is built when it is first used, so that commands which read no file start at once.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False, defer_build=True)


D = TypeVar("D", bound=Document)


def _clean(value: Any) -> Any:
    """Return a JSON value in which no text controls a terminal. Raise ValueError for NaN and infinity, which JSON
    cannot carry."""
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{value} is no number of JSON")
    if isinstance(value, dict):
        return {without_control_characters(key): _clean(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_clean(below) for below in value]
    return without_control_characters(value) if isinstance(value, str) else value


Facts = Annotated[dict[str, JsonValue], AfterValidator(_clean)]
"""any mapping of JSON values"""
Natural = Annotated[int, Field(ge=0, le=2**53)]
"""whole number from 0 to 2^53, the largest that every JSON reader keeps exactly"""
Line = Annotated[str, Field(max_length=1000), AfterValidator(without_control_characters)]
"""text of up to 1000 characters"""
Paragraphs = Annotated[str, Field(max_length=20_000), AfterValidator(without_control_characters)]
"""text of up to 20,000 characters"""


def read(path: Path, limit: int = LIMIT) -> bytes:
    """Return the content of a regular file. Raise NtkbenchError if it is larger than `limit` or cannot be read."""
    try:
        return read_bounded(path, limit)
    except TooLarge as error:
        raise NtkbenchError(f"{path}: {error.strerror}; this is not a file of ntkbench") from None
    except OSError as error:
        raise NtkbenchError(f"{path}: cannot be read: {error.strerror}") from None


def parse(model: type[D], content: bytes | str, place: object) -> D:
    """Return the document in `content`; raise NtkbenchError as `explained` does where it is none."""
    with explained(place):
        return model.model_validate_json(content)


def accept(model: type[D], value: Any, place: object) -> D:
    """Return the document that a value in memory would read back as from its file.

    Raise NtkbenchError if it cannot be written as JSON or is no such document.
    """
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise NtkbenchError(f"{place}: not JSON: {error}") from None
    return parse(model, text, place)


def dump(document: Document) -> bytes:
    """Return a document as JSON, in the order of the model's fields."""
    return encode(document.model_dump(mode="json", by_alias=True))


def encode(value: Any) -> bytes:
    """Return a JSON value as the content of a file."""
    return (json.dumps(value, allow_nan=False, indent=1) + "\n").encode()


@contextmanager
def explained(place: object) -> Iterator[None]:
    """Turn a ValidationError of the block into a NtkbenchError with one line `place: field: problem` for each mistake.

    `place`: where the document stands; usually the path of its file.
    """
    try:
        yield
    except ValidationError as error:
        raise NtkbenchError(explain(error, place)) from None


def explain(error: ValidationError, place: object) -> str:
    """Return the first problems that pydantic found, one line `place: field: problem` each."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    lines = []
    for problem in problems[:_SHOWN]:
        field = one_line(".".join(map(str, problem["loc"])))
        lines.append(
            f"{place}: {field + ': ' if field else ''}{one_line(problem['msg'].removeprefix('Value error, '), 200)}"
        )
    if len(problems) > _SHOWN:
        lines.append(f"{place}: and {len(problems) - _SHOWN} more problems")
    return "\n".join(lines)
