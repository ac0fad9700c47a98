"""Pictures of every kind come out as 8-bit RGB, or as an error that names them."""

import io
import struct
import sys
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from says import Says

from keras_pose.pictures.images import (
    ImageError,
    labels_are_upright,
    picture_size,
    read_image,
    write_image,
)

ORIENTATION_TAG = 0x0112
# Four quarters, all different, so that a turn or a mirror shows.
QUARTERS = np.zeros((32, 48, 3), np.uint8)
QUARTERS[:16, :24], QUARTERS[:16, 24:] = (250, 0, 0), (0, 250, 0)
QUARTERS[16:, :24], QUARTERS[16:, 24:] = (0, 0, 250), (200, 200, 200)


def corners(image):
    """Returns the colours of the four quarters, row by row."""
    height, width = image.shape[:2]
    rows, columns = [height // 4, 3 * height // 4], [width // 4, 3 * width // 4]
    return image[np.ix_(rows, columns)].astype(int)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".jpg", ".gif"])
def test_formats(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(QUARTERS).save(path)
    # JPEG and WebP lose a little.
    np.testing.assert_allclose(corners(read_image(path)), corners(QUARTERS), atol=8)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "HSV"]
)
def test_modes_become_rgb(tmp_path, mode):
    suffix = {"CMYK": ".tif", "YCbCr": ".tif", "HSV": None, "PA": None}.get(mode, ".png")
    image = Image.fromarray(QUARTERS).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    if suffix is None:  # no file format holds them
        from keras_pose.pictures.images import _to_rgb

        found = np.asarray(_to_rgb(image))
    else:
        image.save(tmp_path / f"a{suffix}")
        found = read_image(tmp_path / f"a{suffix}")
    assert (found.shape, found.dtype) == ((32, 48, 3), np.uint8)
    np.testing.assert_allclose(corners(found), corners(expected), atol=8)


def test_a_cmyk_jpeg_has_its_colours_and_not_their_negative(tmp_path):
    Image.fromarray(QUARTERS).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    np.testing.assert_allclose(
        corners(read_image(tmp_path / "a.jpg")), corners(QUARTERS), atol=12
    )


@pytest.mark.parametrize("brightest", [65535, 200])
def test_16_bit_greys_are_scaled_dark_ones_too(tmp_path, brightest):
    values = np.linspace(0, brightest, 32 * 48).reshape(32, 48).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    expected = np.round(values / 257)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 1], expected)


def png(width, height, bits, color_type, pixels):
    """Returns the bytes of a PNG file."""

    def chunk(name, data):
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize(("color_type", "channels"), [(2, 3), (6, 4)], ids=["rgb", "rgba"])
def test_16_bit_colours_are_scaled(tmp_path, color_type, channels):
    # A row of two pixels, opaque; a filter byte begins the row.
    values = np.full((2, channels), 65535, ">u2")
    values[0, :3] = (0x1234, 0x8000, 0xFF00)
    path = tmp_path / "a.png"
    path.write_bytes(png(2, 1, 16, color_type, b"\0" + values.tobytes()))
    np.testing.assert_allclose(read_image(path)[0, 0], (0x12, 0x80, 0xFF), atol=1)
    np.testing.assert_array_equal(read_image(path)[0, 1], 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_black(tmp_path, mode):
    image = Image.new(mode, (2, 1), (255,) * len(mode))
    image.putpixel((0, 0), (255,) * (len(mode) - 1) + (0,))
    image.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_a_transparent_palette_colour_is_black(tmp_path):
    image = Image.fromarray(QUARTERS).quantize(4)
    image.save(tmp_path / "a.png", transparency=image.getpixel((0, 0)))
    found = corners(read_image(tmp_path / "a.png"))
    np.testing.assert_array_equal(found[0, 0], 0)
    np.testing.assert_array_equal(found[1, 1], (200, 200, 200))


# How a stored picture is turned upright, by its EXIF orientation (EXIF 2.3, 4.6.4).
UPRIGHT = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x, 1),
}


@pytest.mark.parametrize("orientation", [*UPRIGHT, 0, 9])
def test_pictures_are_turned_as_exif_says(tmp_path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    Image.fromarray(QUARTERS).save(tmp_path / "a.png", exif=exif)

    upright = UPRIGHT.get(orientation, UPRIGHT[1])(QUARTERS)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), upright)
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.png", honour_exif=False), QUARTERS
    )


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif", ".tif", ".bmp"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_truncated_files_are_errors_that_name_them(tmp_path, suffix, share):
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(seed=0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ImageError, match=rf"a\{suffix} cannot be read"):
        read_image(path)


@pytest.mark.parametrize("size_wh", [(1, 1), (20_000, 1), (1, 20_000)])
def test_extreme_sizes(tmp_path, size_wh):
    Image.new("RGB", size_wh, (9, 8, 7)).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (size_wh[1], size_wh[0], 3)
    assert (image == (9, 8, 7)).all()


def test_a_small_file_of_a_gigantic_picture_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    # 400 million pixels are claimed; there is next to nothing behind.
    path.write_bytes(png(20_000, 20_000, 8, 0, b"\0" * 100))
    with Says(
        "bomb.png is too large: ... 400000000 pixels",
        do="Make the picture smaller, or cut it: pictures have 179 million pixels at most.",
    ).refuses():
        read_image(path)


def test_a_picture_just_within_the_limit_is_no_reason_to_warn(tmp_path, recwarn):
    path = tmp_path / "large.png"
    path.write_bytes(png(13_000, 12_000, 8, 0, b"\0" * 100))  # 156 million
    with pytest.raises(ImageError, match="cannot be read"):  # its pixels are missing
        read_image(path)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.full((4, 4), 0.5, np.float32),
            Says(
                "a.tif cannot be read: its pixels are floating-point numbers",
                do="Scale them to 0 to 255 and store 8 bits.",
            ),
        ),
        (
            np.full((4, 4), 70_000, np.int32),
            Says(
                "its grey values are not of 8 or 16 bits, but from 70000 to 70000",
                do="Scale them to 0 to 255 (or 65535) and store 8 (or 16) bits.",
            ),
        ),
        (
            np.full((4, 4), -3, np.int32),
            Says("from -3 to -3", do="Scale them to 0 to 255."),
        ),
    ],
)
def test_pixels_without_a_known_range_are_refused(tmp_path, values, message):
    Image.fromarray(values).save(tmp_path / "a.tif")
    with message.refuses(ImageError):
        read_image(tmp_path / "a.tif")


def test_what_is_missing_or_no_picture_is_named(tmp_path):
    with Says(
        "none.png does not exist",
        do="Look at the name, and at the folder that it is relative to.",
    ).refuses():
        read_image(tmp_path / "none.png")
    (tmp_path / "a.png").write_text("no picture")
    with Says(
        "a.png cannot be read",
        do="Fetch the file again, or delete it. Training and measuring go on without it.",
    ).refuses():
        read_image(tmp_path / "a.png")


def test_an_image_is_written_whole_or_not_at_all(tmp_path):
    write_image(tmp_path / "a.png", QUARTERS)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), QUARTERS)
    with pytest.raises(ValueError, match="image format"):
        write_image(tmp_path / "a.xyz", QUARTERS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
@pytest.mark.parametrize("orientation", [1, 2, 5, 6, 8])
def test_the_size_in_the_header_is_that_of_both_readings(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    path = tmp_path / f"a{suffix}"
    Image.fromarray(QUARTERS).save(path, exif=exif, quality=95)

    size = picture_size(path)

    assert (size.orientation, size.is_turned) == (orientation, orientation != 1)
    assert size.stored_hw == (32, 48)
    assert size.stored_hw == read_image(path, honour_exif=False).shape[:2]
    assert size.upright_hw == read_image(path).shape[:2]
    stored = read_image(path, honour_exif=False)
    np.testing.assert_array_equal(read_image(path), UPRIGHT[orientation](stored))
    np.testing.assert_allclose(corners(stored), corners(QUARTERS), atol=12)


def test_a_header_is_read_without_the_pixels(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(QUARTERS).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"IDAT") + 8])
    assert picture_size(path).stored_hw == (32, 48)
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(path)
    with pytest.raises(ImageError, match=r"none\.png does not exist"):
        picture_size(tmp_path / "none.png")


@pytest.mark.parametrize("chunk", [b"eXIf", b"iTXt"])
def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path, chunk):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6
    data = {
        b"eXIf": exif.tobytes()[6:],
        b"iTXt": b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>',
    }[chunk]
    Image.fromarray(QUARTERS).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    end = whole.index(b"IEND") - 4
    late = struct.pack(">I", len(data)) + chunk + data
    late += struct.pack(">I", zlib.crc32(chunk + data))
    (tmp_path / "a.png").write_bytes(whole[:end] + late + whole[end:])

    assert picture_size(tmp_path / "a.png").upright_hw == (48, 32)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), UPRIGHT[6](QUARTERS))


def test_damaged_exif_turns_nothing(tmp_path):
    Image.fromarray(QUARTERS).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\0\xff")
    assert picture_size(tmp_path / "a.png").orientation == 1
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), QUARTERS)


def test_heic_is_read_by_its_plugin_or_named(tmp_path, monkeypatch):
    path = tmp_path / "a.heic"
    path.write_bytes(struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"heic", 0, b"mif1", b"heic"))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for given in (path, io.BytesIO(path.read_bytes())):
        with Says(
            "is HEIC, which needs the package pillow-heif",
            do='pip install "keras-pose[heic]", or store the pictures as JPEG.',
        ).refuses():
            read_image(given)
        with pytest.raises(ImageError, match="is HEIC"):
            picture_size(given)

    opened = []
    plugin = SimpleNamespace(register_heif_opener=lambda: opened.append(True))
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    with pytest.raises(ImageError, match="cannot be read"):  # there are no pixels in it
        read_image(path)
    assert opened


@pytest.mark.parametrize(("image_hw", "is_upright"), [((48, 32), True), ((32, 48), False)])
def test_the_labels_size_says_which_pixels_they_are_on(tmp_path, image_hw, is_upright):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6
    Image.fromarray(QUARTERS).save(tmp_path / "a.jpg", exif=exif)
    assert labels_are_upright(tmp_path / "a.jpg", image_hw) is is_upright
    with Says(
        "a.jpg is 48 x 32 and turned by EXIF 32 x 48 pixels ... its labels were made for",
        do="Take the pictures that were labelled, or scale labels: --rescale-labels.",
    ).refuses():
        labels_are_upright(tmp_path / "a.jpg", (64, 96))


def test_labels_of_a_picture_without_exif_are_on_its_pixels(tmp_path):
    Image.fromarray(QUARTERS).save(tmp_path / "a.png")
    assert not labels_are_upright(tmp_path / "a.png", (32, 48))
    # Exchanged sides: the picture decides.
    assert not labels_are_upright(tmp_path / "a.png", (48, 32))
    with pytest.raises(ValueError, match=r"is 48 x 32 pixels .* made for 96 x 64"):
        labels_are_upright(tmp_path / "a.png", (64, 96))
