"""RTMO computes what mmpose's does: the maps of its head, and the people made of them."""

import keras
import numpy as np
import pytest
from parity_check import check_outputs, load_reference

from keras_pose.contracts.one_stage import PeopleCodec, one_stage_contract
from keras_pose.models.complexity import count_macs, count_params
from keras_pose.models.rtmo import map_names
from keras_pose.runtime.crowd_steps import people_of
from keras_pose.skeleton import COCO_17
from keras_pose.weights.importer import fill
from keras_pose.weights.layouts import is_idle, recognize
from keras_pose.zoo import build_model, get_spec


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "golden"),
    [
        ("rtmo_t", "rtmo_t_192x224"),
        pytest.param("rtmo_s", "rtmo_s_320x256", marks=pytest.mark.very_slow),
    ],
)
def test_maps_and_people_equal_the_references(name, golden):
    reference = load_reference(golden)
    model = build_model(name, input_hw=reference.input_hw)
    layout, tensors = recognize(reference.weights | _buffers(reference))
    fill(model, tensors, reference.name)
    maps = keras.Model(model.input, [model.get_layer(x).output for x in map_names()])

    check_outputs(maps(reference.image, training=False), reference)
    _check_people(model, reference)
    _check_counts(model, reference, tensors)
    assert layout.name == "mmpose"
    assert layout.normalizations["rtmo"] == get_spec(name).normalization


def _buffers(reference):
    """Numbers that checkpoints hold besides, whose values are not read."""
    shapes = reference.description["buffers"]
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def _check_people(model, reference):
    post = reference.description["post"]
    codec = PeopleCodec(**post, max_people=300)
    contract = one_stage_contract(model, COCO_17, get_spec(model.name).normalization, codec)
    outputs = model(reference.image, training=False)
    found = people_of([np.asarray(x)[0] for x in outputs], contract)

    stored = {
        name: reference.stored[f"people_{name}"] for name in reference.description["people"]
    }
    # Boxes may leave the input; the reference cuts them off. Bounds are a hundredth of a
    # pixel, and what float32 leaves of scores. Of boxes of hundreds of pixels, bins that
    # are nearly as likely as others make three times that.
    height, width = reference.input_hw
    boxes = np.clip(found.boxes_xyxy, 0, [width, height, width, height])
    np.testing.assert_allclose(found.scores, stored["scores"], atol=1e-5)
    np.testing.assert_allclose(boxes, stored["boxes"], atol=1e-2)
    np.testing.assert_allclose(found.keypoints_xy, stored["keypoints"], atol=5e-2)
    differences = np.abs(found.keypoints_xy - stored["keypoints"])
    assert np.quantile(differences, 0.99) < 1e-2
    np.testing.assert_allclose(found.keypoint_scores, stored["visibility"], atol=1e-5)


def _check_counts(model, reference, tensors):
    modules = {layer.name.replace("-", ".") for layer in model.layers}
    beside = sum(
        tensor.size
        for name, tensor in tensors.items()
        if is_idle(name, modules) and name in _parameters(reference)
    )
    assert count_params(model) == reference.description["param_count"] - beside
    of_people = [layer for layer in model.layers if layer.name.startswith("dcc")]
    whole = _Layers([layer for layer in model.layers if layer not in of_people])
    assert count_macs(whole) == reference.description["macs"]["total"]


def _parameters(reference):
    return {name.removeprefix("head.") for name, *_ in reference.description["params"]}


class _Layers:
    """Layers to count the work of, as those of a model."""

    def __init__(self, layers):
        self.layers = layers
