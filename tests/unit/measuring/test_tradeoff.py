import math

import pytest

from keras_pose.measuring.tradeoff import Accuracy, best_files
from keras_pose.pictures.plots import plot_tradeoff

TIMES = {"slow": 8.0, "fast": 1.0, "beaten": 4.0, "unknown": 0.5}
VALUES = {"slow": 0.6, "fast": 0.4, "beaten": 0.3, "unknown": math.nan}


def test_the_best_files_are_beaten_by_none_in_both():
    assert best_files(TIMES, Accuracy("AP", VALUES)) == ["fast", "slow"]
    as_errors = Accuracy("pixels", VALUES, lower_is_better=True)
    assert best_files(TIMES, as_errors) == ["fast", "beaten"]


def test_of_equal_files_the_faster_is_best():
    equal = Accuracy("AP", dict.fromkeys(TIMES, 0.5))
    assert best_files(TIMES, equal) == ["unknown"]


@pytest.mark.parametrize("best", [["fast", "slow"], []])
def test_a_chart_has_a_point_a_file(best):
    known = {name: value for name, value in VALUES.items() if name != "unknown"}
    times = {name: TIMES[name] for name in known}
    picture = plot_tradeoff(times, known, best, "AP")
    assert picture.ndim == 3
    assert picture.std() > 10
