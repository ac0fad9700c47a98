"""The top-down estimator: person boxes -> crops -> model -> keypoints of the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_pose.runtime import PoseModel, load_model
from keras_pose.structures import Poses
from keras_pose.topdown import (
    check_flip_test,
    crop_people,
    decode_people,
    person_scores,
    predict_outputs,
)
from keras_pose.zoo import ZOO


class PoseEstimator:
    """Estimates the pose of every person in an image.

        estimator = PoseEstimator("pose_model.tflite")
        poses = estimator(image, boxes_xyxy=[[40, 12, 180, 390]])

        estimator = PoseEstimator("hrnet_w32", weights="coco")

    Attributes:
        pose_model: the model, with its contract.
        flip_test: whether mirrored crops are averaged in: slower, a little better.

    Raises:
        ValueError: for a flip test of a model whose keypoints have no mirror pairs,
            and for a detector, which this version does not take yet.
    """

    def __init__(
        self,
        pose: str | Path | PoseModel,
        detector=None,
        flip_test: bool = False,
        num_threads: int | None = None,
        weights: str | Path | None = None,
    ):
        """Loads the model.

        Args:
            pose: `.keras`, `.tflite` or `.onnx` file with its contract, a model that is
                loaded already, or with `weights`, a name in the zoo.
            detector: must be None: people come as boxes, or fill the image.
            flip_test: predict mirrored crops too, and average.
            num_threads: for `.tflite` and `.onnx` files; None for all cores.
            weights: of a model of the zoo, see `create_model`.
        """
        if detector is not None:
            raise ValueError(
                "There is no person detector yet: detector must be None, got "
                f"{detector!r}. Call the estimator with boxes_xyxy."
            )
        if not isinstance(pose, PoseModel):
            pose = _load(pose, weights, num_threads)
        if flip_test:
            check_flip_test(pose.contract.skeleton)
        self.pose_model = pose
        self.flip_test = flip_test

    def __call__(self, image: np.ndarray, boxes_xyxy=None) -> Poses:
        """Estimates the poses in one image.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes_xyxy: (N, 4) person boxes, image pixels; by default the whole image
                is one person.

        Returns:
            The people, in the order of their boxes.

        Raises:
            ValueError: for an image of another shape or type, and for boxes that
                are empty or outside the image.
        """
        _check_image(image)
        if boxes_xyxy is None:
            boxes_xyxy = whole_image_box(image)
        boxes = _checked_boxes(boxes_xyxy, image.shape[:2])
        contract = self.pose_model.contract
        boxes_xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        crops, to_image = crop_people(image, boxes_xywh, contract)
        outputs = predict_outputs(self.pose_model.predict, crops, contract, self.flip_test)
        keypoints_xy, keypoint_scores = decode_people(outputs, to_image, contract)
        scores = person_scores(np.ones(len(boxes)), keypoint_scores)
        return Poses(boxes, keypoints_xy, keypoint_scores, scores, contract.skeleton)


def _load(pose, weights, num_threads) -> PoseModel:
    if weights is not None:
        return load_model(weights, model=str(pose), num_threads=num_threads)
    if str(pose) in ZOO:
        raise ValueError(
            f"{pose} is a network of the zoo: with which weights? For official ones: "
            f'PoseEstimator("{pose}", weights="coco").'
        )
    return load_model(pose, num_threads=num_threads)


def whole_image_box(image) -> np.ndarray:
    """Returns (1, 4): the box from the first pixel's centre to the last one's."""
    height, width = image.shape[:2]
    return np.array([[0.0, 0.0, max(1, width - 1), max(1, height - 1)]])


def _check_image(image):
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            f"The estimator takes (H, W, 3) uint8 RGB images, got {image.shape} "
            f"{image.dtype}."
        )


def _checked_boxes(boxes_xyxy, image_hw):
    """Returns (N, 4) float64 boxes, of which each has an area and meets the image."""
    boxes = np.asarray(boxes_xyxy, np.float64)
    if boxes.size == 0:
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes_xyxy must be (N, 4), got {boxes.shape}.")
    height, width = image_hw
    for box in boxes:
        x1, y1, x2, y2 = box
        if not np.isfinite(box).all() or x2 <= x1 or y2 <= y1:
            raise ValueError(
                "A person box needs finite x1 < x2 and y1 < y2, got (x1, y1, x2, y2) = "
                f"({x1:g}, {y1:g}, {x2:g}, {y2:g})."
            )
        if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
            raise ValueError(
                f"The person box (x1, y1, x2, y2) = ({x1:g}, {y1:g}, {x2:g}, {y2:g}) lies "
                f"outside the image, which is {width} wide and {height} high."
            )
    return boxes
