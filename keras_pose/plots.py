"""Curves of training runs, as pictures."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image

from keras_pose.runs import LOG_NAME

# (columns of log.csv, axis label), one panel each; panels without values are left out.
_PANELS = (
    (("loss", "val_loss"), "loss"),
    (("pck", "val_pck"), "PCK of heatmap peaks"),
    (("val_ap",), "AP on val, ground-truth boxes, no flip test"),
)
_LABELS = {
    "loss": "train",
    "pck": "train",
    "val_loss": "val",
    "val_pck": "val",
    "val_ap": "val",
}
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
    # Here and not above: only plots need it, and it takes its time to load.
    from matplotlib.figure import Figure

    log = read_log(run_dir)
    panels = [
        (label, [c for c in columns if c in log and np.isfinite(log[c]).any()])
        for columns, label in _PANELS
    ]
    panels = [(label, columns) for label, columns in panels if columns]
    figure = Figure(figsize=(4.2 * len(panels), 3.2), layout="constrained")
    for number, (label, columns) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), number)
        for column in columns:
            _plot(axes, log["epoch"] + 1, log[column], _LABELS[column])
        axes.set(xlabel="epoch", title=label)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    return _to_image(figure)


def _plot(axes, epochs, values, label):
    known = np.isfinite(values)
    marker = "o" if known.sum() < len(values) else None
    axes.plot(
        epochs[known], values[known], marker=marker, color=_COLORS[label], label=label
    )


def _to_image(figure) -> np.ndarray:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    buffer.seek(0)
    return np.asarray(Image.open(buffer).convert("RGB"))
