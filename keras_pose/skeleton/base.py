"""Skeletons: which keypoints a model predicts, and how they belong together.

Everything is declared by keypoint *name*; indices are derived, so a reordered
list cannot lie. Left and right are the person's own.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

# Mean of COCO's 17 sigmas: keypoints that are as hard to place as COCO's are on average.
UNIFORM_SIGMA = 0.067


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

    def with_uniform_sigmas(self) -> Skeleton:
        """Returns the skeleton with `UNIFORM_SIGMA` for every keypoint, so OKS is defined.

        Raises:
            ValueError: if it has OKS sigmas of its own.
        """
        if self.oks_sigmas:
            raise ValueError(
                f"--sigmas uniform is for skeletons without OKS sigmas; {self.name!r} has "
                f"{list(self.oks_sigmas)}."
            )
        sigmas = (UNIFORM_SIGMA,) * self.num_keypoints
        return dataclasses.replace(self, oks_sigmas=sigmas)
