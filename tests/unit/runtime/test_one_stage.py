"""One-stage networks, from their contract to the estimator."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from says import Says

from keras_pose.contracts.crowd import is_crowd
from keras_pose.contracts.detector import read_model_contract
from keras_pose.contracts.entries import save_keras_model
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.one_stage import FIELDS, OneStageContract, PeopleCodec
from keras_pose.exporting.float_graph.decoding import decoded_contract
from keras_pose.exporting.formats.coreml import export_coreml
from keras_pose.exporting.formats.onnx_export import OnnxConversion
from keras_pose.exporting.formats.tflite_export import TFLiteConversion
from keras_pose.inference import PoseEstimator
from keras_pose.pictures.boxes import letterbox
from keras_pose.runtime.crowd_model import CrowdModel, load_crowd_model
from keras_pose.runtime.crowd_steps import find_poses
from keras_pose.skeleton import COCO_17
from keras_pose.trainer.run_dirs import recipe_for
from keras_pose.weights.provenance import crowd_contract_of
from keras_pose.zoo import build_model

INPUT_HW = (64, 96)


def contract_of(num_people=6, **codec):
    shapes = ((), (4,), (34,), (17,))
    outputs = (
        TensorSpec(f"people_{name}", (1, num_people, *shape), "float32")
        for name, shape in zip(FIELDS, shapes, strict=True)
    )
    image = TensorSpec("image", (1, *INPUT_HW, 3), "uint8")
    return OneStageContract("rtmo_s", image, *outputs, COCO_17, PeopleCodec(**codec))


def outputs_of(boxes, scores):
    """Returns outputs for people whose keypoints are all in the middle of their box."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    visibility = np.linspace(0, 1, 17, dtype=np.float32)
    return [
        np.asarray(scores, np.float32),
        boxes,
        np.tile(middles, 17),
        np.tile(visibility, (len(boxes), 1)),
    ]


def noise(height=50, width=120):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def test_of_cells_that_see_one_person_the_best_stays():
    boxes = [[10, 10, 30, 50], [11, 10, 31, 50], [60, 10, 80, 50], [0, 0, 9, 9]]
    outputs = outputs_of(boxes, [0.9, 0.8, 0.7, 0.05])
    image = noise(128, 192)

    poses = find_poses(lambda boxed: outputs, image, contract_of())

    # The picture is twice as large as the input, and meets it at the corners of pixels.
    np.testing.assert_allclose(poses.scores, [0.9, 0.7], rtol=1e-6)
    np.testing.assert_allclose(poses.boxes_xyxy[0], [20.5, 20.5, 60.5, 100.5])
    np.testing.assert_allclose(poses.keypoints_xy[1, 3], [140.5, 60.5])
    np.testing.assert_allclose(poses.keypoint_scores[0], np.linspace(0, 1, 17), atol=1e-6)


def test_nobody_is_no_error():
    outputs = outputs_of([[0, 0, 9, 9]], [0.01])
    poses = find_poses(lambda boxed: outputs, noise(), contract_of())
    assert (len(poses), poses.skeleton) == (0, COCO_17)


def test_no_more_people_stay_than_the_codec_says():
    boxes = [[10 * i, 0, 10 * i + 9, 9] for i in range(6)]
    outputs = outputs_of(boxes, np.linspace(0.9, 0.4, 6))
    poses = find_poses(lambda boxed: outputs, noise(), contract_of(max_people=2))
    np.testing.assert_allclose(poses.scores, [0.9, 0.8], rtol=1e-6)


def test_a_contract_survives_json():
    contract = contract_of(score_threshold=0.2)
    values = json.loads(json.dumps(contract.to_dict()))
    assert OneStageContract.from_dict(values) == contract
    assert values["letterbox"]["anchor"] == "top left"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("task", "bottom_up", "not of a one-stage network"),
        ("codec", {"kind": "part_affinity"}, "needs the codec 'people'"),
        ("boxes", None, "another type"),
    ],
)
def test_contracts_of_others_are_refused(field, value, message):
    values = contract_of().to_dict() | {field: value}
    with pytest.raises(ValueError, match=message):
        OneStageContract.from_dict(values)


def test_tensors_that_do_not_fit_the_skeleton_are_refused():
    contract = contract_of()
    other = dataclasses.replace(contract.visibility, shape=(1, 6, 14))
    with pytest.raises(ValueError, match="for N people with the 17 keypoints"):
        dataclasses.replace(contract, visibility=other)


def test_training_says_that_it_is_not_done_here():
    with Says(
        "is not trained here: its assignment of people to cells",
        do="Convert official weights (training/import_weights.py), or train rtmpose_s "
        "with a detector, or openpose_lite.",
    ).refuses():
        recipe_for("rtmo_s")


def test_core_ml_is_refused(tmp_path):
    with Says(
        "Core ML packages hold no one-stage networks",
        do="Write .tflite (export/to_tflite.py) or .onnx (export/to_onnx.py).",
    ).refuses():
        export_coreml(None, contract_of(), tmp_path / "pose.mlpackage", None)


def test_to_decode_in_the_graph_is_refused():
    with Says(
        "give people in any case, several of whom may be one person",
        do="Leave --with-decode out; apps suppress doubles as mobile_demo/SPEC.md says.",
    ).refuses():
        decoded_contract(contract_of())


@pytest.fixture(scope="module")
def network():
    """Returns a small network whose signals reach the outputs, and its contract."""
    keras.utils.set_random_seed(0)
    model = build_model("testing_one_stage")
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        if len(weight.shape) >= 2:
            fan_in = np.prod(weight.shape[:-1])
            weight.assign(rng.standard_normal(weight.shape) * np.sqrt(2 / fan_in))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    for level in range(2):  # else no cell is sure of anybody
        model.get_layer(f"head_module-out_cls-{level}").bias.assign([0.0])
    contract = crowd_contract_of(model)
    model(contract.normalization(crops_of(contract, 16)).astype("float32"), training=True)
    return model, contract


def crops_of(contract, count=4):
    shape = (count, *contract.input_hw, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def check_same_people(path, network):
    """A file's estimator, without a detector, finds whom the network in memory finds."""
    model, contract = network
    expected = CrowdModel.from_keras(model, contract)(noise())
    assert len(expected) > 3
    found = PoseEstimator(path, box_threshold=0)(noise())
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    np.testing.assert_allclose(found.keypoints_xy, expected.keypoints_xy, atol=0.05)
    assert is_crowd(path)


@pytest.mark.slow
@pytest.mark.very_slow
def test_files_find_who_the_network_in_memory_finds(network, tmp_path):
    conversion = TFLiteConversion(*network, crops_of(network[1]))
    export = conversion.write(tmp_path / "pose.tflite")
    check_same_people(export.path, network)
    contract = read_model_contract(export.path)
    assert [spec.name for spec in contract.outputs] == [f"people_{x}" for x in FIELDS]
    keras_file = save_keras_model(network[0], tmp_path / "pose.keras", network[1])
    expected = PoseEstimator(export.path)(noise())
    found = PoseEstimator(keras_file)(noise())
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=0.05)


@pytest.mark.very_slow
def test_onnx_files_do_so_too(network, tmp_path):
    conversion = OnnxConversion(*network, crops_of(network[1]))
    check_same_people(conversion.write(tmp_path / "pose.onnx").path, network)


@pytest.mark.very_slow
@pytest.mark.parametrize("quantization", ["int8", "float16"])
def test_people_are_made_in_float_whatever_the_maps_are(network, tmp_path, quantization):
    conversion = TFLiteConversion(*network, crops_of(network[1], 8))
    # Random weights lose much in int8; what is measured is how people follow from maps.
    export = conversion.write(tmp_path / "pose.tflite", quantization, is_measured=True)
    assert {spec.dtype for spec in export.contract.outputs} == {"float32"}
    boxed, _ = letterbox(noise(), network[1].input_hw)
    scores, *_ = load_crowd_model(export.path).predict(boxed)
    assert (np.diff(scores) <= 0).all()
