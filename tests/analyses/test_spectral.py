import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import regression
from tests.analyses.studies import TESTS, N, study


def with_eigenvalues(values):
    of = study()
    spectrum = regression.Spectrum(jnp.asarray(values, jnp.float64), of.system.spectrum.eigenvectors)
    return dataclasses.replace(of, system=dataclasses.replace(of.system, spectrum=spectrum))


def test_features_with_near_eigenvalues_on_either_side_are_flagged():
    values = np.geomspace(100, 1, N)
    values[5] = values[4] * (1 - 5e-4)
    of = with_eigenvalues(values)
    assert np.flatnonzero(of.small_gaps).tolist() == [4]
    assert of.flagged(np.arange(N)).nonzero()[0].tolist() == [4, 5]
    check = of.gaps(np.array([0, 4, 5, 11]))
    assert not check.ok
    assert check.detail == {"target": "limit", "small_gaps": 2, "features": 4}
    assert of.gaps(np.array([0, 3, 6])).ok


def test_blocks_of_test_points_change_nothing():
    of = study()
    whole = of.truncated()
    assert whole.shape == (TESTS, N)
    np.testing.assert_array_equal(dataclasses.replace(of, tile_bytes=64.0 * N * 7).truncated(), whole)


def test_an_attack_is_needed_where_parts_are_attacked():
    with pytest.raises(ValueError, match="no attack on the parts of limit"):
        study(attacked=False).outcomes(np.array([[0, 1]]))
