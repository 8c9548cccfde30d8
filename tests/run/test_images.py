"""Adversarial images out of a run and back into another one: what is judged is the same."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ntkbench.cli.main import cli
from ntkbench.data.user.images import write
from ntkbench.errors import DataError, SpecError, UsageError
from ntkbench.plan.read import read
from ntkbench.plan.runs import Plan
from ntkbench.store import record
from ntkbench.store.arrays import read_samples
from ntkbench.store.store import Store
from tests.examples import tiny

GIVEN = tiny.SPEC.partition("attacks:")[0] + (
    "attacks: {theirs: {kind: images, path: adv.npz, eps: 8/255}}\n"
    "analyses: {ours: {kind: accuracy, attacks: theirs}}\nseeds: 2\n"
)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Plan, Store]:
    """Two seeds of the tiny experiment."""
    folder = tmp_path_factory.mktemp("done")
    planned, store = tiny.planned(folder), Store(folder / "runs")
    tiny.run(planned, store)
    return planned, store


def images(store: Store, folder: Path, *arguments: str) -> str:
    told = CliRunner().invoke(cli, ["images", *arguments, "--store", str(store.root), "-o", str(folder / "adv.npz")])
    if told.exception and not isinstance(told.exception, SystemExit):
        raise told.exception
    return told.output.strip().replace(f"{folder}/", "")


def given(folder: Path, *overrides: str) -> Plan:
    return tiny.planned(folder, *overrides, text=GIVEN)


@pytest.mark.parametrize(("attack", "how"), [("ntk", "from the store (c"), ("own", "made again"), ("noise", "made")])
def test_what_is_judged_is_the_same(done, tmp_path, attack, how):
    planned, store = done
    one = planned.runs[1]
    told = images(store, tmp_path, one.id[:9], "--attack", attack, "--eps", "16/510")
    assert told.startswith(f"adv.npz: 10 images of {attack} at 8/255, {how}")
    tiny.run(given(tmp_path), store)
    (run,) = (each for each in given(tmp_path).runs if each.seed == one.seed)
    found = record.read(store.record(run.id))
    assert found.status == "ok"
    assert all(check.ok for check in found.checks if check.detail.get("attack") == "theirs")
    theirs, ours = (read_samples(store.records, record.read(store.record(each.id))) for each in (run, one))
    np.testing.assert_array_equal(theirs["ours.theirs@8/255"], ours[f"transfer.{attack}@8/255"])
    with np.load(tmp_path / "adv.npz") as arrays:
        np.testing.assert_array_equal(arrays["correct_adv"], ours[f"transfer.{attack}@8/255"])
        np.testing.assert_array_equal(arrays["correct_clean"], ours["transfer.clean"])
        np.testing.assert_array_equal(arrays["y"], ours["label"])
        np.testing.assert_array_equal(arrays["index"], ours["index"])
        assert str(arrays["target"]) == "self"
        assert np.abs(arrays["x_adv"] - arrays["x_clean"]).max() == pytest.approx(8 / 255, rel=1e-5)


def test_a_picture_shows_what_is_in_the_file(done, tmp_path):
    planned, store = done
    asked = (planned.runs[0].id, "--attack", "ntk", "--eps", "8/255", "--picture")
    told = images(store, tmp_path, *asked, str(tmp_path / "adv.png"))
    assert told.endswith("adv.png: the first of them, those that were turned before others")
    assert (tmp_path / "adv.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match=r"adv.gif: no picture is written so; name it .png, .pdf, .svg"):
        images(store, tmp_path, *asked, str(tmp_path / "adv.gif"))


def test_what_the_run_does_not_have_is_told(done, tmp_path):
    planned, store = done
    id = planned.runs[0].id
    for arguments, message in {
        (id,): "has 3 of --attack; name one of ntk, own, noise",
        (id, "--attack", "nkt"): "has no attack nkt; did you mean ntk?",
        (id, "--attack", "ntk", "--eps", "4/255"): "the attack ntk has no eps 4/255; did you mean 8/255?",
        (id, "--attack", "ntk", "--eps", "x/0"): "the attack ntk has no eps x/0",
    }.items():
        with pytest.raises(UsageError) as error:
            images(store, tmp_path, *arguments)
        assert message in str(error.value)


def test_the_content_of_the_file_is_part_of_the_identity(done, tmp_path):
    planned, store = done
    images(store, tmp_path, planned.runs[0].id, "--attack", "ntk")
    before = given(tmp_path).runs[0].id
    (tmp_path / "copy.npz").write_bytes((tmp_path / "adv.npz").read_bytes())
    assert given(tmp_path, f"attacks.theirs.path={tmp_path}/copy.npz").runs[0].id == before
    images(store, tmp_path, planned.runs[0].id, "--attack", "noise")
    assert given(tmp_path).runs[0].id != before


def test_nothing_is_executed_with_images_that_do_not_fit(done, tmp_path):
    planned, store = done
    images(store, tmp_path, planned.runs[0].id, "--attack", "ntk")
    with pytest.raises(DataError, match=r"10 of 10 images are farther than eps = 0.0156863 from their clean images"):
        tiny.run(given(tmp_path, "attacks.theirs.eps=4/255"), store)
    with pytest.raises(DataError, match=r"test images are not among its 10 clean images \(x_clean\), the first is"):
        tiny.run(given(tmp_path, "data.seed=1"), store)
    assert not store.record(given(tmp_path, "data.seed=1").runs[0].id).exists()


def test_mistakes_have_their_place(tmp_path):
    def told(text: str = GIVEN) -> str:
        with pytest.raises(SpecError) as error:
            read(tiny.spec(tmp_path, text))
        return str(error.value).replace(f"{tmp_path}/", "")

    assert told().startswith("tiny.yaml:10:40: attacks.theirs.path: adv.npz is not there")
    write(tmp_path / "adv.npz", {"x_adv": np.zeros((10, 6))})
    assert told().startswith("tiny.yaml:10:40: attacks.theirs.path: adv.npz: there is no array x_clean")
    write(tmp_path / "adv.npz", {"x_adv": np.zeros((10, 6)), "x_clean": np.zeros((10, 6))})
    assert len(read(tiny.spec(tmp_path, GIVEN)).runs) == 2
    assert "attacks.theirs.eps: 2 budgets, and the images of one file are of one" in told(
        GIVEN.replace("eps: 8/255", "eps: [4/255, 8/255]")
    )
    for analysis, role in {
        "{kind: transfer, attack: theirs}": "attack",
        "{kind: eigenspace, target: limit, attack: theirs}": "attack",
        "{kind: drift, attack: theirs}": "attack",
    }.items():
        assert told(GIVEN.replace("{kind: accuracy, attacks: theirs}", analysis)).endswith(
            f"analyses.ours.{role}: theirs is given as images, of which nothing else is known; judge them with kind: "
            "accuracy"
        )
