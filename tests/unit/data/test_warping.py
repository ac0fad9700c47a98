"""Pixels of crops against TensorFlow's operator, and parts of pictures against whole."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from says import Says

from keras_pose.data import transforms, warping
from keras_pose.data.image_decoding import decode_image, decode_window
from keras_pose.pictures import geometry
from keras_pose.pictures.normalization import IMAGENET, Normalization

CROP_HW = (64, 48)
BLUE_FIRST = Normalization((0.1, 0.2, 0.3), (1, 2, 3), "bgr")
# float32 places pixels within 1e-4 of where they are in pictures of some hundred pixels;
# in noise, neighbours are up to 255 grey levels apart.
GREY_LEVELS = 0.05


def _noise(rng, height, width):
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def _random_matrix(rng, image_hw):
    """Crops of all sizes and angles, some of them beside the picture, some mirrored."""
    center_xy = rng.uniform(-0.3, 1.3, 2) * image_hw[::-1]
    width = np.exp(rng.uniform(np.log(4), np.log(3 * max(image_hw))))
    matrix = geometry.crop_matrix(center_xy, width, CROP_HW, rng.uniform(-180, 180))
    if rng.random() < 0.5:
        matrix[:, 0], matrix[:, 2] = (
            -matrix[:, 0],
            matrix[:, 2] + 2 * matrix[:, 0] * (center_xy[0]),
        )
    return matrix.astype(np.float32)


def _by_tensorflow(image, matrix, fill=0.0):
    """The crop by the operator that does it pixel by pixel."""
    inverse = geometry.invert_matrix(matrix).astype(np.float32)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(image, tf.float32)[None],
        transforms=np.concatenate([inverse.reshape(1, 6), np.zeros((1, 2), "float32")], 1),
        output_shape=CROP_HW,
        fill_value=fill,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return warped[0].numpy()


@pytest.mark.parametrize("fill", [0.0, 114.0])
def test_crops_are_those_of_tensorflows_operator(fill):
    rng = np.random.default_rng(seed=0)
    seen = 0
    for _ in range(60):
        hw = rng.integers(1, 400, 2) if rng.random() < 0.8 else rng.integers(1, 4, 2)
        image, matrix = _noise(rng, *hw), _random_matrix(rng, hw)
        crop = warping.warp_crop(image, tf.constant(matrix), CROP_HW, fill).numpy()
        np.testing.assert_allclose(
            crop, _by_tensorflow(image, matrix, fill), atol=GREY_LEVELS
        )
        seen += np.any(crop != fill)
    assert 30 < seen < 60  # some lie beside the picture, and are empty


def test_a_crop_beside_the_picture_is_black_however_far_away():
    image = np.full((30, 40, 3), 200, np.uint8)
    for x in (-1e3, 1e3, -1e12, 1e12):
        matrix = np.float32([[1, 0, x], [0, 1, x]])
        assert not warping.warp_crop(image, tf.constant(matrix), CROP_HW).numpy().any()


def _file(image, **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, **options)
    return buffer.getvalue()


def _pictures(rng):
    """Files of noise in all forms that are decoded as they are."""
    for height, width in ((150, 133), (33, 17), (16, 16), (1, 5)):
        image = _noise(rng, height, width)
        yield _file(image, format="PNG")
        yield _file(image[..., 0], format="PNG")
        yield _file(image[..., 0], format="JPEG", quality=90)
        for subsampling in (0, 1, 2):
            for progressive in (False, True):
                options = {"subsampling": subsampling, "progressive": progressive}
                yield _file(image, format="JPEG", quality=90, **options)


def test_a_part_of_a_picture_has_the_pixels_of_the_whole():
    rng = np.random.default_rng(seed=1)
    window = tf.Variable([0, 0, 1, 1])
    decode = tf.function(lambda data: decode_window(data, lambda _: window.value()))
    for data in _pictures(rng):
        whole = decode_image(data).numpy()
        height, width = whole.shape[:2]
        for _ in range(8):
            top, left = rng.integers(0, (height, width))
            bottom, right = rng.integers((top, left), (height, width)) + 1
            window.assign([top, left, bottom - top, right - left])
            part = decode(tf.constant(data)).numpy()
            assert part.shape == (bottom - top, right - left, 3)
            inner = (
                slice(top + (top > 0), bottom - (bottom < height)),
                slice(left + (left > 0), right - (right < width)),
            )
            own = tuple(
                slice(s.start - first, s.stop - first)
                for s, first in zip(inner, (top, left), strict=True)
            )
            np.testing.assert_array_equal(part[own], whole[inner])


@pytest.mark.parametrize("normalization", [IMAGENET, BLUE_FIRST])
def test_a_crop_of_a_file_is_that_of_its_pixels(normalization):
    rng = np.random.default_rng(seed=2)
    changes = np.float32([1.3, 0.4, 1.2, 0.8, 1.1])
    cut = tf.function(lambda d, s: warping.cut_crop(d, s, CROP_HW, normalization))
    for data in _pictures(rng):
        image = decode_image(data)
        matrix = _random_matrix(rng, image.shape[:2])
        reach, inverse = warping.place_window(tf.constant(matrix), CROP_HW)
        sample = {"inverse": inverse, "reach": reach, "color_changes": changes}

        crop = cut(tf.constant(data), sample).numpy()

        grey_levels = _by_tensorflow(image, matrix)
        expected = normalization(_changed_in_steps(grey_levels, changes))
        tolerance = 2 * GREY_LEVELS / (255 * np.min(normalization.std))
        np.testing.assert_allclose(crop, expected, atol=tolerance)


def _changed_in_steps(image, changes):
    contrast, saturation, *gain = changes
    image = image.astype(np.float64)
    image = image.mean() + contrast * (image - image.mean())
    grey = image.mean(axis=-1, keepdims=True)
    return np.clip((grey + saturation * (image - grey)) * gain, 0, 255)


def test_colours_change_in_one_step_as_in_three():
    rng = np.random.default_rng(seed=3)
    images = rng.uniform(0, 255, (5, 8, 6, 3)).astype(np.float32)
    changes = transforms.color_changes(rng.random((5, 8)).astype("float32"), 1.0).numpy()
    changed = warping.change_colors(images, changes)
    expected = [_changed_in_steps(*pair) for pair in zip(images, changes, strict=True)]
    np.testing.assert_allclose(changed, expected, atol=1e-3)


@pytest.fixture
def without_xla(monkeypatch):
    """Lets compilation fail as where TensorFlow was built without XLA."""
    function = tf.function

    def fail(*_):
        raise tf.errors.UnimplementedError(None, None, "XLA is not supported here")

    def build(traced, jit_compile=False):
        return fail if jit_compile else function(traced)

    monkeypatch.setattr(tf, "function", build)
    warping.can_compile.cache_clear()
    warping._finisher.cache_clear()
    yield
    warping.can_compile.cache_clear()
    warping._finisher.cache_clear()


CROPS_OF_NOISE = 5


def _crops():
    rng = np.random.default_rng(seed=4)
    image = _noise(rng, 90, 70)
    matrices = [tf.constant(_random_matrix(rng, (90, 70))) for _ in range(CROPS_OF_NOISE)]
    return [warping.warp_crop(image, matrix, CROP_HW) for matrix in matrices]


@pytest.fixture
def compiled():
    return _crops()


def test_crops_are_the_same_where_nothing_is_compiled(compiled, without_xla):
    with Says(
        "Input is slower, for want of XLA",
        do="Nothing, or install a TensorFlow that has it: samples are the same.",
    ).warns():
        plain = _crops()
    np.testing.assert_allclose(compiled, plain, atol=GREY_LEVELS)
