"""Input gradients of many eigen-features: a family of predictors against plain automatic differentiation.

    python benchmarks/features.py [--features 512] [--tests 200] [--n 2000] [--size 32] [--depth 1] [--dtype float64]

The family computes the kernel's row and its derivative once an image, for all features. Plain automatic
differentiation maps the gradient of one predictor over features and images, `--chunk` features at a time. The floor of
both is one product of matrices for each feature and image, at the peak that is measured here.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from cases import Case, arrays, fc
from ours import recipe
from timing import best

from ntkbench.ntk import features, regression
from ntkbench.ntk.infinite import InfiniteKernel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("features", 512), ("tests", 200), ("n", 2000), ("size", 32), ("depth", 1), ("chunk", 16)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)

    case = Case("features", "gradient", fc(options.depth), options.n, options.tests, outputs=1, size=options.size)
    inputs = arrays(case, options.dtype)
    X, x = jnp.asarray(inputs["X"]), jnp.asarray(inputs["x"])
    kernel = InfiniteKernel(recipe(case.network))
    rng = np.random.default_rng(1)
    alpha = jnp.asarray(rng.standard_normal((options.features, options.n, 1, 1)), X.dtype)
    one = regression.predictor(kernel, X, alpha[0, :, 0])
    family = features.KernelFamily(predictor=one, coefficients=alpha)

    def positive(coefficients, image):
        """How many entries of a gradient are positive: all that is kept of it, so that none goes to memory and back."""
        gradient = jax.grad(lambda v: family.member(coefficients)(v)[0])(image)
        return jnp.sum(gradient > 0)

    @jax.jit
    def together(alpha, x):
        return jax.lax.map(lambda image: jax.vmap(positive, (0, None))(alpha, image), x).T

    @jax.jit
    def mapped(alpha, x):
        return jax.vmap(jax.vmap(positive, (None, 0)), (0, None))(alpha, x)

    few = alpha[: options.chunk]
    assert np.mean(together(few, x) != mapped(few, x)) < 0.01, "the two ways differ"
    family_seconds = best(lambda: together(alpha, x), 2)
    mapped_seconds = best(lambda: mapped(few, x), 2) * options.features / options.chunk
    product = jax.jit(lambda a, b: a @ b)
    wide, tall = alpha[:, :, 0, 0], X.reshape(options.n, -1)
    floor = best(lambda: product(wide, tall), 5) * options.tests
    print(f"{options.features} features x {options.tests} images, n = {options.n}, {tall.shape[1]} pixels, ", end="")
    print(f"depth {options.depth}, {options.dtype}")
    print(f"family {family_seconds:.2f} s; mapped autodiff {mapped_seconds:.2f} s ({options.chunk} features at a time)")
    print(f"floor {floor:.2f} s: {floor / family_seconds:.2f} of it reached; ", end="")
    print(f"speed-up {mapped_seconds / family_seconds:.2f}")


if __name__ == "__main__":
    main()
