"""Whole-body AP, part by part, by figures computed by hand."""

import numpy as np
import pytest
from says import Says

from keras_pose.metrics.official import METRICS, Measured
from keras_pose.metrics.wholebody import PARTS, evaluate_wholebody
from keras_pose.skeleton import COCO_17, COCO_WHOLEBODY_133

AREA = 10_000.0
NAMES = tuple(PARTS)


def triples(flags=None):
    """133 keypoints on a diagonal; all labelled by default."""
    values = np.ones((133, 3))
    values[:, :2] = 100 + np.arange(133)[:, None]
    if flags is not None:
        values[:, 2] = flags
    return values


def truth(*people):
    annotations = [
        {
            "id": i + 1,
            "image_id": i,
            "category_id": 1,
            "bbox": [100, 100, 133, 133],
            "area": AREA,
            "keypoints": person.ravel().tolist(),
        }
        for i, person in enumerate(people)
    ]
    return {
        "images": [{"id": i} for i in range(len(people))],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }


def detection(image_id=0, part=None, shift=0.0, score=1.0):
    values = triples()
    if part:
        values[PARTS[part], 0] += shift
        values[PARTS[part], 2] = score
    keypoints = values.ravel().tolist()
    return {"image_id": image_id, "category_id": 1, "keypoints": keypoints, "score": 1.0}


def expected_ap(part, moved, shift):
    """Counts the OKS thresholds that one person passes, by COCO's formula."""
    sigmas = np.array(COCO_WHOLEBODY_133.oks_sigmas)
    off = np.zeros(133)
    off[PARTS[moved]] = shift
    terms = np.exp(-(off**2) / (8 * sigmas**2 * AREA))[PARTS[part]]
    return (np.arange(0.5, 1, 0.05) <= terms.mean() + 1e-9).mean()


def test_labels_as_predictions_score_one_everywhere():
    stats = evaluate_wholebody(truth(triples()), [detection()])
    assert len(stats) == 14
    assert list(stats.values()) == pytest.approx([1] * 14)


@pytest.mark.parametrize("moved", ["body", "foot", "face", "lefthand", "righthand"])
def test_a_part_that_is_off_costs_itself_and_the_whole(moved):
    # About a sigma's distance of each part, so that some thresholds are passed.
    shift = {"body": 12, "foot": 15, "face": 2.5}.get(moved, 5)
    stats = evaluate_wholebody(truth(triples()), [detection(part=moved, shift=shift)])

    expected = {name: expected_ap(name, moved, shift) for name in NAMES}
    assert 0 < expected[moved] < 1
    for name in NAMES:
        assert stats[f"AP_{name}"] == pytest.approx(expected[name], abs=1e-6), name
    hands = (expected["lefthand"] + expected["righthand"]) / 2
    assert stats["AP_hand"] == pytest.approx(hands, abs=1e-6)


def test_people_without_a_part_are_ignored_for_it():
    no_feet = np.ones(133)
    no_feet[PARTS["foot"]] = 0
    people = truth(triples(), triples(no_feet))
    # The second person's feet are far off, and nobody knows where they are.
    found = [detection(), detection(1, "foot", 500.0)]
    assert evaluate_wholebody(people, found)["AP_foot"] == pytest.approx(1)


def test_a_part_that_nobody_has_is_minus_one_and_a_lone_hand_stands_for_both():
    flags = np.ones(133)
    flags[PARTS["foot"]] = flags[PARTS["lefthand"]] = 0
    stats = evaluate_wholebody(truth(triples(flags)), [detection()])
    assert stats["AP_foot"] == stats["AP_lefthand"] == -1
    assert stats["AP_hand"] == stats["AP_righthand"] == pytest.approx(1)


def test_a_part_without_a_score_is_not_detected():
    stats = evaluate_wholebody(truth(triples()), [detection(part="face", score=0.0)])
    assert stats["AP_face"] == 0
    assert stats["AP_whole"] == pytest.approx(1)


def test_other_keypoints_have_no_wholebody_ap():
    measured = Measured(COCO_17, [], [], np.zeros((0, 17, 2)), None, [], [], truth(), None)
    says = Says(
        "COCO-WholeBody AP is of the 133 keypoints of 'coco_wholebody_133', got 'coco_17'",
        do="Measure `--metrics coco_ap`.",
    )
    with says.refuses():
        METRICS["wholebody_ap"].check(measured)
