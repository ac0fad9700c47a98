"""Forms of boxes; crops and maps are compared with the reference in tests/parity."""

import numpy as np
import pytest

from keras_pose.pictures.geometry import whole_image_box, xywh_to_xyxy, xyxy_to_xywh


@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4), (0, 4)])
def test_boxes_come_back_from_their_other_form(shape):
    boxes = np.random.default_rng(0).integers(0, 500, shape).astype(np.float32)
    corners = xywh_to_xyxy(boxes)
    assert corners.shape == shape
    assert corners.dtype == boxes.dtype
    np.testing.assert_array_equal(xyxy_to_xywh(corners), boxes)


def test_corners_are_a_corner_and_what_lies_an_extent_further():
    assert xywh_to_xyxy([3, 4, 10, 20]).tolist() == [3, 4, 13, 24]
    assert xyxy_to_xywh([3, 4, 13, 24]).tolist() == [3, 4, 10, 20]


def test_what_is_given_stays_as_it_is():
    boxes = np.array([[1.0, 2, 3, 4]])
    xywh_to_xyxy(boxes)
    xyxy_to_xywh(boxes)
    np.testing.assert_array_equal(boxes, [[1, 2, 3, 4]])


def test_the_box_of_an_image_has_an_area_even_of_one_pixel():
    assert whole_image_box((480, 640)).tolist() == [0, 0, 639, 479]
    assert whole_image_box((1, 1)).tolist() == [0, 0, 1, 1]
