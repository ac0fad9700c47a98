"""The program that times training input beside plain code: both must make the same."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.data.pipeline import validation_dataset
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.pictures.geometry import BOX_PADDING
from keras_pose.pictures.normalization import IMAGENET

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "benchmark_input.py"
SMALL = "--input-hw 64 48 --batch-size 2 --batches 1 --rounds 1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    for split in ("train", "val"):
        write_coco_dataset(folder, 4, 0, split, (128, 160))
    return folder


def test_plain_code_makes_the_samples_that_the_pipeline_makes(folder):
    spec = importlib.util.spec_from_file_location("benchmark_input_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    args = script.parse_args(["--data-dir", str(folder), *SMALL.split()])
    source, codec = script.open_source(args), GaussianHeatmapCodec((64, 48), 4, 1.0)
    plain = script.PlainSamples(source, codec.input_hw, codec.sigma, BOX_PADDING)
    plain.scale_factor = plain.rotation_factor = 0
    plain.flip_probability = plain.half_body_probability = 0
    images, targets, weights = plain.batch(range(len(source)))

    batches = validation_dataset(source, codec, IMAGENET, len(source))
    our_images, our_targets, our_weights = next(iter(batches))

    # OpenCV rounds places to a 32nd of a pixel, and crops to grey levels.
    differences = np.abs(images.transpose(0, 2, 3, 1) - our_images.numpy())
    assert (255 * np.array(IMAGENET.std) * differences).mean() < 1
    np.testing.assert_allclose(weights[..., 0], our_weights)
    np.testing.assert_allclose(targets.transpose(0, 2, 3, 1), our_targets, atol=1e-5)


@pytest.mark.very_slow
def test_builds_take_turns(folder, tmp_path):
    figures = tmp_path / "figures.json"
    command = [sys.executable, SCRIPT, "--data-dir", folder, *SMALL.split()]
    command += ["--color", "0.5", "--repository", SCRIPT.parents[1], "--json", figures]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(figures.read_text())
    assert list(found["totals"]) == ["OpenCV and NumPy", "this build", "the other build"]
    assert min(found["totals"].values()) > 0
    assert {"decode", "warp", "colour", "heatmaps"} <= set(found["steps"]["this build"])
    assert "steps of this build" in done.stdout
