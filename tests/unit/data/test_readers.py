"""The readers: conventions of each data set, counts of real files, and broken files."""

import json

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from keras_pose.data.readers import aic, coco, flic, h36m, lsp, mpii, posetrack
from keras_pose.data.readers.checks import Entry, ImageFolder, LeftOut, make_record
from keras_pose.pictures.geometry import box_to_crop
from keras_pose.skeleton import CROWDPOSE_14, FLIC_11, JHMDB_15

# What the 11 labelled points of FLIC are among the 29 columns of its `coords`.
FLIC_COLUMNS = (0, 1, 2, 3, 4, 5, 6, 9, 12, 13, 16)


def _image(folder, name):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20)).save(path)
    return path


def _lsp(folder, is_extended):
    """Two people; joint 0 of the first has the flag 1, all others 0."""
    joints = np.zeros((2, 14, 3))
    joints[..., 0], joints[..., 1] = np.arange(14) + 1, 2 * np.arange(14) + 1
    joints[0, 0, 2] = 1
    joints[1, :, 2] = is_extended
    axes = (1, 2, 0) if is_extended else (2, 1, 0)
    savemat(folder / "joints.mat", {"joints": joints.transpose(axes)})
    digits = 5 if is_extended else 4
    for number in (1, 2):
        _image(folder, f"images/im{number:0{digits}d}.jpg")
    return folder / "joints.mat", folder / "images"


def _mpii(folder, **changes):
    joints = [[10.0 + i, 20.0 + i] for i in range(16)]
    person = {"joints_vis": [1] * 15 + [0], "joints": joints, "image": "a.jpg"}
    person |= {"scale": 2.0, "center": [101.0, 201.0]} | changes
    path = folder / "valid.json"
    path.write_text(json.dumps([person]))
    _image(folder, "images/a.jpg")
    return path, folder / "images"


def test_lsp_flags_are_of_occlusion_and_pixels_count_from_one(tmp_path):
    records = lsp.read_lsp(*_lsp(tmp_path, is_extended=False), "train")
    assert records[0].visibility.tolist() == [1] + [2] * 13
    np.testing.assert_array_equal(records[0].keypoints_xy[1], [1, 2])


def test_extended_lsp_flags_are_of_labels(tmp_path):
    files = _lsp(tmp_path, is_extended=True)
    # The first person has one labelled joint, and so a box without extent.
    with pytest.warns(UserWarning, match=r"left out 1 people: .* \(image 1\)"):
        (record,) = lsp.read_lsp_extended(*files, "all")
    assert record.visibility.tolist() == [2] * 14
    np.testing.assert_array_equal(record.keypoints_xy[1], [1, 2])


def test_mpii_boxes_are_the_crops_of_the_reference_without_padding(tmp_path):
    (record,) = mpii.read_mpii(*_mpii(tmp_path), "val")
    # Centre (101, 201 + 15 * 2) - 1, side 200 * 2.
    np.testing.assert_array_equal(record.box_xywh, [-100, 30, 400, 400])
    np.testing.assert_array_equal(record.keypoints_xy[0], [9, 19])
    assert record.visibility.tolist() == [2] * 15 + [0]
    assert record.head_size is None


def test_mpii_head_sizes_lie_beside_the_json(tmp_path):
    files = _mpii(tmp_path)
    boxes = np.zeros((2, 2, 1))
    boxes[1, :, 0] = 30, 40
    savemat(tmp_path / "gt_valid.mat", {"headboxes_src": boxes})
    (record,) = mpii.read_mpii(*files, "val")
    assert record.head_size == pytest.approx(0.6 * 50)


def test_head_sizes_must_be_of_the_same_people(tmp_path):
    files = _mpii(tmp_path)
    savemat(tmp_path / "gt_valid.mat", {"headboxes_src": np.zeros((2, 2, 3))})
    with pytest.raises(ValueError, match=r"must be \(2, 2, 1\)"):
        mpii.read_mpii(*files, "val")


def _mpii_structure(folder):
    """Three images as in MPII's own file, which is full of gaps.

    The first has a whole person, one with a head box only, and one that was marked
    without a scale; the second is unlabelled (a test image); the third has one person,
    whose points do not say whether they are hidden, as older entries do not.
    """
    points = _struct_array(
        {"x": 30.0, "y": 40.0, "id": 0, "is_visible": "1"},
        {"x": 31.0, "y": 41.5, "id": 15, "is_visible": "0"},
        {"x": 32.0, "y": 42.0, "id": 9, "is_visible": np.zeros((0, 0))},
        {"x": 33.0, "y": 43.0, "id": 3, "is_visible": np.uint8(0)},
    )
    head = {"x1": 10, "y1": 20, "x2": 40, "y2": 60}
    nothing = np.zeros((0, 0))
    whole = head | {"annopoints": {"point": points}, "scale": 2.0}
    whole |= {"objpos": {"x": 101, "y": 201}}
    head_only = head | {"annopoints": nothing, "scale": nothing, "objpos": nothing}
    unmeasured = whole | {"scale": nothing}
    nowhere = whole | {"objpos": nothing}
    plain = _struct_array({"x": 5.0, "y": 6.0, "id": 1}, {"x": 7.0, "y": 9.0, "id": 2})
    second = whole | {"annopoints": {"point": plain}, "scale": 0.5}
    people = [
        _struct_array(whole, head_only, unmeasured, nowhere),
        _struct_array({"scale": 1.0, "objpos": {"x": 1, "y": 1}}),
        _struct_array(second),
        _struct_array(head),  # no field of keypoints in the whole image
        nothing,
    ]
    images = [
        {"image": {"name": f"{i}.jpg"}, "annorect": people[i], "frame_sec": nothing,
         "vididx": nothing}
        for i in range(len(people))
    ]  # fmt: skip
    is_train = np.array([1, 0, 1, 1, 1], np.uint8)
    release = {"annolist": _struct_array(*images), "img_train": is_train}
    release |= {"version": "12", "single_person": np.zeros(5, object)}
    release |= {
        "act": _struct_array(*[{"act_name": "a", "cat_name": "b", "act_id": 1}] * 5)
    }
    path = folder / "mpii_human_pose_v1_u12_1.mat"
    savemat(path, {"RELEASE": release})
    for i in range(len(people)):
        _image(folder, f"images/{i}.jpg")
    return path, folder / "images"


def _struct_array(*structs):
    """Makes a MATLAB structure array: (1, N), all of the same fields."""
    values = np.empty((1, len(structs)), [(name, object) for name in structs[0]])
    for i, struct in enumerate(structs):
        values[0, i] = tuple(struct.values())
    return values


def test_the_structure_of_mpii(tmp_path):
    files = _mpii_structure(tmp_path)
    first, second = mpii.read_mpii(*files, "trainval")
    assert [first.image_path.name, second.image_path.name] == ["0.jpg", "2.jpg"]
    expected = np.zeros(16)
    expected[[0, 15, 9, 3]] = 2, 1, 2, 1
    np.testing.assert_array_equal(first.visibility, expected)
    np.testing.assert_array_equal(first.keypoints_xy[15], [30, 40.5])
    assert first.head_size == pytest.approx(0.6 * 50)  # a box of 30 x 40
    assert np.flatnonzero(second.visibility == 2).tolist() == [1, 2]
    with pytest.raises(ValueError, match="no split 'val'"):
        mpii.read_mpii(*files, "val")


def _mpii_h5(folder):
    """The person of `_mpii` in the hourglass form: moved, and grown by 1.25."""
    with h5py.File(folder / "valid.h5", "w") as file:
        file["imgname"] = np.array([b"a.jpg\0\0"])
        file["center"], file["scale"] = np.array([[101.0, 201 + 15 * 2]]), [2.0 * 1.25]
        file["part"] = np.arange(32.0).reshape(1, 16, 2)
        file["visible"], file["normalize"] = np.ones((1, 16)), [30.0]
    _image(folder, "images/a.jpg")
    return folder / "valid.h5", folder / "images"


@pytest.mark.parametrize(
    ("write", "split"),
    [(_mpii, "val"), (_mpii_structure, "trainval"), (_mpii_h5, "val")],
    ids=["json", "mat", "h5"],
)
@pytest.mark.parametrize(
    ("input_hw", "size_wh"), [((256, 256), (500, 500)), ((256, 192), (500, 2000 / 3))]
)
def test_mpii_crops_are_those_of_the_reference(tmp_path, write, split, input_hw, size_wh):
    record = mpii.read_mpii(*write(tmp_path), split)[0]
    center_xy, crop_wh = box_to_crop(record.box_xywh, input_hw)
    # Centre (101, 201), scale 2: down by 15 x 2, then counted from 0; 2 x 1.25 x 200.
    np.testing.assert_allclose(center_xy, [100, 230])
    np.testing.assert_allclose(crop_wh, size_wh)


def _flic_structure(folder):
    """Three examples: one to train on, one to test on, and one of neither."""
    coords = np.full((2, 29), np.nan)
    coords[:, FLIC_COLUMNS] = np.arange(22).reshape(2, 11) + 1
    unlabelled = coords.copy()
    unlabelled[:, 16] = np.nan
    examples = [
        {"poselet_hit_idx": [1, 2], "moviename": "m", "coords": each,
         "filepath": f"m-{i}.jpg", "imgdims": [480, 720, 3], "currframe": i,
         "torsobox": [1.0, 2.0, 3.0, 4.0], "istrain": istrain, "istest": istest}
        for i, (each, istrain, istest) in enumerate(
            [(coords, 1, 0), (unlabelled, 0, 1), (coords, 0, 0)])
    ]  # fmt: skip
    savemat(folder / "examples.mat", {"examples": _struct_array(*examples)})
    for i in range(3):
        _image(folder, f"images/m-{i}.jpg")
    return folder / "examples.mat", folder / "images"


def test_the_structure_of_flic(tmp_path):
    files = _flic_structure(tmp_path)
    (train,), (val,) = (flic.read_flic(*files, split) for split in ("train", "val"))
    assert (train.image_path.name, val.image_path.name) == ("m-0.jpg", "m-1.jpg")
    np.testing.assert_array_equal(train.keypoints_xy[:, 0], np.arange(11))
    np.testing.assert_array_equal(train.keypoints_xy[:, 1], np.arange(11) + 11)
    assert FLIC_11.names[10] == "nose"
    assert train.visibility.tolist() == [2] * 11
    assert val.visibility.tolist() == [2] * 10 + [0]


def _aic(folder, **changes):
    """An image with two people, and one with nobody, as the challenge gives them."""
    keypoints = [[10 + k, 20 + k, 1 + k % 3] for k in range(14)]
    first = {
        "image_id": "a",
        "url": "http://example.com/a.jpg",
        "human_annotations": {"human1": [5, 6, 15, 36], "human2": [0, 0, 19, 19]},
        "keypoint_annotations": {
            "human2": [0, 0, 3] * 14,
            "human1": [value for keypoint in keypoints for value in keypoint],
        },
    } | changes
    second = {"image_id": "b", "url": "", "human_annotations": {}}
    second["keypoint_annotations"] = {}
    path = folder / "keypoint_train_annotations_20170909.json"
    path.write_text(json.dumps([first, second]))
    _image(folder, "images/a.jpg")
    return path, folder / "images"


def test_ai_challengers_own_form(tmp_path):
    (record,) = aic.read_aic(*_aic(tmp_path))  # nothing of the second person is labelled
    np.testing.assert_array_equal(record.box_xywh, [5, 6, 10, 30])  # corners there
    assert record.area == 300
    assert record.visibility.tolist() == [2, 1, 0] * 4 + [2, 1]
    np.testing.assert_array_equal(record.keypoints_xy[1], [11, 21])
    assert record.image_path.name == "a.jpg"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"human_annotations": {}}, "human2, field 'human_ann", id="box"),
        pytest.param({"keypoint_annotations": {"human1": [1, 2, 4] * 14}},
                     "flags other than 1, 2, 3", id="flag"),
        pytest.param({"keypoint_annotations": {"human1": [1, 2, 1]}},
                     "must hold 42 numbers", id="count"),
        pytest.param({"keypoint_annotations": None}, "must be an object", id="none"),
        pytest.param({"image_id": "../a"}, "outside the image folder", id="parent"),
        pytest.param({"image_id": "b"}, "image id 'b' is there twice", id="twice"),
    ],
)  # fmt: skip
def test_malformed_images_of_ai_challenger_are_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        aic.read_aic(*_aic(tmp_path, **changes))


def test_annotations_alone_need_no_images(tmp_path):
    path, images = _lsp(tmp_path, is_extended=False)
    (images / "im0001.jpg").unlink()
    first, _ = lsp.read_lsp(path, None, "train")
    assert str(first.image_path) == "im0001.jpg"
    path, _ = _mpii(tmp_path, image="../a.jpg")
    with pytest.raises(ValueError, match="outside the image folder"):
        mpii.read_mpii(path, None, "val")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"scale": float("nan")}, "person 0, field 'scale' holds NaN", id="nan"
        ),
        pytest.param({"scale": -1}, "must be above 0", id="negative"),
        pytest.param({"joints": [[1, 2]]}, "field 'joints' must hold", id="count"),
        pytest.param({"image": "../a.jpg"}, "outside the image folder", id="parent"),
        pytest.param({"image": "/etc/a.jpg"}, "outside the image folder", id="absolute"),
    ],
)
def test_malformed_mpii_people_are_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        mpii.read_mpii(*_mpii(tmp_path, **changes), "val")


def test_missing_images_are_counted_and_named(tmp_path):
    files = _lsp(tmp_path, is_extended=False)
    (tmp_path / "images" / "im0002.jpg").unlink()
    with pytest.warns(UserWarning, match=r"left out 1 people: .* missing \(image 2\)"):
        assert len(lsp.read_lsp(*files, "train")) == 1


def test_trees_of_links_are_read(tmp_path):
    elsewhere = _image(tmp_path, "elsewhere/a.jpg")
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.jpg").symlink_to(elsewhere)
    (folder / "sub").symlink_to(elsewhere.parent)
    (folder / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    (tmp_path / "linked").symlink_to(folder)
    entry = Entry("x.json", "image 1")
    for root in (folder, tmp_path / "linked"):
        for name in ("a.jpg", "sub/a.jpg", "sub\\a.jpg"):
            assert ImageFolder(root).locate(name, entry).is_file()
        assert ImageFolder(root).locate("gone.jpg", entry) is None
    for name in ("../a.jpg", "sub/../../a.jpg", "/a.jpg", "C:/a.jpg"):
        with pytest.raises(ValueError, match="outside the image folder"):
            ImageFolder(folder).locate(name, entry)


def test_people_without_area_are_counted():
    left_out = LeftOut("x.json")
    record = make_record(
        Entry("x.json", "person 5"),
        left_out,
        "a.jpg",
        [0, 0, 0, 0],
        np.ones((2, 2)),
        [2, 2],
    )
    assert record is None
    with pytest.warns(UserWarning, match=r"left out 1 people: nothing of their box"):
        left_out.warn()


READERS = {
    "lsp.mat": lambda path, images: lsp.read_lsp(path, images, "train"),
    "lspet.npz": lambda path, images: lsp.read_lsp_extended(path, images, "all"),
    "mpii.json": lambda path, images: mpii.read_mpii(path, images, "val"),
    "mpii.h5": lambda path, images: mpii.read_mpii(path, images, "val"),
    "mpii.mat": lambda path, images: mpii.read_mpii(path, images, "trainval"),
    "flic.mat": lambda path, images: flic.read_flic(path, images, "train"),
    "flic.h5": lambda path, images: flic.read_flic(path, images, "train"),
    "h36m.json": lambda path, images: h36m.read_h36m(path, images, "train"),
    "h36m.npz": lambda path, images: h36m.read_h36m(path, images, "train"),
    "aic.json": aic.read_aic,
    "coco.json": coco.read_coco,
    "posetrack.json": lambda path, images: posetrack.read_posetrack([path], images),
}


@pytest.mark.parametrize(
    "content", [b"", b'{"a": ', b"\xff\xfe\x00\x01" * 40, b"PK\x03\x04"]
)
@pytest.mark.parametrize("name", READERS)
def test_broken_files_are_named(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        READERS[name](path, tmp_path)


def test_names_that_are_not_utf8_are_an_error(tmp_path):
    path = tmp_path / "train.h5"
    with h5py.File(path, "w") as file:
        file["imgname"] = np.array([b"\xff\xfe.jpg"])
        file["part"] = np.ones((1, 11, 2))
    with pytest.raises(ValueError, match="is not UTF-8"):
        flic.read_flic(path, tmp_path, "train")


def _counts(records):
    return len({record.image_path for record in records}), len(records)


@pytest.mark.filterwarnings("ignore:.*without an area")
def test_counts_of_real_files(shared_data_dir):
    formats = shared_data_dir / "fixtures" / "formats"
    videos = sorted((formats / "posetrack18/annotations/val").glob("*.json"))
    crowd, of_names = formats / "crowdpose", {"check_names": False, "area_of_box": 0.53}
    jhmdb = formats / "jhmdb"
    assert _counts(coco.read_coco(formats / "coco/test_coco.json", formats / "coco")) == (
        4, 12)  # fmt: skip
    assert _counts(aic.read_aic(formats / "aic/test_aic.json", formats / "aic")) == (3, 9)
    assert _counts(mpii.read_mpii(formats / "mpii/test_mpii.json", formats / "mpii",
                                  "val")) == (5, 5)  # fmt: skip
    assert _counts(posetrack.read_posetrack(videos, formats / "posetrack18")) == (3, 14)
    path = crowd / "test_crowdpose.json"
    assert _counts(coco.read_coco(path, crowd, CROWDPOSE_14, **of_names)) == (2, 4)
    assert _counts(coco.read_coco(jhmdb / "test_jhmdb_sub1.json", jhmdb, JHMDB_15,
                                  first_pixel=1, area_of_box=0.53)) == (3, 3)  # fmt: skip
    for name in ("h36m_coco.json", "test_h36m_body3d.npz"):
        assert _counts(h36m.read_h36m(formats / "h36m" / name, formats / "h36m",
                                      "train")) == (4, 4)  # fmt: skip
    mini = shared_data_dir / "fixtures" / "lspet_mini"
    assert len(lsp.read_lsp_extended(mini / "joints.mat", mini / "images", "all")) == 12
    whole = shared_data_dir / "lsp_extended"
    assert len(lsp.read_lsp_extended(whole / "joints.npz", whole / "images", "all")) == 3945


def test_counts_of_official_files_without_their_images(shared_data_dir):
    folder = shared_data_dir / "fixtures" / "annotations_only"
    people = mpii.read_mpii(folder / "data_mpii_annot_valid.h5", None, "val")
    assert len(people) == 2958
    # The 16 joints of all are listed; where both coordinates are 0 none was labelled.
    assert all(person.head_size > 0 for person in people)
    for split, name, count in (("train", "train", 3987), ("val", "valid", 1016)):
        people = flic.read_flic(folder / f"data_flic_annot_{name}.h5", None, split)
        assert len(people) == count
        assert {len(person.visibility) for person in people} == {11}
    joints = folder / "lsp_joints.mat"
    train, val = (lsp.read_lsp(joints, None, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (1000, 1000)
    # Of the original set the third value says what is occluded: all are labelled.
    assert {flag for person in train for flag in person.visibility.tolist()} == {1, 2}


@pytest.mark.filterwarnings("ignore:.*people")
def test_counts_of_coco_files_with_untouched_records(shared_data_dir):
    fixtures = shared_data_dir / "fixtures"
    mini = fixtures / "coco_mini_val"
    path = mini / "person_keypoints_val2017.json"
    assert len(json.loads(path.read_text())["annotations"]) == 93
    assert _counts(coco.read_coco(path, mini / "val2017")) == (32, 68)
    ochuman = fixtures / "formats" / "ochuman"
    assert _counts(coco.read_coco(ochuman / "test_ochuman.json", ochuman)) == (3, 5)
    people = shared_data_dir / "coco_people"
    for split, expected in (("train", 4745), ("val", 951)):
        annotations = people / f"person_keypoints_{split}.json"
        assert len(coco.read_coco(annotations, people / "images")) == expected


def test_both_forms_of_human36m_agree(shared_data_dir):
    folder = shared_data_dir / "fixtures" / "formats" / "h36m"
    first, second = (
        h36m.read_h36m(folder / name, folder, "train")
        for name in ("h36m_coco.json", "test_h36m_body3d.npz")
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a.keypoints_xy, b.keypoints_xy, atol=1e-3)
