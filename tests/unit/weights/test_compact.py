"""Keras files with rounded kernels, and the word for those that are shipped."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from says import Says

from keras_pose import PoseTask, shipped
from keras_pose.contracts.entries import save_keras_model
from keras_pose.contracts.pose import read_contract
from keras_pose.runtime.detector_model import load_detector
from keras_pose.runtime.keras_backend import load_network
from keras_pose.runtime.loading import load_model
from keras_pose.shipped import shipped_file
from keras_pose.weights.compact import write_compact
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import file_contract_of, provenance_of


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Files of two tiny networks."""
    folder = tmp_path_factory.mktemp("saved")
    paths = {}
    for kind, name in (("pose", "testing_pose"), ("detector", "testing_detector")):
        keras.utils.set_random_seed(1)
        network = create_model(name)
        paths[kind] = folder / f"{name}.keras"
        save_keras_model(network, paths[kind], file_contract_of(network))
    return paths


@pytest.fixture
def folder(saved, tmp_path, monkeypatch):
    """A folder of shipped models: compact tiny networks, and the package's file to run."""
    package = shipped_file("pose")
    shutil.copyfile(package, tmp_path / package.name)
    shutil.copyfile(package.with_name("pose_model.json"), tmp_path / "pose_model.json")
    index = {}
    for kind, path in saved.items():
        write_compact(path, tmp_path / path.name)
        files = {"default": "int8", "files": {"int8": package.name}, "box_threshold": 0.3}
        index[kind] = files | {"model": path.stem, "network": path.name}
    (tmp_path / "shipped.json").write_text(json.dumps(index))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    return tmp_path


def test_kernels_are_rounded_and_all_else_is_as_it_was(saved, tmp_path):
    path = write_compact(saved["pose"], tmp_path / "compact.keras")
    again = write_compact(path, tmp_path / "again.keras")

    before, after = load_network(saved["pose"]), load_network(path)
    assert read_contract(path) == read_contract(saved["pose"])
    assert path.stat().st_size < saved["pose"].stat().st_size / 3
    is_rounded = False
    for first, second in zip(before.weights, after.weights, strict=True):
        values = first.numpy()
        if values.ndim == 1:
            np.testing.assert_array_equal(second.numpy(), values)
            continue
        difference = np.abs(second.numpy() - values)
        # Half a step of 1/32 to 1/64, and of the smallest that half precision has.
        assert (difference <= np.abs(values) / 64 + 2**-25).all()
        is_rounded |= bool(difference.any())
    assert is_rounded
    third = load_network(again)
    for second, same in zip(after.weights, third.weights, strict=True):
        np.testing.assert_array_equal(second.numpy(), same.numpy())


def test_a_kernel_beyond_half_precision_is_refused(tmp_path):
    network = create_model("testing_pose")
    layer = next(each for each in network.layers if isinstance(each, keras.layers.Conv2D))
    layer.kernel.assign(layer.kernel * 0 + 7e4)
    path = save_keras_model(network, tmp_path / "p.keras", file_contract_of(network))
    with Says(
        "goes up to 70000, beyond half precision",
        do="Train with weight decay, or look at the layer that is named: no trained kernel "
        "is that large.",
    ).refuses():
        write_compact(path, tmp_path / "compact.keras")
    assert not (tmp_path / "compact.keras").exists()


def test_shipped_is_a_word_for_weights(saved, folder, capsys):
    half = load_network(folder / "testing_pose.keras")
    network = create_model("testing_pose", weights="shipped")
    for first, second in zip(half.weights, network.weights, strict=True):
        np.testing.assert_array_equal(first.numpy(), second.numpy())
    contract = read_contract(saved["pose"])
    assert provenance_of(network).skeleton == contract.skeleton

    other = create_model("testing_pose", 3, weights="shipped")
    assert other.output_shape[-1] == 3
    assert "so for 3 these layers start at random" in capsys.readouterr().out
    model = load_model("shipped", model="testing_pose")
    assert model.contract.skeleton == contract.skeleton
    detector = load_detector("shipped", model="testing_detector")
    assert detector.contract.model == "testing_detector"
    with pytest.raises(
        ValueError, match=r"those of testing_pose, testing_det.*got pose_sl"
    ):
        create_model("pose_slim", weights="shipped")


def test_the_shipped_preset_runs_a_file_and_trains_its_network(folder):
    task = PoseTask.from_preset("shipped", detector="whole image")
    assert task.network is None
    codec = read_contract(folder / "testing_pose.keras").codec
    targets = np.zeros((2, *codec.output_shape(17)), np.float32)
    batch = (np.zeros((2, 64, 48, 3), np.uint8), targets, np.ones((2, 17), np.float32))
    batches = tf.data.Dataset.from_tensor_slices(batch).batch(2)

    task.fit(batches, epochs=1)

    assert task.network.name == "testing_pose"
    start = load_network(folder / "testing_pose.keras")
    changes = [
        np.abs(first.numpy() - second.numpy()).max()
        for first, second in zip(start.weights, task.network.weights, strict=True)
    ]
    assert 0 < max(changes) < 1


def test_the_shipped_preset_takes_other_keypoints(folder):
    task = PoseTask.from_preset("shipped", num_keypoints=3)
    assert task.network.output_shape[-1] == 3
