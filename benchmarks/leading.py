"""Time and peak memory of the first eigenpairs of a kernel: those alone, beside the full decomposition.

    python benchmarks/leading.py                         # n = 2000 and 4000, the first n / 20 and at most 200
    python benchmarks/leading.py 10000 --turns 1 --top 200 --data FOLDER

The matrix is the NTK of a fully connected network with one hidden layer, on the first n images of MNIST, which `--data`
or NTKBENCH_DATA holds, in float64. Each way runs in a process of its own, in turns, so that other load on the machine
weighs on all alike. `first alone` is what ntkbench does: ARPACK, its checks, and the factorization that tells whether
the kernel is singular. Memory is the peak of the process beyond what it had
with the matrix, in units of the matrix. Differences are from the full decomposition: of eigenvalues, relative, and of
the spaces of the first k / 2 and of all k eigenvectors, the sine of the largest angle.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WAYS = ("full", "first alone")


def main() -> None:
    """Measure all ways, and print a row for each size and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=[2000, 4000], help="numbers of training images")
    parser.add_argument("--top", type=int, help="number of eigenpairs; by default n / 20, at most 200")
    parser.add_argument("--turns", type=int, default=2, help="times that each way is measured; the best counts")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("NTKBENCH_DATA", "data")))
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        print(json.dumps(measured(asked.way, asked.top, asked.out)))
        return
    print("| n | k | way | wall | CPU | memory | full / this: CPU | eigenvalues | first half | all |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for n in asked.sizes:
        print("\n".join(rows(n, asked.top or min(200, n // 20), asked.turns, asked.data)), flush=True)


def rows(n: int, top: int, turns: int, data: Path) -> list[str]:
    """Return a row for each way: the best of its turns."""
    import numpy as np

    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "kernel.npy", kernel(n, data))
        for _ in range(turns):
            for way in WAYS:
                command = [sys.executable, __file__, "--way", way, "--top", str(top), "--out", str(folder)]
                told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found[way].append(json.loads(told))
        pairs = {way: [np.load(folder / f"{way} {part}.npy") for part in ("values", "vectors")] for way in WAYS}
    best = {way: {key: min(turn[key] for turn in of) for key in of[0]} for way, of in found.items()}
    return [
        f"| {n} | {top} | {way} | {it['wall']:.1f} s | {it['cpu']:.1f} s | {it['matrices']:.2f} "
        f"| {best['full']['cpu'] / it['cpu']:.1f} | {np.abs(pairs[way][0] / pairs['full'][0] - 1).max():.1e} "
        f"| {sine(pairs[way][1], pairs['full'][1], top // 2):.1e} | {sine(pairs[way][1], pairs['full'][1], top):.1e} |"
        for way, it in best.items()
    ]


def sine(one: Any, two: Any, k: int) -> float:
    """Return the sine of the largest angle between the spans of the first k columns."""
    import numpy as np

    return float(np.linalg.norm(one[:, :k] - two[:, :k] @ (two[:, :k].T @ one[:, :k]), 2))


def kernel(n: int, data: Path) -> Any:
    """Return the kernel of the first n training images of MNIST."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    from ntkbench.ntk import architectures, gram, infinite
    from ntkbench.run.build.data import examples
    from ntkbench.spec.data import Data

    words = Data.model_validate({"dataset": "mnist", "n_train": n, "n_test": 1, "subset": "first"})
    X = jnp.asarray(examples(words, (data,)).train.unit("float64"))
    return gram.on_host(infinite.InfiniteKernel(architectures.fc(1, 1, depth=1, b_std=0.1)), X)


def measured(way: str, top: int, folder: Path) -> dict[str, float]:
    """Return wall and CPU seconds, and the peak of memory in matrices, of the first eigenpairs; save these."""
    import jax
    import numpy as np

    jax.config.update("jax_enable_x64", True)
    eigenpairs(way, np.eye(80) + np.diag(2.0 ** -np.arange(80)), 2)
    K = np.load(folder / "kernel.npy")
    size, before, wall, cpu = K.nbytes, _peak(), time.perf_counter(), time.process_time()
    found = eigenpairs(way, K, top)
    taken = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    for name, part in zip(("values", "vectors"), found, strict=True):
        np.save(folder / f"{way} {name}.npy", part)
    return {**taken, "matrices": (_peak() - before) / size}


def eigenpairs(way: str, K: Any, top: int) -> tuple[Any, Any]:
    """Return the first eigenvalues in descending order, and eigenvectors as columns; K may be overwritten."""
    import numpy as np

    from ntkbench.ntk.regression import Spectrum

    found = Spectrum.of(K) if way == "full" else Spectrum.leading(K, top) or Spectrum.of(K)
    return np.asarray(found.eigenvalues[:top]), np.asarray(found.eigenvectors[:, :top])


def _peak() -> int:
    """Return the largest number of bytes that this process has had so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
