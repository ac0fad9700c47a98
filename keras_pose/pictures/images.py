"""Reading and writing image files: RGB, uint8, and honest about broken ones."""

from __future__ import annotations

import contextlib
import io
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


# Endings of picture files, in folders that hold other things, too.
PICTURE_SUFFIXES = (
    *(".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".j2k", ".jfif"),
    *(".jp2", ".jpe", ".jpeg", ".jpg", ".jpx", ".mpo", ".pbm", ".pcx", ".pgm", ".png"),
    *(".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)

# Formats that may hold animations, and how long a frame is shown that does not say.
_MOVING = ("AVIF", "GIF", "PNG", "WEBP")
USUAL_FRAME_MS = 100.0

# Brands of files with HEVC pictures (ISO 23008-12, annex B), as phones write them.
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

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
        """True if the stored pixels are not the upright ones."""
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


def labels_are_upright(path, image_hw) -> bool:
    """Returns True if labels are on the upright pixels, by the size they were made for.

    Args:
        path: the picture.
        image_hw: (height, width), pixels, as the annotation file says.

    Returns:
        True for the pixels as EXIF turns them, False for the stored ones. Where both
        sizes fit (half a turn, a mirror, a square) the labels are on the upright picture:
        that is what labelling tools show.

    Raises:
        ImageError: for a missing file and what is no picture.
        ValueError: for a size that neither the stored nor the turned picture has.
    """
    size, wanted = picture_size(path), (int(image_hw[0]), int(image_hw[1]))
    if wanted == size.upright_hw:
        return size.is_turned
    # Also where width and height are exchanged: the reader warns of that.
    if size.stored_hw in (wanted, wanted[::-1]):
        return False
    sizes = [size.stored_hw, size.upright_hw][: 1 + size.is_turned]
    found = " and turned by EXIF ".join(f"{width} x {height}" for height, width in sizes)
    raise ValueError(
        f"Image {path} is {found} pixels (width x height), but its labels were made for "
        f"{wanted[1]} x {wanted[0]}."
    )


def read_labelled(path, image_hw) -> np.ndarray:
    """Reads the pixels that the labels of a picture are on.

    Args:
        path: the picture.
        image_hw: (height, width) that they were made for, pixels, see
            `labels_are_upright`; None for the stored pixels.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError, ValueError: see `read_image` and `labels_are_upright`.
    """
    return read_image(path, image_hw is not None and labels_are_upright(path, image_hw))


def read_image(path, honour_exif: bool = True, reduction: int = 1) -> np.ndarray:
    """Reads an image file.

    Args:
        path: file, or an open one; any format Pillow knows. Grey, palette, 16-bit,
            CMYK and transparent images become RGB (transparency over black). Of an
            animation it is the first picture.
        honour_exif: turn the picture as its EXIF orientation says; False for the pixels
            as they are stored. For labelled pictures `read_labelled` knows.
        reduction: 2, 4 or 8 for pictures so many times smaller, sizes rounded up. A JPEG
            is then decoded so, which takes as much less memory.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: names the file and what is wrong with it. Images of more than
            `MAX_PIXELS` are refused before they are decoded, since a small file may
            claim to be of any size.
    """
    with _opened(path) as file:
        orientation, size = _orientation(file), file.size
        _check_size(file)
        if reduction > 1:
            file.draft(None, (file.width // reduction, file.height // reduction))
        file.load()
        is_upright = orientation == 1 or _is_turned_by_pillow(file)
        image = _to_rgb(file)
        if reduction > 1 and file.size == size:  # no JPEG, or one that cannot be scaled
            image = image.reduce(reduction)
        if honour_exif and not is_upright:
            image = image.transpose(_TURNS[orientation])
        elif not honour_exif and is_upright and orientation != 1:
            image = image.transpose(_BACK[orientation])
        return np.asarray(image)


def is_animated(path) -> bool:
    """Returns True if an image file is an animation, of two frames or more.

    (The pictures of an MPO or a TIFF are views or pages, and no animation.)
    """
    try:
        with _opened(path) as image:
            return image.format in _MOVING and getattr(image, "n_frames", 1) > 1
    except ImageError:
        return False


def animation_times(path) -> list[float]:
    """Returns when each frame of an animation is shown, in seconds since the first.

    That of a file which breaks off ends there.
    """
    times: list[float] = []
    with contextlib.suppress(ImageError):
        times.extend(seconds for seconds, _ in read_animation(path))
    return times


def read_animation(path) -> Iterator[tuple[float, np.ndarray]]:
    """Yields the frames of an animation one by one, whole pictures each.

    Yields:
        The time since the first frame in seconds, and (H, W, 3) uint8 RGB pixels. A frame
        without a duration is shown for as long as browsers show it.

    Raises:
        ImageError: at a frame that cannot be read.
    """
    with _opened(path) as image:
        seconds = 0.0
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            _decode(image)
            yield seconds, np.asarray(_to_rgb(image))
            milliseconds = image.info.get("duration", 0)
            # Browsers take up to 10 ms, which old files say, for no duration at all.
            seconds += (milliseconds if milliseconds > 10 else USUAL_FRAME_MS) / 1000


def as_image(image) -> np.ndarray:
    """Returns the pixels of whatever stands for one image, where that is clear.

    Args:
        image: (H, W, 3) RGB, (H, W) or (H, W, 1) grey, or (H, W, 4) RGBA pixels: uint8,
            other whole numbers from 0 to 255, or fractions from 0 to 1; an image of
            Pillow's; a path, an open file, or the bytes of one.

    Returns:
        (H, W, 3) uint8 RGB; the array itself if it is that already.

    Raises:
        ImageError: for a file that cannot be read.
        ValueError: for everything else; says what arrived and what to do with it.
    """
    if isinstance(image, bytes):
        image = io.BytesIO(image)
    if isinstance(image, str | Path) or hasattr(image, "read"):
        return read_image(image)
    if isinstance(image, Image.Image):
        orientation = _orientation(image)
        rgb = _to_rgb(image)
        if orientation != 1 and not _is_turned_by_pillow(image):
            rgb = rgb.transpose(_TURNS[orientation])
        return np.asarray(rgb)
    if image is None:
        raise ValueError(
            "There is no image, but None: cv2.imread returns that for a file that it "
            "cannot read. keras_pose.pictures.images.read_image says why."
        )
    pixels = np.asarray(image)
    _check_pixel_shape(pixels)
    pixels = _as_uint8(pixels)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        pixels = pixels.reshape(pixels.shape[:2])
        return np.stack([pixels] * 3, axis=-1)
    return pixels if pixels.shape[2] == 3 else np.asarray(_to_rgb(Image.fromarray(pixels)))


def _check_pixel_shape(pixels: np.ndarray) -> None:
    shape = pixels.shape
    if pixels.size and (pixels.ndim == 2 or (pixels.ndim == 3 and shape[2] in (1, 3, 4))):
        return
    hint = ""
    if pixels.ndim == 4:
        hint = " Give one image of a batch at a time."
    elif pixels.ndim == 3 and shape[0] in (1, 3, 4):
        hint = " Its channels come first: np.transpose(image, (1, 2, 0)) puts them last."
    raise ValueError(
        "An image is an array (H, W, 3) of RGB, (H, W) of grey or (H, W, 4) of RGBA, "
        f"got {shape} {pixels.dtype}.{hint}"
    )


def _as_uint8(pixels: np.ndarray) -> np.ndarray:
    """Returns pixels as uint8, where their range is clear."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind not in "iuf":
        raise ValueError(f"Pixels are numbers, uint8 as a rule, got {pixels.dtype}.")
    low, high = pixels.min(), pixels.max()
    if pixels.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.rint(pixels * np.float32(255)).astype(np.uint8)
    # Of 16 bits, 0 to 255 may be a dark picture.
    is_whole = pixels.dtype.kind in "iu" or not np.mod(pixels, 1).any()
    if low >= 0 and high <= 255 and is_whole and pixels.dtype != np.uint16:
        return pixels.astype(np.uint8)
    raise ValueError(
        f"Pixels are uint8, fractions from 0 to 1, or whole numbers from 0 to 255, got "
        f"{pixels.dtype} from {low:g} to {high:g}. Undo a normalisation, or scale them: "
        "np.clip(image, 0, 255).astype(np.uint8) for pixels that are nearly from 0 to "
        "255, (image // 257).astype(np.uint8) for 16 bits."
    )


@contextlib.contextmanager
def _opened(path) -> Iterator[Image.Image]:
    """Yields an image of which the header is read; errors name the file."""
    try:
        with warnings.catch_warnings():
            # From half of the limit Pillow warns, of what is well within it here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = _open(path)
        with opened as image:
            yield image
    except FileNotFoundError as error:
        raise ImageError(f"Image {path} does not exist.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"Image {path} is too large: {error}.") from error
    except ImageError:
        raise
    except Exception as error:  # Pillow's parts raise almost anything for damaged files
        raise ImageError(f"Image {path} cannot be read: {error}.") from error


def _open(path) -> Image.Image:
    """Opens an image with Pillow, and HEIC pictures with its plugin, where it is there."""
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        if not _is_heif(path):
            raise
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise ImageError(
            f"Image {path} is HEIC, which needs the package pillow-heif: "
            'pip install "keras-pose[heic]".'
        ) from error
    register_heif_opener()
    return Image.open(path)


def _is_heif(path) -> bool:
    if hasattr(path, "read"):
        path.seek(0)
        start = path.read(64)
        path.seek(0)
    else:
        with open(path, "rb") as file:
            start = file.read(64)
    if start[4:8] != b"ftyp":
        return False
    # The length of the first box, its name, the major brand, a version, other brands.
    brands = {start[i : i + 4] for i in range(8, min(len(start), start[3]), 4)}
    return bool(brands & _HEIF_BRANDS)


def _decode(image: Image.Image) -> None:
    """Decodes an opened image, unless it is too large."""
    _check_size(image)
    image.load()


def _check_size(image: Image.Image) -> None:
    """Raises DecompressionBombError for an opened image that is too large."""
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError(
            f"{image.width} x {image.height} pixels are more than {MAX_PIXELS}"
        )


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
    """Returns True if a PNG has EXIF or text behind its pixels, by its chunks' names."""
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
    """Returns True if Pillow turns the pixels of a format upright as it decodes them."""
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
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, rgba).convert("RGB")
    # `convert` would copy, and large pictures have 4 bytes a pixel here.
    return image if image.mode == "RGB" else image.convert("RGB")


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
