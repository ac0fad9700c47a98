"""Which devices are refused, and how."""

import pytest

from keras_pose.trainer import devices
from keras_pose.trainer.devices import make_strategy, recipe_strategy
from keras_pose.trainer.recipes import get_recipe


@pytest.mark.parametrize(
    "words", ["2", "gpu:0,gpu:7", "cpu:0,", "cpu:none", "cpu:0", "tpu"]
)
def test_devices_that_are_not_there_are_named(words):
    is_cpu = words in ("cpu:0", "cpu:none")
    message = "positive number" if is_cpu else "asks for|shows"
    with pytest.raises(ValueError, match=message):
        make_strategy(words)


def test_auto_takes_the_cpu_where_there_is_no_gpu():
    assert make_strategy("auto").num_replicas_in_sync == 1


def test_gradients_are_accumulated_on_one_device_only(monkeypatch):
    recipe = get_recipe("pose_slim").override(accumulate=2)
    assert recipe_strategy(recipe, "auto").num_replicas_in_sync == 1

    class Two:
        worker_devices = ("gpu:0", "gpu:1")
        extended = property(lambda self: self)

    monkeypatch.setattr(devices, "make_strategy", lambda word: Two())
    with pytest.raises(ValueError, match=r"accumulate 2 works on one device.* has 2"):
        recipe_strategy(recipe, "2")
