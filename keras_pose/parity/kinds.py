"""Kinds of cases: the input and output of each, and the function it computes.

Shapes and units of all fields stand in docs/parity_pack.md. Nothing is computed here
that the package does not compute elsewhere for its own use.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_pose.codecs import codec_from_dict
from keras_pose.contracts.certainty import ScoreCalibration, Visibility
from keras_pose.contracts.crowd import crowd_contract_of_dict
from keras_pose.contracts.fields import tensor_spec
from keras_pose.inference.detectors import is_usable
from keras_pose.inference.estimator import BOX_THRESHOLD, PoseEstimator
from keras_pose.inference.regions import RegionFollower, next_boxes
from keras_pose.inference.smoothing import OneEuroSmoother
from keras_pose.inference.tracking import OksTracker
from keras_pose.parity.clips import run_clip
from keras_pose.parity.model_file import ModelFile
from keras_pose.pictures import boxes
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.pictures.geometry import (
    box_to_crop,
    crop_matrix,
    invert_matrix,
    transform_points,
    warp_image,
)
from keras_pose.pictures.normalization import Normalization
from keras_pose.pictures.oks import object_keypoint_similarity, oks_nms
from keras_pose.pictures.structures import Detections, Poses
from keras_pose.runtime.crowd_steps import find_poses
from keras_pose.runtime.top_down_steps import crop_people, decode_people, person_scores
from keras_pose.skeleton import Skeleton

Fields = dict[str, Any]
Models = dict[str, ModelFile]


def crop(given: Fields, models: Models) -> Fields:
    center_xy, size_wh = box_to_crop(
        given["box_xywh"], given["input_hw"], given["box_padding"]
    )
    to_crop = crop_matrix(
        center_xy, size_wh[0], given["input_hw"], is_unbiased=given["is_unbiased"]
    )
    to_image = invert_matrix(to_crop)
    return {
        "center_xy": center_xy,
        "size_wh": size_wh,
        "image_to_crop": to_crop,
        "crop_to_image": to_image,
        "crop": warp_image(given["image"], to_crop, given["input_hw"]),
        "points_in_image_xy": transform_points(to_image, given["points_xy"]),
    }


def to_input(given: Fields, models: Models) -> Fields:
    pixels, spec = given["pixels"][None], given["input"]
    if spec["normalization"] is not None:
        pixels = Normalization.from_dict(spec["normalization"])(pixels)
    return {"input": np.ascontiguousarray(pixels, spec["dtype"])}


def to_real(given: Fields, models: Models) -> Fields:
    return {"real": tensor_spec(given["output"]).to_real(given["raw"])}


def decode(given: Fields, models: Models) -> Fields:
    real = tensor_spec(given["output"]).to_real(given["raw"])
    crop_xy, scores = codec_from_dict(given["codec"]).decode(real)
    return {"crop_xy": crop_xy, "keypoint_scores": scores}


def rate_people(given: Fields, models: Models) -> Fields:
    scores = person_scores(
        given["box_scores"], given["keypoint_scores"], given["threshold"]
    )
    return {"scores": scores}


def certainty(given: Fields, models: Models) -> Fields:
    field = Visibility.from_dict(given["visibility"])
    found = {"visibility": field.probabilities(field.output.to_real(given["raw"]))}
    if given["score_calibration"] is not None:
        calibration = ScoreCalibration.from_dict(given["score_calibration"])
        found["keypoint_scores"] = calibration(given["keypoint_scores"])
    return found


def letterbox(given: Fields, models: Models) -> Fields:
    boxed, scale_xy = boxes.letterbox(given["image"], given["input_hw"])
    content_hw = boxes.letterbox_hw(given["image"].shape[:2], given["input_hw"])
    return {"boxed": boxed, "content_hw": np.array(content_hw), "scale_xy": scale_xy}


def decode_boxes(given: Fields, models: Models) -> Fields:
    real = [
        tensor_spec(spec).to_real(raw)
        for spec, raw in zip(given["outputs"], given["raw"], strict=True)
    ]
    num_levels = len(given["strides"])
    scores, distances = real[:num_levels], real[num_levels:]
    settings = BoxSettings(**given["settings"])
    rest = (given["strides"], given["input_hw"])
    proposed = boxes.propose(scores, distances, *rest, settings)
    found = boxes.detect(scores, distances, *rest, given["scale_xy"], settings)
    found = boxes.clip_to_image(found, given["image_hw"])
    return {
        "proposed_boxes_xyxy": proposed.boxes_xyxy,
        "proposed_scores": proposed.scores,
        "proposed_labels": proposed.labels,
        "boxes_xyxy": found.boxes_xyxy,
        "scores": found.scores,
        "labels": found.labels,
    }


def find_people(given: Fields, models: Models) -> Fields:
    contract = crowd_contract_of_dict(given["contract"])
    real = [
        spec.to_real(raw) for spec, raw in zip(contract.outputs, given["raw"], strict=True)
    ]
    found = find_poses(lambda boxed: real, given["image"], contract)
    return {
        "boxes_xyxy": found.boxes_xyxy,
        "keypoints_xy": found.keypoints_xy,
        "keypoint_scores": found.keypoint_scores,
        "scores": found.scores,
    }


def nms(given: Fields, models: Models) -> Fields:
    found = Detections(given["boxes_xyxy"], given["scores"], given["labels"])
    kept = boxes.kept_indices(found, BoxSettings(**given["settings"]))
    return {"kept": kept}


def oks(given: Fields, models: Models) -> Fields:
    similarity = object_keypoint_similarity(
        given["poses_xy"],
        given["others_xy"],
        given["areas"],
        given["sigmas"],
        given["is_counted"],
    )
    return {"similarity": similarity}


def keep_different(given: Fields, models: Models) -> Fields:
    names = ("keypoints_xy", "scores", "areas", "sigmas", "threshold")
    return {"kept": oks_nms(*(given[name] for name in names))}


def look_ahead(given: Fields, models: Models) -> Fields:
    poses = _poses(given["boxes_xyxy"], given["keypoints_xy"], given["keypoint_scores"])
    found = next_boxes(poses, given["threshold"])
    return {"next_boxes_xyxy": found, "can_follow": is_usable(found, given["image_hw"])}


def track(given: Fields, models: Models) -> Fields:
    tracker = OksTracker(**given["settings"])
    frames = []
    for frame in given["frames"]:
        seen = (frame["boxes_xyxy"], frame["keypoints_xy"], frame["keypoint_scores"])
        poses = _poses(*seen, sigmas=given["sigmas"])
        frames.append({"track_ids": tracker.update(poses).track_ids})
    return {"frames": frames}


def smooth(given: Fields, models: Models) -> Fields:
    smoother = OneEuroSmoother(**given["settings"])
    frames = []
    for frame in given["frames"]:
        names = ("boxes_xyxy", "keypoints_xy", "keypoint_scores")
        poses = _poses(*(frame[name] for name in names))
        poses = poses.replace(track_ids=frame["track_ids"])
        frames.append({"smoothed_xy": smoother(poses, frame["seconds"]).keypoints_xy})
    return {"frames": frames}


def usual_settings(given: Fields, models: Models) -> Fields:
    """Returns the settings that are taken where none are said."""
    owners = {
        "estimator": PoseEstimator,
        "follower": RegionFollower,
        "tracker": OksTracker,
        "smoother": OneEuroSmoother,
    }
    defaults = {
        f"{owner}.{setting}": parameter.default
        for owner, kind in owners.items()
        for setting, parameter in inspect.signature(kind).parameters.items()
    }
    # None there: a detector that comes with the package has a threshold of its own.
    defaults["estimator.box_threshold"] = BOX_THRESHOLD
    return {"defaults": np.array([defaults[name] for name in given["names"]], np.float64)}


def run_model(given: Fields, models: Models) -> Fields:
    return {"raw": models[given["model"]].run(given["input"])}


def pose(given: Fields, models: Models) -> Fields:
    model = models["pose"].pose_model
    crops, to_image = crop_people(given["image"], given["box_xywh"][None], model.contract)
    keypoints_xy, scores = decode_people(model.predict(crops), to_image, model.contract)
    return {"keypoints_xy": keypoints_xy[0], "keypoint_scores": scores[0]}


def crowd(given: Fields, models: Models) -> Fields:
    found = models["pose"].crowd_model(given["image"])
    found = found[found.scores > np.float32(given["box_threshold"])]
    return {"keypoints_xy": found.keypoints_xy, "keypoint_scores": found.keypoint_scores}


def detect(given: Fields, models: Models) -> Fields:
    found = models["detector"].detector(given["image"])
    return {
        "boxes_xyxy": found.boxes_xyxy,
        "scores": found.scores,
        "labels": found.labels,
    }


def _poses(boxes_xyxy, keypoints_xy, keypoint_scores, sigmas=()) -> Poses:
    names = tuple(f"point_{i}" for i in range(keypoints_xy.shape[1]))
    skeleton = Skeleton("points", names, oks_sigmas=tuple(np.asarray(sigmas).tolist()))
    return Poses(
        boxes_xyxy, keypoints_xy, keypoint_scores, np.ones(len(boxes_xyxy)), skeleton
    )


KINDS: dict[str, Callable[[Fields, Models], Fields]] = {
    "crop": crop,
    "input": to_input,
    "real": to_real,
    "decode": decode,
    "person_scores": rate_people,
    "certainty": certainty,
    "letterbox": letterbox,
    "boxes": decode_boxes,
    "people": find_people,
    "nms": nms,
    "oks": oks,
    "oks_nms": keep_different,
    "regions": look_ahead,
    "tracks": track,
    "smoothing": smooth,
    "defaults": usual_settings,
    "clip": run_clip,
    "video": run_clip,
    "model": run_model,
    "pose": pose,
    "crowd": crowd,
    "detect": detect,
}
