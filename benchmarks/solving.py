"""Time and peak memory of regression with an infinite kernel: one solve beside the kernel's spectrum.

    python benchmarks/solving.py                # n = 2000 and 4000
    python benchmarks/solving.py 10000 --turns 1

Both ways run in processes of their own, in turns, so that other load on the machine weighs on both alike. Memory is the
peak of the process beyond what it had when the images and one small regression were there, in units of the n x n
matrix in float64. The largest difference of the coefficients is relative to the largest of them.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WAYS = ("spectrum", "solve")


def main() -> None:
    """Measure both ways, and print a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=[2000, 4000], help="numbers of training images")
    parser.add_argument("--turns", type=int, default=3, help="times that each way is measured; the best counts")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        print(json.dumps(measured(asked.way, asked.sizes[0], asked.out)))
        return
    print("| n | spectrum: wall, CPU | memory | solve: wall, CPU | memory | CPU ratio | largest difference |")
    print("|---|---|---|---|---|---|---|")
    for n in asked.sizes:
        print(row(n, asked.turns), flush=True)


def row(n: int, turns: int) -> str:
    """Return a row of the table: the best of the turns of each way."""
    import numpy as np

    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(turns):
            for way in WAYS:
                out = Path(folder) / f"{way}.npy"
                command = [sys.executable, __file__, str(n), "--way", way, "--out", str(out)]
                told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found[way].append(json.loads(told))
        one, two = (np.load(Path(folder) / f"{way}.npy") for way in WAYS)
    best = {way: {key: min(turn[key] for turn in turns) for key in turns[0]} for way, turns in found.items()}
    cells = [f"{each['wall']:.1f} s, {each['cpu']:.1f} s | {each['matrices']:.2f}" for each in best.values()]
    ratio = best["spectrum"]["cpu"] / best["solve"]["cpu"]
    return f"| {n} | {' | '.join(cells)} | {ratio:.1f} | {np.abs(one - two).max() / np.abs(one).max():.1e} |"


def measured(way: str, n: int, out: Path) -> dict[str, float]:
    """Return wall and CPU seconds, and the peak of memory in matrices, of one regression; save its coefficients."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    jax.config.update("jax_enable_x64", True)
    from ntkbench.ntk import architectures, infinite

    rng = np.random.default_rng(0)
    X, Y = jnp.asarray(rng.random((n, 28, 28, 1))), rng.choice([-1.0, 1.0], (n, 1))
    kernel = infinite.InfiniteKernel(architectures.fc(1, 1, depth=1, b_std=0.1))
    coefficients(way, kernel, X[:50], Y[:50])
    before, wall, cpu = _peak(), time.perf_counter(), time.process_time()
    alpha = coefficients(way, kernel, X, Y)
    taken = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    np.save(out, alpha)
    return {**taken, "matrices": (_peak() - before) / (8 * n**2)}


def coefficients(way: str, kernel: Any, X: Any, Y: Any) -> Any:
    """Return (n, 1) coefficients at infinite time, no ridge."""
    import jax.numpy as jnp
    import numpy as np

    from ntkbench.ntk import gram, regression

    if way == "solve":
        alpha = regression.solve(gram.on_host(kernel, X), Y)
        assert alpha is not None
        return alpha
    spectrum = regression.Spectrum.of(gram.matrix(np.asarray(gram.gram(kernel, X))))
    regression.require_regular(spectrum)
    return np.asarray(spectrum.coefficients(regression.flow(), jnp.asarray(Y)))


def _peak() -> int:
    """Return the largest number of bytes that this process has had so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
