"""A clip, frame by frame: who is where, followed, numbered and smoothed.

The estimator, the follower, the tracker and the smoother are those of `inference`; only
the network may be one that needs no file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_pose.contract import Contract, TensorSpec
from keras_pose.inference import PoseEstimator
from keras_pose.inference.regions import RegionFollower
from keras_pose.inference.smoothing import OneEuroSmoother
from keras_pose.inference.tracking import OksTracker
from keras_pose.runtime import PoseModel
from keras_pose.structures import Detections

_FOLLOWER = ("detect_every", "keypoint_threshold", "least_share", "nms_threshold")
_TRACKER = ("oks_threshold", "patience", "keypoint_threshold", "min_keypoints")
_SMOOTHER = ("min_cutoff", "beta", "speed_cutoff", "forget_after")


class ColourNetwork:
    """Three heatmaps: how red, green and blue every fourth pixel of the crop is."""

    def __init__(self, contract: Contract):
        shape = (None, *contract.output.shape[1:])
        self.input = TensorSpec("image", (None, *contract.input.shape[1:]), "uint8")
        self.output = TensorSpec(contract.output.name, shape, "float32")

    def run(self, images):
        return images[:, ::4, ::4].astype(np.float32) / np.float32(255)


class PlaybackNetwork:
    """Answers the people of a frame with what a network once said of them."""

    def __init__(self, contract: Contract):
        self.input = TensorSpec("image", (None, *contract.input.shape[1:]), "uint8")
        self.output = contract.output
        self.raw: np.ndarray = np.zeros((0,))

    def run(self, images):
        if len(images) != len(self.raw):
            raise ValueError(
                f"The clip has outputs for {len(self.raw)} people of this frame, but "
                f"{len(images)} are looked at."
            )
        return self.raw


class ShakenNetwork:
    """A network that sees other pixels: changed by -1, 0 or 1 level, by chance.

    So far may the crops of two programs differ.
    """

    def __init__(self, network, rng: np.random.Generator):
        self._network, self._rng = network, rng
        self.input, self.output = network.input, network.output

    def run(self, images):
        return self._network.run(shake(images, self._rng))


def shake(pixels, rng: np.random.Generator) -> np.ndarray:
    """Changes each of some uint8 pixels by -1, 0 or 1."""
    changed = pixels.astype(np.int16) + rng.integers(-1, 2, pixels.shape)
    return np.clip(changed, 0, 255).astype(np.uint8)


def run_clip(given: dict[str, Any], models, shaken_by=None) -> dict[str, Any]:
    """Computes a case of the kind "clip"; see docs/parity_pack.md.

    Args:
        given: fields of the case.
        models: needed for the network "pose".
        shaken_by: a random generator, to run it as a `ShakenNetwork`.
    """
    contract = Contract.from_dict(given["contract"])
    network = _open_network(given["network"], contract, models)
    seen = network if shaken_by is None else ShakenNetwork(network, shaken_by)
    pose_model = PoseModel(contract, ".tflite", seen)
    shown: dict[str, Any] = {}

    def detector(image):
        found = shown["detected"]
        return Detections(
            found["boxes_xyxy"], found["scores"], np.zeros(len(found["scores"]))
        )

    settings = given["settings"]
    follower = RegionFollower(
        PoseEstimator(pose_model, detector), **{name: settings[name] for name in _FOLLOWER}
    )
    tracker = OksTracker(**{name: settings[name] for name in _TRACKER})
    smoother = OneEuroSmoother(**{name: settings[name] for name in _SMOOTHER})
    frames = []
    for frame in given["frames"]:
        shown.update(frame)
        if isinstance(network, PlaybackNetwork):
            network.raw = frame["raw"]
        num_detected = follower.num_detected
        poses = tracker.update(follower(frame["image"]))
        frames.append(
            {
                "is_detected": np.array([follower.num_detected > num_detected]),
                "boxes_xyxy": poses.boxes_xyxy,
                "keypoints_xy": poses.keypoints_xy,
                "keypoint_scores": poses.keypoint_scores,
                "scores": poses.scores,
                "track_ids": poses.track_ids,
                "smoothed_xy": smoother(poses, frame["seconds"]).keypoints_xy,
            }
        )
    return {"frames": frames}


def _open_network(name, contract: Contract, models):
    if name == "pose":
        return models["pose"].backend
    networks = {"colour": ColourNetwork, "playback": PlaybackNetwork}
    if name not in networks:
        raise ValueError(f"A clip's network is pose, colour or playback, got {name!r}.")
    return networks[name](contract)
