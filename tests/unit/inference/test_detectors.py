import json
import warnings

import numpy as np
import pytest
from says import Says

from keras_pose.inference.detectors import DetectionFile, is_usable, open_detector

PERSON = {"image_id": 139, "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.9}
CAR = PERSON | {"category_id": 3}


@pytest.fixture
def write(tmp_path):
    def write(entries):
        path = tmp_path / "found.json"
        path.write_text(json.dumps(entries))
        return path

    return write


@pytest.mark.parametrize("name", [139, "000000000139.jpg", "photos/139.png"])
def test_people_are_found_by_the_name_of_the_image(write, name):
    found = DetectionFile(write([PERSON, CAR])).find(name)

    np.testing.assert_array_equal(found.boxes_xyxy, [[10, 20, 40, 60]])
    np.testing.assert_allclose(found.scores, [0.9])


def test_names_may_be_words(write):
    found = DetectionFile(write([PERSON | {"image_id": "beach.jpg"}]))
    assert len(found.find("photos/beach.jpg")) == 1
    assert len(found.find("photos/forest.jpg")) == 0


def test_weak_boxes_are_left_out(write):
    path = write([PERSON, PERSON | {"score": 0.2}])
    assert len(DetectionFile(path, score_threshold=0.5).find(139)) == 1


def test_a_file_of_other_images_is_told_once(write):
    path = write([PERSON, PERSON | {"image_id": "b"}])
    found = DetectionFile(path)
    says = Says(
        "has no boxes of ...: it speaks of the images",
        do="Give entries the picture's file name, its stem or its stem as a number as "
        "image_id; of a video 0, 1, 2, ... The warning comes once, and if some pictures "
        "have boxes, not at all.",
    )
    with says.warns(UserWarning):
        assert len(found.find("a.png")) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found.find("c.png")
        matched = DetectionFile(path)
        assert len(matched.find(139)) == 1
        matched.find("a.png")  # nobody is there, as in files that list people only
        assert len(DetectionFile(write([])).find("a.png")) == 0


def test_frames_may_be_numbered_by_text(write):
    assert len(DetectionFile(write([PERSON | {"image_id": "5"}])).find(5)) == 1


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            [CAR, CAR | {"category_id": "dog"}],
            Says(
                "has no box of a person, whose category_id is 1 as in COCO; it has",
                do="Write 1 as the category_id of people, or leave it out.",
            ).pattern,
        ),
        ([PERSON | {"image_id": [139]}], "image_id must be a whole number or text"),
        ([PERSON | {"category_id": 1.5}], r"category_id must be .*, got 1\.5"),
        ({"annotations": []}, r"found\.json: .* is a list, got dict"),
        ([PERSON, 5], "entry 1 must be an object, got 5"),
        ([{"image_id": 1}], r"entry 0 lacks \['bbox', 'score'\]"),
        ([PERSON | {"bbox": [1, 2, 3]}], r"entry 0: bbox must be four finite numbers"),
        ([PERSON | {"bbox": [1, 2, 3, float("nan")]}], "four finite numbers"),
        ([PERSON | {"bbox": None}], "four finite numbers"),
        ([PERSON | {"score": "high"}], "score='high'"),
    ],
)
def test_malformed_files_are_refused(write, entries, message):
    with pytest.raises(ValueError, match=message):
        DetectionFile(write(entries))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist"):
        open_detector(tmp_path / "none.json")
    with pytest.raises(FileNotFoundError, match=r"none\.tflite does not exist"):
        open_detector(tmp_path / "none.tflite")


def test_a_description_is_a_detector_and_no_file_of_boxes(tmp_path):
    path = tmp_path / "peer.json"
    values = {"file": "peer.onnx", "head": "postprocessed", "outputs": {"boxes": "a"}}
    path.write_text(json.dumps({"keras_pose_detector": 1, **values}))
    with pytest.raises(ValueError, match=r"peer\.json: outputs of a postprocessed head"):
        open_detector(path)


def test_the_whole_image_needs_no_detector():
    assert open_detector("whole image") is None


@pytest.mark.parametrize(
    ("box", "is_good"),
    [
        ([0, 0, 10, 10], True),
        ([-50, -50, 1, 1], True),
        ([-50, -50, 0, 10], False),
        ([100, 0, 110, 10], False),
        ([5, 5, 5, 10], False),
        ([9, 5, 5, 10], False),
        ([0, 0, np.nan, 10], False),
        ([0, 0, np.inf, 10], False),
        ([0, 0, 1e9, 10], False),
    ],
)
def test_boxes_need_an_area_within_the_image(box, is_good):
    assert is_usable([box], (50, 100)).tolist() == [is_good]
