"""Who is looked at."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from tests.analyses.subjects import LABELS, OBJECTIVE, source, target


def test_several_versions_of_the_test_set_at_once():
    one = target()
    versions = jnp.stack([one.X, 1 - one.X, jnp.full_like(one.X, 0.75)])
    found = one.correct(versions)
    assert isinstance(found, np.ndarray)
    right = np.array([1, 1, 1, 1, 0, 1, 1, 1], bool)
    np.testing.assert_array_equal(found, [right, ~right, LABELS == 1])


def test_batches_do_not_matter():
    one = source()
    small = dataclasses.replace(one, batch_size=3)
    np.testing.assert_array_equal(small.correct(one.X[None]), one.correct(one.X[None]))
    np.testing.assert_allclose(small.gradient(OBJECTIVE), one.gradient(OBJECTIVE), rtol=1e-14)


def test_in_its_own_precision():
    assert source(dtype=np.float32).gradient(OBJECTIVE).dtype == np.float32
