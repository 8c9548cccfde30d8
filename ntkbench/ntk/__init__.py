"""The science: networks of finite and infinite width, their kernels, regression, attacks, training, drift.

Pure functions and PyTrees on arrays, with JAX, Equinox and Optax alone: nothing here knows specs, files or names of
data sets. `run/build` turns the words of a spec into these objects.

    kernel = InfiniteKernel(Sequential((Flatten(), Dense(256), ReLU(), Dense(1))), "ntk")
    K = gram(kernel, X)             # X: (n, ...), K: (n, 1, n, 1)
"""
