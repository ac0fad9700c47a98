"""PCK while training, for every codec."""

import keras
import numpy as np
import pytest

from keras_pose.codecs import CODECS, UdpOffsetCodec
from keras_pose.metrics.streaming import StreamingPCK, keypoint_hits

INPUT_HW = (128, 96)


@pytest.fixture(params=CODECS)
def codec(request):
    return CODECS[request.param].for_input(INPUT_HW)


def encode(codec, points_xy):
    """Returns targets and weights of one person."""
    return codec.encode(np.array([points_xy], float), np.full((1, len(points_xy)), 2))


def test_what_is_near_is_right_and_what_is_far_is_not(codec):
    # The limit is 0.05 of the size: 4.8 pixels of x, 6.4 of y. Grids of 4 pixels may
    # round by 2 on either side.
    labels = [[40, 60], [40, 60], [40, 60], [40, 60]]
    found = [[40, 60], [40, 62], [51, 60], [40, 72]]
    targets, weights = encode(codec, labels)
    outputs, _ = encode(codec, found)
    is_right, counts = keypoint_hits(codec, targets, outputs)
    np.testing.assert_array_equal(is_right, [[True, True, False, False]])
    assert np.all(counts)

    metric = StreamingPCK(codec)
    metric.update_state(targets, outputs, weights)
    assert float(metric.result()) == 0.5


def test_keypoints_without_weight_do_not_count(codec):
    targets, weights = encode(codec, [[40, 60], [40, 60]])
    outputs, _ = encode(codec, [[40, 60], [90, 120]])
    weights[0, 1] = 0
    metric = StreamingPCK(codec)
    metric.update_state(targets, outputs, weights)
    assert float(metric.result()) == 1.0


def test_it_sums_over_batches_and_survives_saving(codec):
    targets, weights = encode(codec, [[40, 60], [40, 60]])
    wrong, _ = encode(codec, [[90, 120], [90, 120]])
    metric = StreamingPCK.from_config(StreamingPCK(codec, threshold=0.4).get_config())
    assert (metric.codec, metric.threshold, metric.name) == (codec, 0.4, "pck")
    for outputs in (targets, targets, wrong):
        metric.update_state(targets, outputs, weights)
    assert float(metric.result()) == pytest.approx(2 / 3)


def test_the_top_of_a_disc_is_not_taken_for_its_middle():
    codec = UdpOffsetCodec(INPUT_HW)
    targets, _ = encode(codec, [[40, 60]])
    # A network's disc is highest in the middle, four pixels below the target's first.
    outputs = targets.copy()
    y, x = 15, 10
    assert targets[0, y, x, 0] == 1
    outputs[0, y, x, 0] = 2
    is_right, _ = keypoint_hits(codec, targets, outputs, threshold=0.01)
    assert np.all(is_right)


def test_a_metric_is_made_of_a_saved_one(codec):
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(StreamingPCK(codec))
    )
    assert copy.codec == codec
