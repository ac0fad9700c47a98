"""Reports of layer errors: a table to print, a CSV file, a chart."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.exporting.accuracy.layer_errors import (
    PARTS,
    LayerError,
    measure_layer_errors,
    worst_first,
)
from keras_pose.exporting.float_graph.serving import (
    counting_outputs,
    served_outputs,
    with_maps,
)
from keras_pose.exporting.formats.conversion import Conversion
from keras_pose.exporting.inspection.benchmark import write_csv
from keras_pose.exporting.inspection.timing import align
from keras_pose.modelfiles.layer_names import LayerNames
from keras_pose.pictures.images import write_image
from keras_pose.pictures.plots import plot_layer_errors

NAME = "layer_errors"


def errors_of(conversion: Conversion, int8: bytes, num_images: int) -> list[LayerError]:
    """Measures an int8 file against the float one that it was made from.

    Args:
        conversion: the model's conversion; the first of its crops are measured on.
        int8: content of the file.
        num_images: crops to measure on.

    Returns:
        A list of `LayerError`, in the order the operators run in.
    """
    model, contract = conversion.model, conversion.contract
    counting = counting_outputs(with_maps(model, contract).outputs, contract)
    names = LayerNames.of(model, served_outputs(contract), counting)
    with tempfile.TemporaryDirectory() as folder:
        suffix = conversion.suffix
        paths = Path(folder) / f"float32{suffix}", Path(folder) / f"int8{suffix}"
        paths[0].write_bytes(conversion.pack(conversion.calibrated_model))
        paths[1].write_bytes(int8)
        return measure_layer_errors(*paths, conversion.crops[:num_images], names)


def report_layer_errors(
    conversion: Conversion,
    int8: bytes,
    folder,
    num_images: int,
    count: int,
) -> str:
    """Measures an int8 file, and writes a CSV file and a chart.

    Args:
        conversion, int8, num_images: arguments of `errors_of`.
        folder: folder to write the CSV file and the chart to.
        count: rows of the table, worst first.

    Returns:
        The table, and where the files are.
    """
    errors = errors_of(conversion, int8, num_images)
    title = f"{conversion.contract.model}, int8 against float, {num_images} crops"
    csv_path = write_csv(Path(folder) / f"{NAME}.csv", error_rows(errors))
    chart = plot_layer_errors(errors, title)
    chart_path = write_image(Path(folder) / f"{NAME}.png", chart)
    return "\n".join(
        [
            error_table(errors, count),
            summary(errors),
            f"written     {csv_path}",
            f"            {chart_path}",
        ]
    )


def summary(errors: list[LayerError]) -> str:
    """Returns a line or two about the kind of loss."""
    integer = [each for each in errors if not each.is_float]
    counts = Counter(each.cause for each in integer)
    causes = ", ".join(f"{cause} of {number}" for cause, number in counts.most_common())
    clipping = sum(each.clipped > 1e-3 for each in integer)
    return (
        f"{len(integer)} operators in int8, {len(errors) - len(integer)} in float. Most is "
        f"lost by the {causes}; {clipping} clip more than 0.1% of the values.\n"
        f"The last operator's tensor is off by {errors[-1].cumulative:.2%} in all."
    )


def error_table(errors: Sequence[LayerError], count: int | None = None) -> str:
    """Lays errors out as text, worst first; in percent, and decibels.

    Args:
        count: rows to show; None for all.
    """
    rows: list[tuple[str, ...]] = [
        ("layer", "operator", "mostly", "isolated", *PARTS, "clipped", "cumulative", "dB")
    ]
    for each in worst_first(errors)[:count]:
        shares = [getattr(each, name) for name in ("isolated", *PARTS)]
        cells = ["float" if np.isnan(share) else f"{share:.2%}" for share in shares]
        cells += [f"{each.clipped:.2%}", f"{each.cumulative:.2%}"]
        decibels = "" if each.is_float else f"{each.sqnr_db:.1f}"
        rows.append((each.label, each.operator, each.cause, *cells, decibels))
    return align(rows, num_words=3)


def error_rows(errors: Sequence[LayerError]) -> list[dict[str, Any]]:
    """Returns errors as rows of a CSV file, in the order the operators run in."""
    names = [each.name for each in fields(LayerError)]
    return [
        {
            "order": order,
            **{name: getattr(each, name) for name in names},
            "layers": " ".join(each.layers),
            "makers": " ".join(each.makers),
            "readers": " ".join(each.readers),
            "weights": each.weights,
            "mostly": each.cause,
            "sqnr_db": "" if each.is_float else each.sqnr_db,
        }
        for order, each in enumerate(errors)
    ]
