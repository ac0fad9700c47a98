"""Whole bodies, hands, faces and feet are read out of their sets' own files."""

import warnings

import numpy as np
import pytest
from PIL import Image
from says import Says
from wholebody_files import annotation, flat, write_wholebody

from keras_pose.data import open_dataset
from keras_pose.data.datasets import coco_ground_truth
from keras_pose.data.readers.wflw import read_wflw
from keras_pose.skeleton import COCO_WHOLEBODY_133, WHOLEBODY_PARTS


def opened(name, folder, split="val"):
    """Opens a set; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return open_dataset(name, folder, split)


def test_a_whole_body_is_one_list_of_all_its_parts(tmp_path):
    folder = write_wholebody(tmp_path, [annotation()])
    dataset = opened("coco_wholebody", folder)
    (record,) = dataset.records

    assert dataset.skeleton is COCO_WHOLEBODY_133
    assert record.visibility.tolist() == [1] * 133
    starts = [10, 20, 12, 30, 30]
    for place, start in zip(WHOLEBODY_PARTS.values(), starts, strict=True):
        np.testing.assert_array_equal(record.keypoints_xy[place.start], [start, start])
    assert record.area == 3600
    (truth,) = coco_ground_truth(dataset)["annotations"]
    assert truth["keypoints"][3 * 23 : 3 * 91] == annotation()["face_kpts"]


def test_a_part_counts_only_where_its_flag_is_set(tmp_path):
    # Points that were left in a part that is not valid must not teach anything.
    stray = annotation(face_valid=False, foot_valid=False)
    dataset = opened("coco_wholebody", write_wholebody(tmp_path, [stray]))

    expected = np.ones(133)
    expected[17:91] = 0
    np.testing.assert_array_equal(dataset.records[0].visibility, expected)
    (truth,) = coco_ground_truth(dataset)["annotations"]
    np.testing.assert_array_equal(truth["keypoints"][2::3], expected)


def test_a_person_with_nothing_but_a_face_is_read(tmp_path):
    face = annotation(valid=("face",), keypoints=[0] * 51, num_keypoints=0)
    dataset = opened("coco_wholebody", write_wholebody(tmp_path, [face]))
    assert dataset.records[0].visibility.sum() == 68


def test_each_valid_hand_is_an_entry_of_its_own(tmp_path):
    both, right = annotation(1), annotation(2, valid=("righthand",))
    crowd = annotation(3, iscrowd=1)
    dataset = opened("coco_wholebody_hand", write_wholebody(tmp_path, [both, right, crowd]))

    ids = [record.annotation_id for record in dataset.records]
    assert ids == ["1_lefthand", "1_righthand", "2_righthand"]
    np.testing.assert_array_equal(dataset.records[0].box_xywh, [30, 30, 23, 19])
    assert [a["id"] for a in coco_ground_truth(dataset)["annotations"]] == ids


def test_faces_are_read_with_their_boxes(tmp_path):
    people = [annotation(1), annotation(2, valid=("foot",))]
    dataset = opened("coco_wholebody_face", write_wholebody(tmp_path, people))
    assert [record.annotation_id for record in dataset.records] == ["1_face"]
    assert dataset.records[0].keypoints_xy.shape == (68, 2)


def test_a_part_of_another_length_is_refused(tmp_path):
    folder = write_wholebody(tmp_path, [annotation(foot_kpts=[1, 2, 2])])
    says = Says(
        "annotation id 1, field 'foot_kpts' must hold 18 numbers, got 3",
        do="Take the annotation file of COCO-WholeBody as it is given out.",
    )
    with says.refuses():
        open_dataset("coco_wholebody", folder)


def test_a_file_of_coco_is_not_one_of_whole_bodies(tmp_path):
    plain = annotation()
    del plain["face_kpts"]
    folder = write_wholebody(tmp_path, [plain])
    says = Says(
        "annotation id 1 lacks the field 'face_kpts'",
        do="Name the set that the file is of: COCO's own file is `--dataset coco`.",
    )
    with says.refuses():
        open_dataset("coco_wholebody", folder)


def test_halpe_gives_its_first_26(tmp_path):
    person = annotation(keypoints=flat(136, 10), num_keypoints=136)
    folder = write_wholebody(tmp_path, [person], name="halpe_val_v1.json")
    dataset = opened("halpe26", folder)
    np.testing.assert_array_equal(dataset.records[0].keypoints_xy[:, 0], 10 + np.arange(26))
    (truth,) = coco_ground_truth(dataset)["annotations"]
    assert truth["keypoints"] == flat(26, 10)


def test_halpe_with_another_number_of_keypoints_is_refused(tmp_path):
    folder = write_wholebody(tmp_path, [annotation()], name="halpe_val_v1.json")
    with pytest.raises(ValueError, match="must hold 408 numbers of Halpe-FullBody, got 51"):
        open_dataset("halpe26", folder)


def test_the_box_of_300w_is_around_its_points(tmp_path):
    face = annotation(keypoints=flat(68, 10), num_keypoints=68, bbox=[0, 0, 1, 1])
    del face["area"]
    write_wholebody(tmp_path, [face], name="face_landmarks_300w_valid.json")
    (tmp_path / "val2017").rename(tmp_path / "images")
    (record,) = opened("300w", tmp_path).records
    # 67 pixels between first and last, 1.2 times that, less the reader's pixel.
    np.testing.assert_allclose(record.box_xywh, [3.3, 3.3, 79.4, 79.4])


def wflw_line(shift=0, words=()):
    points = np.repeat(np.arange(98) + shift, 2)
    return " ".join(map(str, [*points, 5, 6, 95, 86, *[0] * 6, *words, "35--B/a.jpg"]))


def write_wflw(folder, lines):
    (folder / "WFLW_images" / "35--B").mkdir(parents=True)
    Image.new("RGB", (120, 120)).save(folder / "WFLW_images" / "35--B" / "a.jpg")
    path = folder / "list_98pt_rect_attr_test.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_wflws_own_list_is_read(tmp_path):
    path = write_wflw(tmp_path, [wflw_line(), wflw_line(shift=2)])
    first, second = read_wflw(path, tmp_path / "WFLW_images")

    np.testing.assert_array_equal(first.box_xywh, [5, 6, 90, 80])
    np.testing.assert_array_equal(second.keypoints_xy[97], [99, 99])
    assert (first.image_id, second.image_id) == (1, 1)
    assert (first.annotation_id, second.annotation_id) == (1, 2)
    assert first.image_path == tmp_path / "WFLW_images" / "35--B" / "a.jpg"


def test_a_line_of_wflw_with_another_number_of_words_is_refused(tmp_path):
    path = write_wflw(tmp_path, [wflw_line(), wflw_line(words=("0",))])
    with pytest.raises(ValueError, match=r"line 2 must hold 206 numbers .* got 208 words"):
        read_wflw(path, tmp_path / "WFLW_images")
