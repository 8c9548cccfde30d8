"""Choose the cheapest way to compute an empirical kernel, by counting multiplications."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkbench.ntk import blas, gram, structured
from ntkbench.ntk.empirical import FULL, EmpiricalKernel, Layout
from ntkbench.ntk.jacobian import JacobianKernel
from ntkbench.ntk.network import Trainable
from ntkbench.ntk.products import ProductKernel
from ntkbench.ntk.structured import StructuredKernel

Algorithm = type[EmpiricalKernel]


def costs(predictor: Trainable, x: Float[Array, "..."], n: int, layout: Layout = FULL) -> Mapping[Algorithm, float]:
    """Multiplications for all pairs of n examples like x, half of which are computed.

    A forward pass has F multiplications; one back has as many for the signals, and as many for the gradients; a product
    with a vector has two more. With o directions, e entries a pair, and P weights:

        jacobian     n o 2 F + n^2/2 e P
        products     n^2/2 o 5 F
        structured   n o F + the sum over layers of the cheaper of gradients and Gram matrices
    """
    outputs = jax.eval_shape(predictor, x).size
    o = layout.directions(outputs).shape[0]
    entries = o if layout.trace else o**2
    weights = sum(leaf.size for leaf in jax.tree.leaves(predictor.weights))
    places = predictor.places(x.shape, x.dtype)
    sizes = None if places is None else [structured.Sizes.of(place, o) for place in places]
    forward = _multiplications(predictor, x) if sizes is None else sum(s.p * s.k * s.f for s in sizes)
    found: dict[Algorithm, float] = {
        JacobianKernel: n * o * 2 * forward + n**2 / 2 * entries * weights,
        ProductKernel: n**2 / 2 * o * 5 * forward,
    }
    if sizes is not None:
        found[StructuredKernel] = n * o * forward + structured.operations(sizes, layout, n)
    return found


def best(predictor: Trainable, x: Float[Array, "..."], n: int, layout: Layout = FULL) -> EmpiricalKernel:
    """The kernel by the algorithm with the fewest multiplications."""
    found = costs(predictor, x, n, layout)
    return min(found, key=lambda algorithm: found[algorithm])(predictor, layout)  # pyright: ignore[reportCallIssue]


def ntk(
    predictor: Trainable, X: Float[Array, "n ..."], *, layout: Layout = FULL, tile_bytes: float = 5e8
) -> Float[Array, "n o n o"]:
    """Theta(X, X) of a predictor at its present weights, by the best algorithm."""
    kernel = best(predictor, X[0], len(X), layout)
    alone = len(jax.local_devices()) == 1 and jax.default_backend() == "cpu"
    if alone and isinstance(kernel, StructuredKernel):
        return jnp.asarray(blas.gram(kernel, X, tile_bytes=tile_bytes))
    return gram.gram(kernel, X, tile_bytes=tile_bytes)


def _multiplications(predictor: Trainable, x: Float[Array, "..."]) -> float:
    """Return the multiplications of a forward pass: half of XLA's operations, and at least one for each weight."""
    arrays, static = eqx.partition(predictor, eqx.is_array)
    lowered = jax.jit(lambda arrays, x: eqx.combine(arrays, static)(x)).lower(arrays, x)
    weights = sum(leaf.size for leaf in jax.tree.leaves(predictor.weights))
    return max(float(weights), (lowered.cost_analysis() or {}).get("flops", 0.0) / 2)
