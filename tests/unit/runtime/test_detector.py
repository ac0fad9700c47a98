"""Detectors from files: the contract round trip, and honest refusals."""

import json
import zipfile

import keras
import numpy as np
import pytest
from exported_files import export_onnx, export_tflite
from keras import layers
from says import Says

from keras_pose.contracts.detector import (
    DetectorContract,
    detector_contract,
    is_detector,
    read_detector_contract,
)
from keras_pose.contracts.entries import save_keras_model
from keras_pose.contracts.pose import read_contract
from keras_pose.exporting.formats.tflite_export import TFLiteConversion
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.runtime.detector_model import Detector, load_detector
from keras_pose.weights import creation

INPUT_HW, STRIDES = (64, 96), (8, 16, 32)


@pytest.fixture(scope="module")
def network():
    """The outputs of an RTMDet from a convolution for each, certain of all it says."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*INPUT_HW, 3), name="image")
    outputs = []
    for channels, bias in ((2, -1.0), (4, 12.0)):
        for stride in STRIDES:
            start = keras.initializers.Constant(bias)
            outputs.append(
                layers.Conv2D(channels, stride, stride, bias_initializer=start)(image)
            )
    return keras.Model(image, outputs, name="rtmdet_nano")


@pytest.fixture(scope="module")
def contract(network):
    settings = BoxSettings(score_threshold=0.3)
    return detector_contract(network, IMAGENET, ("person", "dog"), settings)


@pytest.fixture(scope="module")
def crops():
    return np.random.default_rng(0).integers(0, 256, (4, *INPUT_HW, 3), np.uint8)


@pytest.fixture(scope="module")
def files(network, contract, crops, tmp_path_factory):
    """The same detector in every kind of file."""
    folder = tmp_path_factory.mktemp("detectors")
    save_keras_model(network, folder / "detector.keras", contract)
    conversion = TFLiteConversion(network, contract, crops)
    conversion.write(folder / "detector.tflite")
    conversion.write(folder / "int8.tflite", "int8")
    export_onnx(network, contract, folder / "detector.onnx", crops)
    return folder


@pytest.mark.parametrize("name", ["detector.keras", "detector.tflite", "detector.onnx"])
def test_every_file_finds_the_same_boxes(network, contract, files, name):
    image = np.random.default_rng(1).integers(0, 256, (90, 100, 3), np.uint8)

    expected = Detector.from_keras(network, contract)(image)
    actual = load_detector(files / name, num_threads=1)(image)

    assert len(expected) > 5
    assert set(expected.labels) == {0, 1}
    # One float32 rounding may let another of two nearly equal boxes win.
    np.testing.assert_allclose(actual.scores, expected.scores, atol=1e-4)
    np.testing.assert_allclose(actual.boxes_xyxy, expected.boxes_xyxy, atol=0.05)


def test_int8_outputs_have_scales_of_their_own(network, contract, files, crops):
    found = read_detector_contract(files / "int8.tflite")
    assert len({spec.scale for spec in found.outputs}) == 6
    assert found.input.dtype == "uint8"

    exact = Detector.from_keras(network, contract).predict(crops[0])
    for spec, value, expected in zip(
        found.outputs,
        load_detector(files / "int8.tflite").predict(crops[0]),
        exact,
        strict=True,
    ):
        # Three steps: those of the weights, of the normalised input, of the output.
        np.testing.assert_allclose(value, expected, atol=3 * spec.scale)


@pytest.mark.parametrize("image_hw", [(1, 1), (3, 500), (64, 96)])
def test_boxes_lie_within_images_of_any_size(network, contract, image_hw):
    found = Detector.from_keras(network, contract)(np.full((*image_hw, 3), 90, np.uint8))

    assert found.boxes_xyxy.min(initial=0) >= 0
    assert (found.boxes_xyxy <= np.tile(image_hw[::-1], 2)).all()
    assert (found.boxes_xyxy[:, 2:] > found.boxes_xyxy[:, :2]).all()


def test_contracts_survive_their_file(contract, files):
    stored = read_detector_contract(files / "detector.keras")

    assert stored == contract
    assert is_detector(files / "detector.tflite")
    with zipfile.ZipFile(files / "detector.keras") as archive:
        assert json.loads(archive.read("pose_model.json"))["task"] == "detection"


def test_a_detector_is_no_pose_network(files):
    with pytest.raises(ValueError, match="contract for detection"):
        read_contract(files / "detector.tflite")


def test_a_pose_network_is_no_detector(exported):
    with pytest.raises(ValueError, match="not of a detector"):
        load_detector(exported.paths["float32"])


def test_shapes_that_do_not_fit_are_refused(contract):
    values = contract.to_dict() | {"strides": [8, 16, 64]}
    with pytest.raises(ValueError, match="strides"):
        DetectorContract.from_dict(values)


def test_a_missing_field_is_named(contract):
    values = contract.to_dict()
    del values["class_names"]
    with pytest.raises(ValueError, match="class_names"):
        DetectorContract.from_dict(values)


@pytest.mark.parametrize("name", ["w.weights.h5", "w.pth"])
def test_files_of_weights_alone_need_a_model(name, tmp_path):
    path = tmp_path / name
    path.touch()
    with Says(
        "holds nothing but weights: say of which model they are",
        do="Add `--model NAME`, or convert it: `training/import_weights.py`.",
    ).refuses():
        load_detector(path)
    with Says(
        "testing_pose finds keypoints, not people: it is no detector",
        do="Name a detector of the zoo, such as rtmdet_nano.",
    ).refuses():
        load_detector(path, model="testing_pose")


@pytest.mark.parametrize("name", ["w.weights.h5", "w.pth"])
def test_files_of_weights_alone_are_run_as_the_model(name, tmp_path, monkeypatch):
    image = keras.Input((*INPUT_HW, 3))
    heads = [layers.Conv2D(n, s, s)(image) for n in (1, 4) for s in STRIDES]
    people = keras.Model(image, heads, name="rtmdet_nano")
    monkeypatch.setattr(creation, "create_model", lambda *_: people)

    detector = load_detector(tmp_path / name, model="rtmdet_nano")

    assert detector.contract.class_names == ("person",)
    # Blue first, as the zoo's detectors want it.
    assert detector.contract.normalization.channel_order == "bgr"


def test_detector_files_take_one_image_at_a_time(network, contract, crops, tmp_path):
    with pytest.raises(ValueError, match="one image at a time"):
        export_tflite(network, contract, tmp_path / "a.tflite", crops, batch=2)
