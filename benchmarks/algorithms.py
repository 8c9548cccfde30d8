"""The ways to an empirical kernel beside each other, and which of them is chosen by counting multiplications.

    python benchmarks/algorithms.py [--n 20] [--repeats 2]

*chosen / best*: how much longer the chosen way takes than the quickest.
"""

import argparse
from functools import partial

import jax.numpy as jnp
from cases import CASES, arrays
from ours import FINITE_TILE_BYTES, finite
from timing import best

from ntkbench.ntk import cheapest, gram
from ntkbench.ntk.empirical import FULL, TRACE, Layout
from ntkbench.ntk.jacobian import JacobianKernel
from ntkbench.ntk.products import ProductKernel
from ntkbench.ntk.structured import StructuredKernel

WAYS = {"structured": StructuredKernel, "jacobian": JacobianKernel, "products": ProductKernel}


def row(name: str, layout: Layout, n: int, repeats: int) -> str:
    """Of the table."""
    drawn = arrays(CASES[name], "float32")
    net, X = finite(CASES[name], drawn), jnp.asarray(drawn["X"])[:n]
    chosen = type(cheapest.best(net, X[0], n, layout))
    seconds = [best(partial(gram.gram, way(net, layout), X), repeats) for way in WAYS.values()]
    auto = best(partial(cheapest.ntk, net, X, layout=layout, tile_bytes=FINITE_TILE_BYTES), repeats)
    words = [word for word, way in WAYS.items() if way is chosen]
    cells = [f"{name}, {'mean' if layout.trace else 'full'}", *words]
    cells += [f"{value * 1e3:.3g} ms" for value in (*seconds, auto)]
    return f"| {' | '.join(cells)} | {auto / min(*seconds, auto):.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20, help="examples (20)")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    print(f"| n = {options.n} | chosen | {' | '.join(WAYS)} | auto | chosen / best |", "|---" * 7 + "|", sep="\n")
    for name in ("cnn-small", "cnn-large", "fc"):
        for layout in (FULL, TRACE):
            print(row(name, layout, options.n, options.repeats), flush=True)


if __name__ == "__main__":
    main()
