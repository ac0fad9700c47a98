import dataclasses
import io
import subprocess
import sys
import textwrap
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from light_model import BrightnessBackend, light_at, make_model
from PIL import Image
from says import Says

from keras_pose.codecs import CODECS
from keras_pose.contracts.certainty import ScoreCalibration, Visibility
from keras_pose.contracts.fields import TensorSpec
from keras_pose.inference import PoseEstimator
from keras_pose.inference.detectors import WHOLE_IMAGE
from keras_pose.pictures.images import ImageError
from keras_pose.pictures.structures import Detections
from keras_pose.runtime import PoseModel, integer_speed
from keras_pose.shipped import shipped_file

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("found", "count"),
    [("AVX2, no dot product of bytes", 1), ("AVX2, AVX-512 VNNI", 0)],
)
@pytest.mark.parametrize("who", [("pose",), ("detector",), ("pose", "detector")])
def test_int8_that_gains_little_is_told_once(monkeypatch, who, found, count):
    monkeypatch.setattr(integer_speed, "instructions", lambda: found)
    monkeypatch.setattr(integer_speed, "_GIVEN", set())
    model, detector = make_model(), WHOLE_IMAGE
    if "pose" in who:
        contract = dataclasses.replace(model.contract, quantization="int8")
        model = PoseModel(contract, ".tflite", BrightnessBackend())
    if "detector" in who:
        detector = shipped_file("detector")  # int8 is what was measured to be best
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for _ in range(2):
            estimator = PoseEstimator(model, detector)
            for _ in range(2):
                estimator(light_at(123, 150))
    assert [each.category for each in seen] == [integer_speed.SpeedAdvice] * count


@pytest.mark.parametrize("boxes", [None, [[60, 40, 180, 260]]], ids=["whole_image", "box"])
@pytest.mark.parametrize("flip_test", [False, True])
def test_keypoints_come_back_in_image_pixels(boxes, flip_test):
    estimator = PoseEstimator(make_model(), WHOLE_IMAGE, flip_test=flip_test)

    poses = estimator(light_at(123, 150), boxes)

    crop_width = 1.25 * (180 if boxes else 400)
    # Half a heatmap pixel, in image pixels; the flip test's shift adds another half.
    tolerance = 0.5 * (1 + flip_test) * 4 * crop_width / 96
    np.testing.assert_allclose(poses.keypoints_xy[0], [[123, 150]] * 17, atol=tolerance)
    assert poses.scores[0] == pytest.approx(poses.keypoint_scores[0].mean())


class SeeingBackend(BrightnessBackend):
    """Finds the light, and calls a keypoint outside where its crop begins dark."""

    outputs = (
        BrightnessBackend.output,
        TensorSpec("visibility", (None, 17, 3), "float32"),
    )

    def run_all(self, images):
        logits = np.zeros((len(images), 17, 3), np.float32)
        is_dark = images[:, :64].mean(axis=(1, 2, 3)) < images[:, 64:].mean(axis=(1, 2, 3))
        logits[:, 0, 2] = np.where(is_dark, 4.0, -4.0)
        # The left eye, which a mirror exchanges with the right one.
        logits[:, 1, 1] = 2.0 * (images[:, :, :48].mean() > images[:, :, 48:].mean())
        return {"heatmaps": self.run(images), "visibility": logits}


@pytest.mark.parametrize("flip_test", [False, True])
def test_visibility_and_calibrated_scores_come_with_the_poses(flip_test):
    plain = make_model()
    contract = dataclasses.replace(
        plain.contract,
        visibility=Visibility(SeeingBackend.outputs[1], temperature=2.0),
        score_calibration=ScoreCalibration(4.0, -2.0),
    )
    model = PoseModel(contract, ".onnx", SeeingBackend())
    estimator = PoseEstimator(model, WHOLE_IMAGE, flip_test=flip_test)
    image, boxes = light_at(140, 250), [[0, 0, 200, 300], [0, 150, 200, 300]]

    poses = estimator(image, boxes)
    expected = PoseEstimator(plain, WHOLE_IMAGE, flip_test=flip_test)(image, boxes)

    share = np.exp(2) / (np.exp(2) + 2)  # of a logit of 4 at the temperature 2
    assert poses.visibility[0, 0, 2] == pytest.approx(share, abs=1e-6)
    assert poses.is_outside[:, 0].tolist() == [True, True]
    # The light is right; in the mirror it is left, and what the network says of the left
    # eye there is true of the right one.
    left, right = poses.visibility[0, 1:3, 1]
    assert right > left if flip_test else right == left
    np.testing.assert_allclose(
        poses.keypoint_scores,
        1 / (1 + np.exp(2 - 4 * expected.keypoint_scores)),
        rtol=1e-5,
    )
    np.testing.assert_array_equal(poses.scores, expected.scores)


def test_all_people_of_an_image_go_through_the_model_at_once():
    model = make_model()
    boxes = [[10, 10, 100, 200], [200, 50, 300, 280], [-20, -20, 50, 50]]

    poses = PoseEstimator(model)(light_at(50, 50), boxes)

    assert [len(batch) for batch in model._backend.batches] == [3]
    np.testing.assert_array_equal(poses.boxes_xyxy, boxes)


def test_no_boxes_mean_nobody():
    assert len(PoseEstimator(make_model())(light_at(0, 0), [])) == 0


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (
            [[10, 10, 10, 50]],
            Says("x1 < x2", do="Give corners (x1, y1, x2, y2), not width and height."),
        ),
        (
            [[10, 10, np.nan, 50]],
            Says("x1 < x2", do="Give corners (x1, y1, x2, y2), not width and height."),
        ),
        (
            [[400, 10, 450, 50]],
            Says(
                "outside the image, which is 400 wide and 300 high",
                do="Give boxes in pixels of this image.",
            ),
        ),
        ([10, 10, 20, 50], Says("must be (N, 4)", do="One box is an array (1, 4).")),
    ],
)
def test_bad_boxes_are_refused(boxes, message):
    with message.refuses():
        PoseEstimator(make_model())(light_at(0, 0), boxes)


def _turned(image):
    """The image as a phone stores it that was held upright."""
    stored = Image.fromarray(np.rot90(image))
    exif = stored.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    stored.save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "give",
    [
        pytest.param(lambda image: image[..., 0], id="grey"),
        pytest.param(lambda image: image[..., :1], id="grey_with_a_channel"),
        pytest.param(lambda image: np.dstack([image, 0 * image[..., 0] + 255]), id="rgba"),
        pytest.param(lambda image: image / 255, id="fractions"),
        pytest.param(lambda image: (image / 255).astype(np.float32), id="float32"),
        pytest.param(lambda image: image.astype(np.float32), id="whole_numbers"),
        pytest.param(lambda image: image.tolist(), id="list"),
        pytest.param(Image.fromarray, id="pillow"),
        pytest.param(lambda image: Image.fromarray(image).convert("L"), id="pillow_grey"),
        pytest.param(
            lambda image: Image.open(io.BytesIO(_turned(image))), id="pillow_exif"
        ),
        pytest.param(_turned, id="bytes"),
        pytest.param(lambda image: io.BytesIO(_turned(image)), id="open_file"),
    ],
)
def test_an_image_may_be_given_in_any_clear_form(give):
    image, estimator = light_at(123, 150), PoseEstimator(make_model(), WHOLE_IMAGE)
    expected = estimator(image)
    poses = estimator(give(image))
    np.testing.assert_array_equal(poses.keypoints_xy, expected.keypoints_xy)
    np.testing.assert_array_equal(poses.keypoint_scores, expected.keypoint_scores)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_read_and_names_the_image_in_a_file_of_detections(tmp_path, kind):
    path = tmp_path / "7.png"
    path.write_bytes(_turned(light_at(123, 150)))
    boxes = tmp_path / "boxes.json"
    boxes.write_text('[{"image_id": 7, "bbox": [60, 40, 120, 220], "score": 0.9}]')
    poses = PoseEstimator(make_model(), boxes)(kind(path))
    np.testing.assert_array_equal(poses.boxes_xyxy, [[60, 40, 180, 260]])
    with pytest.raises(ImageError, match=r"gone\.png does not exist"):
        PoseEstimator(make_model(), boxes)(kind(tmp_path / "gone.png"))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            None,
            Says(
                "There is no image, but None: cv2.imread returns that",
                do="Look whether the file is there: `read_image` says what is wrong.",
            ),
        ),
        (
            np.zeros((2, 30, 40, 3), np.uint8),
            Says("got (2, 30, 40, 3) ... one image of a batch", do="Loop over the batch."),
        ),
        (
            np.zeros((3, 30, 40), np.uint8),
            Says("Its channels come first", do="np.transpose(image, (1, 2, 0))"),
        ),
        (
            np.zeros((30, 40, 5), np.uint8),
            Says("got (30, 40, 5) uint8", do="Give three channels: RGB."),
        ),
        (np.zeros((0, 40, 3), np.uint8), Says("got (0, 40, 3)", do="Leave it out.")),
        (
            np.full((30, 40, 3), -1.5),
            Says(
                "float64 from -1.5 to -1.5. Undo a normalisation",
                do="Give the pixels from before they were normalised.",
            ),
        ),
        (np.full((30, 40, 3), 1.01), Says("from 1.01 to 1.01", do="np.clip(image, 0, 1)")),
        (
            np.full((30, 40, 3), 300),
            Says("int64 from 300 to 300", do="np.clip(image, 0, 255).astype(np.uint8)"),
        ),
        (
            np.full((30, 40), 9, np.uint16),
            Says("uint16 ... for 16 bits", do="(image // 257).astype(np.uint8)"),
        ),
        (np.full((30, 40, 3), np.nan), Says("from nan", do="Find where NaN come from.")),
        (
            np.full((30, 40, 3), "a"),
            Says("Pixels are numbers", do="Give an array of uint8."),
        ),
        (7, Says("got ()", do="Give an image, its path, or its bytes.")),
    ],
)
def test_other_images_are_refused_with_what_to_do(image, message):
    with message.refuses():
        PoseEstimator(make_model(), WHOLE_IMAGE)(image)


def test_eight_threads_get_the_answers_to_their_own_pictures():
    estimator = PoseEstimator(num_threads=1)
    rng = np.random.default_rng(seed=0)
    images = [rng.integers(0, 255, (60 + i, 48, 3), np.uint8) for i in range(8)]
    boxes = [[4, 4, 40, 56]]
    alone = [estimator(image, boxes).keypoints_xy for image in images]
    together = threading.Barrier(8)

    def ask(i):
        together.wait()
        # The detector too, which the first thread opens.
        estimator.find_people(images[i])
        return [estimator(images[i], boxes).keypoints_xy for _ in range(4)]

    with ThreadPoolExecutor(8) as pool:
        for i, answers in enumerate(pool.map(ask, range(8))):
            for answer in answers:
                np.testing.assert_array_equal(answer, alone[i])


def test_a_detectors_people_are_estimated_and_rated_by_their_boxes_too():
    found = Detections([[10, 10, 100, 200], [60, 40, 180, 260]], [0.5, 0.375], [0, 0])
    model = make_model()

    estimator = PoseEstimator(model, detector=lambda image: found, nms_threshold=1.0)
    poses = estimator(light_at(60, 120))

    np.testing.assert_array_equal(poses.boxes_xyxy, found.boxes_xyxy)
    means = poses.keypoint_scores.mean(axis=1)
    np.testing.assert_allclose(poses.scores, means * [0.5, 0.375], rtol=1e-5)


def test_of_what_a_detector_finds_only_people_that_can_be_seen_are_estimated():
    boxes = [[10, 10, 100, 200], [10, 10, 10, 200], [500, 0, 600, 50], [10, 10, 100, 200]]
    found = Detections(boxes, [1, 1, 1, 1], [0, 0, 0, 3])  # no width, outside, a car

    poses = PoseEstimator(make_model(), detector=lambda image: found)(light_at(60, 120))

    np.testing.assert_array_equal(poses.boxes_xyxy, boxes[:1])


def test_weak_boxes_are_no_people_unless_asked_for():
    boxes = [[10, 10, 100, 200], [60, 40, 180, 260]]
    found = Detections(boxes, [0.3, 0.31], [0, 0])

    def estimate(**settings):
        settings["nms_threshold"] = 1.0
        estimator = PoseEstimator(make_model(), lambda image: found, **settings)
        return estimator(light_at(60, 120))

    np.testing.assert_array_equal(estimate().boxes_xyxy, boxes[1:])
    assert len(estimate(box_threshold=0)) == 2


def test_a_crowd_is_estimated_some_at_a_time():
    model = make_model()
    boxes = np.tile([[10, 10, 100, 200]], (70, 1))

    poses = PoseEstimator(model)(light_at(60, 120), boxes)

    assert [len(batch) for batch in model._backend.batches] == [32, 32, 6]
    assert len(poses) == 70


def test_what_is_no_detector_is_refused():
    with pytest.raises(ValueError, match="something to call with an image, got 7"):
        PoseEstimator(make_model(), detector=7)


def write_onnx_model(path):
    """Writes the brightness model as a file, with its contract."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from keras_pose.contracts.entries import write_contract

    constants = {
        "starts": np.array([0, 0]),
        "ends": np.array([128, 96]),
        "axes": np.array([1, 2]),
        "steps": np.array([4, 4]),
        "mean": np.full((3, 17), 1 / 765, np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Slice", ["real", "starts", "ends", "axes", "steps"], ["few"]),
            helper.make_node("MatMul", ["few", "mean"], ["heatmaps"]),
        ],
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, (1, 128, 96, 3))],
        [helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, (1, 32, 24, 17))],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    write_contract(path, make_model().contract)


def test_an_onnx_file_runs_where_tensorflow_and_keras_are_not_installed(tmp_path):
    path = tmp_path / "model.onnx"
    write_onnx_model(path)
    program = f"""
        import sys
        sys.modules["tensorflow"] = sys.modules["keras"] = None  # importing them fails
        import time
        import numpy as np
        from keras_pose import PoseEstimator, draw_poses

        image = np.zeros((300, 400, 3), np.uint8)
        image[150:170, 200:220] = 255
        poses = PoseEstimator({str(path)!r}, "whole image", flip_test=True)(image)
        seconds = time.process_time()
        draw_poses(image, poses)
        print(np.abs(poses.keypoints_xy[0] - (210, 160)).max(), seconds)
        for name in ("matplotlib", "scipy", "pycocotools", "pandas", "onnx", "tqdm"):
            assert name not in sys.modules, name
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )

    assert done.returncode == 0, done.stderr
    error, seconds = map(float, done.stdout.split())
    # The light is 20 pixels wide, a heatmap pixel 4 * 500 / 96 = 21.
    assert error < 21
    # From nothing to the first pose, Python's own start included. The processor's time, not
    # the clock's, so that a busy machine fails nobody: measured 0.3 to 0.5 s.
    assert seconds < 1


def test_heatmaps_lie_where_the_keypoints_are_found():
    image = light_at(123, 150)
    estimator = PoseEstimator(make_model())
    poses = estimator(image, [[60, 40, 180, 260]])

    seen = estimator.show_heatmaps(image, poses)

    changed = np.abs(seen.astype(int) - image).sum(axis=-1).astype(float)
    center = [(changed * axis).sum() / changed.sum() for axis in np.ogrid[:300, :400]]
    # A heatmap pixel is 4 * 1.25 * 220 / 128 = 9 pixels of the image.
    np.testing.assert_allclose(center[::-1], poses.keypoints_xy[0, 0], atol=9)
    np.testing.assert_array_equal(image, light_at(123, 150))


def test_networks_without_heatmaps_have_none_to_show():
    estimator = PoseEstimator(make_model(), WHOLE_IMAGE)
    poses = estimator(light_at(123, 150))
    codec = CODECS["simcc"].for_input((128, 96))
    estimator.pose_model = SimpleNamespace(
        contract=SimpleNamespace(model="rtm", codec=codec, skeleton=poses.skeleton)
    )
    with pytest.raises(ValueError, match=r"rtm gives no heatmap per keypoint.*'simcc'"):
        estimator.show_heatmaps(light_at(123, 150), poses)
