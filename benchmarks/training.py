"""One epoch of training a fully connected network, against the bare matrix products in it.

    python benchmarks/training.py [--widths 256 512 ...] [--seeds 1 3] [--batch 128]

Epochs of the harness' own loop and the products alone take turns in one run.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from ntkbench.ntk import architectures, losses, network, training

PIXELS, CLASSES = (28, 28, 1), 10


def epochs(X: jax.Array, labels: jax.Array, width: int, depth: int, seeds: int, batch: int) -> Iterator[training.State]:
    """The harness trains: a state an epoch."""
    keys = jax.random.split(jax.random.key(1), seeds)
    recipe = architectures.fc(width, CLASSES, depth=depth, b_std=0.1)
    nets = eqx.filter_vmap(lambda key: network.initialize(recipe, PIXELS, key=key))(keys)
    rates = jnp.full((seeds,), 0.1, X.dtype)
    problem = training.TrainingProblem(losses.cross_entropy, optax.sgd, batch, X, labels, rates, keys)
    return training.states(problem, nets, training.start(problem, nets, 10**5), every=1)


def products(n: int, width: int, depth: int, seeds: int, batch: int) -> Callable[[], object]:
    """The matrix products of an epoch alone: forward, to the weights, and to each layer's inputs but the first's."""
    sizes = [PIXELS[0] * PIXELS[1] * PIXELS[2], *[width] * depth, CLASSES]
    rows = min(batch, n)
    layers = list(itertools.pairwise(sizes))
    draw = jax.random.normal
    weights = [draw(jax.random.key(0), (seeds, out, into)) for into, out in layers]
    inputs = [draw(jax.random.key(1), (seeds, rows, into)) for into, _ in layers]
    signals = [draw(jax.random.key(2), (seeds, rows, out)) for _, out in layers]

    @jax.jit
    def step(weights, inputs, signals):
        forward = [jnp.einsum("sni,soi->sno", x, w) for x, w in zip(inputs, weights, strict=True)]
        gradients = [jnp.einsum("sno,sni->soi", s, x) for s, x in zip(signals, inputs, strict=True)]
        back = [jnp.einsum("sno,soi->sni", s, w) for s, w in zip(signals[1:], weights[1:], strict=True)]
        return forward, gradients, back

    def epoch():
        for _ in range(-(-n // rows)):
            jax.block_until_ready(step(weights, inputs, signals))

    return epoch


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 3], help="trained together")
    parser.add_argument("--n", type=int, default=512, help="examples (512)")
    parser.add_argument("--batch", type=int, help="all by default")
    parser.add_argument("--depth", type=int, default=2, help="hidden layers (2)")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    batch = options.batch or options.n
    X = jax.random.uniform(jax.random.key(0), (options.n, *PIXELS), jnp.float32)
    labels = jax.random.randint(jax.random.key(1), (options.n,), 0, CLASSES)
    print(
        "| width | seeds | first epoch | epoch, best (median) | its products alone | reached |",
        "|---" * 6 + "|",
        sep="\n",
    )
    for width in options.widths:
        for seeds in options.seeds:
            states = epochs(X, labels, width, options.depth, seeds, batch)
            bare = products(options.n, width, options.depth, seeds, batch)
            first, _ = seconds(lambda states=states: next(states)), bare()
            pairs = [(seconds(lambda states=states: next(states)), seconds(bare)) for _ in range(options.repeats)]
            epoch, floor = zip(*pairs, strict=True)
            warm = f"{min(epoch) * 1e3:.3g} ms ({statistics.median(epoch) * 1e3:.3g})"
            reached = f"{min(floor) * 1e3:.3g} ms | {min(floor) / min(epoch):.2f}"
            print(f"| {width} | {seeds} | {first:.2f} s | {warm} | {reached} |", flush=True)


if __name__ == "__main__":
    main()
