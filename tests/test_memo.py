"""Functions that remember their results by the objects that they were given."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ntkbench import memo
from ntkbench.memo import by_identity


def test_an_object_is_computed_once_and_an_equal_one_again():
    calls = []

    @by_identity
    def size(values: list[int]) -> int:
        calls.append(values)
        return len(values)

    one, other = [1, 2], [1, 2]
    assert [size(one), size(one), size(other)] == [2, 2, 2]
    assert len(calls) == 2
    assert calls[0] is one
    assert calls[1] is other


def test_equal_numbers_of_two_types_are_told_apart():
    text = by_identity(repr)
    assert [text(1), text(1.0), text(True)] == ["1", "1.0", "True"]


def test_an_error_is_raised_again():
    calls = []

    @by_identity
    def fails(value: object) -> None:
        calls.append(value)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            fails(calls)
    assert len(calls) == 2


def test_what_is_forgotten_is_computed_again(monkeypatch):
    monkeypatch.setattr(memo, "_MOST", 3)
    calls = []

    @by_identity
    def length(values: list[int]) -> int:
        calls.append(values)
        return len(values)

    several = [[0] * n for n in range(5)]
    assert [length(each) for each in several * 2] == [0, 1, 2, 3, 4] * 2
    assert len(calls) == 10, "three are kept, and the first of them goes first"
    assert [length(each) for each in several[2:]] == [2, 3, 4]
    assert len(calls) == 10


def test_an_object_that_is_gone_is_not_taken_for_a_new_one_at_its_place():
    length = by_identity(len)
    assert [length([0] * n) for n in range(100)] == list(range(100))


def test_threads_share_it():
    square = by_identity(lambda values: sum(values) ** 2)
    several = [[n] for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(square, several * 20))
    assert found == [n * n for n in range(200)] * 20
