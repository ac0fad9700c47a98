"""Part affinity fields: the targets of OpenPose, and its maps back to people.

A bottom-up network sees a whole picture. It gives K + 1 heatmaps, one per keypoint and
then the background, and 2 L fields: channels 2 i and 2 i + 1 are x and y of the unit vector
along limb i of the skeleton, from its first keypoint to its second.

Map pixels are called cells. Cell (column, row) lies at the middle of the square of input
pixels that it stands for, so  input_xy = (cell_xy + 0.5) * stride - 0.5,  as in the code of
both OpenPoses.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from keras_pose.codecs.assembly import MATCHINGS, People, Rules, assemble_people
from keras_pose.skeleton import Skeleton

# Gaussians are not drawn where they are lower than this.
LOWEST = 1e-4


@dataclass(frozen=True)
class PartAffinityCodec:
    """Draws the maps of everybody in a picture, and finds the people in such maps.

    Source: Cao et al. 2017 (arXiv:1611.08050), sec. 2.2 (heatmaps, eq. 6 and 7), 2.3
    (fields, eq. 8 and 9; scores, eq. 10 and 11) and 2.4 (assembly); sizes are those of
    lightweight OpenPose (`datasets/coco.py`), whose fields end where the limb's bounding
    box does, and where people overlap are the last one's. Here they are the paper's.

    Attributes:
        input_hw: model input (height, width), pixels.
        stride: input pixels per cell.
        sigma: Gaussian standard deviation, cells. (The paper's is larger by a factor of
            sqrt(2).)
        limb_width: half the width of a limb in its field, cells.
        min_peak: lowest height of a heatmap's peak that is a candidate.
        max_peaks: candidates per keypoint, the highest ones: bounds time and memory.
        num_points: points of a line between two candidates at which fields are read.
        min_field: smallest component of a field along the line that speaks for the limb.
        min_share: share of the points that must speak for it.
        max_gap: largest distance over which parts of a person are joined that no limb
            joins, in extents of the larger part; 0 for none, as in the paper's code.
        min_keypoints: people with fewer keypoints are left out.
        min_score: people of a lower mean height of their peaks are left out.
        matching: "greedy", as in the paper's code, or "hungarian".

    Raises:
        ValueError: for sizes or thresholds that are out of range, an input that is no
            multiple of the stride, or one smaller than it.
    """

    input_hw: tuple[int, int]
    stride: int = 8
    sigma: float = 7 / 8
    limb_width: float = 1.0
    min_peak: float = 0.1
    max_peaks: int = 256
    num_points: int = 10
    min_field: float = 0.05
    min_share: float = 0.8
    max_gap: float = 1.2
    min_keypoints: int = 1
    min_score: float = 0.1
    matching: str = "greedy"

    kind: ClassVar[str] = "part_affinity"
    # Names of the two outputs in files and contracts.
    output_names: ClassVar[tuple[str, str]] = ("heatmaps", "fields")
    default_loss: ClassVar[str] = "masked_maps"

    def __post_init__(self) -> None:
        for name in ("stride", "sigma", "limb_width", "min_peak", "max_peaks"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"A {self.kind} codec needs {name} above 0, got {getattr(self, name)}."
                )
        if not 1 <= self.num_points <= 255 or self.min_keypoints < 1:
            raise ValueError(
                f"A {self.kind} codec needs num_points of 1 to 255 and min_keypoints of at "
                f"least 1, got {self.num_points} and {self.min_keypoints}."
            )
        if self.max_gap < 0:
            raise ValueError(
                f"A {self.kind} codec needs max_gap of at least 0, got {self.max_gap}."
            )
        if not 0 < self.min_share <= 1:
            raise ValueError(
                f"A {self.kind} codec needs 0 < min_share <= 1, got {self.min_share}."
            )
        if self.matching not in MATCHINGS:
            raise ValueError(
                f"Unknown matching {self.matching!r}; known: {', '.join(MATCHINGS)}."
            )
        if any(size < self.stride or size % self.stride for size in self.input_hw):
            raise ValueError(
                f"The input of a {self.kind} codec must be a multiple of its stride "
                f"{self.stride} in height and width, got {self.input_hw}."
            )

    @property
    def map_hw(self) -> tuple[int, int]:
        """(height, width) of heatmaps and fields, cells."""
        return self.input_hw[0] // self.stride, self.input_hw[1] // self.stride

    def output_shapes(self, skeleton: Skeleton) -> tuple[tuple[int, int, int], ...]:
        """Returns the shapes of heatmaps and fields, without batch."""
        height, width = self.map_hw
        return (
            (height, width, skeleton.num_keypoints + 1),
            (height, width, 2 * len(skeleton.limbs)),
        )

    def to_cells(self, input_xy):
        """Turns input pixels into cells."""
        return (input_xy + 0.5) / self.stride - 0.5

    def to_input(self, cell_xy):
        """Turns cells into input pixels."""
        return (cell_xy + 0.5) * self.stride - 0.5

    def encode(self, keypoints_xy, visibility, skeleton: Skeleton):
        """Draws the maps of one picture.

        Gaussians of several people are joined by their maximum, fields by their mean over
        the people whose limbs are there. Time grows with the labelled keypoints and with
        the length of limbs, not with the map.

        Args:
            keypoints_xy: (P, K, 2) input pixels, of everybody in the picture.
            visibility: (P, K) COCO flags: 0 not labelled, 1 occluded, 2 visible. Occluded
                keypoints are drawn.
            skeleton: names the K keypoints, and the limbs in the order of the fields.

        Returns:
            heatmaps: (h, w, K + 1) float32 in [0, 1]; the last is 1 where there is nothing.
            fields: (h, w, 2 L) float32.
        """
        cells_xy = self.to_cells(np.asarray(keypoints_xy, np.float64))
        cells_xy = cells_xy.reshape(-1, skeleton.num_keypoints, 2)
        is_labelled = np.reshape(visibility, cells_xy.shape[:2]) > 0
        return (
            self._draw_heatmaps(cells_xy, is_labelled),
            self._draw_fields(cells_xy, is_labelled, skeleton.limb_pairs),
        )

    @property
    def _reach(self) -> float:
        """Distance from a keypoint up to which its Gaussian is drawn, cells."""
        return self.sigma * float(np.sqrt(-2 * np.log(LOWEST)))

    def _draw_heatmaps(self, cells_xy, is_labelled):
        height, width = self.map_hw
        num_keypoints = is_labelled.shape[1]
        steps = np.arange(-int(self._reach + 0.5), int(self._reach + 0.5) + 1)
        people, keypoints = np.nonzero(is_labelled & self._is_near(cells_xy))
        center = cells_xy[people, keypoints]  # (M, 2)
        x = np.rint(center[:, :1]) + steps  # (M, S)
        y = np.rint(center[:, 1:]) + steps
        square = (y - center[:, 1:])[:, :, None] ** 2 + (x - center[:, :1])[:, None] ** 2
        is_drawn = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None]
        is_drawn &= square <= self._reach**2
        index = (y[:, :, None] * width + x[:, None]) * num_keypoints
        index = (index + keypoints[:, None, None])[is_drawn].astype(np.int64)
        values = np.exp(-square[is_drawn] / (2 * self.sigma**2))
        heatmaps = np.zeros(height * width * num_keypoints)
        np.maximum.at(heatmaps, index, values)
        heatmaps = heatmaps.reshape(height, width, num_keypoints)
        background = 1 - heatmaps.max(axis=-1, keepdims=True)
        return np.concatenate([heatmaps, background], axis=-1).astype(np.float32)

    def _is_near(self, cells_xy):
        """Returns where a Gaussian can reach into the map."""
        low, high = -self._reach - 1, self._reach + np.array(self.map_hw[::-1])
        return ((cells_xy > low) & (cells_xy < high)).all(axis=-1)

    def _draw_fields(self, cells_xy, is_labelled, limb_pairs):
        height, width = self.map_hw
        first, last = np.array(limb_pairs, np.int64).reshape(-1, 2).T
        vectors = cells_xy[:, last] - cells_xy[:, first]  # (P, L, 2)
        lengths = np.sqrt((vectors**2).sum(axis=-1))
        is_limb = is_labelled[:, first] & is_labelled[:, last] & (lengths > 0)
        people, limbs = np.nonzero(is_limb)
        length = lengths[people, limbs]
        unit = vectors[people, limbs] / length[:, None]
        start = cells_xy[people, first[limbs]]
        # Cells are looked at along the axis on which the limb is longer, and at each step
        # only those across that can be near enough.
        axis = (np.abs(unit[:, 1]) > np.abs(unit[:, 0])).astype(np.int64)
        rows = np.arange(len(axis))
        u_along, u_across = unit[rows, axis], unit[rows, 1 - axis]
        from_along, from_across = start[rows, axis], start[rows, 1 - axis]
        size_along = np.where(axis == 1, height, width)
        size_across = np.where(axis == 1, width, height)
        slack = self.limb_width * np.abs(u_across)
        to_along = from_along + length * u_along
        begin = np.ceil(np.minimum(from_along, to_along) - slack)
        end = np.floor(np.maximum(from_along, to_along) + slack)
        begin, end = np.maximum(begin, 0), np.minimum(end, size_along - 1)
        counts = np.maximum(end - begin + 1, 0).astype(np.int64)
        i = np.repeat(rows, counts)
        along = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts) + begin[i]
        ahead = along - from_along[i]
        across = np.rint(from_across[i] + ahead * (u_across / u_along)[i])
        across = across[:, None] + self._steps_across
        beside = across - from_across[i, None]
        ahead, u, v = ahead[:, None], u_along[i, None], u_across[i, None]
        progress = ahead * u + beside * v
        is_inside = (progress >= 0) & (progress <= length[i, None])
        is_inside &= np.abs(ahead * v - beside * u) <= self.limb_width
        is_inside &= (across >= 0) & (across < size_across[i, None])
        row, step = np.nonzero(is_inside)
        i, along, across = i[row], along[row], across[row, step]
        x, y = np.where(axis[i] == 1, across, along), np.where(axis[i] == 1, along, across)
        index = ((y * width + x) * len(first) + limbs[i]).astype(np.int64)
        size = height * width * len(first)
        counts = np.maximum(np.bincount(index, minlength=size), 1)
        sums = [np.bincount(index, unit[i, c], minlength=size) / counts for c in (0, 1)]
        fields = np.stack(sums, axis=-1).reshape(height, width, 2 * len(first))
        return fields.astype(np.float32)

    @property
    def _steps_across(self):
        # A limb at 45 degrees is wider by sqrt(2) along an axis; half a cell is rounding.
        reach = int(self.limb_width * np.sqrt(2) + 0.5)
        return np.arange(-reach, reach + 1)

    def encode_tf(self, keypoints_xy, visibility, skeleton: Skeleton):
        """Does what `encode` does, with TensorFlow ops, for one picture.

        Rows of people who are not there have a visibility of 0 throughout.
        """
        # Here and not above: decoding must run where TensorFlow is not installed.
        import tensorflow as tf

        # In double precision, as the twin: cells at a limb's very edge are in or out.
        cells_xy = self.to_cells(tf.cast(keypoints_xy, tf.float64))
        is_labelled = visibility > 0
        heatmaps = self._draw_heatmaps_tf(cells_xy, is_labelled, skeleton.num_keypoints)
        return heatmaps, self._draw_fields_tf(cells_xy, is_labelled, skeleton.limb_pairs)

    def _draw_heatmaps_tf(self, cells_xy, is_labelled, num_keypoints):
        import tensorflow as tf

        height, width = self.map_hw
        reach = int(self._reach + 0.5)
        steps = tf.range(-reach, reach + 1, dtype=tf.float64)
        low, high = -self._reach - 1, self._reach + np.array(self.map_hw[::-1])
        is_near = tf.reduce_all((cells_xy > low) & (cells_xy < high), -1)
        places = tf.where(is_labelled & is_near)  # (M, 2)
        center, keypoints = tf.gather_nd(cells_xy, places), places[:, 1]
        x = tf.round(center[:, :1]) + steps
        y = tf.round(center[:, 1:]) + steps
        square = tf.square(y - center[:, 1:])[:, :, None]
        square += tf.square(x - center[:, :1])[:, None]
        is_drawn = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None]
        is_drawn &= square <= self._reach**2
        cells = tf.cast(y[:, :, None] * width + x[:, None], tf.int64)
        index = cells * num_keypoints + keypoints[:, None, None]
        values = tf.exp(-tf.boolean_mask(square, is_drawn) / (2 * self.sigma**2))
        heatmaps = tf.tensor_scatter_nd_max(
            tf.zeros([height * width * num_keypoints]),
            tf.boolean_mask(index, is_drawn)[:, None],
            tf.cast(values, tf.float32),
        )
        heatmaps = tf.reshape(heatmaps, (height, width, num_keypoints))
        background = 1 - tf.reduce_max(heatmaps, axis=-1, keepdims=True)
        return tf.concat([heatmaps, background], axis=-1)

    def _draw_fields_tf(self, cells_xy, is_labelled, limb_pairs):
        import tensorflow as tf

        height, width = self.map_hw
        first, last = np.array(limb_pairs, np.int64).reshape(-1, 2).T
        starts, ends = (tf.gather(cells_xy, index, axis=1) for index in (first, last))
        lengths = tf.sqrt(tf.reduce_sum(tf.square(ends - starts), axis=-1))
        both = tf.gather(is_labelled, first, axis=1) & tf.gather(is_labelled, last, axis=1)
        places = tf.where(both & (lengths > 0))
        limbs, length = places[:, 1], tf.gather_nd(lengths, places)
        start = tf.gather_nd(starts, places)
        unit = (tf.gather_nd(ends, places) - start) / length[:, None]
        is_steep = tf.abs(unit[:, 1]) > tf.abs(unit[:, 0])

        def by_axis(x, y):
            return tf.where(is_steep, y, x), tf.where(is_steep, x, y)

        u_along, u_across = by_axis(*tf.unstack(unit, axis=-1))
        from_along, from_across = by_axis(*tf.unstack(start, axis=-1))
        size_along = tf.where(is_steep, tf.constant(height, tf.float64), width)
        size_across = tf.where(is_steep, tf.constant(width, tf.float64), height)
        slack = self.limb_width * tf.abs(u_across)
        to_along = from_along + length * u_along
        begin = tf.math.ceil(tf.minimum(from_along, to_along) - slack)
        end = tf.floor(tf.maximum(from_along, to_along) + slack)
        begin, end = tf.maximum(begin, 0), tf.minimum(end, size_along - 1)
        counts = tf.cast(tf.maximum(end - begin + 1, 0), tf.int64)
        i = tf.repeat(tf.range(tf.size(counts)), counts)
        along = tf.range(tf.size(i, tf.int64)) - tf.repeat(
            tf.cumsum(counts, exclusive=True), counts
        )
        along = tf.cast(along, tf.float64) + tf.gather(begin, i)
        ahead = along - tf.gather(from_along, i)
        across = tf.gather(from_across, i) + ahead * tf.gather(u_across / u_along, i)
        across = tf.round(across)[:, None] + self._steps_across.astype(np.float64)
        beside = across - tf.gather(from_across, i)[:, None]
        ahead = ahead[:, None]
        u, v = tf.gather(u_along, i)[:, None], tf.gather(u_across, i)[:, None]
        progress = ahead * u + beside * v
        is_inside = (progress >= 0) & (progress <= tf.gather(length, i)[:, None])
        is_inside &= tf.abs(ahead * v - beside * u) <= self.limb_width
        is_inside &= (across >= 0) & (across < tf.gather(size_across, i)[:, None])
        inside = tf.where(is_inside)
        along, across = tf.gather(along, inside[:, 0]), tf.gather_nd(across, inside)
        i = tf.gather(i, inside[:, 0])
        steep = tf.gather(is_steep, i)
        x, y = tf.where(steep, across, along), tf.where(steep, along, across)
        index = tf.cast(y * width + x, tf.int64) * len(first) + tf.gather(limbs, i)
        values = tf.concat([tf.gather(unit, i), tf.ones_like(x)[:, None]], axis=-1)
        sums = tf.scatter_nd(
            index[:, None],
            tf.cast(values, tf.float32),
            tf.constant([height * width * len(first), 3], tf.int64),
        )
        fields = sums[:, :2] / tf.maximum(sums[:, 2:], 1)
        return tf.reshape(fields, (height, width, 2 * len(first)))

    def decode(self, heatmaps, fields, skeleton: Skeleton) -> People:
        """Finds the people in the maps of one picture.

        Args:
            heatmaps: (h, w, K + 1) float array; the background is not looked at.
            fields: (h, w, 2 L).
            skeleton: names the K keypoints, and the limbs in the order of the fields.

        Returns:
            The people, by falling score; positions in input pixels. There may be none.

        Raises:
            ValueError: for maps of another size, or of other keypoints or limbs than the
                skeleton's.
        """
        expected = self.output_shapes(skeleton)
        found = (np.shape(heatmaps), np.shape(fields))
        if found != expected:
            raise ValueError(
                f"Skeleton {skeleton.name!r} has {skeleton.num_keypoints} keypoints and "
                f"{len(skeleton.limbs)} limbs, so heatmaps must be {expected[0]} and "
                f"fields {expected[1]} for input {self.input_hw}, got {found[0]} and "
                f"{found[1]}."
            )
        heatmaps = np.asarray(heatmaps, np.float32)[..., :-1]
        fields = np.asarray(fields, np.float32)
        people = assemble_people(heatmaps, fields, skeleton.limb_pairs, self._rules)
        is_found = people.keypoint_scores[..., None] > 0
        xy = np.where(is_found, self.to_input(people.keypoints_xy), 0)
        return people._replace(keypoints_xy=xy.astype(np.float32))

    @property
    def _rules(self) -> Rules:
        return Rules(
            sigma=self.sigma,
            min_peak=self.min_peak,
            max_peaks=self.max_peaks,
            num_points=self.num_points,
            min_field=self.min_field,
            min_share=self.min_share,
            max_gap=self.max_gap,
            min_keypoints=self.min_keypoints,
            min_score=self.min_score,
            matching=self.matching,
        )

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}
