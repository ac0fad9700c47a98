"""Reading and writing image files: RGB, uint8, and honest about broken ones."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from keras_pose.files import atomic_path


class ImageError(ValueError):
    """An image file that is missing, truncated or not an image."""


# Pillow's own limit (13,000 x 13,000), at which decoded images have half a gigabyte.
MAX_PIXELS = 2 * 89_478_485

# What TensorFlow decodes too, and so what can be trained on.
TRAINABLE_FORMATS = ("BMP", "GIF", "JPEG", "PNG")


def read_image(path, honour_exif: bool = True) -> np.ndarray:
    """Reads an image file.

    Args:
        path: file, or an open one; any format Pillow knows. Grey, palette, 16-bit,
            CMYK and transparent images become RGB (transparency over black). Of an
            animation it is the first picture.
        honour_exif: turn the picture as its EXIF orientation says. Data sets
            are labelled on the stored pixels and want False.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: names the file and what is wrong with it. Images of more than
            `MAX_PIXELS` are refused before they are decoded, since a small file may
            claim to be of any size.
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
        with warnings.catch_warnings():
            # From half of the limit Pillow warns, of what is well within it here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(path)
        with opened as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError(
                    f"{image.width} x {image.height} pixels are more than {MAX_PIXELS}"
                )
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
        values = np.asarray(image).astype(np.int64)
        if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
            raise ValueError(
                "its grey values are not of 8 or 16 bits, but from "
                f"{values.min()} to {values.max()}"
            )
        # 65535 / 257 = 255. Also of dark pictures: two frames of a video must not be
        # scaled in two ways.
        return Image.fromarray(np.uint8((values + 128) // 257)).convert("RGB")
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, of no known range")
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
