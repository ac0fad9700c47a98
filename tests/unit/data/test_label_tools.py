"""Folders as labelling tools write them: each format by a small file of its own."""

import json
import warnings

import numpy as np
import pytest
from PIL import Image
from says import Says

from keras_pose.data.datasets import coco_ground_truth, open_for_skeleton
from keras_pose.data.mixing import open_train, open_val, parse_mix, target_skeleton
from keras_pose.data.readers.coco import Reading
from keras_pose.data.readers.plain_yaml import read_plain_yaml
from keras_pose.data.readers.tools import find_labels
from keras_pose.skeleton import COCO_17, Skeleton

# One person of three keypoints in each of two pictures of 200 x 100; the tail is hidden
# in the first and not labelled in the second.
NAMES = ("left_ear", "right_ear", "tail")
FIRST = [[40, 20], [60, 20], [50, 80]]
SECOND = [[140, 30], [160, 36], [0, 0]]
SIZE_WH = (200, 100)

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><job><labels>
    <label><name>cat</name><type>skeleton</type><svg>
      &lt;line data-type="edge" data-node-from="1" data-node-to="3"&gt;&lt;/line&gt;
      &lt;circle data-type="element node" data-node-id="1" data-label-name="left_ear"/&gt;
      &lt;circle data-type="element node" data-node-id="3" data-label-name="tail"/&gt;
    </svg></label>
    <label><name>left_ear</name><type>points</type><parent>cat</parent></label>
    <label><name>right_ear</name><type>points</type><parent>cat</parent></label>
    <label><name>tail</name><type>points</type><parent>cat</parent></label>
  </labels></job></meta>
  <image id="0" name="a.png" subset="Train" width="200" height="100">
    <skeleton label="cat" source="manual" z_order="0" group_id="4">
      <points label="tail" outside="0" occluded="1" points="50.00,80.00"/>
      <points label="left_ear" outside="0" occluded="0" points="40.00,20.00"/>
      <points label="right_ear" outside="0" occluded="0" points="60.00,20.00"/>
    </skeleton>
    <box label="cat" xtl="30" ytl="10" xbr="80" ybr="90" group_id="4"/>
  </image>
  <image id="1" name="b.png" subset="Validation" width="200" height="100">
    <skeleton label="cat" source="manual" z_order="0">
      <points label="tail" outside="1" occluded="0" points="7.00,7.00"/>
      <points label="left_ear" outside="0" occluded="0" points="140.00,30.00"/>
      <points label="right_ear" outside="0" occluded="0" points="160.00,36.00"/>
    </skeleton>
  </image>
</annotations>
"""


def pictures(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE_WH).save(folder / name)


def write_cvat(folder, text=CVAT):
    pictures(folder, "images/Train/a.png", "images/Validation/b.png")
    (folder / "annotations.xml").write_text(text)


def write_cvat_points(folder):
    def points(label, xy, more=""):
        return f'<points label="{label}" points="{xy[0]},{xy[1]}" {more}/>'

    shapes = [
        "".join(points(n, xy, 'group_id="0"') for n, xy in zip(NAMES, xys, strict=True))
        for xys in (FIRST[:2], SECOND[:2])
        for NAMES in [("left_ear", "right_ear")]
    ]
    shapes[0] += points("tail", FIRST[2], 'occluded="1"')
    shapes[0] += '<box label="cat" xtl="30" ytl="10" xbr="80" ybr="90"/>'
    images = (
        "".join(
            f'<image name="{name}" width="200" height="100">{shape}</image>'
            for name, shape in zip("ab", shapes, strict=True)
        )
        .replace('"a"', '"a.png" subset="train"')
        .replace('"b"', '"b.png" subset="val"')
    )
    pictures(folder, "images/a.png", "images/b.png")
    (folder / "annotations.xml").write_text(
        f"<annotations><version>1.1</version>{images}</annotations>"
    )


def percent(xy):
    return {"x": xy[0] / SIZE_WH[0] * 100, "y": xy[1] / SIZE_WH[1] * 100}


def region(id_, kind, value, **more):
    size = {"original_width": SIZE_WH[0], "original_height": SIZE_WH[1]}
    return {"id": id_, "type": kind, "value": value, "image_rotation": 0} | size | more


def task(number, name, people, **more):
    """Returns a Label Studio task; a person is places and the marks of the hidden."""
    result = []
    for box, keypoints in people:
        box_id = f"box{len(result)}"
        if box:
            x, y, w, h = box
            size = {"width": w / SIZE_WH[0] * 100, "height": h / SIZE_WH[1] * 100}
            value = percent((x, y)) | size | {"rotation": 0, "rectanglelabels": ["cat"]}
            result.append(region(box_id, "rectanglelabels", value))
        for label, xy, hidden in keypoints:
            id_ = f"point{len(result)}"
            value = percent(xy) | {"width": 0.5, "keypointlabels": [label]}
            parent = {"parentID": box_id} if box else {}
            result.append(region(id_, "keypointlabels", value, **parent))
            if hidden:
                result.append(region(id_, "choices", {"choices": ["Hidden"]}))
    annotation = {"id": number, "completed_by": 1, "result": result, **more}
    image = f"/data/upload/3/0a1b2c3d-{name}"
    return {"id": number, "data": {"image": image}, "annotations": [annotation]}


def label_studio_tasks():
    first = list(zip(NAMES, FIRST, (False, False, True), strict=True))
    second = list(zip(NAMES[:2], SECOND[:2], (False, False), strict=True))
    box = (30, 10, 50, 80)
    return [task(1, "a.png", [(box, first)]), task(2, "b.png", [(None, second)])]


def write_label_studio(folder):
    pictures(folder, "images/a.png", "images/b.png")
    (folder / "export.json").write_text(json.dumps(label_studio_tasks()))


def write_label_studio_min(folder):
    pictures(folder, "images/a.png", "images/b.png")
    tasks = []
    for full in label_studio_tasks():
        kinds = {"keypointlabels": [], "rectanglelabels": []}
        for one in full["annotations"][0]["result"]:
            if one["type"] in kinds:
                size = {k: one[k] for k in ("original_width", "original_height")}
                kinds[one["type"]].append(one["value"] | size)
        tasks.append(
            {
                "image": full["data"]["image"],
                "id": full["id"],
                "kp": kinds["keypointlabels"],
                "bbox": kinds["rectanglelabels"],
            }
        )
    (folder / "min.json").write_text(json.dumps(tasks))


def yolo_line(box_xywh, keypoints):
    x, y, w, h = box_xywh
    width, height = SIZE_WH
    numbers = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
    for (kx, ky), *flag in keypoints:
        numbers += [kx / width, ky / height, *flag]
    return "0 " + " ".join(f"{number:.6f}" for number in numbers) + "\n"


YAML = """\
path: /home/someone/cats  # of another machine
train: ../train/images
val: valid/images

nc: 1
names: ['cat']
kpt_shape: [3, 3]
flip_idx: [1, 0, 2]
kpt_names:
  0:
    - left_ear
    - right_ear
    - tail
"""


def write_yolo(folder, with_flags=True, yaml=YAML):
    pictures(folder, "train/images/a.png", "valid/images/b.png")
    flags = ((2, 2, 1), (2, 2, 0)) if with_flags else (((),) * 3,) * 2
    for path, box, xys, marks in (
        ("train/labels/a.txt", (30, 10, 50, 80), FIRST, flags[0]),
        ("valid/labels/b.txt", (139, 24, 22, 12), SECOND, flags[1]),
    ):
        (folder / path).parent.mkdir(parents=True)
        pairs = [
            (xy, flag) if with_flags else (xy,) for xy, flag in zip(xys, marks, strict=True)
        ]
        (folder / path).write_text(yolo_line(box, pairs))
    text = yaml if with_flags else yaml.replace("[3, 3]", "[3, 2]")
    (folder / "data.yaml").write_text(text)


def shape(label, points, kind="point", group=None, **flags):
    return {"label": label, "points": points, "group_id": group, "shape_type": kind,
            "flags": flags, "description": ""}  # fmt: skip


def labelme_file(shapes, name, size_wh=SIZE_WH):
    size = {"imageHeight": size_wh[1], "imageWidth": size_wh[0], "imageData": None}
    return {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": name} | size


def write_labelme(folder):
    pictures(folder, "train/a.png", "val/b.png")
    first = [
        shape("cat", [[80, 90], [30, 10]], "rectangle", 1),
        shape("tail", [FIRST[2]], group=1, occluded=True),
        shape("left_ear", [FIRST[0]], group=1),
        shape("right_ear", [FIRST[1]], group=1),
    ]
    second = [shape(n, [xy]) for n, xy in zip(NAMES[:2], SECOND[:2], strict=True)]
    for path, shapes in (("train/a", first), ("val/b", second)):
        values = labelme_file(shapes, rf"..\pictures\{path[-1]}.png")
        (folder / f"{path}.json").write_text(json.dumps(values))
    (folder / "labels.txt").write_text("__ignore__\ncat\nleft_ear\nright_ear\ntail\n")


DLC_HEAD = (
    "scorer,,,anna,anna,anna,anna,anna,anna\n"
    "bodyparts,,,left_ear,left_ear,right_ear,right_ear,tail,tail\n"
    "coords,,,x,y,x,y,x,y\n"
)


def write_deeplabcut(folder):
    rows = ("labeled-data,film,a.png,40,20,60,20,50,80\n"
            "labeled-data,film,b.png,140.0,30.0,160.0,36.0,,\n")  # fmt: skip
    pictures(folder, "labeled-data/film/a.png", "labeled-data/film/b.png")
    (folder / "labeled-data/film/CollectedData_anna.csv").write_text(DLC_HEAD + rows)


@pytest.mark.parametrize(
    ("write", "flag_of_hidden"),
    [
        pytest.param(write_cvat, 1, id="cvat_skeletons"),
        pytest.param(write_cvat_points, 1, id="cvat_points"),
        pytest.param(write_label_studio, 1, id="label_studio"),
        pytest.param(write_label_studio_min, 2, id="label_studio_min"),
        pytest.param(write_yolo, 1, id="yolo"),
        pytest.param(lambda folder: write_yolo(folder, False), 2, id="yolo_without_flags"),
        pytest.param(write_labelme, 1, id="labelme"),
        pytest.param(write_deeplabcut, 2, id="deeplabcut"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_tools_folder_is_found_and_read(tmp_path, write, flag_of_hidden):
    write(tmp_path)
    mix = parse_mix(f"cats={tmp_path}")
    target = target_skeleton(mix)
    # CVAT's points and Label Studio have no list of keypoints: theirs are as they come.
    assert set(target.names) == set(NAMES)
    assert target.mirrored == (("left_ear", "right_ear"),)
    by_name = {}
    for dataset in (*open_train(mix), open_val(mix)):
        assert dataset.name == "cats"
        for record in dataset.records:
            by_name[record.image_path.name] = record
    order = [target.index(name) for name in NAMES]
    a, b = by_name["a.png"], by_name["b.png"]
    np.testing.assert_allclose(a.keypoints_xy[order], FIRST, atol=1e-3)
    np.testing.assert_allclose(b.keypoints_xy[order], SECOND, atol=1e-3)
    assert a.visibility[order].tolist() == [2, 2, flag_of_hidden]
    assert b.visibility[order].tolist() == [2, 2, 0]
    assert a.image_hw == SIZE_WH[::-1]
    # CVAT's rule of clipping boxes to the picture takes a pixel off; none is near a side.
    if write is not write_deeplabcut:  # which has no boxes
        np.testing.assert_allclose(a.box_xywh, [30, 10, 50, 80], atol=1.01)
    assert b.box_xywh[0] < 140
    assert a.image_path.is_file()


def test_a_tools_folder_is_read_by_the_word_auto_too(tmp_path):
    write_cvat(tmp_path)
    mix = parse_mix("auto", tmp_path)
    assert target_skeleton(mix).limbs == (("left_ear", "tail"),)
    assert len(open_val(mix).records) == 1


@pytest.mark.filterwarnings("ignore:.*is the only split")
def test_label_studios_coco_export_is_cocos_format(tmp_path):
    """Its category 0 is named "default", rows have no area, names begin with "images"."""
    pictures(tmp_path, "images/0a-a.png", "images/0b-b.png")
    rows = [[40, 20, 2, 60, 20, 2, 50, 80, 2], [140, 30, 2, 160, 36, 2, 0, 0, 0]]
    boxes = [[40, 20, 20, 60], [140, 30, 20, 6]]
    values = {
        "images": [
            {"width": 200, "height": 100, "id": i, "file_name": f"images/0{x}-{x}.png"}
            for i, x in enumerate("ab")
        ],
        "categories": [{"id": 0, "name": "default", "supercategory": "default",
                        "keypoints": list(NAMES), "skeleton": []}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 0, "keypoints": row,
             "num_keypoints": 3 - i, "bbox": box, "iscrowd": 0}
            for i, (row, box) in enumerate(zip(rows, boxes, strict=True))
        ],
        "info": {"contributor": "Label Studio"},
    }  # fmt: skip
    (tmp_path / "result.json").write_text(json.dumps(values))
    with pytest.warns(UserWarning, match="2 people without an area"):
        (train,) = open_train(parse_mix(f"cats={tmp_path}"))
    assert train.skeleton.names == NAMES
    assert len(train.records) == 1


@pytest.mark.filterwarnings("ignore:.*no 'kpt_names'")
def test_yolo_with_cocos_flip_idx_and_no_names_is_taken_for_coco(tmp_path):
    flip = COCO_17.mirror_permutation.tolist()
    yaml = f"train: images\nkpt_shape: [17, 3]\nflip_idx: {flip}\nnames: {{0: person}}\n"
    (tmp_path / "data.yaml").write_text(yaml)
    pictures(tmp_path, "images/a.png", "images/b.png")
    (tmp_path / "labels").mkdir()
    line = yolo_line((30, 10, 50, 80), [((50, 50), 2)] * 17)
    for name in "ab":
        (tmp_path / f"labels/{name}.txt").write_text(line)
    mix = parse_mix(f"people={tmp_path}")
    said = Says(
        "no 'kpt_names': the 17 keypoints are taken for COCO, whose flip_idx they have",
        do="Add `kpt_names` to data.yaml if they are others.",
    )
    with said.warns():
        assert target_skeleton(mix) is COCO_17
    with Says("is the only split: train is 1 of its 2", do="Name a val split, if you have "
              "one.").warns():  # fmt: skip
        assert len(open_train(mix)[0].records) == 1


def test_deeplabcut_projects_of_several_animals_are_read(tmp_path):
    pictures(tmp_path, "labeled-data/film/a.png")
    (tmp_path / "labeled-data/film/CollectedData_anna.csv").write_text(
        "scorer,anna,anna,anna,anna,anna,anna\n"
        "individuals,mouse1,mouse1,mouse2,mouse2,single,single\n"
        "bodyparts,snout,snout,snout,snout,lamp,lamp\n"
        "coords,x,y,x,y,x,y\n"
        "labeled-data/film/a.png,1,2,3,4,,\n"
    )
    labels = find_labels(tmp_path)
    assert labels.names == ("snout", "lamp")
    places = [[point.xy for point in p.points] for p in labels.pictures[0].people]
    assert places == [[(1, 2)], [(3, 4)]]


def test_yolo_pictures_of_two_splits_stay_in_the_first(tmp_path):
    write_yolo(
        tmp_path, yaml=YAML.replace("val: valid/images", "val: [train/images, valid]")
    )
    said = Says(
        "1 pictures of two splits: each stays in the first (train/images/a.png)",
        do="Name each picture in one split of data.yaml.",
    )
    with said.warns():
        labels = find_labels(tmp_path)
    assert [(picture.name, picture.split) for picture in labels.pictures] == [
        ("train/images/a.png", "train"),
        ("valid/images/b.png", "val"),
    ]


def test_yolo_labels_without_their_picture_are_counted(tmp_path):
    write_yolo(tmp_path)
    for name in ("c", "d"):
        text = (tmp_path / "train/labels/a.txt").read_text()
        (tmp_path / f"train/labels/{name}.txt").write_text(text)
    (tmp_path / "train/labels/classes.txt").write_text("cat\n")
    (tmp_path / "train/images/d.png").write_bytes(b"no picture")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        labels = find_labels(tmp_path)
    lines = [str(warning.message) for warning in said]
    assert Says(
        "1 label files without a picture: not read (train/labels/c.txt)",
        do="Put the picture back, or take its label file away.",
    ).is_in(lines[1])
    assert Says(
        "1 pictures that cannot be read: their labels are left out, as they are shares of "
        "the picture's sides (d.png)",
        do="Mend the picture, or take it away.",
    ).is_in(lines[0])
    counts = {picture.name: len(picture.people) for picture in labels.pictures}
    assert counts["train/images/a.png"] == 1
    assert counts["train/images/d.png"] == 0


def test_a_model_of_fewer_keypoints_opens_a_tools_folder(tmp_path):
    write_cvat(tmp_path)
    ears = Skeleton("ears", NAMES[1::-1], mirrored=(("left_ear", "right_ear"),))
    dataset = open_for_skeleton("coco", tmp_path, "train", ears)
    assert dataset.skeleton == ears
    np.testing.assert_allclose(dataset.records[0].keypoints_xy, FIRST[1::-1])
    truth = coco_ground_truth(dataset)
    assert truth["annotations"][0]["keypoints"] == [60, 20, 2, 40, 20, 2]


@pytest.mark.filterwarnings("ignore:.*no 'kpt_names'")
def test_yolo_without_names_or_flips_says_what_mirroring_lacks(tmp_path):
    yaml = YAML.partition("flip_idx")[0]
    write_yolo(tmp_path, yaml=yaml)
    said = Says(
        "neither 'kpt_names' nor 'flip_idx': no pair of the 3 keypoints changes sides",
        do="Add `flip_idx` (and `kpt_names`) to data.yaml.",
    )
    with said.warns():
        labels = find_labels(tmp_path)
    assert labels.names == ("keypoint_1", "keypoint_2", "keypoint_3")


def test_labelme_people_are_told_apart_by_boxes_or_groups(tmp_path):
    pictures(tmp_path, "a.png")
    shapes = [shape("cat", [[0, 0], [40, 40]], "rectangle"), shape("nose", [[20, 20]]),
              shape("cat", [[50, 0], [90, 40]], "rectangle"), shape("nose", [[60, 20]]),
              shape("nose", [[150, 20]], group=7), shape("tail", [[160, 30]], group=7),
              shape("sofa", [[0, 0], [1, 1], [2, 0]], "polygon")]  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(labelme_file(shapes, "a.png")))
    with pytest.warns(UserWarning, match="1 shapes that are neither points nor rect"):
        labels = find_labels(tmp_path)
    people = labels.pictures[0].people
    assert [[point.xy[0] for point in person.points] for person in people] == [
        [20],
        [60],
        [150, 160],
    ]
    assert [person.box_xywh for person in people] == [(0, 0, 40, 40), (50, 0, 40, 40), None]


def test_label_studio_takes_ground_truth_of_several_annotations(tmp_path):
    pictures(tmp_path, "a.png")
    ears = [("left_ear", [40, 20], False), ("right_ear", [60, 20], False)]
    moved = [(name, [xy[0] + 4, xy[1]], hidden) for name, xy, hidden in ears]
    both = task(1, "a.png", [(None, ears)], ground_truth=True, updated_at="2024")
    both["annotations"] += task(1, "a.png", [(None, moved)], updated_at="2025")[
        "annotations"
    ]
    both["annotations"] += task(1, "", [], was_cancelled=True, updated_at="2026")[
        "annotations"
    ]
    (tmp_path / "export.json").write_text(json.dumps([both]))
    said = Says(
        "1 pictures labelled more than once: ground truth, or else what was changed last",
        do="Mark one annotation of each task as ground truth.",
    )
    with said.warns():
        labels = find_labels(tmp_path)
    assert labels.pictures[0].people[0].points[0].xy == pytest.approx((40, 20))


CASES = [
    (
        write_cvat,
        ("annotations.xml", 'points="50.00,80.00"', 'points="50.00"'),
        Says(
            "annotations.xml: image 'a.png', shape 1 'cat', field 'points' must hold",
            do="Mend the shape in CVAT and export again.",
        ),
    ),
    (
        write_cvat,
        ("annotations.xml", "<image id", "<track id='0' label='cat'/><image id"),
        Says(
            "is 'CVAT for video 1.1', whose tracks are between key frames",
            do="Export as 'CVAT for images 1.1' or 'COCO Keypoints 1.0'.",
        ),
    ),
    (
        write_cvat,
        ("annotations.xml", "<annotations>", "<!DOCTYPE a><annotations>"),
        Says(
            "declares a document type, which no file of CVAT does",
            do="Take the file from CVAT again.",
        ),
    ),
    (
        write_cvat,
        ("annotations.xml", 'name="b.png"', 'name="../b.png"'),
        Says("points outside the image folder: '../b.png'", do="Name it in its folder."),
    ),
    (
        write_label_studio,
        ("export.json", '"original_width": 200', '"original_width": null'),
        Says(
            "export.json: task 1, region box0, field 'original_height and _width' ...",
            do="Export again: Label Studio writes the size of every region.",
        ),
    ),
    (
        write_label_studio,
        ("export.json", '"image_rotation": 0', '"image_rotation": 90'),
        Says(
            "field 'image_rotation' is 90: turn the picture itself",
            do="Turn the picture before it is labelled.",
        ),
    ),
    (
        write_yolo,
        ("train/labels/a.txt", "0.300000", "60"),
        Says(
            "a.txt: line 1, field 'keypoints' must be shares of 0 to 1, got 60",
            do="Divide by the width and height of the picture.",
        ),
    ),
    (
        write_yolo,
        ("train/labels/a.txt", "\n", " 0.5\n"),
        Says(
            "a.txt: line 1, field 'keypoints' must make 14 numbers a line, by kpt_shape "
            "[3, 3], got 15",
            do="Correct `kpt_shape` in data.yaml, or the line.",
        ),
    ),
    (
        write_yolo,
        ("data.yaml", "flip_idx: [1, 0, 2]", "flip_idx: [1, 2, 0]"),
        Says("field 'flip_idx' is no exchange of pairs: [1, 2, 0]", do="Correct it."),
    ),
    (
        write_yolo,
        ("data.yaml", "valid/images", "../elsewhere"),
        Says(
            "field 'val': '../elsewhere' is not in ... from which all pictures of a set",
            do="Put the pictures of every split into the folder of data.yaml.",
        ),
    ),
    (
        write_yolo,
        ("data.yaml", "names: ['cat']", "names: &a ['cat']"),
        Says(
            "data.yaml, line 6: ... is not read. Keys, lists and plain values are read",
            do="Write data.yaml without anchors, tags and long texts.",
        ),
    ),
    (
        write_labelme,
        ("train/a.json", '"label": "right_ear"', '"label": "left_ear"'),
        Says(
            "train/a.json, field 'left_ear' is there twice in group 1",
            do="Give the points of each person a group_id of their own.",
        ),
    ),
    (
        write_label_studio,
        ("export.json", '"id": "point1"', '"id": ["point1"]'),
        Says(
            "task 1, region 2, field 'id' is neither text nor number: ['point1']",
            do="Export again: ids of regions are text.",
        ),
    ),
    (
        write_labelme,
        ("train/a.json", '{"occluded": true}', '"x"'),
        Says("shape 2 'tail', flags must be an object {}, got 'x'", do="Mend the file."),
    ),
    (
        write_deeplabcut,
        ("labeled-data/film/CollectedData_anna.csv", "160.0,36.0", "160.0,"),
        Says(
            "field 'right_ear' of animal has one of x and y only: {'x': 160.0}",
            do="Label the point again.",
        ),
    ),
    (
        write_deeplabcut,
        ("labeled-data/film/CollectedData_anna.csv", ",36.0,,", ",36.0,"),
        Says("row 'labeled-data' must have 9 columns, got 8", do="Save it again."),
    ),
    (
        write_labelme,
        ("train/a.json", "[[50, 80]]", "[[50, NaN]]"),
        Says(
            "a.json: shape 2 'tail', field 'points' holds NaN or infinite values",
            do="Label the point again.",
        ),
    ),
]


@pytest.mark.parametrize(("write", "change", "said"), CASES)
def test_malformed_labels_are_refused_with_their_place(tmp_path, write, change, said):
    write(tmp_path)
    file, old, new = change
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with said.refuses():
        find_labels(tmp_path)


def test_text_that_is_no_utf8_names_its_file(tmp_path):
    write_yolo(tmp_path)
    (tmp_path / "train/labels/a.txt").write_bytes(b"0 0.5 \xff")
    with Says("a.txt is not UTF-8 text", do="Save the file as UTF-8.").refuses():
        find_labels(tmp_path)


def test_labels_of_two_tools_are_refused(tmp_path):
    write_cvat(tmp_path)
    write_yolo(tmp_path)
    said = Says(
        "has labels of several tools: annotations.xml, data.yaml",
        do="Leave the files that are to be read.",
    )
    with said.refuses():
        find_labels(tmp_path)


def test_labels_for_pictures_of_another_size_are_refused_or_scaled(tmp_path):
    write_cvat(
        tmp_path, CVAT.replace('width="200" height="100"', 'width="400" height="200"')
    )
    with pytest.raises(ValueError, match=r"say 400 x 200, but .* is 200 x 100"):
        open_val(parse_mix(f"cats={tmp_path}"))
    reading = Reading(rescale_labels=True)
    with pytest.warns(UserWarning, match="1 pictures of another size than their labels"):
        val = open_val(parse_mix(f"cats={tmp_path}", reading=reading))
    np.testing.assert_allclose(val.records[0].keypoints_xy[0], [69.75, 14.75])


def test_one_of_several_skeletons_is_chosen(tmp_path):
    dog = "<skeleton label='dog'><points label='paw' points='3,4'/></skeleton>"
    image = f"</meta><image name='c.png' width='200' height='100'>{dog}</image>"
    other = CVAT.replace("</meta>", image)
    write_cvat(tmp_path, other)
    with Says("has skeletons 'cat', 'dog'", do="--category NAME").refuses():
        find_labels(tmp_path)
    assert find_labels(tmp_path, "dog").names == ("paw",)
    assert find_labels(tmp_path, "cat").names == NAMES


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a: 1 # one\nb: 'x # y'\n", {"a": 1, "b": "x # y"}),
        ("a: [1, 2,\n  3]\nb: {0: cat, 1: 'd'}", {"a": [1, 2, 3], "b": {0: "cat", 1: "d"}}),
        ("a:\n- x\n- 2.5\nb:\n  c: ~", {"a": ["x", 2.5], "b": {"c": None}}),
        ("---\nurl: https://a.b/c\nd: C:\\e\n", {"url": "https://a.b/c", "d": "C:\\e"}),
        ("a:\n\nb: 2\n", {"a": None, "b": 2}),
    ],
)  # fmt: skip
def test_plain_yaml_is_read(tmp_path, text, values):
    (tmp_path / "data.yaml").write_text(text)
    assert read_plain_yaml(tmp_path / "data.yaml") == values


@pytest.mark.parametrize(
    "text",
    ["a: 1\na: 2\n", "a: |\n  x\n", "just words\n", "a: [1, 2\n", "a: 'x\n", "- 1\n"],
)
def test_other_yaml_is_refused_with_its_line(tmp_path, text):
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"data\.yaml, line \d"):
        read_plain_yaml(tmp_path / "data.yaml")


def test_nothing_of_a_tool_is_no_labels(tmp_path):
    (tmp_path / "notes.json").write_text("[1, 2]")
    (tmp_path / "config.xml").write_text("<View/>")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_labels(tmp_path) is None
        assert find_labels(tmp_path / "absent") is None
