"""Rows of the zoo: the facts about a network before it is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_pose.codecs import CODECS, Codec
from keras_pose.pictures.normalization import IMAGENET, Normalization

# Tasks of networks: poses of cropped people, poses of everybody in a picture by maps or
# directly, boxes, classes of pictures, classes of pixels, or features for a network of
# one's own.
TASKS = (
    "top_down",
    "bottom_up",
    "one_stage",
    "detection",
    "classification",
    "segmentation",
    "features",
)
# Those whose networks see whole pictures and find everybody's keypoints.
CROWD_TASKS = ("bottom_up", "one_stage")


@dataclass(frozen=True)
class ModelSpec:
    """Facts about a network before it is built.

    Attributes:
        name: name in the zoo, also the Keras model's.
        family: name of the builder, see `build_model`.
        options: arguments of the builder that distinguish the model within its family.
        input_hw: default model input (height, width), pixels.
        params: weights and biases, those of batch norm included and its running
            statistics not, of the default model.
        macs: multiply-accumulates of the default model for one image, see
            `models.complexity`.
        paper: publication that describes the network.
        task: one of `TASKS`.
        num_keypoints: keypoints (or classes, see `counts`) of the default model: 17 for
            a top-down network, the reference's own number for others.
        reference_keypoints: keypoints of the reference's own checkpoints.
        stride: input pixels per output pixel.
        input_multiple: height and width of the input must be multiples of it, pixels.
        is_convolutional: work grows with the area of the input, and weights fit any
            input size. False for networks that flatten or attend.
        codec: key of `keras_pose.codecs.CODECS`, what a top-down network is trained with.
        normalization: normalisation for training from scratch. Converted weights bring
            their own, see `keras_pose.weights`.
    """

    name: str
    family: str
    input_hw: tuple[int, int]
    params: int
    macs: int
    paper: str
    options: Mapping[str, Any] = field(default_factory=dict)
    task: str = "top_down"
    num_keypoints: int = 17
    reference_keypoints: int = 17
    stride: int = 4
    input_multiple: int = 32
    is_convolutional: bool = True
    codec: str = "gaussian"
    normalization: Normalization = IMAGENET

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task of {self.name} must be one of {TASKS}: {self.task!r}.")

    @property
    def counts(self) -> str:
        """Name of the builder's argument for the number of outputs."""
        has_keypoints = self.task in ("top_down", *CROWD_TASKS)
        return "num_keypoints" if has_keypoints else "num_classes"

    @property
    def needs_trunk(self) -> bool:
        """Whether it is built on a network of somebody else's, see `models.trunks`."""
        return self.options.get("backbone", "") is None

    def make_codec(self, input_hw=None) -> Codec:
        """Returns the usual codec, for an input size in pixels or the default one.

        Raises:
            ValueError: for a network that does not see one person at a time.
        """
        if self.task != "top_down":
            raise ValueError(
                f"{self.name} is for {self.task}: only top-down networks have a codec."
            )
        return CODECS[self.codec].for_input(input_hw or self.input_hw, self.stride)
