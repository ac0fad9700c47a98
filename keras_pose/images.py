"""Reading and writing image files: RGB, uint8, and honest about broken ones."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from keras_pose.files import atomic_path


class ImageError(ValueError):
    """An image file that is missing, truncated or not an image."""


# Pillow's own limit (13,000 x 13,000), at which decoded images have half a gigabyte.
MAX_PIXELS = 2 * 89_478_485

# What TensorFlow decodes too, and so what can be trained on.
TRAINABLE_FORMATS = ("BMP", "GIF", "JPEG", "PNG")


# Width and height of a TIFF.
TIFF_SIZE_TAGS = (TiffImagePlugin.IMAGEWIDTH, TiffImagePlugin.IMAGELENGTH)

# How a stored picture is turned upright, by its EXIF orientation (EXIF 2.3, 4.6.4).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Quarter turns undo each other; every other turn undoes itself.
_BACK = _TURNS | {6: _TURNS[8], 8: _TURNS[6]}


@dataclass(frozen=True)
class PictureSize:
    """The size of a picture, as its pixels are stored and as EXIF turns them upright.

    Attributes:
        stored_hw: (height, width), pixels, whatever EXIF says.
        orientation: EXIF orientation, 1 to 8; 1 for upright pixels.
    """

    stored_hw: tuple[int, int]
    orientation: int = 1

    @property
    def is_turned(self) -> bool:
        """Whether the stored pixels are not the upright ones."""
        return self.orientation != 1

    @property
    def upright_hw(self) -> tuple[int, int]:
        """(height, width), pixels, as viewers and `read_image` show the picture."""
        height, width = self.stored_hw
        return (width, height) if self.orientation >= 5 else (height, width)


def picture_size(path) -> PictureSize:
    """Reads size and EXIF orientation from an image's header; nothing is decoded.

    Args:
        path: file, or an open one.

    Raises:
        ImageError: for a missing file and what is no picture; names it. (What is broken
            behind its header is found by `read_image` only.)
    """
    with _opened(path) as file:
        orientation = _orientation(file)
        width, height = file.size
        if isinstance(file, TiffImagePlugin.TiffImageFile):
            # Newer Pillows tell the size of the turned picture.
            width, height = (file.tag_v2[tag] for tag in TIFF_SIZE_TAGS)
        return PictureSize((height, width), orientation)


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
        orientation = _orientation(file)
        _decode(file)
        is_upright = orientation == 1 or _is_turned_by_pillow(file)
        image = _to_rgb(file)
        if honour_exif and not is_upright:
            image = image.transpose(_TURNS[orientation])
        elif not honour_exif and is_upright and orientation != 1:
            image = image.transpose(_BACK[orientation])
        return np.asarray(image)


def check_image(path) -> None:
    """Decodes an image file to see whether it can be trained on.

    Raises:
        ImageError: for what `read_image` refuses, and for formats that TensorFlow
            does not decode.
    """
    with _opened(path) as image:
        _decode(image)
        if image.format not in TRAINABLE_FORMATS:
            raise ImageError(
                f"Image {path} is {image.format}; training reads "
                f"{', '.join(TRAINABLE_FORMATS)}."
            )


@contextlib.contextmanager
def _opened(path) -> Iterator[Image.Image]:
    """Yields an image of which the header is read; errors name the file."""
    try:
        with warnings.catch_warnings():
            # From half of the limit Pillow warns, of what is well within it here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(path)
        with opened as image:
            yield image
    except FileNotFoundError as error:
        raise ImageError(f"Image {path} does not exist.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"Image {path} is too large: {error}.") from error
    except ImageError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"Image {path} cannot be read: {error}.") from error


def _decode(image: Image.Image) -> None:
    """Decodes an opened image, unless it is too large."""
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError(
            f"{image.width} x {image.height} pixels are more than {MAX_PIXELS}"
        )
    image.load()


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation of an opened image; 1 where there is none to read."""
    try:
        if isinstance(image, PngImagePlugin.PngImageFile) and not _has_late_exif(image):
            # Pillow's own method decodes the picture to look for EXIF behind the pixels.
            exif = Image.Image.getexif(image)
        else:
            exif = image.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises almost anything for EXIF that is damaged
        return 1
    return orientation if orientation in _TURNS else 1


def _has_late_exif(image: PngImagePlugin.PngImageFile) -> bool:
    """Tells whether a PNG has EXIF or text behind its pixels, by its chunks' names."""
    file = image.fp
    if file is None or "exif" in image.info:
        return False
    place = file.tell()
    try:
        file.seek(8)
        is_late = False
        while len(head := file.read(8)) == 8:
            name = head[4:]
            is_late = is_late or name == b"IDAT"
            if is_late and name in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            file.seek(int.from_bytes(head[:4], "big") + 4, 1)
        return False
    finally:
        file.seek(place)


def _is_turned_by_pillow(image: Image.Image) -> bool:
    """Tells whether Pillow turns the pixels of a format upright as it decodes them."""
    return image.format == "TIFF"


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
