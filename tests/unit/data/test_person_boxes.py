"""The box reader: everybody, crowds apart, and plain words for malformed files."""

import json

import numpy as np
import pytest

from keras_pose.data.person_boxes import open_boxes, pad_boxes, read_coco_boxes
from keras_pose.losses.detection_losses import IGNORED, PADDING


def _annotation(number, image_id, bbox, **more):
    return {"id": number, "image_id": image_id, "category_id": 1, "bbox": bbox} | more


def _write(folder, annotations, **changes):
    values = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 50} for i in (7, 8)
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
    }
    path = folder / "person_keypoints_train.json"
    path.write_text(json.dumps(values | changes))
    (folder / "images").mkdir(exist_ok=True)
    return path


def _read(folder, annotations, **changes):
    return read_coco_boxes(_write(folder, annotations, **changes), folder / "images")


def test_boxes_are_clipped_and_crowds_ignored(tmp_path):
    source = _read(tmp_path, [
        _annotation(1, 8, [-10, 5, 30, 100]),
        _annotation(2, 8, [40, 10, 20, 20], iscrowd=1),
        _annotation(3, 7, [1, 2, 3, 4], category_id=2),
        _annotation(4, 8, [200, 10, 20, 20]),
        _annotation(5, 8, [10, 10, 0, 5]),
    ])  # fmt: skip

    assert source.image_ids == [7, 8]
    assert source.boxes.shape == (2, 8, 5)
    np.testing.assert_array_equal(
        source.boxes[1, :2], [[0, 5, 20, 50, 0], [40, 10, 60, 30, IGNORED]]
    )
    assert (source.boxes[1, 2:, 4] == PADDING).all()
    assert (source.boxes[0, :, 4] == PADDING).all()
    assert source.num_boxes == 1


def test_training_leaves_images_without_people_out(tmp_path):
    source = _read(tmp_path, [_annotation(1, 8, [0, 0, 9, 9])]).with_people()

    assert source.image_ids == [8]
    assert [path.name for path in source.images] == ["8.jpg"]


def test_nobody_at_all_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="nobody in the 2 images"):
        _read(tmp_path, []).with_people()


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (_annotation(5, 8, [0, 0, 9]), "annotation id 5, field 'bbox' must hold 4"),
        (_annotation(5, 8, [0, 0, 9, float("nan")]), "annotation id 5.*NaN"),
        (_annotation(5, 9, [0, 0, 9, 9]), "annotation id 5, field 'image_id'"),
        (
            {"id": 5, "image_id": 8, "category_id": 1},
            "annotation id 5, field 'bbox' is absent",
        ),
    ],
)
def test_malformed_annotations_are_named(tmp_path, annotation, words):
    with pytest.raises(ValueError, match=words):
        _read(tmp_path, [annotation])


def test_a_file_without_people_as_a_category_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no category named 'person'"):
        _read(tmp_path, [], categories=[{"id": 1, "name": "dog"}])


def test_image_names_stay_in_their_folder(tmp_path):
    image = {"id": 7, "file_name": "../secret.jpg", "width": 9, "height": 9}
    with pytest.raises(ValueError, match="outside the image folder"):
        _read(tmp_path, [], images=[image])


def test_data_sets_that_label_one_person_an_image_are_refused():
    with pytest.raises(ValueError, match="everybody is labelled"):
        open_boxes("lsp")


def test_rows_are_padded_to_a_multiple():
    assert pad_boxes([[[0, 0, 1, 1, 0]] * 9, []]).shape == (2, 16, 5)
