import math
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_pose import inference
from keras_pose.pictures.images import write_image
from keras_pose.pictures.structures import Detections, Poses
from keras_pose.runtime.instructions import machine_line
from keras_pose.skeleton import Skeleton

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "training"), str(ROOT / "tests" / "unit" / "inference")]

import light_model  # noqa: E402
import video_speed  # noqa: E402

ONE = Skeleton("one", ("nose",), oks_sigmas=(0.1,))


def nose_at(*xs):
    count = len(xs)
    return Poses(
        np.tile([0, 0, 10, 20], (count, 1)),
        np.reshape([[[x, 5]] for x in xs], (count, 1, 2)),
        np.ones((count, 1)),
        np.ones(count),
        ONE,
    )


def test_oks_is_that_of_the_nearest_person_and_0_for_who_is_not_found():
    references = [nose_at(0, 100), nose_at(0), nose_at()]
    others = [nose_at(100, 3), nose_at(), nose_at(50)]
    # exp(-3^2 / (2 * 0.1)^2 / (2 * 200)), 1 and 0.
    expected = (math.exp(-9 / 0.04 / 400) + 1 + 0) / 3
    assert video_speed.mean_oks(references, others) == (pytest.approx(expected), 3)


def test_a_pan_goes_from_corner_to_corner():
    image = np.zeros((100, 200, 3), np.uint8)
    image[:20, :20], image[-20:, -20:] = 100, 200
    first, *_, last = video_speed.pan(image, 5, (50, 80))
    assert first.shape == (50, 80, 3)
    # The first view begins in one corner of the photo, the last one ends in the other.
    assert first[2, 2, 0] == 100
    assert last[-3, -3, 0] == 200


def test_both_measurements_are_printed(tmp_path, monkeypatch, capsys):
    def find_light(image):
        box = [[100, 80, 300, 280]]
        return Detections(np.array(box), np.ones(1), np.zeros(1))

    real = inference.PoseEstimator
    monkeypatch.setattr(
        inference,
        "PoseEstimator",
        lambda *_, **__: real(light_model.make_model(), find_light),
    )
    write_image(tmp_path / "a.png", light_model.light_at(200, 150))

    video_speed.main(
        [f"--images={tmp_path}", "--pose=a", "--detector=b", "--frames-per-photo=6",
         "--detect-every", "3"]
    )  # fmt: skip

    printed = capsys.readouterr().out
    assert f"{machine_line()}; load " in printed
    assert "one by one  6 frames in" in printed
    assert "overlapping 6 frames in" in printed
    assert "detector on 2 of 6 frames; mean OKS" in printed
