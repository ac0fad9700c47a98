"""Folders as annotation tools unpack them: splits and pictures are found."""

import json

import numpy as np
import pytest
from PIL import Image
from says import Says

from keras_pose.data.datasets import coco_ground_truth, open_dataset
from keras_pose.data.person_boxes import open_boxes
from keras_pose.data.unpacked_folders import share_of
from keras_pose.skeleton import COCO_17

PEOPLE = {"id": 0, "name": "people", "supercategory": "none"}
PERSON = {"id": 1, "name": "person", "keypoints": list(COCO_17.names)}


def write(path, folder, num_images=1, file_name="{}.png", categories=(PERSON,)):
    """Writes an annotation file, and its pictures into a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    points = np.column_stack([np.arange(17) + 10, np.arange(17) + 12, np.full(17, 2)])
    images, annotations = [], []
    for i in range(num_images):
        Image.new("RGB", (64, 48)).save(folder / f"{i}.png")
        name = file_name.format(i)
        images.append({"id": i, "file_name": name, "width": 64, "height": 48})
        annotations.append({
            "id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "area": 300,
            "bbox": [8, 10, 22, 24], "num_keypoints": 17,
            "keypoints": points.ravel().tolist(),
        })  # fmt: skip
    values = {"images": images, "annotations": annotations, "categories": list(categories)}
    path.write_text(json.dumps(values))


def as_cvat(folder, num_images):
    write(folder / "annotations/person_keypoints_default.json",
          folder / "images/default", num_images)  # fmt: skip


def as_roboflow(folder, num_images):
    for split in ("train", "valid", "test"):
        write(folder / split / "_annotations.coco.json", folder / split, num_images,
              categories=(PEOPLE, PERSON))  # fmt: skip


@pytest.mark.parametrize(
    ("file", "pictures", "name"),
    [
        ("valid/_annotations.coco.json", "valid", "{}.png"),
        ("annotations/val.json", "val", "{}.png"),
        ("annotations/person_keypoints_val.json", "images/val", "{}.png"),
        ("annotations/instances_Validation.json", "images/Validation", "{}.png"),
        ("val.json", "pictures", "pictures/{}.png"),
        ("person_keypoints_val.json", "val", "{}.png"),
    ],
)
def test_a_split_is_found_with_its_pictures(tmp_path, file, pictures, name):
    write(tmp_path / file, tmp_path / pictures, 2, name)
    dataset = open_dataset("coco", tmp_path, "val")
    assert len(dataset.records) == 2
    assert dataset.records[0].image_path.is_file()
    source, path, _ = open_boxes("coco", tmp_path, "val")
    assert (source.num_boxes, path) == (2, tmp_path / file)
    assert source.images[0].is_file()
    with pytest.raises(FileNotFoundError, match="No train split"):
        open_dataset("coco", tmp_path, "train")


def test_roboflow_has_its_own_splits(tmp_path):
    as_roboflow(tmp_path, 3)
    for split, folder in (("train", "train"), ("val", "valid")):
        dataset = open_dataset("coco", tmp_path, split)
        assert len(dataset.records) == 3
        assert dataset.records[0].image_path.parent.name == folder


ONE_SPLIT = (
    "annotations/person_keypoints_default.json",
    "result.json",
    "person_keypoints_train.json",
)


@pytest.mark.parametrize("file", ONE_SPLIT)
def test_of_one_split_a_tenth_is_val(tmp_path, file):
    write(tmp_path / file, tmp_path / "images", 30)
    parts = {}
    for split, count in (("train", 27), ("val", 3)):
        with pytest.warns(UserWarning, match=f"only split: {split} is {count} of its 30"):
            parts[split] = open_dataset("coco", tmp_path, split)
    names = {
        split: {record.image_path.name for record in dataset.records}
        for split, dataset in parts.items()
    }
    assert {split: len(members) for split, members in names.items()} == {
        "train": 27, "val": 3,
    }  # fmt: skip
    assert not names["train"] & names["val"]
    truth = coco_ground_truth(parts["val"])
    assert {image["file_name"] for image in truth["images"]} == names["val"]
    assert len(truth["annotations"]) == 3
    boxes = [open_boxes("coco", tmp_path, split)[0].num_boxes for split in names]
    assert boxes == [27, 3]


def test_the_share_depends_on_names_alone():
    names = [f"{i}.png" for i in range(50)]
    assert share_of(names, "val") == share_of(reversed(names), "val")
    assert share_of(names, "val") | share_of(names, "train") == set(names)


def test_one_picture_is_val_and_nothing_is_left_to_train_on(tmp_path):
    as_cvat(tmp_path, 1)
    with pytest.warns(UserWarning, match="val is 1 of its 1"):
        assert len(open_dataset("coco", tmp_path, "val").records) == 1
    said = Says(
        "has one picture with people, which is for val: none is left to train on",
        do="Label more pictures.",
    )
    with said.refuses():
        open_dataset("coco", tmp_path, "train")


def test_several_files_for_a_split_are_listed(tmp_path):
    for name in ("val_a.json", "val_b.json"):
        write(tmp_path / name, tmp_path / "images")
    said = Says(
        "Several files of ... might be its val split",
        do="Leave one annotation file for each split in the folder.",
    )
    with said.refuses():
        open_dataset("coco", tmp_path, "val")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_reported_folders(shared_data_dir):
    cases = shared_data_dir.parent / "cases"
    if not cases.is_dir():
        pytest.skip("the folder of reported cases is not beside the shared data")
    for case in ("as_cvat_unpacks", "as_roboflow_unpacks"):
        assert len(open_dataset("coco", cases / case, "val").records) == 2
