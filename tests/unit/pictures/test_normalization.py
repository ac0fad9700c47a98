"""Normalisation equals its definition, for arrays and tensors."""

import json

import numpy as np
import pytest
import tensorflow as tf

from keras_pose.pictures.normalization import IMAGENET, Normalization

BGR = Normalization(mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0), channel_order="bgr")


def test_imagenet_normalization_of_a_pixel():
    normalized = IMAGENET(np.array([255, 0, 51], "uint8"))

    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]
    np.testing.assert_allclose(normalized, expected, rtol=1e-6)
    assert normalized.dtype == np.float32


def test_mean_and_std_are_in_the_networks_channel_order():
    normalized = BGR(np.array([255, 0, 51], "float32"))

    expected = [(0.2 - 0.1) / 0.5, (0 - 0.2) / 1.0, (1 - 0.3) / 2.0]
    np.testing.assert_allclose(normalized, expected, rtol=1e-6)


@pytest.mark.parametrize("normalization", [IMAGENET, BGR])
def test_tensors_and_arrays_agree(normalization):
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 3, 3)).astype("float32")

    in_graph = tf.function(normalization)(tf.constant(images))

    np.testing.assert_allclose(in_graph, normalization(images), rtol=1e-6)


def test_json_round_trip():
    assert Normalization.from_dict(json.loads(json.dumps(BGR.to_dict()))) == BGR


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"std": (1, 0, 1)}, "std must be positive"),
        ({"mean": (1, 2)}, "mean must be three finite numbers"),
        ({"mean": (1, 2, float("nan"))}, "mean must be three finite numbers"),
        ({"channel_order": "rbg"}, "channel_order must be one of"),
    ],
)
def test_wrong_values_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Normalization.from_dict(BGR.to_dict() | change)


def test_unknown_keys_are_refused():
    with pytest.raises(ValueError, match=r"has the keys .* got .*'scale'"):
        Normalization.from_dict(BGR.to_dict() | {"scale": 1})
