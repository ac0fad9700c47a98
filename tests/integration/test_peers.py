"""Networks that others trained have, in our hands, the AP they have in others'."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from keras_pose.data import open_dataset
from keras_pose.data.datasets import coco_ground_truth
from keras_pose.data.person_boxes import open_boxes
from keras_pose.exporting.formats.table import export_format
from keras_pose.metrics.box_ap import evaluate_detector
from keras_pose.metrics.evaluator import evaluate
from keras_pose.pictures.boxes import letterbox
from keras_pose.pictures.images import read_image
from keras_pose.runtime import PoseModel
from keras_pose.runtime.detector_model import Detector, load_detector
from keras_pose.weights.importer import import_weights
from keras_pose.weights.provenance import contract_of, file_contract_of

pytestmark = pytest.mark.very_slow
# Rounding in other orders moves a keypoint now and then.
TOLERANCE = 0.003
NUM_CHECKED = 32


@pytest.fixture(scope="module")
def peer(shared_data_dir):
    def path_of(name):
        path = shared_data_dir / "peers" / name
        if not path.is_file():
            pytest.skip(f"the peer's network is absent: no file {path}")
        return path

    return path_of


def test_tiny_pose_has_its_ap_on_people_in_their_boxes(peer, shared_data_dir):
    model = import_weights("tiny_pose", peer("tinypose_256x192_fp16.xml"))
    people = open_dataset("coco", shared_data_dir / "coco_people", "val")
    # The file has 17 keypoints and no names.
    contract = replace(contract_of(model), skeleton=people.skeleton)

    result = evaluate(
        PoseModel.from_keras(model, contract).predict,
        contract,
        people.records,
        coco_ground_truth(people),
        nms="off",
        progress=False,
    )

    # That of the IR in OpenVINO, with an evaluation of its own.
    assert result.stats["AP"] == pytest.approx(0.620, abs=TOLERANCE)


@pytest.fixture(scope="module")
def rtmdet(peer, shared_data_dir, tmp_path_factory):
    """The official RTMDet-nano for people, in Keras, with an input of 320x320."""
    tool = shared_data_dir.parent / "tools" / "rtmdet_onnx_to_npz.py"
    if not tool.is_file():
        pytest.skip(f"what names the peer's weights is absent: no file {tool}")
    weights = tmp_path_factory.mktemp("rtmdet") / "weights.npz"
    command = [sys.executable, tool, peer("rtmdet_nano_person.onnx"), weights]
    subprocess.run(command, check=True)
    return import_weights("rtmdet_nano", weights, input_hw=(320, 320))


@pytest.fixture(scope="module")
def rtmdet_float16(rtmdet, shared_data_dir, tmp_path_factory):
    source, *_ = open_boxes("coco", shared_data_dir / "coco_people", "val")
    pictures = [read_image(path, honour_exif=False) for path in source.images[:NUM_CHECKED]]
    crops = np.stack([letterbox(picture, (320, 320))[0] for picture in pictures])
    path = tmp_path_factory.mktemp("float16") / "rtmdet.tflite"
    export_format(rtmdet, file_contract_of(rtmdet), path, crops, "float16")
    return load_detector(path)


def box_ap(detector, shared_data_dir):
    source, annotations, _ = open_boxes("coco", shared_data_dir / "coco_people", "val")
    result = evaluate_detector(
        detector, source.images, source.image_ids, annotations, progress=False
    )
    return result.stats["AP"]


def test_rtmdet_has_its_ap_on_whole_pictures(rtmdet, shared_data_dir):
    detector = Detector.from_keras(rtmdet, file_contract_of(rtmdet))
    assert box_ap(detector, shared_data_dir) == pytest.approx(0.391, abs=TOLERANCE)


def test_rtmdet_in_half_precision_has_the_same(rtmdet_float16, shared_data_dir):
    assert box_ap(rtmdet_float16, shared_data_dir) == pytest.approx(0.391, abs=TOLERANCE)
