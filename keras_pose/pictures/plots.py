"""Curves of training runs, and charts of evaluations, as pictures."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from keras_pose.files.runs import LOG_NAME

# (columns of log.csv, axis label), one panel each; panels without values are left out.
_PANELS = (
    (("loss", "val_loss"), "loss"),
    (("pck", "val_pck"), "PCK of coarse positions"),
    (("val_ap",), "AP on val, ground-truth boxes, no flip test"),
    (("val_box_ap",), "box AP on val, averaged weights"),
)
# A data set's own metric (see trainer.fit) gets a panel of its own: `val_pckh@0.5`.
_OWN_METRIC = re.compile(r"val_(pck.+|map|ap_single|apk.+|pixel_error)")
_LABELS = {
    "loss": "train",
    "pck": "train",
    "val_loss": "val",
    "val_pck": "val",
    "val_ap": "val",
    "val_box_ap": "val",
}
# Name, x, y, and colour or None for that of the name.
_Curve: TypeAlias = tuple[str, np.ndarray, np.ndarray, str | None]
_COLORS = {"train": "#8a8f98", "val": "#1f77b4"}


def read_log(run_dir) -> dict[str, np.ndarray]:
    """Reads the columns of a run's `log.csv`; what was not measured is NaN.

    Raises:
        FileNotFoundError: for a folder without a log.
        ValueError: for a log without a row.
    """
    path = Path(run_dir) / LOG_NAME
    if not path.is_file():
        raise FileNotFoundError(f"{run_dir} is not a run: it has no {LOG_NAME}.")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path} has no epochs yet.")
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def plot_run(run_dir, title: str = "") -> np.ndarray:
    """Draws the learning curves of a run.

    Returns:
        (H, W, 3) uint8 RGB picture, one panel per quantity.
    """
    log = read_log(run_dir)
    curves = {
        label: [
            (_LABELS.get(column, "val"), log["epoch"] + 1, log[column], None)
            for column in columns
        ]
        for label, columns in _panels(log)
    }
    return _draw_panels(curves, "epoch", title)


def plot_runs(run_dirs: Mapping[str, str | Path], title: str = "") -> np.ndarray:
    """Draws the learning curves of several runs over each other.

    Args:
        run_dirs: name of a run -> its folder.
        title: stands above the curves.

    Returns:
        (H, W, 3) uint8 RGB picture, one panel per quantity: validation's where a run has
        both. Runs of other lengths are drawn over their share that is done, in percent.

    Raises:
        FileNotFoundError, ValueError: as `read_log`.
    """
    logs = {name: read_log(run_dir) for name, run_dir in run_dirs.items()}
    is_equal = len({len(log["epoch"]) for log in logs.values()}) == 1
    curves: dict[str, list[_Curve]] = {}
    for number, (name, log) in enumerate(logs.items()):
        done = log["epoch"] + 1
        done = done if is_equal else 100 * done / done[-1]
        for label, columns in _panels(log):
            curve = (name, done, log[columns[-1]], f"C{number}")
            curves.setdefault(label, []).append(curve)
    return _draw_panels(curves, "epoch" if is_equal else "% of the run", title)


def _panels(log) -> list[tuple[str, list[str]]]:
    """Returns (label, columns with values) of the panels that a log fills."""
    panels = [
        (label, [c for c in columns if c in log and np.isfinite(log[c]).any()])
        for columns, label in (*_PANELS, *_own_metrics(log))
    ]
    return [(label, columns) for label, columns in panels if columns]


def _draw_panels(curves: Mapping[str, Sequence[_Curve]], x_label: str, title: str):
    """Draws panels by their labels, each with curves: name, x, y, and colour or None."""
    # Here and not above: only plots need it, and it takes its time to load.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(curves), 3.2), layout="constrained")
    for number, (label, lines) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(1, len(curves), number)
        for name, x, y, color in lines:
            known = np.isfinite(y)
            marker = "o" if known.sum() < len(y) else None
            color = color or _COLORS[name]
            axes.plot(x[known], y[known], marker=marker, color=color, label=name)
        axes.set(xlabel=x_label, title=label)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(title)
    return _to_image(figure)


def _own_metrics(log):
    names = [name for name in log if _OWN_METRIC.fullmatch(name) and name not in _LABELS]
    return [((name,), f"{name[4:]} on val, ground-truth boxes") for name in names]


def plot_tables(tables_by_label, title: str = "") -> dict[str, np.ndarray]:
    """Draws the tables of evaluations: bars by keypoint, curves over OKS thresholds.

    Args:
        tables_by_label: label -> the `tables` of one evaluation. All labels share a
            chart, which leaves out those that have no such table.
        title: stands above every chart.

    Returns:
        Chart name -> (H, W, 3) uint8 RGB picture.

    Raises:
        ValueError: when there is no table to draw.
    """
    charts: dict[str, dict[str, dict[str, float]]] = {}
    for label, tables in tables_by_label.items():
        for name, values in tables.items():
            charts.setdefault(name, {})[label] = values
    if not charts:
        raise ValueError(f"Nothing to draw: {list(tables_by_label)} have no tables.")
    return {
        name: (_plot_curves if name.endswith("by OKS threshold") else _plot_bars)(
            name, series, title
        )
        for name, series in charts.items()
    }


def _plot_curves(name, series, title):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for label, values in series.items():
        axes.plot([float(key) for key in values], list(values.values()), "o-", label=label)
    axes.set(xlabel="OKS threshold", ylabel=name.split(" by ")[0], ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.suptitle(title, fontsize=9)
    return _to_image(figure)


def _plot_bars(name, series, title):
    """Draws horizontal bars, so that keypoint names can be read; NaN has no bar."""
    from matplotlib.figure import Figure

    names = list(next(iter(series.values())))
    figure = Figure(figsize=(6, 1.2 + 0.3 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    thickness = 0.8 / len(series)
    for number, (label, values) in enumerate(series.items()):
        heights = [values.get(each, np.nan) for each in names]
        offsets = np.arange(len(names)) + (number - (len(series) - 1) / 2) * thickness
        bars = axes.barh(offsets, np.nan_to_num(heights), thickness, label=label)
        axes.bar_label(
            bars,
            [f"{height:.2f}" if np.isfinite(height) else "-" for height in heights],
            padding=2,
            fontsize=7,
        )
    axes.set_yticks(np.arange(len(names)), [each.replace("_", " ") for each in names])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(xlabel=name)
    axes.grid(axis="x", alpha=0.3)
    if len(series) > 1:
        axes.legend()
    figure.suptitle(title, fontsize=9)
    return _to_image(figure)


def plot_reliability(curves, title: str = "") -> np.ndarray:
    """Draws how often what has a score is right, by score.

    Args:
        curves: panel -> label -> (scores, shares, counts) of its bins, each (bins,);
            empty bins are NaN.
        title: stands above the panels.

    Returns:
        (H, W, 3) uint8 RGB picture. Dots grow with the number of samples.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * len(curves), 4.8), layout="constrained")
    for number, (panel, series) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(1, len(curves), number)
        axes.plot([0, 1], [0, 1], color="#8a8f98", linestyle="--", linewidth=1)
        for label, (scores, shares, counts) in series.items():
            (line,) = axes.plot(scores, shares, label=label)
            sizes = 8 + 150 * np.asarray(counts) / max(np.sum(counts), 1)
            axes.scatter(scores, shares, sizes, color=line.get_color())
        axes.set(xlabel=panel, ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title, fontsize=9)
    return _to_image(figure)


def plot_layer_errors(errors, title: str = "", count: int = 20) -> np.ndarray:
    """Draws what each operator of an int8 file loses.

    Args:
        errors: errors in the order the operators run in, with the attributes of
            `exporting.accuracy.layer_errors.LayerError`.
        title: stands above the chart.
        count: operators with bars of their own, those that lose most.

    Returns:
        (H, W, 3) uint8 RGB picture: the error along the network above, the worst below.

    Raises:
        ValueError: when there is no error to draw.
    """
    from matplotlib.figure import Figure

    if not errors:
        raise ValueError("Nothing to draw: there are no errors.")
    known = [each for each in errors if np.isfinite(each.isolated)]
    worst = sorted(known, key=lambda each: -each.isolated)[:count]
    figure = Figure(figsize=(9, 4 + 0.28 * len(worst)), layout="constrained")
    heights = [3.0, 0.5 + 0.28 * len(worst)]
    above, below = figure.subplots(2, 1, height_ratios=heights)
    for name in ("cumulative", "isolated"):
        values = [100 * getattr(each, name) for each in errors]
        above.plot(np.arange(1, len(errors) + 1), values, ".-", label=name)
    above.set(xlabel="operator, in the order they run in", ylabel="% of std")
    above.grid(alpha=0.3)
    above.legend()
    rows = np.arange(len(worst))
    # Squares of the parts add up to the square of the whole: so are bars divided.
    starts = np.zeros(len(worst))
    for name in ("inputs", "weights", "result"):
        parts = np.array([getattr(each, name) ** 2 for each in worst])
        whole = np.array([each.isolated for each in worst])
        widths = 100 * parts / np.maximum(whole, 1e-12)
        bars = below.barh(rows, widths, 0.7, starts, label=name)
        starts += widths
    below.bar_label(bars, [f"{start:.2g}" for start in starts], padding=2, fontsize=7)
    labels = [f"{each.label} {each.operator.lower()}" for each in worst]
    below.set_yticks(rows, labels, fontsize=7)
    below.invert_yaxis()
    below.margins(x=0.12)
    below.set(xlabel="% of std, worst first")
    below.grid(axis="x", alpha=0.3)
    below.legend()
    figure.suptitle(title, fontsize=9)
    return _to_image(figure)


def plot_tradeoff(
    milliseconds: Mapping[str, float],
    figures: Mapping[str, float],
    best: Sequence[str],
    figure_name: str,
    title: str = "",
) -> np.ndarray:
    """Draws accuracy against time, a point for each file, the best ones joined.

    Args:
        milliseconds: file -> time of one batch.
        figures: file -> its figure.
        best: files that no other one beats in both, fastest first.
        figure_name: name of the figure, for the axis.
        title: stands above the chart.

    Returns:
        (H, W, 3) uint8 RGB picture.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for name, time in milliseconds.items():
        color = _COLORS["val"] if name in best else _COLORS["train"]
        axes.plot(time, figures[name], "o", color=color)
        axes.annotate(
            Path(name).stem,
            (time, figures[name]),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",  # beside the last point it would leave the chart
            fontsize=8,
        )
    axes.plot(
        [milliseconds[name] for name in best],
        [figures[name] for name in best],
        "-",
        color=_COLORS["val"],
        alpha=0.5,
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.25, y=0.15)
    ticks = sorted({round(time, 1) for time in milliseconds.values()})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set(xlabel="ms, one batch, interleaved", ylabel=figure_name)
    axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize=9)
    return _to_image(figure)


def plot_frame_times(
    people: Sequence[int],
    milliseconds: Mapping[str, np.ndarray],
    crossings: Sequence[tuple[float, str]],
    title: str = "",
) -> np.ndarray:
    """Draws the time of a picture against the people in it.

    Args:
        people: (N,) numbers of people.
        milliseconds: name of a curve -> (N,) milliseconds a picture.
        crossings: (number of people, name of the curve that is lower from there on).
        title: stands above the chart.

    Returns:
        (H, W, 3) uint8 RGB picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for name, times in milliseconds.items():
        axes.plot(people, times, "o-", label=name)
    for count, name in crossings:
        axes.plot(count, np.interp(count, people, milliseconds[name]), "k|", markersize=18)
        label = f"{name} from {count:.1f} people on"
        axes.axvline(count, color="k", alpha=0.3, linestyle=":", label=label)
    axes.set(xlabel="people in the picture", ylabel="ms a picture, interleaved")
    axes.set_xticks(people)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.suptitle(title, fontsize=9)
    return _to_image(figure)


def _to_image(figure) -> np.ndarray:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    buffer.seek(0)
    return np.asarray(Image.open(buffer).convert("RGB"))
