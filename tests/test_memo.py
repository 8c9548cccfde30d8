"""Functions that remember their results by the objects that they were given."""

import pytest

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
