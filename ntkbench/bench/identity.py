"""What makes two runs the same: a hash of the resolved cell and the seed.

Anything that can change a number is in it, anything else is not. Notation, order, spelled-out defaults and names
leave no trace. A field that a later version adds declares the value that means "as before",
`Field(json_schema_extra={"as_before": value})`, and is left out at that value.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from pydantic import BaseModel

from ntkbench.bench import extensions
from ntkbench.bench.objectives import settled
from ntkbench.bench.regimes import Trained, explicit
from ntkbench.bench.spec import Cell, EmpiricalKernel, InfiniteKernel
from ntkbench.data.catalog import class_numbers
from ntkbench.errors import NtkbenchError

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_CHARACTERS = 12
_ABSENT = object()


def canonical(value: Any) -> Any:
    """A model or any value as JSON: fractions are "p/q", infinity is "inf", fields as before are left out."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        kept = {
            name: canonical(getattr(value, name)) for name, info in fields.items() if not _as_before(value, name, info)
        }
        extension = extensions.identity(type(value))
        return dict(sorted(kept.items())) | ({"$extension": dict(extension)} if extension else {})
    if isinstance(value, Mapping):
        return {str(key): canonical(value[key]) for key in sorted(value)}
    if isinstance(value, (tuple, list)):
        return [canonical(item) for item in value]
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, float):
        return str(value) if value in (float("inf"), -float("inf")) else value + 0.0
    return value


def _as_before(model: BaseModel, name: str, info: Any) -> bool:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    before = extra.get("as_before", _ABSENT)
    return before is not _ABSENT and canonical(getattr(model, name)) == canonical(before)


def digest(prefix: str, value: Any) -> str:
    """The prefix and 60 bits of the SHA-256 of the canonical JSON, as 12 characters without i, l, o, u."""
    return _hashed(prefix, _text(value))


def _text(value: Any) -> str:
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _hashed(prefix: str, content: str) -> str:
    bits = int.from_bytes(hashlib.sha256(content.encode()).digest()[:8]) >> 4
    return prefix + "".join(_ALPHABET[bits >> (5 * i) & 31] for i in reversed(range(_CHARACTERS)))


def normalized(cell: Cell) -> Cell:
    """The cell with what goes without saying said: classes are label numbers, kernels name their architecture
    or moment, schedules their length, attacks their loss."""
    cell = settled(cell)
    return cell.model_copy(
        update={
            "data": cell.data.model_copy(update={"classes": _numbers(cell)}),
            "training": explicit(cell.training),
            "kernels": {name: _explicit(cell, kernel) for name, kernel in cell.kernels.items()},
        }
    )


def _numbers(cell: Cell) -> tuple[str | int, ...] | None:
    entry = cell.data.entry
    try:
        return cell.data.classes if entry is None else class_numbers(entry, cell.data.classes)
    except ValueError as error:
        raise NtkbenchError(f"data.classes: {error}") from None


def _explicit(cell: Cell, kernel: Any) -> Any:
    if isinstance(kernel, EmpiricalKernel):
        return kernel.model_copy(update={"at": _moment(cell, kernel.at)})
    if not isinstance(kernel, InfiniteKernel):
        return kernel
    architecture = kernel.architecture or cell.architecture
    standard = architecture.parameterization == "standard"
    width = (kernel.width or cell.width) if standard else None
    return kernel.model_copy(update={"architecture": architecture, "width": width})


def _moment(cell: Cell, at: str | Fraction) -> str | Fraction:
    """Both ends have a name."""
    last = cell.training.epochs if isinstance(cell.training, Trained) else 0
    return "init" if at == 0 else "final" if at == last else at


def run_id(cell: Cell, seed: int) -> str:
    """The same for every way of writing the same experiment."""
    return run_ids(cell, (seed,))[0]


def run_ids(cell: Cell, seeds: Sequence[int]) -> tuple[str, ...]:
    """Those of the seeds of one cell."""
    content = _text(normalized(cell))  # once: seeds are many
    return tuple(_hashed("r", f'{{"cell":{content},"seed":{seed}}}') for seed in seeds)


def resolved(cell: Cell) -> dict[str, Any]:
    """What a record stores: plain JSON with all defaults filled in, which `Cell.model_validate` reads back."""
    return settled(cell).model_dump(mode="json")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested mappings by its dotted path; lists and empty mappings are values."""
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}" if path else key)
    else:
        yield path, value
