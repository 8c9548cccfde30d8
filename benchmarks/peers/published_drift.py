"""An epoch of adversarial training between two kernels, step by step as the public scripts of Tsilivis & Kempe go.

    published_drift.py ARRAYS        (run by the peer's Python; ARRAYS: X, labels, test_X, test_labels)

A network in flax; PGD as a loop of twenty steps in one jitted function; the kernel in batches of ten images by
contraction of Jacobians, of clean images before and of attacked ones after; accuracies batch by batch. Prints its parts
in seconds.
"""

import json
import sys
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax

# Its experimental part asks for tensorflow and is not needed.
sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")
import neural_tangents as nt  # noqa: E402 # pyright: ignore[reportMissingImports]
from flax import linen as nn  # noqa: E402 # pyright: ignore[reportMissingImports]

BATCH, EPS, STEP, STEPS = 100, 8 / 255, 2 / 255, 20


class Network(nn.Module):
    """Six convolutions, a maximum after two, a mean after six."""

    @nn.compact
    def __call__(self, x):
        for place, channels in enumerate((32, 32, 64, 64, 128, 128)):
            x = nn.relu(nn.Conv(channels, (3, 3))(x))
            if place == 1:
                x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.avg_pool(x, (2, 2), (2, 2))
        return nn.Dense(10)(x.reshape(len(x), -1))


def main() -> None:
    arrays = np.load(sys.argv[1])
    seconds = {"kernels": 0.0, "training": 0.0, "accuracies": 0.0}
    net = Network()
    params = net.init(jax.random.PRNGKey(0), jnp.zeros((1, 32, 32, 3)))
    optimizer = optax.sgd(1e-2)
    state = optimizer.init(params)
    kernel = nt.batch(nt.empirical_ntk_fn(net.apply, trace_axes=(), vmap_axes=0), device_count=-1, batch_size=10)

    def loss(params, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(net.apply(params, x), y).mean()

    @jax.jit
    def attack(params, x, y):
        delta = jnp.zeros_like(x)
        for _ in range(STEPS):
            gradient = jax.grad(lambda delta: loss(params, x + delta, y))(delta)
            delta = jnp.clip(delta + STEP * jnp.sign(gradient), -EPS, EPS)
        return jnp.clip(x + delta, 0, 1)

    @jax.jit
    def update(params, state, x, y):
        updates, state = optimizer.update(jax.grad(loss)(params, x, y), state)
        return optax.apply_updates(params, updates), state

    @jax.jit
    def accuracy(params, x, y):
        return jnp.mean(jnp.argmax(net.apply(params, x), axis=-1) == y)

    def timed(name, function, *args):
        began = time.perf_counter()
        result = jax.block_until_ready(function(*args))
        seconds[name] += time.perf_counter() - began
        return result

    def batches(X, y):
        for start in range(0, len(X), BATCH):
            yield jnp.asarray(X[start : start + BATCH]), jnp.asarray(y[start : start + BATCH])

    train, test = (arrays["X"], arrays["labels"]), (arrays["test_X"], arrays["test_labels"])
    timed("kernels", kernel, jnp.asarray(train[0][:BATCH]), None, params)
    for x, y in batches(*train):
        adversarial = timed("training", attack, params, x, y)
        params, state = timed("training", update, params, state, adversarial, y)
    for split in (train, test):
        for place, (x, y) in enumerate(batches(*split)):
            timed("accuracies", accuracy, params, x, y)
            adversarial = timed("accuracies", attack, params, x, y)
            timed("accuracies", accuracy, params, adversarial, y)
            if split is train and place == 0:
                timed("kernels", kernel, adversarial, None, params)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
