"""Networks of images compute what the references do, weight for weight."""

import numpy as np
import pytest
from parity_check import check_parity, load_reference

from keras_pose.pictures.normalization import IMAGENET
from keras_pose.weights.creation import create_model
from keras_pose.weights.layouts import recognize
from keras_pose.zoo import get_spec

# One a family for `make test`.
CASES = [
    ("hrnet_w32", "hrnet_w32_256x192"),
    ("hrnet_w18_classification", "cls_hrnet_w18_224"),
    ("simple_baseline_resnet18", "pose_resnet18_256x192"),
    ("hourglass_1", "hg1_mpii_256x256"),
]
MORE_CASES = [
    ("hrnet_w32", "hrnet_w32_mpii_256x256"),
    ("hrnet_w32", "mmpose_hrnet_w32_256x192"),
    ("hrnet_w32_udp_offset", "udp_hrnet_w32_256x192_offset"),
    ("hrnet_w32_classification", "cls_hrnet_w32_224"),
    ("hrnet_v2_w48_segmentation", "seg_hrnet_w48_256x512"),
    ("simple_baseline_resnet50", "pose_resnet50_256x192"),
    ("simple_baseline_resnet50", "pose_resnet50_mpii_256x256"),
    ("simple_baseline_resnet101", "pose_resnet101_256x192"),
    ("simple_baseline_resnet50_caffe", "ms_pose_resnet50_caffe_256x192"),
    ("simple_baseline_mobilenet_v2", "mobilenetv2_256x192"),
    ("hourglass_2", "hg2_mpii_256x256"),
    ("efficientnet_lite0", "efficientnet_lite0_224x224"),
    ("efficientnet_lite2", "efficientnet_lite2_100x76"),
]
LAYOUTS = {
    "open-mmlab/mmpose": "mmpose",
    "efficientnet-lite-pytorch (PyPI)": "efficientnet",
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "golden"), CASES, ids=[golden for _, golden in CASES])
def test_output_equals_the_references(name, golden):
    check_output(name, golden)


@pytest.mark.very_slow
@pytest.mark.parametrize(
    ("name", "golden"), MORE_CASES, ids=[golden for _, golden in MORE_CASES]
)
def test_output_of_more_networks_equals_the_references(name, golden):
    check_output(name, golden)


def check_output(name, golden):
    reference = load_reference(golden)
    maps_per_keypoint = get_spec(name).options.get("maps_per_keypoint", 1)
    num_keypoints = reference.num_channels // maps_per_keypoint
    model = create_model(name, num_keypoints, reference.input_hw)

    layout = check_parity(model, reference)

    repository = reference.description["source"]["repo"]
    assert layout.name == LAYOUTS.get(repository, "reference")


def test_layouts_carry_the_normalization_of_their_training(golden_dir):
    layout, _ = recognize({"conv1.weight": np.zeros(1)})
    mean_mpii = np.load(golden_dir / "hg_bearpaw_mean.npz")["mean_mpii"]

    assert layout.normalizations["hrnet"] == get_spec("hrnet_w32").normalization
    assert layout.normalizations["hourglass"].mean == tuple(mean_mpii)
    assert layout.normalizations["simple_baseline"].channel_order == "bgr"
    assert layout.normalizations["simple_baseline"].mean == IMAGENET.mean
