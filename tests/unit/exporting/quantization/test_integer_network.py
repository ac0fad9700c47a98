"""Integer files of networks whose channels could not share a scale as they are."""

import keras
import numpy as np
import pytest
from exported_files import BGR, CODEC, SKELETON, smooth_crops
from imbalanced_model import BAD_LAYER, imbalanced_model, imbalanced_silu

from keras_pose.contracts.activation_ranges import set_ranges
from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.comparison import relative_error
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.formats.onnx_export import OnnxConversion
from keras_pose.exporting.formats.tflite_export import TFLiteConversion
from keras_pose.exporting.quantization.calibration import NUM_CHECK_CROPS
from keras_pose.exporting.quantization.integer_network import equalized, equalized_weights
from keras_pose.runtime.loading import open_model


@pytest.fixture
def model():
    return imbalanced_model()


@pytest.fixture
def contract(model):
    return keras_contract(model, CODEC, SKELETON, BGR)


def _predict(conversion, name, folder):
    path = folder / f"{name}{conversion.suffix}"
    contract = conversion.draft(path, name, is_measured=True).contract
    return open_model(path, contract).predict(conversion.crops)


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (imbalanced_model, TFLiteConversion),
        (imbalanced_model, OnnxConversion),
        (imbalanced_silu, TFLiteConversion),
    ],
)
def test_int8_keeps_small_channels_beside_large_ones(build, kind, tmp_path):
    model, crops = build(), smooth_crops(12)
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    lost = {}
    for equalizes in (True, False):
        conversion = kind(model, contract, crops, equalizes=equalizes)
        expected = _predict(conversion, "float32", tmp_path)
        actual = _predict(conversion, "int8", tmp_path)
        lost[equalizes] = relative_error(actual, expected)
    assert lost[True] < 0.1
    assert lost[False] > 0.3


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (imbalanced_model, TFLiteConversion),
        (imbalanced_model, OnnxConversion),
        (imbalanced_silu, OnnxConversion),
    ],
)
def test_float_file_behind_them_gives_what_the_network_gives(build, kind, tmp_path):
    model = build()
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    conversion = kind(model, contract, smooth_crops(6))
    plain = _predict(conversion, "float32", tmp_path)
    assert conversion.float_model is not conversion.calibrated_model
    conversion.float_model = conversion.calibrated_model
    equal = _predict(conversion, "float32", tmp_path)
    np.testing.assert_array_equal(plain, equal)


def test_one_scale_for_all_weights_gets_no_factors_at_silu():
    model = imbalanced_silu()
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    conversion = TFLiteConversion(model, contract, smooth_crops(6))
    plain = conversion.float_model.op_counts()
    for name, has_factors in (("int8", True), ("int8_per_tensor", False)):
        calibrated = conversion.of_format(name).calibrated_model
        assert (calibrated.op_counts() != plain) == has_factors


def test_the_model_itself_is_not_touched(model, contract):
    before = model.get_weights()
    copy = equalized(model, contract, smooth_crops(6))
    assert copy is not model
    weights = equalized_weights(model, contract, smooth_crops(6), lambda: None)
    for found, expected in zip(weights, copy.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_conversion_that_fails_gives_the_model_its_weights_back(
    model, contract, monkeypatch
):
    before = model.get_weights()
    conversion = TFLiteConversion(model, contract, smooth_crops(6))

    def fail(network):
        same = map(np.array_equal, network.get_weights(), before)
        raise ExportError(f"weights are the model's: {all(same)}")

    monkeypatch.setattr(conversion, "convert", fail)
    with pytest.raises(ExportError, match="model's: False"):
        _ = conversion.calibrated_model
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_peaks_of_the_trace_to_compare_with_are_those_that_equalizing_measures(
    model, contract
):
    crops = smooth_crops(NUM_CHECK_CROPS + 3)
    peaks = OnnxConversion(model, contract, crops).reference.peaks
    assert peaks is not None
    known, measured = (
        equalized_weights(model, contract, crops, lambda found=found: found)
        for found in (peaks, None)
    )
    for one, other in zip(known, measured, strict=True):
        np.testing.assert_array_equal(one, other)


def test_ranges_of_training_are_of_the_network_as_it_is(model, contract):
    set_ranges(model, {BAD_LAYER: (0.0, 1000.0)})
    assert equalized(model, contract, smooth_crops(6)) is model
    assert equalized_weights(model, contract, smooth_crops(6), pytest.fail) is None


def test_ranges_of_a_training_in_mixed_precision_are_too(model, contract):
    def mixed(layer):
        return type(layer).from_config(layer.get_config() | {"dtype": "mixed_float16"})

    half = keras.models.clone_model(model, clone_function=mixed)
    half.set_weights(model.get_weights())
    conversion = TFLiteConversion(half, contract, smooth_crops(6))
    set_ranges(half, {BAD_LAYER: (0.0, 1000.0)})
    assert conversion.calibrated_model is conversion.float_model


def test_crops_that_do_not_fit_are_refused(model, contract):
    crops = np.zeros((4, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r"\(N, 32, 24, 3\) uint8, got \(4, 8, 8, 3\)"):
        TFLiteConversion(model, contract, crops).quantized("int8")
