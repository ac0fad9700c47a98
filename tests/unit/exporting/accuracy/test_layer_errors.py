"""What each operator of an int8 file loses."""

import csv
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from exported_files import BGR, CODEC, INPUT_HW, SKELETON, smooth_crops
from imbalanced_model import BAD_LAYER, READER, imbalanced_model
from keras import layers

from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.accuracy.error_report import (
    error_table,
    errors_of,
    report_layer_errors,
)
from keras_pose.exporting.accuracy.layer_errors import (
    _Sums,
    measure_layer_errors,
    worst_first,
)
from keras_pose.exporting.formats.tflite_export import TFLiteConversion
from keras_pose.modelfiles.flatbuffer import tflite_graph
from keras_pose.modelfiles.layer_names import find_layers
from keras_pose.pictures.images import read_image


class SplitInThree(layers.Layer):
    """Becomes one operator of three outputs."""

    def call(self, x):
        return keras.ops.split(x, 3, axis=-1)


LAYERS = ("first", "wide", BAD_LAYER, READER, "last")


@pytest.fixture(scope="module")
def conversion():
    model = imbalanced_model()
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    return TFLiteConversion(model, contract, smooth_crops(12), equalizes=False)


@pytest.fixture(scope="module")
def errors(conversion):
    return errors_of(conversion, conversion.quantized("int8"), num_images=6)


def _by_label(errors):
    return {each.label: each for each in errors}


def test_every_operator_is_called_after_its_layers(errors):
    # The first is the normalisation, which is no layer of the model.
    assert [each.layers for each in errors[1:]] == [
        ("first",), ("wide", BAD_LAYER), (READER,), ("last",),
    ]  # fmt: skip
    assert {each.operator for each in errors} == {"CONV_2D"}
    assert _by_label(errors)[BAD_LAYER].readers == (_by_label(errors)[READER].tensor,)


def test_the_reader_of_a_tensor_with_lost_channels_is_the_worst(errors):
    worst, *others = worst_first(errors)
    # All channels of the tensor but one are rounded to nothing. The tensor's own error does
    # not show it, being small beside the large channel; what reads them does.
    assert (worst.label, worst.cause) == (READER, "inputs")
    assert worst.makers == (_by_label(errors)[BAD_LAYER].tensor,)
    assert worst.isolated > 0.3
    assert worst.isolated > 10 * max(each.isolated for each in others)


def test_errors_add_up_along_the_network(errors):
    by_label = _by_label(errors)
    assert by_label["first"].cumulative < 0.05 < by_label[READER].cumulative
    assert by_label["last"].isolated < 0.05 < by_label["last"].cumulative
    # The first operator was fed what the float one was fed.
    assert errors[0].cumulative == pytest.approx(errors[0].isolated, rel=1e-3)


def test_a_range_that_is_too_narrow_shows_in_the_result(conversion):
    tensor = next(
        each.tensor
        for each in errors_of(conversion, conversion.quantized("int8"), 2)
        if each.label == "first"
    )
    narrow = conversion.quantized("int8", known_ranges={tensor: (0.0, 0.05)})
    first = _by_label(errors_of(conversion, narrow, 6))["first"]
    assert first.clipped > 0.1
    assert first.cause == "result"
    assert first.result == pytest.approx(first.isolated, rel=0.1)


def test_what_a_logistic_function_reads_is_compared_behind_it():
    exact = np.array([[20.0, -20.0, 0.0]])
    clipped = np.clip(exact, -8, 8)
    pair = SimpleNamespace(
        name="x", kind="CONV_2D", is_integer=True, makers=(), readers=("y",),
        clipped=lambda values: 2.0, alone=lambda tensors: clipped,
        on_rounded_inputs=lambda tensors: exact, rounded=lambda values: clipped,
    )  # fmt: skip
    found = []
    for is_for_logistic in (True, False):
        sums = _Sums(is_for_logistic)
        sums.add(pair, {"x": exact}, {"x": clipped})
        found.append(sums.result(pair, ()))
    assert found[0].isolated < 1e-3
    assert found[0].clipped == 0
    assert found[1].isolated > 0.5


def test_the_parts_add_up(errors):
    for each in errors:
        parts = each.inputs**2 + each.weights**2 + each.result**2
        assert parts == pytest.approx(each.isolated**2, rel=0.2)


def test_operators_in_float_have_no_error_of_their_own(conversion, errors):
    kept = _by_label(errors)[READER].tensor
    mixed = errors_of(conversion, conversion.quantized("int8", [kept]), 6)
    assert [each.label for each in mixed if each.is_float] == [READER]
    assert worst_first(mixed)[-1].label == READER
    assert "float" in error_table(mixed)


def test_parts_of_a_split_are_found_in_the_float_file(tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = layers.Conv2D(9, 4, strides=4, name="conv")(image)
    first, second, third = SplitInThree(name="parts")(x)
    x = layers.Concatenate(name="join")([third, layers.Add(name="add")([first, second])])
    model = keras.Model(image, layers.Conv2D(SKELETON.num_keypoints, 1, name="last")(x))
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    conversion = TFLiteConversion(model, contract, smooth_crops(12))

    content = conversion.quantized("int8")

    path = tmp_path / "int8.tflite"
    path.write_bytes(content)
    graph = tflite_graph(path)
    (split,) = [each for each in graph.operators if each.kind.startswith("SPLIT")]
    parts = {graph.tensors[key].name for key in split.outputs}
    assert len(parts) == 3
    assert parts <= set(conversion.float_model.computed_names().values())
    errors = errors_of(conversion, content, num_images=2)
    assert "add" in {each.label for each in errors}


def test_a_report_holds_table_file_and_chart(conversion, tmp_path):
    content = conversion.quantized("int8")
    text = report_layer_errors(conversion, content, tmp_path, num_images=2, count=3)
    assert text.splitlines()[1].startswith(READER)
    rows = list(csv.DictReader((tmp_path / "layer_errors.csv").open()))
    assert [row["layers"] for row in rows[1:]] == [
        "first", f"wide {BAD_LAYER}", READER, "last",
    ]  # fmt: skip
    assert float(rows[3]["isolated"]) > 0.3
    assert f"tensor is off by {float(rows[-1]['cumulative']):.2%} in all" in text
    assert read_image(tmp_path / "layer_errors.png").std() > 0


@pytest.mark.parametrize(
    ("tensor", "layers"),
    [
        pytest.param(
            "m_1/a-relu_1/Relu;m_1/a-conv_1/conv", ("a-conv", "a-relu"), id="fused"
        ),
        pytest.param("m_1/a_1_1/conv", ("a_1",), id="a_number_of_its_own"),
        pytest.param("m_1/other/conv", (), id="unknown"),
    ],
)
def test_layers_are_found_in_tensors_names(tensor, layers):
    assert find_layers(tensor, {"a-conv", "a-relu", "a_1"}) == layers


def test_files_that_are_not_of_one_another_are_refused(conversion, tmp_path, exported):
    path = tmp_path / "float32.tflite"
    path.write_bytes(conversion.quantized("float32"))
    other = exported.paths["int8"]
    with pytest.raises(ValueError, match="must be made from"):
        measure_layer_errors(path, other, np.asarray(conversion.crops))
