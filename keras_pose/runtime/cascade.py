"""DeepPose's cascade: each stage looks closer at every joint, and moves it.

The first stage sees a whole person. A later one sees, for each joint, a sub-image around
the place where the stage before put it, and says where in there the joint is. Its network
is one for all joints and answers for all of them; of an answer for the sub-image of joint
i only joint i counts.

Source: Toshev and Szegedy 2014 (arXiv:1312.4659), sec. 3.2. NumPy only: networks come in
as functions, see `top_down_steps.Predict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_pose.contracts.pose import Contract
from keras_pose.files import read_json
from keras_pose.pictures.geometry import (
    crop_matrix,
    invert_matrix,
    transform_points,
    warp_image,
)
from keras_pose.runtime import load_model
from keras_pose.runtime.top_down_steps import (
    Predict,
    crop_people,
    decode_people,
    predict_outputs,
)
from keras_pose.skeleton import Skeleton

# The file that makes a folder of networks a cascade.
CASCADE_NAME = "cascade.json"
# `sigma` in the paper, sec. 4.1: sub-images are this many diameters wide; 1 on FLIC, whose
# people are cut at the hips, and 2 on LSP, whose people are whole.
CROP_SCALE = 2.0
# A pose that collapsed to a point still gets a sub-image, this many pixels wide.
MIN_CROP_WIDTH = 8.0
# Joints whose distance is the size of a person (the paper's example, and its mirror).
OPPOSING = (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"))


@dataclass(frozen=True)
class Stage:
    """One network of the cascade.

    Attributes:
        predict: crops -> coordinates, (N, H, W, 3) uint8 RGB -> (N, K, 2) float32.
        contract: description of that network.
    """

    predict: Predict
    contract: Contract


@dataclass(frozen=True)
class Cascade:
    """Networks that find people's joints one after the other.

    Attributes:
        first: network that sees whole people.
        refinements: networks of the later stages, each of which sees the neighbourhood of
            one joint.
        crop_scale: width of that neighbourhood, in diameters of the pose.

    Raises:
        ValueError: if the stages are not for the same keypoints, or their outputs are not
            coordinates.
    """

    first: Stage
    refinements: tuple[Stage, ...]
    crop_scale: float = CROP_SCALE

    def __post_init__(self) -> None:
        for stage in (self.first, *self.refinements):
            check_regresses(stage.contract)
            if stage.contract.skeleton.names != self.first.contract.skeleton.names:
                raise ValueError(
                    "All stages of a cascade must have the keypoints of the first, "
                    f"{self.first.contract.skeleton.names}, got "
                    f"{stage.contract.skeleton.names}."
                )
        opposing_indices(self.first.contract.skeleton)

    def estimate(self, image, boxes_xywh) -> list[np.ndarray]:
        """Finds the joints of the people in the boxes.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes_xywh: (N, 4) person boxes, image pixels.

        Returns:
            For each stage (N, K, 2) float64, image pixels; the last is the best.
        """
        poses = [estimate_first(image, boxes_xywh, self.first)]
        for stage in self.refinements:
            poses.append(refine(image, poses[-1], stage, self.crop_scale))
        return poses


def load_cascade(folder) -> Cascade:
    """Loads what `trainer.cascade_fit.fit_cascade` wrote.

    Raises:
        FileNotFoundError: if the folder, or a file that it should hold, is missing.
        ValueError: if its description is not one of a cascade.
    """
    path = Path(folder) / CASCADE_NAME
    description = read_json(path)
    try:
        names, crop_scale = description["stages"], float(description["crop_scale"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not describe a cascade: {error!r}.") from error
    models = [load_model(path.with_name(name)) for name in names]
    first, *others = (Stage(model.predict, model.contract) for model in models)
    return Cascade(first, tuple(others), crop_scale)


def check_regresses(contract: Contract) -> None:
    """Raises ValueError unless a network gives coordinates."""
    if contract.codec.kind != "regression":
        raise ValueError(
            f"A cascade is made of networks that give coordinates, but {contract.model} "
            f"gives what codec {contract.codec.kind!r} decodes."
        )


def estimate_first(image, boxes_xywh, stage: Stage):
    """Runs the first stage; see `Cascade.estimate`."""
    crops, to_image = crop_people(image, boxes_xywh, stage.contract)
    outputs = predict_outputs(stage.predict, crops, stage.contract)
    return decode_people(outputs, to_image, stage.contract)[0]


def refine(image, keypoints_xy, stage: Stage, crop_scale: float):
    """Looks at every joint of every person again, and moves it.

    Args:
        image: (H, W, 3) uint8 RGB.
        keypoints_xy: (N, K, 2) joints as the stage before has them, image pixels.
        stage: a refining one.
        crop_scale: width of a sub-image, in diameters of the pose.

    Returns:
        (N, K, 2) float64, image pixels.
    """
    keypoints_xy = np.asarray(keypoints_xy, np.float64)
    num_people, num_joints = keypoints_xy.shape[:2]
    if num_people == 0:
        return keypoints_xy
    is_known = np.ones((num_people, num_joints), bool)
    diameters = pose_diameters(keypoints_xy, is_known, stage.contract.skeleton)
    centers_xy = keypoints_xy.reshape(-1, 2)
    widths = np.repeat(crop_widths(diameters, crop_scale), num_joints)
    crops, to_image = cut_joints(image, centers_xy, widths, stage.contract.input_hw)
    outputs = predict_outputs(stage.predict, crops, stage.contract)
    moved_xy, _ = decode_people(outputs, to_image, stage.contract)
    own = np.tile(np.arange(num_joints), num_people)
    return moved_xy[np.arange(len(own)), own].reshape(keypoints_xy.shape)


def crop_widths(diameters, crop_scale: float):
    """Returns the widths of sub-images, image pixels, for the diameters of poses."""
    return np.maximum(crop_scale * np.asarray(diameters), MIN_CROP_WIDTH)


def cut_joints(image, centers_xy, widths, input_hw):
    """Cuts sub-images out of an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        centers_xy: (N, 2) their centres, image pixels.
        widths: (N,) their widths, image pixels.
        input_hw: (height, width) of a sub-image in the network's pixels.

    Returns:
        crops: (N, *input_hw, 3) uint8 RGB.
        to_image: (N, 2, 3) float64 maps from sub-image pixels to image pixels.
    """
    matrices = crop_matrix(centers_xy, widths, input_hw)
    crops = np.stack([warp_image(image, matrix, input_hw) for matrix in matrices])
    return crops, invert_matrix(matrices)


def opposing_indices(skeleton: Skeleton) -> np.ndarray:
    """Returns the (P, 2) index pairs of joints whose distance is a pose's diameter.

    Raises:
        ValueError: for a skeleton that lacks them.
    """
    known = set(skeleton.names)
    pairs = [pair for pair in OPPOSING if known.issuperset(pair)]
    if not pairs:
        raise ValueError(
            f"A cascade measures people by shoulder and opposite hip, {OPPOSING}, but "
            f"skeleton {skeleton.name!r} has only {skeleton.names}."
        )
    return np.array([[skeleton.index(a), skeleton.index(b)] for a, b in pairs])


def pose_diameters(keypoints_xy, is_known, skeleton: Skeleton):
    """Measures how large poses are, whatever their boxes: `diam(y)` in the paper.

    Args:
        keypoints_xy: (N, K, 2) joints, image pixels.
        is_known: (N, K) bool, whether a joint may be measured by.
        skeleton: names the joints.

    Returns:
        (N,) float64, pixels: the longest distance of opposing joints; 0 where no pair is
        known.
    """
    first, second = opposing_indices(skeleton).T
    difference = np.asarray(keypoints_xy, np.float64)
    difference = difference[:, first] - difference[:, second]
    distances = np.linalg.norm(difference, axis=-1)
    is_known = np.asarray(is_known)
    return (distances * (is_known[:, first] & is_known[:, second])).max(axis=1)


@dataclass(frozen=True)
class Displacements:
    """Distances of a stage's joints from the true ones, as a normal distribution of each.

    In diameters of the true pose, where the paper has pixels: so people of all sizes count
    alike.

    Attributes:
        mean_xy: (K, 2).
        std_xy: (K, 2).
    """

    mean_xy: np.ndarray
    std_xy: np.ndarray

    def draw(self, joints, rng: np.random.Generator):
        """Draws one displacement for each of the (N,) joints: (N, 2), in diameters."""
        mean_xy, std_xy = self.mean_xy[joints], self.std_xy[joints]
        return mean_xy + std_xy * rng.standard_normal(mean_xy.shape)


def measure_displacements(predicted_xy, keypoints_xy, is_known, diameters) -> Displacements:
    """Fits the distributions that later stages are trained with.

    Args:
        predicted_xy: (N, K, 2) a stage's joints, image pixels.
        keypoints_xy: (N, K, 2) the true ones.
        is_known: (N, K) bool, whether a true joint is labelled.
        diameters: (N,) of the true poses, pixels; people with 0 are left out.

    Raises:
        ValueError: if no person is left.
    """
    diameters = np.asarray(diameters)
    is_known = np.asarray(is_known) & (diameters > 0)[:, None]
    if not is_known.any():
        raise ValueError(
            "Displacements need people with shoulder and opposite hip labelled: there are "
            f"none among {len(diameters)}."
        )
    scale = np.where(diameters > 0, diameters, 1)[:, None, None]
    away = (np.asarray(predicted_xy) - keypoints_xy) / scale
    weights = is_known[..., None].astype(np.float64)
    count = np.maximum(weights.sum(axis=0), 1)
    mean_xy = (weights * away).sum(axis=0) / count
    variance = (weights * (away - mean_xy) ** 2).sum(axis=0) / count
    return Displacements(mean_xy, np.sqrt(variance))


@dataclass(frozen=True)
class JointSamples:
    """Training samples of a refining stage.

    Attributes:
        crops: (N, H, W, 3) uint8 RGB sub-images.
        keypoints_xy: (N, K, 2) where the person's joints are, sub-image pixels.
        visibility: (N, K) COCO flags; 0 for all joints but the one in the middle.
    """

    crops: np.ndarray
    keypoints_xy: np.ndarray
    visibility: np.ndarray


def draw_joint_samples(
    image,
    keypoints_xy,
    visibility,
    displacements: Displacements,
    skeleton: Skeleton,
    input_hw,
    num_samples: int,
    rng: np.random.Generator,
    crop_scale: float = CROP_SCALE,
) -> JointSamples:
    """Simulates what the stage before would have given, many times for one person.

    Source: Toshev and Szegedy 2014, sec. 3.2 "training"; half of the samples are mirrored
    (sec. 4.1).

    Args:
        image: (H, W, 3) uint8 RGB.
        keypoints_xy: (K, 2) the person's true joints, image pixels.
        visibility: (K,) COCO flags.
        displacements: errors of the stage before, in diameters of the pose.
        skeleton: names of the joints, and the pairs that a mirror exchanges.
        input_hw: (height, width) of a sub-image.
        num_samples: number of sub-images; joints are chosen at random among the labelled.
        rng: decides on joints, displacements and mirrors.
        crop_scale: width of a sub-image, in diameters of the pose.

    Raises:
        ValueError: for a person whose diameter is not known.
    """
    keypoints_xy = np.asarray(keypoints_xy, np.float64)
    is_known = np.asarray(visibility) > 0
    diameter = pose_diameters(keypoints_xy[None], is_known[None], skeleton)[0]
    if diameter == 0:
        raise ValueError("A person must have shoulder and opposite hip labelled.")
    joints = rng.choice(np.flatnonzero(is_known), num_samples)
    centers_xy = keypoints_xy[joints] + diameter * displacements.draw(joints, rng)
    widths = np.repeat(crop_widths(diameter, crop_scale), num_samples)
    crops, to_image = cut_joints(image, centers_xy, widths, input_hw)
    points_xy = np.repeat(keypoints_xy[None], num_samples, axis=0)
    points_xy = transform_points(invert_matrix(to_image), points_xy)
    flags = np.zeros((num_samples, len(keypoints_xy)), np.int32)
    flags[np.arange(num_samples), joints] = np.asarray(visibility)[joints]
    is_mirrored = bool(skeleton.mirrored) & (rng.random(num_samples) < 0.5)
    return _mirror(JointSamples(crops, points_xy, flags), is_mirrored, skeleton)


def _mirror(samples: JointSamples, is_mirrored, skeleton: Skeleton) -> JointSamples:
    """Flips some sub-images left-right; left joints become right ones."""
    order = skeleton.mirror_permutation
    last_column = samples.crops.shape[2] - 1
    flipped_xy = samples.keypoints_xy[:, order] * [-1, 1] + [last_column, 0]
    return JointSamples(
        np.where(
            is_mirrored[:, None, None, None], samples.crops[:, :, ::-1], samples.crops
        ),
        np.where(is_mirrored[:, None, None], flipped_xy, samples.keypoints_xy),
        np.where(is_mirrored[:, None], samples.visibility[:, order], samples.visibility),
    )


def stack_samples(samples: Sequence[JointSamples]) -> JointSamples:
    """Makes one batch of the samples of several people."""
    return JointSamples(
        np.concatenate([one.crops for one in samples]),
        np.concatenate([one.keypoints_xy for one in samples]),
        np.concatenate([one.visibility for one in samples]),
    )
