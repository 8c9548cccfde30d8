"""A user's data set of 12 training and 6 test images of 4 x 5 pixels, in three classes."""

import numpy as np
import pytest


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    labels = np.arange(18) % 3
    images = (np.arange(18 * 20).reshape(18, 4, 5) % 256).astype(np.uint8)
    return {"x_train": images[:12], "y_train": labels[:12], "x_test": images[12:], "y_test": labels[12:]}
