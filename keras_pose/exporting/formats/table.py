"""Every format a model can be exported to, and one function that writes any of them.

    for name in FORMATS:
        path = folder / f"{name}{FORMATS[name].suffix}"
        export_format(model, contract, path, crops, name)

To write several, `export_formats` converts once. What formats are made of, step by step:
`tflite_export.float_tflite_model(serving.in_float32(model), contract, batch)` gives the
float32 file, and `tflite_quantizing.quantize(float_model, crops, settings, float_ops=())`
any other; `float_ops` are names out of `tflite_quantizing.quantizable_ops(float_model)`
that are left in float.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_pose.contracts.detector import ModelContract
    from keras_pose.exporting.formats.writing import Export


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        name: key in `FORMATS`.
        suffix: suffix of the file's name.
        quantization: entry of the file's contract; with the suffix it names the format.
        text: description for `--help`.
        is_calibrated: True if crops set the ranges of its numbers.
    """

    name: str
    suffix: str
    quantization: str
    text: str
    is_calibrated: bool = False


FORMATS = {
    row.name: row
    for row in (
        Format("float32", ".tflite", "float32", "as trained"),
        Format("float16", ".tflite", "float16", "weights of half the size"),
        Format("dynamic", ".tflite", "dynamic", "int8 weights, float arithmetic between"),
        Format(
            "int8", ".tflite", "int8", "integers throughout, attention apart: fastest", True
        ),
        Format(
            "int8_per_tensor",
            ".tflite",
            "int8_per_tensor",
            "int8 with one scale a tensor, for NPUs that know no other",
            True,
        ),
        Format("int16x8", ".tflite", "int16x8", "int8 weights, int16 activations", True),
        Format("int4", ".tflite", "int4", "int4 weights, float arithmetic"),
        Format("onnx_float32", ".onnx", "float32", "ONNX as trained"),
        Format("onnx_float16", ".onnx", "float16", "ONNX in half precision"),
        Format("onnx_int8", ".onnx", "int8", "ONNX with int8 (QDQ)", True),
    )
}
# Default number of crops that set ranges.
NUM_CALIBRATION_CROPS = 200
# Of Core ML packages, which are folders; `coreml.export_coreml` writes them.
COREML_FORMATS = {
    "float16": "half precision throughout, which the Neural Engine computes in (default)",
    "float32": "as trained; on CPU and GPU only",
    "dynamic": "int8 weights, half precision between: half of float16's size",
}
TFLITE_FORMATS = tuple(name for name, row in FORMATS.items() if row.suffix == ".tflite")
ONNX_FORMATS = tuple(name for name, row in FORMATS.items() if row.suffix == ".onnx")
# Those whose losses `--max-drop` can mend by operators in float.
DROP_FORMATS = tuple(x for x, row in FORMATS.items() if row.quantization.startswith("int8"))


def get_format(name: str) -> Format:
    """Returns a row of `FORMATS`.

    Raises:
        ValueError: for a name that is not there.
    """
    if name not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}; got {name!r}.")
    return FORMATS[name]


def export_format(model, contract: ModelContract, path, crops, name: str, **options):
    """Writes one file and its contract; see `export_formats`."""
    return export_formats(model, contract, {name: path}, crops, **options)[name]


def export_formats(
    model,
    contract: ModelContract,
    paths: Mapping[str, Any],
    crops,
    batch: int = 1,
    with_decode: bool = False,
    opset: int | None = None,
    integers_only: bool = False,
    **options,
) -> dict[str, Export]:
    """Writes several files of a model, which is converted once to TFLite, once to ONNX.

    Args:
        model: Keras model of normalised images.
        contract: contract of the model, with its normalisation.
        paths: format -> path of its file.
        crops: (N, H, W, 3) uint8; all calibrate, the first few check every file.
        batch: images the files take at a time.
        with_decode: return keypoints, (batch, K, 3), in place of heatmaps.
        opset: opset of ONNX files; None for the usual one.
        integers_only: True to compute attention of int8 TFLite files in integers, too, see
            `tflite_export.TFLiteConversion`.
        options: keywords of quantization: range_rule, float_ops; for TFLite known_ranges as
            well, see `tflite_quantizing.quantize`.

    Returns:
        What was written, by format.

    Raises:
        ValueError: for an unknown format or option, or a path of another suffix.
        ExportError: if the model cannot be converted, or a file does not do what the
            model does. What stood at its path then stays.
        OSError: if a file cannot be written.
    """
    for name, path in paths.items():
        if Path(path).suffix != get_format(name).suffix:
            raise ValueError(
                f"A {name} file must end in {FORMATS[name].suffix}, got {path}."
            )
    tflite = onnx = None
    written = {}
    for name, path in paths.items():
        quantization = FORMATS[name].quantization
        # Imported here: each needs packages that the other does not.
        if name in TFLITE_FORMATS:
            from keras_pose.exporting.formats.tflite_export import TFLiteConversion

            tflite = tflite or TFLiteConversion(
                model, contract, crops, batch, with_decode, integers_only=integers_only
            )
            written[name] = tflite.write(path, quantization, **options)
        else:
            from keras_pose.exporting.formats.onnx_export import (
                DEFAULT_OPSET,
                OnnxConversion,
            )

            opset = opset or DEFAULT_OPSET
            onnx = onnx or OnnxConversion(
                model, contract, crops, batch, with_decode, opset=opset
            )
            written[name] = onnx.write(path, quantization, **options)
    return written
