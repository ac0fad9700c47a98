"""The program that measures the memory of training input: people again and again."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_pose.data.synthetic import write_coco_dataset

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "input_memory.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("input_memory_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    for split in ("train", "val"):
        write_coco_dataset(folder, 3, 0, split, (128, 160))
    return folder


def test_people_come_again_in_pictures_of_their_own(script, folder):
    source = script.open_source(script.parse_args(["--data-dir", str(folder)]))
    count = 2 * len(source) + 1

    many = script.repeated(source, count)

    assert len(many) == count
    assert many.image_index.max() >= 2 * len(source.images)
    for index in (0, len(source), count - 1):
        first = index % len(source)
        np.testing.assert_array_equal(many.keypoints_xy[index], source.keypoints_xy[first])
        assert (
            many.images[many.image_index[index]] == source.images[source.image_index[first]]
        )


@pytest.mark.very_slow
def test_a_row_for_each_number_of_people(folder):
    words = ["--data-dir", folder, "--people", "4", "40", "--batches", "1"]
    command = [sys.executable, SCRIPT, *words, "--batch-size", "2"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    _, *rows = done.stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["4", "40"]
    assert all(float(row.split()[2].replace(",", "")) > 100 for row in rows)
