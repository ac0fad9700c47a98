import json

import numpy as np
import pytest

from keras_pose.pictures.structures import Poses
from keras_pose.skeleton import Skeleton

TWO = Skeleton("two", ("nose", "tail"))
POSES = Poses(
    boxes_xyxy=[[0, 10, 20, 40], [5, 5, 6, 6]],
    keypoints_xy=[[[1.234, 2], [3, 4]], [[5, np.nan], [7, 8]]],
    keypoint_scores=[[0.5, 0.75], [0.25, 1]],
    scores=[0.5, 0.125],
    skeleton=TWO,
    track_ids=[7, 3],
)


def test_json_has_keypoints_by_name_and_no_nan():
    first, second = json.loads(json.dumps(POSES.to_dicts(), allow_nan=False))

    assert first["track_id"] == 7
    assert first["box_xywh"] == [0, 10, 20, 30]
    assert first["keypoints"]["nose"] == {"x": 1.23, "y": 2, "score": 0.5}
    assert second["keypoints"]["nose"] == {"x": 5, "y": None, "score": 0.25}


def test_a_table_has_one_row_per_person():
    rows = POSES.to_rows(frame=4)

    assert list(rows[0]) == [
        *("frame", "person", "track_id", "score", "x1", "y1", "x2", "y2"),
        *("nose_x", "nose_y", "nose_score", "tail_x", "tail_y", "tail_score"),
    ]
    assert (rows[1]["frame"], rows[1]["person"], rows[1]["track_id"]) == (4, 1, 3)
    assert (rows[1]["tail_x"], rows[1]["tail_y"], rows[1]["tail_score"]) == (7, 8, 1)


def test_the_visibility_of_keypoints_goes_along():
    shares = [[[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]], [[1, 0, 0], [0, 1, 0]]]
    poses = POSES.replace(visibility=shares)

    tail = poses.to_dicts()[0]["keypoints"]["tail"]
    assert (tail["visible"], tail["hidden"], tail["outside"]) == (0.1, 0.2, 0.7)
    assert poses.to_rows()[1]["tail_hidden"] == 1
    np.testing.assert_array_equal(poses[[1]].visibility, [shares[1]])
    np.testing.assert_array_equal(poses.is_outside, [[False, True], [False, False]])
    assert not POSES.is_outside.any()
    with pytest.raises(ValueError, match=r"Poses.visibility must be \(2, 2, 3\)"):
        POSES.replace(visibility=[[1, 0, 0]])


def test_coco_results_have_three_numbers_per_keypoint():
    first, second = POSES.to_coco(image_id=139)

    np.testing.assert_allclose(first["keypoints"], [1.234, 2, 0.5, 3, 4, 0.75], rtol=1e-6)
    assert second["keypoints"] == [0, 0, 0, 7, 8, 1]
    assert (first["image_id"], first["category_id"], first["score"]) == (139, 1, 0.5)
    assert first["bbox"] == [0, 10, 20, 30]


def test_pycocotools_takes_the_results():
    coco = pytest.importorskip("pycocotools.coco").COCO()
    coco.dataset = {"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1}]}
    coco.createIndex()

    loaded = coco.loadRes(POSES.to_coco(image_id=1))

    assert len(loaded.getAnnIds()) == 2


def test_some_people_can_be_picked_with_their_tracks():
    assert POSES[[1]].track_ids.tolist() == [3]
    assert POSES.replace(track_ids=None)[POSES.scores > 0.2].track_ids is None
    assert len(POSES[:0]) == len(Poses.none(TWO)) == 0


def test_every_person_needs_a_track_or_none_has():
    with pytest.raises(ValueError, match=r"track_ids must be \(2,\), got \(1,\)"):
        POSES.replace(track_ids=[1])
