"""Times of whole pictures: what is timed, where ways cross, and the pictures themselves."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.exporting.inspection.frame_times import (
    FrameTimes,
    frame_table,
    people_picture,
    tiles_of_dataset,
    time_frames,
)


class Clock:
    """Seconds that pass as estimators say."""

    now = 0.0

    def __call__(self):
        return self.now


def top_down(clock):
    """An estimator of 3 ms for its detector, 1 for a person, which finds nobody itself."""

    def find_people(image):
        clock.now += 3e-3

    def estimate(image, boxes_xyxy):
        clock.now += 1e-3 * len(boxes_xyxy)
        return boxes_xyxy

    return SimpleNamespace(
        sees_whole_pictures=False, find_people=find_people, estimate=estimate
    )


class BottomUp:
    """An estimator of 8 ms for any picture, in which it sees two people."""

    sees_whole_pictures = True

    def __init__(self, clock):
        self._clock = clock

    def __call__(self, image):
        self._clock.now += 8e-3
        return [1, 2]


def test_ways_cross_where_as_many_people_cost_the_same():
    clock = Clock()
    tile = np.zeros((20, 10, 3), np.uint8)
    pictures = {count: people_picture([tile], count, (60, 80)) for count in (1, 2, 10)}
    estimators = {"people": top_down(clock), "all": BottomUp(clock)}

    times = time_frames(estimators, pictures, num_runs=3, clock=clock)

    np.testing.assert_allclose(times.milliseconds["people"], [4, 5, 13])
    np.testing.assert_allclose(times.milliseconds["all"], [8, 8, 8])
    assert times.found["people"].tolist() == [1, 2, 10]
    (crossing,) = times.crossings
    assert (crossing.faster_before, crossing.faster_after) == ("people", "all")
    assert crossing.people == pytest.approx(5)
    assert "all is faster than people from 5.0 people on" in frame_table(times)


def test_ways_that_do_not_cross_say_nothing():
    times = FrameTimes(
        (1, 5),
        {"a": np.array([1.0, 5]), "b": np.array([2.0, 6])},
        {"a": (1, 5), "b": (1, 4)},
        3,
    )
    assert times.crossings == []
    assert "crossing" not in frame_table(times)


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_people_stand_apart_and_whole_in_a_picture(count):
    tiles = [np.full((40, 20, 3), 200, np.uint8), np.full((20, 40, 3), 250, np.uint8)]

    picture, boxes = people_picture(tiles, count, (120, 160))

    assert picture.shape == (120, 160, 3)
    assert len(boxes) == count
    covered = np.zeros(picture.shape[:2], int)
    for left, top, right, bottom in boxes.astype(int):
        covered[top:bottom, left:right] += 1
    assert covered.max() == 1
    np.testing.assert_array_equal(covered > 0, picture[..., 0] >= 200)


def test_largest_people_of_a_data_set_come_first(tmp_path):
    write_coco_dataset(tmp_path, 4, split="val")
    tiles = tiles_of_dataset("coco", tmp_path, "val", 3)
    areas = [tile.shape[0] * tile.shape[1] for tile in tiles]
    assert len(areas) == 3
    assert areas == sorted(areas, reverse=True)


def test_nothing_to_time_is_refused():
    with pytest.raises(ValueError, match="at least one estimator"):
        time_frames({}, {})
