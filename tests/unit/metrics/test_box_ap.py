"""Box AP by arithmetic, and the way from detector to COCO results."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_pose.metrics.box_ap import (
    BOX_STATS,
    best_f1,
    box_stats,
    coco_results,
    evaluate_detector,
)
from keras_pose.pictures.images import ImageError
from keras_pose.pictures.structures import Detections

PERSON = 5


def _truth(boxes_by_image, **more):
    annotations = [
        {"image_id": image_id, "category_id": PERSON, "bbox": box} | more
        for image_id, boxes in boxes_by_image.items()
        for box in boxes
    ]
    return {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in boxes_by_image],
        "annotations": [a | {"id": i + 1} for i, a in enumerate(annotations)],
        "categories": [{"id": PERSON, "name": "person"}],
    }


def _found(boxes, scores, labels=None):
    labels = np.zeros(len(scores)) if labels is None else labels
    return Detections(np.reshape(boxes, (-1, 4)), np.array(scores), np.array(labels))


def test_perfect_boxes_score_1_and_no_boxes_0():
    truth = _truth({1: [[10, 10, 50, 50]], 2: [[0, 0, 100, 120]]})
    perfect = [
        {"image_id": a["image_id"], "category_id": PERSON, "bbox": a["bbox"], "score": 0.9}
        for a in truth["annotations"]
    ]

    assert box_stats(truth, perfect)["AP"] == pytest.approx(1)
    assert box_stats(truth, [])["AP"] == 0
    assert set(box_stats(truth, perfect)) == set(BOX_STATS)


def test_a_box_of_iou_0_8_counts_up_to_the_threshold_0_8():
    truth = _truth({1: [[0, 0, 100, 100]]})
    found = coco_results(_found([[0, 0, 100, 80]], [0.5]), 1, PERSON)

    stats = box_stats(truth, found)

    assert stats["AP"] == pytest.approx(7 / 10)  # 0.50, 0.55, ... 0.80
    assert stats["AP75"] == pytest.approx(1)


def test_boxes_of_crowds_are_no_mistakes():
    truth = _truth({1: [[0, 0, 50, 50]]})
    crowd = {"id": 9, "image_id": 1, "category_id": PERSON, "bbox": [100, 0, 99, 99]}
    truth["annotations"].append(crowd | {"iscrowd": 1, "area": 9801})
    found = _found([[0, 0, 50, 50], [110, 0, 140, 60]], [0.5, 0.9])

    # COCO asks for a mask or a box of the crowd; it has a box.
    assert box_stats(truth, coco_results(found, 1, PERSON))["AP"] == pytest.approx(1)


def test_only_people_are_reported():
    found = _found([[0, 0, 1, 1], [2, 3, 5, 7]], [0.5, 0.4], labels=[3, 0])

    (only,) = coco_results(found, 8, PERSON)

    assert only == {
        "image_id": 8,
        "category_id": PERSON,
        "bbox": [2, 3, 3, 4],
        "score": 0.4,
    }


def test_a_detector_is_measured_on_its_images_alone(tmp_path):
    truth = _truth({1: [[4, 4, 50, 50]], 2: [[0, 0, 60, 60]], 3: []})
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    images = []
    for image_id in (1, 3):
        images.append(tmp_path / f"{image_id}.png")
        Image.new("RGB", (80, 80), (image_id, 0, 0)).save(images[-1])

    def detect(image):
        if image[0, 0, 0] == 1:
            return _found([[4, 4, 54, 54]], [0.9])
        return _found([], [])

    result = evaluate_detector(detect, images, [1, 3], path, progress=False)

    assert result.stats["AP"] == pytest.approx(1)
    assert (result.num_images, result.num_people) == (2, 1)


def test_unknown_images_are_refused():
    found = coco_results(_found([[0, 0, 1, 1]], [0.5]), 77, PERSON)
    with pytest.raises(ValueError, match="77"):
        box_stats(_truth({1: [[0, 0, 9, 9]]}), found)


def test_the_best_threshold_by_hand():
    people = [[0, 0, 10, 10], [20, 0, 10, 10], [40, 0, 10, 10]]
    annotations = [
        {"image_id": 1, "category_id": 1, "bbox": box, "iscrowd": 0} for box in people
    ]
    annotations.append(
        {"image_id": 1, "category_id": 1, "bbox": [60, 0, 9, 9], "iscrowd": 1}
    )
    truth = {"annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    # Right, the same person again, right, nobody there, and one too far aside (IoU 1/3).
    said = [(0, 0.9), (1, 0.8), (20, 0.7), (90, 0.6), (45, 0.5)]
    found = [{"image_id": 1, "bbox": [x, 0, 10, 10], "score": s} for x, s in said]

    best = best_f1(truth, found, [1])

    # Of three boxes two are right, of three people two are found.
    assert best == {"F1": pytest.approx(2 / 3), "F1_score": 0.7}
    assert best_f1(truth, found[3:4], [1]) == {"F1": 0.0, "F1_score": 1.0}
    assert best_f1(truth, [], [1]) == {"F1": 0.0, "F1_score": 1.0}


def test_boxes_are_measured_on_the_images_that_can_be_read(tmp_path):
    truth = _truth({i: [[10, 10, 50, 50]] for i in range(3)})
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths[:2]:
        Image.new("RGB", (80, 80)).save(path)
    paths[1].write_bytes(paths[1].read_bytes()[:50])

    def detect(image):
        return _found([[10, 10, 60, 60]], [0.9])

    with pytest.warns(UserWarning, match=r"2 images could not be read.*1\.png"):
        result = evaluate_detector(detect, paths, [0, 1, 2], truth, progress=False)
    assert result.stats["AP"] == pytest.approx(1)
    assert (result.num_images, result.num_people) == (1, 1)
    assert result.left_out == ("1.png", "2.png")

    with (
        pytest.warns(UserWarning, match="1 images could not be read"),
        pytest.raises(ImageError, match="None of the 1 images"),
    ):
        evaluate_detector(detect, paths[1:2], [1], truth, progress=False)


@pytest.mark.parametrize(
    ("size_wh", "seen_hw"), [((80, 60), (60, 80)), ((60, 80), (80, 60))]
)
def test_the_size_in_the_file_says_which_pixels_the_boxes_are_on(
    tmp_path, size_wh, seen_hw
):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 60)).save(tmp_path / "a.jpg", exif=exif)
    truth = _truth({1: [[10, 10, 20, 20]]})
    truth["images"][0] |= {"width": size_wh[0], "height": size_wh[1]}
    seen = []

    def detect(image):
        seen.append(image.shape[:2])
        return _found([[10, 10, 30, 30]], [0.9])

    evaluate_detector(detect, [tmp_path / "a.jpg"], [1], truth, progress=False)
    assert seen == [seen_hw]

    truth["images"][0] |= {"width": 160, "height": 120}
    with pytest.raises(ValueError, match=r"a\.jpg is 80 x 60 and turned by EXIF 60 x 80"):
        evaluate_detector(detect, [tmp_path / "a.jpg"], [1], truth, progress=False)
