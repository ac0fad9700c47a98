"""One training step on a picture of 108 megapixels takes bounded memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "benchmark_large_picture.py"
# The pipelines of training and of validation have at most as many pictures in work as
# there are cores, each; 27 megapixels (12000 x 9000 made smaller by 2), 15 bytes a pixel.
A_PICTURE_MB = 6000 * 4500 * 15 / 2**20
# The process that trains makes it smaller first, and the allocator may keep those pixels.
WHOLE_PICTURE_MB = 12000 * 9000 * 3 / 2**20


@pytest.mark.very_slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are Linux's")
def test_a_step_on_108_megapixels_takes_bounded_memory(tmp_path):
    figures = tmp_path / "figures.json"
    # In processes of their own: the peak of this one is of other tests.
    command = [sys.executable, str(SCRIPT), "--model", "testing_pose", "--json", figures]
    subprocess.run(command, check=True, capture_output=True)
    peaks = {k: v["peak_mb"] for k, v in json.loads(figures.read_text()).items()}
    in_work = 2 * len(os.sched_getaffinity(0))
    bound = A_PICTURE_MB * in_work + WHOLE_PICTURE_MB
    assert peaks["large"] - peaks["small"] < bound
