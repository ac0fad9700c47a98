import numpy as np
from light_model import light_at, make_model

from keras_pose.inference.estimator import PoseEstimator
from keras_pose.inference.pose_nms import different_people
from keras_pose.pictures.structures import Detections, Poses
from keras_pose.skeleton import COCO_17


def people(*offsets, scores):
    body = np.random.default_rng(0).uniform(20, 80, (17, 2))
    xy = np.stack([body + offset for offset in offsets])
    boxes = np.array([[offset, offset, 100 + offset, 100 + offset] for offset in offsets])
    return Poses(boxes, xy, np.ones(xy.shape[:2]), scores, COCO_17)


def test_the_better_of_two_poses_of_one_person_stays_and_the_order_too():
    poses = people(0, 300, 1, scores=[0.5, 0.4, 0.6])
    assert different_people(poses).tolist() == [1, 2]


def test_a_threshold_of_one_keeps_everybody():
    assert different_people(people(0, 0, scores=[0.5, 0.6]), 1.0).tolist() == [0, 1]


def test_coordinates_that_are_no_numbers_do_no_harm():
    poses = people(0, 0, 300, scores=[0.5, 0.6, 0.4])
    poses.keypoints_xy[:, 3] = np.nan
    assert different_people(poses).tolist() == [1, 2]


def test_nobody_stays_nobody():
    assert different_people(Poses.none(COCO_17)).tolist() == []


def test_a_person_detected_twice_gets_one_skeleton_and_boxes_given_by_hand_each_theirs():
    boxes = [[10, 10, 100, 200], [12, 8, 102, 204]]
    found = Detections(boxes, [0.5, 0.875], [0, 0])
    estimator = PoseEstimator(make_model(), detector=lambda image: found)
    image = light_at(60, 120)

    np.testing.assert_array_equal(estimator(image).boxes_xyxy, found.boxes_xyxy[1:])
    assert len(estimator(image, boxes_xyxy=boxes)) == 2
