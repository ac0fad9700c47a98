import numpy as np

from keras_pose.metrics.person_counts import PersonCounts, count_all, count_people
from keras_pose.pictures.structures import Poses
from keras_pose.skeleton import COCO_17

BODY = np.random.default_rng(0).uniform(0, 100, (17, 2))


def shown(*offsets, scores):
    xy = np.stack([BODY + offset for offset in offsets])
    boxes = np.tile([0.0, 0, 100, 100], (len(offsets), 1))
    return Poses(boxes, xy, np.ones(xy.shape[:2]), scores, COCO_17)


def labels(*offsets):
    xy = np.stack([BODY + offset for offset in offsets])
    return xy, np.ones(xy.shape[:2], bool), np.full(len(offsets), 1e4)


def test_found_missed_double_and_wrong_people_are_counted():
    poses = shown(0, 1, 500, scores=[0.5, 0.9, 0.8])
    assert count_people(poses, *labels(0, 1000)) == PersonCounts(2, 1, 1, 1)


def test_everybody_takes_whom_they_resemble_of_those_who_are_free():
    # Two people 10 pixels apart: both skeletons are nearer to the first.
    poses = shown(0, 2, scores=[0.9, 0.8])
    assert count_people(poses, *labels(0, 10)) == PersonCounts(2, 2, 0, 0)


def test_keypoints_that_nobody_labelled_do_not_count():
    xy, is_labelled, areas = labels(0)
    poses = shown(0, scores=[0.9])
    poses.keypoints_xy[0, :9] += 1000
    assert count_people(poses, xy, is_labelled, areas).wrong == 1
    is_labelled[0, :9] = False
    assert count_people(poses, xy, is_labelled, areas).found == 1


def test_images_with_nobody_shown_or_nobody_there_add_up():
    nobody = (np.zeros((0, 17, 2)), np.zeros((0, 17), bool), np.zeros(0))
    pairs = [(Poses.none(COCO_17), labels(0, 50)), (shown(0, scores=[0.5]), nobody)]
    assert count_all(pairs) == PersonCounts(2, 0, 0, 1)
