from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntkbench.data.user.examples import UserFileError
from ntkbench.data.user.tables import Tables

TRAIN = "length,species,width\n0.5,bee,1\n0,ant,0.25\n1,ant,0\n"
TEST = "length,species,width\n0.5,ant,1\n0.75,bee,0.25\n"


def tables(folder: Path, train: str = TRAIN, test: str = TEST, label: str = "species", high: float = 1.0) -> Tables:
    (folder / "train.csv").write_text(train, "utf-8")
    (folder / "test.csv").write_text(test, "utf-8")
    return Tables(folder / "train.csv", folder / "test.csv", label, 0.0, high)


def test_vectors(tmp_path):
    source = tables(tmp_path)
    known, found = source.describe(), source.load()
    assert (known.classes, known.shape) == (("ant", "bee"), (1, 1, 2))
    assert (known.train_counts, known.test_counts) == ((2, 1), (1, 1))
    np.testing.assert_array_equal(found.train.images.reshape(3, 2), [[0.5, 1], [0, 0.25], [1, 0]])
    assert found.train.labels.tolist() == [1, 0, 0]


def test_features_are_scaled(tmp_path):
    found = tables(tmp_path, high=2.0).load()
    np.testing.assert_array_equal(found.train.images.reshape(3, 2), [[0.25, 0.5], [0, 0.125], [0.5, 0]])


def test_classes_that_are_numbers_are_sorted_as_such(tmp_path):
    rows = "".join(f"{label},0.5\n" for label in (10, 9, 2))
    assert tables(tmp_path, f"y,x\n{rows}", f"y,x\n{rows}", "y").describe().classes == ("2", "9", "10")


def test_a_byte_order_mark_and_quotes(tmp_path):
    source = tables(tmp_path, "\ufeff" + TRAIN.replace("length", '"length"'), TEST.replace("\n", "\r\n"))
    assert source.describe().n_test == 2


WRONG: Mapping[str, Mapping[str, Any]] = {
    "train: train.csv is no table of numbers: row 3, column width: 'x' is no number": {
        "train": TRAIN.replace("0.25", "x")
    },
    "range: train.csv: row 2, column width: 9 is outside of [0, 1]; range says": {"train": TRAIN.replace("e,1", "e,9")},
    "range: test.csv: row 3, column length: nan is outside": {"test": TEST.replace("0.75", "nan")},
    "train: train.csv is no table of numbers: row 2 has 2 values, and the first row 3": {
        "train": TRAIN.replace("bee,1", "bee")
    },
    "test: test.csv has other columns than train.csv": {"test": TEST.replace("length", "depth")},
    "label: train.csv has no column specie; did you mean species?": {"label": "specie"},
    "label: two columns are called so": {"train": TRAIN.replace("width", "species")},
    "label: class bee has no test examples": {"test": TEST.replace("bee", "ant")},
    "label: there are no training examples": {"train": "length,species,width\n"},
    "label: train.csv has no column species": {"train": ""},
    "train: train.csv has no column beside species": {"train": "species\nant\n"},
    "train: train.csv is no table of numbers: unexpected end of data": {"train": TRAIN + '"'},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_is_told(tmp_path, message):
    with pytest.raises(UserFileError) as error:
        tables(tmp_path, **WRONG[message]).describe()
    assert f"{error.value.field}: {error.value}".startswith(message), error.value


def test_files_that_are_none(tmp_path):
    source = tables(tmp_path)
    source.test.write_bytes(b"\xff\xfe")
    with pytest.raises(UserFileError, match=r"test\.csv is no table of numbers: 'utf-8' codec"):
        source.describe()
    source.test.unlink()
    with pytest.raises(UserFileError, match=r"test\.csv is not there") as error:
        Tables(source.train, source.test, "species", 0.0, 1.0).describe()
    assert error.value.field == "test"
