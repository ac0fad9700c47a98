"""Phones' networks are the GPU's in float16, as docs/results/gpu_clean.json says."""

import json
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from harness import small_input_hw
from keras import layers
from shallow import shallow

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.ledger.gpu_files import (
    COLUMNS,
    MOST_FLOAT16,
    PHONE_NETWORKS,
    GpuFile,
    audit_model,
    row_of,
)
from keras_pose.pictures.normalization import Normalization
from keras_pose.skeleton import Skeleton
from keras_pose.weights.provenance import file_contract_of, runnable_network
from keras_pose.zoo import build_model

TABLE = Path(__file__).parents[4] / "docs" / "results" / "gpu_clean.json"


def table_rows():
    rows = json.loads(TABLE.read_text(encoding="utf-8"))["rows"]
    return {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in rows}


def test_the_table_has_all_networks_that_phones_are_given():
    assert list(table_rows()) == list(PHONE_NETWORKS)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if i == 0 else pytest.mark.very_slow)
        for i, name in enumerate(PHONE_NETWORKS)
    ],
)
def test_a_network_leaves_to_the_cpu_what_the_table_says(name):
    with shallow(name) as spec:
        model = runnable_network(build_model(name, input_hw=small_input_hw(spec)))
    file = GpuFile(**audit_model(model, file_contract_of(model)))
    kinds = {reason.partition(":")[0] for reason in file.fallen}
    left = table_rows()[name]["left to the CPU"]
    assert file.num_operators > 10
    if left == "nothing":
        assert (kinds, file.num_taken) == (set(), file.num_operators)
    else:
        assert kinds
        assert all(kind in left for kind in kinds)


def brightness_times(factor):
    """Builds a network whose maps are the pixels, as 0 to 1, times a factor."""
    image = keras.Input((32, 24, 3), name="image")
    x = layers.AveragePooling2D(4)(image)
    for _ in range(2):  # so that no weight is beyond half precision itself
        gain = layers.Conv2D(3, 1, use_bias=False)
        x = gain(x)
        gain.set_weights([factor**0.5 * np.eye(3).reshape(1, 1, 3, 3)])
    model = keras.Model(image, x, name="gain")
    skeleton = Skeleton("three", ("nose", "left_hip", "right_hip"), (), ())
    plain = Normalization(mean=(0, 0, 0), std=(1, 1, 1))
    codec = GaussianHeatmapCodec((32, 24), stride=4, sigma=1.0)
    return model, keras_contract(model, codec, skeleton, plain)


@pytest.mark.slow
def test_values_that_half_precision_cannot_hold_are_found_on_pictures(tmp_path):
    path = str(tmp_path / "white.png")
    cv2.imwrite(path, np.full((64, 48, 3), 255, np.uint8))
    for factor, is_clean in ((60_000, True), (70_000, False)):
        file = GpuFile(**audit_model(*brightness_times(factor), [path]))
        assert file.largest == pytest.approx(factor, rel=1e-3)
        assert (file.largest <= MOST_FLOAT16) == is_clean == file.is_clean
        assert not file.fallen


def test_a_row_says_what_is_left_and_why():
    fallen = {
        "CAST: casts uint8 to float32": 1,
        "GATHER_ND: no such operator": 2,
        "MUL: broadcasts both of (1, 4) and (3, 1)": 1,
        "MUL: broadcasts both of (1, 2) and (3, 1)": 2,
    }
    file = GpuFile("pose_slim", (64, 48), None, 20, 14, fallen, None)
    left = "casts uint8 to float32: CAST; no such operator: 2 GATHER_ND; "
    left += "broadcasts both: 3 MUL"
    assert row_of(file) == ["pose_slim", "64x48", "random", 20, 14, left, None]
    assert not file.is_clean
