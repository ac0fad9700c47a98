"""Pictures as the pipeline reads them: always the pixels that `read_image` gives.

TensorFlow decodes plain JPEG and PNG files to the very pixels that Pillow does. Every
other picture (palettes, transparency, CMYK, 16 bits, WebP, AVIF, TIFF, HEIC, pictures
that EXIF turns) is read once by `read_image`, before training, and stands as a PNG in the
folder `pictures` of the cache (`files.cache_dir`), which may be emptied at any time. Its
name is made of the picture's path, size and time, so a changed picture is read again.

A picture of more than `LARGE_PIXELS` pixels is made smaller so, by 2, 4 or 8, because the
pipeline takes 15 bytes a pixel of each picture that it has in work; `factors_of` says by
how much, for the labels.

What was decoded once without an error is remembered there by the same marks: the pictures
of the next run on the same data are not decoded before it starts.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from PIL import Image
from tqdm import tqdm

from keras_pose.files import atomic_path, cache_dir, write_json
from keras_pose.pictures.images import (
    ImageError,
    labels_are_upright,
    picture_size,
    read_image,
)

# Goes into the names in the cache; to be raised when `read_image` gives other pixels.
PIXELS_VERSION = 2

# Of no camera that has not several hundred megapixels to choose from: 5792 x 5792.
LARGE_PIXELS = 2**25
_REDUCTIONS = (2, 4, 8)
# One large picture is decoded at a time.
_LARGE = threading.Lock()

# JPEG: frames of Huffman codes, sequential and progressive.
_SEQUENTIAL_AND_PROGRESSIVE = (0xC0, 0xC1, 0xC2)
# Sampling factors (horizontal, vertical) of the brightness where colours have (1, 1): at
# these, decoders of all versions agree on the colours between the samples.
_SAMPLINGS = ((1, 1), (2, 1), (2, 2))
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_GREY_AND_RGB = (0, 2)
# Chunks that change pixels: transparency, animation.
_PNG_NOT_PLAIN = (b"tRNS", b"acTL")


def trainable_images(
    images: Sequence[Path] | Sequence[bytes],
    image_hw: np.ndarray | None = None,
    is_decoded: bool = True,
) -> tuple[list[Any], dict[int, ImageError]]:
    """Makes of pictures what TensorFlow decodes to the pixels that `read_image` gives.

    Args:
        images: M paths, or M encoded images.
        image_hw: (M, 2), (height, width) that the labels of each were made for, pixels,
            which says whether they are on its pixels as EXIF turns them; zeros, or None
            for all, for stored pixels.
        is_decoded: decode every picture once that is not known to be whole. False to
            look at headers only, where broken pictures may stay undetected.

    Returns:
        images: M paths or encoded images; those of broken pictures as they were.
        broken: what is wrong with each picture that cannot be read, by its place.

    Raises:
        ValueError: names a picture that has not that size, stored or turned.
        PermissionError: when a picture must be converted and the cache takes no files.
    """
    memory = _Memory()
    sizes = np.zeros((len(images), 2), int) if image_hw is None else np.asarray(image_hw)
    meant = list(zip(images, map(tuple, sizes.tolist()), strict=True))

    def prepare(picture):
        image, size_hw = picture
        try:
            if isinstance(image, bytes):
                return _prepared_bytes(image, size_hw, is_decoded), None
            return _prepared_file(image, size_hw, is_decoded, memory), None
        except ImageError as error:
            return image, error

    # Each once: two threads that convert one picture would be in each other's way.
    different = list(dict.fromkeys(meant))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pairs = pool.map(prepare, different)
        # A bar on a terminal, and nothing in a log file.
        bar = tqdm(pairs, "checking images", len(different), unit="image", disable=None)
        done = dict(zip(different, bar, strict=True))
    memory.save()
    errors = {i: done[picture][1] for i, picture in enumerate(meant)}
    broken = {i: error for i, error in errors.items() if error is not None}
    return [done[picture][0] for picture in meant], broken


def readable_images(
    images: Sequence[Path] | Sequence[bytes], image_hw: np.ndarray | None
) -> tuple[list[Any], dict[int, ImageError]]:
    """Makes pictures trainable, each decoded once, and warns of those that are broken.

    Args:
        images, image_hw: pictures and their sizes, as `trainable_images` takes them.

    Returns:
        images, broken: as of `trainable_images`.

    Raises:
        ImageError: when no image is left.
        ValueError: names an image that is not of the size its labels were made for.
    """
    ready, broken = trainable_images(images, image_hw)
    for error in broken.values():
        warnings.warn(f"Skipped: {error}", stacklevel=3)
    if len(broken) == len(images):
        raise ImageError(f"None of the {len(images)} images of the data set can be read.")
    return ready, broken


def _prepared_bytes(data: bytes, size_hw, is_decoded: bool) -> bytes:
    is_turned = any(size_hw) and labels_are_upright(io.BytesIO(data), size_hw)
    if not is_turned and is_plain(io.BytesIO(data), to_end=is_decoded):
        if is_decoded:
            read_image(io.BytesIO(data), honour_exif=False)
        return data
    buffer = io.BytesIO()
    _write_png(buffer, read_image(io.BytesIO(data), honour_exif=is_turned))
    return buffer.getvalue()


def _prepared_file(path: Path, size_hw, is_decoded: bool, memory: _Memory) -> Path:
    mark = _mark(path, size_hw)
    known = memory.get(path, mark)
    if known == "plain":
        return path
    if known is None:
        factor = reduction_of(size_hw if any(size_hw) else picture_size(path).stored_hw)
    else:
        factor = int(known.removeprefix("converted") or 1)
    is_turned = any(size_hw) and labels_are_upright(path, size_hw)
    is_ready = known is None and factor == 1 and not is_turned
    if is_ready and _is_plain_file(path, is_decoded):
        if is_decoded:
            read_image(path, honour_exif=False)
            memory.add(path, mark, "plain")
        return path
    name = hashlib.sha256(f"{path.absolute()} {mark}".encode()).hexdigest()[:32]
    ending = f"-{factor}" if factor > 1 else ""
    converted = cache_dir() / "pictures" / name[:2] / f"{name}{ending}.png"
    if not converted.exists():
        with _LARGE if factor > 1 else contextlib.nullcontext():
            pixels = read_image(path, is_turned, factor)
            with atomic_path(converted) as temporary:
                _write_png(temporary, pixels)
    memory.add(path, mark, f"converted{factor}" if factor > 1 else "converted")
    return converted


def reduction_of(image_hw) -> int:
    """Returns by how much a picture of a size is made smaller for training; 1 if not."""
    num_pixels = int(image_hw[0]) * int(image_hw[1])
    if num_pixels <= LARGE_PIXELS:
        return 1
    fitting = [f for f in _REDUCTIONS if num_pixels <= LARGE_PIXELS * f**2]
    return (*fitting, _REDUCTIONS[-1])[0]


def factors_of(images: Sequence[Path] | Sequence[bytes]) -> np.ndarray:
    """Returns by how much pictures of `trainable_images` were made smaller.

    Pixel (0, 0) has its centre at (0, 0) before and after, so a label at x comes to lie
    at (x + 0.5) / factor - 0.5.

    Returns:
        (M,) int; 1 for pictures of their own size.
    """
    home = cache_dir() / "pictures"

    def factor(image):
        if isinstance(image, bytes) or image.parent.parent != home:
            return 1
        return int(image.stem.partition("-")[2] or 1)

    return np.array([factor(image) for image in images], int)


def smaller_xy(points_xy: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Takes points to pictures that were made smaller, see `factors_of`.

    Args:
        points_xy: (..., 2) image pixels.
        factors: divisors of the pictures' sizes, of a shape that broadcasts.
    """
    return ((points_xy + 0.5) / factors - 0.5).astype(np.float32)


def smaller_boxes(boxes_xywh: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Takes (N, 4) boxes to pictures that were made smaller by (N,) factors."""
    column = factors[:, None]
    near = smaller_xy(boxes_xywh[:, :2], column)
    return np.concatenate([near, boxes_xywh[:, 2:] / column], axis=1).astype(np.float32)


class InPictures:
    """Labels in pictures; subclasses are dataclasses with these fields.

    Attributes:
        images: M paths, or M encoded images.
        image_hw: (M, 2) int, (height, width) that the labels of each image were made for,
            pixels: they are on its pixels as they are stored, or as EXIF turns them. Zeros
            where it is not known, or None for all: on the stored pixels.
        is_trainable: True if TensorFlow decodes all images to the pixels meant.
    """

    images: list[Path] | list[bytes]
    image_hw: np.ndarray | None
    is_trainable: bool

    def in_images(self, images) -> Self:
        """Returns the same in images as training reads them, labels as these."""
        raise NotImplementedError

    def trainable(self) -> Self:
        """Returns the same in images that TensorFlow decodes as `read_image` does.

        Raises:
            ImageError: names an image that must be converted and cannot be read.
            ValueError: names an image that is not of the size its labels were made for.
        """
        if self.is_trainable:
            return self
        images, broken = trainable_images(self.images, self.image_hw, is_decoded=False)
        for error in broken.values():
            raise error
        return self.in_images(images)


def _mark(path: Path, size_hw) -> str:
    """Returns a key that differs between states of a file, and between uses of it."""
    try:
        stat = path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise ImageError(f"Image {path} does not exist.") from error
        raise ImageError(f"Image {path} cannot be read: {error}.") from error
    return f"{PIXELS_VERSION} {stat.st_size} {stat.st_mtime_ns} {size_hw[0]}x{size_hw[1]}"


def _is_plain_file(path: Path, to_end: bool) -> bool:
    try:
        with open(path, "rb") as file:
            return is_plain(file, to_end)
    except OSError as error:
        raise ImageError(f"Image {path} cannot be read: {error}.") from error


def _write_png(target, pixels: np.ndarray) -> None:
    # The fastest level: files are a quarter larger than at the usual one.
    Image.fromarray(pixels).save(target, "PNG", compress_level=1)


def is_plain(file: BinaryIO, to_end: bool = False) -> bool:
    """Returns True if TensorFlow decodes an image to the stored pixels that Pillow gives.

    Args:
        file: an encoded image, read from its start.
        to_end: also demand the mark that ends the image, without which TensorFlow
            refuses some files that Pillow reads; else the header is looked at only.
    """
    start = file.read(8)
    if start == _PNG_START:
        return _is_plain_png(file, to_end)
    if start[:3] == b"\xff\xd8\xff":
        file.seek(2)
        return _is_plain_jpeg(file, to_end)
    return False


def _is_plain_png(file, to_end) -> bool:
    """Walks over a PNG's chunks: 8-bit grey or RGB, and nothing that changes pixels."""
    is_first = True
    while len(head := file.read(8)) == 8:
        size, name = int.from_bytes(head[:4], "big"), head[4:]
        if is_first:
            values = file.read(size + 4)
            if name != b"IHDR" or len(values) < 17:
                return False
            bits, color_type = values[8], values[9]
            if bits != 8 or color_type not in _PNG_GREY_AND_RGB:
                return False
            is_first = False
            continue
        if name in _PNG_NOT_PLAIN:
            return False
        if name == b"IEND":
            return len(file.read(4)) == 4
        if name == b"IDAT" and not to_end:
            return True
        file.seek(size + 4, 1)
    return False


def _is_plain_jpeg(file, to_end) -> bool:
    """Walks over a JPEG's markers: 8 bits, grey or YCbCr, sampled in a usual way."""
    is_plain_frame = False
    while len(marker := file.read(2)) == 2 and marker[0] == 0xFF:
        code = marker[1]
        if code == 0xFF:  # padding
            file.seek(-1, 1)
            continue
        if code == 0xDA:  # the pixels begin
            return is_plain_frame and (not to_end or b"\xff\xd9" in file.read())
        values = file.read(max(0, int.from_bytes(file.read(2), "big") - 2))
        if code == 0xEE and values[:5] == b"Adobe" and values[11:12] == b"\0":
            return False  # RGB, or CMYK
        is_frame = 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC)
        if is_frame:
            is_plain_frame = code in _SEQUENTIAL_AND_PROGRESSIVE and _is_plain_frame(values)
    return False


def _is_plain_frame(values: bytes) -> bool:
    """Looks at a JPEG frame header: bits, height, width, sampling of the components."""
    if len(values) < 6 or len(values) != 6 + 3 * values[5]:
        return False
    bits, height = values[0], int.from_bytes(values[1:3], "big")
    ids = values[6::3]
    samplings = [divmod(value, 16) for value in values[7::3]]
    if bits != 8 or height == 0:  # a height of 0 follows behind the pixels
        return False
    if len(samplings) == 1:
        return samplings[0] == (1, 1)
    is_rgb = ids == b"RGB"
    return len(samplings) == 3 and not is_rgb and _is_usual(samplings)


def _is_usual(samplings) -> bool:
    return samplings[0] in _SAMPLINGS and samplings[1:] == [(1, 1), (1, 1)]


class _Memory:
    """Facts about pictures, in a JSON file in the cache for each folder of pictures."""

    def __init__(self):
        self._folders: dict[Path, dict[str, list[str]]] = {}
        self._changed: set[Path] = set()

    def get(self, path: Path, mark: str) -> str | None:
        """Returns "plain" or "converted" for a picture in the state of `mark`, or None."""
        folder, name = path.absolute().parent, path.name
        entry = self._known(folder).get(name)
        return entry[1] if entry and entry[0] == mark else None

    def add(self, path: Path, mark: str, verdict: str) -> None:
        folder = path.absolute().parent
        entry = [mark, verdict]
        if self._known(folder).get(path.name) != entry:
            self._known(folder)[path.name] = entry
            self._changed.add(folder)

    def save(self) -> None:
        """Writes what is new, if the cache takes files; else pictures are checked again."""
        for folder in self._changed:
            try:
                write_json(self._file(folder), self._folders[folder])
            except OSError:
                return

    def _known(self, folder):
        if folder not in self._folders:
            self._folders[folder] = self._read(folder)
        return self._folders[folder]

    def _read(self, folder):
        try:
            values = json.loads(self._file(folder).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def _file(self, folder):
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:32]
        return cache_dir() / "pictures" / f"{name}.json"
