"""Losses of one example: (outputs, integer label) -> a number.

Two classes may have a single output f: the label is 1 where f > 0.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

Label = Int[Array, ""]
Loss = Callable[[Float[Array, " c"], Label], Float[Array, ""]]
TargetedLoss = Callable[[Float[Array, " c"], Label, Label], Float[Array, ""]]
"""(outputs, label, target) -> a number that grows as the outputs approach the target."""

_SMALLEST = 1e-12
"""denominator: a ratio of logits stays finite where they are equal"""


def predict(outputs: Float[Array, " c"]) -> Label:
    """The label that the outputs stand for."""
    if outputs.size == 1:
        return (outputs[0] > 0).astype(int)
    return jnp.argmax(outputs)


def encode(label: Label, c: int, *, centered: bool = False, dtype=jnp.float32) -> Float[Array, " c"]:
    """Targets of regression: -1/+1 for one output, else one-hot; minus 1/c when `centered`."""
    if c == 1:
        return (2 * label - 1).astype(dtype)[None]
    return jax.nn.one_hot(label, c, dtype=dtype) - (1 / c if centered else 0.0)


def squared(outputs: Float[Array, " c"], label: Label, *, centered: bool = False) -> Float[Array, ""]:
    """(1/2) sum_k (f_k - y_k)^2."""
    target = encode(label, outputs.size, centered=centered, dtype=outputs.dtype)
    return optax.losses.l2_loss(outputs, target).sum()


def cross_entropy(outputs: Float[Array, " c"], label: Label) -> Float[Array, ""]:
    """-log softmax(f)_y; for one output the logistic loss log(1 + exp(-+f))."""
    if outputs.size == 1:
        return optax.losses.sigmoid_binary_cross_entropy(outputs[0], label.astype(outputs.dtype))
    return optax.losses.softmax_cross_entropy_with_integer_labels(outputs, label)


def divergence(outputs: Float[Array, " c"], others: Float[Array, " c"]) -> Float[Array, ""]:
    """KL(softmax(f) || softmax(g)) of outputs f and others g; of single outputs, that of sigmoids."""
    if outputs.size == 1:
        share = jax.nn.sigmoid(outputs[0])
        cross, own = (optax.losses.sigmoid_binary_cross_entropy(each[0], share) for each in (others, outputs))
        return cross - own
    return optax.losses.kl_divergence(jax.nn.log_softmax(others), jax.nn.softmax(outputs))


def margin(outputs: Float[Array, " c"], label: Label) -> Float[Array, ""]:
    """max_{k != y} f_k - f_y: positive where the prediction is wrong; for one output -+f."""
    if outputs.size == 1:
        return -outputs[0] * encode(label, 1, dtype=outputs.dtype)[0]
    own = jax.nn.one_hot(label, outputs.size, dtype=bool)
    return outputs[jnp.argmax(jnp.where(own, -jnp.inf, outputs))] - outputs[label]


def dlr(outputs: Float[Array, " c"], label: Label) -> Float[Array, ""]:
    """-(z_y - max_{i != y} z_i) / (z_pi1 - z_pi3), of three outputs or more (Croce & Hein 2020, eq. 6).

    With z_pi1 >= z_pi2 >= ...: the margin on a scale of the outputs' own, so that confidence flattens no gradient.
    """
    first, _, third = _largest(outputs, 3)
    return margin(outputs, label) / _positive(first - third)


def dlr_toward(outputs: Float[Array, " c"], label: Label, target: Label) -> Float[Array, ""]:
    """-(z_y - z_t) / (z_pi1 - (z_pi3 + z_pi4) / 2), of four outputs or more (Croce & Hein 2020, eq. 7)."""
    first, _, third, fourth = _largest(outputs, 4)
    return (outputs[target] - outputs[label]) / _positive(first - (third + fourth) / 2)


def toward(outputs: Float[Array, " c"], label: Label, target: Label, *, loss: Loss) -> Float[Array, ""]:
    """Minus the loss at the target."""
    return -loss(outputs, target)


def _positive(scale):
    return jnp.where(scale > _SMALLEST, scale, _SMALLEST)


def _largest(outputs, k):
    if outputs.size < k:
        raise ValueError(f"the difference of logits ratio needs {k} outputs, and there are {outputs.size}")
    return jax.lax.top_k(outputs, k)[0]


def others(outputs: Float[Array, " c"], label: Label, k: int) -> Int[Array, " k"]:
    """The k labels with the largest outputs but one's own, the largest first; of two outputs or more."""
    own = jax.nn.one_hot(label, outputs.size, dtype=bool)
    return jax.lax.top_k(jnp.where(own, -jnp.inf, outputs), k)[1]
