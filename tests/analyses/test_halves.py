import numpy as np

from ntkbench.analyses.halves import best, chooses


def test_halves_are_balanced_and_the_same_each_time():
    labels = np.random.default_rng(0).integers(0, 3, 101)
    half = chooses(labels)
    assert abs(2 * half.sum() - 101) == 1
    for label in range(3):
        assert abs(2 * half[labels == label].sum() - (labels == label).sum()) <= 1
    np.testing.assert_array_equal(half, chooses(labels))
    assert 0 < half[:50].sum() < 50, "a random half, not the first one"


def test_the_best_is_the_first_on_the_choosing_half():
    labels = np.array([0, 1] * 10)
    half = chooses(labels)
    right = np.stack([~half, half, half | (np.arange(20) < 2)])
    place, judged = best(right, labels)
    assert place == 1, "the last one is as good there, and better elsewhere"
    assert judged.sum() == 0


def test_the_best_of_many_coins_is_judged_as_a_coin():
    """On the points that choose, the best of 200 is right on far more than half of them."""
    labels, rng = np.arange(100) % 2, np.random.default_rng(1)
    coins = rng.random((50, 200, 100)) < 0.5
    judged = np.mean([best(each, labels)[1].mean() for each in coins])
    assert abs(judged - 0.5) < 4 * 0.5 / np.sqrt(50 * 50)
    assert np.mean([each.mean(axis=1).max() for each in coins]) > 0.6
