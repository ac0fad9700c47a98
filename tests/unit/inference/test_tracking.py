"""Tracks of made-up people whose fate can be followed by hand."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from keras_pose.data.readers.posetrack import read_posetrack
from keras_pose.inference.tracking import (
    MATCHES,
    OksTracker,
    match_greedy,
    match_hungarian,
    scored_frame,
)
from keras_pose.metrics.mota import posetrack_mota
from keras_pose.metrics.posetrack_ap import PoseTrackFrame
from keras_pose.pictures.structures import NO_TRACK, Poses
from keras_pose.skeleton import COCO_17, POSETRACK_17

# A standing person of 60 x 180 pixels: keypoints all over the box.
BODY_XY = np.random.default_rng(seed=0).uniform([-30, -90], [30, 90], (17, 2))
REACH = np.array([30, 90])


def people_at(*centers_xy, scores=0.9, skeleton=COCO_17):
    centers = np.reshape(centers_xy, (-1, 1, 2)).astype(float)
    corners = np.concatenate([centers - REACH, centers + REACH], axis=-1)[:, 0]
    people = len(centers)
    return Poses(
        corners,
        centers + BODY_XY,
        np.full((people, 17), scores),
        np.full(people, scores),
        skeleton,
    )


def ids(tracker, *centers_xy, **options):
    return tracker.update(people_at(*centers_xy, **options)).track_ids.tolist()


SIMILARITY = np.array([[0.9, 0.8], [0.8, 0.1]])


def test_greedy_takes_the_best_pair_and_leaves_the_rest():
    assert match_greedy(SIMILARITY, 0.3).tolist() == [[0, 0]]


def test_hungarian_takes_the_best_sum():
    pytest.importorskip("scipy")
    assert match_hungarian(SIMILARITY, 0.3).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("match", MATCHES.values(), ids=MATCHES)
@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (0, 3), (2, 3)])
def test_what_is_too_different_is_never_matched(match, shape):
    assert match(np.full(shape, 0.2), 0.3).shape == (0, 2)


def test_a_forbidden_pair_does_not_displace_an_allowed_one():
    # The sum of both off-diagonal pairs is larger, but one of them is not allowed.
    assert match_hungarian(np.array([[0.5, 0.45], [0.29, 0.0]]), 0.3).tolist() == [[0, 0]]


@pytest.mark.parametrize("match", MATCHES.values(), ids=MATCHES)
def test_people_keep_their_numbers_in_whatever_order_they_come(match):
    tracker = OksTracker(match)
    assert ids(tracker, (100, 100), (300, 100)) == [0, 1]
    assert ids(tracker, (305, 100), (102, 101)) == [1, 0]
    assert ids(tracker, (106, 102), (500, 100), (310, 100)) == [0, 2, 1]


def test_a_track_waits_as_long_as_its_patience_and_no_longer():
    for pause, expected in ((3, 0), (4, 1)):
        tracker = OksTracker(patience=3)
        ids(tracker, (100, 100))
        for _ in range(pause):
            assert ids(tracker) == []
        assert ids(tracker, (100, 100)) == [expected]


def test_numbers_are_never_used_again():
    tracker = OksTracker(patience=0)
    assert [ids(tracker, (x, 100)) for x in (100, 900, 100, 900)] == [[0], [1], [2], [3]]


def test_a_person_who_walks_behind_a_tree_comes_out_as_the_same():
    # 8 pixels a frame, out of sight for 10 frames: 80 pixels, more than a body's width.
    tracker = OksTracker()
    for x in range(100, 180, 8):
        assert ids(tracker, (x, 100)) == [0]
    for _ in range(10):
        ids(tracker)
    assert ids(tracker, (172 + 11 * 8, 100)) == [0]


@pytest.mark.parametrize("match", MATCHES.values(), ids=MATCHES)
def test_people_who_cross_keep_their_numbers(match):
    # Two people walk through each other; a little noise, order of people at random.
    rng = np.random.default_rng(seed=1)
    tracker = OksTracker(match)
    for t in range(60):
        centers = np.array([[100 + 6 * t, 200], [460 - 6 * t, 215]])
        order = rng.permutation(2)
        noisy = centers[order] + rng.normal(0, 1, (2, 2))
        assert ids(tracker, *noisy) == order.tolist(), f"frame {t}"


def test_one_of_two_may_be_hidden_while_they_cross():
    tracker = OksTracker()
    for t in range(60):
        centers = np.array([[100 + 6 * t, 200], [460 - 6 * t, 200]])
        hidden = abs(t - 30) < 4
        visible = centers[:1] if hidden else centers
        assert ids(tracker, *visible) == [0, 1][: len(visible)], f"frame {t}"


def test_whom_too_few_keypoints_show_is_not_followed():
    poses = people_at((100, 100), (300, 100))
    poses.keypoint_scores[1, 2:] = 0.1
    assert OksTracker().update(poses).track_ids.tolist() == [0, NO_TRACK]


def test_keypoints_that_are_not_sure_do_not_count():
    tracker = OksTracker()
    ids(tracker, (100, 100))
    poses = people_at((100, 100))
    poses.keypoints_xy[0, :12] = np.nan
    poses.keypoints_xy[0, 12] += 500
    poses.keypoint_scores[0, 12] = 0.1
    assert tracker.update(poses).track_ids.tolist() == [0]


@pytest.mark.parametrize(
    "settings", [{"oks_threshold": 0}, {"patience": -1}, {"min_keypoints": 0}]
)
def test_settings_without_sense_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        OksTracker(**settings)


def test_hungarian_names_the_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match="pip install scipy"):
        match_hungarian(SIMILARITY, 0.3)


def write_video(folder, tracks, num_frames=12):
    """Writes a video of people as PoseTrack labels it; returns its file."""
    (folder / "images").mkdir()
    images, annotations = [], []
    for t in range(num_frames):
        name = f"images/{t:06d}.jpg"
        Image.new("RGB", (640, 480)).save(folder / name)
        images.append({"id": 1000 + t, "file_name": name, "height": 480, "width": 640})
        for track_id, (start_xy, step_xy) in enumerate(tracks):
            center = np.array(start_xy) + t * np.array(step_xy)
            keypoints = np.concatenate([center + BODY_XY, np.ones((17, 1))], axis=1)
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": 1000 + t,
                    "category_id": 1,
                    "track_id": track_id,
                    "keypoints": keypoints.ravel().tolist(),
                    "bbox": [*(center - [30, 90]).tolist(), 60, 180],
                    "bbox_head": [*(center - [10, 90]).tolist(), 20, 25],
                }
            )
    path = folder / "video.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def labelled_frames(records):
    """Returns the labels of each frame, with no predictions yet."""
    by_frame: dict = {}
    for record in records:
        by_frame.setdefault(record.image_id, []).append(record)
    return [
        PoseTrackFrame(
            sequence=people[0].video,
            labelled_xy=np.stack([record.keypoints_xy for record in people]),
            is_labelled=np.stack([record.visibility > 0 for record in people]),
            head_sizes=np.array([record.head_size for record in people]),
            track_ids=np.array([record.track_id for record in people]),
            predicted_xy=np.zeros((0, 17, 2)),
            keypoint_scores=np.zeros((0, 17)),
            predicted_track_ids=np.zeros(0, int),
        )
        for people in by_frame.values()
    ]


def mota_of(frames, tracker, shown):
    """Lets a tracker see of each frame the labelled people that `shown` picks."""
    scored = []
    for t, frame in enumerate(frames):
        chosen = list(shown(t))
        people = people_at(*np.zeros((len(chosen), 2)), skeleton=POSETRACK_17)
        people = people.replace(keypoints_xy=frame.labelled_xy[chosen])
        low, high = people.keypoints_xy.min(axis=1), people.keypoints_xy.max(axis=1)
        people = people.replace(boxes_xyxy=np.concatenate([low, high], axis=1))
        scored.append(scored_frame(frame, tracker.update(people)))
    return posetrack_mota(scored, POSETRACK_17, as_poseval=False)["MOTA"]


def test_mota_of_a_tracker_on_a_video_in_posetracks_format(tmp_path):
    pytest.importorskip("motmetrics")
    path = write_video(tmp_path, [((100, 200), (8, 0)), ((400, 200), (-8, 0))])
    frames = labelled_frames(read_posetrack([path], tmp_path))
    assert len(frames) == 12

    # Everybody is found, in changing order: no error at all.
    assert mota_of(frames, OksTracker(), lambda t: [0, 1] if t % 2 else [1, 0]) == 1
    # The second person is missed on 6 frames of 24 labels, and comes back as the same.
    assert mota_of(
        frames, OksTracker(), lambda t: [0] if 3 <= t < 9 else [0, 1]
    ) == pytest.approx(1 - 6 / 24)
    # Without patience they come back as another: one switch more.
    assert mota_of(
        frames, OksTracker(patience=0), lambda t: [0] if 3 <= t < 9 else [0, 1]
    ) == pytest.approx(1 - 7 / 24)


def test_only_tracked_people_can_be_scored():
    with pytest.raises(ValueError, match="track_ids"):
        scored_frame(None, people_at((0, 0)))
