"""Every network of the zoo keeps its promises."""

import keras
import numpy as np
import pytest
from harness import check_pose_model, check_table_row, random_images

from keras_pose.weights.creation import create_model
from keras_pose.zoo import get_spec, list_models

# One of each family is tried in full; its larger sisters by `.ci/run` only.
SMALLEST = ["pose_slim", "hrnet_w32", "simple_baseline_resnet18", "hourglass_2"]
LARGER = [name for name in list_models() if name not in SMALLEST]


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_model(name, tmp_path):
    check_pose_model(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGER)
def test_table_row_of_larger_model(name):
    check_table_row(name)


@pytest.mark.very_slow
@pytest.mark.parametrize("name", LARGER)
def test_larger_model(name, tmp_path):
    check_pose_model(name, tmp_path)


@pytest.mark.parametrize("name", ["pose_slim", "hourglass_2"])
def test_heatmaps_stay_float32_under_mixed_precision(name):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = create_model(name, input_hw=(64, 64))
    finally:
        keras.mixed_precision.set_global_policy("float32")

    assert {layer.compute_dtype for layer in model.layers} == {"float16", "float32"}
    assert {heatmaps.dtype for heatmaps in model.outputs} == {"float32"}


def test_stacked_models_give_one_output_per_stack():
    model = create_model("hourglass_2", num_keypoints=3, input_hw=(64, 64))

    heatmaps = model(random_images(model, 1, seed=0))

    assert [stack.shape for stack in heatmaps] == [(1, 16, 16, 3)] * 2
    assert not np.allclose(*heatmaps)


@pytest.mark.parametrize("name", SMALLEST)
def test_layer_names_suit_every_keras_backend(name):
    # PyTorch's modules refuse parameters with a dot in their name.
    model = create_model(name, input_hw=(64, 64))
    assert not [layer.name for layer in model.layers if "." in layer.name]


def test_slim_stays_below_half_a_gigamac():
    assert get_spec("pose_slim").macs < 0.5e9


@pytest.mark.slow
def test_slim_learns_one_batch():
    keras.utils.set_random_seed(0)
    model = create_model("pose_slim", num_keypoints=2, input_hw=(64, 32))
    images = random_images(model, 4, seed=0)
    heatmaps = np.zeros((4, 16, 8, 2), "float32")
    heatmaps[:, 5, 3] = 1
    model.compile(keras.optimizers.Adam(1e-2), "mse", jit_compile=False)

    losses = [float(model.train_on_batch(images, heatmaps)) for _ in range(15)]

    # The best constant map has the loss 1/128; learning one pixel's place goes below.
    assert losses[-1] < min(losses[0], 1 / 128) / 2


def test_keras_files_load_by_name_and_as_a_whole(tmp_path):
    path = tmp_path / "slim.keras"
    model = create_model("pose_slim", num_keypoints=2, input_hw=(32, 32))
    model.save(path)
    images = random_images(model, 1, seed=0)
    expected = model(images).numpy()

    by_name = create_model("pose_slim", num_keypoints=2, input_hw=(32, 32), weights=path)

    np.testing.assert_array_equal(by_name(images), expected)
    np.testing.assert_array_equal(keras.models.load_model(path)(images), expected)
