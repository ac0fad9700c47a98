"""A clip, frame by frame: who is where, followed, numbered and smoothed.

The estimator, the follower, the tracker and the smoother are those of `inference`; only
the network may be one that needs no file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.inference import PoseEstimator
from keras_pose.inference.detectors import PERSON
from keras_pose.inference.regions import RegionFollower
from keras_pose.inference.smoothing import OneEuroSmoother
from keras_pose.inference.tracking import OksTracker
from keras_pose.parity.shaking import CHANGED_SHARE, shake
from keras_pose.pictures.structures import Detections
from keras_pose.runtime import PoseModel
from keras_pose.runtime.backend import Backend

_FOLLOWER = ("detect_every", "keypoint_threshold", "least_share")
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
    """A network that sees pixels which are changed a little; see `shaking.shake`."""

    def __init__(
        self, network: Backend, rng: np.random.Generator, share: float = CHANGED_SHARE
    ):
        self._network, self._rng, self._share = network, rng, share
        self.input, self.output = network.input, network.output

    def run(self, images):
        return self._network.run(shake(images, self._rng, self._share))


class Recorder:
    """A network of one image at a time that keeps its outputs."""

    def __init__(self, network: Backend):
        self._network = network
        self.input, self.output = network.input, network.output
        self._outputs: list[np.ndarray] = []

    def run(self, images):
        self._outputs.append(self._network.run(images))
        return self._outputs[-1]

    def take(self) -> np.ndarray:
        """Returns what was put out since the last call, (N, ...), and forgets it."""
        taken, self._outputs = self._outputs, []
        shape = (0, *(size or 0 for size in self.output.shape[1:]))
        return np.concatenate([np.zeros(shape, self.output.dtype), *taken])


def run_clip(given: dict[str, Any], models) -> dict[str, Any]:
    """Computes a case of the kinds "clip" and "video"; see docs/parity_pack.md."""
    if given["network"] == "pose":
        contract, network = models["pose"].pose_model.contract, models["pose"].backend
    else:
        contract = Contract.from_dict(given["contract"])
        network = _open_network(given["network"], contract)
    return {"frames": list(run_frames(given, contract, network))}


def run_frames(given, contract: Contract, network: Backend) -> Iterator[dict[str, Any]]:
    """Yields what is expected of each frame, for the people that `network` sees."""
    shown: dict[str, Any] = {}

    def detector(image):
        found = shown["detected"]
        labels = np.full(len(found["scores"]), PERSON)
        return Detections(found["boxes_xyxy"], found["scores"], labels)

    settings = given["settings"]
    pose_model = PoseModel(contract, ".tflite", network)
    estimator = PoseEstimator(pose_model, detector, nms_threshold=settings["nms_threshold"])
    follower = RegionFollower(estimator, **{name: settings[name] for name in _FOLLOWER})
    tracker = OksTracker(**{name: settings[name] for name in _TRACKER})
    smoother = OneEuroSmoother(**{name: settings[name] for name in _SMOOTHER})
    for frame in given["frames"]:
        shown.update(frame)
        if isinstance(network, PlaybackNetwork):
            network.raw = frame["raw"]
        num_detected = follower.num_detected
        poses = tracker.update(follower(frame["image"]))
        yield {
            "is_detected": np.array([follower.num_detected > num_detected]),
            "boxes_xyxy": poses.boxes_xyxy,
            "keypoints_xy": poses.keypoints_xy,
            "keypoint_scores": poses.keypoint_scores,
            "scores": poses.scores,
            "track_ids": poses.track_ids,
            "smoothed_xy": smoother(poses, frame["seconds"]).keypoints_xy,
        }


def _open_network(name, contract: Contract) -> Backend:
    match name:
        case "colour":
            return ColourNetwork(contract)
        case "playback":
            return PlaybackNetwork(contract)
    raise ValueError(f"A clip's network is pose, colour or playback, got {name!r}.")
