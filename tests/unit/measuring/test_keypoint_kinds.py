"""Calibration of what a network says of its keypoints."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from light_model import BrightnessBackend, light_at, make_model
from PIL import Image

from keras_pose.contracts.certainty import Visibility
from keras_pose.contracts.fields import TensorSpec
from keras_pose.data.records import PersonRecord
from keras_pose.data.transforms import kinds_of
from keras_pose.measuring import keypoint_kinds as kinds
from keras_pose.runtime import PoseModel
from keras_pose.skeleton import COCO_17

LOGITS = TensorSpec("visibility", (None, 17, 3), "float32")


class OutsideBackend(BrightnessBackend):
    """Calls the second half of the keypoints outside."""

    outputs = (BrightnessBackend.output, LOGITS)

    def run_all(self, images):
        logits = np.zeros((len(images), 17, 3), np.float32)
        logits[:, :8, 0], logits[:, 8:, 2] = 3.0, 3.0
        return {"heatmaps": self.run(images), "visibility": logits}


@pytest.fixture
def people(tmp_path):
    """Somebody of 100 x 200 pixels, whose keypoints from the ninth on are far down."""
    path = tmp_path / "light.png"
    Image.fromarray(light_at(150, 100)).save(path)
    keypoints_xy = np.repeat([[150.0, 90.0], [150.0, 200.0]], [8, 9], axis=0)
    flags = np.array([2] * 7 + [1] + [2] * 8 + [0])
    record = PersonRecord(
        path, 1, 1, np.array([100.0, 50, 100, 200]), keypoints_xy, flags, 20_000.0
    )
    return kinds.People([record, record], COCO_17, says_hidden=True)


def make_head():
    plain = make_model()
    contract = dataclasses.replace(plain.contract, visibility=Visibility(LOGITS, 2.0))
    return PoseModel(contract, ".onnx", OutsideBackend())


@pytest.mark.parametrize("says_hidden", [True, False])
def test_what_is_measured_is_what_training_learns(says_hidden):
    rng = np.random.default_rng(0)
    crop_xy = rng.integers(-20, 140, (100, 17, 2)).astype(np.float32) / 2 + 32
    picture_xy = rng.uniform(0, 300, (100, 17, 2)).astype(np.float32)
    flags = rng.integers(0, 3, (100, 17)).astype(np.int32)
    sample = {
        "visibility": flags,
        "keypoints_xy": picture_xy,
        "bounds": np.float32([[-0.5, -0.5, 400, 200]] * 100),
        "says_hidden": np.full(100, says_hidden),
    }

    found = [
        kinds.kinds_of_keypoints(xy, flag, (96, 72), says_hidden, is_beyond=own[:, 1] > 200)
        for xy, flag, own in zip(crop_xy, flags, picture_xy, strict=True)
    ]

    expected = kinds_of(sample, crop_xy, (96, 72)).numpy()
    assert set(np.unique(expected)) == {-1, 0, 1, 2} - (
        {0, 1} if not says_hidden else set()
    )
    np.testing.assert_array_equal(found, expected)


def test_keypoints_beyond_the_end_of_a_picture_are_outside(people):
    model = make_head()
    whole, cut = kinds.look(model, people), kinds.look(model, people, is_cut=True)

    assert whole.kinds[0].tolist() == [0] * 7 + [1] + [0] * 8 + [-1]
    assert cut.kinds[0].tolist() == [0] * 7 + [1] + [2] * 8 + [-1]
    # What is fitted is what the network says before any temperature.
    odds = whole.logits[0, 0, 0] - whole.logits[0, 0, 1]
    assert odds == pytest.approx(3, abs=1e-5)
    counts = kinds.confusion([whole, cut])
    assert counts.tolist() == [[28, 0, 16], [4, 0, 0], [0, 0, 16]]


def test_the_head_takes_what_is_outside_out_of_the_drawing(people):
    model = make_head()
    cut = kinds.look(model, people, is_cut=True)

    before = kinds.count_drawn(cut, None)
    after = kinds.count_drawn(cut, model.contract.visibility)

    assert before == (16, 16, 16, 16)
    assert before.outside_share == 0.5
    assert after == (16, 0, 16, 16)
    assert kinds.poses_of(cut, 0, model, True).is_outside.sum() == 9


def test_calibration_is_fitted_on_some_and_measured_on_others():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 17, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    true = (rng.uniform(size=(4000, 17, 1)) > shares.cumsum(axis=-1)).sum(axis=-1)
    seen = SimpleNamespace(logits=3 * logits, kinds=true)

    found = kinds.calibrate_visibility([seen])

    assert found.values[0] == pytest.approx(3, rel=0.05)
    assert found.before.error > 0.1 > 0.03 > found.after.error


def test_a_skeleton_without_sigmas_has_no_right_and_wrong(people):
    skeleton = dataclasses.replace(COCO_17, oks_sigmas=())
    with pytest.raises(ValueError, match="has no sigmas"):
        kinds.calibrate_scores(kinds.look(make_head(), people), skeleton)


def test_scores_that_are_higher_where_keypoints_are_wrong_are_refused(people):
    seen = kinds.look(make_head(), people)
    far = seen._replace(
        keypoints_xy=seen.labelled_xy + 900.0 * (np.arange(17) % 2)[:, None],
        scores=np.tile(np.arange(17) % 2, (2, 1)).astype(float),
    )
    with pytest.raises(ValueError, match="Higher scores must be right more often"):
        kinds.calibrate_scores(far, COCO_17)
