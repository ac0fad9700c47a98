"""RTMPose, RTMDet, Lite-HRNet, ViTPose and PP-TinyPose compute what their references do."""

from types import SimpleNamespace

import numpy as np
import pytest
from parity_check import check_counts, check_outputs, check_parity, load_reference

from keras_pose.models.complexity import count_macs, count_params
from keras_pose.weights.importer import fill
from keras_pose.weights.layouts import recognize
from keras_pose.zoo import build_model, get_spec


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "golden"),
    [
        ("rtmdet_nano", "rtmdet_nano_person_320"),
        ("vitpose_s", "vitpose_s_256x192"),
        pytest.param(
            *("rtmdet_tiny", "rtmdet_tiny_coco_160x128"), marks=pytest.mark.very_slow
        ),
        pytest.param(
            *("vitpose_s_simple", "vitpose_s_simple_256x192"), marks=pytest.mark.very_slow
        ),
    ],
)
def test_output_equals_the_references(name, golden):
    reference = load_reference(golden)
    model = build_model(name, input_hw=reference.input_hw)

    layout = check_parity(model, reference)

    assert layout.name == "mmpose"
    assert layout.normalizations[get_spec(name).family] == get_spec(name).normalization


def _fill_from(model, reference):
    fill(model, recognize(reference.weights)[1], reference.name)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["t", pytest.param("s", marks=pytest.mark.very_slow)])
def test_rtmpose_joins_the_references_two_outputs(size):
    reference = load_reference(f"rtmpose_{size}_256x192")
    model = build_model(f"rtmpose_{size}")
    _fill_from(model, reference)

    simcc = np.asarray(model(reference.image, training=False))

    check_counts(model, reference)
    check_outputs(np.split(simcc, [2 * 192], axis=-1), reference)


@pytest.mark.slow
@pytest.mark.very_slow
def test_lite_hrnet_computes_once_what_the_reference_computes_twice():
    reference = load_reference("litehrnet18_256x192")
    model = build_model("lite_hrnet_18")
    _fill_from(model, reference)

    check_outputs(model(reference.image, training=False), reference)

    assert count_params(model) == reference.description["param_count"]
    assert _macs_of_reference(model) == reference.description["macs"]["total"]


def _macs_of_reference(model):
    """Counts the paths from the first branch of each fusion twice."""
    repeated = [
        layer
        for layer in model.layers
        if any(f"fuse_layers-{to}-0-" in layer.name for to in (1, 2, 3))
    ]
    return count_macs(model) + count_macs(SimpleNamespace(layers=repeated))


@pytest.mark.slow
@pytest.mark.very_slow
def test_tiny_pose_equals_paddle_detections():
    reference = load_reference("tiny_pose_128x96")

    layout = check_parity(build_model("tiny_pose_128x96"), reference)

    assert layout.name == "paddle"
    assert layout.normalizations["tiny_pose"] == get_spec("tiny_pose").normalization


def test_larger_sizes_have_the_references_counts():
    # From the README of the references, to the digits it gives; it has no outputs.
    rows = {
        "rtmpose_m": (13.587611, 1.9177),
        "rtmpose_l": (27.660339, 4.1423),
        "rtmdet_m": (24.663447, 38.939),
        "vitpose_b": (89.99, 18.523),
        "vitpose_b_simple": (85.91, 17.461),
    }
    for name, (megaparams, gigamacs) in rows.items():
        spec = get_spec(name)
        assert spec.params / 1e6 == pytest.approx(megaparams, abs=5e-3)
        assert spec.macs / 1e9 == pytest.approx(gigamacs, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "gigamacs"), [("rtmw_m", 4.3), ("rtmw_l", 7.9), ("rtmw_x", 13.1)]
)
def test_rtmw_has_the_published_work(name, gigamacs):
    # mmpose 1.3.0's release notes; its counter adds norms and activations, under 1 %.
    assert get_spec(name).macs / 1e9 == pytest.approx(gigamacs, rel=0.01)


@pytest.mark.very_slow
@pytest.mark.parametrize(
    ("size", "input_hw", "params", "gigamacs"),
    [
        ("t", (256, 192), 5_519_779, 0.55),
        ("s", (256, 192), 8_383_575, 0.9),
        ("m", (256, 192), 17_953_039, 2.22),
        ("l", (256, 192), 33_480_871, 4.52),
        ("l", (384, 288), 33_610_919, 10.07),
    ],
)
def test_dwpose_is_rtmpose_with_133_keypoints(size, input_hw, params, gigamacs):
    # Work as in mmpose's configs/wholebody_2d_keypoint/dwpose/README.md (t: 0.5 there).
    model = build_model(f"rtmpose_{size}", num_keypoints=133, input_hw=input_hw)
    assert count_params(model) == params
    assert count_macs(model) / 1e9 == pytest.approx(gigamacs, rel=0.01)


@pytest.mark.very_slow
def test_lite_hrnet_30_has_the_references_counts():
    model = build_model("lite_hrnet_30")

    assert count_params(model) / 1e6 == pytest.approx(1.764, abs=5e-4)
    assert _macs_of_reference(model) / 1e9 == pytest.approx(0.3861, abs=5e-5)
