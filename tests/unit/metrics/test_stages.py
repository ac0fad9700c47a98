import time

import numpy as np
import pytest
from light_model import make_model

from keras_pose.metrics.stages import describe_stages, time_stages
from keras_pose.runtime.instructions import instructions

IMAGES = [np.zeros((60, 80, 3), np.uint8)] * 3
BOXES = [np.array([[5.0, 5, 20, 40], [30, 5, 20, 40]])] * 3


def test_each_stage_is_timed_for_each_number_of_people():
    model, sizes = make_model(), []

    def predict(crops):
        sizes.append(len(crops))
        time.sleep(0.001 * len(crops))
        return model.predict(crops)

    def detect(image):
        time.sleep(0.005)

    times = time_stages(detect, predict, model.contract, IMAGES, BOXES)

    assert sizes == [1] + [1, 5, 20] * 3
    assert list(times) == [1, 5, 20]
    assert times[20]["pose"] >= 20
    for values in times.values():
        assert values["detector"] >= 5
        # Medians: their sum may exceed that of the totals on a busy machine.
        assert values["total"] >= max(values["detector"], values["pose"])
    lines = describe_stages(times).splitlines()
    names, _, machine = lines[0].partition("  (")
    assert names.split()[3:] == ["detector", "crop", "pose", "decode", "total"]
    assert machine == f"{instructions()})"
    assert [line.split()[:2] for line in lines[1:]] == [
        ["1", "person"],
        ["5", "people"],
        ["20", "people"],
    ]


def test_without_an_image_there_is_no_time():
    with pytest.raises(ValueError, match="no image"):
        time_stages(None, None, None, [], [])
