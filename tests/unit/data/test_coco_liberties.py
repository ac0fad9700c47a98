"""COCO files as tools write them: read as their users mean them, or refused with words.

Every input is drawn here. What people of this field reported lies in a folder `cases`
beside the shared data, over which the last test runs where it is there.
"""

import json
import warnings

import numpy as np
import pytest
from PIL import Image
from says import Says

from keras_pose.data.datasets import coco_ground_truth, open_dataset
from keras_pose.data.person_boxes import read_coco_boxes
from keras_pose.data.readers.coco import Reading
from keras_pose.data.sources import records_source
from keras_pose.metrics.coco_ap import evaluate_coco
from keras_pose.skeleton import COCO_17

SIZE = (320, 240)  # width, height
# A standing person in a box of 60 x 120 pixels.
BODY = np.array([
    (30, 10), (33, 7), (27, 7), (36, 9), (24, 9), (42, 28), (18, 28), (50, 48), (10, 48),
    (54, 66), (6, 66), (38, 66), (22, 66), (40, 92), (20, 92), (41, 116), (19, 116),
], float)  # fmt: skip
PLACES = ((20, 20, 1.0), (150, 30, 1.2))
ABSENT = "absent"


def person(number, image_id=1, place=PLACES[0], **changes):
    x, y, scale = place
    keypoints = np.column_stack([BODY * scale + (x, y), np.full(17, 2)])
    values = {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [float(x), float(y), 60.0 * scale, 120.0 * scale],
        "area": 3600.0 * scale**2,
        "num_keypoints": 17,
        "keypoints": keypoints.round(2).ravel().tolist(),
    } | changes
    return {field: value for field, value in values.items() if value is not ABSENT}


def two_people(**changes):
    return [person(i + 1, place=place, **changes) for i, place in enumerate(PLACES)]


def write(folder, annotations=None, *, size=SIZE, image=None, encoding="utf-8", **sections):
    """Writes a file and its picture; returns the folder."""
    (folder / "images").mkdir(exist_ok=True)
    Image.new("RGB", size).save(folder / "images/a.png")
    image = {"id": 1, "file_name": "a.png", "width": SIZE[0], "height": SIZE[1]} | (
        image or {}
    )
    values = {
        "images": [{k: v for k, v in image.items() if v is not ABSENT}],
        "annotations": two_people() if annotations is None else annotations,
        "categories": [category()],
    } | sections
    text = json.dumps(values)
    (folder / "person_keypoints_val.json").write_text(text, encoding=encoding)
    return folder


def category(**changes):
    values = {"id": 1, "name": "person", "keypoints": list(COCO_17.names)} | changes
    return {field: value for field, value in values.items() if value is not ABSENT}


def perfect_ap(dataset):
    """AP of predictions that are the labels."""
    truth = coco_ground_truth(dataset)
    found = [
        {
            "image_id": record.image_id,
            "category_id": truth["categories"][0]["id"],
            "keypoints": np.column_stack([record.keypoints_xy, np.ones(17)])
            .ravel()
            .tolist(),
            "score": 1.0,
        }
        for record in dataset.records
    ]
    return evaluate_coco(truth, found, dataset.skeleton.oks_sigmas)["AP"]


def quietly(function, *args, **options):
    """Calls a function in which a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*args, **options)


def with_flags(flag):
    keypoints = person(1)["keypoints"]
    return [flag if i % 3 == 2 else value for i, value in enumerate(keypoints)]


NULLS = [*person(1)["keypoints"][:-3], None, None, 0]
NANS = [*person(1)["keypoints"][:-3], float("nan"), float("nan"), None]
TRIPLES = np.reshape(person(1)["keypoints"], (17, 3)).tolist()
LIBERTIES = [
    pytest.param({"num_keypoints": 0}, "1 people whose num_keypoints", id="count_of_zero"),
    pytest.param({"num_keypoints": ABSENT}, None, id="no_count"),
    pytest.param({"area": 0}, "1 people with an area of 0", id="area_of_zero"),
    pytest.param({"area": ABSENT}, "1 people without an area", id="no_area"),
    pytest.param({"area": None}, "1 people without an area", id="area_null"),
    pytest.param({"area": 1.0}, "area under a thousandth", id="area_of_one"),
    pytest.param({"area": 1e7}, "area over twice", id="area_of_the_picture"),
    pytest.param({"area": "3600.0"}, None, id="area_as_text"),
    pytest.param({"bbox": [0, 0, 0, 0]}, "1 people whose box has no extent", id="flat_box"),
    pytest.param({"bbox": []}, "1 people whose box has no extent", id="empty_box"),
    pytest.param({"bbox": None}, "1 people whose box has no extent", id="box_null"),
    pytest.param({"bbox": ABSENT}, "1 people without a box", id="no_box"),
    pytest.param({"bbox": ["20.0", "20", "60", 120]}, None, id="box_as_text"),
    pytest.param({"keypoints": with_flags(0.87)}, "1 people with confid", id="confidences"),
    pytest.param({"keypoints": with_flags(True)}, "true and false as flags", id="booleans"),
    pytest.param({"keypoints": with_flags(2.0)}, None, id="flags_as_floats"),
    pytest.param({"keypoints": with_flags("2")}, None, id="flags_as_text"),
    pytest.param({"keypoints": NULLS}, None, id="null_where_unlabelled"),
    pytest.param({"keypoints": NANS}, None, id="nan_where_unlabelled"),
    pytest.param({"keypoints": TRIPLES}, None, id="triples"),
    pytest.param({"iscrowd": False}, None, id="crowd_as_boolean"),
    pytest.param({"iscrowd": ABSENT}, None, id="no_crowd_field"),
    pytest.param({"segmentation": {"counts": "a", "size": [1, 1]}}, None, id="rle"),
    pytest.param({"segmentation": None}, None, id="segmentation_null"),
    pytest.param({"image_id": "1"}, "image_id of another type", id="image_id_as_text"),
    pytest.param({"image_id": 1.0}, None, id="image_id_as_float"),
    pytest.param({"category_id": 1.0}, None, id="category_as_float"),
    pytest.param({"category_id": "1"}, "category_id of another type", id="category_text"),
]


@pytest.mark.parametrize(("changes", "message"), LIBERTIES)
def test_a_liberty_is_made_good_and_told_once(tmp_path, changes, message):
    write(tmp_path, [person(1, **changes), person(2, place=PLACES[1])])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = open_dataset("coco", tmp_path)
        truth = coco_ground_truth(dataset)
    told = [str(warning.message) for warning in caught]
    # A box without extent has no area either where the file says 0; here it says one.
    assert [message in words for words in told] == [True] * bool(message), told
    assert all("annotation id 1)" in words for words in told)
    first, second = dataset.records
    num_labelled = 16 if changes.get("keypoints") in (NULLS, NANS) else 17
    assert (first.visibility > 0).sum() == num_labelled
    np.testing.assert_allclose(first.keypoints_xy[:16], BODY[:16] + 20)
    assert perfect_ap(dataset) == pytest.approx(1.0)
    assert truth["annotations"][1] == person(2, place=PLACES[1])  # as it was
    assert truth["annotations"][0]["num_keypoints"] == num_labelled
    assert second.area == pytest.approx(3600 * 1.44)


def test_a_file_may_write_all_keypoints_as_triples(tmp_path):
    people = [person(1, keypoints=TRIPLES), person(2, keypoints=TRIPLES)]
    dataset = quietly(open_dataset, "coco", write(tmp_path, people))
    assert perfect_ap(dataset) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"keypoints": TRIPLES},
        {"keypoints": [None] * 51},
        {"keypoints": ["1"] * 51},
        {"keypoints": ABSENT},
        {"area": None},
        {"area": ABSENT, "keypoints": None},
        {"bbox": ABSENT},
    ],
)
def test_what_a_crowd_lacks_does_not_matter(tmp_path, changes):
    people = [person(1), person(2, place=PLACES[1], iscrowd=1, **changes)]
    dataset = quietly(open_dataset, "coco", write(tmp_path, people))
    assert [record.annotation_id for record in dataset.records] == [1]
    assert perfect_ap(dataset) == pytest.approx(1.0)


@pytest.mark.filterwarnings("ignore:.*with an area of 0")
def test_a_flat_box_is_put_around_the_keypoints(tmp_path):
    write(tmp_path, [person(1, bbox=[0, 0, 0, 0], area=0)])
    with pytest.warns(UserWarning, match=r"1\.2 times as large"):
        (record,) = open_dataset("coco", tmp_path).records
    # Keypoints reach from 26 to 74 and 27 to 136; reading takes a pixel off.
    np.testing.assert_allclose(record.box_xywh, [21.2, 16.1, 56.6, 129.8])
    assert record.area == pytest.approx(57.6 * 130.8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": with_flags(-1)}, "annotation id 1, field 'keypoints' has flags"),
        ({"keypoints": with_flags(3)}, "annotation id 1, field 'keypoints' has flags"),
        ({"keypoints": [None, 1, 2] * 17}, "annotation id 1, field 'keypoints' holds NaN"),
        ({"keypoints": ["a"] * 51}, "annotation id 1, field 'keypoints' is not a list"),
        ({"area": "large"}, "annotation id 1, field 'area' is not"),
        ({"bbox": {"x": 1}}, "annotation id 1, field 'bbox'"),
        ({"bbox": [[1, 2], [3, 4]]}, "annotation id 1, field 'bbox' must hold 4"),
        ({"image_id": [1]}, "annotation id 1, field 'image_id' names no image"),
        ({"id": {"a": 1}}, "annotation id .* neither number nor text"),
    ],
)
def test_what_cannot_be_read_names_file_annotation_and_field(tmp_path, changes, message):
    write(tmp_path, [person(1, **changes)])
    with pytest.raises(ValueError, match=f"person_keypoints_val.json.*{message}"):
        open_dataset("coco", tmp_path)


def test_a_person_without_keypoints_is_a_box(tmp_path):
    for i, changes in enumerate([{"keypoints": None}, {"keypoints": ABSENT}]):
        (tmp_path / str(i)).mkdir()
        folder = write(
            tmp_path / str(i),
            [person(1), person(2, place=PLACES[1], num_keypoints=0, **changes)],
        )
        dataset = quietly(open_dataset, "coco", folder)
        assert [record.annotation_id for record in dataset.records] == [1]
        assert perfect_ap(dataset) == pytest.approx(1.0)
        path = folder / "person_keypoints_val.json"
        assert read_coco_boxes(path, folder / "images").num_boxes == 2


# Both are of a square of 3 x 3 pixels, 2 to the right and 1 down, in 6 x 8 pixels.
RUNS = [13, 3, 3, 3, 3, 3, 20]


@pytest.mark.filterwarnings("ignore:.*with an area over twice")
@pytest.mark.parametrize(
    ("segmentation", "box"),
    [
        ([[5, 6, 45.5, 6, 45.5, 30], [10, 20, 10, 40, 12, 30]], [5, 6, 40.5, 34]),
        ({"size": [6, 8], "counts": RUNS}, [2, 1, 3, 3]),
        ({"size": [6, 8], "counts": "=33000a0"}, [2, 1, 3, 3]),
        ({"size": [6, 8], "counts": [15, 5, 28]}, [2, 0, 2, 6]),
    ],
    ids=["polygons", "runs", "packed_runs", "over_the_end_of_a_column"],
)
def test_without_box_and_keypoints_the_outline_places_a_person(tmp_path, segmentation, box):
    lone = {"bbox": ABSENT, "keypoints": ABSENT, "segmentation": segmentation}
    folder = write(tmp_path, [person(1), person(2, num_keypoints=0, **lone)])
    path = folder / "person_keypoints_val.json"
    with Says(
        "1 people without a box or a labelled keypoint: it is put around their outline",
        do="Look at a few of the named; add `bbox` if the outline is not the person's.",
    ).warns():
        found = read_coco_boxes(path, folder / "images")
    x, y, width, height = box
    assert found.boxes[0, 1, :4].tolist() == [x, y, x + width, y + height]


@pytest.mark.parametrize("segmentation", [ABSENT, [], [[1]], {"size": [6, 8]}, {}, "a"])
def test_who_is_nowhere_is_refused(tmp_path, segmentation):
    lone = {"bbox": ABSENT, "keypoints": None, "segmentation": segmentation}
    with Says(
        "annotation id 1, field 'bbox' is absent, and no labelled keypoint or outline",
        do="Add `bbox`, `segmentation` or `keypoints` to the annotation, or delete it.",
    ).refuses():
        open_dataset("coco", write(tmp_path, [person(1, **lone)]))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_read(tmp_path, encoding):
    dataset = quietly(open_dataset, "coco", write(tmp_path, encoding=encoding))
    assert len(dataset.records) == 2
    assert perfect_ap(dataset) == pytest.approx(1.0)


@pytest.mark.parametrize("ids", [(0, 1), ("p1", "p2"), (-5, 2**60), (1.5, 2.5)])
def test_ids_of_any_type_come_out_as_they_are(tmp_path, ids):
    people = [person(i, image_id=ids[0]) for i in ids]
    write(tmp_path, people, image={"id": ids[0]})
    dataset = quietly(open_dataset, "coco", tmp_path)
    assert [record.annotation_id for record in dataset.records] == list(ids)
    assert {record.image_id for record in dataset.records} == {ids[0]}
    assert coco_ground_truth(dataset)["annotations"] == people


def chair(number):
    return {"id": number, "image_id": 1, "category_id": 2, "bbox": [5, 5, 30, 30]}


CHAIR = {"id": 2, "name": "chair", "supercategory": ""}
GROUP = {"id": 0, "name": "person", "supercategory": "none"}


@pytest.mark.parametrize(
    ("annotations", "categories"),
    [
        pytest.param(two_people(), [category(name="pedestrian")], id="pedestrian"),
        pytest.param([*two_people(), chair(9)], [CHAIR, category()], id="chairs"),
        pytest.param(two_people(), [GROUP, category()], id="group_and_class"),
        pytest.param(two_people(), [category(id=7), category()], id="both_with_keypoints"),
        pytest.param([*two_people(), chair(1)], [CHAIR, category()], id="ids_by_category"),
    ],
)
def test_the_category_with_keypoints_is_read(tmp_path, annotations, categories):
    write(tmp_path, annotations, categories=categories)
    dataset = quietly(open_dataset, "coco", tmp_path)
    assert [record.annotation_id for record in dataset.records] == [1, 2]
    assert perfect_ap(dataset) == pytest.approx(1.0)


@pytest.mark.parametrize("names", [[], None, ABSENT])
def test_a_category_without_names_has_the_skeletons(tmp_path, names):
    write(tmp_path, categories=[category(keypoints=names)])
    with pytest.warns(UserWarning, match="does not name its keypoints.*coco_17"):
        dataset = open_dataset("coco", tmp_path)
    assert perfect_ap(dataset) == pytest.approx(1.0)
    assert coco_ground_truth(dataset)["categories"][0]["keypoints"] == list(COCO_17.names)


def test_several_categories_want_a_choice(tmp_path):
    people = [person(1), person(2, place=PLACES[1], category_id=5)]
    kinds = [category(name="child"), category(id=5, name="adult")]
    write(tmp_path, people, categories=kinds)
    said = Says(
        "several categories or none with keypoints", do="Name one: --category NAME."
    )
    with said.refuses():
        open_dataset("coco", tmp_path)
    with pytest.raises(ValueError, match=r"'child' \(id 1\), 'adult' \(id 5\).*--category"):
        open_dataset("coco", tmp_path)
    dataset = open_dataset("coco", tmp_path, reading=Reading(category="adult"))
    assert [record.annotation_id for record in dataset.records] == [2]
    assert perfect_ap(dataset) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"no category 'dog'.*'child'"):
        open_dataset("coco", tmp_path, reading=Reading(category="dog"))


def test_categories_may_come_first(tmp_path):
    path = write(tmp_path) / "person_keypoints_val.json"
    values = json.loads(path.read_text())
    info = {"info": {"categories": [{"id": 3}]}}
    path.write_text(json.dumps(dict(reversed(values.items())) | info))
    assert len(quietly(open_dataset, "coco", tmp_path).records) == 2


@pytest.mark.parametrize(
    "size",
    [
        pytest.param({"width": 0, "height": 0}, id="zero"),
        pytest.param({"width": ABSENT, "height": ABSENT}, id="absent"),
        pytest.param({"width": None, "height": None}, id="null"),
        pytest.param({"width": SIZE[1], "height": SIZE[0]}, id="exchanged"),
    ],
)
def test_the_picture_says_how_large_it_is(tmp_path, size):
    write(tmp_path, image=size)
    with pytest.warns(UserWarning, match=r"1 pictures .*\(image id 1\)"):
        dataset = open_dataset("coco", tmp_path)
    # The second box ends at 222, past the height.
    np.testing.assert_allclose(dataset.records[1].box_xywh, [150, 30, 71, 143])
    assert dataset.records[0].image_hw == SIZE[::-1]
    image = coco_ground_truth(dataset)["images"][0]
    assert (image["width"], image["height"]) == SIZE


def test_sizes_as_text_are_numbers(tmp_path):
    write(tmp_path, image={"width": "320", "height": "240"})
    assert quietly(open_dataset, "coco", tmp_path).records[0].image_hw == (240, 320)


@pytest.mark.parametrize("labelled", [(320, 240), (240, 320)])
def test_labels_on_a_turned_picture_keep_their_size(tmp_path, labelled):
    write(tmp_path, [person(1)], image={"width": labelled[0], "height": labelled[1]})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE).save(tmp_path / "images/a.png", exif=exif)
    (record,) = quietly(open_dataset, "coco", tmp_path).records
    assert record.image_hw == labelled[::-1]


def test_labels_for_larger_pictures_are_refused_or_scaled(tmp_path):
    write(tmp_path, size=(160, 120))
    said = Says(
        "fields 'width' and 'height' say 320 x 240, but ... is 160 x 120",
        do="Take the pictures that were labelled, or scale labels: --rescale-labels.",
    )
    with said.refuses():
        open_dataset("coco", tmp_path)
    reading = Reading(rescale_labels=True)
    with pytest.warns(UserWarning, match="1 pictures of another size"):
        dataset = open_dataset("coco", tmp_path, reading=reading)
    record = dataset.records[0]
    # Pixel centres are whole numbers: (x + 0.5) / 2 - 0.5.
    np.testing.assert_allclose(record.keypoints_xy, (BODY + 20.5) / 2 - 0.5)
    np.testing.assert_allclose(record.box_xywh, [10, 10, 29, 59])
    assert (record.area, record.image_hw) == (900, (120, 160))
    assert perfect_ap(dataset) == pytest.approx(1.0)


def test_labels_of_another_picture_are_refused(tmp_path):
    write(tmp_path, size=(160, 200))
    for reading in (Reading(), Reading(rescale_labels=True)):
        with pytest.raises(ValueError, match="No one factor"):
            open_dataset("coco", tmp_path, reading=reading)


def test_boxes_of_another_resolution_are_refused(tmp_path):
    write(tmp_path, [person(1, bbox=[240.0, 150.0, 60.0, 80.0]), person(2)])
    said = Says(
        "people have their keypoints outside the crop around their box, field 'bbox'",
        do="Write boxes of the pictures that the keypoints are of.",
    )
    with said.refuses():
        open_dataset("coco", tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_coordinates_as_shares_of_the_picture_are_named(tmp_path):
    row = person(1)
    row["keypoints"] = [
        v if i % 3 == 2 else v / 320 for i, v in enumerate(row["keypoints"])
    ]
    row["bbox"] = [value / 320 for value in row["bbox"]]
    write(tmp_path, [row])
    said = Says(
        "All coordinates are within 1: COCO's are pixels",
        do="Multiply coordinates by the width and height of their pictures.",
    )
    with said.refuses():
        open_dataset("coco", tmp_path)


def test_one_box_in_many_that_is_elsewhere_is_told(tmp_path):
    wrong = person(99, bbox=[240.0, 150.0, 60.0, 80.0])
    write(tmp_path, [wrong, *(person(i) for i in range(20))])
    with pytest.warns(UserWarning, match=r"1 people whose keypoints lie .*id 99\)"):
        assert len(open_dataset("coco", tmp_path).records) == 21


def test_corners_in_place_of_sizes_are_told(tmp_path):
    people = two_people()
    for row in people:
        x, y, width, height = row["bbox"]
        row["bbox"] = [x, y, x + width, y + height]
    write(tmp_path, people)
    said = Says(
        "people, most of all, with a 'bbox' that ... likely x1, y1, x2, y2",
        do="Write boxes as x, y, width, height.",
    )
    with said.warns():
        open_dataset("coco", tmp_path)
    (tmp_path / "right").mkdir()
    quietly(open_dataset, "coco", write(tmp_path / "right"))


def test_boxes_that_begin_at_their_centre_are_told(tmp_path):
    people = two_people()
    for row in people:
        x, y, width, height = row["bbox"]
        row["bbox"] = [x + width / 2, y + height / 2, width, height]
    write(tmp_path, people)
    said = Says(
        "with a 'bbox' around whose first point their keypoints lie ... at the centre",
        do="Write boxes as the corner x, y at the upper left, then width and height.",
    )
    with said.warns():
        open_dataset("coco", tmp_path)


@pytest.mark.parametrize("size", [{}, {"width": ABSENT, "height": ABSENT}])
def test_labels_of_larger_pictures_are_told_where_no_size_says_it(tmp_path, size):
    people = two_people()
    for row in people:
        row["bbox"] = [value * 2 for value in row["bbox"]]
        row["keypoints"] = [
            value * (2 if i % 3 < 2 else 1) for i, value in enumerate(row["keypoints"])
        ]
    write(tmp_path, people, image=size)
    said = Says(
        "people, most of all, with keypoints outside their picture: ... of a larger one",
        do="Take the pictures that were labelled, or state their width and height: labels "
        "are then scaled by --rescale-labels.",
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        open_dataset("coco", tmp_path)
    told = " ".join(str(each.message) for each in caught)
    said.is_in(told)
    assert "x1, y1" not in told


@pytest.mark.parametrize(
    ("field", "words"),
    [("keypoints", "of the keypoints are within 1"), ("bbox", "coordinates are within 1")],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_shares_of_one_of_the_fields_are_named(tmp_path, field, words):
    row = person(1)
    row[field] = [v if v == 2 else v / 320 for v in row[field]]
    write(tmp_path, [row])
    with pytest.raises(ValueError, match=words):
        open_dataset("coco", tmp_path)


@pytest.mark.parametrize("name", ["images/a.png", "images\\a.png", "./a.png", "a.png"])
def test_names_start_from_any_of_the_usual_folders(tmp_path, name):
    write(tmp_path, image={"file_name": name})
    dataset = quietly(open_dataset, "coco", tmp_path)
    assert dataset.records[0].image_path.is_file()
    boxes = read_coco_boxes(tmp_path / "person_keypoints_val.json", tmp_path / "images")
    assert boxes.images[0].is_file()


def test_a_picture_that_is_not_there_is_no_part_of_the_figure(tmp_path):
    write(tmp_path, [*two_people(), person(3, image_id=2)])
    path = tmp_path / "person_keypoints_val.json"
    values = json.loads(path.read_text())
    values["images"].append(values["images"][0] | {"id": 2, "file_name": "gone.png"})
    path.write_text(json.dumps(values))
    with pytest.warns(UserWarning, match=r"left out 1 people: their image is missing"):
        dataset = open_dataset("coco", tmp_path)
    truth = coco_ground_truth(dataset)
    assert [image["id"] for image in truth["images"]] == [1]
    assert perfect_ap(dataset) == pytest.approx(1)


@pytest.mark.parametrize("name", ["../a.png", "images/../../a.png", "/a.png"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    write(tmp_path, image={"file_name": name})
    Image.new("RGB", SIZE).save(tmp_path.parent / "a.png")
    said = Says(
        "field 'file_name' points outside the image folder",
        do="Write names below the folder; links in it may lead elsewhere.",
    )
    with said.refuses():
        open_dataset("coco", tmp_path)


def test_a_table_is_a_sequence_of_records(tmp_path):
    table = open_dataset("coco", write(tmp_path)).records
    first, second = table
    assert table[0] is first  # as long as somebody holds it
    assert table[-1] is second
    assert [record.annotation_id for record in table[1:]] == [2]
    with pytest.raises(IndexError):
        table[2]
    source, listed = (records_source(people, COCO_17) for people in (table, list(table)))
    assert source.images == listed.images
    for field in ("image_index", "boxes_xywh", "keypoints_xy", "visibility"):
        a, b = getattr(source, field), getattr(listed, field)
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def test_a_clean_file_is_its_own_ground_truth(tmp_path):
    crowd = person(3, iscrowd=1, keypoints=[0] * 51, num_keypoints=0)
    write(tmp_path, [*two_people(), crowd])
    dataset = quietly(open_dataset, "coco", tmp_path)
    values = json.loads(dataset.annotation_path.read_text())
    assert coco_ground_truth(dataset) == values
    assert not dataset.records.is_mended


AS_EXPECTED = {
    "annotation_id_zero": 2, "area_of_one": 2, "area_zero_or_absent": 2,
    "boxes_of_another_category": 2, "byte_order_mark": 2, "category_without_names": 2,
    "confidences_as_flags": 2, "control": 2, "corners_as_box": 2, "count_of_zero": 2,
    "exif_turned": 1, "flat_box": 2, "folder_in_the_name": 2,
    "group_and_class_of_one_name": 2, "null_and_text": 1, "null_where_unlabelled": 2,
    "other_category": 2, "size_of_zero": 2, "text_ids": 2, "width_and_height_exchanged": 2,
}  # fmt: skip
REFUSED = {
    "labels_outside_their_box": "outside the crop",
    "pictures_were_made_smaller": "320 x 240, but .* is 160 x 120",
}


@pytest.fixture
def cases(shared_data_dir):
    folder = shared_data_dir.parent / "cases"
    if not folder.is_dir():
        pytest.skip("the folder of reported cases is not beside the shared data")
    return folder


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_reported_cases(cases):
    counts = {case: len(open_dataset("coco", cases / case).records) for case in AS_EXPECTED}
    assert counts == AS_EXPECTED
    for case, words in REFUSED.items():
        with pytest.raises(ValueError, match=words):
            open_dataset("coco", cases / case)
