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
mixed/pose_model.tflite the int8 file that fits a limit, where int8 does not
benchmark.json          the times of all files in one run
ledger.md, .csv, .json, .png
"""

from __future__ import annotations

from keras_pose.exporting.ledger.ledger_files import (
    RANDOM_WORDS,
    calibrate,
    open_source,
    write_files,
    write_noise,
)
from keras_pose.exporting.ledger.ledger_settings import MIXED, LedgerSettings, Say
from keras_pose.exporting.ledger.measured_rows import (
    measure_format,
    measure_reference,
    with_times,
)
from keras_pose.exporting.ledger.mixed_files import write_mixed_file
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
    if settings.of_noise:
        return _of_noise(settings, say)
    source, origin = open_source(settings, say)
    calibration = calibrate(settings, source, origin, say)
    made_of = {
        **origin,
        "crops": calibration["sha256"],
        "ranges": settings.range_rule.to_dict(),
    }
    entries = write_files(settings, source, made_of, say)
    rows = [measure_reference(settings, source, origin, say)]
    rows += [
        measure_format(settings, name, entries[name], say) for name in settings.formats
    ]
    mixed = write_mixed_file(settings, source, rows, say)
    if mixed is not None:
        rows.append(measure_format(settings, MIXED, mixed, say))
    keras = source if settings.times_keras else None
    rows, peaks, machine = with_times(settings, keras, rows, say)
    words = origin["words"], calibration["words"]
    return Ledger(origin["model"], *words, peaks, rows, machine)


def _of_noise(settings: LedgerSettings, say: Say) -> Ledger:
    """Makes the ledger of a network that is timed only."""
    entries = write_noise(settings, say)
    rows = [measure_format(settings, name, entries[name], say) for name in settings.formats]
    rows, peaks, machine = with_times(settings, None, rows, say)
    return Ledger(str(settings.model), RANDOM_WORDS, "noise", peaks, rows, machine)
