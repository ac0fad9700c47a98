"""The catalogue's rows are complete, and fit the zoo."""

import re
from collections import Counter

import pytest

from keras_pose.skeleton import SKELETONS
from keras_pose.weights.catalog import all_entries, entries_of, get_entry, is_word
from keras_pose.weights.layouts import OWN_FAMILIES, final_layer
from keras_pose.zoo import ZOO


def test_words_are_unique_and_look_like_words():
    names = Counter((entry.model, entry.weights) for entry in all_entries())
    assert max(names.values()) == 1
    assert all(is_word(word) for _, word in names)


@pytest.mark.parametrize(
    "entry", all_entries(), ids=lambda entry: f"{entry.model}-{entry.weights}"
)
def test_row_is_complete(entry):
    assert entry.licence
    assert entry.source
    assert entry.trained_on
    assert entry.sha256_from
    assert "/" not in entry.file_name
    assert not entry.file_name.startswith(".")
    assert (entry.url is None) != (entry.found_in is None)
    assert (entry.url or entry.found_in).startswith("https://")
    assert all(re.fullmatch("[0-9a-f]{8,64}", digest) for digest in entry.sha256)
    assert (entry.metric is None) == (entry.value is None) == (entry.protocol is None)
    assert entry.value is None or 0.2 < entry.value < 1
    if entry.url:
        assert entry.url.endswith(f"/{entry.file_name}")


def test_hashes_taken_from_names_stand_in_the_names():
    from_names = [e for e in all_entries() if e.sha256_from == "the name of the file"]
    assert len(from_names) > 50
    for entry in from_names:
        assert all(f"-{digest[:8]}" in entry.file_name for digest in entry.sha256)
        # Files of this folder were replaced in 2023, and kept their names.
        assert "2023012" not in entry.file_name or "rtmposev1" not in entry.url


def test_no_address_is_offered_for_two_input_sizes():
    sizes = {}
    for entry in all_entries():
        if entry.url and not entry.is_backbone and entry.weights != "imagenet":
            sizes.setdefault(entry.url, set()).add(entry.input_hw)
    assert all(len(found) == 1 for found in sizes.values())


def test_resnets_and_detectors_of_the_papers_take_bgr():
    for entry in all_entries():
        is_bgr = entry.normalization.channel_order == "bgr"
        is_old_resnet = "resnet" in entry.model and re.search(
            "leoxiaobin|microsoft", entry.weights
        )
        is_papers = entry.model.startswith(("rtmdet", "rtmo_", "openpose"))
        is_ours = entry.model.startswith(("rtmdet_lite", "openpose_lite"))
        expected = bool(is_old_resnet) or (is_papers and not is_ours)
        assert is_bgr == expected, entry


def test_usable_rows_fit_their_networks():
    usable = [entry for entry in all_entries() if entry.is_usable]
    assert {"hrnet_w32", "simple_baseline_resnet50"} <= {entry.model for entry in usable}
    for entry in usable:
        spec = ZOO[entry.model]
        if entry.input_hw:
            assert all(size % spec.input_multiple == 0 for size in entry.input_hw), entry
        if entry.skeleton in SKELETONS:
            assert SKELETONS[entry.skeleton].num_keypoints == entry.num_keypoints


def test_every_row_is_of_a_network_that_is_built():
    unusable = {entry.model for entry in all_entries() if not entry.is_usable}
    assert unusable == set()


def test_the_layer_that_tells_the_number_of_keypoints_is_known():
    for spec in ZOO.values():
        has_one = spec.task != "features"
        assert not has_one or spec.family in OWN_FAMILIES or final_layer(spec)


def test_plain_word_is_the_usual_size():
    for name in ("hrnet_w32", "hrnet_w48", "simple_baseline_resnet50"):
        assert entries_of(name)[0].weights == "coco"
        assert get_entry(name, "coco").input_hw == ZOO[name].input_hw
    assert get_entry("hrnet_w32", "coco_384x288").input_hw == (384, 288)


def test_unknown_words_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'cocoo' for hrnet_w32. Did you mean 'coco'"):
        get_entry("hrnet_w32", "cocoo")
    with pytest.raises(ValueError, match=r"for pose_slim. Known words: none"):
        get_entry("pose_slim", "coco")


@pytest.mark.parametrize("path", ["best.keras", "runs/coco", "./coco", "x.pth.tar"])
def test_paths_are_no_words(path):
    assert not is_word(path)
