"""Every network of the zoo keeps its promises."""

import keras
import numpy as np
import pytest
from harness import check_model, check_table_row, random_images

from keras_pose.weights.creation import create_model
from keras_pose.zoo import ZOO, get_spec, list_models

# Tried in full by `make test`: networks that build in seconds. `.ci/run` tries them all.
QUICK_PARAMS = 4e6


def _rows(is_quick):
    return [name for name in list_models() if (ZOO[name].params < QUICK_PARAMS) == is_quick]


@pytest.mark.slow
@pytest.mark.parametrize("name", _rows(is_quick=True))
def test_small_model(name, tmp_path):
    check_model(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", _rows(is_quick=False))
def test_table_row_of_larger_model(name):
    check_table_row(name)


@pytest.mark.very_slow
@pytest.mark.parametrize("name", _rows(is_quick=False))
def test_larger_model(name, tmp_path):
    check_model(name, tmp_path)


def test_stacked_models_give_one_output_per_stack():
    model = create_model("hourglass_2", num_keypoints=3, input_hw=(64, 64))

    heatmaps = model(random_images(model, 1, seed=0))

    assert [stack.shape for stack in heatmaps] == [(1, 16, 16, 3)] * 2
    assert not np.allclose(*heatmaps)


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
