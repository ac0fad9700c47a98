"""The interface of all codecs; the rest of the package knows no more than this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self


@dataclass(frozen=True)
class Codec(ABC):
    """Turns keypoints into the targets of a network, and its outputs into keypoints.

    Coordinates are those of `keras_pose.pictures.geometry`: input pixels, (x, y), the first
    pixel's centre at (0, 0). `encode` (NumPy) and `encode_tf` (TensorFlow ops, for
    `tf.data`) are twins.

    Attributes:
        input_hw: model input (height, width), pixels.
        kind: key in `codecs.CODECS`.
        output_name: name of the outputs in files and contracts.
        losses: keys of `losses.LOSSES` that fit the targets; the first is the usual one.
        channels_per_keypoint: number of maps of each keypoint; 1 for codecs without maps.
        is_unbiased: True if crops are cut by UDP's map, see `geometry.crop_matrix`.
    """

    input_hw: tuple[int, int]

    kind: ClassVar[str]
    output_name: ClassVar[str]
    losses: ClassVar[tuple[str, ...]]
    channels_per_keypoint: ClassVar[int] = 1
    is_unbiased: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def for_input(cls, input_hw, stride: int = 4) -> Self:
        """Returns the usual codec of an input size.

        Args:
            input_hw: model input (height, width), pixels.
            stride: input pixels per output pixel; of no account where the outputs
                are no maps.
        """

    @property
    def default_loss(self) -> str:
        return self.losses[0]

    @property
    def loss_settings(self) -> dict[str, Any]:
        """Arguments of the losses that fit: what they must know of the targets."""
        return {}

    @abstractmethod
    def output_shape(self, num_keypoints: int) -> tuple[int, ...]:
        """Returns the shape of what a network gives for one image, without batch."""

    @abstractmethod
    def count_keypoints(self, output_shape) -> int:
        """Returns the K of which `output_shape` is the shape; a batch may come first."""

    @abstractmethod
    def encode(self, keypoints_xy, visibility):
        """Makes the targets of a loss.

        Args:
            keypoints_xy: (..., K, 2) input pixels.
            visibility: (..., K) COCO flags: 0 not labelled, 1 occluded, 2 visible.
                Occluded keypoints are trained on.

        Returns:
            targets: (..., *output_shape(K)) float32.
            weights: (..., K) float32; 0 for keypoints that the loss must ignore.
        """

    @abstractmethod
    def encode_tf(self, keypoints_xy, visibility):
        """Does what `encode` does, with TensorFlow ops: one person or a batch."""

    @abstractmethod
    def decode(self, outputs):
        """Finds keypoints.

        Args:
            outputs: (..., *output_shape(K)) float array.

        Returns:
            keypoints_xy: (..., K, 2) float32, input pixels.
            scores: (..., K) float32.

        Raises:
            ValueError: for outputs of another shape.
        """

    @abstractmethod
    def flip_back(self, outputs, mirror_permutation):
        """Turns the outputs for a mirrored image into those for the image.

        Args:
            outputs: (..., *output_shape(K)) for images flipped left-right.
            mirror_permutation: (K,) see `Skeleton.mirror_permutation`.

        Returns:
            Array of the same shape, to be averaged with the outputs for the image.
        """

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}
