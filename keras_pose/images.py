"""Reading and writing image files: RGB, uint8, and honest about broken ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from keras_pose.files import atomic_path


class ImageError(ValueError):
    """An image file that is missing, truncated or not an image."""


# What TensorFlow decodes too, and so what can be trained on.
TRAINABLE_FORMATS = ("BMP", "GIF", "JPEG", "PNG")


def read_image(path, honour_exif: bool = True) -> np.ndarray:
    """Reads an image file.

    Args:
        path: file, or an open one; any format Pillow knows. Grey, palette, 16-bit,
            CMYK and transparent images become RGB (transparency over black).
        honour_exif: turn the picture as its EXIF orientation says. Data sets
            are labelled on the stored pixels and want False.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: names the file and what is wrong with it.
    """
    with _opened(path) as file:
        image = ImageOps.exif_transpose(file) if honour_exif else file
        return np.asarray(_to_rgb(image))


def check_image(path) -> None:
    """Decodes an image file to see whether it can be trained on.

    Raises:
        ImageError: for what `read_image` refuses, and for formats that TensorFlow
            does not decode.
    """
    with _opened(path) as image:
        if image.format not in TRAINABLE_FORMATS:
            raise ImageError(
                f"Image {path} is {image.format}; training reads "
                f"{', '.join(TRAINABLE_FORMATS)}."
            )


@contextlib.contextmanager
def _opened(path) -> Iterator[Image.Image]:
    """Yields a decoded image, and tells what is wrong with those that cannot be."""
    try:
        with Image.open(path) as image:
            image.load()
            yield image
    except FileNotFoundError as error:
        raise ImageError(f"Image {path} does not exist.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"Image {path} is too large: {error}.") from error
    except ImageError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"Image {path} cannot be read: {error}.") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow clips 16-bit greys at 255 instead of scaling them.
        values = np.asarray(image).astype(np.float64)
        scale = 255 / 65535 if values.max(initial=0) > 255 else 1.0
        return Image.fromarray(np.uint8(values * scale)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, rgba).convert("RGB")
    return image.convert("RGB")


def write_image(path, image: np.ndarray) -> Path:
    """Writes an (H, W, 3) uint8 RGB image whole or not at all.

    Raises:
        ValueError: for a file name extension that Pillow cannot write.
        PermissionError: when the folder cannot be written to.
    """
    path = Path(path)
    if path.suffix.lower() not in Image.registered_extensions():
        raise ValueError(f"Cannot tell an image format from the name {path.name!r}.")
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary)
    return path
