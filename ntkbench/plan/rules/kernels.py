"""Find what a spec asks wrongly of kernels: features that are not there, widths and times without a meaning."""

from collections.abc import Iterator

from ntkbench.errors import Problem
from ntkbench.plan import selections, timeline
from ntkbench.spec.analyses import Consistency, Eigenspace, Spectral
from ntkbench.spec.attacks import SELF, GivenImages, GradientAttack
from ntkbench.spec.document import Path
from ntkbench.spec.kernels import AdvNtk, EmpiricalKernel, InfiniteKernel
from ntkbench.spec.notation import MATCHED
from ntkbench.spec.reading.validate import Draft
from ntkbench.spec.training import SGD, Trained
from ntkbench.text import did_you_mean

# Check the analyses of a kernel's features: which kernel, which attack, and which features there are.
#
# `problems` is a rule of `plan/check.py`; `path` is where an analysis stands, `size` how many features its kernel has.


def problems(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with each analysis of a kernel's features."""
    for name, analysis in draft.cell.analyses.items():
        if isinstance(analysis, Spectral):
            path = ("analyses", name)
            yield from _kernels(draft, path, analysis)
            yield from _attack(draft, path, analysis)
            yield from _classes(draft, analysis)
            if analysis.target in draft.cell.kernels and draft.sized:
                size = selections.size(draft.cell, analysis.target)
                yield from _features(draft, path, analysis, size)
                yield from _spaces(draft, path, analysis, size)


def _classes(draft: Draft, analysis: Spectral) -> Iterator[Problem]:
    """Yield a problem where the training or the test set has one example, and so one class."""
    for name in ("n_train", "n_test") if draft.whole("data") else ():
        if getattr(draft.cell.data, name) == 1:
            message = f"{analysis.kind} needs examples of two classes, and one example has one; take more"
            yield draft.problem(("data", name), message)


def _kernels(draft: Draft, path: Path, analysis: Spectral) -> Iterator[Problem]:
    """Yield a problem for each kernel whose features the analysis cannot take.

    A kernel has one spectrum, that without a filter: time and ridge are what an analysis adds. Consistency compares
    infinite kernels alone.
    """
    if analysis.target in (SELF, *draft.cell.networks):
        message = f"{analysis.kind} takes a kernel apart, and {analysis.target} is a network; name a kernel"
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
        if isinstance(kernel, InfiniteKernel) and kernel.fit:
            message = f"{name} is fitted by {kernel.fit.kind}, which is no spectral filter"
            yield draft.problem(where, f"{message}; name a kernel without fit")
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
    if attack is None or isinstance(attack, GivenImages):
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


def kernels(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with kernels: reference widths, and times that are to match a training that has none."""
    for name, kernel in draft.cell.kernels.items():
        path = ("kernels", name)
        if isinstance(kernel, InfiniteKernel) and draft.whole("architecture", "width"):
            yield from _reference_width(draft, path, kernel)
        if isinstance(kernel, InfiniteKernel) and kernel.fit:
            yield from _fitted(draft, path, kernel)
        if kernel.time == MATCHED and draft.whole("training"):
            yield from _flow_time(draft, (*path, "time"))


def _fitted(draft: Draft, path: Path, kernel: InfiniteKernel) -> Iterator[Problem]:
    """Yield a problem for a time or a ridge beside another way to fit, and where it holds out all examples."""
    assert kernel.fit
    for name, plain in (("time", float("inf")), ("ridge", 0)):
        if getattr(kernel, name) != plain:
            yield draft.problem((*path, name), f"fit: {kernel.fit.kind} takes the place of time and ridge; delete this")
    if isinstance(kernel.fit, AdvNtk) and draft.whole("data") and kernel.fit.n_validation >= draft.cell.data.n_train:
        message = f"of the {draft.cell.data.n_train} training examples none is left to fit; hold out fewer"
        yield draft.problem((*path, "fit", "n_validation"), message)


def _flow_time(draft: Draft, path: Path) -> Iterator[Problem]:
    """Yield a problem where the network's training corresponds to no gradient-flow time."""
    training = draft.cell.training
    if not isinstance(training, Trained):
        why = f"matched takes the time of the trained network, and training mode is {training.mode}"
        yield draft.problem(path, f"{why}; write a number or inf")
        return
    if draft.cell.networks and not draft.cell.has_network and draft.whole("width", "architecture"):
        message = "matched takes the time of the run's own network, and this cell has none; write a number or inf"
        yield draft.problem(path, message)
        return
    optimizers = [words.optimizer for _, words in timeline.as_written(training)]
    if kind := next((optimizer.kind for optimizer in optimizers if not isinstance(optimizer, SGD)), None):
        yield draft.problem(
            path, f"matched needs a training that follows gradient flow, and {kind} does not; use sgd, or a number"
        )


def _reference_width(draft: Draft, path: Path, kernel: InfiniteKernel) -> Iterator[Problem]:
    """Yield a problem where a kernel lacks a width that its parameterization needs, or has one that changes nothing."""
    standard = (kernel.architecture or draft.cell.architecture).parameterization == "standard"
    if standard and kernel.width is None and draft.cell.width is None:
        why = "with parameterization standard the kernel depends on a reference width"
        yield draft.root.at(path).key.problem(path, f"{why}; give the kernel or the cell a `width`")
    if not standard and kernel.width is not None:
        message = "only the kernel of parameterization standard depends on a width; delete this"
        yield draft.problem((*path, "width"), message)
