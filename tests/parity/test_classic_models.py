"""Hourglasses, CPM and OpenPose compute what the reference's do, weight for weight."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from parity_check import (
    GOLDEN_DIR,
    check_counts,
    check_outputs,
    check_parity,
    load_reference,
)

from keras_pose.inference import PoseEstimator
from keras_pose.models.complexity import count_macs, count_params
from keras_pose.models.cpm import cpm_mpii_stages
from keras_pose.models.openpose import build_openpose
from keras_pose.models.openpose_channels import CHANNELS, field_channels
from keras_pose.weights.importer import fill, import_weights, save
from keras_pose.weights.layouts import recognize
from keras_pose.weights.provenance import normalization_of
from keras_pose.zoo import build_model, get_spec


def filled(model, reference):
    _, tensors = recognize(reference.weights)
    fill(model, tensors, reference.name)
    return model


def num_trained(reference, is_meant):
    """Counts the numbers of the tensors that `is_meant`, without running statistics."""
    return sum(
        tensor.size
        for name, tensor in reference.weights.items()
        if is_meant(name) and "running_" not in name and "num_batches" not in name
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "golden", "layout"),
    [
        ("cpm", "mmpose_cpm_256x192", "mmpose"),
        ("openpose_light_1", "lightweight_openpose_1", "reference"),
        pytest.param(
            *("openpose_light_3", "lightweight_openpose_3", "reference"),
            marks=pytest.mark.very_slow,
        ),
    ],
    ids=lambda value: str(value),
)
def test_output_equals_the_references(name, golden, layout):
    reference = load_reference(golden)
    model = build_model(name, input_hw=reference.input_hw)

    assert check_parity(model, reference).name == layout


@pytest.mark.slow
def test_princetons_hourglass_leaves_out_shortcuts_that_are_not_applied():
    reference = load_reference("princeton_hg2_256x256")
    model = build_model("hourglass_princeton_2", 16, reference.input_hw)
    kept = {layer.name.replace("-", ".") for layer in model.layers}

    filled(model, reference)

    check_outputs(model(reference.image, training=False), reference)
    assert count_macs(model) == reference.description["macs"]["total"]
    idle = num_trained(
        reference,
        lambda name: ".skip_layer." in name and name.rpartition(".")[0] not in kept,
    )
    assert count_params(model) + idle == reference.description["param_count"]


@pytest.mark.very_slow  # 94 million weights
def test_hourglass_52_leaves_out_the_block_of_a_second_stack():
    reference = load_reference("mmpose_hourglass52_256x256")
    model = filled(build_model("hourglass_52", input_hw=reference.input_hw), reference)

    check_outputs(model(reference.image, training=False), reference)
    assert count_macs(model) == reference.description["macs"]["total"]
    idle = num_trained(reference, lambda name: "inters.0." in name)
    assert count_params(model) + idle == reference.description["param_count"]


@pytest.mark.slow
@pytest.mark.very_slow
def test_the_authors_cpm_equals_the_references_on_image_and_centre_map():
    reference = load_reference("cpm_mpii_368")
    seen = keras.Input((*reference.input_hw, 4))
    beliefs = cpm_mpii_stages(seen[..., :3], seen[..., 3:], reference.num_channels)
    model = filled(keras.Model(seen, beliefs), reference)

    check_outputs(model(reference.image, training=False), reference)
    check_counts(model, reference)


@pytest.mark.very_slow
def test_cpm_of_the_zoo_draws_the_centre_map_and_cuts_the_background_off():
    reference = load_reference("cpm_mpii_368")
    model = filled(build_model("cpm_mpii", num_keypoints=14), reference)
    rows, columns = np.mgrid[:368, :368] - 184
    center_map = np.exp(-(rows**2 + columns**2) / (2 * 21**2))
    seen = keras.Input((368, 368, 4))
    stages = filled(
        keras.Model(seen, cpm_mpii_stages(seen[..., :3], seen[..., 3:], 15)), reference
    )
    image = reference.image[..., :3]
    with_map = np.concatenate([image, center_map[None, ..., None]], axis=-1)

    actual = model(image, training=False)
    expected = stages(with_map.astype("float32"), training=False)

    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs[..., :14], atol=1e-3)
    check_counts(model, reference)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "golden", "last_outputs"),
    [
        ("openpose_mpi", "openpose_mpi_184", (10, 11)),
        pytest.param(
            *("openpose_body25", "openpose_body25_184", (3, 5)),
            marks=pytest.mark.very_slow,
        ),
    ],
    ids=["mpi", "body25"],
)
def test_openposes_last_fields_and_heatmaps_equal_the_references(
    name, golden, last_outputs
):
    reference = load_reference(golden)
    model = filled(build_model(name, input_hw=reference.input_hw), reference)

    outputs = model(reference.image, training=False)

    check_outputs([outputs[i] for i in last_outputs], reference)
    check_counts(model, reference)


@pytest.mark.very_slow
def test_hzzones_openpose_is_cmus_with_rectified_heatmaps():
    reference = load_reference("hzzone_openpose_coco_184")
    options = get_spec("openpose_coco").options
    rectified = build_openpose(18, reference.input_hw, **options, relu_heatmaps=True)
    plain = build_model("openpose_coco", input_hw=reference.input_hw)

    outputs = filled(rectified, reference)(reference.image, training=False)
    *_, heatmaps = filled(plain, reference)(reference.image, training=False)

    check_outputs(outputs[-2:], reference)
    check_counts(rectified, reference)
    np.testing.assert_array_equal(np.maximum(heatmaps, 0), outputs[-1])


@pytest.mark.slow
def test_a_checkpoint_of_openpose_is_imported_with_its_normalization(tmp_path):
    reference = load_reference("openpose_mpi_184")
    np.savez(tmp_path / "mpi.npz", **reference.weights)

    model = import_weights("openpose_mpi", tmp_path / "mpi.npz", input_hw=(16, 16))
    normalization = normalization_of(model)

    assert model.outputs[-1].shape[-1] == 15 + 1
    assert normalization == get_spec("openpose_mpi").normalization
    image = np.arange(6.0).reshape(1, 2, 3) * 40
    np.testing.assert_allclose(normalization(image), image[..., ::-1] / 256 - 0.5, 1e-6)


# `getPosePartPairs` and `POSE_MAP_INDEX` of OpenPose's poseParameters.cpp, and
# `BODY_PARTS_KPT_IDS`, `BODY_PARTS_PAF_IDS` of lightweight OpenPose's keypoints.py:
# the reference's order of limbs, and the field where each begins.
COCO_LIMBS = (
    "1-2 1-5 2-3 3-4 5-6 6-7 1-8 8-9 9-10 1-11 11-12 12-13 1-0 0-14 14-16 0-15 15-17 "
    "2-16 5-17",
    "12 20 14 16 22 24 0 2 4 6 8 10 28 30 34 32 36 18 26",
)
BODY_25_LIMBS = (
    "1-8 1-2 1-5 2-3 3-4 5-6 6-7 8-9 9-10 10-11 8-12 12-13 13-14 1-0 0-15 15-17 0-16 "
    "16-18 2-17 5-18 14-19 19-20 14-21 11-22 22-23 11-24",
    "0 14 22 16 18 24 26 6 2 4 8 10 12 30 32 36 34 38 20 28 40 42 44 46 48 50",
)
MPI_LIMBS = (
    "0-1 1-2 2-3 3-4 1-5 5-6 6-7 1-14 14-8 8-9 9-10 14-11 11-12 12-13",
    "0 2 4 6 8 10 12 14 16 18 20 22 24 26",
)


@pytest.mark.parametrize(
    ("name", "limbs"),
    [
        ("openpose_coco", COCO_LIMBS),
        ("openpose_light_1", COCO_LIMBS),
        ("openpose_light_3", COCO_LIMBS),
        ("openpose_body25", BODY_25_LIMBS),
        ("openpose_mpi", MPI_LIMBS),
    ],
)
def test_fields_lie_where_the_reference_has_them(name, limbs):
    skeleton = CHANNELS[name]
    spec = get_spec(name)
    pairs, channels = (text.split() for text in limbs)

    for pair, channel in zip(pairs, channels, strict=True):
        start, end = (skeleton.names[int(index)] for index in pair.split("-"))
        assert field_channels(skeleton, (start, end))[0] == int(channel)

    assert len(skeleton.limbs) == len(pairs) == spec.options["num_limbs"]
    assert skeleton.num_keypoints == spec.num_keypoints
    with pytest.raises(ValueError, match="no limb"):
        field_channels(skeleton, ("neck", "tail"))


@pytest.mark.parametrize(
    ("name", "golden"),
    [
        ("openpose_coco", "hzzone_openpose_coco_184"),
        ("openpose_mpi", "openpose_mpi_184"),
        ("openpose_body25", "openpose_body25_184"),
    ],
)
def test_rows_of_openpose_cost_what_the_reference_does_at_its_own_size(name, golden):
    description = json.loads((GOLDEN_DIR / f"{golden}.json").read_text())
    at_368 = description["macs_other"][0]

    assert at_368["input"] == [1, 3, 368, 368]
    assert get_spec(name).macs == at_368["total"]
    assert get_spec(name).params == description["param_count"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "golden"),
    [
        ("openpose_light_1", "lightweight_openpose_1"),
        pytest.param(
            *("openpose_coco", "hzzone_openpose_coco_184"), marks=pytest.mark.very_slow
        ),
    ],
)
def test_a_checkpoint_finds_people_through_the_whole_chain(name, golden, tmp_path):
    reference = load_reference(golden)
    np.savez(tmp_path / "official.npz", **reference.weights)
    model = import_weights(name, tmp_path / "official.npz", input_hw=reference.input_hw)
    path = save(model, tmp_path / "pose.keras")
    estimator = PoseEstimator(path, box_threshold=0)
    whole = estimator.pose_model
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*reference.input_hw, 3), np.uint8)

    heatmaps, fields = whole.predict(image)
    expected = model(whole.contract.normalization(image[None]), training=False)
    last = {x.shape[-1]: np.asarray(x)[0] for x in expected}
    np.testing.assert_allclose(heatmaps, last[19], atol=1e-4)
    np.testing.assert_allclose(fields, last[38], atol=1e-4)
    assert whole.contract.skeleton == CHANNELS[name]
    # Seeded weights draw hills of some height; the codec is asked for those.
    highest = float(heatmaps[..., :-1].max())
    codec = dataclasses.replace(
        whole.contract.codec, min_peak=abs(highest) / 2, min_field=1e-6, min_share=0.1
    )
    whole.contract = dataclasses.replace(whole.contract, codec=codec)
    poses = estimator(image)
    found = codec.decode(heatmaps, fields, CHANNELS[name])
    assert len(poses) == (found.scores > 0).sum() > 0
    np.testing.assert_allclose(poses.keypoints_xy, found.keypoints_xy, atol=0.01)
