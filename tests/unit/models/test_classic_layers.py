"""The layers of the classics that Keras lacks, and what their builders promise."""

import keras
import numpy as np
import pytest

from keras_pose.models.cpm import CenterMap
from keras_pose.models.deep_pose import LocalResponseNorm
from keras_pose.models.openpose import build_openpose, build_openpose_body25
from keras_pose.models.openpose_light import build_openpose_light
from keras_pose.zoo import build_model


def test_local_response_norm_divides_by_its_neighbours():
    x = np.random.default_rng(0).normal(scale=30, size=(2, 3, 4, 7)).astype("float32")

    normalized = LocalResponseNorm(size=3, bias=2.0, alpha=0.1, beta=0.75)(x)

    expected = np.empty_like(x)
    for channel in range(7):
        near = x[..., max(channel - 1, 0) : channel + 2]
        scale = (2 + 0.1 * (near.astype("float64") ** 2).sum(axis=-1)) ** 0.75
        expected[..., channel] = x[..., channel] / scale
    np.testing.assert_allclose(normalized, expected, rtol=1e-5)


def test_local_response_norm_bears_squares_beyond_half_precision():
    x = np.full((1, 1, 1, 5), 2000.0, "float16")  # its square is infinite there

    normalized = LocalResponseNorm(alpha=1.0, dtype="float16")(x)

    assert normalized.dtype == "float16"
    middle = 2000 / (2 + 5 * 2000**2) ** 0.75
    np.testing.assert_allclose(normalized[0, 0, 0, 2], middle, rtol=1e-2)


def test_center_map_is_one_gaussian_in_the_middle_of_every_image():
    center_map = np.asarray(CenterMap(sigma=3.0)(np.zeros((2, 16, 24, 3), "float32")))

    assert center_map.shape == (2, 16, 24, 1)
    rows, columns = np.mgrid[:16, :24]
    expected = np.exp(-((rows - 8) ** 2 + (columns - 12) ** 2) / (2 * 3.0**2))
    np.testing.assert_allclose(center_map, np.stack([expected[..., None]] * 2), rtol=1e-5)


def test_own_layers_come_back_from_a_keras_file(tmp_path):
    image = keras.Input((16, 24, 3))
    x = keras.layers.Concatenate()([image, CenterMap(2.5)(image)])
    x = LocalResponseNorm(size=3, bias=1.0, alpha=0.5, beta=0.5)(x)
    model = keras.Model(image, x)
    model.save(tmp_path / "layers.keras")
    images = np.random.default_rng(0).normal(size=(2, 16, 24, 3)).astype("float32")

    loaded = keras.models.load_model(tmp_path / "layers.keras")

    np.testing.assert_array_equal(loaded(images), model(images))


def test_deep_pose_begins_in_the_middle():
    model = build_model("deep_pose_resnet18", num_keypoints=3, input_hw=(64, 32))

    outputs = model(np.zeros((1, 64, 32, 3), "float32"))

    np.testing.assert_allclose(outputs, np.full((1, 3, 2), 0.5), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "options", "channels"),
    [
        (build_openpose, {}, [8, 4] * 6),
        (build_openpose_body25, {}, [8] * 4 + [4] * 2),
        (build_openpose_light, {"num_refinements": 2}, [4, 8] * 3),
    ],
)
def test_bottom_up_networks_give_fields_and_heatmaps_in_the_references_order(
    build, options, channels
):
    model = build(num_keypoints=3, input_hw=(16, 8), num_limbs=4, **options)

    shapes = [output.shape for output in model.outputs]
    assert shapes == [(None, 2, 1, count) for count in channels]
