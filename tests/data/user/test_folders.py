import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from ntkbench.data.user.examples import UserFileError
from ntkbench.data.user.folders import Folder

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def images(arrays, tmp_path) -> Path:
    """The folder `animals`: the numbers of files go on from class to class."""
    for split in ("train", "test"):
        for number, (image, label) in enumerate(zip(arrays[f"x_{split}"], arrays[f"y_{split}"], strict=True)):
            folder = tmp_path / "animals" / split / ("ant", "bee", "cow")[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number:03}.png")
    return tmp_path / "animals"


def test_gray_images_as_they_are(images, arrays):
    source = Folder(images, (4, 5, 1))
    known, found = source.describe(), source.load()
    assert (known.name, known.classes, known.shape) == ("animals", ("ant", "bee", "cow"), (4, 5, 1))
    assert (known.train_counts, known.test_counts) == ((4, 4, 4), (2, 2, 2))
    assert found.train.labels.tolist() == sorted(arrays["y_train"])
    order = np.argsort(arrays["y_train"], kind="stable")
    np.testing.assert_array_equal(found.train.images[..., 0], arrays["x_train"][order])


def test_colors_and_another_size(images):
    Image.new("RGB", (40, 20), (255, 0, 128)).save(images / "train" / "ant" / "000.png")
    Image.new("L", (9, 9), 77).save(images / "train" / "ant" / "003.png")
    found = Folder(images, (2, 3, 3)).load().train.images
    assert found.shape == (12, 2, 3, 3)
    assert found[0].reshape(-1, 3).tolist() == [[255, 0, 128]] * 6
    assert (found[1] == 77).all()
    assert Folder(images, (2, 3, 1)).load().train.images.shape == (12, 2, 3, 1)


def test_jpeg_and_hidden_files(images):
    Image.new("L", (5, 4), 100).save(images / "test" / "cow" / "9.JPG", format="JPEG")
    (images / "test" / ".DS_Store").write_text("")
    (images / "test" / "cow" / ".hidden").write_text("")
    source = Folder(images, (4, 5, 1))
    assert source.describe().test_counts == (2, 2, 3)
    assert abs(int(source.load().test.images[-1].mean()) - 100) < 3
    assert not any(path.name.startswith(".") for path, _ in source.files)


def test_the_files_are_named_by_class(images):
    assert [str(name) for _, name in Folder(images, (4, 5, 1)).files][:2] == ["train/ant/000.png", "train/ant/003.png"]


def test_what_is_wrong_is_told(images):
    def told(path: Path = images, shape: tuple[int, int, int] = (4, 5, 1)) -> str:
        with pytest.raises(UserFileError) as error:
            Folder(path, shape).describe()
        return f"{error.value.field}: {error.value}"

    assert told(images.with_name("animal")) == f"path: {images.with_name('animal')} is not there; did you mean animals?"
    assert "train has no folder train and no test; a folder of images has train/CLASS" in told(images / "train")
    assert "path: " in told(images / "train" / "ant" / "000.png")
    assert told(shape=(9000, 9000, 3)).startswith("shape: images of this shape take 4374000000 bytes together")
    (images / "test" / "dog").mkdir()
    assert told() == "path: class dog has no training examples"
    (images / "test" / "dog").rmdir()
    (images / "test" / "dog").write_text("")
    assert told().endswith("dog is no folder of a class")
    (images / "test" / "dog").unlink()
    (images / "train" / "ant" / "list.txt").write_text("")
    assert told().endswith("list.txt is no image by its name, which ends in .png, .jpg, .jpeg")
    (images / "train" / "ant" / "list.txt").unlink()
    assert Folder(images, (4, 5, 1)).describe().n_train == 12


def bomb() -> bytes:
    """A PNG whose header promises 30000 x 30000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 30000, 30000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.mark.parametrize("content", [b"", b"GIF89a", bomb(), b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_damaged_images(images, content):
    (images / "train" / "ant" / "000.png").write_bytes(content)
    with pytest.raises(UserFileError, match=r"000\.png is damaged, or no image"):
        Folder(images, (4, 5, 1)).load()


def test_images_of_sixteen_bits_are_refused(images):
    Image.fromarray(np.full((4, 5), 40000, np.uint16)).save(images / "train" / "ant" / "000.png")
    with pytest.raises(UserFileError, match=r"of mode I;16; 8 bits a channel are read"):
        Folder(images, (4, 5, 1)).load()
