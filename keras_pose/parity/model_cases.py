"""Cases that run a model file: each step on its own, and the steps in one.

Where the pixels of two programs may differ by a level, an arg-max near a tie may jump by
a pixel of the heatmap. So the whole way is also gone with pixels changed by chance, and
only what stays within the tolerance is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.contracts.fields import input_to_dict, output_to_dict
from keras_pose.contracts.pose import Contract
from keras_pose.inference.estimator import BOTTOM_UP_THRESHOLD, BOX_THRESHOLD
from keras_pose.parity.clips import Recorder, ShakenNetwork, run_frames
from keras_pose.parity.kinds import KINDS
from keras_pose.parity.maths import make_case
from keras_pose.parity.model_file import ModelFile
from keras_pose.parity.packs import Case
from keras_pose.parity.scenes import CLIP_SETTINGS
from keras_pose.parity.shaking import shake
from keras_pose.parity.tolerances import (
    DETECTED_BOXES,
    WHOLE_WAY_KEYPOINTS,
    WHOLE_WAY_SCORES,
)
from keras_pose.pictures.geometry import box_to_crop, xywh_to_xyxy
from keras_pose.runtime.top_down_steps import crop_people, decode_people

NUM_TRIALS = 6
# Fields of a frame that move with the keypoints, and those that rate them.
_MOVING = ("boxes_xyxy", "keypoints_xy", "smoothed_xy")
_RATED = ("keypoint_scores", "scores")
# Pixels of a letterboxed image that differ between programs, by one level.
LETTERBOX_SHARE = 0.2
NUM_FRAMES = 5
# Whole pictures that a network is asked about: its input and outputs are large.
NUM_PICTURES = 1
FRAME_HW = (120, 96)
STEP_PIXELS = 3
FRAMES_PER_SECOND = 25


@dataclass(frozen=True)
class Person:
    """Somebody to cut out: (H, W, 3) uint8 RGB, box in pixels of the image."""

    image: np.ndarray
    box_xywh: np.ndarray


def model_cases(models: Mapping[str, ModelFile], people: Sequence[Person]) -> list[Case]:
    """Makes the cases of a pose model, a detector, or both.

    Args:
        models: model files by "pose" (of any task) and "detector".
        people: the boxes of some are moved over the edge, and made tiny and huge.

    Raises:
        ValueError: for a file that takes several images at a time.
    """
    cases: list[Case] = []
    images = [person.image for person in people[:NUM_PICTURES]]
    if "pose" in models:
        file = models["pose"]
        if file.contract.input.shape[0] != 1:
            raise ValueError(
                f"A parity pack is made of files that take one image at a time; "
                f"{file.path} takes {file.contract.input.shape[0]}."
            )
        if file.finds_everybody:
            return crowd_cases(file, images)
        cases += person_cases(file, [varied(person, i) for i, person in enumerate(people)])
        cases += clip_cases(file, people[0])
    if "detector" in models:
        cases += detector_cases(models["detector"], images)
    return cases


def person_cases(file: ModelFile, people: Sequence[Person]) -> list[Case]:
    """Makes the cases of a pose model: crop, input, model, decode, pose, of each person."""
    cases: list[Case] = []
    for i, person in enumerate(people):
        cases += _person_cases(file, person, f"person_{i}_{_describe(person)}")
    return cases


def _person_cases(file: ModelFile, person: Person, name: str) -> list[Case]:
    contract = file.pose_model.contract
    models = {"pose": file}
    given = {
        "image": person.image,
        "box_xywh": person.box_xywh,
        "input_hw": contract.input_hw,
        "box_padding": contract.box_padding,
        "is_unbiased": contract.codec.is_unbiased,
        "points_xy": np.zeros((0, 2)),
    }
    crop = make_case("crop", name, given)
    spec = input_to_dict(contract.input, contract.normalization)
    pixels = crop.expected["crop"]
    tensor = make_case("input", name, {"pixels": pixels, "input": spec})
    given = {"model": "pose", "input": tensor.expected["input"]}
    run = make_case("model", name, given, ["pose"], models)
    given = {
        "raw": run.expected["raw"][0][0],
        "output": output_to_dict(contract.output),
        "codec": contract.codec.to_dict(),
        "num_keypoints": contract.skeleton.num_keypoints,
    }
    decoded = make_case("decode", name, given)
    given = {"image": person.image, "box_xywh": person.box_xywh}
    tolerance = WHOLE_WAY_KEYPOINTS * crop.expected["size_wh"][0] / contract.input_hw[1]
    is_steady = _steady_keypoints(file, person, tolerance)
    whole = replace(
        make_case("pose", name, given, ["pose"], models),
        where={"keypoints_xy": is_steady, "keypoint_scores": is_steady},
        tolerances={"keypoints_xy": tolerance},
    )
    return [crop, tensor, run, decoded, *_certainty(contract, run, decoded, name), whole]


def _certainty(contract: Contract, run: Case, decoded: Case, name: str) -> list[Case]:
    """Makes the case of what a network with a head for visibility does not know."""
    if contract.visibility is None:
        return []
    calibration = contract.score_calibration
    given = {
        "visibility": contract.visibility.to_dict(),
        "raw": run.expected["raw"][1][0],
        "score_calibration": None if calibration is None else calibration.to_dict(),
        "keypoint_scores": decoded.expected["keypoint_scores"],
    }
    return [make_case("certainty", name, given)]


def _describe(person: Person) -> str:
    """Returns in words what is special about a box."""
    height, width = person.image.shape[:2]
    x, y, box_width, box_height = person.box_xywh
    if max(box_width, box_height) < 24:
        return "tiny"
    if box_width > width or box_height > height:
        return "larger_than_the_image"
    is_inside = x >= 0 and y >= 0 and x + box_width <= width and y + box_height <= height
    return "inside" if is_inside else "beyond_the_edge"


def varied(person: Person, index: int) -> Person:
    """Returns the person with a box as it is, over the edge, tiny, or huge, in turns."""
    x, y, width, height = person.box_xywh
    middle = np.array([x + width / 2, y + height / 2])
    size = np.array([width, height])
    match index % 4:
        case 0:
            return person
        case 1:
            middle = np.array([0.3 * width, middle[1]])
        case 2:
            size = size * 16 / size.max()
        case 3:
            size = np.array(person.image.shape[1::-1]) * 1.4
    return Person(person.image, np.concatenate([middle - size / 2, size]))


def _steady_keypoints(file: ModelFile, person: Person, tolerance: float) -> np.ndarray:
    """Returns (K,) bool: keypoints that stay well within a tolerance, in image pixels, when
    pixels change a little; that of their scores, too."""
    model = file.pose_model
    crops, to_image = crop_people(person.image, person.box_xywh[None], model.contract)
    expected_xy, expected = decode_people(model.predict(crops), to_image, model.contract)
    is_steady = np.ones(expected_xy.shape[1], bool)
    rng = np.random.default_rng(0)
    for _ in range(NUM_TRIALS):
        outputs = model.predict(shake(crops, rng))
        moved_xy, moved = decode_people(outputs, to_image, model.contract)
        is_steady &= _stays(moved_xy[0], expected_xy[0], tolerance).all(axis=-1)
        is_steady &= _stays(moved[0], expected[0], WHOLE_WAY_SCORES)
    return is_steady


def _stays(moved, expected, tolerance: float) -> np.ndarray:
    """Marks what differs by half a tolerance at most: others may differ in other ways."""
    return np.asarray(np.abs(moved - expected) <= tolerance / 2)


def detector_cases(file: ModelFile, images: Sequence[np.ndarray]) -> list[Case]:
    """Makes the cases of a detector: letterbox, input, model, boxes, detect."""
    cases: list[Case] = []
    for i, image in enumerate(images):
        cases += _detector_cases(file, image, f"image_{i}")
    return cases


def _detector_cases(file: ModelFile, image, name: str) -> list[Case]:
    contract, models = file.detector.contract, {"detector": file}
    boxed, tensor, run = _picture_cases(file, "detector", image, name)
    given = {
        "raw": [raw[0] for raw in run.expected["raw"]],
        "outputs": list(map(output_to_dict, contract.outputs)),
        "strides": list(contract.strides),
        "input_hw": contract.input_hw,
        "settings": contract.to_dict()["settings"],
        "scale_xy": boxed.expected["scale_xy"],
        "image_hw": image.shape[:2],
    }
    found = make_case("boxes", name, given)
    whole = make_case("detect", name, {"image": image}, ["detector"], models)
    steady = [whole] if _is_steady(file, image, whole.expected) else []
    return [boxed, tensor, run, found, *steady]


def _picture_cases(file: ModelFile, model: str, image, name: str) -> list[Case]:
    """Makes the first cases of a network of whole pictures: letterbox, input, model."""
    contract = file.contract
    given: dict[str, Any] = {"image": image, "input_hw": contract.input_hw}
    boxed = make_case("letterbox", name, given)
    spec = input_to_dict(contract.input, contract.normalization)
    given = {"pixels": boxed.expected["boxed"], "input": spec}
    tensor = make_case("input", name, given)
    given = {"model": model, "input": tensor.expected["input"]}
    return [boxed, tensor, make_case("model", name, given, [model], {model: file})]


def _is_steady(file: ModelFile, image, expected) -> bool:
    """Returns True if the same boxes are found when pixels change a little."""
    rng = np.random.default_rng(0)
    for _ in range(NUM_TRIALS):
        found = file.detector(shake(image, rng, LETTERBOX_SHARE))
        if found.boxes_xyxy.shape != expected["boxes_xyxy"].shape:
            return False
        moved = np.abs(found.boxes_xyxy - expected["boxes_xyxy"])
        if moved.max(initial=0) > DETECTED_BOXES:
            return False
    return True


def crowd_cases(file: ModelFile, images: Sequence[np.ndarray]) -> list[Case]:
    """Makes the cases of a network that finds everybody: letterbox, input, model, people,
    crowd."""
    cases: list[Case] = []
    for i, image in enumerate(images):
        cases += _crowd_cases(file, image, f"image_{i}")
    return cases


def _crowd_cases(file: ModelFile, image, name: str) -> list[Case]:
    contract, models = file.crowd_model.contract, {"pose": file}
    boxed, tensor, run = _picture_cases(file, "pose", image, name)
    given = {
        "image": image,
        "contract": contract.to_dict(),
        "raw": [raw[0] for raw in run.expected["raw"]],
    }
    people = make_case("people", name, given)
    is_bottom_up = isinstance(contract, BottomUpContract)
    threshold = BOTTOM_UP_THRESHOLD if is_bottom_up else BOX_THRESHOLD
    given = {"image": image, "box_threshold": threshold}
    whole = make_case("crowd", name, given, ["pose"], models)
    # Input pixels, as those of a crop.
    tolerance = WHOLE_WAY_KEYPOINTS / float(boxed.expected["scale_xy"].min())
    is_steady = _steady_crowd(file, whole, tolerance)
    if is_steady is None:
        return [boxed, tensor, run, people]
    where = {"keypoints_xy": is_steady, "keypoint_scores": is_steady}
    whole = replace(whole, where=where, tolerances={"keypoints_xy": tolerance})
    return [boxed, tensor, run, people, whole]


def _steady_crowd(file: ModelFile, whole: Case, tolerance: float) -> np.ndarray | None:
    """Returns (N, K) bool: keypoints that stay well within a tolerance when pixels change a
    little; None where nobody is found, or not always as many people."""
    expected_xy, expected = (
        whole.expected[name] for name in ("keypoints_xy", "keypoint_scores")
    )
    if not len(expected):
        return None
    is_steady = np.ones(expected.shape, bool)
    rng = np.random.default_rng(0)
    for _ in range(NUM_TRIALS):
        image = shake(whole.given["image"], rng, LETTERBOX_SHARE)
        moved = KINDS["crowd"](whole.given | {"image": image}, {"pose": file})
        if moved["keypoint_scores"].shape != expected.shape:
            return None
        is_steady &= _stays(moved["keypoints_xy"], expected_xy, tolerance).all(axis=-1)
        is_steady &= _stays(moved["keypoint_scores"], expected, WHOLE_WAY_SCORES)
    return is_steady


def clip_cases(file: ModelFile, person: Person) -> list[Case]:
    """Makes a clip of a person who moves: played back, and run by the file.

    A window goes over the image, sideways; the detector's boxes are a little off.
    """
    # A clip is about what happens over time; `pose` cases hold the visibility.
    contract = replace(file.pose_model.contract, visibility=None)
    given: dict[str, Any] = {
        "network": "pose",
        "contract": contract.to_dict(),
        "settings": {**CLIP_SETTINGS, "detect_every": 3},
        "frames": _frames(person),
    }
    recorder = Recorder(file.backend)
    whole, raw = [], []
    for frame in run_frames(given, contract, recorder):
        whole.append(frame)
        raw.append(recorder.take())
    played = [
        {**frame, "raw": values} for frame, values in zip(given["frames"], raw, strict=True)
    ]
    playback = {**given, "network": "playback", "frames": played}
    cases = [make_case("clip", "played_back", playback)]
    scale = max(_crop_scale(frame["boxes_xyxy"], contract) for frame in whole)
    steady = _steady_frames(given, file, whole, WHOLE_WAY_KEYPOINTS * scale)
    if steady is not None:
        own = dict.fromkeys(_MOVING, WHOLE_WAY_KEYPOINTS * scale)
        case = Case("video/walk", "video", given, {"frames": whole}, ("pose",))
        cases.append(replace(case, where={"frames": steady}, tolerances=own))
    return cases


def _crop_scale(boxes_xyxy, contract: Contract) -> float:
    """Returns image pixels per crop pixel, of the largest of some boxes."""
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    _, size_wh = box_to_crop(np.concatenate([0 * sides, sides], axis=1), contract.input_hw)
    return float(size_wh[:, 0].max(initial=0.0)) / contract.input_hw[1]


def _steady_frames(given, file: ModelFile, expected, tolerance: float):
    """Returns what to compare of each frame; None where not even people stay the same."""
    steady = [
        {name: np.ones(frame[name].shape[:-1], bool) for name in _MOVING}
        | {name: np.ones(frame[name].shape, bool) for name in _RATED}
        for frame in expected
    ]
    rng = np.random.default_rng(0)
    for _ in range(NUM_TRIALS):
        network = ShakenNetwork(file.backend, rng)
        frames = run_frames(given, file.pose_model.contract, network)
        for mask, frame, moved in zip(steady, expected, frames, strict=True):
            for name in ("is_detected", "track_ids"):
                if not np.array_equal(frame[name], moved[name]):
                    return None
            for name in _MOVING:
                mask[name] &= _stays(moved[name], frame[name], tolerance).all(axis=-1)
            for name in _RATED:
                mask[name] &= _stays(moved[name], frame[name], WHOLE_WAY_SCORES)
    return steady


def _frames(person: Person) -> list[dict[str, Any]]:
    """Moves a window over the picture; `detected` is the person's box, a little off."""
    rng = np.random.default_rng(0)
    height, width = FRAME_HW
    margins = ((height, height), (width, width), (0, 0))
    padded = np.pad(person.image, margins, mode="edge")
    middle = person.box_xywh[:2] + person.box_xywh[2:] / 2
    # Corner of the first window; it moves so that the person passes its middle.
    left, top = np.floor(middle).astype(int) - (width // 2, height // 2)
    left -= STEP_PIXELS * (NUM_FRAMES // 2)
    frames = []
    for t in range(NUM_FRAMES):
        x, y = left + STEP_PIXELS * t, top
        rows, columns = slice(y + height, y + 2 * height), slice(x + width, x + 2 * width)
        box = xywh_to_xyxy(person.box_xywh) - [x, y, x, y] + rng.uniform(-2, 2, 4)
        detected = {
            "boxes_xyxy": box[None].astype(np.float32),
            "scores": np.array([0.9], np.float32),
        }
        image = np.ascontiguousarray(padded[rows, columns])
        seconds = t / FRAMES_PER_SECOND
        frames.append({"seconds": seconds, "image": image, "detected": detected})
    return frames
