"""Cases of pure mathematics: no model, small enough to lie beside the code.

All that is by chance comes from fixed seeds. Where a small difference of the numbers
could change a choice (an arg-max, an order), the case is one in which it does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_pose.codecs import (
    Codec,
    DarkHeatmapCodec,
    DecodedCodec,
    GaussianHeatmapCodec,
    RegressionCodec,
    SimccCodec,
    UdpHeatmapCodec,
    UdpOffsetCodec,
)
from keras_pose.contracts.fields import TensorSpec, input_to_dict, output_to_dict
from keras_pose.parity.bottom_up_scenes import bottom_up_scenes
from keras_pose.parity.kinds import KINDS
from keras_pose.parity.packs import Case
from keras_pose.parity.scenes import (
    colour_clip,
    colours_contract,
    crowd_contract,
    crowd_outputs,
    patches,
)
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.pictures.normalization import IMAGENET, OPENPOSE
from keras_pose.skeleton import COCO_17

INPUT_HW = (64, 48)
IMAGE_HW = (72, 96)
# Settings of which every program has a value where none is said.
SETTINGS = (
    "estimator.box_threshold",
    "estimator.nms_threshold",
    "follower.detect_every",
    "follower.keypoint_threshold",
    "follower.least_share",
    "tracker.oks_threshold",
    "tracker.patience",
    "tracker.keypoint_threshold",
    "tracker.min_keypoints",
    "smoother.min_cutoff",
    "smoother.beta",
    "smoother.speed_cutoff",
    "smoother.forget_after",
)


def make_case(kind: str, name: str, given, needs=(), models=None) -> Case:
    """Makes a case out of what is given: what is expected is what the kind computes."""
    expected = KINDS[kind](given, models or {})
    return Case(f"{kind}/{name}", kind, given, expected, tuple(needs))


def maths_cases() -> list[Case]:
    """Makes all cases that need no model."""
    parts = (
        _crops,
        _inputs,
        _reals,
        _decodings,
        _people,
        _letterboxes,
        _boxes,
        _crowds,
        _nms,
        _similarities,
        _regions,
        _tracks,
        _smoothing,
        _clips,
        _defaults,
    )
    return [case for part in parts for case in part()]


def maths_images() -> dict[str, np.ndarray]:
    """Returns the pictures of these cases, for people to look at."""
    frames = colour_clip()["frames"]
    strip = np.concatenate([frame["image"] for frame in frames[::3]], axis=1)
    return {"patches": patches(IMAGE_HW), "clip": strip}


def _crops() -> Iterator[Case]:
    image = patches(IMAGE_HW)
    boxes = {
        "inside": (30, 20, 24, 36),
        "fractions_of_pixels": (30.37, 20.81, 23.46, 36.19),
        "beyond_the_left_edge": (-15.5, 10, 40, 50),
        "beyond_the_bottom_right_corner": (70, 50, 60, 60),
        "around_the_whole_image": (-40, -30, 176, 132),
        "very_wide": (5, 30, 80, 6),
        "very_tall": (40, 2, 5, 68),
        "tiny": (50.2, 33.3, 1.5, 2),
        "huge": (-900, -700, 2000, 1800),
        "barely_inside": (90, 65, 40, 40),
        "wholly_outside": (200, 200, 20, 30),
    }
    points_xy = np.array([[0, 0], [47, 63], [23.5, 31.5], [-3.25, 70.125]])
    for is_unbiased in (False, True):
        names = boxes if not is_unbiased else ["inside", "beyond_the_left_edge", "huge"]
        for name in names:
            given = {
                "image": image,
                "box_xywh": np.array(boxes[name], float),
                "input_hw": INPUT_HW,
                "box_padding": 1.25,
                "is_unbiased": is_unbiased,
                "points_xy": points_xy,
            }
            yield make_case("crop", name + "_unbiased" * is_unbiased, given)
    landscape = {**given, "input_hw": (32, 56), "box_padding": 1.0, "is_unbiased": False}
    yield make_case("crop", "landscape_without_padding", landscape)


def _inputs() -> Iterator[Case]:
    pixels = patches((16, 12), seed=3)
    kinds = {
        "pixels_as_they_are": ("uint8", None),
        "pixels_as_floats": ("float32", None),
        "normalised": ("float32", IMAGENET),
        "normalised_blue_first": ("float32", OPENPOSE),
    }
    for name, (dtype, normalization) in kinds.items():
        spec = input_to_dict(TensorSpec("image", (1, 16, 12, 3), dtype), normalization)
        yield make_case("input", name, {"pixels": pixels, "input": spec})


def _reals() -> Iterator[Case]:
    for dtype, scale, zero_point in (
        ("int8", 0.0039, -128),
        ("int16", 3.05e-5, 0),
        ("uint8", 0.02, 7),
    ):
        info = np.iinfo(dtype)
        raw = np.linspace(info.min, info.max, 33).astype(dtype)
        spec = TensorSpec("heatmaps", (1, 33), dtype, scale, zero_point)
        yield make_case("real", dtype, {"raw": raw, "output": output_to_dict(spec)})


def _decodings() -> Iterator[Case]:
    rng = np.random.default_rng(1)
    points_xy = rng.uniform([9, 9], [38, 54], (6, 2)).astype(np.float32)
    for codec in _codecs():
        targets, _ = codec.encode(points_xy, np.full(6, 2))
        noise = rng.uniform(0, 0.02, targets.shape)
        if codec.kind == "regression":
            noise *= 0
        maps = (targets + noise).astype(np.float32)
        yield _decoding(codec, "known_answers", maps)
        yield _decoding(codec, "known_answers_int8", _quantized(maps), 6)
    for codec in _codecs()[:3]:
        yield _decoding(codec, "peaks_at_borders", _border_maps(codec, rng))
        yield _decoding(codec, "random_maps", _random_maps(codec, rng))
    codec = GaussianHeatmapCodec(INPUT_HW)
    yield _decoding(codec, "ties_flats_and_nothing", _odd_maps(codec))
    dark = DarkHeatmapCodec(INPUT_HW)
    yield _decoding(dark, "ties_flats_and_nothing", _odd_maps(dark))
    inside = np.concatenate([points_xy, rng.uniform(0, 1, (6, 1))], axis=1)
    decoded = DecodedCodec(INPUT_HW, decoded_by="dark")
    yield _decoding(decoded, "inside_the_file", inside.astype(np.float32))


def _codecs() -> list[Codec]:
    return [
        GaussianHeatmapCodec(INPUT_HW, sigma=1.5),
        DarkHeatmapCodec(INPUT_HW, sigma=1.5),
        UdpHeatmapCodec(INPUT_HW, sigma=1.5, blur_kernel=5),
        UdpOffsetCodec(INPUT_HW, radius=3.0, blur_kernel=5, offset_blur_kernel=3),
        SimccCodec(INPUT_HW, (2.45, 2.83)),
        RegressionCodec(INPUT_HW),
    ]


def _decoding(codec: Codec, name: str, maps, num_keypoints=None) -> Case:
    raw, scale, zero_point = maps if isinstance(maps, tuple) else (maps, None, None)
    shape = (1, *raw.shape)
    spec = TensorSpec(codec.output_name, shape, raw.dtype.name, scale, zero_point)
    given = {
        "raw": raw,
        "output": output_to_dict(spec),
        "codec": codec.to_dict(),
        "num_keypoints": num_keypoints or codec.count_keypoints(raw.shape),
    }
    return make_case("decode", f"{codec.kind}_{name}", given)


def _quantized(maps):
    """Returns maps as a file with int8 outputs would give them."""
    low, high = min(0.0, float(maps.min())), float(maps.max())
    scale = (high - low) / 255
    zero_point = round(-128 - low / scale)
    raw = np.clip(np.round(maps / scale) + zero_point, -128, 127).astype(np.int8)
    return raw, scale, zero_point


def _border_maps(codec, rng):
    """Returns a map for each of the corners, the edges, and the rows beside the edges."""
    height, width = codec.heatmap_hw
    places = [(x, y) for x in (0, 1, 2, width - 2, width - 1) for y in (0, 5, height - 1)]
    places += [(5, 1), (5, 2), (5, height - 3), (5, height - 2)]
    x, y = np.array(places, float).T + rng.uniform(-0.3, 0.3, (2, len(places)))
    columns = np.exp(-((np.arange(width)[:, None] - x) ** 2) / 4)
    rows = np.exp(-((np.arange(height)[:, None] - y) ** 2) / 4)
    return (rows[:, None] * columns[None]).astype(np.float32)


def _random_maps(codec, rng):
    """Returns maps of several hills each, with valleys below 0."""
    height, width = codec.heatmap_hw
    maps = np.zeros((height, width, 8))
    for _ in range(4):
        x, y = rng.uniform(0, width, 8), rng.uniform(0, height, 8)
        size = rng.uniform(0.2, 1, 8)
        columns = np.exp(-((np.arange(width)[:, None] - x) ** 2) / 5)
        rows = np.exp(-((np.arange(height)[:, None] - y) ** 2) / 5)
        maps += size * rows[:, None] * columns[None]
    return (maps - 0.1).astype(np.float32)


def _odd_maps(codec):
    """Returns maps with two equal maxima, a flat top, one value, no positive, one pixel."""
    height, width = codec.heatmap_hw
    maps = np.full((height, width, 6), 0.01, np.float32)
    maps[9, 3, 0] = maps[4, 8, 0] = 0.75  # the first in reading order wins
    maps[6:8, 5:7, 1] = 0.5
    maps[..., 2] = 0.25
    maps[..., 3] = -0.5
    maps[7, 6, 4] = 1.0
    maps[..., 5] = 0
    return maps


def _people() -> Iterator[Case]:
    rng = np.random.default_rng(2)
    scores = rng.uniform(0, 1, (4, 5)).astype(np.float32)
    scores[1] = 0.1  # nothing is sure
    scores[2, :2] = np.nan
    given = {
        "box_scores": np.array([1, 0.9, 0.5, 0.25]),
        "keypoint_scores": scores,
        "threshold": 0.2,
    }
    yield make_case("person_scores", "some_unsure_some_unknown", given)


def _letterboxes() -> Iterator[Case]:
    sizes = {
        "smaller": (IMAGE_HW, (48, 48)),
        "larger": ((40, 30), (64, 64)),
        "same_size": ((64, 48), (64, 48)),
        "input_not_square": (IMAGE_HW, (32, 80)),
        "one_row": ((1, 30), (32, 32)),
        "one_pixel": ((1, 1), (16, 16)),
    }
    for name, (image_hw, input_hw) in sizes.items():
        image = patches(image_hw, seed=len(name))
        yield make_case("letterbox", name, {"image": image, "input_hw": input_hw})


def _boxes() -> Iterator[Case]:
    rng = np.random.default_rng(4)
    settings = BoxSettings(0.3, 0.5, 30, 12)
    yield _boxes_case("one_class", rng, 1, settings)
    yield _boxes_case("three_classes", rng, 3, settings)
    yield _boxes_case("int8_with_ties", rng, 1, settings, is_quantized=True)
    yield _boxes_case("nothing_found", rng, 1, BoxSettings(score_threshold=0.99))


def _boxes_case(name, rng, num_classes, settings, is_quantized=False) -> Case:
    strides, input_hw = (8, 16, 32), (64, 96)
    raw, specs = [], []
    for kind, channels in (("scores", num_classes), ("distances", 4)):
        for stride in strides:
            shape = (input_hw[0] // stride, input_hw[1] // stride, channels)
            if kind == "scores":
                values = rng.normal(-2, 2, shape)
            else:
                values = rng.uniform(-0.2, 2.5, shape) * stride
            values, scale, zero_point = values.astype(np.float32), None, None
            if is_quantized:
                values, scale, zero_point = _quantized(values)
            raw.append(values)
            dtype = values.dtype.name
            spec = TensorSpec(f"{kind}_{stride}", (1, *shape), dtype, scale, zero_point)
            specs.append(output_to_dict(spec))
    given = {
        "raw": raw,
        "outputs": specs,
        "strides": strides,
        "input_hw": input_hw,
        "settings": _settings(settings),
        "scale_xy": np.array([0.4, 0.401]),
        "image_hw": (150, 238),
    }
    return make_case("boxes", name, given)


def _settings(settings: BoxSettings):
    return {
        "score_threshold": settings.score_threshold,
        "iou_threshold": settings.iou_threshold,
        "max_per_level": settings.max_per_level,
        "max_detections": settings.max_detections,
    }


def _crowds() -> Iterator[Case]:
    codecs: dict[str, dict[str, Any]] = {
        "doubles_go": {},
        "at_most_three_and_apart": {"iou_threshold": 0.3, "max_people": 3},
        "nobody": {"score_threshold": 0.99},
    }
    for name, codec in codecs.items():
        given = {
            "image": patches(IMAGE_HW),
            "contract": crowd_contract(**codec).to_dict(),
            "raw": crowd_outputs(),
        }
        yield make_case("people", name, given)
    for name, (contract, raw) in bottom_up_scenes().items():
        given = {"image": patches(IMAGE_HW), "contract": contract.to_dict(), "raw": raw}
        yield make_case("people", f"bottom_up_{name}", given)


def _nms() -> Iterator[Case]:
    rng = np.random.default_rng(5)
    corners = rng.uniform(0, 60, (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(10, 40, (40, 2))], axis=1)
    boxes = boxes.astype(np.float32)
    scores = rng.permutation(40).astype(np.float32) / 40
    given = {
        "boxes_xyxy": boxes,
        "scores": scores,
        "labels": np.zeros(40, np.int32),
        "settings": _settings(BoxSettings(iou_threshold=0.4)),
    }
    yield make_case("nms", "many_overlap", given)
    yield make_case(
        "nms", "two_classes", {**given, "labels": np.arange(40, dtype=np.int32) % 2}
    )
    few = _settings(BoxSettings(iou_threshold=0.4, max_detections=5))
    yield make_case("nms", "at_most_five", {**given, "settings": few})
    tied = {**given, "scores": np.round(scores * 4) / np.float32(4)}
    yield make_case("nms", "equal_scores_in_order", tied)
    same = {
        **given,
        "boxes_xyxy": boxes[[0, 0, 0]] * np.array([[1], [1], [0]], np.float32),
        "scores": np.array([0.5, 0.5, 0.4], np.float32),
        "labels": np.zeros(3, np.int32),
    }
    yield make_case("nms", "same_box_twice_and_one_without_area", same)
    none = {
        **given,
        "boxes_xyxy": boxes[:0],
        "scores": scores[:0],
        "labels": np.zeros(0, np.int32),
    }
    yield make_case("nms", "no_boxes", none)


def _similarities() -> Iterator[Case]:
    rng = np.random.default_rng(6)
    sigmas = np.array(COCO_17.oks_sigmas)
    poses = rng.uniform(0, 100, (4, 17, 2))
    others = np.concatenate([poses[:2] + rng.normal(0, 4, (2, 17, 2)), poses[2:3]])
    is_counted = rng.uniform(size=(4, 3, 17)) > 0.3
    is_counted[0, 2] = False  # nothing to compare by
    given = {
        "poses_xy": poses,
        "others_xy": others,
        "areas": rng.uniform(500, 9000, (4, 3)),
        "sigmas": sigmas,
        "is_counted": is_counted.astype(np.uint8),
    }
    yield make_case("oks", "some_keypoints_count", given)
    crowd = np.concatenate([poses, poses + rng.normal(0, 3, poses.shape)])
    people = {
        "keypoints_xy": crowd,
        "scores": rng.permutation(8) / 8,
        "areas": np.full(8, 4000.0),
        "sigmas": sigmas,
        "threshold": 0.7,
    }
    yield make_case("oks_nms", "doubles_go", people)


def _regions() -> Iterator[Case]:
    rng = np.random.default_rng(7)
    xy = rng.uniform(20, 60, (5, 17, 2)).astype(np.float32)
    scores = rng.uniform(0.1, 1, (5, 17)).astype(np.float32)
    scores[1] = 0.05  # the person is gone
    scores[2, 1:] = 0.1  # a single point
    xy[3] += 300  # left the image
    xy[4, 3] = np.nan
    boxes = np.array([[10, 10, 70, 70]] * 5, np.float32)
    boxes[0] = (-50, -40, 140, 160)  # shrinks by a tenth at most
    given = {
        "keypoints_xy": xy,
        "keypoint_scores": scores,
        "boxes_xyxy": boxes,
        "threshold": 0.2,
        "image_hw": (120, 160),
    }
    yield make_case("regions", "five_people", given)


def _tracks() -> Iterator[Case]:
    given = {
        "sigmas": np.array(COCO_17.oks_sigmas),
        "settings": {
            "oks_threshold": 0.3,
            "patience": 3,
            "keypoint_threshold": 0.2,
            "min_keypoints": 3,
        },
        "frames": _walkers(),
    }
    yield make_case("tracks", "two_pass_one_waits_one_returns", given)


def _walkers():
    """Returns 16 frames: two people pass each other, a third goes and comes, in turns
    briefly and for too long, and one never shows more than two keypoints."""
    rng = np.random.default_rng(8)
    body = rng.uniform(-28, 28, (4, 17, 2))
    frames = []
    for t in range(16):
        middles = [(30 + 6 * t, 60), (120 - 6 * t, 66), (60, 120), (150, 20)]
        present = [0, 1, 2, 3]
        if t in (4, 5) or 7 <= t < 13:
            present.remove(2)
        if t % 2:
            present.reverse()
        xy = np.stack([body[i] + middles[i] for i in present])
        xy += rng.normal(0, 0.5, xy.shape)
        scores = np.where(np.array(present)[:, None] == 3, 0.1, 0.9) * np.ones((1, 17))
        scores[np.array(present) == 3, :2] = 0.9
        boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
        frames.append(
            {
                "boxes_xyxy": boxes.astype(np.float32),
                "keypoints_xy": xy.astype(np.float32),
                "keypoint_scores": scores.astype(np.float32),
            }
        )
    return frames


def _smoothing() -> Iterator[Case]:
    rng = np.random.default_rng(9)
    frames = []
    for t in range(14):
        ids = {0: [0, 1], 5: [1, 0], 6: [1], 7: [1, -1], 12: [0, 1]}.get(t, [0, 1])
        moving = np.array([[4.0 * t, 0.0] if track == 0 else [0.0, 0.0] for track in ids])
        body = 8.0 * np.arange(6).reshape(1, 3, 2)
        xy = 50 + moving[:, None] + body + rng.normal(0, 1, (len(ids), 3, 2))
        if t == 3:
            xy[0, 1] = np.nan  # lost, and then begins anew
        scores = np.ones((len(ids), 3), np.float32)
        if t in (8, 9):
            xy[0, 2] = scores[0, 2] = 0  # not found, and then begins anew
        boxes = np.array([[40, 40, 80, 110]] * len(ids), np.float32)
        frames.append(
            {
                # 25 frames a second, but for a pause of three seconds.
                "seconds": t * 0.04 + 3.0 * (t >= 11),
                "track_ids": np.array(ids, np.int32),
                "boxes_xyxy": boxes,
                "keypoints_xy": xy.astype(np.float32),
                "keypoint_scores": scores,
            }
        )
    settings = {"min_cutoff": 1.0, "beta": 4.0, "speed_cutoff": 1.0, "forget_after": 2.0}
    given = {"settings": settings, "frames": frames}
    yield make_case("smoothing", "rest_motion_gaps_and_a_pause", given)


def _clips() -> Iterator[Case]:
    yield make_case("clip", "colours", colour_clip())


def _defaults() -> Iterator[Case]:
    given = {"contract": colours_contract().to_dict(), "names": list(SETTINGS)}
    yield make_case("defaults", "of_all_settings", given)
