from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkbench.bench import choice
from tests.bench.cells import cell


def test_a_number_means_even_distances_of_the_logarithm():
    assert choice.spaced(4, 1000) == (1, 10, 100, 1000)
    assert choice.spaced(6, 12) == (1, 2, 3, 4, 7, 12)
    assert choice.spaced(1, 12) == (1,)
    assert choice.features(4, 1000) == (0, 9, 99, 999)
    assert choice.truncations(4, 1000) == (1, 10, 100, 1000)


@given(count=st.integers(1, 300), last=st.integers(1, 3000))
def test_as_many_as_asked_for_if_there_are_as_many(count: int, last: int):
    found = choice.spaced(count, last)
    assert len(found) == min(count, last)
    assert list(found) == sorted(set(found))
    assert found[0] == 1
    assert found[-1] == (1 if count == 1 else last)


def test_all_and_lists():
    assert choice.features("all", 3) == (0, 1, 2)
    assert choice.truncations("all", 3) == (1, 2, 3)
    assert choice.features((5, 7), 10) == choice.truncations((5, 7), 10) == (5, 7)


@pytest.mark.parametrize(("count", "size"), [(3, 2000), (1, 5), (7, 7), (4, 10)])
def test_groups_are_equal_and_cover_all(count: int, size: int):
    found = choice.groups(count, size)
    assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
    assert found[-1][1] == size
    lengths = {stop - start for start, stop in found}
    assert max(lengths) - min(lengths) <= 1
    assert choice.groups(3, 2000)[0] == (0, 666)
    assert choice.groups(((0, 20), (20, 60)), 60) == ((0, 20), (20, 60))


def test_an_empirical_kernel_has_a_feature_for_each_output():
    assert choice.size(cell(), "limit") == 60
    assert choice.size(cell(), "first") == 180


@pytest.mark.parametrize(
    ("words", "epochs", "moments"),
    [
        (1, 20, [0, 20]),
        (4, 20, [0, 5, 10, 15, 20]),
        (3, 10, [0, 3, 7, 10]),
        (50, 3, [0, 1, 2, 3]),
        ((Fraction(1, 4), Fraction(2)), 3, [Fraction(1, 4), 2]),
    ],
)
def test_snapshots(words: int | tuple[Fraction, ...], epochs: int, moments: list[Fraction]):
    assert choice.snapshots(words, epochs) == tuple(moments)
