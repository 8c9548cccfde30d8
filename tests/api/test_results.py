"""Runs from Python: the records of the command line, and what is computed again beside them."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntkbench as nb
from ntkbench.errors import UsageError
from ntkbench.ntk.losses import predict
from ntkbench.run import group, settings
from ntkbench.run.settings import GIVEN_UP
from ntkbench.store.arrays import read_samples
from ntkbench.store.store import Store
from tests.examples import tiny

SPEC = (
    tiny.SPEC.replace("eps: 8/255", "eps: [4/255, 8/255]")
    + """matrix: {width: [8, 16]}
"""
)
SPEC = SPEC.replace("  limit: {kind: infinite}", "  limit: {kind: infinite}\n  own: {kind: empirical, at: 1}")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results") / "runs"


@pytest.fixture(scope="module")
def found(store: Path) -> nb.Results:
    return nb.run(SPEC, store=store, progress=None)


def test_records_are_those_of_the_command_line(found: nb.Results, tmp_path: Path):
    planned = tiny.planned(tmp_path, text=SPEC)
    tiny.run(planned, Store(tmp_path / "runs"))
    assert tiny.results(found.store, planned.runs) == tiny.results(Store(tmp_path / "runs"), planned.runs)


def test_the_same_call_again_repeats_nothing_and_tells_its_progress(found: nb.Results, store: Path):
    before, told = tiny.files(store / "records"), []
    again = nb.run(SPEC, store=store, progress=told.append)
    assert told == ["4 runs, of which 4 are done"]
    assert tiny.files(store / "records") == before
    assert again.frame.equals(found.frame)


def test_part_of_a_spec_is_run(tmp_path: Path):
    told: list[str] = []
    found = nb.run(SPEC, store=tmp_path, where={"width": 8}, seeds=[1], progress=told.append)
    assert [run.seed for run in found.planned.runs] == [1]
    assert told[0] == "1 runs, of which 0 are done"
    assert told[1].startswith("[1/1] width=8 seed=1  ok")
    with pytest.raises(UsageError, match="text has no seed 7; it has 0, 1"):
        nb.run(SPEC, store=tmp_path, seeds=[7])


def test_runs_that_are_not_ok_are_told(tmp_path: Path):
    diverging = SPEC.replace("epochs: 3}", "epochs: 50, optimizer: {kind: sgd, learning_rate: 1e6}}")
    with pytest.warns(UserWarning, match="1 of 1 runs are not ok"):
        found = nb.run(diverging, store=tmp_path, where={"width": 8}, seeds=[0], progress=False)
    assert found.runs["status"].tolist() == ["diverged"]
    assert "the loss is not finite" in found.runs["error"][0]


def test_axes_and_budgets_of_the_frame_are_numbers(found: nb.Results):
    frame = found.frame
    assert frame["width"].dtype == int
    assert frame["eps"].dtype == float
    attacked = frame[frame["eps_label"] == "8/255"]
    assert set(attacked["eps"]) == {8 / 255}
    assert set(frame.loc[frame["eps"].isna(), "eps_label"]) == {""}
    assert frame["attack"].dtype != float
    assert found.runs[["width", "seed", "status"]].to_numpy().tolist()[3] == [16, 1, "ok"]


def test_images_are_those_that_were_judged(found: nb.Results):
    cell = {"width": 16}
    images = found.images("ntk", "4/255", cell=cell, seed=1)
    samples = read_samples(found.store.records, found.records[3])
    np.testing.assert_array_equal(images.predicted == images.labels, samples["transfer.clean"])
    np.testing.assert_array_equal(images.predicted_adversarial == images.labels, samples["transfer.ntk@4/255"])
    np.testing.assert_array_equal(images.fooled, samples["transfer.clean"] & ~samples["transfer.ntk@4/255"])
    assert images.target == "self"
    assert images.clean.shape == images.adversarial.shape == (10, 1, 1, 6)
    assert np.abs(images.adversarial - images.clean).max() <= np.float32(4 / 255)
    assert found.images("ntk", cell=cell).eps == "8/255"
    assert found.images("own", 8 / 255, cell=cell, target="limit").target == "limit"
    assert "under ntk at 4/255" in images._repr_html_()


def test_kernel_and_features_are_those_of_the_regression(found: nb.Results):
    cell = {"width": 8}
    train, test = found.kernel("limit", cell=cell)
    assert (train.shape, test.shape) == ((12, 12), (10, 12))
    features = found.features("limit", range(12), cell=cell)
    of = found._rebuilt[found.planned.runs[0].id]
    direct = jax.vmap(of.evaluator("limit").predictor)(of.evaluator("limit").X)
    np.testing.assert_allclose(features.values.sum(0), direct, atol=1e-8)
    Y = np.where(np.asarray(of.split("train").labels) == 1, 1.0, -1.0)
    np.testing.assert_allclose(test @ np.linalg.solve(train, Y), direct[:, 0], atol=1e-8)
    np.testing.assert_allclose(features.eigenvalues, np.linalg.eigvalsh(train)[::-1], rtol=1e-8)
    shifted = jax.grad(lambda x: of.evaluator("limit").predictor(x)[0])(of.evaluator("limit").X[3])
    np.testing.assert_allclose(features.gradients.sum(0)[3], shifted, atol=1e-6)
    assert found.kernel("own", cell=cell)[1].shape == (10, 12)


def test_nothing_is_trained_twice(found: nb.Results, monkeypatch):
    monkeypatch.setattr(group.TrainingPhase, "_train", lambda *_, **__: pytest.fail("trained again"))
    fresh = nb.results(SPEC, store=found.store.root)
    final, middle = (fresh.network(cell={"width": 8}, seed=1, at=at) for at in ("final", 1))
    assert not np.array_equal(jax.tree.leaves(final)[0], jax.tree.leaves(middle)[0])
    images = fresh.images("own", cell={"width": 8}, seed=1)
    assert int(predict(final(jnp.asarray(images.clean[0])))) == images.predicted[0]


def test_what_the_store_lost_is_computed_again(found: nb.Results, tmp_path: Path):
    lost = nb.run(SPEC, store=tmp_path, where={"width": 8}, progress=None)
    for stage in ("training", "snapshot", "kernel", "craft"):
        for key in lost.store.keys(stage, ""):
            lost.store.discard(stage, key)
    one, other = (each.images("ntk", cell={"width": 8}, seed=1) for each in (lost, found))
    np.testing.assert_array_equal(one.adversarial, other.adversarial)
    np.testing.assert_array_equal(one.predicted_adversarial, other.predicted_adversarial)


def test_pictures_show_and_save(found: nb.Results, tmp_path: Path):
    pictures = found.plot("transfer", eps="4/255")
    assert len(pictures) == len(pictures.figures) == len(pictures.captions) > 0
    assert pictures._repr_html_().count("<img src='data:image/png;base64,") == len(pictures)
    saved = pictures.save(tmp_path, "svg")
    assert all(path.suffix == ".svg" and path.with_suffix(".txt").is_file() for path in saved)


def test_results_are_a_table(found: nb.Results, tmp_path: Path):
    assert "4 of 4 runs are ok" in repr(found)
    assert "<th style='text-align:left'>eps 4/255</th>" in found._repr_html_()
    empty = nb.results(SPEC, store=tmp_path)
    assert "0 of 4 runs are ok" in repr(empty)
    assert "(0/2)" in empty._repr_html_()
    assert set(empty.frame["status"]) == {"missing"}


def test_what_is_not_there_is_told(found: nb.Results):
    for call, message in [
        (lambda: found.images("ntk"), r"2 cells are meant; name one, such as cell=\{'width': '8'\}"),
        (lambda: found.images("nkt", cell={"width": 8}), "no attack nkt; did you mean ntk?"),
        (lambda: found.images("ntk", "3/255", cell={"width": 8}), "ntk has no eps 3/255; it has 4/255, 8/255"),
        (lambda: found.kernel("limt", cell={"width": 8}), "no kernel limt; did you mean limit?"),
        (lambda: found.features("limit", [12], cell={"width": 8}), "the features of limit are 0 to 11"),
        (lambda: found.network(cell={"width": 8}, at=2), "did not keep its network at epoch 2; it kept 0, 1, 3"),
        (lambda: found.network(cell={"width": 9}), "the axis width has no label 9"),
    ]:
        with pytest.raises(UsageError, match=message.replace("?", r"\?")):
            call()


def promotion() -> str:
    return getattr(jax.config, "jax_numpy_dtype_promotion")  # noqa: B009 (a name that its type does not have)


def test_jax_is_given_back_as_it_was():
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    try:
        with settings.configured():
            assert promotion() == "strict"
        assert promotion() == "standard"
    finally:
        jax.config.update("jax_numpy_dtype_promotion", "strict")


def test_a_setting_that_cannot_be_changed_is_told():
    with (
        jax.enable_x64(False),
        pytest.raises(UsageError, match=r"jax_enable_x64 = False here, and runs are made with True: a `with jax"),
        settings.configured(),
    ):
        pass


def test_flags_that_were_read_already_are_told(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    with pytest.raises(UsageError, match="restart Python with XLA_FLAGS free of it"), settings.configured():
        pass


def test_interrupted_work_keeps_its_settings(monkeypatch):
    import threading

    over = threading.Event()
    thread = threading.Thread(target=over.wait, name=GIVEN_UP)
    thread.start()
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    try:
        with pytest.warns(UserWarning, match="interrupted work still runs"), settings.configured():
            pass
        assert promotion() == "strict"
    finally:
        over.set()
        thread.join()
        jax.config.update("jax_numpy_dtype_promotion", "strict")
