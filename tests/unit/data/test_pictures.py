"""Whatever a picture is stored as, training sees the pixels that `read_image` gives."""

import io
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from keras_pose.data import pictures
from keras_pose.data.crowds import crowds_of_people
from keras_pose.data.image_decoding import decode_image
from keras_pose.data.person_boxes import BoxSource
from keras_pose.data.pictures import trainable_images
from keras_pose.data.sources import PersonSource
from keras_pose.losses.detection_losses import PADDING
from keras_pose.pictures.images import read_image
from keras_pose.skeleton import Skeleton

ROWS, COLUMNS = np.mgrid[:40, :30]
# Smooth colours, so that chroma upsampling matters too.
COLORS = np.stack([ROWS * 6, COLUMNS * 8, 255 - ROWS - COLUMNS], axis=-1).astype(np.uint8)
ALPHA = Image.fromarray((ROWS * 6).astype(np.uint8))
QUARTER_TURN = Image.Exif()
QUARTER_TURN[0x0112] = 6


def _image(mode):
    image = Image.fromarray(COLORS)
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 201)
    if mode in ("LA", "RGBA"):
        image = image.convert(mode[:-1])
        image.putalpha(ALPHA)
        return image
    return image.quantize(16) if mode == "P" else image.convert(mode)


PLAIN = [
    ("RGB", "jpg", {}),
    ("RGB", "jpg", {"subsampling": "4:4:4", "progressive": True}),
    ("RGB", "jpg", {"subsampling": "4:2:2", "exif": QUARTER_TURN}),
    ("L", "jpg", {}),
    ("RGB", "mpo", {"save_all": True, "append_images": [Image.fromarray(COLORS[::-1])]}),
    ("RGB", "png", {}),
    ("L", "png", {}),
]
OTHERS = [
    ("CMYK", "jpg", {}),
    ("RGB", "jpg", {"keep_rgb": True}),
    ("P", "png", {}),
    ("P", "png", {"transparency": 3}),
    ("1", "png", {}),
    ("LA", "png", {}),
    ("RGBA", "png", {}),
    ("I;16", "png", {}),
    ("RGB", "png", {"transparency": (0, 0, 255)}),
    ("P", "bmp", {}),
    ("1", "bmp", {}),
    ("P", "gif", {}),
    ("RGB", "webp", {"lossless": True}),
    ("RGBA", "webp", {}),
    ("RGB", "avif", {}),
    ("RGB", "tiff", {}),
    ("I;16", "tiff", {}),
    ("CMYK", "tiff", {}),
]


def _save(folder, mode, suffix, options):
    path = folder / f"a.{suffix}"
    _image(mode).save(path, **options)
    return path


def _decoded(image):
    data = image if isinstance(image, bytes) else image.read_bytes()
    return decode_image(data).numpy()


@pytest.mark.parametrize(("mode", "suffix", "options"), PLAIN + OTHERS)
def test_tensorflow_sees_the_pixels_of_read_image(tmp_path, mode, suffix, options):
    path = _save(tmp_path, mode, suffix, options)
    expected = read_image(path, honour_exif=False)
    for given in (path, path.read_bytes()):
        images, broken = trainable_images([given])
        assert not broken
        np.testing.assert_array_equal(_decoded(images[0]), expected)
        # Only what TensorFlow would see otherwise is converted.
        assert (images[0] == given) == ((mode, suffix, options) in PLAIN)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_a_picture_is_turned_where_its_labels_are_on_the_turned_pixels(tmp_path, suffix):
    path = _save(tmp_path, "RGB", suffix, {"exif": QUARTER_TURN})
    images, _ = trainable_images([path, path], np.array([[30, 40], [40, 30]]))
    upright, stored = map(_decoded, images)
    np.testing.assert_array_equal(upright, read_image(path))
    np.testing.assert_array_equal(upright, np.rot90(stored, -1))


def test_a_source_trains_on_the_pixels_that_it_loads(tmp_path):
    path = _save(tmp_path, "RGB", "jpg", {"exif": QUARTER_TURN})
    sizes = np.array([[30, 40]])
    source = BoxSource([path], [1], np.zeros((1, 8, 5), np.float32), 0, sizes)
    for ready in (source.trainable(), source.without_broken_images()):
        np.testing.assert_array_equal(_decoded(ready.images[0]), read_image(path))
        assert ready.trainable() is ready


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_large_picture_is_trained_on_smaller_with_its_labels(
    tmp_path, monkeypatch, suffix
):
    monkeypatch.setattr(pictures, "LARGE_PIXELS", 30 * 40 // 2)
    options = {"jpg": {"quality": 100, "subsampling": "4:4:4"}, "webp": {"lossless": True}}
    path = _save(tmp_path, "RGB", suffix, options.get(suffix, {}))
    box, point = np.float32([[4, 8, 10, 20]]), np.float32([[[4.5, 8.5]]])
    labels = np.zeros(1, np.int32), box, point, np.full((1, 1), 2, np.int32)
    people = PersonSource(Skeleton("a", ("a",)), [path], *labels)
    boxes = np.float32([[[4.5, 8.5, 14.5, 28.5, 0], [0, 0, 0, 0, PADDING]]])
    for _ in range(2):  # the second time from memory
        for ready in (people.trainable(), people.without_broken_images()):
            pixels = _decoded(ready.images[0])
            blocks = COLORS.reshape(20, 2, 15, 2, 3).mean(axis=(1, 3))
            np.testing.assert_allclose(pixels, blocks, atol=3)
            # The centre of four pixels is that of the one they become.
            np.testing.assert_array_equal(ready.keypoints_xy, [[[2, 4]]])
            np.testing.assert_array_equal(ready.boxes_xywh, [[1.75, 3.75, 5, 10]])
            assert ready.trainable() is ready
    found = BoxSource([path], [1], boxes).without_broken_images()
    np.testing.assert_array_equal(found.boxes[0, 0], [2, 4, 7, 14, 0])
    np.testing.assert_array_equal(found.boxes[0, 1], boxes[0, 1])
    crowd = crowds_of_people(people, people.skeleton)
    region = np.float32([[4.5, 8.5, 14.5, 28.5]])
    crowd = replace(crowd, ignored_starts=np.array([0, 1]), ignored_xyxy=region)
    for ready in (crowd.trainable(), crowd.without_broken_images()):
        np.testing.assert_array_equal(ready.keypoints_xy, [[[2, 4]]])
        np.testing.assert_array_equal(ready.boxes_xywh, [[1.75, 3.75, 5, 10]])
        np.testing.assert_array_equal(ready.ignored_xyxy, [[2, 4, 7, 14]])


def test_how_much_smaller_follows_from_the_size():
    # 48 megapixels of a phone, 108, and what Pillow reads at most.
    sizes = [(6000, 4000), (8000, 6000), (12000, 9000), (13000, 13000), (2**20, 160)]
    assert list(map(pictures.reduction_of, sizes)) == [1, 2, 2, 4, 4]
    for height, width in sizes:
        small = height * width / pictures.reduction_of((height, width)) ** 2
        assert small <= pictures.LARGE_PIXELS


def test_a_picture_is_decoded_once_until_it_changes(tmp_path, monkeypatch):
    plain = _save(tmp_path, "RGB", "jpg", {})
    other = _save(tmp_path, "RGBA", "png", {})
    first, _ = trainable_images([plain, other])
    decoded = []
    monkeypatch.setattr(
        pictures, "read_image", lambda *a, **k: decoded.append(a[0]) or read_image(*a, **k)
    )
    assert trainable_images([plain, other])[0] == first
    assert decoded == []

    Image.fromarray(COLORS[::-1]).save(other)
    os.utime(plain, ns=(1, 1))
    (_, again), _ = trainable_images([plain, other])
    assert sorted(decoded) == sorted([plain, other])
    np.testing.assert_array_equal(_decoded(again), COLORS[::-1])


def test_what_is_gone_from_the_cache_is_made_again(tmp_path):
    path = _save(tmp_path, "RGBA", "png", {})
    (converted,), _ = trainable_images([path])
    converted.unlink()
    assert trainable_images([path])[0] == [converted]
    np.testing.assert_array_equal(_decoded(converted), read_image(path))


def test_broken_pictures_are_named_by_their_place(tmp_path):
    good = _save(tmp_path, "RGB", "jpg", {})
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(good.read_bytes()[:-100])
    endless = tmp_path / "endless.png"  # Pillow reads it, TensorFlow's decoder does not
    _image("RGB").save(endless)
    endless.write_bytes(endless.read_bytes()[:-12])
    images, broken = trainable_images([tmp_path / "none.jpg", good, cut, endless])
    assert sorted(broken) == [0, 2]
    assert "none.jpg does not exist" in str(broken[0])
    assert "cut.jpg cannot be read" in str(broken[2])
    np.testing.assert_array_equal(_decoded(images[3]), read_image(endless))
    # It may have been mended meanwhile, whatever its marks say.
    assert 2 in trainable_images([good, good, cut])[1]


def test_without_a_cache_plain_pictures_are_trained_on_and_others_are_an_error(
    tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("KERAS_POSE_HOME", str(tmp_path / "file"))
    plain = _save(tmp_path, "RGB", "jpg", {})
    assert trainable_images([plain]) == ([plain], {})
    with pytest.raises(PermissionError, match="Cannot write into"):
        trainable_images([_save(tmp_path, "RGBA", "png", {})])


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_headers_of_any_bytes_are_told_from_plain_ones(kind):
    buffer = io.BytesIO()
    _image("RGB").save(buffer, {"jpg": "JPEG"}.get(kind, kind))
    whole = buffer.getvalue()
    rng = np.random.default_rng(seed=0)
    for size in range(min(200, len(whole))):
        assert not pictures.is_plain(io.BytesIO(whole[:size]), to_end=True)
        damaged = bytearray(whole[: 2 * size])
        for place in rng.integers(0, len(damaged), 3) if damaged else ():
            damaged[place] = rng.integers(256)
        pictures.is_plain(io.BytesIO(bytes(damaged)))
