"""Networks that see whole pictures, from their contract to the estimator."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from says import Says

from keras_pose.codecs.part_affinity import PartAffinityCodec
from keras_pose.contracts.bottom_up import (
    BottomUpContract,
    bottom_up_contract,
)
from keras_pose.contracts.crowd import is_crowd, read_crowd_contract
from keras_pose.contracts.detector import read_model_contract
from keras_pose.contracts.entries import save_keras_model
from keras_pose.contracts.pose import read_contract
from keras_pose.exporting.float_graph.serving import serving_function
from keras_pose.exporting.formats.table import export_format
from keras_pose.inference import PoseEstimator
from keras_pose.inference.regions import RegionFollower
from keras_pose.models.openpose_channels import OPENPOSE_COCO_18, last_maps, skeleton_for
from keras_pose.pictures.boxes import letterbox
from keras_pose.pictures.normalization import OPENPOSE
from keras_pose.runtime.crowd_model import CrowdModel, load_crowd_model, load_pose
from keras_pose.runtime.crowd_steps import find_poses
from keras_pose.skeleton import COCO_17

INPUT_HW = (64, 96)
# A person who stands, (x, y) in units of a third of the head, in COCO's order.
PERSON = np.array(
    [
        *[(5, 2), (5.5, 1.5), (4.5, 1.5), (6, 2), (4, 2)],
        *[(7, 4), (3, 4), (8, 7), (2, 7), (8, 10), (2, 10)],
        *[(6.5, 9.5), (3.5, 9.5), (6.7, 13), (3.3, 13), (6.8, 17), (3.2, 17)],
    ]
)


def tiny_network(seed=0, outputs=(18, 38)):
    """Returns a network of one layer for each output, under the name of a real one."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.AveragePooling2D(8)(image)
    maps = [
        keras.layers.Conv2D(n, 1, name=f"maps-{i}", bias_initializer="ones")(x)
        for i, n in enumerate(outputs)
    ]
    return keras.Model(image, maps, name="openpose_light_1")


def contract_of(network, skeleton=COCO_17, **settings):
    codec = PartAffinityCodec(INPUT_HW, **settings)
    return bottom_up_contract(network, codec, skeleton, OPENPOSE)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Returns a folder with one network as .keras, float32 and int8."""
    folder = tmp_path_factory.mktemp("bottom_up")
    network = tiny_network()
    contract = contract_of(network, min_peak=0.01)
    save_keras_model(network, folder / "pose.keras", contract)
    crops = np.random.default_rng(0).integers(0, 256, (4, *INPUT_HW, 3), np.uint8)
    for name in ("float32", "int8"):
        export_format(network, contract, folder / f"{name}.tflite", crops, name)
    return folder


def noise(height=50, width=120):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def test_people_come_back_to_the_pixels_of_the_picture():
    # The network is one that draws what is there: what is left is the way back.
    contract = contract_of(tiny_network())
    image = np.zeros((320, 400, 3), np.uint8)
    expected = np.stack([PERSON * 16 + 20, PERSON * 14 + [240, 30]])
    _, scale_xy = letterbox(image, INPUT_HW)
    labels = (expected + 0.5) * scale_xy - 0.5

    poses = find_poses(
        lambda boxed: contract.codec.encode(labels, np.full((2, 17), 2), COCO_17),
        image,
        contract,
    )

    order = np.argsort(poses.keypoints_xy[:, 0, 0])
    # Keypoints of the face are within a cell of each other, but have maps of their own.
    np.testing.assert_allclose(poses.keypoints_xy[order], expected, atol=0.1)
    np.testing.assert_allclose(poses.boxes_xyxy[order, :2], expected.min(axis=1), atol=0.1)
    np.testing.assert_allclose(poses.boxes_xyxy[order, 2:], expected.max(axis=1), atol=0.1)


def test_nobody_is_no_error():
    contract = contract_of(tiny_network())
    empty = contract.codec.encode(np.zeros((0, 17, 2)), np.zeros((0, 17)), COCO_17)
    poses = find_poses(lambda boxed: empty, noise(), contract)
    assert (len(poses), poses.skeleton) == (0, COCO_17)


def test_a_contract_survives_json(files):
    contract = read_crowd_contract(files / "int8.tflite")
    values = json.loads(json.dumps(contract.to_dict()))
    assert BottomUpContract.from_dict(values) == contract
    assert read_model_contract(files / "int8.tflite") == contract
    assert [spec.name for spec in contract.outputs] == ["heatmaps", "fields"]
    assert contract.heatmaps.scale != contract.fields.scale
    assert is_crowd(files / "pose.keras")


def test_a_skeleton_without_limbs_is_refused():
    bare = dataclasses.replace(COCO_17, limbs=())
    with Says(
        "a bottom-up network needs a skeleton with limbs, got 'coco_17'",
        do="Name the skeleton's limbs in the order of the network's fields.",
    ).refuses():
        contract_of(tiny_network(), bare)


def test_readers_of_one_persons_networks_refuse_it(files):
    with Says(
        "contract for bottom_up, not of a network that finds one person's keypoints",
        do="Load it with `PoseEstimator` or `runtime.crowd_model.load_pose`.",
    ).refuses():
        read_contract(files / "float32.tflite")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("task", "top_down", "not of a bottom-up network"),
        ("codec", {"kind": "gaussian"}, "needs the codec 'part_affinity'"),
    ],
)
def test_contracts_of_others_are_refused(field, value, message):
    values = contract_of(tiny_network()).to_dict() | {field: value}
    with pytest.raises(ValueError, match=message):
        BottomUpContract.from_dict(values)


def test_maps_that_do_not_fit_the_skeleton_are_refused():
    with Says(
        "heatmaps and fields must be",
        do="Give the skeleton whose keypoints and limbs the network was trained for.",
    ).refuses():
        contract_of(tiny_network(), OPENPOSE_COCO_18)


def test_files_find_who_the_network_in_memory_finds(files):
    image = noise()
    expected = load_crowd_model(files / "pose.keras")(image)
    assert len(expected)
    found = PoseEstimator(files / "float32.tflite", box_threshold=0)(image)
    np.testing.assert_allclose(found.keypoints_xy, expected.keypoints_xy, atol=0.01)
    int8 = load_pose(files / "int8.tflite")
    ours, theirs = (
        int8.predict(letterbox(image, INPUT_HW)[0]),
        load_crowd_model(files / "pose.keras").predict(letterbox(image, INPUT_HW)[0]),
    )
    for quantized, real in zip(ours, theirs, strict=True):
        assert quantized.shape == real.shape
        # Two steps of 256 of the range of the outputs.
        assert np.abs(quantized - real).max() < 2 / 256 * 2 * np.abs(real).max()


def test_an_estimator_of_whole_pictures_needs_no_detector(files):
    estimator = PoseEstimator(files / "float32.tflite")
    assert estimator.detector is None
    everybody = PoseEstimator(files / "float32.tflite", box_threshold=0)(noise())
    sure = PoseEstimator(files / "float32.tflite", box_threshold=0.2)(noise())
    assert (sure.scores > 0.2).all()
    assert len(sure) < len(everybody)
    follower = RegionFollower(estimator)
    np.testing.assert_array_equal(
        follower(noise()).keypoints_xy, estimator(noise()).keypoints_xy
    )
    assert follower.num_detected == 0
    shown = estimator.show_heatmaps(noise(), estimator(noise()))
    assert shown.shape == noise().shape


def test_what_has_no_effect_on_whole_pictures_is_refused(files):
    path = files / "float32.tflite"
    with Says(
        "finds the people itself: leave the detector",
        do="Leave --detector out: a bottom-up network sees the whole picture.",
    ).refuses():
        PoseEstimator(path, detector="detector.tflite")
    with Says(
        "whole pictures, which are not mirrored",
        do="Leave --flip-test out.",
    ).refuses():
        PoseEstimator(path, flip_test=True)
    with Says(
        "finds the people itself: it takes no boxes",
        do="Ask without boxes, or take a top-down network.",
    ).refuses():
        PoseEstimator(path)(noise(), boxes_xyxy=[[0, 0, 20, 20]])


def test_decoding_in_the_graph_is_refused_with_the_reason():
    network = tiny_network()
    with Says(
        "are matched to people by steps whose number depends on the picture",
        do="Leave --with-decode out; programs parse the two maps (mobile_demo/SPEC.md).",
    ).refuses():
        serving_function(network, contract_of(network), with_decode=True)
    with pytest.raises(ValueError, match="takes one image at a time, got batch=2"):
        serving_function(network, contract_of(network), batch=2)


def test_the_last_heatmaps_and_fields_are_told_by_their_channels():
    several = tiny_network(outputs=(38, 18, 38, 18))
    last = last_maps(several, 17)
    assert [x.shape[-1] for x in last.outputs] == [18, 38]
    image = np.random.default_rng(0).random((1, *INPUT_HW, 3)).astype(np.float32)
    expected = several(image)
    for ours, theirs in zip(last(image), (expected[3], expected[2]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="5 keypoints need heatmaps of 6"):
        last_maps(several, 5)


def test_channels_are_the_references_or_cocos():
    assert skeleton_for("openpose_light_1", 18, 19) == OPENPOSE_COCO_18
    assert skeleton_for("openpose_light_1", 17, 19) == COCO_17
    with Says(
        "with 5 keypoints and 19 limbs: known are",
        do="Train a bottom-up network on COCO's keypoints.",
    ).refuses():
        skeleton_for("openpose_light_1", 5, 19)


def test_a_network_in_memory_sees_later_weights():
    network = tiny_network()
    model = CrowdModel.from_keras(network, contract_of(network))
    boxed = letterbox(noise(), INPUT_HW)[0]
    before = model.predict(boxed)[0]
    network.get_layer("maps-0").bias.assign_add(np.ones(18))
    np.testing.assert_allclose(model.predict(boxed)[0], before + 1, atol=1e-5)


def test_another_networks_file_is_refused(files):
    contract = read_crowd_contract(files / "float32.tflite")
    other = dataclasses.replace(
        contract, fields=dataclasses.replace(contract.fields, name="vectors")
    )
    with pytest.raises(ValueError, match="does not fit its contract"):
        CrowdModel.from_keras(tiny_network(outputs=(18, 36)), other)
