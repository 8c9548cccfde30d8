"""Time and peak memory of regression with an infinite kernel: its spectrum, one solve, and one solve in kept tiles.

    python benchmarks/solving.py                # n = 2000 and 4000
    python benchmarks/solving.py 10000 --turns 1 --without spectrum

The ways run in processes of their own, in turns, so that other load on the machine weighs on all alike. Tiles have 1024
rows, lie in a store in the temporary folder, and none stays in memory. Memory is the
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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROWS = 1024
"""rows of a tile that is kept"""
WAYS = ("spectrum", "solve", "tiles")


def main() -> None:
    """Measure all ways, and print a row for each size and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=[2000, 4000], help="numbers of training images")
    parser.add_argument("--turns", type=int, default=3, help="times that each way is measured; the best counts")
    parser.add_argument("--without", choices=WAYS, nargs="*", default=[], help="ways that are not measured")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        print(json.dumps(measured(asked.way, asked.sizes[0], asked.out)))
        return
    print("| n | way | wall | CPU | memory | CPU, of solve | largest difference from solve |")
    print("|---|---|---|---|---|---|---|")
    ways = [way for way in WAYS if way not in asked.without]
    for n in asked.sizes:
        print("\n".join(rows(n, ways, asked.turns)), flush=True)


def rows(n: int, ways: Sequence[str], turns: int) -> Iterator[str]:
    """Yield a row of the table for each way: the best of its turns."""
    import numpy as np

    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(turns):
            for way in ways:
                out = Path(folder) / f"{way}.npy"
                command = [sys.executable, __file__, str(n), "--way", way, "--out", str(out)]
                told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found[way].append(json.loads(told))
        alpha = {way: np.load(Path(folder) / f"{way}.npy") for way in ways}
    best = {way: {key: min(turn[key] for turn in turns) for key in turns[0]} for way, turns in found.items()}
    for way, each in best.items():
        ratio = each["cpu"] / best["solve"]["cpu"]
        difference = np.abs(alpha[way] - alpha["solve"]).max() / np.abs(alpha["solve"]).max()
        taken = f"{each['wall']:.1f} s | {each['cpu']:.1f} s | {each['matrices']:.2f}"
        yield f"| {n} | {way} | {taken} | {ratio:.1f} | {difference:.1e} |"


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

    if way == "tiles":
        return in_tiles(kernel, X, Y)
    if way == "solve":
        alpha = regression.solve(gram.on_host(kernel, X), Y)
        assert alpha is not None
        return alpha
    spectrum = regression.Spectrum.of(gram.matrix(np.asarray(gram.gram(kernel, X))))
    regression.require_regular(spectrum)
    return np.asarray(spectrum.coefficients(regression.flow(), jnp.asarray(Y)))


def in_tiles(kernel: Any, X: Any, Y: Any) -> Any:
    """Return the coefficients from tiles that a store keeps, as for a matrix that is larger than memory."""
    from functools import partial

    from ntkbench.ntk import regression, tiled
    from ntkbench.plan import memory
    from ntkbench.run.build.tiles import StoredTiles
    from ntkbench.store.store import Store

    memory.kernel_bytes = lambda: 0.0
    with tempfile.TemporaryDirectory() as folder:
        make = partial(tiled.tile, kernel, X, ROWS, tile_bytes=5e8)
        K = StoredTiles(Store(Path(folder)), "tile", "k", len(X), ROWS, make)

        def factor(make: tiled.Get) -> tiled.Tiles:
            return StoredTiles(K.store, "factor", "k", len(X), ROWS, make).tiles

        alpha = regression.solve_in_tiles(K.tiles, factor, Y)
    assert alpha is not None
    return alpha


def _peak() -> int:
    """Return the largest number of bytes that this process has had so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
