"""The cases on neural-tangents, run by the Python of its own environment; each jitted as a whole, its fastest way.

Kernels of finite networks by each of its implementations, or as the published scripts of Tsilivis & Kempe call them: in
batches of ten images, by contraction of Jacobians.

The eager cases are the attack as the public notebook of Tsilivis & Kempe runs it: no jit, a Python loop of steps, the
gradient of the summed logistic loss for one output, and of each image on its own for several.
"""

import math
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
from cases import B_STD, EPS, STEP, STEPS, W_STD  # pyright: ignore[reportMissingImports]

# Its experimental part asks for tensorflow and is not needed.
sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")
import neural_tangents as nt  # noqa: E402 # pyright: ignore[reportMissingImports]
from flax import linen as nn  # noqa: E402 # pyright: ignore[reportMissingImports]
from neural_tangents import stax  # noqa: E402 # pyright: ignore[reportMissingImports]

IMPLEMENTATIONS = {
    "structured": nt.NtkImplementation.STRUCTURED_DERIVATIVES,
    "jacobian": nt.NtkImplementation.JACOBIAN_CONTRACTION,
    "products": nt.NtkImplementation.NTK_VECTOR_PRODUCTS,
    "script": nt.NtkImplementation.JACOBIAN_CONTRACTION,
}
LAYERS = {
    "dense": lambda: stax.Dense(1, W_std=W_STD, b_std=B_STD),
    "conv": lambda: stax.Conv(1, (3, 3), padding="SAME", W_std=W_STD, b_std=B_STD),
    "relu": stax.Relu,
    "pool": lambda: stax.AvgPool((2, 2), strides=(2, 2)),
    "gap": stax.GlobalAvgPool,
    "flatten": stax.Flatten,
}


def versions():
    installed = Path(str(nt.__file__)).is_relative_to(sys.prefix)
    return f"neural-tangents {nt.__version__}{'' if installed else ' (from its repository)'}, jax {jax.__version__}"


def prepare(case, arrays):
    """What is timed, and what of its result is compared."""
    X = jnp.asarray(arrays["X"])
    if case.kind in ("full", "trace"):
        return _finite(case, X, arrays)
    kernel = stax.serial(*(LAYERS[word]() for word in case.network))[2]
    if case.kind == "gram":
        gram = jax.jit(lambda X: kernel(X, None, "ntk"))
        return lambda: gram(X), lambda K: K

    x, labels, alpha = (jnp.asarray(arrays[name]) for name in ("x", "labels", "alpha"))

    def outputs(x, X, alpha):
        return kernel(x, X, "ntk") @ alpha

    gradient = jax.grad(lambda x, labels, X, alpha: jnp.sum(_losses(outputs(x, X, alpha), labels)))
    if case.kind == "gradient":
        jitted = jax.jit(gradient)
        return lambda: jitted(x, labels, X, alpha), lambda g: g

    run = _eager(gradient, one_by_one=case.outputs > 1) if case.peer == "eager" else jax.jit(_whole(gradient))
    return lambda: run(x, labels, X, alpha), lambda adv: jax.jit(outputs)(adv, X, alpha)


def _finite(case, X, arrays):
    """The network as the scripts write it, in flax' words, at the weights that were drawn."""
    apply = _network(case.network)
    params = [(jnp.asarray(arrays[f"w{i}"]), jnp.asarray(arrays[f"b{i}"])) for i in range(len(arrays) // 2)]
    axes = (-1,) if case.kind == "trace" else ()
    ntk = nt.empirical_ntk_fn(apply, trace_axes=axes, vmap_axes=0, implementation=IMPLEMENTATIONS[case.peer])

    def ours(K):  # all examples before all outputs there
        return K[:, None, :, None] if case.kind == "trace" else K.transpose(0, 2, 1, 3)

    if case.peer == "script":
        batched = nt.batch(ntk, device_count=-1, batch_size=10)
        return lambda: batched(X, None, params), ours
    jitted = jax.jit(lambda X, params: ntk(X, None, params))
    return lambda: jitted(X, params), ours


def _network(network):
    def apply(params, x):
        left = iter(params)
        for text in network:
            match text.partition(" ")[0]:
                case "conv":
                    w, b = next(left)
                    y = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
                    x = W_STD / math.sqrt(math.prod(w.shape[:3])) * y + B_STD * b
                case "dense":
                    w, b = next(left)
                    x = W_STD / math.sqrt(len(w)) * (x @ w) + B_STD * b
                case "relu":
                    x = jax.nn.relu(x)
                case "pool":
                    x = nn.avg_pool(x, (2, 2), (2, 2))
                case "maxpool":
                    x = nn.max_pool(x, (2, 2), (2, 2))
                case "flatten":
                    x = x.reshape(len(x), -1)
        return x

    return apply


def _losses(f, labels):
    if f.shape[1] == 1:
        return jnp.logaddexp(0.0, jnp.where(labels == 1, -f[:, 0], f[:, 0]))
    return -jnp.take_along_axis(jax.nn.log_softmax(f), labels[:, None], axis=1)[:, 0]


def _step(adv, x, gradient):
    adv = jnp.clip(adv + STEP * jnp.sign(gradient), 0.0, 1.0)
    return jnp.clip(x + jnp.clip(adv - x, -EPS, EPS), 0.0, 1.0)


def _whole(gradient):
    def attack(x, *others):
        return jax.lax.fori_loop(0, STEPS, lambda _, adv: _step(adv, x, gradient(adv, *others)), x)

    return attack


def _eager(gradient, one_by_one):
    def each(x, labels, X, alpha):
        return jax.vmap(lambda x, label: gradient(x[None], label[None], X, alpha)[0])(x, labels)

    def attack(x, *others):
        adv = x
        for _ in range(STEPS):
            adv = _step(adv, x, (each if one_by_one else gradient)(adv, *others))
        return adv

    return attack
