import io
import zipfile
from hashlib import sha256

import numpy as np
import pytest

from ntkbench import files
from ntkbench.errors import NtkbenchError
from ntkbench.store import arrays, record
from tests.examples.factory import a_record, cell, planned, valid

RUN = planned(cell(), [0])[0]
FILE = f"{RUN.id}.npz"
SAMPLES = {
    "index": np.arange(4),
    "transfer.clean": np.array([True, False, True, True]),
    "transfer.ntk@8/255": np.ones(4),
}
SERIES = {"drift.distance": np.eye(3)}


def written(folder) -> record.Record:
    samples, series = arrays.write(folder / FILE, SAMPLES, SERIES)
    return valid(a_record(RUN, samples=samples, series=series))


def with_content(folder, content: bytes, columns=("index",)) -> record.Record:
    (folder / FILE).write_bytes(content)
    note = {"file": FILE, "columns": list(columns), "sha256": sha256(content).hexdigest()}
    return valid(a_record(RUN, samples=note))


def test_arrays_read_back_as_they_were_written(tmp_path):
    of = written(tmp_path)
    found = arrays.read_samples(tmp_path, of)
    assert list(found) == list(SAMPLES)
    for name, values in SAMPLES.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
    np.testing.assert_array_equal(arrays.read_series(tmp_path, of, "drift.distance"), np.eye(3))
    assert of.series["drift.distance"].shape == (3, 3)


def test_the_series_of_one_analysis_are_read_together(tmp_path):
    series = SERIES | {"drift.epoch": np.arange(3), "drifting.x": np.zeros(1)}
    _, notes = arrays.write(tmp_path / FILE, SAMPLES, series)
    of = valid(a_record(RUN, series=notes))
    found = arrays.read_analysis(tmp_path, of, "drift")
    assert list(found) == ["distance", "epoch"]
    np.testing.assert_array_equal(found["distance"], np.eye(3))
    assert arrays.read_analysis(tmp_path, of, "transfer") == {}


def test_the_same_arrays_are_the_same_bytes(tmp_path):
    written(tmp_path)
    first = (tmp_path / FILE).read_bytes()
    written(tmp_path)
    assert (tmp_path / FILE).read_bytes() == first


def test_nothing_to_write_is_no_file(tmp_path):
    assert arrays.write(tmp_path / FILE, {}, {}) == (None, {})
    assert not list(tmp_path.iterdir())
    of = valid(a_record(RUN))
    with pytest.raises(NtkbenchError, match="kept no outcomes"):
        arrays.read_samples(tmp_path, of)
    with pytest.raises(NtkbenchError, match="no series 'x'; it has none"):
        arrays.read_series(tmp_path, of, "x")


def test_columns_have_one_length(tmp_path):
    with pytest.raises(ValueError, match="differ in length"):
        arrays.write(tmp_path / FILE, {"a": np.ones(2), "b": np.ones(3)}, {})


def test_a_changed_or_missing_file_is_noticed(tmp_path):
    of = written(tmp_path)
    content = bytearray((tmp_path / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / FILE).write_bytes(bytes(content))
    with pytest.raises(NtkbenchError, match="its checksum is not the record's"):
        arrays.read_samples(tmp_path, of)
    (tmp_path / FILE).unlink()
    with pytest.raises(NtkbenchError, match="cannot be read: No such file"):
        arrays.read_samples(tmp_path, of)


def npz(**members: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **members)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def test_hostile_files_are_errors(tmp_path):
    pickled = npz(**{"samples/index": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(NtkbenchError, match=r"damaged: samples/index\.npy is no array of numbers"):
        arrays.read_samples(tmp_path, with_content(tmp_path, pickled))
    with pytest.raises(NtkbenchError, match="damaged: it does not end as an npz file does"):
        arrays.read_samples(tmp_path, with_content(tmp_path, b"not a zip file"))
    with pytest.raises(NtkbenchError, match="damaged: there is no array samples/other"):
        arrays.read_samples(tmp_path, with_content(tmp_path, npz(**{"samples/index": np.ones(2)}), ["other"]))


def test_a_header_that_promises_too_much_is_an_error(tmp_path):
    buffer = io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)})
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("samples/index.npy", header.getvalue())
    with pytest.raises(NtkbenchError, match="damaged"):
        arrays.read_samples(tmp_path, with_content(tmp_path, buffer.getvalue()))


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LIMIT", 10_000)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{"samples/index": np.zeros(100_000)})  # pyright: ignore[reportArgumentType]
    with pytest.raises(NtkbenchError, match="take more than 10000 bytes"):
        arrays.read_samples(tmp_path, with_content(tmp_path, buffer.getvalue()))
