"""A bottom-up network's own int8 file: every core finds in it whom Python finds."""

import re

import keras
import numpy as np
import pytest
from mobile.kotlin_tools import run_java
from mobile.test_web_core import num_passed, run_tests
from shared_work import shared_folder

from keras_pose.exporting.formats.tflite_export import TFLiteConversion
from keras_pose.inference import PoseEstimator
from keras_pose.parity import write_pack
from keras_pose.parity.maths import make_case
from keras_pose.pictures.boxes import letterbox
from keras_pose.runtime.crowd_model import load_crowd_model
from keras_pose.runtime.loading import open_backend
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import crowd_contract_of, runnable_network

# Export, and compiling of the cores, take minutes.
pytestmark = [pytest.mark.slow, pytest.mark.very_slow]

INPUT_HW = (128, 160)
SIZES = ((128, 160), (300, 200), (60, 131))


def pictures(count, hw, seed=0):
    """Returns (count, H, W, 3) uint8 of coarse patches and fine noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 230, (count, hw[0] // 16 + 1, hw[1] // 16 + 1, 3))
    images = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, : hw[0], : hw[1]]
    return (images + rng.integers(0, 25, images.shape)).astype(np.uint8)


def settled_network():
    """Returns openpose_lite at random, with batch norms of our pictures, and its contract.

    The peaks of its heatmaps are as high as a trained network's, its fields as long.
    """
    keras.utils.set_random_seed(0)
    model = create_model("openpose_lite", 17, INPUT_HW)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    network = runnable_network(model)
    contract = crowd_contract_of(network)
    images = contract.normalization(pictures(8, INPUT_HW)).astype("float32")
    for _ in range(3):
        model(images, training=True)
    heads = {"stage1-heatmaps": 0.8, "stage1-fields": 1.0}
    maps = network(images, training=False)
    for (name, largest), values in zip(heads.items(), maps, strict=True):
        for weight in network.get_layer(name).weights:
            weight.assign(largest / float(np.abs(values).max()) * weight)
    return network, contract


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """The folder of a pack: pictures, what the file answers, and Python's people."""
    with shared_folder(tmp_path_factory, "bottom-up-file") as (folder, is_new):
        if is_new:
            network, contract = settled_network()
            conversion = TFLiteConversion(network, contract, pictures(8, INPUT_HW))
            path = folder / "pose.tflite"
            # Random weights lose much in int8; what is tested is what follows from maps.
            conversion.write(path, "int8", is_measured=True)
            write_pack(folder / "pack", [case_of(path, hw) for hw in SIZES])
        return folder / "pack"


def case_of(path, hw):
    contract = load_crowd_model(path).contract
    (image,) = pictures(1, hw, seed=sum(hw))
    boxed, _ = letterbox(image, contract.input_hw)
    answers = open_backend(path).run_all(boxed[None])
    raw = [answers[spec.name][0] for spec in contract.outputs]
    assert {values.dtype.name for values in raw} == {"int8"}
    given = {"image": image, "contract": contract.to_dict(), "raw": raw}
    case = make_case("people", f"file_{hw[0]}x{hw[1]}", given)
    # The case holds what an app of Python shows by the file.
    shown = PoseEstimator(path, box_threshold=0)(image)
    np.testing.assert_array_equal(case.expected["keypoints_xy"], shown.keypoints_xy)
    assert (shown.keypoint_scores > 0).sum(axis=1).max() > 3
    assert len(shown) > 3
    return case


def test_the_javascript_core_finds_whom_python_finds_in_a_file(node, pack):
    result = run_tests(node, "tests/parity.test.js", KERAS_POSE_PARITY=str(pack))
    assert num_passed(result) == len(SIZES)


def test_the_kotlin_core_finds_whom_python_finds_in_a_file(kotlin_classes, pack):
    result = run_java(kotlin_classes, "keraspose.ParityKt", pack)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(SIZES)} passed, 0 failed" in result.stdout


def test_the_swift_core_finds_whom_python_finds_in_a_file(swift, pack):
    result = swift("test", "--filter", "ParityTests", KERAS_POSE_PACK=str(pack))
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(rf"^parity of pack: {len(SIZES)} passed", result.stdout, re.M)
