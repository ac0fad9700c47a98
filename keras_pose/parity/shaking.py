"""Small changes of pixels, as two programs that cut the same crop may differ by."""

from __future__ import annotations

import numpy as np

# Of the pixels' channels. Exact bilinear sampling, rounded, differs from OpenCV's crops in
# one of a thousand, by one level; twice that.
CHANGED_SHARE = 0.002


def shake(pixels, rng: np.random.Generator, share: float = CHANGED_SHARE) -> np.ndarray:
    """Changes some of the uint8 numbers by one, up or down, by chance."""
    step = rng.choice([-1, 1], pixels.shape) * (rng.random(pixels.shape) < share)
    return np.clip(pixels.astype(np.int16) + step, 0, 255).astype(np.uint8)
