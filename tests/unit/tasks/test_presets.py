"""Names of presets, and what is said of what they download."""

import pytest
from says import Says

from keras_pose.tasks import presets
from keras_pose.tasks.pose_task import PoseTask
from keras_pose.weights.catalog import all_entries, get_entry
from keras_pose.zoo import TASKS


def test_every_official_weight_has_a_name_of_its_own():
    names = presets.list_presets()
    usable = [entry for entry in all_entries() if entry.is_usable]
    assert len(set(names)) == len(names) == len(usable) == len(all_entries())
    assert all(map(presets.is_preset_name, names))
    for entry in usable:
        assert presets.find_preset(presets.preset_name(entry)) is entry
    assert "rtmpose_s_coco" in names
    assert sum(len(presets.list_presets(task)) for task in TASKS) == len(names)


def test_an_unknown_name_is_answered_with_near_ones():
    with Says(
        "There is no preset 'rtmpose_s_cocoo'. Did you mean rtmpose_s_coco",
        do="Take one of the names that are suggested, or of `list_presets()`.",
    ).refuses():
        PoseTask.from_preset("rtmpose_s_cocoo")
    with pytest.raises(ValueError, match=r"no preset 'xyz'\. Presets are"):
        PoseTask.from_preset("xyz")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rtmdet_nano_person", "give it as detector='rtmdet_nano_person'"),
        ("hrnet_w32_classification_imagenet", "is for classification, not for keypoints"),
        ("hrnet_v2p_w18_imagenet", "is for features"),
    ],
)
def test_presets_for_other_tasks_say_what_they_are_for(name, message):
    with pytest.raises(ValueError, match=message):
        PoseTask.from_preset(name)


@pytest.mark.parametrize("name", ["rtmpose_s_coco", "rtmdet_m_coco"])
def test_what_finds_no_people_is_refused_as_a_detector(name):
    with pytest.raises(ValueError, match=r"no detector of people; .*rtmdet_nano_person"):
        presets.detector_preset(name)


def test_size_and_licence_are_said_before_a_download(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_POSE_HOME", str(tmp_path))
    recorded, unrecorded = (
        get_entry("rtmpose_s", "coco_aic"),
        get_entry("rtmpose_s", "coco"),
    )
    presets.announce([recorded, unrecorded])
    first, second = capsys.readouterr().out.splitlines()
    assert "rtmpose_s_coco_aic: 22 MB" in first
    assert "licence: Apache-2.0" in first
    assert "22 MB of weights (the file may hold more)" in second
    # What is here already is not announced.
    path = tmp_path / "downloads" / recorded.file_name
    path.parent.mkdir()
    path.touch()
    presets.announce([recorded])
    assert not capsys.readouterr().out
