"""What rounded weights lose is measured, and bounds what a file may lose."""

import numpy as np
import pytest
from exported_files import BGR, CODEC, SKELETON, smooth_crops
from imbalanced_model import imbalanced_model

from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.formats.tflite_export import (
    TFLiteConversion,
    float_tflite_model,
)
from keras_pose.exporting.formats.writing import MAX_ERROR, WORST_LIMIT, error_limit
from keras_pose.exporting.quantization import weight_rounding
from keras_pose.exporting.quantization.weight_rounding import (
    round_weights,
    weight_error,
)
from keras_pose.modelfiles.tflite_model import TFLiteModel
from keras_pose.weights.provenance import file_contract_of
from keras_pose.zoo import build_model


def kernels(content):
    """Returns the kernels of a file's convolutions, channels first, not the pixels'."""
    model = TFLiteModel.read(content)
    constants = model.float_constants()
    read = [
        constants[model.graph.tensors[operator.inputs[1]].buffer]
        for operator in model.graph.operators
        if model.name_of_kind(operator) == "CONV_2D"
    ]
    return read[1:]


@pytest.fixture(scope="module")
def imbalanced():
    model = imbalanced_model()
    return TFLiteConversion(
        model,
        keras_contract(model, CODEC, SKELETON, BGR),
        smooth_crops(4),
        equalizes=False,
    )


def test_rounded_kernels_have_as_many_values_as_bits_allow(exported):
    model = TFLiteModel.read(exported.paths["float32"].read_bytes())
    round_weights(model, 4, True)
    found = kernels(model.to_bytes())
    assert len(found) == 3
    for kernel in found:
        for channel in kernel:
            # 4 bits, symmetric: -7 to 7.
            assert len(np.unique(channel)) <= 15


def test_kernels_that_a_format_leaves_alone_lose_nothing(exported):
    model = TFLiteModel.read(exported.paths["float32"].read_bytes())
    crops = exported.crops[:2]
    # All kernels of the network are smaller than those that int4 is worth it for.
    assert weight_error(model, crops, "int4") == 0
    assert weight_error(model, crops, "float16") == 0
    assert 0 < weight_error(model, crops, "int16x8") < 0.1


def test_bound_is_the_networks_own(imbalanced):
    """With one scale for all channels, one large channel leaves little of the others; with
    one for each, the weights that read it still share theirs with those that read others.
    """
    lost = {
        name: weight_error(imbalanced.float_model, imbalanced.crops, name)
        for name in ("int8_per_tensor", "int16x8")
    }
    assert 0.1 < lost["int16x8"] < 0.3 < lost["int8_per_tensor"]


def test_no_bound_lets_a_file_pass_that_gives_one_answer_to_all():
    assert error_limit("int4", 10.0) == WORST_LIMIT < 1
    assert error_limit("int8") == MAX_ERROR["int8"]
    assert error_limit("int16x8", 0.01) == pytest.approx(MAX_ERROR["int16x8"] + 0.02)


def test_file_whose_weights_lose_too_much_is_refused_and_says_so(imbalanced, tmp_path):
    path = tmp_path / "a.tflite"
    with pytest.raises(ExportError, match=r"at most 0\.9, got .*rounded weights alone"):
        imbalanced.write(path, "int8_per_tensor")
    assert not path.exists()


def test_a_detectors_boxes_count_too(monkeypatch):
    """Or its files would be held, box by box, to what its empty cells lose."""
    network = build_model("testing_detector", 1, (64, 64))
    contract = file_contract_of(network)
    file = float_tflite_model(network, contract)
    names = [spec.name for spec in contract.outputs]
    seen = []

    def boxes_error(actual, expected):
        seen.append([x.shape[-1] for x in expected])
        return 9.0

    monkeypatch.setattr(weight_rounding, "boxes_error", boxes_error)
    crops = smooth_crops(2, (64, 64))
    assert weight_error(file, crops, "int16x8") < 1
    assert weight_error(file, crops, "int16x8", of_boxes=names) == 9.0
    half = len(names) // 2
    assert seen == [[1] * half + [4] * half]
