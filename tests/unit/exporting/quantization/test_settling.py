"""Batch norms that have not settled are counted."""

import warnings

import keras
import numpy as np
import pytest

from keras_pose.exporting.quantization.settling import unsettled_norms
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.zoo import build_model

CROPS = np.random.default_rng(0).integers(0, 256, (4, 64, 48, 3), np.uint8)


@pytest.fixture
def network():
    """A network whose norms have the statistics of the crops, layer after layer."""
    keras.utils.set_random_seed(0)
    model = build_model("testing_pose")
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    for _ in norms:
        model(IMAGENET(CROPS), training=True)
    return model


def test_settled_norms_are_counted_as_such(network):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        num_off, count = unsettled_norms(network, IMAGENET(CROPS))
    assert num_off == 0 < count


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_norms_that_have_not_settled_are_counted(network, factor):
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(layer.moving_variance * factor**2)
            layer.gamma.assign(layer.gamma * factor)  # so that the next is not moved
    num_off, count = unsettled_norms(network, IMAGENET(CROPS))
    assert num_off > count / 2
