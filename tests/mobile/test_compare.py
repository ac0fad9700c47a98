"""All apps' cores on the same real photos, held against Python: mobile_demo/compare."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

COMPARE = Path(__file__).resolve().parents[2] / "mobile_demo" / "compare" / "compare.py"


@pytest.mark.very_slow
def test_every_core_finds_in_real_photos_what_python_finds(shared_data_dir):
    people = shared_data_dir / "coco_people"
    command = [sys.executable, str(COMPARE), "--images", str(people / "images")]
    command += ["--annotations", str(people / "person_keypoints_val.json")]
    # The browser has a test of its own.
    command += ["--photos", "3", "--frames", "9", "--without", "browser"]

    result = subprocess.run(command, capture_output=True, text=True, timeout=1800)

    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
    compared = [row for row in rows if "not run" not in row[1]]
    absent = "; ".join(row[1] for row in rows if "not run" in row[1])
    if not compared:
        pytest.skip(absent)
    for name, _, people, pixels, boxes, keypoints, tracks, others in compared:
        largest = [float(re.split(" / ", cell)[0]) for cell in (pixels, boxes, keypoints)]
        # What the cores are held to: 1 level of 255, half a pixel, a twentieth.
        assert int(people) > 5, name
        assert largest[0] <= 1, name
        assert largest[1] <= 0.5, name
        assert largest[2] <= 0.05, name
        assert (tracks, others) == ("0", "0"), name
