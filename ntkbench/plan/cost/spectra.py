"""Decide how many eigenpairs of an infinite kernel are computed: the first few, where nobody asks for the others.

Here stands the whole rule, for what plans say and for what runs do.

- Consistency asks for as many as its largest eigenspace has dimensions, and for those of its features, each with the
  eigenvalue after it, which tells whether it stands apart.
- Everything else asks for all. Eigenspace has the whole predictor, the rests of its truncations and a grid of
  truncations that ends with all features. Time and ridge, another fit and certificates of labels filter every
  direction; a certificate of images sums over all.
- Few are worth a way of their own from `FROM` training examples on, up to a share 1 / `SHARE` of all, and where the
  kernel's entries, which a regression may then compute once more, cost less than all eigenpairs.

Whether the kernel is singular is told without the other eigenvalues, see `ntk.regression.Spectrum.leading`; where that
fails, all are computed after all.
"""

from ntkbench.plan import selections
from ntkbench.plan.cost import kernels
from ntkbench.spec.analyses import Certified, Consistency, Spectral
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import InfiniteKernel

FROM = 2000
"""training examples from which on the first eigenpairs may be computed alone"""
SHARE = 20
"""least number of eigenpairs for each of those that are computed alone"""


def asked(cell: Cell, kernel_id: str) -> int:
    """Return how many first eigenpairs a cell asks of an infinite kernel: 0 for none, or up to all."""
    kernel, size = cell.kernels[kernel_id], selections.size(cell, kernel_id)
    if kernel.time != float("inf") or getattr(kernel, "fit", None):
        return size
    found = 0
    for analysis in cell.analyses.values():
        if isinstance(analysis, Spectral | Certified) and kernel_id in _kernels(analysis):
            found = max(found, min(size, _reach(analysis, size)))
    return found


def leading(cell: Cell, kernel: InfiniteKernel, count: int) -> int | None:
    """Return the number of first eigenpairs that are computed alone where `count` are asked for; None for all."""
    n = cell.data.n_train
    few = n >= FROM and 0 < SHARE * count <= n
    return count if few and kernels.is_cheaper_than_its_spectrum(cell, kernel) else None


def _kernels(analysis: Spectral | Certified) -> tuple[str, ...]:
    """Return the kernels whose spectra an analysis needs."""
    return (analysis.target, *getattr(analysis, "against", ()))


def _reach(analysis: Spectral | Certified, size: int) -> int:
    """Return how many first eigenpairs of `size` an analysis asks for; it may be more than there are."""
    if not isinstance(analysis, Consistency):
        return size
    last = max(selections.features(analysis.features, size))
    return max(last + 2, *(k for k in analysis.top if k <= size), 1)
