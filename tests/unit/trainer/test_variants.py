"""Recipes that are compared: made of entries, refused where they do not fit."""

import json

import pytest

from keras_pose.measuring.tradeoff import Accuracy
from keras_pose.trainer.recipes import get_recipe
from keras_pose.trainer.variants import (
    Comparison,
    compare_variants,
    comparison_table,
    make_variants,
    read_variants,
)

BASE = get_recipe("testing_pose").override(max_steps=4)


def test_variants_differ_from_the_first_in_their_own_entries_only():
    variants = make_variants(
        BASE, {"mse": {}, "turned": {"augmentation": {"scale": 0.5}, "loss": "focused_mse"}}
    )
    assert variants.differences("mse") == {}
    changed = variants.differences("turned")
    assert changed["loss"] == "focused_mse"
    assert changed["augmentation"] == BASE.to_dict()["augmentation"] | {"scale": 0.5}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"a": {}}, "needs two variants, got 1"),
        ({"a": {}, "../b": {"seed": 1}}, r"names of folders.*'\.\./b'"),
        ({"a": {}, "b": {"sed": 1}}, r"Variant b: .*sed"),
        (
            {"a": {}, "b": {"learning_rate": -1}},
            "Variant b: learning_rate must be positive",
        ),
        ({"a": {}, "b": {"seed": BASE.seed}}, "The variants a and b are alike"),
    ],
)
def test_variants_that_do_not_fit_are_refused(entries, message):
    with pytest.raises(ValueError, match=message):
        make_variants(BASE, entries)


@pytest.mark.parametrize("content", [[], {"a": 1}])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "variants.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"variants\.json must hold one JSON object"):
        read_variants(path)


@pytest.mark.parametrize("steps", [0, 5])
def test_variants_have_one_number_of_steps(tmp_path, steps):
    variants = make_variants(BASE, {"a": {}, "b": {"max_steps": steps}})
    with pytest.raises(ValueError, match=f"one number of steps.*got .*{steps}"):
        compare_variants(variants, None, tmp_path)


def test_a_table_has_what_each_variant_brings():
    accuracy = Accuracy("AP", {"a": 0.25, "b": 0.5})
    table = comparison_table(Comparison({}, accuracy, {"a": {}, "b": {"seed": 3}}, 4))
    assert table.splitlines()[2:] == [
        "| a | 0.250 | +0.000 | - |",
        "| b | 0.500 | +0.250 | seed 3 |",
    ]
