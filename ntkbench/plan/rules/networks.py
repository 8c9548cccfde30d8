"""Find what a spec asks wrongly of its further networks: ids that are taken, and networks that cannot be drawn."""

from collections.abc import Iterator

from ntkbench.errors import Problem
from ntkbench.spec.architectures import Given
from ntkbench.spec.reading.validate import Draft, ids

# The sections of a further network are checked by the rules of the run's own, see `plan/check.py`.


def problems(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each further network with the id of a kernel, without a width, or that is a given one."""
    kernels = ids(draft, "kernels") or set()
    for name in draft.cell.networks:
        path, key = ("networks", name), draft.root.at(("networks", name)).key
        if name in kernels:
            message = f"{name} is also a kernel, and attacks and analyses name both by their id; choose another id"
            yield key.problem(path, message)
        if draft.whole("networks", "architecture", "width"):
            own = draft.cell.as_own(name)
            if isinstance(own.architecture, Given):
                message = "a given network has the weights that it was given with; write another `architecture` here"
                yield key.problem(path, message)
            elif not own.has_network:
                message = "a network needs a `width`, and the cell has none that it could take; write one here"
                yield key.problem(path, message)
