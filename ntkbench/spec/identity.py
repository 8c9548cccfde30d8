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
from ntkbench.memo import by_identity
from ntkbench.spec import extensions
from ntkbench.spec.attacks import with_loss
from ntkbench.spec.cell import Cell, Network
from ntkbench.spec.data import Data
from ntkbench.spec.kernels import AdvNtk, EmpiricalKernel, InfiniteKernel, Kernel
from ntkbench.spec.training import (
    Adversarial,
    AdversarialPhase,
    CosineDecay,
    Descent,
    Phased,
    Pretrained,
    Standard,
    Trained,
    Untrained,
)

T = TypeVar("T")


def with_auto_losses(cell: Cell) -> Cell:
    """Return the cell with `margin` or `cross_entropy` in the place of each `loss: auto`.

    This concerns the gradient attacks of the cell, see `Cell.attack`, and the attacks inside adversarial trainings and
    fits of kernels. An attack that is made on several sources keeps `auto`: its loss depends on the source.
    """
    several, kept = cell.has_several_outputs, cell.attacks_of_many_sources
    attacks = {name: attack if name in kept else cell.attack(name) for name, attack in cell.attacks.items()}
    training = _with_losses_of_training(cell.training, several)
    kernels = {name: _with_loss_of_fit(kernel, several) for name, kernel in cell.kernels.items()}
    networks = {
        name: words.model_copy(update={"training": _with_losses_of_training(words.training, several)})
        for name, words in cell.networks.items()
    }
    return cell.model_copy(update={"attacks": attacks, "training": training, "kernels": kernels, "networks": networks})


@by_identity
def _with_losses_of_training(training: Any, several: bool) -> Any:
    """Return a training, or a phase of one, or None, whose inner attacks have a loss in the place of `auto`."""
    if isinstance(training, Phased):
        phases = tuple(_with_losses_of_training(phase, several) for phase in training.phases)
        return training.model_copy(update={"phases": phases})
    if not isinstance(training, Adversarial | AdversarialPhase):
        return training
    return training.model_copy(update={"attack": with_loss(training.attack, several and training.loss == "mse")})


@by_identity
def _with_loss_of_fit(kernel: Kernel, several: bool) -> Kernel:
    """Return a kernel whose fit, if it attacks, has a loss in the place of `auto`."""
    if not isinstance(kernel, InfiniteKernel) or not isinstance(kernel.fit, AdvNtk):
        return kernel
    attack = with_loss(kernel.fit.attack, several)
    return kernel.model_copy(update={"fit": kernel.fit.model_copy(update={"attack": attack})})


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
        return _canonical_model(value)
    if isinstance(value, Mapping):
        return {str(key): canonical(value[key]) for key in sorted(value)}
    if isinstance(value, (tuple, list)):
        return [canonical(item) for item in value]
    if isinstance(value, (Fraction, Budget)):
        return str(value)
    if isinstance(value, float):
        return str(value) if value in (float("inf"), -float("inf")) else value + 0.0
    return value


@by_identity
def _canonical_model(model: BaseModel) -> dict[str, Any]:
    """Return a model as JSON, see `canonical`: the same object for each cell that shares the section."""
    fields = type(model).model_fields
    kept = {name: canonical(getattr(model, name)) for name, info in fields.items() if not _omitted(model, name, info)}
    extension = extensions.identity(type(model))
    return dict(sorted(kept.items())) | ({"$extension": dict(extension)} if extension else {})


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


@by_identity
def normalized(cell: Cell) -> Cell:
    """Return the cell with everything implicit written out, so that equivalent specs have the same id.

    Classes become label numbers, kernels name their architecture or moment, networks all their fields, schedules their
    length, and attacks their loss. Raise NtkbenchError if the data set lacks a class.
    """
    cell = with_auto_losses(cell)
    return cell.model_copy(
        update={
            "data": _with_numbers(cell.data),
            "training": _written_out(cell.training),
            "kernels": {name: _explicit(cell, kernel) for name, kernel in cell.kernels.items()},
            "networks": {name: _explicit_network(cell, name) for name in cell.networks},
        }
    )


def with_explicit_schedule(training: T) -> T:
    """Return the training, or a phase, with the length of each schedule written out.

    The first phase of a training that is linearized later is a shorter training; its schedule must not end earlier.
    """
    if isinstance(training, Phased):
        return training.model_copy(update={"phases": tuple(map(with_explicit_schedule, training.phases))})
    if not isinstance(training, Descent):
        return training
    optimizer = training.optimizer
    if not isinstance(optimizer.schedule, CosineDecay) or optimizer.schedule.epochs is not None:
        return training
    schedule = optimizer.schedule.model_copy(update={"epochs": training.epochs})
    return training.model_copy(update={"optimizer": optimizer.model_copy(update={"schedule": schedule})})


def short_form(training: Untrained | Pretrained | Trained) -> Any:
    """Return a training in phases as the same one in a single mode, where there is such a one; others as they are.

    That is one phase, or two that differ in `linearize` alone, which `linearize_at` and `centered` are short for.
    """
    if not isinstance(training, Phased) or len(training.phases) not in (1, 2):
        return training
    first, last = training.phases[0], training.phases[-1]
    at = None if last.linearize is None else 0
    if len(training.phases) == 2:
        as_first = {name: getattr(first, name) for name in ("epochs", "warm_up") if hasattr(first, name)}
        same = last.model_copy(update={**as_first, "linearize": None, "until": None}) == first
        if not same or at is None or last.optimizer.schedule or getattr(last, "warm_up", 0):
            return training
        at = first.epochs
    own = {name: value for name, value in first if name != "linearize"}
    own |= {"epochs": training.epochs, "until": last.until}
    of = Adversarial if isinstance(first, AdversarialPhase) else Standard
    return of.model_construct(**own, linearize_at=at, centered=last.linearize == "centered")


@by_identity
def _with_numbers(data: Data) -> Data:
    """Return the data with classes as label numbers; those of sets that are not in the catalog stay as written."""
    entry = data.entry
    try:
        classes = data.classes if entry is None else class_numbers(entry, data.classes)
    except ValueError as error:
        raise NtkbenchError(f"data.classes: {error}") from None
    return data.model_copy(update={"classes": classes})


@by_identity
def _written_out(training: Any) -> Any:
    """Return a training in its shortest form, with the length of each schedule."""
    return short_form(with_explicit_schedule(training))


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
    return _with_network(kernel, architecture, (kernel.width or cell.width) if standard else None)


@by_identity
def _with_network(kernel: InfiniteKernel, architecture: Any, width: int | None) -> InfiniteKernel:
    """Return an infinite kernel that names its architecture and width."""
    return kernel.model_copy(update={"architecture": architecture, "width": width})


def _explicit_network(cell: Cell, name: str) -> Network:
    """Return a further network with the fields of the run's own, and the offset of its seed, written out."""
    own, words = cell.as_own(name), cell.networks[name]
    fields = {"architecture": own.architecture, "width": own.width, "training": _written_out(own.training)}
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
