"""Tasks of networks that see whole pictures: photos, figures, files, presets."""

import keras
import numpy as np
import pytest
from says import Says
from shallow import shallow

from keras_pose import PoseEstimator, PoseTask
from keras_pose.codecs.part_affinity import PartAffinityCodec
from keras_pose.contracts.bottom_up import BottomUpContract, bottom_up_contract
from keras_pose.contracts.entries import save_keras_model
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.pictures.normalization import OPENPOSE
from keras_pose.skeleton import COCO_17
from keras_pose.weights.creation import create_model

NAME, INPUT_HW = "openpose_light_1", (64, 64)


@pytest.fixture(scope="module")
def task():
    """A network of one layer for each output, which sees people in noise."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.AveragePooling2D(8)(image)
    maps = [
        keras.layers.Conv2D(n, 1, name=f"maps-{i}", bias_initializer="ones")(x)
        for i, n in enumerate((18, 38))
    ]
    network = keras.Model(image, maps, name=NAME)
    codec = PartAffinityCodec(INPUT_HW, min_peak=0.01)
    return PoseTask(network, bottom_up_contract(network, codec, COCO_17, OPENPOSE))


@pytest.fixture(scope="module")
def rebuilt():
    """A task of the zoo's network with few layers, which presets build again."""
    with shallow(NAME):
        keras.utils.set_random_seed(0)
        yield PoseTask(create_model(NAME, input_hw=INPUT_HW))


def noise(seed=1):
    return np.random.default_rng(seed).integers(0, 256, (64, 80, 3), np.uint8)


def test_photos_give_everybody_in_them_without_a_detector(task, tmp_path):
    path = save_keras_model(task.network, tmp_path / "crowd.keras", task.contract)
    expected = PoseEstimator(path)(noise())
    assert len(expected) > 1
    poses, others = task.predict([noise(), noise(2)])
    np.testing.assert_array_equal(poses.keypoints_xy, expected.keypoints_xy)
    np.testing.assert_array_equal(poses.scores, expected.scores)
    assert others.skeleton == COCO_17


def test_what_is_for_one_person_at_a_time_is_refused(task):
    with Says(
        "sees whole pictures: training/train.py trains it",
        do="Train it on the command line.",
    ).refuses():
        task.fit("synthetic")
    with pytest.raises(ValueError, match="is not for networks that see whole pictures"):
        task.evaluate("synthetic", flip_test=True)


def test_whole_pictures_are_measured(task, tmp_path):
    write_coco_dataset(tmp_path, 1, split="val")
    measurement = task.evaluate(tmp_path)
    assert 0 <= measurement.stats["AP"] <= 1
    assert measurement.protocol.num_images == 1
    assert task.measured[-1] is measurement


def test_an_exported_file_is_a_task_that_finds_the_same_people(task, tmp_path):
    export = task.export("tflite", tmp_path / "crowd.tflite")
    back = PoseTask.from_file(export.path)
    assert isinstance(back.contract, BottomUpContract)
    expected, found = task.predict(noise()), back.predict(noise())
    np.testing.assert_allclose(found.keypoints_xy, expected.keypoints_xy, atol=1e-3)


def test_a_preset_comes_back_as_it_was_saved(rebuilt, tmp_path):
    folder = rebuilt.save_to_preset(tmp_path / "crowd")
    back = PoseTask.from_preset(folder)
    assert isinstance(back.contract, BottomUpContract)
    assert back.contract == rebuilt.contract
    for first, second in zip(rebuilt.network.weights, back.network.weights, strict=True):
        np.testing.assert_array_equal(first.numpy(), second.numpy())
    boxed = noise()[:, :64]
    for first, second in zip(
        rebuilt._model().predict(boxed), back._model().predict(boxed), strict=True
    ):
        np.testing.assert_array_equal(first, second)
    with Says(
        "finds everybody in a picture: its keypoints and limbs cannot be changed",
        do="Open the preset without `skeleton` and `num_keypoints`.",
    ).refuses():
        PoseTask.from_preset(folder, num_keypoints=5)
