"""What every codec must do; the numbers of the references are in `tests/parity`."""

import json

import numpy as np
import pytest
import tensorflow as tf

from keras_pose.codecs import (
    CODECS,
    DarkHeatmapCodec,
    SimccCodec,
    UdpHeatmapCodec,
    UdpOffsetCodec,
    codec_from_dict,
)
from keras_pose.losses import LOSSES
from keras_pose.skeleton import COCO_17

INPUT_HW = (256, 192)
# The largest error of an axis, input pixels, of labels encoded and decoded.
ROUND_TRIP = {
    # The centre is rounded to a heatmap pixel of 4, and its neighbours are equal then.
    "gaussian": 2 + 1e-4,
    # A smoothed Gaussian is a Gaussian; what is left is the kernel's cut-off.
    "dark": 0.05,
    # The Gaussian is cut at 3 sigma, where it is 1.1 %, on one side up to half a pixel
    # before the other. The smoothed edge bends the logarithm by less than that share
    # of a heatmap pixel.
    "udp": 0.011 * 255 / 63,
    # The kernel of 7 pixels reaches over the rim of the disc. Its arg-max lies within
    # 0.75 pixels of the middle, where no more than 0.027 of the kernel is beyond the
    # rim; there offsets of up to 3.75 pixels are missing.
    "udp_offset": 0.027 * 3.75 * 255 / 63,
    # Half a bin of half a pixel.
    "simcc": 0.25,
    # float32 shares of 256.
    "regression": 256 * 2**-23,
}


@pytest.fixture(params=CODECS)
def codec(request):
    return CODECS[request.param].for_input(INPUT_HW)


def random_labels(seed, low, high, people=40):
    rng = np.random.default_rng(seed)
    points_xy = rng.uniform(low, high, (people, 17, 2)).astype("float32")
    return points_xy, rng.integers(0, 3, (people, 17)).astype("int32")


def encode_eagerly(codec, points_xy, visibility):
    return codec.encode_tf(tf.constant(points_xy), tf.constant(visibility))


def encode_in_tf_data(codec, points_xy, visibility):
    dataset = tf.data.Dataset.from_tensor_slices((points_xy, visibility))
    dataset = dataset.batch(len(points_xy)).map(codec.encode_tf)
    return next(iter(dataset))


def encode_one_person_in_tf_data(codec, points_xy, visibility):
    dataset = tf.data.Dataset.from_tensor_slices((points_xy, visibility))
    targets, weights = zip(*dataset.map(codec.encode_tf), strict=True)
    return tf.stack(targets), tf.stack(weights)


@pytest.mark.parametrize(
    "encode", [encode_eagerly, encode_in_tf_data, encode_one_person_in_tf_data]
)
def test_the_tensorflow_twin_is_equal(codec, encode):
    labels = random_labels(0, -40, 300, people=12)
    expected, expected_weights = codec.encode(*labels)
    targets, weights = encode(codec, *labels)
    # float32 of distances up to some ten pixels, squared.
    np.testing.assert_allclose(targets, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(weights, expected_weights)


def test_decode_inverts_encode(codec):
    expected, _ = random_labels(1, [20, 20], [170, 234])
    targets, weights = codec.encode(expected, np.full(expected.shape[:2], 2))
    assert weights.all()
    decoded, scores = codec.decode(targets)
    np.testing.assert_allclose(decoded, expected, rtol=0, atol=ROUND_TRIP[codec.kind])
    assert (scores > 0.5).all()


def test_shapes_are_those_announced(codec):
    points_xy, visibility = random_labels(2, 10, 180, people=3)
    targets, weights = codec.encode(points_xy, visibility)
    assert targets.shape == (3, *codec.output_shape(17))
    assert codec.count_keypoints(targets.shape) == 17
    assert (targets.dtype, weights.dtype) == (np.float32, np.float32)
    decoded, scores = codec.decode(targets[0])
    assert (decoded.shape, scores.shape) == ((17, 2), (17,))
    assert (decoded.dtype, scores.dtype) == (np.float32, np.float32)
    nobody = codec.decode(targets[:0])
    assert [part.shape for part in nobody] == [(0, 17, 2), (0, 17)]


def test_keypoints_that_are_not_labelled_weigh_nothing(codec):
    points_xy, _ = random_labels(3, 20, 170, people=1)
    visibility = np.arange(17)[None] % 3
    _, weights = codec.encode(points_xy, visibility)
    np.testing.assert_array_equal(weights, visibility > 0)


def test_outputs_for_the_mirrored_image_are_flipped_back(codec):
    points_xy, visibility = random_labels(4, [20, 20], [170, 234])
    visibility[:] = 2
    # Column x of the image is column 191 - x of its mirror image.
    swapped = points_xy[:, list(COCO_17.mirror_permutation)]
    mirrored = np.stack([191 - swapped[..., 0], swapped[..., 1]], axis=-1)

    targets, _ = codec.encode(mirrored, visibility)
    back = codec.flip_back(targets, COCO_17.mirror_permutation)
    decoded, _ = codec.decode(back)

    # On grids of columns 4 x or x / 2 the mirror image of column 0 is not a column: a
    # shift of one column leaves 1 of 4 pixels, none leaves 1 of 2 bins.
    leftover = {"gaussian": 1.0, "dark": 1.0, "simcc": 0.5}.get(codec.kind, 0.0)
    bound = ROUND_TRIP[codec.kind] + leftover
    np.testing.assert_allclose(decoded, points_xy, rtol=0, atol=bound)
    mean_x = (decoded - points_xy)[..., 0].mean()
    # Half of it in the average with the other outputs; of 680 roundings little is left.
    assert abs(abs(mean_x) - leftover) < 4 * ROUND_TRIP[codec.kind] / 680**0.5 + 1e-3


def test_it_survives_json(codec):
    assert codec_from_dict(json.loads(json.dumps(codec.to_dict()))) == codec


def test_its_losses_exist(codec):
    assert set(codec.losses) <= set(LOSSES)
    assert codec.default_loss == codec.losses[0]


def test_outputs_of_another_shape_are_refused(codec):
    shape = codec.output_shape(17)
    with pytest.raises(ValueError, match="The codec expects"):
        codec.decode(np.zeros((2, *shape[:-2], shape[-2] + 4, shape[-1] + 1)))


def test_unknown_fields_are_refused(codec):
    with pytest.raises(ValueError, match="cannot take"):
        codec_from_dict(codec.to_dict() | {"colour": "red"})


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="Unknown codec kind 'wavelet'"):
        codec_from_dict({"kind": "wavelet"})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DarkHeatmapCodec((64, 64), blur_kernel=4), "blur_kernel must be odd"),
        (lambda: UdpHeatmapCodec((64, 64), blur_kernel=4), "blur_kernel must be odd"),
        (lambda: UdpOffsetCodec((64, 64), offset_blur_kernel=4), "must be odd, got 4"),
        (lambda: UdpOffsetCodec((64, 64), radius=0), "radius > 0"),
        (lambda: UdpHeatmapCodec((64, 64), sigma=0), "sigma > 0"),
        (lambda: UdpHeatmapCodec((64, 62)), "multiples of stride 4"),
        (lambda: SimccCodec((64, 64), sigma_xy=(0, 1)), "above 0"),
    ],
)
def test_senseless_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
