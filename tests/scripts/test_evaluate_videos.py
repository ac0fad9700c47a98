"""`training/evaluate.py` on PoseTrack: two videos, with figures counted by hand."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.measuring import tasks
from keras_pose.skeleton import POSETRACK_17

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "evaluate.py"
# Centres of people; all keypoints of a person are there, as is what the model predicts.
ALICE, BOB, STRANGER = (40, 50), (140, 50), (240, 50)
SIDE = 40  # of boxes; a head of 30 x 40 pixels makes anything nearer than 15 a hit
# Who is labelled in each frame, and which tracks a tracker finds where.
VIDEOS = {
    "000001_a": [
        ([ALICE, BOB], {7: ALICE, 8: BOB}),
        ([ALICE, BOB], {8: ALICE, 7: BOB}),  # both change places: two switches
        ([ALICE, BOB], {8: ALICE, 9: STRANGER}),  # a miss and a false positive
        ([ALICE, BOB], {}),  # the last frame, which poseval leaves out for MOTA
    ],
    "000002_b": [
        ([ALICE], {1: ALICE}),
        ([ALICE], {}),  # poseval: one person, one miss, one false positive
        ([ALICE], {}),
    ],
}
LABELS = 4 * 2 + 3
HITS = 2 + 2 + 1 + 1
MOTA_LABELS = 3 * 2 + (1 + 1)
MOTA_ERRORS = 2 + (1 + 1) + (1 + 1)


class CenterModel:
    """Every keypoint is in the middle of the crop, and scores by how bright it is."""

    contract = Contract(
        model="center",
        input=TensorSpec("image", (1, 64, 64, 3), "uint8"),
        output=TensorSpec("heatmaps", (1, 16, 16, 17), "float32"),
        codec=GaussianHeatmapCodec((64, 64)),
        skeleton=POSETRACK_17,
    )

    def predict(self, crops):
        heatmaps = np.zeros((len(crops), 16, 16, 17), np.float32)
        heatmaps[:, 8, 8] = crops[:, 32, 32].mean(axis=-1)[:, None] / 255
        return heatmaps


def _box(center):
    return [center[0] - SIDE / 2, center[1] - SIDE / 2, SIDE, SIDE]


def _annotation(number, image_id, track, center):
    keypoints = [[*center, 0 if "ear" in name else 1] for name in POSETRACK_17.names]
    return {
        "id": number,
        "image_id": image_id,
        "track_id": track,
        "category_id": 1,
        "bbox": _box(center),
        "bbox_head": [center[0] - 15, center[1] - 20, 30, 40],
        "keypoints": [value for keypoint in keypoints for value in keypoint],
        "scores": [],
    }


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """PoseTrack18's folders, and `boxes.json` of a tracker."""
    folder = tmp_path_factory.mktemp("posetrack18")
    (folder / "annotations" / "val").mkdir(parents=True)
    boxes = []
    for video, frames in VIDEOS.items():
        images, annotations = [], []
        (folder / "images" / "val" / video).mkdir(parents=True)
        for number, (labelled, tracks) in enumerate(frames):
            image_id = int(f"1{video[:6]}{number:04d}")
            name = f"images/val/{video}/{number:06d}.jpg"
            pixels = np.full((100, 300, 3), 250, np.uint8)
            pixels[:, 200:] = 100
            Image.fromarray(pixels).save(folder / name)
            images.append(
                {"id": image_id, "file_name": name, "width": 300, "height": 100,
                 "vid_id": video[:6], "is_labeled": True, "nframes": len(frames)}
            )  # fmt: skip
            for track, center in enumerate(labelled):
                annotations.append(
                    _annotation(10 * image_id + track, image_id, track, center)
                )
            for track, center in tracks.items():
                boxes.append(
                    {"image_id": image_id, "category_id": 1, "bbox": _box(center),
                     "score": 1.0, "track_id": track}
                )  # fmt: skip
        values = {"images": images, "annotations": annotations}
        (folder / "annotations" / "val" / f"{video}.json").write_text(json.dumps(values))
    (folder / "boxes.json").write_text(json.dumps(boxes))
    return folder


@pytest.fixture
def measure(data_dir, tmp_path, monkeypatch):
    """Returns a function from options to the file of numbers."""
    spec = importlib.util.spec_from_file_location("evaluate_videos_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(tasks, "load_model", lambda *_, **__: CenterModel())
    monkeypatch.setattr(tasks, "is_detector", lambda *_: False)
    monkeypatch.setattr(tasks, "is_of_crowd", lambda *_: False)
    weights = tmp_path / "model.tflite"
    weights.write_bytes(b"a model")

    def run(*options):
        data = ["--dataset", "posetrack18", "--data-dir", str(data_dir)]
        output = tmp_path / "numbers.json"
        script.main(["--weights", str(weights), *data, *options, "--output", str(output)])
        return json.loads(output.read_text())

    return run


def test_people_in_their_own_boxes_are_all_found(measure):
    numbers = measure()
    assert numbers["protocol"]["metrics"] == ["posetrack_ap"]
    assert numbers["mAP"] == 1


@pytest.mark.parametrize("track", [int, str, lambda number: number - 8])
def test_a_trackers_boxes_have_the_map_and_mota_counted_by_hand(
    measure, data_dir, tmp_path, track
):
    boxes = json.loads((data_dir / "boxes.json").read_text())
    path = tmp_path / "boxes.json"
    for each in boxes:
        each["track_id"] = track(each["track_id"])
    path.write_text(json.dumps(boxes))
    numbers = measure("--boxes", str(path), "--metrics", "posetrack_ap", "mota")
    # The stranger scores least, so precision is 1 up to the last hit.
    assert numbers["mAP"] == pytest.approx(HITS / LABELS, abs=1e-3)
    assert numbers["MOTA"] == pytest.approx(1 - MOTA_ERRORS / MOTA_LABELS, abs=1e-3)
    assert set(numbers["tables"]["MOTA by keypoint"].values()) == {numbers["MOTA"]}


def test_mota_refuses_boxes_without_tracks(measure, data_dir, tmp_path):
    boxes = json.loads((data_dir / "boxes.json").read_text())
    path = tmp_path / "boxes.json"
    for track, message in (
        (None, "MOTA needs the field 'track_id'"),
        (1.5, "number or text"),
    ):
        del boxes[0]["track_id"]
        boxes[0] |= {} if track is None else {"track_id": track}
        path.write_text(json.dumps(boxes))
        with pytest.raises(SystemExit, match=message):
            measure("--boxes", str(path), "--metrics", "mota")
        boxes[0]["track_id"] = 7
