"""Programs are measured with all their processes, and builds set beside the first."""

import sys

import pytest

from keras_pose.exporting.commands.export_costs import Costs, costs_of, table

# Holds 60 MB, works for half a second, and has a child that does the same.
PROGRAM = """
import subprocess, sys, time
held = bytearray(60_000_000)
held[::1000] = bytes(60_000)
child = subprocess.Popen([sys.executable, *sys.argv]) if len(sys.argv) < 2 else None
while time.process_time() < 0.5:
    pass
if child is None:
    time.sleep(1)
else:
    sys.exit(child.wait())
"""


def test_a_program_is_measured_with_its_children(tmp_path):
    script = tmp_path / "program.py"
    # Without a word it starts itself with one.
    script.write_text(PROGRAM.replace("*sys.argv]", "*sys.argv, 'child']"))
    alone = costs_of([sys.executable, str(script), "child"], str(tmp_path))
    both = costs_of([sys.executable, str(script)], str(tmp_path))
    assert alone.cpu_seconds > 0.4
    assert both.cpu_seconds > alone.cpu_seconds + 0.4
    assert alone.peak_bytes > 60e6
    assert both.peak_bytes > alone.peak_bytes + 50e6


def test_a_program_that_fails_is_said_to(tmp_path):
    with pytest.raises(RuntimeError, match="no such weights"):
        costs_of([sys.executable, "-c", "raise SystemExit('no such weights')"], tmp_path)


def test_builds_stand_beside_the_first_by_median_sum_and_maximum():
    megabyte = 2**20
    found = {
        ("old", "to_tflite"): [Costs(x, 40 * megabyte) for x in (90, 100, 300)],
        ("new", "to_tflite"): [Costs(50, 20 * megabyte)],
        ("old", "to_onnx"): [Costs(100, 100 * megabyte)],
        ("new", "to_onnx"): [Costs(30, 30 * megabyte)],
    }
    assert table(found) == [
        ["old", "to_tflite", 100, 1.0, 40, 1.0],
        ["new", "to_tflite", 50, 0.5, 20, 0.5],
        ["old", "to_onnx", 100, 1.0, 100, 1.0],
        ["new", "to_onnx", 30, 0.3, 30, 0.3],
        ["old", "both", 200, 1.0, 100, 1.0],
        ["new", "both", 80, 0.4, 30, 0.3],
    ]
