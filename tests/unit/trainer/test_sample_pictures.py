"""Who is drawn as best and worst, and what is laid over a crop."""

import numpy as np
import pytest

from keras_pose.data.records import PersonRecord
from keras_pose.metrics.evaluator import EvaluationResult
from keras_pose.metrics.official import Measured, person_similarities
from keras_pose.pictures.images import write_image
from keras_pose.skeleton import COCO_17, MPII_16
from keras_pose.trainer.sample_pictures import overlay_heatmaps, ranked_pictures


def make_result(folder, skeleton=COCO_17, shifts=(50.0, 0.0, 4.0, 0.0)):
    """Four people, off by `shifts` pixels; the last has no labels."""
    path = write_image(folder / "a.png", np.zeros((100, 100, 3), np.uint8))
    rng = np.random.default_rng(seed=0)
    count = skeleton.num_keypoints
    records = [
        PersonRecord(
            image_path=path,
            image_id=number,
            annotation_id=number,
            box_xywh=np.array([20.0, 20, 60, 60]),
            keypoints_xy=rng.uniform(25, 75, (count, 2)).astype(np.float32),
            visibility=np.full(count, 2 * (number < 3), np.uint8),
            area=3600.0,
        )
        for number in range(4)
    ]
    predicted = [
        record.keypoints_xy + shift for record, shift in zip(records, shifts, strict=True)
    ]
    measured = Measured(
        skeleton=skeleton,
        records=records,
        labelled=records,
        keypoints_xy=np.stack(predicted).astype(float),
        keypoint_scores=np.ones((4, count)),
        kept=[0, 1, 2, 3],
        detections=[],
        ground_truth=None,
        image_ids=None,
    )
    return EvaluationResult({}, {}, ("single_ap",), "off", measured, 1, 4, False, 1.0, 1.0)


@pytest.mark.parametrize(
    ("place", "order"), [("worst", [0, 2, 1]), ("best", [1, 2, 0]), ("median", [0, 2, 1])]
)
@pytest.mark.parametrize("skeleton", [COCO_17, MPII_16])
def test_people_are_ranked_and_those_without_labels_left_out(
    tmp_path, skeleton, place, order
):
    result = make_result(tmp_path, skeleton)
    if skeleton is MPII_16:  # no OKS sigmas: PCK takes 4 x 1.41 of 60 pixels as right
        order = [1, 2, 0] if place == "best" else [0, 1, 2]
    pictures, captions = ranked_pictures(result, 9, place)
    assert [int(caption.split()[-1]) for caption in captions] == order
    assert len(pictures) == 3


def test_the_middle_of_a_ranking_has_as_many_before_as_behind(tmp_path):
    _, captions = ranked_pictures(make_result(tmp_path), 1, "median")
    assert [int(caption.split()[-1]) for caption in captions] == [2]


def test_unknown_places_are_refused(tmp_path):
    with pytest.raises(ValueError, match="worst, median, best, got 'middle'"):
        ranked_pictures(make_result(tmp_path), 1, "middle")


def test_similarity_is_nan_without_labels(tmp_path):
    rated = person_similarities(make_result(tmp_path).measured)
    assert rated[1] == 1
    assert np.isnan(rated[3])


def test_heatmaps_shine_where_they_are_high():
    crop = np.full((8, 8, 3), 100, np.uint8)
    heatmaps = np.zeros((2, 2, 3), np.float32)
    heatmaps[0, 0, 1] = 1
    picture = overlay_heatmaps(crop, heatmaps)
    assert picture[0, 0].tolist() == [255, 80, 0]
    assert picture[7, 7].tolist() == [60, 60, 60]
