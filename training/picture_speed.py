"""Measures what boxes and skeletons of a picture cost, beside the plain code of the same.

    python training/picture_speed.py
    python training/picture_speed.py photo.jpg --runs 200

People are found by the models that come with the package. The plain code looks at every
cell, asks one box after the other, and paints with NumPy; it stays here only. Both run in
turn and must agree: boxes to the bit, pictures to one grey level. Times are processor
time, in one thread, the best and the median of the runs. Runs without TensorFlow.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int
from keras_pose.pictures import boxes, drawing
from keras_pose.pictures.structures import Detections
from keras_pose.runtime.instructions import machine_line

PICTURES = Path(__file__).resolve().parents[1] / "keras_pose" / "demo" / "pictures"


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("pictures", nargs="*", metavar="PICTURE", type=Path,
        default=sorted(PICTURES.glob("*.jpg")), help="default: the demo's")  # fmt: skip
    add("--runs", type=positive_int, default=100, help="of each (default: 100)")
    return parser.parse_args(argv)


def interleaved_milliseconds(calls, runs):
    """Returns (calls, runs) milliseconds of this thread; each call has run once before."""
    for call in calls:
        call()
    samples = np.zeros((len(calls), runs))
    for run in range(runs):
        for index, call in enumerate(calls):
            started = time.thread_time()
            call()
            samples[index, run] = 1e3 * (time.thread_time() - started)
    return samples


def plain_detect(scores, distances, strides, input_hw, scale_xy, settings):
    """`boxes.detect`, cell after cell and box after box."""
    levels = zip(scores, distances, strides, strict=True)
    parts = zip(*(_plain_level(*level, settings) for level in levels), strict=True)
    found, confidences, labels = map(np.concatenate, parts)
    limit = np.array([input_hw[1], input_hw[0]] * 2, np.float32)
    proposed = Detections(np.clip(found, 0, limit), confidences, labels)
    proposed = boxes.with_area(boxes.rescale(proposed, scale_xy))
    return proposed[_plain_nms(proposed, settings)]


def _plain_level(logits, sides, stride, settings):
    confidences = boxes.sigmoid(np.asarray(logits, np.float32)).ravel()
    found = np.flatnonzero(confidences > np.float32(settings.score_threshold))
    order = np.argsort(-confidences[found], kind="stable")[: settings.max_per_level]
    found = found[order]
    cells = found // logits.shape[-1]
    points_xy = boxes.prior_points(logits.shape[:2], stride)[cells]
    sides = np.asarray(sides, np.float32).reshape(-1, 4)[cells]
    corners = boxes.boxes_at(points_xy, sides)
    return corners, confidences[found], found % logits.shape[-1]


def _plain_nms(detections, settings):
    order = np.argsort(-detections.scores, kind="stable")
    corners = detections.boxes_xyxy[order]
    reach = corners.max(initial=0) + np.float32(1)
    apart = corners + detections.labels[order].astype(np.float32)[:, None] * reach
    kept, waiting = [], np.arange(len(order))
    while len(waiting) and len(kept) < settings.max_detections:
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        overlaps = _plain_iou(apart[best], apart[waiting])
        waiting = waiting[overlaps <= np.float32(settings.iou_threshold)]
    return order[kept]


def _plain_iou(box, others):
    corner = np.maximum(box[:2], others[:, :2])
    shared = np.maximum(np.minimum(box[2:], others[:, 2:]) - corner, 0).prod(axis=-1)
    areas = np.maximum(others[:, 2:] - others[:, :2], 0).prod(axis=-1)
    union = np.maximum(box[2:] - box[:2], 0).prod(axis=-1) + areas - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


class PlainPerson(drawing._Person):
    """A person whose limbs and dots are measured one by one, and blended by NumPy."""

    def draw_skeleton(self, canvas):
        self._draw_limbs(canvas)
        self._draw_dots(canvas)

    def _draw_limbs(self, canvas):
        limbs = list(self._plain_limbs())
        for points, width, opacity, _ in limbs:
            outline = width + 2 * min(self._border, 0.6 * width)
            dark = drawing.OUTLINE_COLOR
            _plain_paint(canvas, points, outline / 2, dark, 0.55 * opacity)
        for points, width, opacity, color in limbs:
            _plain_paint(canvas, points, width / 2, color, opacity)

    def _plain_limbs(self):
        colors = drawing.limb_colors(self._skeleton)
        for (a, b), color in zip(self._skeleton.limb_pairs, colors, strict=True):
            if self._is_shown[a] and self._is_shown[b]:
                length = np.linalg.norm(self._xy[a] - self._xy[b])
                room = min(length / 5, max(self._room[a], self._room[b]))
                width = float(np.clip(room, min(1.0, self._width), self._width))
                opacity = min(self._opacity[a], self._opacity[b])
                yield np.stack([self._xy[a], self._xy[b]]), width, opacity, color

    def _draw_dots(self, canvas):
        colors = drawing.keypoint_colors(self._skeleton)
        for i in np.flatnonzero(self._is_dotted):
            radius, opacity = float(self._radii[i]), self._opacity[i]
            outline = radius + min(self._border, 0.6 * radius)
            dark, center = drawing.OUTLINE_COLOR, self._xy[i][None]
            _plain_paint(canvas, center, outline, dark, 0.75 * opacity)
            _plain_paint(canvas, center, radius, colors[i], opacity)


def _plain_paint(canvas, points, radius, color, opacity):
    height, width = canvas.shape[:2]
    low = np.floor(points.min(axis=0) - radius - 2).astype(int).clip(0, (width, height))
    high = np.ceil(points.max(axis=0) + radius + 3).astype(int).clip(0, (width, height))
    if (high <= low).any():
        return
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    if len(points) == 2:
        corners = _sixteenths(_plain_corners(points, radius) - low)
        cv2.fillConvexPoly(mask, corners, 255, cv2.LINE_AA, 4)
    for point in points:
        x, y = _sixteenths(point - low).tolist()
        cv2.circle(mask, (x, y), int(_sixteenths(radius)), 255, cv2.FILLED, cv2.LINE_AA, 4)
    alpha = mask[..., None] * np.float32(opacity / 255)
    region = canvas[low[1] : high[1], low[0] : high[0]]
    blended = region + alpha * (np.array(color, np.float32) - region)
    region[:] = np.uint8(blended + 0.5)


def _plain_corners(points, radius):
    direction = points[1] - points[0]
    normal = np.array([-direction[1], direction[0]])
    normal *= radius / max(float(np.linalg.norm(normal)), 1e-6)
    return np.stack(
        [points[0] + normal, points[1] + normal, points[1] - normal, points[0] - normal]
    )


def _sixteenths(values):
    return np.round(np.asarray(values) * 16).astype(np.int32)


def plain_draw(image, poses):
    """`drawing.draw_poses`, by `PlainPerson`."""
    usual, drawing._Person = drawing._Person, PlainPerson
    try:
        return drawing.draw_poses(image, poses)
    finally:
        drawing._Person = usual


def measure_boxes(image, detector, score_threshold, runs):
    """Returns how many boxes are above a threshold, and (plain, ours) x runs milliseconds.

    The plain code finds all that the contract asks for, and leaves out the others then.
    """
    contract = detector.contract
    boxed, scale_xy = boxes.letterbox(image, contract.input_hw)
    outputs = detector.predict(boxed)
    count, settings = len(contract.strides), contract.settings
    given = (
        outputs[:count],
        outputs[count:],
        contract.strides,
        contract.input_hw,
        scale_xy,
    )

    def plain():
        found = plain_detect(*given, settings)
        return found[found.scores > np.float32(score_threshold)]

    def ours():
        return boxes.detect(*given, settings.above(score_threshold))

    for field in ("boxes_xyxy", "scores", "labels"):
        if not np.array_equal(getattr(plain(), field), getattr(ours(), field)):
            raise ValueError(f"Plain code finds other boxes: {field} differ.")
    return len(ours()), interleaved_milliseconds((plain, ours), runs)


def measure_drawing(image, poses, runs):
    """Returns how many pixels differ by a level, and (plain, ours) x runs milliseconds."""
    plain, ours = plain_draw(image, poses), drawing.draw_poses(image, poses)
    difference = np.abs(plain.astype(int) - ours).max(axis=-1)
    if difference.max() > 1:
        raise ValueError(f"Plain code paints pixels that differ by {difference.max()}.")
    calls = (lambda: plain_draw(image, poses), lambda: drawing.draw_poses(image, poses))
    return int((difference > 0).sum()), interleaved_milliseconds(calls, runs)


def report(what, samples):
    (plain, ours), medians = samples.min(axis=1), np.median(samples, axis=1)
    print(
        f"{what}: plain {plain:.2f} ms, now {ours:.2f} ms, {ours / plain:.2f} of it "
        f"({medians[1] / medians[0]:.2f} by the medians)"
    )


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.inference import PoseEstimator
    from keras_pose.pictures.images import read_image

    cv2.setNumThreads(1)
    estimator = PoseEstimator(num_threads=1)
    print(machine_line())
    for path in args.pictures:
        image = read_image(path)
        for threshold in (0.0, estimator.box_threshold):
            count, samples = measure_boxes(image, estimator.detector, threshold, args.runs)
            report(f"{path.name}: {count} boxes above {threshold:g}", samples)
        poses = estimator(image)
        count, samples = measure_drawing(image, poses, args.runs)
        report(f"{path.name}: {len(poses)} people, {count} pixels differ", samples)


if __name__ == "__main__":
    main()
