"""The COCO reader: who counts, and how bad files are reported."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_pose.data.datasets import find_coco, open_dataset
from keras_pose.data.readers.coco import read_coco
from keras_pose.skeleton import COCO_17, MPII_16


def _annotation(**changes):
    keypoints = np.array([[10 + i, 20 + i, 2] for i in range(17)])
    return {
        "id": 7,
        "image_id": 1,
        "category_id": 1,
        "bbox": [5, 6, 30, 40],
        "area": 900.0,
        "iscrowd": 0,
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": 17,
    } | changes


def _write(folder, annotations, **changes):
    (folder / "images").mkdir(exist_ok=True)
    Image.new("RGB", (100, 80)).save(folder / "images" / "a.png")
    image = {"id": 1, "file_name": "a.png", "width": 100, "height": 80}
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.names)}
    values = {"images": [image], "annotations": annotations, "categories": [category]}
    path = folder / "person_keypoints_val.json"
    path.write_text(json.dumps(values | changes))
    return path


def _read(folder, annotations, **changes):
    return read_coco(_write(folder, annotations, **changes), folder / "images")


def test_a_person_keeps_labels_and_gets_the_reference_clean_box(tmp_path):
    keypoints = [*_annotation()["keypoints"][:-3], 55, 66, 0]
    (record,) = _read(tmp_path, [_annotation(keypoints=keypoints)])

    # x2 = x1 + (w - 1), so the reference's boxes lose a pixel on reading.
    np.testing.assert_array_equal(record.box_xywh, [5, 6, 29, 39])
    np.testing.assert_array_equal(record.keypoints_xy[0], [10, 20])
    np.testing.assert_array_equal(record.keypoints_xy[16], [0, 0])  # not labelled
    assert record.visibility.tolist() == [2] * 16 + [0]
    assert record.image_path == tmp_path / "images" / "a.png"


@pytest.mark.filterwarnings("ignore:.*reaches far past them")
def test_boxes_are_clipped_to_the_image(tmp_path):
    (record,) = _read(tmp_path, [_annotation(bbox=[-10, 70, 50, 50])])
    np.testing.assert_array_equal(record.box_xywh, [0, 70, 49, 9])


@pytest.mark.filterwarnings("ignore:.*annotation id 8")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"iscrowd": 1}, id="crowd"),
        pytest.param({"keypoints": [0] * 51}, id="no_labelled_keypoint"),
        pytest.param({"bbox": [200, 6, 30, 40]}, id="box_outside_the_image"),
        pytest.param({"category_id": 2}, id="not_a_person"),
        pytest.param({"bbox": [5, 6, 1, 1]}, id="box_of_one_pixel"),
    ],
)
def test_who_does_not_count_is_left_out(tmp_path, changes):
    records = _read(tmp_path, [_annotation(), _annotation(id=8, **changes)])
    assert [record.annotation_id for record in records] == [7]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"keypoints": [1, 2, 2]}, "annotation id 7, field 'keypoints'", id="few"
        ),
        pytest.param({"bbox": [5, 6, float("nan"), 4]}, "field 'bbox' holds NaN", id="nan"),
        pytest.param({"bbox": ["a", 6, 3, 4]}, "field 'bbox' is not a list", id="text"),
        pytest.param({"keypoints": [1, 2, 3] * 17}, "flags other than 0, 1, 2", id="flag"),
        pytest.param({"image_id": 99}, "names no image of the file: 99", id="image"),
    ],
)
def test_a_malformed_annotation_is_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        _read(tmp_path, [_annotation(**changes)])


def test_a_missing_field_is_named(tmp_path):
    annotation = _annotation()
    del annotation["image_id"]
    with pytest.raises(ValueError, match="annotation id 7 lacks the field 'image_id'"):
        _read(tmp_path, [annotation])


@pytest.mark.parametrize("name", ["../secret.png", "/etc/a.png"])
def test_image_names_never_lead_outside_the_folder(tmp_path, name):
    image = {"id": 1, "file_name": name, "width": 100, "height": 80}
    with pytest.raises(ValueError, match="outside the image folder"):
        _read(tmp_path, [_annotation()], images=[image])


def test_an_empty_data_set_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no person to train or evaluate on"):
        _read(tmp_path, [])


def test_keypoint_names_that_do_not_fit_the_skeleton_are_an_error(tmp_path):
    path = _write(tmp_path, [_annotation()])
    with pytest.raises(
        ValueError, match=r"has 17 keypoints .* expected the 16 of 'mpii_16'"
    ):
        read_coco(path, tmp_path / "images", MPII_16)


def test_truncated_json_names_the_file(tmp_path):
    path = _write(tmp_path, [_annotation()])
    path.write_text(path.read_text()[:100])
    with pytest.raises(ValueError, match=r"person_keypoints_val\.json is not valid JSON"):
        read_coco(path, tmp_path / "images")


def test_both_layouts_of_coco_are_found(tmp_path):
    assert find_coco(tmp_path, "val") is None
    _write(tmp_path, [_annotation()])
    assert find_coco(tmp_path, "val")[1] == tmp_path / "images"
    official = tmp_path / "official"
    (official / "annotations").mkdir(parents=True)
    (official / "val2017").mkdir()
    (official / "annotations" / "person_keypoints_val2017.json").write_text("{}")
    assert find_coco(official, "val")[1] == official / "val2017"


@pytest.mark.parametrize("data_dir", ["HumanArt", "."])
def test_human_art_calls_pictures_as_they_lie_beside_its_folder(tmp_path, data_dir):
    folder = tmp_path / "HumanArt"
    (folder / "annotations").mkdir(parents=True)
    image = {"id": 1, "file_name": "HumanArt/images/a.png", "width": 100, "height": 80}
    path = _write(folder, [_annotation()], images=[image])
    path.rename(folder / "annotations" / "validation_humanart_coco.json")

    (record,) = open_dataset("humanart", tmp_path / data_dir, "val").records

    assert record.image_path.samefile(folder / "images" / "a.png")


def test_an_unknown_data_set_gets_a_suggestion():
    with pytest.raises(ValueError, match="Did you mean coco"):
        open_dataset("cocoo")


def test_an_absent_data_set_lists_what_was_tried(tmp_path):
    with pytest.raises(FileNotFoundError, match="person_keypoints_train2017"):
        open_dataset("coco", tmp_path, "train")


def test_the_reader_counts_the_people_of_real_data(shared_data_dir):
    # 951 is what the data's own README says.
    dataset = open_dataset("coco", shared_data_dir / "coco_people", "val")
    assert len(dataset.records) == 951
