"""Hundreds of damaged files and mad networks: an error that says so, or a sane result."""

import io
import json
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_pose.contracts.detector_description import DetectorDescription
from keras_pose.contracts.fields import TensorSpec
from keras_pose.inference.detectors import DetectionFile, people_among
from keras_pose.pictures.images import ImageError, read_image
from keras_pose.runtime.described_detector import DescribedDetector

pytestmark = pytest.mark.slow
# How many: see tests/conftest.py.
ODD_ONES = settings(
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def encoded(mode, kind, **options):
    """A small picture of a mode, as a file of a kind."""
    size = (12, 9)
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    picture = Image.fromarray(noise).convert("L" if mode == "I;16" else mode)
    picture = picture.convert(mode)
    if mode == "RGB" and kind == "JPEG":
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def tried(call, errors):
    """Returns what a call returns, or None and what its error says."""
    try:
        return call(), ""
    except errors as error:
        return None, str(error)


FILES = [
    encoded("RGB", "JPEG"),
    encoded("CMYK", "JPEG"),
    encoded("L", "JPEG", progressive=True),
    encoded("RGBA", "PNG"),
    encoded("P", "PNG"),
    encoded("I;16", "PNG"),
    encoded("P", "GIF"),
    encoded("RGB", "BMP"),
    encoded("RGB", "TIFF"),
    encoded("RGB", "TIFF", compression="tiff_lzw"),
    encoded("RGB", "WEBP"),
    encoded("L", "PPM"),
    encoded("RGBA", "TGA"),
]
changes = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4
)


@ODD_ONES
@given(st.sampled_from(FILES), changes, st.one_of(st.just(1.0), st.floats(0, 1)))
def test_damaged_pictures_are_errors_or_pictures(content, changes, share):
    damaged = bytearray(content[: round(len(content) * share)])
    for place, value in changes:
        if damaged:
            damaged[int(place * len(damaged))] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow tells of what it could make up for
        image, refusal = tried(lambda: read_image(io.BytesIO(bytes(damaged))), ImageError)
    if image is None:
        assert refusal.startswith("Image ")
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.size


values = st.one_of(
    st.floats(-5, 5, width=32), st.floats(width=32), st.sampled_from([0.0, 1e30, -1e30])
)
codes = st.sampled_from(["yolox", "distances", "center_size", "corners"])


class Network:
    input = TensorSpec("image", (1, 16, 24, 3), "uint8")
    outputs = (TensorSpec("rows", (1, 6, 6), "float32"),)
    rows = np.zeros((1, 6, 6), np.float32)

    def run_all(self, images):
        return {"rows": self.rows}


@ODD_ONES
@given(
    st.lists(values, min_size=36, max_size=36),
    codes,
    st.sampled_from(["none", "sigmoid"]),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
@example([np.nan] * 36, "yolox", "none", (5, 5))
def test_whatever_a_network_says_boxes_are_within_the_image(
    numbers, code, activation, image_hw
):
    said = {
        "keras_pose_detector": 1,
        "file": "mad.onnx",
        "head": "raw",
        "outputs": {"rows": "rows"},
        "strides": [8] if code in ("yolox", "distances") else [],
        "box_code": code,
        "has_objectness": True,
        "score_activation": activation,
    }
    network = Network()
    detector = DescribedDetector(DetectorDescription.from_dict(said, "mad.json"), network)
    network.rows = np.array(numbers, np.float32).reshape(1, 6, 6)
    image = np.zeros((*image_hw, 3), np.uint8)
    with np.errstate(all="ignore"):
        found, refusal = tried(lambda: detector(image), ValueError)
    if found is None:
        assert "NaN or infinite" in refusal
        assert not np.isfinite(network.rows).all() or np.abs(network.rows).max() > 1e18
        return
    limit = np.array(image_hw[::-1] * 2)
    assert (found.boxes_xyxy >= 0).all()
    assert (found.boxes_xyxy <= limit).all()
    assert (found.boxes_xyxy[:, 2:] > found.boxes_xyxy[:, :2]).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert len(people_among(found, image_hw)) <= len(found)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=8,
)
entries = st.dictionaries(
    st.sampled_from(["image_id", "category_id", "bbox", "score", "other"]), json_values
)


@ODD_ONES
@given(st.lists(st.one_of(entries, json_values), max_size=3))
def test_files_of_boxes_hold_boxes_or_are_refused(tmp_path, content):
    path = tmp_path / "found.json"
    path.write_text(json.dumps(content))
    found, refusal = tried(lambda: DetectionFile(path).find(1), ValueError)
    if found is None:
        assert "found.json" in refusal
        return
    assert np.isfinite(found.boxes_xyxy).all()
