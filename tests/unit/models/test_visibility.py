"""The head that says whether keypoints are visible, hidden or outside."""

import numpy as np
import pytest
import tensorflow as tf

from keras_pose.contracts.entries import save_keras_model
from keras_pose.losses import VisibilityCrossEntropy
from keras_pose.models.complexity import count_macs
from keras_pose.models.visibility import coarsest_maps, has_visibility, with_visibility
from keras_pose.runtime.keras_backend import load_network
from keras_pose.runtime.loading import load_model
from keras_pose.skeleton import COCO_17, SKELETONS
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import contract_of
from keras_pose.zoo import build_model, get_spec

IMAGES = np.random.default_rng(0).standard_normal((2, 64, 48, 3)).astype("float32")


@pytest.mark.parametrize("name", ["pose_slim", "rtmpose_t"])
def test_the_head_costs_less_than_a_hundredth_of_the_network(name):
    network, spec = build_model(name), get_spec(name)
    added = count_macs(with_visibility(network, 17)) - spec.macs
    assert 0 < added < 0.01 * spec.macs
    # Of the trunk, not of a mask for its channels or of the keypoints' own maps.
    assert tuple(coarsest_maps(network).shape[1:3]) == (8, 6)


def test_the_head_leaves_the_network_as_it_is_and_moves_none_of_its_weights():
    network = build_model("testing_stacks")
    model = with_visibility(network, 17)

    logits, *outputs = model(IMAGES, training=False)

    assert logits.shape == (2, 17, 3)
    for found, expected in zip(outputs, network(IMAGES, training=False), strict=True):
        np.testing.assert_array_equal(found, expected)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(IMAGES, training=True)[0] ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    moved = {
        weight.path.split("/")[0]
        for weight, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is not None
    }
    assert moved
    assert all(name.startswith("visibility-") for name in moved)


def test_networks_without_peaks_have_no_head():
    with pytest.raises(ValueError, match="reads the peaks of heatmaps or SimCC vectors"):
        create_model("deep_pose_resnet18", input_hw=(64, 64), visibility=True)
    with pytest.raises(ValueError, match="for networks that see one person"):
        create_model("testing_detector", visibility=True)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    model = create_model("testing_pose", visibility=True)
    path = tmp_path_factory.mktemp("head") / "head.keras"
    save_keras_model(model, path, contract_of(model))
    return path


def test_the_head_of_a_file_stays_or_goes_as_one_wishes(file, capsys):
    expected = load_network(file)(IMAGES, training=False)

    kept = create_model("testing_pose", weights=file)
    gone = create_model("testing_pose", weights=file, visibility=False)
    other = create_model("testing_pose", 14, weights=file, skeleton=SKELETONS["lsp_14"])

    for found, wanted in zip(kept(IMAGES, training=False), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(gone(IMAGES, training=False), expected[1])
    assert contract_of(kept).visibility is not None
    assert contract_of(gone).visibility is None
    assert not has_visibility(other)
    assert "its head for visibility is of other keypoints" in capsys.readouterr().out


def test_a_file_with_a_head_gives_probabilities_beside_its_outputs(file):
    model = load_model(file)
    crops = np.random.default_rng(1).integers(0, 256, (3, 64, 48, 3), np.uint8)

    outputs, logits = model.predict_all(crops)

    np.testing.assert_allclose(outputs, model.predict(crops), atol=1e-6)
    shares = model.contract.visibility.probabilities(logits)
    assert shares.shape == (3, COCO_17.num_keypoints, 3)
    np.testing.assert_allclose(shares.sum(axis=-1), 1, atol=1e-6)


def test_the_loss_is_the_log_share_of_the_true_kind_and_leaves_unknown_ones_out():
    logits = np.log(np.array([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]], "float32"))
    kinds, weights = np.array([[0, -1]]), np.array([[1.0, 0.0]], "float32")

    loss = VisibilityCrossEntropy()(kinds, logits, weights)

    assert float(loss) == pytest.approx(-np.log(0.5) / 2)  # the mean over both keypoints
