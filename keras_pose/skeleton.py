"""Skeletons: which keypoints a model predicts, and how they belong together.

Everything is declared by keypoint *name*; indices are derived, so a reordered
list cannot lie. Left and right are the person's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Skeleton:
    """The keypoints of one data set.

    Attributes:
        name: short name, as it stands in files ("coco_17").
        names: keypoint names, in the order of the data set.
        mirrored: pairs of names that change places when an image is flipped.
        limbs: pairs of names to draw a line between.
        upper_body: names above the hips, for half-body augmentation.
        oks_sigmas: per keypoint, the standard deviation of human annotation
            as a fraction of sqrt(area) (COCO's `k_i / 2`); empty if the data
            set has none.

    Raises:
        ValueError: for repeated names, pairs that mention unknown names, or
            a wrong number of sigmas.
    """

    name: str
    names: tuple[str, ...]
    mirrored: tuple[tuple[str, str], ...] = ()
    limbs: tuple[tuple[str, str], ...] = ()
    upper_body: tuple[str, ...] = ()
    oks_sigmas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names) or not self.names:
            raise ValueError(
                f"Skeleton names must be unique and not empty, got names={self.names}."
            )
        pairs = [name for pair in (*self.mirrored, *self.limbs) for name in pair]
        unknown = sorted({*pairs, *self.upper_body} - set(self.names))
        if unknown:
            raise ValueError(
                f"Skeleton pairs mention {unknown}, which are not in names={self.names}."
            )
        if self.oks_sigmas and len(self.oks_sigmas) != len(self.names):
            raise ValueError(
                f"Skeleton needs one OKS sigma per keypoint: got {len(self.oks_sigmas)} "
                f"sigmas for {len(self.names)} keypoints."
            )

    @property
    def num_keypoints(self) -> int:
        return len(self.names)

    @property
    def mirror_pairs(self) -> tuple[tuple[int, int], ...]:
        """Index pairs that change places under a horizontal flip."""
        return tuple((self.index(a), self.index(b)) for a, b in self.mirrored)

    @property
    def limb_pairs(self) -> tuple[tuple[int, int], ...]:
        return tuple((self.index(a), self.index(b)) for a, b in self.limbs)

    @property
    def mirror_permutation(self) -> np.ndarray:
        """(K,) int32: entry i is the keypoint that i becomes in a flipped image."""
        permutation = np.arange(self.num_keypoints, dtype=np.int32)
        for left, right in self.mirror_pairs:
            permutation[[left, right]] = permutation[[right, left]]
        return permutation

    @property
    def upper_body_mask(self) -> np.ndarray:
        """(K,) bool: True for keypoints above the hips."""
        return np.array([name in self.upper_body for name in self.names])

    def index(self, name: str) -> int:
        return self.names.index(name)


COCO_17 = Skeleton(
    name="coco_17",
    names=(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    mirrored=(
        ("left_eye", "right_eye"),
        ("left_ear", "right_ear"),
        ("left_shoulder", "right_shoulder"),
        ("left_elbow", "right_elbow"),
        ("left_wrist", "right_wrist"),
        ("left_hip", "right_hip"),
        ("left_knee", "right_knee"),
        ("left_ankle", "right_ankle"),
    ),
    limbs=(
        ("left_ankle", "left_knee"),
        ("left_knee", "left_hip"),
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("left_hip", "right_hip"),
        ("left_shoulder", "left_hip"),
        ("right_shoulder", "right_hip"),
        ("left_shoulder", "right_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("right_shoulder", "right_elbow"),
        ("left_elbow", "left_wrist"),
        ("right_elbow", "right_wrist"),
        ("left_eye", "right_eye"),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        ("left_eye", "left_ear"),
        ("right_eye", "right_ear"),
        ("left_ear", "left_shoulder"),
        ("right_ear", "right_shoulder"),
    ),
    upper_body=(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
    ),
    oks_sigmas=(
        0.026,
        0.025,
        0.025,
        0.035,
        0.035,
        0.079,
        0.079,
        0.072,
        0.072,
        0.062,
        0.062,
        0.107,
        0.107,
        0.087,
        0.087,
        0.089,
        0.089,
    ),
)

MPII_16 = Skeleton(
    name="mpii_16",
    names=(
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "pelvis",
        "thorax",
        "upper_neck",
        "head_top",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    ),
    mirrored=(
        ("right_ankle", "left_ankle"),
        ("right_knee", "left_knee"),
        ("right_hip", "left_hip"),
        ("right_wrist", "left_wrist"),
        ("right_elbow", "left_elbow"),
        ("right_shoulder", "left_shoulder"),
    ),
    limbs=(
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("right_hip", "pelvis"),
        ("left_hip", "pelvis"),
        ("left_knee", "left_hip"),
        ("left_ankle", "left_knee"),
        ("pelvis", "thorax"),
        ("thorax", "upper_neck"),
        ("upper_neck", "head_top"),
        ("right_wrist", "right_elbow"),
        ("right_elbow", "right_shoulder"),
        ("right_shoulder", "thorax"),
        ("left_shoulder", "thorax"),
        ("left_elbow", "left_shoulder"),
        ("left_wrist", "left_elbow"),
    ),
    upper_body=(
        "thorax",
        "upper_neck",
        "head_top",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    ),
)

SKELETONS = {skeleton.name: skeleton for skeleton in (COCO_17, MPII_16)}


def default_skeleton(num_keypoints: int) -> Skeleton:
    """Returns the built-in skeleton with that many keypoints, or a plain numbered one.

    A plain one has no mirror pairs, so it takes no flip augmentation and no
    flip test.
    """
    for skeleton in SKELETONS.values():
        if skeleton.num_keypoints == num_keypoints:
            return skeleton
    names = tuple(f"keypoint_{i}" for i in range(num_keypoints))
    return Skeleton(name=f"plain_{num_keypoints}", names=names)
