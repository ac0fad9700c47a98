"""Files in COCO's format as any tool may write them: perfect predictions have AP 1.

A grammar of the format draws files with all the liberties that tools take; poses and
boxes of a file are then predicted as they were drawn, not as they were read.
"""

import io
import json
import shutil
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_pose.data.datasets import coco_ground_truth, open_dataset
from keras_pose.metrics.box_ap import box_stats
from keras_pose.metrics.coco_ap import evaluate_coco
from keras_pose.skeleton import COCO_17

NAMES, K = COCO_17.names, COCO_17.num_keypoints
ABSENT = object()
# A standing person, in shares of the box.
BODY = np.array([
    (.50, .08), (.55, .06), (.45, .06), (.60, .07), (.40, .07), (.70, .23), (.30, .23),
    (.83, .40), (.17, .40), (.90, .55), (.10, .55), (.63, .55), (.37, .55), (.67, .77),
    (.33, .77), (.68, .97), (.32, .97),
])  # fmt: skip
# How a file numbers things: the n-th is called so.
ID_KINDS = {
    "usual": lambda n: n + 1,
    "from_zero": lambda n: n,
    "negative": lambda n: -n - 5,
    "huge": lambda n: 2**60 + n,
    "text": lambda n: f"no {n}",
    "text_of_numbers": lambda n: f"{n:05d}",
}
id_kinds = st.sampled_from(list(ID_KINDS))


def rarely(usual, *others):
    """Draws the usual value in three of four cases, else one of the others."""
    return st.integers(0, 4 * len(others) - 1).map(
        lambda n: others[n] if n < len(others) else usual
    )


@cache
def picture(size_wh) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size_wh).save(buffer, "PNG")
    return buffer.getvalue()


@st.composite
def people(draw, size_wh):
    """Draws what is true of a person, and how the file says it."""
    width, height = size_wh
    box_wh = np.array(
        [draw(st.integers(24, width // 2)), draw(st.integers(40, height - 8))]
    )
    x = draw(st.integers(0, width - int(box_wh[0])))
    y = draw(st.integers(0, height - int(box_wh[1])))
    bits = draw(rarely(2**K - 1, 0, *[0b1011011 << n for n in range(0, 12, 3)]))
    labelled = np.array([bits >> k & 1 for k in range(K)], bool)
    box = draw(rarely("plain", "text", "float", "none", "empty", "zeros"))
    if box in ("none", "empty", "zeros"):  # it is then around the keypoints, if there are
        labelled[[0, 15]] = True
    return {
        "box_xywh": [x, y, *box_wh.tolist()],
        "keypoints_xy": (BODY * box_wh + (x, y)).round(2),
        "is_labelled": labelled,
        "is_crowd": draw(rarely(False, True)),
        "written": {
            "flags": draw(rarely("plain", "float", "confidence", "boolean", "text")),
            "empty": draw(rarely("zeros", "null", "place")),
            "shape": draw(rarely("flat", "triples", "text")),
            "box": box,
            "area": draw(rarely("plain", "absent", "null", "zero", "one", "text", "huge")),
            "count": draw(rarely("plain", "absent", "zero", "null", "wrong")),
            "iscrowd": draw(rarely("number", "boolean", "absent", "float", "null")),
            "segmentation": draw(rarely("absent", "null", "empty", "polygon", "rle")),
            "image_id": draw(rarely("plain", "plain", "as_text")),
        },
    }


@st.composite
def files(draw):
    """Draws what is true of a file, and how it says it."""
    pictures = []
    for _ in range(draw(st.integers(1, 3))):
        size_wh = draw(st.sampled_from([(160, 120), (120, 160), (200, 200)]))
        size = draw(rarely("plain", "zero", "absent", "null", "exchanged", "float", "text"))
        there = draw(st.lists(people(size_wh), max_size=3))
        pictures.append({"size_wh": size_wh, "size": size, "people": there})
    return {
        "pictures": pictures,
        "name": draw(rarely("{}.png", "deep/er/{}.png", "images/{}.png")),
        "ids": {what: draw(id_kinds) for what in ("images", "annotations", "categories")},
        "category": draw(rarely("person", "pedestrian", "Mensch", "")),
        "names": draw(rarely("given", "absent", "null", "empty")),
        "twin": draw(rarely(False, True)),
        "others": draw(st.integers(0, 2)),
        "order": draw(st.permutations(["images", "annotations", "categories"])),
        "more": draw(rarely({}, {"info": None, "licenses": []}, {"info": {"year": 2026}})),
        "encoding": draw(rarely("utf-8", "utf-8-sig")),
    }


def write_keypoints(person):
    written, rows = person["written"], []
    flag = {"plain": 2, "float": 2.0, "confidence": 0.7, "boolean": True, "text": "2"}
    none = {"plain": 0, "float": 0.0, "confidence": 0.0, "boolean": False, "text": "0"}
    kind = written["flags"]
    for (x, y), is_labelled in zip(
        person["keypoints_xy"].tolist(), person["is_labelled"], strict=True
    ):
        empty = {"zeros": [0, 0], "null": [None, None], "place": [x, y]}[written["empty"]]
        rows.append([x, y, flag[kind]] if is_labelled else [*empty, none[kind]])
    if written["shape"] == "triples":
        return rows
    values = [value for row in rows for value in row]
    if written["shape"] == "text":
        # Text and null or true in one list is more than any tool writes.
        values = [str(value) if type(value) in (int, float) else value for value in values]
    return values


def write_person(file, number, person, image_id, category_id):
    written, box = person["written"], person["box_xywh"]
    area = 0.6 * box[2] * box[3]
    count = int(person["is_labelled"].sum())
    is_crowd = person["is_crowd"]
    values = {
        "id": ID_KINDS[file["ids"]["annotations"]](number),
        "image_id": str(image_id) if written["image_id"] == "as_text" else image_id,
        "category_id": category_id,
        "keypoints": write_keypoints(person),
        "bbox": {
            "plain": box, "text": [str(value) for value in box],
            "float": [float(value) for value in box],
            "none": None, "empty": [], "zeros": [0, 0, 0, 0],
        }[written["box"]],
        "area": {
            "plain": area, "absent": ABSENT, "null": None, "zero": 0, "one": 1,
            "text": f"{area:.2f}", "huge": 1e9,
        }[written["area"]],
        "num_keypoints": {
            "plain": count, "absent": ABSENT, "zero": 0, "null": None, "wrong": count + 3,
        }[written["count"]],
        "iscrowd": {
            "number": int(is_crowd), "boolean": is_crowd, "float": float(is_crowd),
            "absent": 1 if is_crowd else ABSENT, "null": 1 if is_crowd else None,
        }[written["iscrowd"]],
        "segmentation": {
            "absent": ABSENT, "null": None, "empty": [], "polygon": [[1, 1, 5, 1, 5, 5]],
            "rle": {"counts": [3, 4], "size": [7, 1]},
        }[written["segmentation"]],
    }  # fmt: skip
    return {name: value for name, value in values.items() if value is not ABSENT}


def write_image(name, image_id, picture_of, folder):
    width, height = picture_of["size_wh"]
    path = folder / "images" / name.removeprefix("images/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(picture_of["size_wh"]))
    size = {
        "plain": (width, height), "zero": (0, 0), "absent": (ABSENT, ABSENT),
        "null": (None, None), "exchanged": (height, width),
        "float": (float(width), float(height)), "text": (str(width), str(height)),
    }[picture_of["size"]]  # fmt: skip
    values = {"id": image_id, "file_name": name, "width": size[0], "height": size[1]}
    return {name: value for name, value in values.items() if value is not ABSENT}


def write_file(file, folder):
    """Writes a file with its pictures; returns (image id, person) of everybody."""
    number_of = ID_KINDS[file["ids"]["categories"]]
    category = {"id": number_of(0), "name": file["category"]}
    names = {"given": list(NAMES), "null": None, "empty": []}
    if file["names"] != "absent":
        category["keypoints"] = names[file["names"]]
    categories = [category]
    if file["twin"]:  # such as Roboflow's group, of the same name and without anybody
        categories.insert(0, {"id": number_of(7), "name": file["category"]})
    images, annotations, everybody = [], [], []
    for i, each in enumerate(file["pictures"]):
        image_id = ID_KINDS[file["ids"]["images"]](i)
        images.append(write_image(file["name"].format(i), image_id, each, folder))
        for person in each["people"]:
            number = len(annotations)
            annotations.append(write_person(file, number, person, image_id, category["id"]))
            everybody.append((image_id, person))
    for n in range(file["others"]):
        categories.append({"id": number_of(n + 1), "name": f"thing {n}"})
        annotations.append({
            "id": ID_KINDS[file["ids"]["annotations"]](len(annotations)),
            "image_id": images[0]["id"],
            "category_id": number_of(n + 1),
            "bbox": [1, 2, 3, 4],
        })  # fmt: skip
    sections = {"images": images, "annotations": annotations, "categories": categories}
    values = {section: sections[section] for section in file["order"]} | file["more"]
    text = json.dumps(values)
    path = folder / "person_keypoints_val.json"
    path.write_text(text, encoding=file["encoding"])
    return everybody


def counts(person):
    return bool(person["is_labelled"].any()) and not person["is_crowd"]


def check_file(folder, everybody):
    """Predicts what is true of a file, and demands AP 1, of poses and of boxes."""
    counting = [(image_id, person) for image_id, person in everybody if counts(person)]
    if not counting:
        with pytest.raises(ValueError, match=r"no person to train|with keypoints"):
            open_dataset("coco", folder)
        return
    dataset = open_dataset("coco", folder)
    assert len(dataset.records) == len(counting)
    truth = coco_ground_truth(dataset)
    category_id = truth["categories"][0]["id"]
    poses = [
        {
            "image_id": image_id,
            "category_id": category_id,
            "keypoints": np.c_[person["keypoints_xy"], np.ones(K)].ravel().tolist(),
            "score": 1.0 - i / 100,
        }
        for i, (image_id, person) in enumerate(counting)
    ]
    poses = json.loads(json.dumps(poses))  # as a file of results is read back
    assert evaluate_coco(truth, poses, COCO_17.oks_sigmas)["AP"] == pytest.approx(1)
    boxes = [
        {
            "image_id": image_id,
            "category_id": category_id,
            "bbox": person["box_xywh"] if has_box(person) else annotation["bbox"],
            "score": 1.0 - i / 100,
        }
        for i, ((image_id, person), annotation) in enumerate(
            zip(everybody, truth["annotations"], strict=True)
        )
        if not person["is_crowd"]
    ]
    assert box_stats(truth, boxes)["AP"] == pytest.approx(1)


def has_box(person):
    return person["written"]["box"] in ("plain", "text", "float")


def check(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    try:
        everybody = write_file(file, folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # liberties are reported
            check_file(folder, everybody)
    finally:
        shutil.rmtree(folder)


SOME = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.mark.slow
@SOME
@given(file=files())
def test_perfect_predictions_have_ap_1_whatever_tool_wrote_the_file(file, tmp_path_factory):
    check(file, tmp_path_factory)


@pytest.mark.very_slow
@settings(SOME, max_examples=2000)
@given(file=files())
def test_perfect_predictions_have_ap_1_in_thousands_of_files(file, tmp_path_factory):
    check(file, tmp_path_factory)
