"""The id of a run: a hash of the resolved cell and the seed.

The id hashes every setting that affects results; names, notation, order and speed options do not count. A field that a
later version adds declares the value that reproduces earlier results, `Field(json_schema_extra={"as_before": value})`,
and is left out of the hash at that value, so that the ids of earlier runs stay valid. A field that is never part of the
hash, such as the path of a file, declares `Field(json_schema_extra={"identity": False})`.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeVar

from pydantic import BaseModel

from ntkbench.budgets import Budget
from ntkbench.data.catalog import class_numbers
from ntkbench.errors import NtkbenchError
from ntkbench.spec import extensions
from ntkbench.spec.attacks import SELF, GradientAttack, LossAscent
from ntkbench.spec.cell import Cell, Network
from ntkbench.spec.data import Data
from ntkbench.spec.kernels import AdvNtk, EmpiricalKernel, InfiniteKernel, Kernel
from ntkbench.spec.training import Adversarial, Trained, with_explicit_schedule

# Choose the loss that an attack ascends where its spec says `loss: auto`.
#
# The choice suits the loss that the attack's source was fitted with. Outputs that were fitted to one-hot targets with
# squared loss are of order one. Their softmax is nearly uniform, so the gradient of cross-entropy pulls at all classes
# alike and attacks along it are weak; the margin looks at the nearest rival class alone. With a single output both
# losses have gradients of the same sign.
#
# Run ids, records, trainings and attacks all use the cell that `settled` returns.


A = TypeVar("A", bound=LossAscent)
T = TypeVar("T")


def with_auto_losses(cell: Cell) -> Cell:
    """Return the cell with `margin` or `cross_entropy` in the place of each `loss: auto`.

    This concerns the gradient attacks of the cell and the attacks inside adversarial trainings and fits of kernels; all
    else is unchanged.
    """
    attacks = {
        name: _with_loss(attack, cell, _squared(cell, attack.source)) if isinstance(attack, GradientAttack) else attack
        for name, attack in cell.attacks.items()
    }
    kernels = {name: _with_loss_of_fit(kernel, cell) for name, kernel in cell.kernels.items()}
    networks = {
        name: words.model_copy(update={"training": _with_inner_loss(words.training, cell)})
        for name, words in cell.networks.items()
    }
    training = _with_inner_loss(cell.training, cell)
    return cell.model_copy(update={"attacks": attacks, "training": training, "kernels": kernels, "networks": networks})


def _with_inner_loss(training: T, cell: Cell) -> T:
    """Return a training, or None, whose attack, if it has one, has a loss in the place of `auto`."""
    if not isinstance(training, Adversarial):
        return training
    inner = _with_loss(training.attack, cell, training.loss == "mse")
    return training.model_copy(update={"attack": inner})


def _with_loss_of_fit(kernel: Kernel, cell: Cell) -> Kernel:
    """Return a kernel whose fit, if it attacks, has a loss in the place of `auto`."""
    if not isinstance(kernel, InfiniteKernel) or not isinstance(kernel.fit, AdvNtk):
        return kernel
    attack = _with_loss(kernel.fit.attack, cell, True)
    return kernel.model_copy(update={"fit": kernel.fit.model_copy(update={"attack": attack})})


def _with_loss(ascent: A, cell: Cell, squared: bool) -> A:
    """Return the ascent with its loss chosen; `squared`: whether its source was fitted with squared loss."""
    if ascent.loss != "auto":
        return ascent
    return ascent.model_copy(update={"loss": "margin" if squared and _several(cell.data) else "cross_entropy"})


def _squared(cell: Cell, source: str) -> bool:
    """Return whether an attack's `source`, a kernel or a network, was fitted with squared loss, as kernels are."""
    training = cell.as_own(source).training
    is_kernel = source not in (SELF, *cell.networks)
    return is_kernel or (isinstance(training, Trained) and training.loss == "mse")


def _several(data: Data) -> bool:
    """Return whether each class has an output of its own: two classes share one, and synthetic sets have two."""
    known = data.classes or (data.entry.classes if data.entry else ())
    return len(known) > 2


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: digits and letters without i, l, o and u"""
_CHARACTERS = 12
"""length of an id without its prefix, 5 bits a character"""
_ABSENT = object()


def canonical(value: Any) -> Any:
    """Return a model, or any value, as JSON that equal settings share.

    Keys are sorted, fractions become "p/q" and infinity "inf", and fields at their `as_before` value are left out.
    Models of other packages carry their package and revision under `$extension`.
    """
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        kept = {
            name: canonical(getattr(value, name)) for name, info in fields.items() if not _omitted(value, name, info)
        }
        extension = extensions.identity(type(value))
        return dict(sorted(kept.items())) | ({"$extension": dict(extension)} if extension else {})
    if isinstance(value, Mapping):
        return {str(key): canonical(value[key]) for key in sorted(value)}
    if isinstance(value, (tuple, list)):
        return [canonical(item) for item in value]
    if isinstance(value, (Fraction, Budget)):
        return str(value)
    if isinstance(value, float):
        return str(value) if value in (float("inf"), -float("inf")) else value + 0.0
    return value


def _omitted(model: BaseModel, name: str, info: Any) -> bool:
    """Return whether a field is no part of an identity.

    It has the value that reproduces results from before the field existed, or declares `"identity": False`, as the path
    of a file whose content counts.
    """
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    before = extra.get("as_before", _ABSENT)
    same = before is not _ABSENT and canonical(getattr(model, name)) == canonical(before)
    return same or not extra.get("identity", True)


def digest(prefix: str, value: Any) -> str:
    """Return `prefix` and 60 bits of the SHA-256 of the value's canonical JSON, as 12 characters in base 32."""
    return _hashed(prefix, _text(value))


def _text(value: Any) -> str:
    """Return the canonical JSON of a value, without spaces."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _hashed(prefix: str, content: str) -> str:
    bits = int.from_bytes(hashlib.sha256(content.encode()).digest()[:8]) >> 4
    return prefix + "".join(_ALPHABET[bits >> (5 * i) & 31] for i in reversed(range(_CHARACTERS)))


def normalized(cell: Cell) -> Cell:
    """Return the cell with everything implicit written out, so that equivalent specs have the same id.

    Classes become label numbers, kernels name their architecture or moment, networks all their fields, schedules their
    length, and attacks their loss. Raise NtkbenchError if the data set lacks a class.
    """
    cell = with_auto_losses(cell)
    return cell.model_copy(
        update={
            "data": cell.data.model_copy(update={"classes": _numbers(cell)}),
            "training": with_explicit_schedule(cell.training),
            "kernels": {name: _explicit(cell, kernel) for name, kernel in cell.kernels.items()},
            "networks": {name: _explicit_network(cell, name) for name in cell.networks},
        }
    )


def _numbers(cell: Cell) -> tuple[str | int, ...] | None:
    """Return the cell's classes as label numbers; classes of data sets that are not in the catalog stay as written."""
    entry = cell.data.entry
    try:
        return cell.data.classes if entry is None else class_numbers(entry, cell.data.classes)
    except ValueError as error:
        raise NtkbenchError(f"data.classes: {error}") from None


def _explicit(cell: Cell, kernel: Any) -> Any:
    """Return a kernel with everything implicit written out.

    An empirical kernel names its moment; an infinite one its architecture and, in standard parameterization, its width.
    """
    if isinstance(kernel, EmpiricalKernel):
        return kernel.model_copy(update={"at": _moment(cell, kernel.at)})
    if not isinstance(kernel, InfiniteKernel):
        return kernel
    architecture = kernel.architecture or cell.architecture
    standard = architecture.parameterization == "standard"
    width = (kernel.width or cell.width) if standard else None
    return kernel.model_copy(update={"architecture": architecture, "width": width})


def _explicit_network(cell: Cell, name: str) -> Network:
    """Return a further network with the fields of the run's own, and the offset of its seed, written out."""
    own, words = cell.as_own(name), cell.networks[name]
    fields = {"architecture": own.architecture, "width": own.width, "training": with_explicit_schedule(own.training)}
    return words.model_copy(update={**fields, "seed_offset": words.offset(name)})


def _moment(cell: Cell, at: str | Fraction) -> str | Fraction:
    """Return the moment of an empirical kernel, with `init` and `final` for both ends of the training."""
    last = cell.training.epochs if isinstance(cell.training, Trained) else 0
    return "init" if at == 0 else "final" if at == last else at


def run_id(cell: Cell, seed: int) -> str:
    """Return the id of a cell at one seed, the same for every way of writing the same experiment."""
    return run_ids(cell, (seed,))[0]


def run_ids(cell: Cell, seeds: Sequence[int]) -> tuple[str, ...]:
    """Return the ids of a cell at several seeds; the cell is normalized once."""
    content = _text(normalized(cell))  # normalized once, since there may be many seeds
    return tuple(_hashed("r", f'{{"cell":{content},"seed":{seed}}}') for seed in seeds)


def resolved(cell: Cell) -> dict[str, Any]:
    """Return the cell as records store it: JSON with all defaults filled in, which `Cell.model_validate` reads back."""
    return with_auto_losses(cell).model_dump(mode="json")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and value of every leaf of nested mappings; lists and empty mappings count as leaves."""
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}" if path else key)
    else:
        yield path, value
