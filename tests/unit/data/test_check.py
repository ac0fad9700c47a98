"""What `check_folder` finds suspicious: each kind in a small set of its own."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_pose.data.check import check_folder
from keras_pose.skeleton import COCO_17

SIZE_WH = (120, 160)
# A person who faces the camera: their own left is on the picture's right.
POSE = {
    "nose": (60, 20), "left_eye": (65, 16), "right_eye": (55, 16),
    "left_ear": (70, 18), "right_ear": (50, 18),
    "left_shoulder": (80, 40), "right_shoulder": (40, 40),
    "left_elbow": (90, 65), "right_elbow": (30, 65),
    "left_wrist": (95, 90), "right_wrist": (25, 90),
    "left_hip": (72, 90), "right_hip": (48, 90),
    "left_knee": (74, 120), "right_knee": (46, 120),
    "left_ankle": (75, 150), "right_ankle": (45, 150),
}  # fmt: skip
BOX = [20, 8, 80, 148]
NUM_PEOPLE = 12


class Set:
    """A set of one person a picture, to be spoilt by a test and written."""

    def __init__(self, folder):
        self.folder = folder
        rng = np.random.default_rng(seed=0)
        self.pixels = rng.integers(0, 256, (NUM_PEOPLE, 10, 8, 3), np.uint8)
        jitter = rng.uniform(-2, 2, (NUM_PEOPLE, 17, 2))
        self.xy = np.array([POSE[name] for name in COCO_17.names]) + jitter
        self.flags = np.full((NUM_PEOPLE, 17), 2)
        self.boxes = np.tile(np.array(BOX, float), (NUM_PEOPLE, 1))
        self.images = list(range(NUM_PEOPLE))
        self.exif = {}

    def swap(self, name, people=slice(None)):
        pair = [COCO_17.index(f"{side}_{name}") for side in ("left", "right")]
        self.xy[people, pair] = self.xy[people, pair[::-1]]

    def write(self, split="train", numbers=slice(None)):
        (self.folder / "images").mkdir(exist_ok=True)
        numbers = range(NUM_PEOPLE)[numbers]
        for i in numbers:
            image = Image.fromarray(self.pixels[i]).resize(
                SIZE_WH, Image.Resampling.NEAREST
            )
            exif = Image.Exif()
            exif[0x0112] = self.exif.get(i, 1)
            image.save(self.folder / "images" / f"{i}.png", exif=exif)
        rows = [i for i, image in enumerate(self.images) if image in numbers]
        triples = np.concatenate([self.xy, self.flags[..., None]], axis=2)
        values = {
            "images": [
                {"id": i, "file_name": f"{i}.png", "width": 120, "height": 160}
                for i in numbers
            ],
            "annotations": [
                {"id": i, "image_id": self.images[i], "category_id": 1, "iscrowd": 0,
                 "bbox": self.boxes[i].tolist(), "area": 5000, "num_keypoints": 17,
                 "keypoints": triples[i].ravel().tolist()}
                for i in rows
            ],
            "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_17.names)}],
        }  # fmt: skip
        (self.folder / f"{split}.json").write_text(json.dumps(values))


@pytest.fixture
def people(tmp_path):
    return Set(tmp_path)


def found(people):
    """Writes a set and returns its findings by kind, as lines."""
    people.write()
    return {f.kind: f for f in check_folder(people.folder).findings}


def test_nothing_is_suspicious_about_a_good_set(people):
    assert found(people) == {}


def test_boxes_that_are_shares_are_an_error(people):
    people.boxes /= np.array([*SIZE_WH, *SIZE_WH])
    findings = found(people)
    assert "boxes are shares, where pixels are expected" in findings["box units"].words
    assert findings["box units"].level == "error"
    assert "has no person to train" in findings["refused"].words


def test_boxes_of_another_size_of_picture_are_an_error(people):
    people.boxes *= 8
    # A box of 148 rows, and keypoints that reach over 134 of them, jittered.
    assert "are 8.7 times as large as their keypoints" in found(people)["box units"].words


def test_labels_outside_their_box_and_picture_are_shown(people):
    people.xy[3, 0] = (60, -40)
    findings = found(people)
    for kind in ("outside box", "outside picture"):
        (spot,) = findings[kind].spots
        assert (spot.annotation_id, spot.path.name) == (3, "3.png")


def test_hidden_labels_may_lie_outside_the_box_of_what_is_seen(people):
    people.boxes[3] = (20, 8, 80, 60)
    people.flags[3, people.xy[3, :, 1] > 60] = 1
    assert found(people) == {}


def test_sides_exchanged_throughout_are_told_by_who_faces_the_camera(people):
    for left, _ in COCO_17.mirrored:
        people.swap(left.removeprefix("left_"))
    finding = found(people)["left and right"]
    assert finding.words.startswith("in 100% of the 12 people who face the camera")
    assert finding.level == "error"


def test_one_pair_exchanged_throughout_is_told_by_the_other_pairs(people):
    people.swap("hip")
    assert "left_hip and right_hip lie the other way round" in (
        found(people)["left and right"].words
    )


def test_a_pair_exchanged_in_one_person_is_shown(people):
    people.swap("shoulder", [5])
    finding = found(people)["sides of a person"]
    assert [spot.annotation_id for spot in finding.spots] == [5]


def test_folded_arms_are_not_suspicious(people):
    people.swap("wrist", [5])
    assert found(people) == {}


def test_a_person_labelled_twice_is_shown(people):
    people.images[7] = 6
    people.xy[7] = people.xy[6]
    finding = found(people)["labelled twice"]
    assert [spot.annotation_id for spot in finding.spots] == [7]


def test_rare_and_one_sided_keypoints_are_named(people):
    people.flags[1:, COCO_17.index("left_ankle")] = 0
    people.flags[:, COCO_17.index("nose")] = 0
    people.write()
    lines = [f.words for f in check_folder(people.folder).findings if f.kind == "keypoints"]
    assert any("nose: labelled of nobody" in line for line in lines)
    assert any("left_ankle (1)" in line and "as often as usual" in line for line in lines)
    assert any("left_ankle (1) and right_ankle (12)" in line for line in lines)


def test_pictures_of_train_and_val_that_are_one_are_an_error(people):
    people.pixels[11] = people.pixels[0]
    people.write("train", slice(0, 8))
    people.write("val", slice(8, None))
    findings = {f.kind: f for f in check_folder(people.folder).findings}
    kind = "pictures of two splits, the same file"
    assert [str(spot) for spot in findings[kind].spots] == ["train 0.png", "val 11.png"]


def test_pictures_that_only_look_alike_are_a_warning(people):
    noise = np.random.default_rng(seed=1).integers(0, 3, people.pixels[0].shape)
    people.pixels[11] = np.clip(people.pixels[0] + noise, 0, 255)
    finding = found(people)["pictures twice, alike to the eye"]
    assert {spot.path.name for spot in finding.spots} == {"0.png", "11.png"}


def test_pictures_turned_by_exif_are_told_by_where_labels_are(people):
    people.exif = {1: 6, 2: 3}
    findings = found(people)
    assert [s.path.name for s in findings["EXIF, stored"].spots] == ["1.png"]
    assert [s.path.name for s in findings["EXIF, unclear"].spots] == ["2.png"]


def test_broken_and_missing_pictures_are_told(people):
    people.write()
    whole = (people.folder / "images/4.png").read_bytes()
    (people.folder / "images/4.png").write_bytes(whole[:200])
    (people.folder / "images/9.png").unlink()
    findings = {f.kind: f for f in check_folder(people.folder).findings}
    assert [s.path.name for s in findings["broken pictures"].spots] == ["4.png"]
    assert [s.path.name for s in findings["missing pictures"].spots] == ["9.png"]
    assert findings["broken pictures"].as_json()["where"][0]["split"] == "train"


def test_files_that_cannot_be_parsed_are_refused(people):
    people.flags[:] = 5
    with pytest.raises(ValueError, match="flags other than 0, 1, 2"):
        found(people)


def test_a_folder_without_labels_says_what_is_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no labels that are read: COCO's"):
        check_folder(tmp_path)


def test_what_is_said_of_a_file_is_said_once(tmp_path):
    (tmp_path / "data.yaml").write_text("train: a\nval: b\nkpt_shape: [1, 3]\n")
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", SIZE_WH).save(tmp_path / name / "1.png")
        (tmp_path / name / "1.txt").write_text("0 0.5 0.5 0.4 0.4 0.5 0.5 2\n")
    lines = [f.words for f in check_folder(tmp_path).findings if f.kind == "made good"]
    assert sum("no 'kpt_names'" in line for line in lines) == 1
