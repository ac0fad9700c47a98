"""Boxes, crops and affine maps. THE coordinate convention of the whole project:

- A pixel's *centre* has integer coordinates: column 0, row 0 is (0.0, 0.0), in
  images, crops and heatmaps alike. So `heatmap_xy = input_xy / stride`, with no
  half pixel, as in the HRNet and Simple Baselines code.
- Points are (x, y), sizes are (height, width), boxes say their form in their
  name: `box_xywh` (corner and extent) or `boxes_xyxy` (two corners).
- Keypoints, crops and the boxes that crops are made of (`clean_boxes_xywh`,
  `whole_image_box`) count from pixels' *centres*: an image ends at width - 1. What a
  detector is trained on and finds counts from pixels' *borders*, as COCO's boxes do: it
  ends at width. A found box becomes a crop as it is, half a pixel off, as in HRNet.
- A crop is a centre, a size (both in image pixels) and an angle. The crop's
  width maps onto the destination's width (`dst_w`, not `dst_w - 1`), but for
  "unbiased" crops (UDP), whose width and height map onto `dst_w - 1`, `dst_h - 1`.
- An affine matrix is (2, 3) and maps (x, y, 1) of the source to (x, y).

NumPy only, with leading batch axes where the shapes below show `...`.
"""

from __future__ import annotations

import cv2
import numpy as np

# Crops are this much larger than the person's box (HRNet code, `_xywh2cs`).
BOX_PADDING = 1.25


def box_to_crop(box_xywh, input_hw, padding: float = BOX_PADDING):
    """Turns person boxes into crops with the aspect ratio of the model input.

    The short side grows to the aspect ratio, then both grow by `padding`.
    Source: `_box2cs` in the HRNet reference code (`lib/dataset/coco.py`).

    Args:
        box_xywh: (..., 4) boxes, image pixels.
        input_hw: model input (height, width); only its ratio matters.
        padding: factor on both sides.

    Returns:
        center_xy: (..., 2) float64, image pixels.
        size_wh: (..., 2) float64 (width, height) of the crop, image pixels.
    """
    box = np.asarray(box_xywh, np.float64)
    aspect = input_hw[1] / input_hw[0]
    center_xy = box[..., :2] + box[..., 2:] / 2
    width = np.maximum(box[..., 2], box[..., 3] * aspect)
    return center_xy, np.stack([width, width / aspect], axis=-1) * padding


def crop_matrix(
    center_xy, crop_width, output_hw, angle_degrees=0.0, is_unbiased: bool = False
):
    """Builds the map from image pixels to crop pixels.

    `output = crop center + zoom * rotation(angle) * (image - center_xy)`, with
    `zoom = output width / crop_width`; a positive angle turns the content
    counter-clockwise on screen. Equals `get_affine_transform` of the HRNet code
    (which derives it from three points) without its float32 rounding.

    An unbiased crop maps its corners onto the centres of the corner pixels: zoom is
    `(output width - 1) / crop_width`, the same for the height, and the middle is at
    `(output size - 1) / 2`. Source: Huang et al. 2020 (arXiv:1911.07524), sec. 3.2;
    `get_udp_warp_matrix` of mmpose, whose angles turn the other way.

    Args:
        center_xy: (..., 2) crop centre, image pixels.
        crop_width: (...) crop width, image pixels.
        output_hw: (height, width) of the crop, pixels.
        angle_degrees: (...) rotation.
        is_unbiased: cut as UDP does.

    Returns:
        (..., 2, 3) float64 matrix, image -> crop.
    """
    center_xy = np.asarray(center_xy, np.float64)
    output_wh = np.array(output_hw[::-1], np.float64)
    target_wh = output_wh - is_unbiased
    zoom_xy = target_wh / output_wh * output_wh[0]
    zoom_xy = zoom_xy / np.asarray(crop_width, np.float64)[..., None]
    angle = np.deg2rad(np.asarray(angle_degrees, np.float64))
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.stack(
        [np.stack([cosine, sine], axis=-1), np.stack([-sine, cosine], axis=-1)], axis=-2
    )
    linear = zoom_xy[..., None] * rotation
    shift = target_wh / 2 - np.einsum("...ij,...j->...i", linear, center_xy)
    return np.concatenate([linear, shift[..., None]], axis=-1)


def invert_matrix(matrix):
    """Inverts affine maps: (..., 2, 3) -> (..., 2, 3) float64."""
    matrix = np.asarray(matrix, np.float64)
    linear = np.linalg.inv(matrix[..., :2])
    shift = -np.einsum("...ij,...j->...i", linear, matrix[..., 2])
    return np.concatenate([linear, shift[..., None]], axis=-1)


def transform_points(matrix, points_xy):
    """Applies affine maps: (..., 2, 3) to (..., N, 2) -> (..., N, 2) float64."""
    matrix = np.asarray(matrix, np.float64)
    points_xy = np.asarray(points_xy, np.float64)
    turned = np.einsum("...ij,...nj->...ni", matrix[..., :2], points_xy)
    return turned + matrix[..., None, :, 2]


def warp_image(image, matrix, output_hw):
    """Cuts a crop out of an image: bilinear, black outside.

    Args:
        image: (H, W, C) uint8.
        matrix: (2, 3) map from image to crop pixels.
        output_hw: (height, width) of the crop.

    Returns:
        (height, width, C) uint8.
    """
    return cv2.warpAffine(
        image, np.asarray(matrix, np.float64), output_hw[::-1], flags=cv2.INTER_LINEAR
    )


def xywh_to_xyxy(boxes_xywh):
    """Returns the corners of boxes: (..., 4) x, y, width, height -> x1, y1, x2, y2."""
    boxes = np.asarray(boxes_xywh)
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xyxy_to_xywh(boxes_xyxy):
    """Returns corner and extent of boxes, the other way round: (..., 4) -> (..., 4)."""
    boxes = np.asarray(boxes_xyxy)
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def whole_image_box(image_hw):
    """Returns the (4,) box, x1, y1, x2, y2, from the first pixel's centre to the last's."""
    height, width = image_hw
    return np.array([0.0, 0.0, max(1, width - 1), max(1, height - 1)])


def clean_boxes_xywh(boxes_xywh, image_hw):
    """Clips boxes to the image, as the HRNet code does with ground truth.

    Source: `_load_coco_person_keypoint_annotation_kernal` in
    `lib/dataset/coco.py`; width and height lose the pixel that the code's
    `x1 + w - 1` loses.

    Args:
        boxes_xywh: (N, 4) boxes, image pixels.
        image_hw: image (height, width).

    Returns:
        boxes_xywh: (N, 4) float64, clipped.
        is_valid: (N,) bool, False where nothing of the box is left.
    """
    boxes = np.asarray(boxes_xywh, np.float64).reshape(-1, 4)
    corner = np.maximum(0, boxes[:, :2])
    limit = np.stack([image_hw[1], image_hw[0]], axis=-1) - 1
    far = np.minimum(limit, corner + np.maximum(0, boxes[:, 2:] - 1))
    return np.concatenate([corner, far - corner], axis=1), (far >= corner).all(axis=1)
