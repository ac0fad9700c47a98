"""Export of a task: what the export programs do, asked from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_pose.exporting.commands.export_report import describe_export
from keras_pose.exporting.commands.options import crops_for, default_output
from keras_pose.exporting.formats.table import (
    FORMATS,
    NUM_CALIBRATION_CROPS,
    ONNX_FORMATS,
    TFLITE_FORMATS,
    export_formats,
)
from keras_pose.exporting.formats.writing import Export
from keras_pose.exporting.inputs import ExportSource
from keras_pose.tasks.sets import name_set

KINDS = {"tflite": TFLITE_FORMATS, "onnx": ONNX_FORMATS}


def format_name(kind: str, int8: bool = False, float16: bool = False) -> str:
    """Returns the key of `FORMATS` that is meant.

    Args:
        kind: "tflite", "onnx", or a key of `FORMATS`, which then says all.
        int8: integers throughout.
        float16: weights of half the size.

    Raises:
        ValueError: for another kind, or two precisions.
    """
    if int8 and float16:
        raise ValueError("Choose int8 or float16: a file has one of them.")
    precision = "int8" if int8 else "float16" if float16 else None
    if kind in KINDS:
        prefix = "" if kind == "tflite" else "onnx_"
        return f"{prefix}{precision or 'float32'}"
    if kind not in FORMATS:
        raise ValueError(
            f"The kind of a file must be {', '.join(KINDS)}, or one of "
            f"{', '.join(FORMATS)}; got {kind!r}."
        )
    if precision:
        raise ValueError(f"{kind} says its precision itself: leave {precision} out.")
    return kind


def export_task(
    network,
    contract,
    recipe: dict[str, Any],
    file: Path | None,
    kind: str,
    path,
    precision: tuple[bool, bool],
    calibration: tuple[Any, str | None, int | None],
    options: dict[str, Any],
) -> Export:
    """Exports a network; see `PoseTask.export`.

    Args:
        network: Keras model.
        contract: its contract.
        recipe: recipe of its run; {} where there is none.
        file: its file in the folder of a run; None for the working folder.
        kind: kind of file, as `format_name` takes it.
        path: file to write; None for the usual place.
        precision: int8, float16.
        calibration: labelled set, its name, and crops.
        options: options of `export_formats`.
    """
    name = format_name(kind, *precision)
    data, dataset, count = calibration
    if data is not None and not FORMATS[name].is_calibrated:
        raise ValueError(f"data is to calibrate on, which {name} does not do.")
    source = ExportSource(file or Path(contract.model), network, contract, recipe)
    output = Path(path) if path is not None else default_output(source, name)
    if output.suffix != FORMATS[name].suffix:
        raise ValueError(f"A {name} file must end in {FORMATS[name].suffix}, got {output}.")
    named = None if data is None else name_set(data, dataset)
    crops = crops_for(
        source,
        [name],
        NUM_CALIBRATION_CROPS if count is None else count,
        named.name if named else None,
        named.data_dir if named else None,
    )
    export = export_formats(network, contract, {name: output}, crops, **options)[name]
    print(describe_export(export, source.path, network))
    return export
