"""The estimator: picture in, people with their keypoints out.

Top-down networks: person boxes -> crops -> network -> keypoints of the image. Bottom-up
and one-stage networks see the whole picture, and need no boxes.
"""

from __future__ import annotations

import functools
import threading
from pathlib import Path

import numpy as np

from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.inference.detectors import (
    MAX_SIDE,
    MIN_SIDE,
    PERSON,
    WHOLE_IMAGE,
    Detect,
    DetectionFile,
    is_usable,
    open_detector,
    people_among,
)
from keras_pose.inference.pose_nms import NMS_THRESHOLD, different_people
from keras_pose.pictures.boxes import letterbox
from keras_pose.pictures.drawing import draw_heatmaps
from keras_pose.pictures.geometry import whole_image_box, xyxy_to_xywh
from keras_pose.pictures.images import as_image
from keras_pose.pictures.structures import Detections, Poses
from keras_pose.runtime import PoseModel
from keras_pose.runtime.crowd_model import CrowdModel, load_pose
from keras_pose.runtime.detector_model import Detector
from keras_pose.runtime.integer_speed import advise_on
from keras_pose.runtime.pose_model import MAX_BATCH
from keras_pose.runtime.top_down_steps import (
    check_flip_test,
    crop_people,
    decode_people,
    person_scores,
    predict_people,
)
from keras_pose.shipped import POSE, shipped_box_threshold, shipped_file
from keras_pose.skeleton import Skeleton
from keras_pose.zoo import ZOO

# Detectors also propose unlikely boxes, for metrics that rank by score. An app shows all
# boxes alike, so it needs likely ones.
BOX_THRESHOLD = 0.3
# Mean height of the peaks over all keypoints, of those that were not found 0: a quarter of
# a person, fairly sure.
BOTTOM_UP_THRESHOLD = 0.1


class PoseEstimator:
    """Estimates the pose of every person in an image.

        estimator = PoseEstimator()  # the models that come with the package
        poses = estimator(image)
        poses = estimator(image, boxes_xyxy=[[40, 12, 180, 390]])

        estimator = PoseEstimator("pose_model.tflite", detector="detector.tflite")
        estimator = PoseEstimator("pose_model.tflite", detector="whole image")
        estimator = PoseEstimator("hrnet_w32", weights="coco")

    Any number of threads may call one estimator. Where a file is slower on this machine
    than another one would be, it warns once (`runtime.integer_speed.SpeedAdvice`).

    Attributes:
        pose_model: the model, with its contract: of a network that sees whole pictures, or
            one person at a time.
        flip_test: True to average mirrored crops in: slower, a little better.
        box_threshold: score of a box that a person must exceed; of a network that sees
            whole pictures, score of the person.
        nms_threshold: OKS of two people who were found in boxes, above which only the
            better one stays.

    Raises:
        ValueError: for a flip test of a model whose keypoints have no mirror pairs,
            for a detector that is none, and for a detector or a flip test of a network
            that sees whole pictures.
    """

    def __init__(
        self,
        pose: str | Path | PoseModel | CrowdModel | None = None,
        detector: Detect | DetectionFile | str | Path | None = None,
        flip_test: bool = False,
        num_threads: int | None = None,
        weights: str | Path | None = None,
        box_threshold: float | None = None,
        nms_threshold: float = NMS_THRESHOLD,
    ):
        """Loads the model.

        Args:
            pose: `.keras`, `.tflite` or `.onnx` file with its contract, a model that is
                loaded already, or with `weights`, a name in the zoo. None for the model
                that comes with the package (`keras_pose.shipped`).
            detector: a detector's file, the description of one (docs/detectors.md), a
                `.json` of detections in COCO's format, or what is loaded already. None
                for the one that comes with the package, which is loaded when people are
                first looked for; "whole image" to take every image as one person.
            flip_test: predict mirrored crops too, and average.
            num_threads: threads for `.tflite` and `.onnx` files; None for all cores.
            weights: weights of a model of the zoo, see `create_model`.
            box_threshold: score as in the class. None for what was measured to be best for
                the detector that comes with the package, and for 0.3 of any other.
            nms_threshold: OKS as in the class; 1 keeps everybody.
        """
        if pose is None:
            pose = shipped_file(POSE)
        if not isinstance(pose, PoseModel | CrowdModel):
            pose = _load(pose, weights, num_threads)
        advise_on(pose)
        self.pose_model: PoseModel | CrowdModel = pose
        if self.sees_whole_pictures:
            _check_needs_nothing(pose, detector, flip_test)
            detector = WHOLE_IMAGE
            if box_threshold is None and isinstance(pose.contract, BottomUpContract):
                box_threshold = BOTTOM_UP_THRESHOLD
        elif flip_test:
            check_flip_test(pose.contract.skeleton)
        self.flip_test = flip_test
        if box_threshold is None and detector is None:
            box_threshold = shipped_box_threshold()
        self.box_threshold = BOX_THRESHOLD if box_threshold is None else box_threshold
        self.nms_threshold = nms_threshold
        self._open_detector = functools.partial(open_detector, detector, num_threads)
        self._opening = threading.Lock()
        self._detector: Detect | DetectionFile | None = None
        self._is_open = False
        if detector is not None:
            _ = self.detector  # what is wrong with it is said now

    @property
    def detector(self) -> Detect | DetectionFile | None:
        """Source of person boxes, see `inference.detectors`; None for the whole image."""
        with self._opening:  # by the first of many threads, once
            if not self._is_open:
                self.detector = self._open_detector()
                if isinstance(self._detector, Detector):
                    advise_on(self._detector)
        return self._detector

    @detector.setter
    def detector(self, detector: Detect | DetectionFile | None) -> None:
        self._detector, self._is_open = detector, True

    @property
    def sees_whole_pictures(self) -> bool:
        """True if the network finds everybody in a picture by itself."""
        return isinstance(self.pose_model, CrowdModel)

    @property
    def skeleton(self) -> Skeleton:
        """Names and limbs of the keypoints."""
        return self.pose_model.contract.skeleton

    def __call__(self, image, boxes_xyxy=None, image_id=None) -> Poses:
        """Estimates the poses in one image.

        Args:
            image: (H, W, 3) uint8 RGB, a path, or whatever else `images.as_image` takes.
            boxes_xyxy: (N, 4) person boxes, image pixels, each of which gets its pose; by
                default those that the detector finds, without doubles.
            image_id: id of the image in a file of detections; by default its path, if it is
                one.

        Returns:
            The people, in the order of their boxes; those of a network that sees whole
            pictures by falling score.

        Raises:
            ValueError: for what is no image, for boxes that are empty or outside the image
                (of a detector's boxes such are left out), and for boxes where the network
                is a bottom-up one.
            images.ImageError: for a file that cannot be read.
        """
        if image_id is None and isinstance(image, str | Path):
            image_id = image
        image = as_image(image)
        if isinstance(self.pose_model, CrowdModel) and boxes_xyxy is None:
            poses = self.pose_model(image)
            return poses[poses.scores > self.box_threshold]
        if boxes_xyxy is not None:
            boxes = _checked_boxes(boxes_xyxy, image.shape[:2])
            return self.estimate(image, boxes)
        people = self.find_people(image, image_id)
        poses = self.estimate(image, people.boxes_xyxy, people.scores)
        return poses[different_people(poses, self.nms_threshold)]

    def find_people(self, image: np.ndarray, image_id=None) -> Detections:
        """Returns the boxes of people, by the detector; arguments as for a call."""
        if self.detector is None:
            return Detections(
                whole_image_box(image.shape[:2])[None], np.ones(1), np.array([PERSON])
            )
        if isinstance(self.detector, DetectionFile):
            if image_id is None:
                raise ValueError(
                    f"The people stand in the file {self.detector.path}: say of which "
                    "image they are asked, image_id=..."
                )
            found = self.detector.find(image_id)
        elif isinstance(self.detector, Detector):
            found = self.detector(image, self.box_threshold)
        else:
            found = self.detector(image)
        people = people_among(found, image.shape[:2])
        return people[people.scores > self.box_threshold]

    def estimate(self, image: np.ndarray, boxes_xyxy, box_scores=None) -> Poses:
        """Estimates the poses in boxes that are known to be good.

        Some at a time, so that memory does not grow with the number of people.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes_xyxy: (N, 4), image pixels, see `detectors.is_usable`.
            box_scores: (N,) confidence that someone is there; 1 by default.
        """
        boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        if not len(boxes):
            return Poses.none(self.skeleton)
        parts = [
            self._estimate_some(image, boxes[start : start + MAX_BATCH])
            for start in range(0, len(boxes), MAX_BATCH)
        ]
        found_xy, found_scores, found_visibility = zip(*parts, strict=True)
        keypoints_xy, keypoint_scores = map(np.concatenate, (found_xy, found_scores))
        has_visibility = self._top_down.contract.visibility is not None
        visibility = np.concatenate(found_visibility) if has_visibility else None
        box_scores = np.ones(len(boxes)) if box_scores is None else box_scores
        # People are rated by the scores as they are, as when they are measured.
        scores = person_scores(box_scores, keypoint_scores)
        calibration = self._top_down.contract.score_calibration
        if calibration is not None:
            keypoint_scores = calibration(keypoint_scores)
        return Poses(
            boxes,
            keypoints_xy,
            keypoint_scores,
            scores,
            self.skeleton,
            visibility=visibility,
        )

    def show_heatmaps(self, image: np.ndarray, poses: Poses) -> np.ndarray:
        """Lays over an image what the network saw in the boxes of its people.

        Returns:
            A new (H, W, 3) uint8 image, see `drawing.draw_heatmaps`.

        Raises:
            ValueError: for a model without heatmaps, one per keypoint.
        """
        image = as_image(image)
        if isinstance(self.pose_model, CrowdModel):
            return _show_whole(image, self.pose_model)
        codec = self.pose_model.contract.codec
        shape = codec.output_shape(self.skeleton.num_keypoints)
        if not hasattr(codec, "pixel_xy") or shape[2:] != (self.skeleton.num_keypoints,):
            raise ValueError(
                f"{self.pose_model.contract.model} gives no heatmap per keypoint, but an "
                f"output of shape {shape}, for the codec {codec.kind!r}."
            )
        for box in poses.boxes_xyxy.astype(np.float64):
            outputs, to_image, _ = self._outputs(image, box[None])
            # From heatmap pixels to the crop's, then to the image's.
            matrix = to_image[0] * [*codec.pixel_xy, 1.0]
            image = draw_heatmaps(image, outputs[0], matrix)
        return image

    def _estimate_some(self, image, boxes):
        outputs, to_image, visibility = self._outputs(image, boxes)
        return *decode_people(outputs, to_image, self._top_down.contract), visibility

    @property
    def _top_down(self) -> PoseModel:
        if isinstance(self.pose_model, CrowdModel):
            raise ValueError(
                f"{self.pose_model.contract.model} sees whole pictures and finds the "
                "people itself: it takes no boxes."
            )
        return self.pose_model

    def _outputs(self, image, boxes):
        """Returns outputs for some people, the maps to the image, and visibility."""
        contract = self._top_down.contract
        crops, to_image = crop_people(image, xyxy_to_xywh(boxes), contract)
        outputs, visibility = predict_people(self._top_down, crops, self.flip_test)
        return outputs, to_image, visibility


def _check_needs_nothing(model, detector, flip_test) -> None:
    """Refuses what would have no effect on a network that sees whole pictures."""
    if detector is not None:
        raise ValueError(
            f"{model.contract.model} finds the people itself: leave the detector "
            f"{str(detector)[:60]!r} out."
        )
    if flip_test:
        raise ValueError(
            f"{model.contract.model} sees whole pictures, which are not mirrored: leave "
            "the flip test out."
        )


def _show_whole(image, model: CrowdModel) -> np.ndarray:
    """Lays the heatmaps of everybody over an image."""
    if not isinstance(model.contract, BottomUpContract):
        raise ValueError(
            f"{model.contract.model} gives no heatmaps, but people; show them with "
            "draw_poses."
        )
    boxed, scale_xy = letterbox(image, model.contract.input_hw)
    heatmaps, _ = model.predict(boxed)
    stride = model.contract.codec.stride
    zoom_x, zoom_y = stride / scale_xy
    # From cells to image pixels, both counted from their middles.
    matrix = np.array(
        [[zoom_x, 0, zoom_x / 2 - 0.5], [0, zoom_y, zoom_y / 2 - 0.5]], np.float64
    )
    return draw_heatmaps(image, heatmaps[..., :-1], matrix)


def _load(pose, weights, num_threads) -> PoseModel | CrowdModel:
    if weights is not None:
        return load_pose(weights, model=str(pose), num_threads=num_threads)
    if str(pose) in ZOO:
        raise ValueError(
            f"{pose} is a network of the zoo: with which weights? For official ones: "
            f'PoseEstimator("{pose}", weights="coco").'
        )
    return load_pose(pose, num_threads=num_threads)


def _checked_boxes(boxes_xyxy, image_hw):
    """Returns (N, 4) float64 boxes, of which each has an area and meets the image."""
    boxes = np.asarray(boxes_xyxy, np.float64)
    if boxes.size == 0:
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes_xyxy must be (N, 4), got {boxes.shape}.")
    height, width = image_hw
    for x1, y1, x2, y2 in boxes[~is_usable(boxes, image_hw)]:
        box = f"(x1, y1, x2, y2) = ({x1:g}, {y1:g}, {x2:g}, {y2:g})"
        if x1 < x2 and y1 < y2 and (x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0):
            raise ValueError(
                f"The person box {box} lies outside the image, which is {width} wide and "
                f"{height} high."
            )
        raise ValueError(
            "A person box needs finite x1 < x2 and y1 < y2, with sides of "
            f"{MIN_SIDE:g} to {MAX_SIDE:g} pixels, got {box}."
        )
    return boxes
