"""Keys of what is computed once and kept. They chain: data -> training, data -> kernel -> solve -> craft.

Poisoned training images are data that are computed: their key holds the clean data and the kernel that they fool.

A key is a hash of all that a stage's result depends on and nothing else, so that runs share what they can: the kernel
of a whole sweep over widths, seeds and test sets is one object. A revision is raised by hand when a stage's results
change.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, Literal

from ntkbench.memo import by_identity
from ntkbench.plan import selections, timeline
from ntkbench.plan.cost import kernels, spectra
from ntkbench.plan.networks import operations
from ntkbench.spec.analyses import Certified, Drift, Spectral, TransferMatrix
from ntkbench.spec.attacks import SELF, GradientAttack
from ntkbench.spec.cell import Cell, Numerics
from ntkbench.spec.data import NTGA, Data, SphereTeacher
from ntkbench.spec.identity import canonical, digest, normalized
from ntkbench.spec.kernels import InfiniteKernel, Kernel
from ntkbench.spec.notation import MATCHED
from ntkbench.spec.training import Trained

Shared = Literal["poison", "kernel", "solve", "craft"]
"""stages that cells have in common: poisoned images, spectra of kernels, coefficients of regressions, examples crafted
on these"""
SOLVED_FROM = 2000
"""training examples from which on a regression is solved without the kernel's spectrum; with fewer, the spectrum takes
a second or two, and then serves every time and ridge
"""
REVISIONS: Mapping[str, int] = MappingProxyType(
    {"data": 1, "training": 1, "kernel": 1, "solve": 1, "craft": 1, "poison": 1}
)
"""revision of each stage's results, a part of its keys"""

_MENDED = frozenset(("tanh", "sigmoid", "softplus", "silu", "sin", "gelu"))
"""activations whose limits were wrong at large variances in the first revision"""


def _key(stage: str, parts: Mapping[str, Any]) -> str:
    """Return the key of a stage: its first letter, and a hash of its revision and of `parts`."""
    return digest(stage[0], {"stage": stage, "revision": REVISIONS[stage], **parts})


def data_key(cell: Cell) -> str:
    """Return the key of the arrays of training and test examples that a run sees."""
    return _data_key(normalized(cell).data, _fooled(cell))


def poison_key(cell: Cell) -> str:
    """Return the key of a cell's poisoned training images."""
    return _key("poison", {"data": _examples_seen(normalized(cell).data, _fooled(cell))})


def _fooled(cell: Cell) -> InfiniteKernel | None:
    """Return the kernel that the cell's poison is made for, if there is one."""
    poison = cell.data.poison
    return _infinite(cell, poison.kernel) if isinstance(poison, NTGA) else None


def _data(data: Data, fooled: InfiniteKernel | None) -> dict[str, Any]:
    """Return the fields of the data; a poison has the kernel that it fools in the place of the kernel's id."""
    found = canonical(data)
    if fooled is None:
        return found
    return {**found, "poison": {**found["poison"], "kernel": _limit(fooled)}}


@by_identity
def _data_key(data: Data, fooled: InfiniteKernel | None) -> str:
    return _key("data", {"data": _data(data, fooled)})


@by_identity
def _examples_seen(data: Data, fooled: InfiniteKernel | None) -> dict[str, Any]:
    """Return the fields of normalized data that its training examples depend on, without those of test examples."""
    taught = isinstance(data.dataset, SphereTeacher)  # its teacher is drawn with the test points
    unseen = {"n_test"} if taught else {"n_test", "test_seed"}
    return {name: value for name, value in _data(data, fooled).items() if name not in unseen}


@by_identity
def training_key(cell: Cell) -> str:
    """Return the key of a cell's training. The seed is no part of it: the seeds of a cell train together."""
    parts: dict[str, Any] = {
        "architecture": cell.architecture,
        "width": cell.width,
        "training": normalized(cell).training,
    }
    if isinstance(cell.training, Trained) and timeline.drops_last(cell):
        parts["left_over"] = "dropped"
    seen = _examples_seen(normalized(cell).data, _fooled(cell))
    return _key("training", {"data": seen, **parts, "dtype": cell.numerics.network})


def networks_needed(cell: Cell) -> tuple[str, ...]:
    """Return the networks that runs of a cell draw or train: `self`, and what attacks and analyses name of others."""
    named = {getattr(attack, "source", "") for attack in cell.attacks.values()}
    for analysis in cell.analyses.values():
        named.update(selections.targets(cell, analysis))
        if isinstance(analysis, TransferMatrix):
            named.update(selections.sources(cell, analysis))
    return (*([SELF] if cell.has_network else []), *(name for name in cell.networks if name in named))


def trainings(cell: Cell) -> Iterator[tuple[str, Cell]]:
    """Yield the phases of all trainings that runs of a cell need: the id of the network, and the cell of the phase."""
    for name in networks_needed(cell):
        yield from ((name, part) for part in timeline.trainings(cell.as_own(name)))


@by_identity
def kernel_key(cell: Cell, kernel_id: str) -> str:
    """Return the key of an infinite kernel's Gram matrix and spectrum. Time and ridge are filters that come later."""
    return _kernel_key(normalized(cell).data, _fooled(cell), _infinite(cell, kernel_id), cell.numerics)


@by_identity
def _kernel_key(data: Data, fooled: InfiniteKernel | None, kernel: InfiniteKernel, numerics: Numerics) -> str:
    """Return the key of a kernel's spectrum; `data` and the kernels are normalized."""
    return _key("kernel", {"data": _examples_seen(data, fooled), **_limit(kernel), "dtype": numerics.kernel})


def _limit(kernel: InfiniteKernel) -> dict[str, Any]:
    """Return what an infinite kernel is, whatever it is fitted to and how, as parts of a key."""
    parts: dict[str, Any] = {"architecture": kernel.architecture, "type": kernel.type, "width": kernel.width}
    if kernel.architecture and operations(kernel.architecture) & _MENDED:
        parts["activations"] = 2
    return parts


def solve_key(cell: Cell, kernel_id: str) -> str:
    """Return the key of the coefficients of a regression at infinite time."""
    return _solve_key(normalized(cell).data, _fooled(cell), _infinite(cell, kernel_id), cell.numerics)


@by_identity
def _solve_key(data: Data, fooled: InfiniteKernel | None, kernel: InfiniteKernel, numerics: Numerics) -> str:
    """Return the key of a regression's coefficients; `data` and `kernel` are normalized."""
    of = _kernel_key(data, fooled, kernel, numerics)
    return _key("solve", {"kernel": of, "ridge": kernel.ridge, **_fit(kernel)})


def _fit(kernel: InfiniteKernel) -> dict[str, Any]:
    """Return how a kernel is fitted as a part of a key: nothing for gradient flow, whose keys are older."""
    return {"fit": canonical(kernel.fit)} if kernel.fit else {}


def regression_stage(cell: Cell, kernel_id: str) -> tuple[Literal["kernel", "solve"], str]:
    """Return the stage, and its key, that regression with an infinite kernel needs: its spectrum, or one solve.

    A solve is enough at infinite time, and the coefficients of another way to fit are kept as one. The spectrum is
    taken all the same where the cell needs all of it anyway, and where the kernel's entries cost more than their
    decomposition: then they are better computed once for all times and ridges.
    """
    kernel, key = _infinite(cell, kernel_id), kernel_key(cell, kernel_id)
    if kernel.fit:
        return "solve", solve_key(cell, kernel_id)
    large = cell.data.n_train >= SOLVED_FROM and kernels.is_cheaper_than_its_spectrum(cell, kernel)
    if not large or kernel.time != float("inf"):
        return "kernel", key
    whole = _asked(cell, kernel_id) > 0 and spectrum_stage(cell, kernel_id)[1] is None
    return ("kernel", key) if whole else ("solve", solve_key(cell, kernel_id))


def spectrum_stage(cell: Cell, kernel_id: str) -> tuple[str, int | None]:
    """Return the key of the spectrum that analyses of an infinite kernel need, and its number of eigenpairs.

    The number is None where it has all of them, see `cost.spectra`; the key is then `kernel_key`.
    """
    key, top = kernel_key(cell, kernel_id), spectra.leading(cell, _infinite(cell, kernel_id), _asked(cell, kernel_id))
    return (key, None) if top is None else (_key("kernel", {"kernel": key, "top": top}), top)


def _asked(cell: Cell, kernel_id: str) -> int:
    """Return how many first eigenpairs a cell asks of a kernel, under this id or another."""
    key, infinite = kernel_key(cell, kernel_id), (name for name, of in cell.kernels.items() if of.kind == "infinite")
    return max(spectra.asked(cell, name) for name in infinite if kernel_key(cell, name) == key)


def _regressed(cell: Cell) -> set[str]:
    """Return the predictors that analyses judge or attack as they are, without taking them apart."""
    found = set[str]()
    for analysis in cell.analyses.values():
        if not isinstance(analysis, Spectral | Certified | Drift):
            attacks = (cell.attack(name) for name in selections.attacks_shown(cell, analysis))
            found.update(selections.targets(cell, analysis), (getattr(attack, "source", "") for attack in attacks))
    return found


def crafted_attacks(cell: Cell) -> tuple[str, ...]:
    """Return the attacks on infinite kernels that some analysis needs: the store keeps what they make."""
    needed = dict.fromkeys(
        name for analysis in cell.analyses.values() for name in selections.attacks_shown(cell, analysis)
    )
    sources = {name: getattr(cell.attack(name), "source", "") for name in needed}
    return tuple(name for name, source in sources.items() if is_shared(cell.kernels.get(source)))


def is_shared(kernel: Kernel | None) -> bool:
    """Return whether runs share a kernel's predictor: the kernel is infinite, and its time is not that of one run."""
    return isinstance(kernel, InfiniteKernel) and kernel.time != MATCHED


def shared_stages(cell: Cell) -> Iterator[tuple[Shared, str, str]]:
    """Yield stage, key and id of what a cell has in common with others: poisoned training images, then infinite
    kernels, or solves with them, then examples crafted on them."""
    if cell.data.poison:
        yield "poison", poison_key(cell), cell.data.poison.kind
    for name, kernel in cell.kernels.items():
        if isinstance(kernel, InfiniteKernel):
            key, top = spectrum_stage(cell, name)
            if top:
                yield "kernel", key, name
            if not top or name in _regressed(cell):
                yield *regression_stage(cell, name), name
    for name in crafted_attacks(cell):
        yield "craft", craft_key(cell, name), name


@by_identity
def craft_key(cell: Cell, attack_id: str) -> str:
    """Return the key of the examples that an attack makes on an infinite kernel; ValueError for any other attack."""
    attack = normalized(cell).attack(attack_id)
    if not isinstance(attack, GradientAttack):
        raise ValueError(f"{attack_id} follows no gradient")
    return _craft_key(normalized(cell).data, _fooled(cell), _infinite(cell, attack.source), cell.numerics, attack)


@by_identity
def _craft_key(
    data: Data, fooled: InfiniteKernel | None, kernel: InfiniteKernel, numerics: Numerics, attack: GradientAttack
) -> str:
    """Return the key of the examples that an attack makes on a kernel; all but the numerics are normalized."""
    fields = {name: value for name, value in canonical(attack).items() if name != "source"}
    parts = {
        "data": _data_key(data, fooled),
        "kernel": _kernel_key(data, fooled, kernel, numerics),
        "time": kernel.time,
        "ridge": kernel.ridge,
        "attack": fields,
        **_fit(kernel),
    }
    if kernel.time != float("inf"):
        parts["flow"] = 2  # revision 1 let round-off grow on singular kernels
    return _key("craft", parts)


def _infinite(cell: Cell, kernel_id: str) -> InfiniteKernel:
    """Return an infinite kernel of a cell with all defaults filled in; raise ValueError if there is none of this id."""
    kernel = normalized(cell).kernels.get(kernel_id)
    if not isinstance(kernel, InfiniteKernel):
        raise ValueError(f"{kernel_id} is not an infinite kernel of this cell")
    return kernel


_MOST_NAMED = 1000
"""the most seeds that a group's key may stand for; longer ones are not read"""


def group_key(cell: Cell, seeds: Sequence[int]) -> str:
    """Return the key of a group's objects in the store; `seeds_of` reads the seeds back from its end."""
    return f"{training_key(cell)}-{_tag(seeds)}"


def state_key(group_key: str, step: int | str) -> str:
    """Return the key of a group's state after `step` steps of its phase."""
    return f"{group_key}@step{step}"


def _tag(seeds: Sequence[int]) -> str:
    """Return ascending seeds as text, with ranges: 0-4.7 for 0, 1, 2, 3, 4 and 7."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ".".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def seeds_of(tag: str) -> tuple[int, ...]:
    """Return the seeds that the end of a group's key names; none if it is malformed or names too many."""
    if not re.fullmatch(r"[0-9]{1,20}(-[0-9]{1,20})?(\.[0-9]{1,20}(-[0-9]{1,20})?)*", tag):
        return ()
    bounds = [tuple(map(int, run.split("-"))) for run in tag.split(".")]
    found = [range(bound[0], bound[-1] + 1) for bound in bounds]
    return tuple(chain(*found)) if sum(map(len, found)) <= _MOST_NAMED else ()
