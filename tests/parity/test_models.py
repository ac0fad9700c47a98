"""Networks of the zoo compute what the reference's do, weight for weight."""

import importlib.util

import numpy as np
import pytest

from keras_pose.models.complexity import count_macs, count_params
from keras_pose.normalization import IMAGENET
from keras_pose.weights.creation import create_model
from keras_pose.weights.importer import fill
from keras_pose.weights.layouts import recognize
from keras_pose.zoo import get_spec

# Largest |difference| in standard deviations of the reference's output. Float32 noise
# lies at 3e-6, a wrong epsilon or padding at 1e-2 and more.
TOLERANCE = 1e-4

CASES = [
    ("hrnet_w32", "hrnet_w32_256x192"),
    ("hrnet_w32", "hrnet_w32_mpii_256x256"),
    ("hrnet_w32", "mmpose_hrnet_w32_256x192"),
    ("simple_baseline_resnet18", "pose_resnet18_256x192"),
    ("simple_baseline_resnet50", "pose_resnet50_256x192"),
    ("simple_baseline_resnet50", "pose_resnet50_mpii_256x256"),
    ("simple_baseline_resnet101", "pose_resnet101_256x192"),
    ("hourglass_1", "hg1_mpii_256x256"),
    ("hourglass_2", "hg2_mpii_256x256"),
]


@pytest.fixture(scope="module")
def golden_weights(golden_dir):
    """The script that makes the reference's weights and input from their names."""
    path = golden_dir / "make_weights.py"
    module_spec = importlib.util.spec_from_file_location("make_weights", path)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(("name", "golden"), CASES, ids=[golden for _, golden in CASES])
def test_output_equals_the_references(name, golden, golden_dir, golden_weights):
    reference = golden_weights.load_spec(golden_dir / f"{golden}.json")
    weights = golden_weights.make_weights(reference)
    assert golden_weights.checksum(weights.values()) == reference["weights_crc32"]
    model = create_model(
        name,
        num_keypoints=reference["outputs"][-1]["shape"][1],
        input_hw=reference["input"]["nchw_shape"][2:],
    )

    layout, tensors = recognize(weights)
    fill(model, tensors, golden)
    image = golden_weights.make_input(reference).transpose(0, 2, 3, 1)
    outputs = model(image, training=False)

    assert layout.name == ("mmpose" if golden.startswith("mmpose") else "reference")
    assert count_params(model) == reference["param_count"]
    assert count_macs(model) == reference["macs"]["total"]
    stored = np.load(golden_dir / f"{golden}.npz")
    outputs = outputs if isinstance(outputs, list) else [outputs]
    for output, entry in zip(outputs, reference["outputs"], strict=True):
        flat = output.numpy().transpose(0, 3, 1, 2).reshape(-1)
        difference = flat[:: entry["flat_step"]] - stored[entry["name"]].reshape(-1)
        assert np.abs(difference).max() / entry["std"] <= TOLERANCE


def test_layouts_carry_the_normalization_of_their_training(golden_dir):
    layout, _ = recognize({"conv1.weight": np.zeros(1)})
    mean_mpii = np.load(golden_dir / "hg_bearpaw_mean.npz")["mean_mpii"]

    assert layout.normalizations["hrnet"] == get_spec("hrnet_w32").normalization
    assert layout.normalizations["hourglass"].mean == tuple(mean_mpii)
    assert layout.normalizations["simple_baseline"].channel_order == "bgr"
    assert layout.normalizations["simple_baseline"].mean == IMAGENET.mean
