"""Pixels as a phone's accelerators take them: integers with a scale.

The converter casts uint8 pixels to floats. GPU delegates and XNNPACK leave that CAST to the
reference kernels, so no float file was theirs as a whole. DEQUANTIZE of pixels with scale 1
and zero point 0 gives the same numbers, to the last bit, and both take it.
"""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from keras_pose.exporting.quantization.tflite_edit import pixel_cast
from keras_pose.modelfiles.tflite_model import TFLiteModel, integers_of


def dequantize_pixels(model: TFLiteModel) -> None:
    """Lets a float file dequantize the uint8 pixels that it casts, in place.

    Raises:
        ValueError: for a file that does not begin with one CAST of its pixels.
    """
    cast = pixel_cast(model)
    (pixels,) = map(int, cast.inputs)
    model.graph.tensors[pixels].quantization = integers_of(1.0)
    cast.opcodeIndex = model.opcode(schema.BuiltinOperator.DEQUANTIZE)
    cast.builtinOptions, cast.builtinOptionsType = None, schema.BuiltinOptions.NONE
