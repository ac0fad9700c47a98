"""A network that int8 would not keep is refused before it is converted, and no other."""

import warnings
from dataclasses import dataclass

import keras
import numpy as np
import pytest
from keras import layers
from says import Says

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.formats.rehearsal import check_settled, rehearsed_error
from keras_pose.exporting.formats.table import export_format
from keras_pose.exporting.quantization.measured_ranges import RangeRule
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.skeleton import COCO_17

CROPS = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3), np.uint8)


@dataclass(frozen=True)
class Network:
    """A network whose norms have never seen a batch, and its contract."""

    model: keras.Model
    contract: object


def network(offset):
    """Makes a network between whose layers lie values of 1 around an offset.

    Float keeps them; 8 bits that reach from 0 to an offset of 1000 do not.
    """
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3), name="image")
    x = layers.Conv2D(8, 4, strides=4, use_bias=False, name="stem")(image)
    x = layers.BatchNormalization(name="first")(x)
    x = layers.ReLU(name="rectified")(x)
    x = layers.Conv2D(8, 1, use_bias=False, name="same")(x)
    x = layers.BatchNormalization(name="second")(x)
    model = keras.Model(image, layers.Conv2D(17, 1, name="final")(x), name="little")
    model.get_layer("same").set_weights([np.eye(8, dtype="float32")[None, None]])
    first, second = model.get_layer("first"), model.get_layer("second")
    for norm in (first, second):
        norm.moving_variance.assign(norm.moving_variance * 1e4)
        norm.gamma.assign(norm.gamma * 100.0)
    first.beta.assign(first.beta + offset)
    second.moving_mean.assign(second.moving_mean + offset)
    codec = GaussianHeatmapCodec((32, 32), stride=4)
    return Network(model, keras_contract(model, codec, COCO_17, IMAGENET))


@pytest.fixture(scope="module")
def lost():
    return network(1000.0)


def test_what_int8_would_lose_is_refused_before_it_is_converted(lost):
    said = Says(
        "2 of 2 batch norms of little have variances that are off ... for too few steps "
        "... int8 files may have 0.3",
        do="Train on for some hundred steps, or export float16. For times: ledger.py.",
    )
    with said.refuses():
        check_settled(lost.model, lost.contract, CROPS, ["float32", "int8"])


@pytest.mark.parametrize(
    ("formats", "rule"),
    [
        pytest.param((), RangeRule(), id="tried_and_measured"),
        pytest.param(["int8"], RangeRule("percentile"), id="other_ranges"),
        pytest.param(["int16x8"], RangeRule(), id="more_bits"),
    ],
)
def test_what_may_be_kept_in_another_way_is_warned_of(lost, formats, rule):
    with Says(
        "batch norms of little have variances that are off ... will most likely be "
        "refused, after the conversion",
        do="Train on for some hundred steps, or export float16.",
    ).warns():
        check_settled(lost.model, lost.contract, CROPS, formats, rule)


def test_what_int8_keeps_is_neither_refused_nor_warned_of():
    kept = network(3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_settled(kept.model, kept.contract, CROPS, ["int8"])


@pytest.mark.slow
def test_a_network_whose_tensors_have_all_but_vanished_is_kept(tmp_path):
    # As those of an HRNet of random weights: 1e-9 behind its first stages.
    vanished = network(3.0)
    first, second = (vanished.model.get_layer(name) for name in ("first", "second"))
    second.moving_mean.assign(second.moving_mean * 0.0)
    first.gamma.assign(first.gamma * 1e-9)
    first.beta.assign(first.beta * 1e-9)
    check_settled(vanished.model, vanished.contract, CROPS, ["int8"])
    path = tmp_path / "a.tflite"
    export_format(vanished.model, vanished.contract, path, CROPS, "int8")


def test_what_a_file_computes_in_another_way_is_not_rehearsed(lost):
    x = layers.LayerNormalization()(lost.model.outputs[0])
    other = keras.Model(lost.model.inputs, x)
    assert rehearsed_error(other, lost.contract, CROPS) is None


@pytest.mark.slow
def test_the_file_is_as_its_rehearsal(lost, tmp_path):
    with pytest.raises(ExportError, match=r"at most 0\.3, got (0\.9|1)"):
        export_format(lost.model, lost.contract, tmp_path / "a.tflite", CROPS, "int8")
    assert rehearsed_error(lost.model, lost.contract, CROPS) > 0.9
