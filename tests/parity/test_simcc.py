"""SimCC vectors, their mirror and their loss against mmpose."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pose.codecs import SimccCodec
from keras_pose.losses import SimccKL
from keras_pose.pictures.geometry import crop_matrix
from keras_pose.skeleton import COCO_17

CODEC = SimccCodec.for_input((256, 192))
NUM_X = 384


@pytest.fixture(scope="module")
def golden(golden_dir):
    return np.load(golden_dir / "rtmpose_codec.npz")


def draw_outputs():
    """Returns the vectors that the fixture decodes, as its json says."""
    rng = np.random.default_rng(12)
    x = rng.standard_normal((2, 17, 384)).astype("f4")
    y = rng.standard_normal((2, 17, 512)).astype("f4")
    x[0, 0], y[0, 1] = -1 - abs(x[0, 0]), -1 - abs(y[0, 1])
    x[0, 2] = 0
    x[0, 3, [5, 9]], y[0, 3, [100, 101]] = 7, 6
    return np.concatenate([x, y], axis=-1)


def test_settings_are_those_of_rtmpose():
    assert CODEC.sigma_xy == (4.9, 5.66)
    assert SimccCodec.for_input((384, 288)).sigma_xy == (6.0, 6.93)
    assert SimccCodec.for_input((256, 256)).sigma_xy == (5.66, 5.66)


def test_targets_of_one_person(golden_dir):
    golden = np.load(golden_dir / "simcc_mmpose.npz")
    targets, weights = CODEC.encode(golden["keypoints"], golden["visible"])
    expected = np.concatenate([golden["x_labels"], golden["y_labels"]], axis=-1)
    np.testing.assert_array_equal(targets, expected)
    np.testing.assert_array_equal(weights, golden["weights"])
    keypoints_xy, scores = CODEC.decode(expected)
    np.testing.assert_array_equal(keypoints_xy, golden["decoded"])
    np.testing.assert_array_equal(scores, golden["scores"])


def test_targets_of_several_people(golden):
    targets, weights = CODEC.encode(golden["enc_keypoints"], golden["enc_visible"])
    np.testing.assert_array_equal(weights, golden["enc_weights"])
    np.testing.assert_array_equal(targets[0, :, :NUM_X], golden["enc_x0"])
    np.testing.assert_array_equal(targets[0, :, NUM_X:], golden["enc_y0"])
    for vectors, axis in ((targets[..., :NUM_X], "x"), (targets[..., NUM_X:], "y")):
        np.testing.assert_allclose(vectors.sum(-1), golden[f"enc_{axis}_sum"], rtol=1e-6)
        np.testing.assert_array_equal(vectors.argmax(-1), golden[f"enc_{axis}_argmax"])


def test_decoding(golden):
    keypoints_xy, scores = CODEC.decode(draw_outputs())
    np.testing.assert_array_equal(keypoints_xy, golden["dec_keypoints"])
    np.testing.assert_array_equal(scores, golden["dec_scores"])


def test_flip_test(golden):
    mirrored = draw_outputs()
    straight = mirrored[::-1]
    back = CODEC.flip_back(mirrored, COCO_17.mirror_permutation)
    keypoints_xy, scores = CODEC.decode((straight + back) * np.float32(0.5))
    np.testing.assert_array_equal(keypoints_xy, golden["flip_keypoints"])
    np.testing.assert_array_equal(scores, golden["flip_scores"])


@pytest.mark.parametrize(
    ("name", "settings", "is_weighted"),
    [
        ("loss_rtm", {}, True),
        ("loss_noweight", {}, False),
        ("loss_plain", {"beta": 1.0, "label_beta": None}, True),
    ],
)
def test_loss_and_gradient(golden, name, settings, is_weighted):
    targets, weights = CODEC.encode(golden["enc_keypoints"], golden["enc_visible"])
    sizes = ((13, 384), (14, 512))
    drawn = [np.random.default_rng(s).standard_normal((3, 17, n)) for s, n in sizes]
    predicted = tf.constant(np.concatenate([(0.3 * x.astype("f4")) for x in drawn], -1))
    loss = SimccKL(CODEC.num_bins_xy[0], **settings)

    with tf.GradientTape() as tape:
        tape.watch(predicted)
        value = loss(targets, predicted, weights if is_weighted else None)
        # The reference sums over the batch; Keras' mean is over people as well.
        value *= len(targets)
    gradient = tape.gradient(value, predicted).numpy()

    np.testing.assert_allclose(value, golden[name], rtol=1e-5)
    for part, axis in ((gradient[..., :NUM_X], "x"), (gradient[..., NUM_X:], "y")):
        expected = golden[f"{name}_g{axis}"]
        # float32 softmaxes of some hundred bins.
        atol = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(part.reshape(-1)[::97], expected, rtol=1e-3, atol=atol)


def test_crops_are_not_udps(golden):
    assert not CODEC.is_unbiased
    for matrix, center, size_wh in zip(
        golden["warp"], golden["centers"], golden["scales"], strict=True
    ):
        ours = crop_matrix(center, size_wh[0], (256, 192))
        np.testing.assert_allclose(ours, matrix, rtol=1e-5, atol=1e-3)


def test_loss_survives_saving():
    loss = SimccKL(384, beta=2.0, label_beta=None)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    rng = np.random.default_rng(0)
    targets, predicted = rng.random((2, 2, 3, 896)).astype("float32")
    assert copy(targets, predicted) == loss(targets, predicted)
