from pathlib import Path

import numpy as np
import pytest

from ntkbench.data.dataset import Split
from ntkbench.data.user.examples import UserFileError
from ntkbench.data.user.images import AdversarialImages, write

EPS = 8 / 255


@pytest.fixture
def examples() -> Split:
    """20 gray images of 4 x 5 pixels, away from the ends of the pixel range."""
    images = np.random.default_rng(0).integers(20, 230, (20, 4, 5, 1), np.uint8)
    return Split(images, np.arange(20) % 2, 100 + np.arange(20))


def saved(folder: Path, adv: np.ndarray, clean: np.ndarray, **others: np.ndarray) -> AdversarialImages:
    write(folder / "adv.npz", {"x_adv": adv, "x_clean": clean, **others})
    return AdversarialImages(folder / "adv.npz")


def attacked(examples: Split, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    signs = np.random.default_rng(1).choice([-1, 1], examples.images.shape)
    return (examples.unit() + EPS * signs).astype(dtype), examples.unit().astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_are_found_by_their_content(examples, tmp_path, dtype):
    adv, clean = attacked(examples, dtype)
    order = np.random.default_rng(2).permutation(20)
    found = saved(tmp_path, adv[order], clean[order]).load(examples, EPS, "linf")
    np.testing.assert_array_equal(found, adv.astype(np.float64))


def test_bytes_and_images_without_channels(examples, tmp_path):
    adv = examples.images + np.uint8(8)
    found = saved(tmp_path, adv[..., 0], examples.images[..., 0]).load(examples, EPS, "linf")
    np.testing.assert_allclose(found, examples.unit() + EPS, atol=1e-12)


def test_clean_images_of_another_precision(examples, tmp_path):
    """Divided in single precision, which rounds some pixels to another float than double precision does."""
    single = examples.images.astype(np.float32) * np.float32(1 / 255)
    assert (single != examples.unit().astype(np.float32)).any()
    np.testing.assert_array_equal(
        saved(tmp_path, single, single).load(examples, 0.0, "linf"), single.astype(np.float64)
    )


def test_floats_of_any_value_are_found(examples, tmp_path):
    images = np.random.default_rng(3).random((20, 1, 1, 7))
    vectors = Split(images, examples.labels, examples.index)
    for dtype in (np.float32, np.float64):
        clean = images.astype(dtype)
        assert len(saved(tmp_path, clean, clean).load(vectors, 0.0, "l2")) == 20


def test_other_images_of_the_file_are_left_out(examples, tmp_path):
    adv, clean = attacked(examples)
    source = saved(tmp_path, adv, clean)
    some = Split(examples.images[5:9], examples.labels[5:9], examples.index[5:9])
    np.testing.assert_array_equal(source.load(some, EPS, "linf"), adv[5:9].astype(np.float64))


def test_copies_are_taken_in_turn(examples, tmp_path):
    images = np.repeat(examples.images[:2], 2, axis=0)
    twice = Split(images, np.array([0, 0, 1, 1]), np.arange(4))
    adv, clean = attacked(twice)
    np.testing.assert_array_equal(saved(tmp_path, adv, clean).load(twice, EPS, "linf"), adv.astype(np.float64))


def test_test_images_without_an_attacked_one_are_counted(examples, tmp_path):
    adv, clean = attacked(examples)
    source = saved(tmp_path, np.delete(adv, [3, 9], axis=0), np.delete(clean, [3, 9], axis=0))
    message = (
        r"adv\.npz: 2 of 20 test images are not among its 18 clean images \(x_clean\), the first is test image 3, "
        "number 103 of its data set"
    )
    with pytest.raises(UserFileError, match=message):
        source.load(examples, EPS, "linf")


@pytest.mark.parametrize(("norm", "eps"), [("linf", EPS), ("l2", EPS * 20**0.5)])
def test_images_out_of_the_ball_are_counted(examples, tmp_path, norm, eps):
    adv, clean = attacked(examples)
    source = saved(tmp_path, adv[::-1], clean[::-1])
    assert len(source.load(examples, eps, norm)) == 20
    adv[[4, 11], 0, 0, 0] = 0
    with pytest.raises(UserFileError) as error:
        saved(tmp_path, adv[::-1], clean[::-1]).load(examples, eps, norm)
    shown = f"adv.npz: 2 of 20 images are farther than eps = {eps:.6g} from their clean images ({norm}), the first is"
    assert str(error.value).startswith(f"{shown} image 15, at ")


def test_what_is_wrong_with_a_file_is_told(examples, tmp_path):
    adv, clean = attacked(examples)
    wrong = np.moveaxis(np.repeat(adv, 3, axis=3), 3, 1)
    with pytest.raises(UserFileError, match=r"its images are \(3, 4, 5\) \(rows, columns, channels\), and test images"):
        saved(tmp_path, wrong, wrong).load(examples, EPS, "linf")
    beyond = adv.copy()
    beyond[7] += 1
    told = {
        "there is no array x_clean; x_adv has the attacked": {"x_adv": adv},
        r"x_adv has the shape \(19, 4, 5, 1\) and x_clean \(20, 4, 5, 1\)": {"x_adv": adv[1:], "x_clean": clean},
        "x_clean holds int64; images are bytes": {"x_adv": adv, "x_clean": clean.astype(int)},
        "x_adv: image 7 holds 1": {"x_adv": beyond, "x_clean": clean},
    }
    for message, arrays in told.items():
        write(tmp_path / "adv.npz", arrays)
        with pytest.raises(UserFileError, match=rf"adv\.npz: {message}"):
            AdversarialImages(tmp_path / "adv.npz").check()
    with pytest.raises(UserFileError, match=r"adv\.np is not there; did you mean adv\.npz\?"):
        AdversarialImages(tmp_path / "adv.np").check()
