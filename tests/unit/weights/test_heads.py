"""A trained body gets a head for other keypoints; rows that share a name go along."""

import dataclasses

import numpy as np
import pytest

from keras_pose.skeleton import COCO_17, Skeleton, plain_skeleton
from keras_pose.weights.heads import with_keypoints
from keras_pose.weights.provenance import (
    Provenance,
    contract_of,
    provenance_of,
    set_provenance,
)
from keras_pose.zoo import build_model

# COCO's number of keypoints; two of them are COCO's, at other places.
HORSE = Skeleton("horse_17", ("nose", *(f"hoof_{i}" for i in range(15)), "left_eye"))
TWO = Skeleton("two", ("left_eye", "tail"))


def trained(skeleton=COCO_17, name="testing_pose"):
    model = build_model(name)
    return set_provenance(model, Provenance("a.keras", codec="dark", skeleton=skeleton))


def head(model, name="heatmaps"):
    kernel, bias = model.get_layer(name).get_weights()
    return np.concatenate([kernel.reshape(-1, kernel.shape[-1]), bias[None]])


@pytest.mark.parametrize("skeleton", [HORSE, TWO], ids=["same_number", "fewer"])
def test_rows_of_keypoints_of_one_name_are_kept(skeleton, capsys):
    model = trained()
    model.get_layer("heatmaps").bias.assign(np.arange(17))

    changed = with_keypoints(model, skeleton.num_keypoints, skeleton)

    old, new = head(model), head(changed)
    eye = skeleton.names.index("left_eye")
    np.testing.assert_array_equal(new[:, eye], old[:, COCO_17.names.index("left_eye")])
    assert not (new[:-1, 1] == old[:-1, 1]).any()
    stem = model.get_layer("stem-conv").get_weights()[0]
    np.testing.assert_array_equal(changed.get_layer("stem-conv").get_weights()[0], stem)
    assert contract_of(changed).skeleton == skeleton
    shared = len(set(skeleton.names) & set(COCO_17.names))
    said = (
        f"are for 17 keypoints of coco_17, so for {len(skeleton.names)} of {skeleton.name} "
        f"these layers start at random but for the rows of the {shared} that share a name: "
        "heatmaps."
    )
    assert said in capsys.readouterr().out


def test_the_keypoints_in_another_order_keep_all_rows():
    model = trained()
    turned = dataclasses.replace(COCO_17, name="turned", names=COCO_17.names[::-1])
    changed = with_keypoints(model, 17, turned)
    np.testing.assert_array_equal(head(changed), head(model)[:, ::-1])


def test_every_stack_gets_its_rows():
    model = trained(name="testing_stacks")
    changed = with_keypoints(model, 2, TWO)
    place = COCO_17.names.index("left_eye")
    depends = [layer.name for layer in changed.layers
               if [w.shape for w in layer.weights]
               != [w.shape for w in model.get_layer(layer.name).weights]]  # fmt: skip
    assert len(depends) > 1
    for name in depends:
        old, new = (
            model.get_layer(name).get_weights(),
            changed.get_layer(name).get_weights(),
        )
        axis = [i for i, size in enumerate(old[0].shape) if size == 17][-1]
        np.testing.assert_array_equal(new[0].take(0, axis), old[0].take(place, axis))


def test_the_same_keypoints_keep_the_model():
    model = trained()
    assert with_keypoints(model, 17, COCO_17) is model
    assert with_keypoints(model, None) is model


@pytest.mark.parametrize("unknown", [None, plain_skeleton(17)])
def test_an_unknown_head_of_the_same_number_is_kept_and_a_line_says_so(unknown, capsys):
    model = trained(unknown)
    assert with_keypoints(model, 17, HORSE) is model
    assert "does not say which 17 keypoints" in capsys.readouterr().out
    assert provenance_of(model).skeleton is unknown
