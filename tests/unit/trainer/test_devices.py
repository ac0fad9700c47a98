"""Which devices are refused, and how."""

import pytest

from keras_pose.trainer.devices import make_strategy


@pytest.mark.parametrize(
    "devices", ["2", "gpu:0,gpu:7", "cpu:0,", "cpu:none", "cpu:0", "tpu"]
)
def test_devices_that_are_not_there_are_named(devices):
    if devices == "cpu:0" or devices == "cpu:none":
        message = "positive number"
    else:
        message = "asks for|shows"
    with pytest.raises(ValueError, match=message):
        make_strategy(devices)


def test_auto_takes_the_cpu_where_there_is_no_gpu():
    assert make_strategy("auto").num_replicas_in_sync == 1
