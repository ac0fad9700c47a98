"""Error of a network's outputs from the rounding of weights alone.

Kernels of the float file are rounded in NumPy, as a format asks for, and the file is run:
no quantizer is involved. What a format of few weight bits may lose hangs on the network
(random or deep ones make much of any noise), so a fixed bound would be a guess; this is a
measure. Kernels of the float file have their batch norms in them, as those of all files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.contracts.fields import INPUT_NAME
from keras_pose.exporting.comparison import boxes_error, relative_error
from keras_pose.exporting.quantization.adaptive_rounding import InputMoments
from keras_pose.exporting.quantization.kernels import (
    CHANNEL_AXES,
    kernel_of,
    kernel_steps,
    nearest,
    set_kernel,
)
from keras_pose.exporting.quantization.tflite_decoding import network_of
from keras_pose.exporting.quantization.tflite_quantizing import MIN_WEIGHTS
from keras_pose.exporting.quantization.tflite_rounding import round_adaptively
from keras_pose.modelfiles.tflite_model import TFLiteModel

# Formats whose error is mostly that of their weights -> bits, one scale per channel, and
# the fewest numbers of a kernel that is rounded.
WEIGHT_FORMATS = {
    "int8_per_tensor": (8, False, 1),
    "int16x8": (8, True, 1),
    "int4": (4, True, MIN_WEIGHTS),
}


def weight_error(
    float_model: TFLiteModel,
    crops,
    quantization: str,
    moments: Mapping[str, InputMoments] | None = None,
    of_boxes: Sequence[str] = (),
) -> float:
    """Measures what a format's weights lose, on a few crops.

    Args:
        float_model: float32 file, from `tflite_export.float_tflite_model`.
        crops: (N, H, W, 3) uint8.
        quantization: any; 0 is returned for those that are not `WEIGHT_FORMATS`.
        moments: what the file's kernels meet, where they are rounded by that.
        of_boxes: names of a detector's outputs, scores, then distances.

    Returns:
        The largest `relative_error` of an output; of a detector the error of its boxes, if
        that is larger.
    """
    if quantization not in WEIGHT_FORMATS:
        return 0.0
    names = list(network_of(float_model).outputs)
    rounded = float_model.copy()
    num_bits, is_per_channel, _ = WEIGHT_FORMATS[quantization]
    round_adaptively(rounded, moments or {}, num_bits, is_per_channel)
    # What is rounded already stays.
    round_weights(rounded, *WEIGHT_FORMATS[quantization])
    actual = _run(rounded.to_bytes(), crops)
    expected = _run(float_model.source, crops)
    error = max(relative_error(actual[name], expected[name]) for name in names)
    if not of_boxes:
        return error
    found, wanted = ([run[name] for name in of_boxes] for run in (actual, expected))
    return max(error, boxes_error(found, wanted))


def round_weights(
    model: TFLiteModel, num_bits: int, is_per_channel: bool, min_weights: int = 1
) -> None:
    """Rounds the kernels of a float file to so many bits, in place; they stay floats."""
    for operator in model.graph.operators:
        axis = CHANNEL_AXES.get(model.kind_of(operator))
        kernel = None if axis is None else kernel_of(model, operator)
        if kernel is None or kernel.size < min_weights:
            continue
        steps = kernel_steps(kernel, num_bits, axis if is_per_channel else None)
        set_kernel(model, operator, nearest(kernel, steps))


def _run(content: bytes, crops) -> dict[str, np.ndarray]:
    """Returns all outputs for all crops, by their names in the signature."""
    import ai_edge_litert.interpreter as litert

    with quiet_stderr():
        interpreter = litert.Interpreter(model_content=content)
        interpreter.allocate_tensors()
    run = interpreter.get_signature_runner()
    batch = int(run.get_input_details()[INPUT_NAME]["shape"][0])
    runs = []
    for start in range(0, len(crops), batch):
        # The last batch is filled up with the first crops.
        indices = np.arange(start, start + batch) % len(crops)
        runs.append(run(**{INPUT_NAME: np.ascontiguousarray(crops[indices])}))
    return {name: np.concatenate([each[name] for each in runs]) for name in runs[0]}
