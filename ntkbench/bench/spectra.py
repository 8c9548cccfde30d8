"""Check the analyses of a kernel's features: which kernel, which attack, and which features there are.

`problems` is a rule of `bench/rules.py`; `path` is where an analysis stands, `size` how many features its kernel has.
"""

from collections.abc import Iterator

from ntkbench.bench import choice
from ntkbench.bench.document import Path
from ntkbench.bench.spec import Consistency, Eigenspace, EmpiricalKernel, Spectral
from ntkbench.bench.suggest import did_you_mean
from ntkbench.bench.threats import SELF, GradientAttack
from ntkbench.bench.validate import Draft
from ntkbench.errors import Problem


def problems(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with each analysis of a kernel's features."""
    for name, analysis in draft.cell.analyses.items():
        if isinstance(analysis, Spectral):
            path = ("analyses", name)
            yield from _kernels(draft, path, analysis)
            yield from _attack(draft, path, analysis)
            yield from _classes(draft, analysis)
            if analysis.target in draft.cell.kernels and draft.sized:
                size = choice.size(draft.cell, analysis.target)
                yield from _features(draft, path, analysis, size)
                yield from _spaces(draft, path, analysis, size)


def _classes(draft: Draft, analysis: Spectral) -> Iterator[Problem]:
    """Yield a problem where the training or the test set has one example, and so one class."""
    for name in ("n_train", "n_test") if draft.whole("data") else ():
        if getattr(draft.cell.data, name) == 1:
            message = f"one example is of one class, and {analysis.kind} needs two; take more"
            yield draft.problem(("data", name), message)


def _kernels(draft: Draft, path: Path, analysis: Spectral) -> Iterator[Problem]:
    """Yield a problem for each kernel whose features the analysis cannot take.

    A kernel has one spectrum, that without a filter: time and ridge are what an analysis adds. Consistency compares
    infinite kernels alone.
    """
    if analysis.target == SELF:
        message = f"{analysis.kind} takes a kernel apart, and self is a network; name a kernel"
        yield draft.problem((*path, "target"), message)
    named: list[tuple[Path, str]] = [((*path, "target"), analysis.target)]
    if isinstance(analysis, Consistency):
        several = draft.root.at((*path, "against")).items
        for i, name in enumerate(analysis.against):
            where: Path = (*path, "against", i) if several else (*path, "against")
            named.append((where, name))
            yield from _against(draft, where, name)
    for where, name in named:
        kernel = draft.cell.kernels.get(name)
        if kernel is not None and (kernel.time != float("inf") or kernel.ridge != 0):
            message = f"features are those of the bare kernel, and {name} has a finite time or a ridge"
            yield draft.problem(where, f"{message}; name a kernel with time: inf and ridge: 0")
        if isinstance(analysis, Consistency) and isinstance(kernel, EmpiricalKernel):
            yield draft.problem(where, f"{name} is empirical; consistency compares infinite kernels")


def _against(draft: Draft, path: Path, name: str) -> Iterator[Problem]:
    """Yield a problem if there is no kernel of this id."""
    node = draft.root.child("kernels")
    known = set(node.entries) if node else set()
    if name not in known:
        yield draft.problem(path, f"no kernel {name}{did_you_mean(name, known)}")


def _attack(draft: Draft, path: Path, analysis: Spectral) -> Iterator[Problem]:
    """Yield a problem where the attack's source is not the kernel itself: features are attacked through their own
    gradient."""
    attack = draft.cell.attacks.get(analysis.attack or "")
    if attack is None:
        return
    if not isinstance(attack, GradientAttack):
        message = f"{analysis.attack} is random; features are attacked along a gradient"
        yield draft.problem((*path, "attack"), f"{message}: kind: fgsm, pgd or apgd")
    elif attack.source != analysis.target:
        message = f"{analysis.attack} is made on {attack.source}; features are attacked through their own gradient"
        yield draft.problem((*path, "attack"), f"{message}, with source: {analysis.target}")


def _features(draft: Draft, path: Path, analysis: Spectral, size: int) -> Iterator[Problem]:
    """Yield a problem for each index or number of features that the kernel does not have."""
    if isinstance(analysis, Eigenspace):
        yield from _indices(draft, (*path, "features"), analysis.features, size)
        yield from _above(draft, (*path, "truncations"), analysis.truncations, size)
        if analysis.pictures:
            yield from _indices(draft, (*path, "pictures", "features"), analysis.pictures.features, size)
            n_test = draft.cell.data.n_test
            yield from _indices(draft, (*path, "pictures", "tests"), analysis.pictures.tests, n_test, "test images")
    if isinstance(analysis, Consistency):
        yield from _indices(draft, (*path, "features"), analysis.features, size)
        if draft.root.at(path).child("top"):
            yield from _above(draft, (*path, "top"), analysis.top, size)


def _indices(draft: Draft, path: Path, words: object, size: int, what: str = "features") -> Iterator[Problem]:
    """Yield a problem for each index in `words` of `size` or more; `what` they are indices of, in messages."""
    for i in words if isinstance(words, tuple) else ():
        if i >= size:
            yield _item(draft, path, i, f"there is no {what[:-1]} {i}: the {size} {what} are 0 to {size - 1}")


def _above(draft: Draft, path: Path, words: object, size: int) -> Iterator[Problem]:
    """Yield a problem for each number of features in `words` above `size`."""
    for k in words if isinstance(words, tuple) else ():
        if k > size:
            yield _item(draft, path, k, f"{k} is more than the {size} features of the kernel")


def _item(draft: Draft, path: Path, value: int, message: str) -> Problem:
    """Return a problem at the item of the list that has this value."""
    items = draft.root.at(path).items
    place = next((i for i, item in enumerate(items) if item.value == value), None)
    return draft.problem(path if place is None else (*path, place), message)


def _spaces(draft: Draft, path: Path, analysis: Spectral, size: int) -> Iterator[Problem]:
    """Yield a problem for each group of features that is empty, or ends beyond the last one."""
    if not isinstance(analysis, Eigenspace):
        return
    here = (*path, "groups")
    if isinstance(analysis.groups, int):
        if analysis.groups > size:
            yield draft.problem(here, f"{analysis.groups} groups of {size} features: some would be empty")
        return
    for i, (start, stop) in enumerate(analysis.groups):
        if start >= stop:
            message = f"[{start}, {stop}] holds no feature; write the first index, and the index after the last"
            yield draft.problem((*here, i), message)
        elif stop > size:
            message = f"[{start}, {stop}] goes beyond the end: there are {size} features, and the last group ends at"
            yield draft.problem((*here, i), f"{message} {size}")
