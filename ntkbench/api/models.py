"""Take models of others for predictors: what they are made of, what identifies them, whether they can be measured.

JAX has to be configured before this module is imported (`run.settings.configured`).
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.errors import UsageError
from ntkbench.ntk import given as ntk_given
from ntkbench.ntk.given import Given
from ntkbench.run.build.data import examples, outputs
from ntkbench.spec.cell import Cell

_ADDRESS = re.compile("0x[0-9a-f]+")
"""place of an object in memory, which texts of programs name and which is another in each process"""


def given(model: Any, batched: bool) -> Given:
    """Return a predictor for a callable PyTree, or for a pair of a function and its weights; UsageError for others."""
    if callable(model):
        return Given.of(_called, model, batched)
    if isinstance(model, tuple) and len(model) == 2 and callable(model[0]):
        return Given.of(*model, batched)
    raise UsageError(
        f"a model is a function of one image that is a PyTree, or a pair (function, weights), and this is of the type "
        f"{type(model).__name__}"
    )


def _called(model: Callable[[Any], Any], x: Any) -> Any:
    return model(x)


def named_weights(model: Any) -> dict[str, np.ndarray]:
    """Return the floating-point arrays of a model by name."""
    found = ntk_given.named_leaves(eqx.filter(model, eqx.is_inexact_array))
    return {name: np.asarray(leaf) for name, leaf in found.items()}


def digest(model: Any) -> str:
    """Return the SHA-256 of all leaves of a model: where each stands in the tree, its type, its shape, its values.

    A leaf that is a function counts by its name.
    """
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(model):
        found.update(f"{jax.tree_util.keystr(path)}\0{_told(leaf)}\0".encode())
        if eqx.is_array(leaf) or isinstance(leaf, np.ndarray):
            found.update(np.ascontiguousarray(_numbers(leaf)).tobytes())
    return found.hexdigest()


def fingerprint(predictor: Given, shape: tuple[int, ...], dtype: str) -> str:
    """Return the SHA-256 of a network: of its model, and of the program that JAX traces from it for one image.

    Functions whose code was changed and arrays that they close over therefore make another network of the same weights.
    Another version of JAX may trace another program.
    """
    traced = jax.make_jaxpr(predictor)(jax.ShapeDtypeStruct(shape, dtype))
    found = hashlib.sha256(digest(predictor.model).encode())
    found.update(_ADDRESS.sub("", str(traced.jaxpr)).encode())
    for array in traced.consts:
        found.update(np.ascontiguousarray(_numbers(array)).tobytes())
    return found.hexdigest()


def _told(leaf: Any) -> str:
    """Return type and shape of an array, the name of a function, and type and value of anything else."""
    if eqx.is_array(leaf) or isinstance(leaf, np.ndarray):
        return f"{leaf.dtype}{leaf.shape}"
    if callable(leaf):
        return f"{getattr(leaf, '__module__', '')}.{getattr(leaf, '__qualname__', type(leaf).__qualname__)}"
    return f"{type(leaf).__qualname__} {leaf!r}"


def _numbers(leaf: Any) -> np.ndarray:
    """Return the values of an array; of random keys, the bits."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def precision(predictor: Given) -> str:
    """Return the precision in which the predictor computes: float64 if some of its weights have it, else float32."""
    double = any(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(predictor.weights))
    return "float64" if double else "float32"


def require_sound(predictor: Given, cell: Cell, roots: Sequence[Path]) -> None:
    """Raise UsageError for a predictor whose numbers on the cell's test examples would mean nothing."""
    data = examples(cell.data, roots)
    ntk_given.require_sound(predictor, jnp.asarray(data.test.unit(cell.numerics.network)), outputs(data))
