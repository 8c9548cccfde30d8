"""Measure how a kernel moves along training: distances of Gram matrices, their spectra, their alignment with labels.

<K, K'> = sum_ij K_ij K'_ij and |K|^2 = <K, K>. Kernels may be stored in float32; all sums are float64.
Eigenvalues are in descending order along the last axis, and whatever is before it counts snapshots.
"""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ntkbench.errors import NumericsError
from ntkbench.ntk.batch_norm import trained
from ntkbench.ntk.network import Trainable, cast
from ntkbench.ntk.regression import Spectrum

LAZY = 0.1
"""of the largest velocity: a kernel that is slower from then on has become lazy"""
STILL = 1e-10
"""distance: what rounding to float32 may do to a kernel that stays where it is"""
_ROUND_OFF = 1e-14
"""of a distance: 1 less a quotient of long sums in float64"""
_COLUMNS = 2**22
"""numbers in float64 at once while products are summed"""


# ---- distances -----------------------------------------------------------------------------------


def half(K: Float[np.ndarray, "r r"]) -> Float[np.ndarray, " m"]:
    """A symmetric matrix as a vector of its upper half in float32, off-diagonal entries times sqrt 2.

    So vectors have the inner products of the matrices, in a quarter of the memory that float64 takes.
    """
    rows, columns = np.triu_indices(len(K))
    return (K[rows, columns] * np.where(rows == columns, 1.0, 2**0.5)).astype(np.float32)


def products(one: Float[np.ndarray, "s m"], two: Float[np.ndarray, "t m"]) -> Float[np.ndarray, "s t"]:
    """<K, K'> of all pairs of halves."""
    size = max(1, _COLUMNS // (len(one) + len(two)))
    total = np.zeros((len(one), len(two)))
    for start in range(0, one.shape[1], size):
        a, b = (each[:, start : start + size].astype(np.float64) for each in (one, two))
        total += a @ b.T
    return total


def distances(products: Float[np.ndarray, "t t"]) -> Float[np.ndarray, "t t"]:
    """1 - <K, K'> / (|K| |K'|) of all pairs (Fort 2020); 0 between kernels that are multiples of each other."""
    squares = np.diagonal(products)
    if (squares == 0).any():
        raise NumericsError(
            f"the kernel of snapshot {int(np.argmin(squares != 0))} is zero and has no direction: no output depends "
            "on any weight, as where all units of a network are dead; try a smaller learning rate, or biases"
        )
    return _distance(products, squares[:, None] * squares[None, :])


def _distance(product, squares):
    """NaN where one of the two is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = 1 - product / np.sqrt(squares)
    return np.where(np.abs(distance) < _ROUND_OFF, 0.0, np.clip(distance, 0, 2))


def path_length(distances: Float[np.ndarray, "t t"]) -> float:
    """Sum of the distances of consecutive snapshots."""
    return float(np.trace(distances, offset=1))


def velocities(distances: Float[np.ndarray, "t t"], epochs: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t-1"]:
    """Distance an epoch, from each snapshot to the next."""
    return np.diagonal(distances, 1) / np.diff(epochs)


def moves(distances: Float[np.ndarray, "t t"]) -> bool:
    """Return whether any two snapshots differ by more than rounding to float32 can explain."""
    return bool(distances.max() > STILL)


def lazy_onset(distances: Float[np.ndarray, "t t"], epochs: Float[np.ndarray, " t"]) -> float | None:
    """The first snapshot from which on every interval is slower than a tenth of the fastest; None if there is none.

    The velocity of an interval is D(K_t, K_t+dt) / dt. There is no onset where the kernel does not move, nor where the
    last interval is still fast: the training is then too short to tell. Later snapshots change the onset only if they
    are fast, so that it does not grow with the horizon.
    """
    if not moves(distances):
        return None
    velocity = velocities(distances, epochs)
    start = int(np.flatnonzero(velocity >= LAZY * velocity.max())[-1]) + 1
    return float(epochs[start]) if start < len(velocity) else None


def nearness_onset(distances: Float[np.ndarray, "t t"], epochs: Float[np.ndarray, " t"]) -> float | None:
    """The first snapshot with D(K_t, K_T) <= 0.1 D(K_0, K_T), revision 1 of `lazy_onset`, which grows with T.

    None where the first kernel and the last are the same.
    """
    left = distances[:, -1]
    if not left[0] > STILL:
        return None
    return float(epochs[np.argmax(left <= LAZY * left[0])])


def by_horizon(
    onset: Callable[[Float[np.ndarray, "s s"], Float[np.ndarray, " s"]], float | None],
    distances: Float[np.ndarray, "t t"],
    epochs: Float[np.ndarray, " t"],
) -> Float[np.ndarray, " t-1"]:
    """The onset that the same training would have had if it had ended at each snapshot but the first; NaN for None."""
    ends = range(2, len(epochs) + 1)
    return np.array([onset(distances[:end, :end], epochs[:end]) for end in ends], float)


def polar(
    squares: Float[np.ndarray, "*k t"], with_first: Float[np.ndarray, "*k t"]
) -> tuple[Float[np.ndarray, "*k t"], Float[np.ndarray, "*k t"]]:
    """Radius |K_t - K_0| / |K_T - K_0| and angle arccos(<K_t, K_0> / (|K_t| |K_0|)), of |K_t|^2 and <K_t, K_0>.

    The radius is NaN where K_T - K_0 is round-off, the angle where one of the two is zero.
    """
    first = squares[..., :1]
    moved = np.maximum(squares - 2 * with_first + first, 0)
    known = moved[..., -1:] > 2 * STILL * first
    radius = np.sqrt(np.where(known, moved, np.nan) / np.where(known, moved[..., -1:], 1))
    return radius, 2 * np.arcsin(np.sqrt(_distance(with_first, squares * first) / 2))


def truncated_products(one: Spectrum, two: Spectrum, top: Sequence[int]) -> Float[np.ndarray, "2 k"]:
    """<A, A'> of the parts A = sum_i lambda_i v_i v_i^T of two matrices: the first k eigenvectors, and the rest.

    <v v^T, w w^T> = (v.w)^2, so that one product of matrices serves all k and no part is ever formed.
    """
    (a, V), (b, W) = ((np.asarray(each.eigenvalues), np.asarray(each.eigenvectors)) for each in (one, two))
    overlap = (V.T @ W) ** 2
    return np.array([[a[:k] @ overlap[:k, :k] @ b[:k] for k in top], [a[k:] @ overlap[k:, k:] @ b[k:] for k in top]])


# ---- spectra -------------------------------------------------------------------------------------


def top_mass(eigenvalues: Float[np.ndarray, "t r"], k: int) -> Float[np.ndarray, " t"]:
    """sum_{i <= k} lambda_i^2 / sum_i lambda_i^2: squares, as in the scripts of Tsilivis & Kempe 2022."""
    squares = eigenvalues**2
    return np.sum(squares[..., :k], axis=-1) / np.sum(squares, axis=-1)


def participation_rank(eigenvalues: Float[np.ndarray, "t r"]) -> Float[np.ndarray, " t"]:
    """tr(K)^2 / |K|^2."""
    return np.sum(eigenvalues, axis=-1) ** 2 / np.sum(eigenvalues**2, axis=-1)


def entropy_rank(eigenvalues: Float[np.ndarray, "t r"]) -> Float[np.ndarray, " t"]:
    """exp(H(lambda / sum lambda)), H the entropy (Roy & Vetterli 2007); what round-off made negative counts as 0."""
    shares = np.maximum(eigenvalues, 0)
    shares = shares / np.sum(shares, axis=-1, keepdims=True)
    return np.exp(-np.sum(shares * np.log(np.where(shares > 0, shares, 1)), axis=-1))


def stable_rank(eigenvalues: Float[np.ndarray, "t r"]) -> Float[np.ndarray, " t"]:
    """tr(K) / lambda_1."""
    return np.sum(eigenvalues, axis=-1) / eigenvalues[..., 0]


# ---- labels --------------------------------------------------------------------------------------


def label_alignment(K: Float[np.ndarray, "n o n o"], Y: Float[np.ndarray, "n c"]) -> float:
    """y^T K_c y / (|K_c| |y|^2) (Baratin 2021), between -1 and 1.

    K_c and y are centered: the mean over the examples is taken from the features of each output, and from each column
    of Y. y is all of Y where K has its outputs; else each column is one, <K_c, Y Y^T> / (|K_c| |Y Y^T|).
    """
    n, o = K.shape[:2]
    targets = _centered(Y).reshape(n * o, -1)
    return float(_alignment(centered(K).reshape(n * o, n * o), targets))


def class_specialization(K: Float[np.ndarray, "n c n c"], Y: Float[np.ndarray, "n c"]) -> float:
    """Return how much more the kernel of an output aligns with its own class than others do; 1 means no more.

    The kernel specialization matrix of Shan & Bordelon 2021 (arXiv:2105.14301) is
    KSM[k, l] = A(K^k, y_l) / mean_d A(K^d, y_l), with K^k the n x n block of output k and y_l the targets of class l;
    this is the mean of its diagonal. A is the label alignment, which is centered here.
    """
    classes = range(Y.shape[1])
    blocks, targets = centered(K), _centered(Y)
    A = np.array([[_alignment(blocks[:, k, :, k], targets[:, [j]]) for j in classes] for k in classes])
    return float(np.mean(np.diagonal(A) / np.mean(A, axis=0)))


def centered(K: Float[np.ndarray, "n o n o"]) -> Float[np.ndarray, "n o n o"]:
    """The kernel of features less their mean over the examples, each output by itself; float64."""
    K = K.astype(np.float64)
    K = K - K.mean(axis=0, keepdims=True)
    return K - K.mean(axis=2, keepdims=True)


def _centered(Y):
    return np.asarray(Y, np.float64) - np.mean(Y, axis=0, dtype=np.float64, keepdims=True)


def _alignment(K, Y):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sum(Y * (K @ Y)) / (np.linalg.norm(K) * np.linalg.norm(Y.T @ Y))


# ---- weights -------------------------------------------------------------------------------------


def weight_distance(predictor: Trainable, initial: Trainable) -> Float[Array, ""]:
    """|theta - theta_0| / |theta_0|, all trained weights together."""
    return _weight_distance(*(cast(each, jnp.float64) for each in (predictor, initial)))


@eqx.filter_jit
def _weight_distance(predictor, initial):
    now, before = (ravel_pytree(trained(each.position))[0] for each in (predictor, initial))
    return jnp.linalg.norm(now - before) / jnp.linalg.norm(before)
