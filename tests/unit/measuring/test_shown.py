"""What an app shows, and the threshold that it should have, by pictures drawn here."""

import numpy as np
import pytest

from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.measuring import MeasureSettings
from keras_pose.measuring.shown import (
    Shown,
    choose_threshold,
    count_shown,
    find_people,
)
from keras_pose.metrics.person_counts import PersonCounts
from keras_pose.pictures.structures import Detections, Poses
from keras_pose.skeleton import COCO_17


def pose_at(x):
    """The keypoints of a person of 100 x 200 pixels, from x on."""
    rows = np.arange(17)
    return np.stack([x + 25.0 * (rows % 4), 12.0 * rows], axis=-1)


def picture(*found, there=(0,)):
    """A picture with people at some x, and (score, x) of what was found."""
    scores = np.array([score for score, _ in found])
    keypoints = np.stack([pose_at(x) for _, x in found])
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
    poses = Poses(boxes, keypoints, np.ones((len(found), 17)), scores, COCO_17)
    labelled = np.stack([pose_at(x) for x in there])
    labels = (labelled, np.ones((len(there), 17), bool), np.full(len(there), 2e4))
    return Shown(scores, poses, labels)


def test_what_is_above_the_threshold_counts():
    seen = [picture((0.9, 0), (0.6, 3), (0.3, 900)), picture((0.5, 500), there=(0, 500))]

    assert count_shown(seen, 0.2, 1.0) == PersonCounts(3, found=2, doubles=1, wrong=1)
    assert count_shown(seen, 0.2, 0.5) == PersonCounts(3, found=2, doubles=0, wrong=1)
    assert count_shown(seen, 0.4, 0.5) == PersonCounts(3, found=2)
    assert count_shown(seen, 0.55, 0.5).right_share == 1
    assert PersonCounts().right_share == 0


def test_the_lowest_threshold_with_enough_of_it_right_is_chosen():
    seen = [picture((0.9, 0), (0.72, 900)), picture((0.62, 0), (0.42, 900))]
    # Above 0.2 half is right, above 0.42 two of three, above 0.62 one of two.
    assert choose_threshold(seen, 0.5, 0.6) == (0.42, count_shown(seen, 0.42, 0.5))
    assert choose_threshold(seen, 0.5, 0.5)[0] == 0.2
    assert choose_threshold(seen, 0.5, 0.7)[0] == 0.72
    none_right = [picture((0.9, 900), (0.3, 0))]
    assert choose_threshold(none_right, 0.5, 0.7)[0] == 0.2


class Finder:
    """Finds everybody in the middle of the picture."""

    skeleton = COCO_17

    def find_people(self, image):
        height, width = image.shape[:2]
        box = np.array([[0.0, 0.0, width, height]])
        return Detections(box, np.array([0.8]), np.zeros(1, int))

    def estimate(self, image, boxes_xyxy, scores):
        return Poses(boxes_xyxy, np.zeros((1, 17, 2)), np.ones((1, 17)), scores, COCO_17)


def test_labels_are_those_of_the_pictures(tmp_path):
    write_coco_dataset(tmp_path, 3, split="val")
    settings = MeasureSettings("coco", tmp_path)

    seen = list(find_people(Finder(), settings))

    labelled = sum(len(labels[0]) for _, _, labels in seen)
    assert count_shown(seen, 0.5, 0.5).labelled == labelled > 0
    assert len(list(find_people(Finder(), MeasureSettings("coco", tmp_path, limit=1)))) == 1
    with pytest.raises(FileNotFoundError):
        list(find_people(Finder(), MeasureSettings("coco", tmp_path / "no")))
