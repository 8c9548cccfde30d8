"""A program for processes of their own: Gram matrices on several devices against one.

Its arguments are networks and, of several processes, an address, their number, and which of them this one is.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.ntk import gram, infinite
from ntkbench.ntk.activations import ReLU
from ntkbench.ntk.convolution import AvgPool, Conv
from ntkbench.ntk.layers import Dense, Flatten, Sequential

RECIPES = {
    "vectors": Sequential((Flatten(), Dense(1), ReLU(), Dense(1))),
    "rows": Sequential((Conv(1), ReLU(), Flatten(), Dense(1))),
    "images": Sequential((Conv(1), ReLU(), AvgPool(), Flatten(), Dense(1))),
}


def main(names: str, address: str = "", processes: str = "1", number: str = "0") -> None:
    jax.config.update("jax_enable_x64", True)
    if address:
        jax.distributed.initialize(address, int(processes), int(number))
    X = jnp.asarray(np.random.default_rng(0).random((19, 4, 4, 2)))
    for name in names.split(","):
        kernel = infinite.InfiniteKernel(RECIPES[name])
        for two in (None, X[:5]):
            alone = np.asarray(gram.gram(kernel, X, two, tile_bytes=2e3, devices=jax.local_devices()[:1]))
            spread = gram.gram(kernel, X, two, tile_bytes=2e3, devices=jax.devices())
            assert spread.sharding.device_set == set(jax.devices())
            spread = np.asarray(spread)
            np.testing.assert_allclose(spread, alone, rtol=1e-12, err_msg=name)
            assert two is not None or np.array_equal(spread, spread.transpose(2, 3, 0, 1))
    print(len(jax.devices()), "devices agree")


if __name__ == "__main__":
    main(*sys.argv[1:])
