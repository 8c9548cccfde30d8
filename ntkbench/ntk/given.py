"""A network that somebody else made: any function of weights and one example that JAX can differentiate.

Of its inside nothing is known. Its empirical kernel comes from its Jacobian, or from products with vectors, and has no
infinite-width limit.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ntkbench.errors import UsageError
from ntkbench.ntk.layers import Layer, Weights
from ntkbench.ntk.network import Trainable

_PROBED = 8
"""examples on which a predictor is tried, at most"""
_RELATIVE = 1e-2
"""difference between the outputs of a function and of the same one compiled, as a share of the largest"""


class Given(Trainable):
    """`function(model, x)`, where the model is a PyTree and x one example, or with `batched` a batch of one."""

    weights: Weights
    """the model without all that is no array of floating-point numbers"""
    rest: PyTree
    """what is left of the model"""
    function: Callable[[PyTree, Array], Array]
    batched: bool = eqx.field(static=True, default=False)

    @classmethod
    def of(cls, function: Callable[[PyTree, Array], Array], model: PyTree, batched: bool = False) -> "Given":
        return cls(*eqx.partition(model, eqx.is_inexact_array), function, batched)

    @property
    def model(self) -> PyTree:
        return eqx.combine(self.weights, self.rest)

    def after(self, first):
        return Given(self.weights, self.rest, _After(first, self.function), self.batched)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " c"]:
        # Its author's code may mix types, as JAX allows by default and ntkbench does not.
        with jax.numpy_dtype_promotion("standard"):
            outputs = self.function(self.model, x[None] if self.batched else x)
            return jnp.atleast_1d(outputs[0] if self.batched else outputs).astype(x.dtype)


@dataclasses.dataclass(frozen=True)
class _After:
    """A function of what a layer without weights makes of an example."""

    first: Layer
    function: Callable[[PyTree, Array], Array]

    def __call__(self, model: PyTree, x: Array) -> Array:
        return self.function(model, self.first.apply((), x))


def require_outputs(predictor: Given, x: Float[Array, "..."], outputs: int) -> None:
    """Refuse a predictor that is no function of one example like x with so many outputs, or has weights of NaN.

    Nothing is computed but the shapes of what the predictor computes. Raise UsageError.
    """
    _require_weights(predictor)
    with _blaming("cannot be called with", x[None]):
        shape = jax.eval_shape(predictor, x).shape
    _require_shape(shape, outputs)


def named_leaves(weights: Weights) -> dict[str, Array]:
    """The arrays of a PyTree of weights by their places in it, such as `layers.0.weight`.

    Raise UsageError if two of them have the same name.
    """
    found = jax.tree_util.tree_leaves_with_path(weights)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") or "weights" for path, _ in found]
    if len(set(names)) < len(found):
        raise UsageError(f"two arrays of the network have the same name, among {', '.join(names)}; rename one")
    return dict(zip(names, (leaf for _, leaf in found), strict=True))


def kept_values(predictor: Trainable, shape: tuple[int, ...], dtype: Any) -> int:
    """About how many numbers a backward pass keeps of one example: half of what a forward pass reads and writes.

    It is what one more example adds to a batch, so that weights do not count.
    """
    first, second = (_bytes_accessed(predictor, (n, *shape), dtype) for n in (1, 2))
    return max(0, int(second - first) // (2 * jnp.dtype(dtype).itemsize)) or 100 * int(np.prod(shape))


def _bytes_accessed(predictor, shape, dtype) -> float:
    arrays, static = eqx.partition(predictor, eqx.is_array)
    function = jax.jit(lambda arrays, X: jax.vmap(eqx.combine(arrays, static))(X))
    found = function.lower(arrays, jax.ShapeDtypeStruct(shape, dtype)).cost_analysis() or {}
    return found.get("bytes accessed", 0.0)


def require_sound(predictor: Given, X: Float[Array, "n ..."], outputs: int) -> None:
    """Refuse a predictor whose numbers would mean nothing on the examples X of a task with so many outputs.

    Raise UsageError for weights and outputs that are not finite, outputs of another shape, outputs that differ from
    call to call or are the same for all examples, and for what JAX cannot trace or differentiate.
    """
    _require_weights(predictor)
    few = X[:_PROBED]
    with _blaming("cannot be called with", few):
        first, again = (np.stack([np.asarray(predictor(x)) for x in few]) for _ in range(2))
    _require_shape(first.shape[1:], outputs)
    if not np.isfinite(first).all():
        raise UsageError("the model's outputs are not finite on test images; a network that diverged has no accuracy")
    if not np.array_equal(first, again):
        raise UsageError(
            "the model changes from call to call, so that no number would hold; switch dropout off "
            "(eqx.nn.inference_mode), fix its random key, and let nothing in it count or average"
        )
    with _blaming("cannot be compiled or differentiated by JAX at", few):
        compiled = eqx.filter_jit(eqx.filter_vmap(predictor))(few)
        slopes = eqx.filter_jit(jax.vmap(jax.grad(lambda x: jnp.sum(predictor(x)))))(few)
    if np.abs(compiled - first).max() > _RELATIVE * max(1.0, float(np.abs(first).max())):
        raise UsageError(
            "the model gives other outputs once it is compiled, as code does that is not made of JAX's functions, or "
            "draws random numbers of its own; write it with jax.numpy"
        )
    with _blaming("cannot be called with", few):
        darker = np.stack([np.asarray(predictor(x / 2)) for x in few])
    if np.array_equal(darker, first) and (first == first[0]).all() and not np.any(slopes):
        raise UsageError("the model's outputs do not depend on the image; it would withstand every attack")


def _require_weights(predictor: Given) -> None:
    leaves = jax.tree_util.tree_leaves_with_path(predictor.weights)
    if not leaves:
        raise UsageError(
            "the model has no arrays of floating-point numbers, so that two of them could not be told apart; hand over "
            "the PyTree that has the weights, such as an Equinox module, or the pair (function, weights)"
        )
    for path, leaf in leaves:
        if not np.isfinite(np.asarray(leaf, np.float64)).all():
            raise UsageError(f"the model's weights at {jax.tree_util.keystr(path)} are not finite")


def _require_shape(shape: tuple[int, ...], outputs: int) -> None:
    if shape == (outputs,):
        return
    said = f"the model's outputs for one image have the shape {shape}, and this task asks for ({outputs},)"
    if outputs == 1:
        said += ": two classes have one output, positive for the second class"
        if shape == (2,):
            said += "; of two logits take the difference: (lambda net, x: net(x)[1:] - net(x)[:1], net)"
    else:
        said += ", one for each class"
    raise UsageError(said)


class _blaming:  # noqa: N801 (a context, not a thing)
    """Turn an error inside the block into a UsageError that says what the model cannot do."""

    def __init__(self, what: str, X: Float[Array, "n ..."]):
        self._said = f"the model {what} one image of shape {X.shape[1:]} and type {X.dtype}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception):
            why = next(iter(str(error).splitlines()), "")
            raise UsageError(f"{self._said}: {type(error).__name__}: {why}") from error
