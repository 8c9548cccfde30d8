"""How near the kernels come to what this machine can do at all.

    python benchmarks/floor.py [FILE of kernels.py --json] [--dtype float32]

Measures the peak of matrix products and the bandwidth of copying, and divides each case's work by them: README.md has
the arithmetic. With a file of times, measured on this machine, it prints the fraction of the floor that was reached.
"""

import argparse
import dataclasses
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from cases import CASES, STEPS, Case, Network, layers
from timing import best

# Operations for each entry of a covariance, K and T together. Convolution: 3 x 3 windows as two sums of three (4
# additions for each of the two), scale, bias and sum (4). ReLU: cosine (2), sine (4), angle (17: a polynomial of degree
# 8), duals (5).
CONV, RELU = 12, 28


@dataclasses.dataclass(frozen=True)
class Peak:
    """Of a machine: operations a second in matrix products, bytes a second of copying (read and written)."""

    operations: float
    bandwidth: dict[int, float]
    """by the size of the array"""

    def copying(self, size: int) -> float:
        """At the measured size nearest to this one."""
        return self.bandwidth[min(self.bandwidth, key=lambda known: abs(known - size))]


@dataclasses.dataclass(frozen=True)
class Work:
    """What a case cannot do without: matrix products, other operations, and bytes that pass through memory or cache."""

    products: float
    others: float
    bytes: float
    size: int
    """bytes of the arrays that pass"""

    def floor(self, peak: Peak) -> float:
        """Seconds: arithmetic at the peak of products, or copying, whichever takes longer."""
        return max((self.products + self.others) / peak.operations, self.bytes / peak.copying(self.size))


def peak(dtype: str, smaller: int = 1) -> Peak:
    """On the CPU NumPy's BLAS and copying by all cores count too, if they are quicker than XLA. `smaller`: divides the
    sizes of the arrays, to try it."""
    xla_product = jax.jit(lambda a, b: jnp.matmul(a, b.T, precision="highest"))
    xla_copy = jax.jit(lambda a: -a)  # a plain copy would return the same buffer
    on_cpu = jax.default_backend() == "cpu"
    rates, bandwidth = {}, {}
    for rows, columns, inner in ((512, 512, 3072), (2000, 2000, 3072), (100, 2000, 3072), (3072, 3072, 3072)):
        rows, columns, inner = rows // smaller, columns // smaller, inner // smaller
        a, b = np.ones((rows, inner), dtype), np.ones((columns, inner), dtype)
        on_device = jax.device_put((a, b))
        seconds = best(lambda on_device=on_device: xla_product(*on_device))
        if on_cpu:
            seconds = min(seconds, best(lambda a=a, b=b: a @ b.T))
        rates[rows, columns, inner] = 2 * rows * columns * inner / seconds
    for megabytes in (1, 4, 16, 256):
        x = jax.device_put(np.ones(megabytes * 2**20 // smaller // np.dtype(dtype).itemsize, dtype))
        bandwidth[x.nbytes] = 2 * x.nbytes / best(lambda x=x: xla_copy(x), 30)
        if on_cpu:
            bandwidth[x.nbytes] = max(bandwidth[x.nbytes], copying_by_all_cores(x.nbytes))
    print(f"{dtype}: matrix products, GFLOP/s at (rows, columns, inner):")
    print(", ".join(f"{shape}: {rate / 1e9:.0f}" for shape, rate in rates.items()))
    print("copying, GB/s (read and written) by size:")
    print(", ".join(f"{size / 2**20:.0f} MiB: {rate / 1e9:.1f}" for size, rate in bandwidth.items()) + "\n")
    return Peak(max(rates.values()), bandwidth)


def copying_by_all_cores(size: int) -> float:
    """Bytes a second, each core on arrays of its own."""
    cores = os.cpu_count() or 1
    arrays = [(np.ones(size, np.uint8), np.ones(size, np.uint8)) for _ in range(cores)]
    times = max(1, 2**27 // size)

    def copy(pair):
        for _ in range(times):
            np.copyto(*pair)  # leaves the interpreter to the other threads

    with ThreadPoolExecutor(cores) as pool:
        return 2 * size * times * cores / best(lambda: list(pool.map(copy, arrays)))


def pair(network: Network, size: int, itemsize: int) -> Work:
    """Of one pair of images: each convolution (or pool) with the activation after it is one pass over K and T."""
    if network[0] == "flatten":
        depth = network.count("relu")
        return Work(2 * 3 * size**2, depth * (RELU + 4), 0, itemsize)
    all_pairs = "gap" in network
    entries = size ** (4 if all_pairs else 2)
    largest = entries * itemsize
    products, others, moved = 2 * 3 * entries, 0, 0
    for index, word in enumerate(network):
        if word == "conv":
            arrays = 3 if index == 0 else 4  # at first T is 0
            others, moved = others + CONV * entries, moved + arrays * entries * itemsize
        elif word == "relu":
            others += RELU * entries
        elif word == "pool":
            others, moved = others + 4 * entries, moved + 2 * (entries + entries // 16) * itemsize
            entries //= 16
        elif word in ("gap", "flatten"):
            others += 2 * entries
    return Work(products, others, moved, largest)


def finite(case: Case) -> Work:
    """Multiplications twice. Layer by layer: forward, back for each output, and the cheaper of two ways for all pairs,
    half of which are computed: gradients by the weights, or Gram matrices of features and signals at all positions."""
    n, c, total = case.n, case.outputs, 0.0
    signals = c if case.kind == "trace" else c**2
    for place, (word, shape, width) in enumerate(layers(case)):
        if width:
            positions, inputs = (math.prod(shape[:2]), 9 * shape[-1]) if word == "conv" else (1, shape[0])
            once = positions * inputs * width
            grams = n**2 / 2 * positions**2 * (inputs + signals * width)
            gradients = n * c * once + n**2 / 2 * signals * inputs * width
            total += n * once * (1 + c * (place > 1)) + min(grams, gradients)
    return Work(2 * total, 0, 0, 1)


def work(case: Case, itemsize: int) -> Work:
    """Half of a symmetric Gram matrix; a gradient is at least once forward and once back."""
    if case.kind in ("full", "trace"):
        return finite(case)
    one = pair(case.network, case.size, itemsize)
    if case.kind == "gram":
        count, result = case.n * (case.n + 1) // 2, case.n**2 * itemsize
    else:
        count, result = 2 * case.n * case.tests * (STEPS if case.kind == "pgd" else 1), 0
    return Work(one.products * count, one.others * count, one.bytes * count + result, max(one.size, result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", type=Path, nargs="?", help="what kernels.py wrote")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    measured, dtype = {}, options.dtype
    if options.times:
        file = json.loads(options.times.read_text())
        measured = {case["case"]: (Case(**case["description"]), case["ours"]["best"]) for case in file["cases"]}
        dtype = file["cases"][0]["dtype"]
    itemsize = np.dtype(dtype).itemsize
    top = peak(dtype)
    print("| case | operations | bytes | floor | measured | reached |\n|---|---|---|---|---|---|")
    for case, seconds in measured.values() or ((case, None) for case in CASES.values()):
        whole = work(case, itemsize)
        floor = whole.floor(top)
        reached = ("-", "-") if seconds is None else (f"{seconds * 1e3:.3g} ms", f"{floor / seconds:.2f}")
        giga = (f"{amount / 1e9:.3g} G" for amount in (whole.products + whole.others, whole.bytes))
        cells = case.name, *giga, f"{floor * 1e3:.3g} ms", *reached
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
