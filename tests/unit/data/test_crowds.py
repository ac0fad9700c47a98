"""Pictures with everybody in them, for networks that see whole pictures."""

import json

import numpy as np
import pytest
from PIL import Image
from says import Says

from keras_pose.data.crowds import crowds_of_people, open_crowds, read_crowd_truth
from keras_pose.data.readers.coco import Reading
from keras_pose.data.sources import PersonSource
from keras_pose.metrics.coco_ap import person_category_id
from keras_pose.models.openpose_channels import OPENPOSE_COCO_18
from keras_pose.skeleton import COCO_17


def annotation(number, image_id, labelled, box, crowd=0):
    keypoints = np.zeros((17, 3))
    for k in labelled:
        keypoints[k] = 10 * k + number, 20, 2
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "bbox": box,
        "area": 100,
        "iscrowd": crowd,
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": len(labelled),
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017").mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.new("RGB", (200, 100)).save(tmp_path / "val2017" / name)
    images = [
        {"id": 7 + i, "file_name": name, "width": 200, "height": 100}
        for i, name in enumerate(("a.jpg", "b.jpg", "c.jpg"))
    ]
    people = [
        annotation(1, 8, [5, 6], [10, 10, 50, 60]),
        annotation(2, 7, [0], [0, 0, 40, 40]),
        annotation(3, 8, [], [100, 10, 30, 60]),
        annotation(4, 8, [], [120, 0, 80, 90], crowd=1),
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.names)}
    values = {"images": images, "annotations": people, "categories": [category]}
    path = tmp_path / "annotations" / "person_keypoints_val2017.json"
    path.write_text(json.dumps(values))
    return tmp_path


def test_people_lie_by_picture_and_what_is_not_labelled_is_ignored(folder):
    source, *_ = open_crowds("coco", folder, "val", OPENPOSE_COCO_18)
    assert source.image_ids == [7, 8, 9]
    assert source.starts.tolist() == [0, 1, 2, 2]
    assert source.ignored_starts.tolist() == [0, 0, 2, 2]
    np.testing.assert_array_equal(
        source.ignored_xyxy, [[100, 10, 130, 70], [120, 0, 200, 90]]
    )
    # The neck is midway between the shoulders, where both are labelled.
    neck, left = (OPENPOSE_COCO_18.index(name) for name in ("neck", "left_shoulder"))
    assert source.keypoints_xy[1, left].tolist() == [51, 20]
    assert source.keypoints_xy[1, neck].tolist() == [56, 20]
    assert source.visibility[:, neck].tolist() == [0, 2]


def test_pictures_without_people_are_left_out_of_training(folder):
    source, *_ = open_crowds("coco", folder, "val")
    found = source.take([2, 1, 0]).with_people()
    assert found.image_ids == [8, 7]
    assert found.starts.tolist() == [0, 1, 2]
    assert found.ignored_starts.tolist() == [0, 2, 2]
    with Says(
        "nobody with labelled keypoints in the 1 pictures",
        do="Name a split in which people have keypoints.",
    ).refuses():
        source.take([2]).with_people()


def test_a_broken_picture_goes_with_its_people(folder):
    (folder / "val2017" / "a.jpg").write_bytes(b"no picture")
    source, *_ = open_crowds("coco", folder, "val")
    with pytest.warns(UserWarning, match=r"a\.jpg"):
        found = source.without_broken_images()
    assert (found.image_ids, found.num_skipped_images) == ([8, 9], 1)
    assert found.num_people == 1


def test_the_truth_has_the_labels_of_the_pictures(folder):
    # Labels for pictures of twice the size, and a category of another number.
    path = folder / "annotations" / "person_keypoints_val2017.json"
    values = json.loads(path.read_text())
    for image in values["images"]:
        image |= {"width": 400, "height": 200}
    for entry in [*values["annotations"], *values["categories"]]:
        entry["id" if "name" in entry else "category_id"] = 3
    path.write_text(json.dumps(values))
    reading = Reading(rescale_labels=True)

    with pytest.warns(UserWarning, match="3 pictures of another size than their labels"):
        split = open_crowds("mine", folder, "val", reading=reading)
    truth = read_crowd_truth(split, reading)

    assert person_category_id(truth) == 3
    assert [(image["height"], image["width"]) for image in truth["images"]] == [
        (100, 200)
    ] * 3
    (person,) = [entry for entry in truth["annotations"] if entry["id"] == 2]
    x, y, _ = person["keypoints"][:3]
    np.testing.assert_allclose(split.source.keypoints_xy[0, 0], [x, y])
    assert x < 2  # half of what the file says


def test_other_data_sets_and_keypoints_are_refused(folder):
    with Says(
        "need a data set in which everybody is labelled: coco or synthetic, got 'lsp'",
        do="Train on coco, or on your own folder in its form with --dataset coco.",
    ).refuses():
        open_crowds("lsp", folder)
    path = folder / "annotations" / "person_keypoints_val2017.json"
    values = json.loads(path.read_text())
    values["categories"][0]["keypoints"][0] = "beak"
    path.write_text(json.dumps(values))
    with Says(
        "fields are drawn of COCO's 17 keypoints, got 17 keypoints",
        do="Label COCO's keypoints, or train a top-down network on your own.",
    ).refuses():
        open_crowds("coco", folder)


def test_a_source_of_people_becomes_one_of_pictures():
    points = np.arange(3 * 34, dtype=np.float32).reshape(3, 17, 2)
    source = PersonSource(
        COCO_17,
        [b"one", b"two"],
        np.array([1, 0, 1], np.int32),
        np.ones((3, 4), np.float32),
        points,
        np.full((3, 17), 2, np.int32),
    )
    crowds = crowds_of_people(source, COCO_17)
    assert crowds.starts.tolist() == [0, 1, 3]
    np.testing.assert_array_equal(crowds.keypoints_xy, points[[1, 0, 2]])
    assert len(crowds.ignored_xyxy) == 0
