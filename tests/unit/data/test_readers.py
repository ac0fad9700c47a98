"""The readers: conventions of each data set, counts of real files, and broken files."""

import json

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from keras_pose.data.readers import aic, coco, flic, h36m, lsp, mpii, posetrack
from keras_pose.data.readers.checks import Entry, ImageFolder, LeftOut, make_record
from keras_pose.skeleton import CROWDPOSE_14, JHMDB_15


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


def test_links_out_of_the_image_folder_are_refused(tmp_path):
    secret = _image(tmp_path, "secret/a.jpg")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").symlink_to(secret)
    (tmp_path / "images" / "sub").symlink_to(secret.parent)
    for name in ("a.jpg", "sub/a.jpg"):
        with pytest.raises(ValueError, match="link outside the image folder"):
            ImageFolder(tmp_path / "images").locate(name, Entry("x.json", "image 1"))


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


def test_both_forms_of_human36m_agree(shared_data_dir):
    folder = shared_data_dir / "fixtures" / "formats" / "h36m"
    first, second = (
        h36m.read_h36m(folder / name, folder, "train")
        for name in ("h36m_coco.json", "test_h36m_body3d.npz")
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a.keypoints_xy, b.keypoints_xy, atol=1e-3)
