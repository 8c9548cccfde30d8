"""Adversarial images in an npz file: written for other libraries, and read back from them.

Both ways the array x_adv has the attacked images, and x_clean at the same places the images that they were made of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePath

import numpy as np

from ntkbench import files
from ntkbench.data import npz
from ntkbench.data.dataset import Split
from ntkbench.data.user.arrays import check_images, image_shape
from ntkbench.data.user.examples import UserFileError, opened, require_box

_NAMES = ("x_adv", "x_clean")
_ROUNDING = 1e-6
"""how far a pixel may be out of the ball: single precision rounds by less"""


@dataclass(frozen=True)
class AdversarialImages:
    """An npz file of adversarial images, of any attack of any library."""

    path: Path
    limit: int = files.LIMIT
    """most bytes that the arrays may take together"""

    @property
    def files(self) -> Sequence[tuple[Path, PurePath]]:
        """The one file."""
        return ((self.path, PurePath()),)

    def check(self) -> None:
        """Raise UserFileError if the file does not hold images and their clean images, all of them in [0, 1]."""
        self._read()

    def load(self, test: Split, eps: float, norm: str) -> np.ndarray:
        """Return the attacked image of each test image (n, h, w, c), float64, found by its clean image.

        Images of the file that belong to no test image are left out. Raise UserFileError, with their number and the
        first of them, if test images have no attacked image, or attacked images are farther than `eps` from their test
        image in the `norm` linf or l2.
        """
        adv, clean = (array.reshape(-1, *image_shape(array.shape)) for array in self._read())
        if clean.shape[1:] != test.images.shape[1:]:
            raise UserFileError(
                f"{self.path.name}: its images are {clean.shape[1:]} (rows, columns, channels), and test images "
                f"{test.images.shape[1:]}"
            )
        X = test.unit()
        places = _matched(_unit(clean), X)
        absent = np.flatnonzero(places < 0)
        if len(absent):
            raise UserFileError(
                f"{self.path.name}: {len(absent)} of {len(X)} test images are not among its {len(clean)} clean images "
                f"(x_clean), the first is test image {absent[0]}, number {test.index[absent[0]]} of its data set; "
                "`ntkbench images` writes the clean images of a run"
            )
        found = _unit(adv[places])
        distances = _distances(found - X, norm)
        far = np.flatnonzero(distances > eps + _ROUNDING * (1 if norm == "linf" else X[0].size ** 0.5))
        if len(far):
            raise UserFileError(
                f"{self.path.name}: {len(far)} of {len(X)} images are farther than eps = {eps:.6g} from their clean "
                f"images ({norm}), the first is image {places[far[0]]}, at {distances[far[0]]:.6g}"
            )
        return found

    def _read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return attacked and clean images as they are in the file, checked."""
        with opened(self.path) as file:
            try:
                headers = npz.headers(file, _NAMES)
                if absent := [name for name in _NAMES if name not in headers]:
                    raise UserFileError(
                        f"there is no array {' and no '.join(absent)}; x_adv has the attacked images, and x_clean at "
                        "the same places the clean ones"
                    )
                for name, header in headers.items():
                    check_images(name, header)
                one, other = (headers[name].shape for name in _NAMES)
                if one != other:
                    raise UserFileError(f"x_adv has the shape {one} and x_clean {other}; they have to be the same")
                arrays = npz.read(file, self.limit, _NAMES)
            except (npz.Damaged, UserFileError) as error:
                raise UserFileError(f"{self.path.name}: {error}") from None
        for name in _NAMES:
            require_box(f"{self.path.name}: {name}", arrays[name])
        return arrays["x_adv"], arrays["x_clean"]


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as a compressed npz file, whole or not at all."""
    buffer = BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)  # pyright: ignore[reportArgumentType]
    files.write(path, buffer.getvalue())


def _unit(images: np.ndarray) -> np.ndarray:
    """Return images as float64 in [0, 1]."""
    return images / 255 if images.dtype == np.uint8 else images.astype(np.float64)


def _distances(moved: np.ndarray, norm: str) -> np.ndarray:
    """Return the norm of each displacement (n, ...)."""
    flat = moved.reshape(len(moved), -1)
    return np.abs(flat).max(axis=1) if norm == "linf" else np.sqrt(np.square(flat).sum(axis=1))


def _matched(clean: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return for each test image the place of the clean image of equal content, -1 where there is none.

    Copies of an image are taken in turn.
    """
    places: dict[bytes, list[int]] = {}
    for place, image in enumerate(clean):
        for key in _keys(image):
            places.setdefault(key, []).append(place)

    def found(image: np.ndarray) -> int:
        same = next((places[key] for key in _keys(image) if key in places), [-1])
        return same.pop(0) if len(same) > 1 else same[0]

    return np.array([found(image) for image in test])


def _keys(image: np.ndarray) -> tuple[bytes, bytes]:
    """Return texts of which images of equal content share one, in whichever precision they were computed.

    The first is exact in single precision, the second in steps of 1/65535, of which 8-bit pixels are multiples.
    """
    return image.astype(np.float32).tobytes(), b"steps" + np.round(image * 65535).astype(np.uint16).tobytes()
