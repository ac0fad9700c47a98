"""The ledger: every format of a model, written and measured, in one table.

Float Keras and every file go through the same evaluator; all are timed in one interleaved
run; every conversion and every evaluation has a process of its own. What is finished is
kept with the hashes of what it was made of, and is not done again: an interrupted ledger
goes on where it stopped. A format that fails is a row that says why.

In the output folder:

FORMAT/pose_model.*     the file, with its contract beside it
FORMAT/entry.json       what became of it, and the key it was made under
FORMAT/keypoints.npz    its predictions, for the shift against float
calibration.npy         the crops that all integer files are calibrated on
benchmark.json          the times of all files in one run
ledger.md, .csv, .json, .png
"""

from __future__ import annotations

import dataclasses

from keras_pose.exporting.ledger.ledger_files import calibrate, open_source, write_files
from keras_pose.exporting.ledger.ledger_settings import LedgerSettings, Say
from keras_pose.exporting.ledger.measuring import (
    measure_format,
    measure_reference,
    measure_times,
)
from keras_pose.exporting.ledger.rows import Ledger
from keras_pose.files import check_writable


def make_ledger(settings: LedgerSettings, say: Say = print) -> Ledger:
    """Writes and measures every format; goes on where an earlier call stopped.

    Args:
        settings: choice of model, data, formats and threads.
        say: function that gets a line of text for every step.

    Raises:
        FileNotFoundError: for missing weights, or a missing data set.
        ValueError: for weights that do not fit, or where not even the float model can be
            measured. What a single format cannot do is in its row.
        PermissionError: if the folder cannot be written to.
    """
    check_writable(settings.output)
    source, origin = open_source(settings, say)
    calibration = calibrate(settings, source, origin, say)
    made_of = {
        **origin,
        "crops": calibration["sha256"],
        "ranges": settings.range_rule.to_dict(),
    }
    entries = write_files(settings, source, made_of, say)
    rows = [measure_reference(settings, source, origin, say)]
    for name in settings.formats:
        rows.append(measure_format(settings, name, entries[name], say))
    times, peaks = measure_times(settings, source, rows, say)
    rows = [dataclasses.replace(row, times=times.get(row.name, {})) for row in rows]
    return Ledger(origin["model"], origin["words"], calibration["words"], peaks, rows)
