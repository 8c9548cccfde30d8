"""Each kernel looked at once, all pairs compared, whatever the memory."""

from dataclasses import replace
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.analyses.trajectory import follow, pairwise
from ntkbench.ntk import attacks, gram, jacobian
from ntkbench.ntk.network import Trainable, with_weights
from tests.analyses.courses import MOMENTS, N, seeded_attack, trajectory
from tests.conftest import EXACT

HALF = 4 * (36 * 37 // 2)
"""bytes of half a kernel of twelve examples and three outputs"""


def by_hand(predictor, X) -> np.ndarray:
    return np.asarray(gram.gram(jacobian.JacobianKernel(predictor), X))


@pytest.mark.parametrize("room", [1, 2, 3, 4, 5])
def test_blocks_change_nothing_and_make_no_kernel_more_often_than_they_must(room: int):
    halves, asked = np.random.default_rng(0).standard_normal((5, 700)).astype(np.float32), []

    def take(i: int) -> np.ndarray:
        asked.append(i)
        return halves[i]

    found = pairwise(5, take, room * halves[0].nbytes + 3.0)
    expected = halves.astype(float) @ halves.T.astype(float)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found, found.T, rtol=1e-12)
    assert len(asked) == sum(5 - start for start in range(0, 5, room))
    assert asked[:5] == [0, 1, 2, 3, 4]


def test_a_course_that_does_not_fit_gives_the_same_and_takes_kernels_again():
    told: list[str] = []
    whole, products = follow(trajectory())
    parts, blocked = follow(trajectory(kernel_bytes=2.0 * HALF, tick=told.append))
    np.testing.assert_allclose(blocked, products, rtol=1e-12)
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.eigenvalues, two.eigenvalues)
        np.testing.assert_array_equal(one.parts, two.parts)
    assert told[:5] == [f"kernel at epoch {moment}" for moment in ("0", "1/4", "1", "2", "5")]
    assert len(told) == 5 + 3 + 1


def test_products_and_eigenvalues_are_those_of_the_kernels():
    of = trajectory()
    snapshots, products = follow(of)
    kernels = [gram.matrix(by_hand(of.predictor_at(moment), of.probe(of.predictor_at(moment)).X)) for moment in MOMENTS]
    np.testing.assert_allclose(products, [[np.vdot(K, L) for L in kernels] for K in kernels], rtol=1e-6)
    for snapshot, K in zip(snapshots, kernels, strict=True):
        np.testing.assert_allclose(snapshot.eigenvalues, np.linalg.eigvalsh(K)[::-1], rtol=1e-9, atol=1e-9)
        assert snapshot.kernel is None


def test_parts_have_the_norms_of_their_eigenvalues_and_the_first_is_compared_with_itself():
    snapshots, _ = follow(trajectory())
    for snapshot in snapshots:
        squares = snapshot.eigenvalues**2
        expected = [[squares[:k].sum() for k in (2, 5)], [squares[k:].sum() for k in (2, 5)]]
        np.testing.assert_allclose(snapshot.parts[0], expected, rtol=EXACT)
    np.testing.assert_allclose(snapshots[0].parts[0], snapshots[0].parts[1], rtol=EXACT)


def test_the_trace_layout_is_the_mean_over_outputs():
    of = trajectory(layout="trace", kept=frozenset({0, 4}))
    snapshots, _ = follow(of)
    full = by_hand(of.predictor_at(MOMENTS[0]), of.probe(of.predictor_at(MOMENTS[0])).X)
    mean = np.mean([full[:, k, :, k] for k in range(3)], axis=0)
    assert snapshots[0].kernel is not None
    assert snapshots[0].kernel.dtype == np.float32
    np.testing.assert_allclose(snapshots[0].kernel, mean, rtol=1e-6)
    assert [each.kernel is not None for each in snapshots] == [True, False, False, False, True]
    assert snapshots[0].specialization is None


@pytest.mark.slow
def test_an_adversary_attacks_the_probe_at_each_snapshot_through_its_own_gradient():
    of, adversary = trajectory(kept=frozenset({3})), seeded_attack(eps=("0.1",))
    snapshots, _ = follow(of, adversary)
    predictor = of.predictor_at(MOMENTS[3])
    evaluator = of.probe(predictor)
    eps = jnp.array([0.1])
    (X,) = attacks.perturb(
        adversary.threat.attack, predictor, evaluator.X, evaluator.labels, eps, key=adversary.key, batch_size=N
    )
    kernel = snapshots[3].kernel
    assert kernel is not None
    np.testing.assert_allclose(kernel, gram.matrix(by_hand(predictor, X)), rtol=1e-5)
    assert {check.code for check in snapshots[3].checks} >= {"eps0_equals_clean", "ball_respected", "gradients_finite"}


def test_a_kernel_that_is_not_finite_is_noted():
    of = trajectory()
    weights = jax.tree.map(lambda leaf: leaf * jnp.nan, of.predictor_at(MOMENTS[0]).weights)

    def at(moment: Fraction) -> Trainable:
        return with_weights(of.predictor_at(moment), weights) if moment == 1 else of.predictor_at(moment)

    broken = replace(of, predictor_at=at)
    assert [each.finite for each in follow(broken)[0]] == [True, True, False, True, True]
