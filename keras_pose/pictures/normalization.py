"""Normalisation of an RGB image to the numbers that a network was trained on.

A checkpoint is only right together with its own normalisation, so the two travel
together: in the zoo, in converted weights and in exported files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

CHANNEL_ORDERS = ("rgb", "bgr")


@dataclass(frozen=True)
class Normalization:
    """Maps RGB images in [0, 255] to network input: `(image / 255 - mean) / std`.

    Attributes:
        mean: one number per network channel, for images in [0, 1].
        std: standard deviation of each channel, on the scale of `image / 255`.
        channel_order: "rgb", or "bgr" for networks that want blue first. `mean` and
            `std` are in the order of the network's channels.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: str = "rgb"

    def __post_init__(self) -> None:
        # Lists come in from JSON; tuples keep the value hashable.
        object.__setattr__(self, "mean", _three_numbers("mean", self.mean))
        object.__setattr__(self, "std", _three_numbers("std", self.std))
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std}.")
        if self.channel_order not in CHANNEL_ORDERS:
            raise ValueError(
                f"channel_order must be one of {CHANNEL_ORDERS}, "
                f"got {self.channel_order!r}."
            )

    def __call__(self, images):
        """Normalises images.

        Args:
            images: (..., 3) RGB in [0, 255]; a NumPy array of any number type, or a
                float32 tensor of the Keras backend.

        Returns:
            (..., 3) float32, same kind of array as `images`.
        """
        if self.channel_order == "bgr":
            images = images[..., ::-1]
        mean = np.asarray(self.mean, "float32")
        std = np.asarray(self.std, "float32")
        # One multiplication and one addition: that is what fuses in an exported graph.
        return images * (1 / (255 * std)) - mean / std

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types; `from_dict` is the inverse."""
        return {
            "mean": list(self.mean),
            "std": list(self.std),
            "channel_order": self.channel_order,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Normalization:
        """Builds one from `to_dict`'s output.

        Raises:
            ValueError: if a key is missing or unknown, or a value is not valid.
        """
        expected = {"mean", "std", "channel_order"}
        if set(values) != expected:
            raise ValueError(
                f"A normalization has the keys {sorted(expected)}, got {sorted(values)}."
            )
        return cls(
            mean=tuple(values["mean"]),
            std=tuple(values["std"]),
            channel_order=values["channel_order"],
        )


def _three_numbers(field: str, values) -> tuple[float, float, float]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != 3 or not all(np.isfinite(numbers)):
        raise ValueError(f"{field} must be three finite numbers, got {values!r}.")
    return numbers


# `image / 256 - 0.5`, which is `(image - 128) / 256`, blue first: OpenPose in both forms,
# and Convolutional Pose Machines before it.
OPENPOSE = Normalization(mean=(128 / 255,) * 3, std=(256 / 255,) * 3, channel_order="bgr")
IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
