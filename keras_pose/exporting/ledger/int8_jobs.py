"""The steps by which a ledger makes int8 files of noise, and such as fit a limit.

Each is run in a process of its own, as those of `jobs`; they take and return values that
JSON can hold, and leave files behind.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_pose.files import atomic_path

SEED = 0
# Times do not hang on ranges, so a few crops of noise will do.
NUM_NOISE_CROPS = 2
# Those whose files have contracts.
DESCRIBED_TASKS = ("top_down", "detection")


def write_noise_files(
    model: str, input_hw: list[int], float_path: str, int8_path: str
) -> dict[str, Any]:
    """Writes float32 and int8 files of a network with random weights, to be timed.

    Their graphs are those of `export/to_tflite.py`, but the files have no contract, and
    the int8 file's ranges are those of noise. Networks that no contract describes give all
    their outputs.

    Args:
        model: zoo name.
        input_hw: (height, width), pixels.
        float_path, int8_path: paths of the `.tflite` files to write.

    Returns:
        "num_float_ops": operators of the int8 file that are in float.
    """
    from keras_pose.commandline.quiet import import_tensorflow

    import_tensorflow()
    from keras_pose.exporting.quantization.attention import attention_ops
    from keras_pose.exporting.quantization.divisions import division_ops
    from keras_pose.exporting.quantization.tflite_quantizing import (
        QuantizationSettings,
        quantize,
    )

    content = _float_model(model, (input_hw[0], input_hw[1]))
    shape = (NUM_NOISE_CROPS, *input_hw, 3)
    noise = np.random.default_rng(SEED).integers(0, 256, shape, np.uint8)
    float_ops = [*attention_ops(content), *division_ops(content)]
    quantized = quantize(content, noise, QuantizationSettings("int8"), float_ops)
    for path, each in ((float_path, content), (int8_path, quantized)):
        with atomic_path(path) as temporary:
            temporary.write_bytes(each.to_bytes())
    return {"num_float_ops": len(float_ops)}


def _float_model(model: str, input_hw: tuple[int, int]):
    import keras

    from keras_pose.exporting.float_graph.layer_rewrites import tflite_replacement
    from keras_pose.exporting.float_graph.serving import in_float32
    from keras_pose.exporting.formats.tflite_export import float_tflite_model
    from keras_pose.exporting.inspection.sizes import any_tflite_bytes
    from keras_pose.modelfiles.tflite_model import TFLiteModel
    from keras_pose.weights.provenance import file_contract_of
    from keras_pose.zoo import build_model, get_spec

    keras.utils.set_random_seed(SEED)
    network = build_model(model, input_hw=input_hw)
    if get_spec(model).task in DESCRIBED_TASKS:
        contract: Any = file_contract_of(network)  # of poses or boxes, by the task
        return float_tflite_model(network, contract)
    content = any_tflite_bytes(in_float32(network, tflite_replacement))
    converted = TFLiteModel.read(content)
    converted.number_doubles()
    return converted


def write_mixed(
    source: str,
    crops_path: str,
    data: dict[str, Any],
    max_drop: float,
    rules: list[dict[str, Any]],
    path: str,
) -> dict[str, Any]:
    """Writes an int8 file with the ranges, and the operators in float, that a limit takes.

    Args:
        source: the float model, a `.keras` file.
        crops_path: `.npy` file of the crops to calibrate on.
        data: keywords of the measurement: "dataset", "data_dir" and "limit".
        max_drop: points of the metric that may be lost.
        rules: entries of the `RangeRule`s to be tried.
        path: path of the file to write.

    Returns:
        "num_float_ops", "rule" (that of the ranges, in words), and "said": what the
        search reported, a line each.
    """
    from keras_pose.commandline.quiet import import_tensorflow

    import_tensorflow()
    from keras_pose.exporting.accuracy.mixed import MixedExport
    from keras_pose.exporting.accuracy.validation import open_validation
    from keras_pose.exporting.formats.tflite_export import TFLiteConversion
    from keras_pose.exporting.inputs import open_source
    from keras_pose.exporting.quantization.measured_ranges import RangeRule

    opened = open_source(source)
    conversion = TFLiteConversion(opened.model, opened.contract, np.load(crops_path))
    validation = open_validation(
        opened.contract, data["dataset"], data["data_dir"], data["limit"]
    )
    said: list[str] = []
    chosen_from = [RangeRule(**rule) for rule in rules]
    mixed = MixedExport(conversion, validation, max_drop, chosen_from, say=said.append)
    export, rule = mixed.write(path)
    count = len(export.contract.float_operators)
    return {"num_float_ops": count, "rule": str(rule), "said": said}
