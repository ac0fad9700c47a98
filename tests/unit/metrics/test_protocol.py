"""What stands beside a number: on how many images, and that it is read back as written."""

import dataclasses
import json

import pytest

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.metrics.box_ap import BOX_STATS, BoxEvaluation
from keras_pose.metrics.box_protocol import BoxMeasurement, BoxProtocol, box_table
from keras_pose.metrics.protocol import (
    Measurement,
    Protocol,
    comparison_table,
    count_images,
    describe_data,
    read_measurement,
)
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.runtime.instructions import machine, machine_line

PROTOCOL = Protocol(
    dataset="coco",
    split="val",
    is_subset=False,
    num_images=397,
    num_people=900,
    annotation_sha256="0" * 16,
    boxes="ground truth",
    boxes_sha256="",
    boxes_threshold=0.0,
    metrics=("coco_ap",),
    nms="hard",
    flip_test=False,
    codec=GaussianHeatmapCodec((64, 48)).to_dict(),
    input_hw=(64, 48),
    model="pose_slim",
    file_name="best.keras",
    file_folder="run",
    file_type=".keras",
    file_bytes=1000,
    file_sha256="1" * 16,
    quantization="float32",
    left_out=("a/broken.jpg",),
)
STATS = {"AP": 0.5, "AP50": 0.6, "AP75": 0.4, "AR": 0.5}


def measurement(**changes):
    return Measurement(STATS, {}, dataclasses.replace(PROTOCOL, **changes), 1.0, 2.0)


@pytest.mark.parametrize(
    ("left_out", "is_subset", "words"),
    [
        ((), False, "5 images"),
        ((), True, "first 5 images"),
        (("a.jpg",), False, "5 of 6 images (left out: a.jpg)"),
        (tuple("abcd"), True, "5 of first 9 images (left out: a, b, c, ...)"),
    ],
)
def test_images_are_counted_with_those_left_out(left_out, is_subset, words):
    assert count_images(5, is_subset, left_out) == words


def test_left_out_images_stand_beside_the_figure_and_in_json(tmp_path):
    assert "397 of 398 images (left out: a/broken.jpg)" in describe_data(PROTOCOL)
    path = tmp_path / "numbers.json"
    path.write_text(json.dumps(measurement().to_dict()))
    assert json.loads(path.read_text())["protocol"]["left_out"] == ["a/broken.jpg"]
    assert read_measurement(path).protocol.left_out == PROTOCOL.left_out


def test_files_of_before_are_read_as_leaving_nothing_out(tmp_path):
    values = measurement().to_dict()
    del values["protocol"]["left_out"]
    path = tmp_path / "numbers.json"
    path.write_text(json.dumps(values))
    assert read_measurement(path).protocol.left_out == ()


def test_figures_of_other_images_do_not_stand_in_one_table():
    with pytest.raises(ValueError, match="left_out differs"):
        comparison_table([measurement(), measurement(left_out=("b.jpg",))])


def test_a_table_of_times_says_which_machine_took_them(tmp_path):
    here, path = measurement(), tmp_path / "numbers.json"
    path.write_text(json.dumps(here.to_dict() | {"machine": "9 phone cores, NEON"}))
    there = read_measurement(path)
    assert comparison_table([here]).endswith(f"\n{machine_line()}")
    assert comparison_table([here, there]).endswith(f"{machine()}; 9 phone cores, NEON")
    values = here.to_dict()
    del values["machine"]  # as before it was written down
    path.write_text(json.dumps(values))
    assert comparison_table([read_measurement(path)]).endswith("machine     not known")


def test_a_detectors_figures_say_it_too():
    result = BoxEvaluation(
        dict.fromkeys((*BOX_STATS, "F1", "F1_score"), 0.5), [], 9, 20, 1.0
    )
    protocol = BoxProtocol(
        "coco", "val", False, 9, 20, "0" * 16, BoxSettings(0.05, 0.65, 100), (320, 320),
        "rtmdet_nano", "best.keras", 1000, "1" * 16, "float32", left_out=("a.jpg",),
    )  # fmt: skip
    measured = BoxMeasurement.of(result, protocol)
    assert "9 of 10 images (left out: a.jpg), 20 people" in measured.describe()
    assert measured.to_dict()["machine"] == machine()
    assert box_table([measured]).endswith(f"\n{machine_line()}")
