"""Int8 files some of whose operators are in float."""

import numpy as np
import pytest
from exported_files import BGR, CODEC, SKELETON, smooth_crops, tiny_model
from imbalanced_model import BAD_LAYER, READER, imbalanced_model

from keras_pose.contracts.activation_ranges import set_ranges
from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.exporting.accuracy.error_report import errors_of
from keras_pose.exporting.accuracy.mixed import MixedExport
from keras_pose.exporting.accuracy.validation import Validation
from keras_pose.exporting.comparison import relative_error
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.formats import writing
from keras_pose.exporting.formats.tflite_export import TFLiteConversion
from keras_pose.exporting.quantization.measured_ranges import EXTREMES, RULES, RangeRule
from keras_pose.modelfiles.flatbuffer import float_ops
from keras_pose.runtime.loading import open_model


@pytest.fixture(scope="module")
def conversion():
    model = imbalanced_model()
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    return TFLiteConversion(model, contract, smooth_crops(12), equalizes=False)


def _agreement(conversion):
    """Returns how a file's outputs agree with the network's, 1 being the best."""
    expected = np.asarray(conversion.model(BGR(conversion.crops)))

    def measure(path, contract):
        actual = open_model(path, contract).predict(conversion.crops)
        return 1 - relative_error(actual, expected)

    return Validation("agreement", "crops", measure)


def test_only_what_loses_becomes_float_and_the_contract_names_it(conversion, tmp_path):
    lines = []
    path = tmp_path / "mixed.tflite"
    export = MixedExport(conversion, _agreement(conversion), 10.0, say=lines.append)
    written, rule = export.write(path)
    assert rule == EXTREMES

    contract = read_contract(path)
    assert contract.quantization == "int8"
    # The tensor that lost its small channels is not rounded any more: both who make it and
    # who read it are in float.
    assert len(contract.float_operators) == 2
    assert {READER, BAD_LAYER} <= {
        part.removesuffix("_1")
        for name in contract.float_operators
        for part in name.replace(";", "/").split("/")
    }
    assert float_ops(path)["CONV_2D"] == 2
    assert written.error < 0.1
    text = "\n".join(lines)
    assert " 0 in float agreement" in text
    assert "\nint8 " in text
    assert "chosen" in text


def test_a_drop_that_cannot_be_met_leaves_no_file(conversion, tmp_path):
    def measure(path, contract):
        return 0.9 if contract.quantization == "float32" else 0.2

    validation = Validation("AP", "crops", measure)
    path = tmp_path / "mixed.tflite"
    with pytest.raises(ExportError, match=r"at most 0.5 points; .* loses 70.00") as caught:
        MixedExport(conversion, validation, 0.5, say=lambda line: None).write(path)
    assert "--quantization-aware" in str(caught.value)
    assert not path.exists()


def _by_name(values):
    """Measures a file by the ranges and the float operators that its name tells of."""

    def measure(path, contract):
        return next((value for words, value in values.items() if words in path.name), 0.5)

    return Validation("AP", "crops", measure)


def test_ranges_that_lose_little_are_found_before_anything_becomes_float(tmp_path):
    model = tiny_model()
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    conversion = TFLiteConversion(model, contract, smooth_crops(12))
    validation = _by_name({"minmax": 0.30, "99.999_": 0.4, "99.99_": 0.48, "99.9_": 0.498})
    lines = []
    mixed = MixedExport(conversion, validation, 0.5, RULES, say=lines.append)
    export, rule = mixed.write(tmp_path / "mixed.tflite")
    assert rule == RangeRule("percentile", 99.9)
    assert export.contract.float_operators == ()
    tried = [line.rpartition(" by ")[2] for line in lines if "in float" in line]
    assert tried == [str(rule) for rule in RULES[:4]]
    written = conversion.quantized("int8", range_rule=rule)
    assert written != conversion.quantized("int8")
    (tmp_path / "again.tflite").write_bytes(written)
    again = open_model(tmp_path / "again.tflite", export.contract)
    actual = open_model(export.path, export.contract).predict(conversion.crops)
    np.testing.assert_array_equal(actual, again.predict(conversion.crops))


def test_where_no_ranges_do_the_best_of_them_are_kept_and_float_is_added(
    conversion, tmp_path
):
    float_less = "_0_in_float"
    validation = _by_name({
        f"minmax{float_less}": 0.30,
        f"99.999{float_less}": 0.40,
        f"99.99{float_less}": 0.48,
        f"99.9{float_less}": 0.47,
        f"99.5{float_less}": 0.1,
    })  # fmt: skip
    mixed = MixedExport(conversion, validation, 0.5, RULES, say=lambda line: None)
    export, rule = mixed.write(tmp_path / "mixed.tflite")
    assert rule == RangeRule("percentile", 99.99)
    assert export.contract.float_operators


def test_less_can_be_better(conversion):
    validation = Validation("pixel_error", "crops", lambda *_: 0.0, lower_is_better=True)
    assert validation.drop(0.10, 0.15) == pytest.approx(5)
    assert validation.drop(0.15, 0.10) == pytest.approx(-5)


def test_ranges_of_training_go_before_calibrated_ones(conversion):
    set_ranges(conversion.model, {"first": (0.0, 0.05), "gone": (0.0, 1.0)})
    trained = TFLiteConversion(conversion.model, conversion.contract, conversion.crops)
    try:
        errors = errors_of(trained, trained.quantized("int8"), 2)
    finally:
        set_ranges(conversion.model, {})
    clipped = {each.label: each.clipped for each in errors}
    assert clipped["first"] > 0.1
    assert max(share for label, share in clipped.items() if label != "first") < 0.01


def test_a_drop_that_was_measured_says_more_than_the_bound_on_outputs(
    tmp_path, monkeypatch
):
    model = tiny_model()
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    conversion = TFLiteConversion(model, contract, smooth_crops(12))
    # Plain int8 is far from float here, and what was asked for all the same.
    monkeypatch.setitem(writing.MAX_ERROR, "int8", 1e-6)
    with pytest.raises(ExportError, match="must be at most 1e-06"):
        conversion.write(tmp_path / "plain.tflite", "int8")
    validation = Validation("AP", "crops", lambda path, contract: 0.5)
    path = tmp_path / "measured.tflite"
    mixed = MixedExport(conversion, validation, 0.5, say=lambda line: None)
    export, _ = mixed.write(path)
    assert export.error > 1e-6
    assert path.exists()
