"""What comes with the package, and what is said where nothing does."""

import ast
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from light_model import light_at, make_model

from keras_pose import PoseEstimator, shipped
from keras_pose.pictures.images import read_image
from keras_pose.shipped import INDEX_NAME, KINDS, QUANTIZATIONS, shipped_file


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    return tmp_path


def test_without_models_everybody_is_told_what_to_name(empty):
    with pytest.raises(FileNotFoundError, match=r"comes without models: .*--weights FILE"):
        PoseEstimator()
    estimator = PoseEstimator(make_model())
    # Boxes need no detector, so none is missed.
    assert len(estimator(light_at(50, 50), [[10, 10, 100, 200]])) == 1
    with pytest.raises(FileNotFoundError, match=r'--whole-image, detector="whole image"'):
        estimator(light_at(50, 50))


def test_the_index_says_which_file_is_taken(empty):
    files = {"int8": "a.tflite", "float16": "b.tflite"}
    index = {
        kind: {"default": "float16", "files": files, "box_threshold": 0.17}
        for kind in KINDS
    }
    assert PoseEstimator(make_model()).box_threshold == 0.3
    (empty / INDEX_NAME).write_text(json.dumps(index))

    assert PoseEstimator(make_model()).box_threshold == 0.17
    assert PoseEstimator(make_model(), "whole image").box_threshold == 0.3
    assert PoseEstimator(make_model(), box_threshold=0.5).box_threshold == 0.5
    assert shipped_file("pose") == empty / "b.tflite"
    assert shipped_file("detector", "int8") == empty / "a.tflite"
    with pytest.raises(ValueError, match=r"one of \['float16', 'int8'\], got 'int4'"):
        shipped_file("pose", "int4")
    with pytest.raises(ValueError, match="kind must be one of"):
        shipped_file("segmentation")


@pytest.fixture
def ours():
    if not (shipped.FOLDER / INDEX_NAME).is_file():
        pytest.skip("no models are shipped yet: export/ship.py")
    return shipped.FOLDER


def test_what_is_shipped_is_small_whole_and_explained(ours):
    from keras_pose.contracts.detector import read_detector_contract
    from keras_pose.contracts.pose import read_contract

    index = json.loads((ours / INDEX_NAME).read_text())
    for kind, read in (("pose", read_contract), ("detector", read_detector_contract)):
        assert set(index[kind]["files"]) <= set(QUANTIZATIONS)
        for quantization in index[kind]["files"]:
            assert read(shipped_file(kind, quantization)).quantization == quantization
    sizes = [path.stat().st_size for path in ours.iterdir() if path.is_file()]
    assert sum(sizes) <= 16e6
    for kind in KINDS:
        card = (ours / f"{kind}.md").read_text(encoding="utf-8")
        assert "not official COCO" in card


def test_what_is_shipped_is_installed_with_the_package(ours):
    root = Path(__file__).resolve().parents[2]
    calls = [
        n
        for n in ast.walk(ast.parse((root / "setup.py").read_text()))
        if isinstance(n, ast.keyword) and n.arg == "package_data"
    ]
    patterns = ast.literal_eval(calls[0].value)["keras_pose"]
    installed = {path for pattern in patterns for path in ours.parent.glob(pattern)}
    assert {
        p for p in ours.iterdir() if p.suffix in (".tflite", ".keras", ".json", ".md")
    } <= installed


def test_the_shipped_pair_finds_a_person_in_a_photograph(ours):
    # A portrait by the US Navy, in the public domain, which matplotlib brings.
    matplotlib = pytest.importorskip("matplotlib")
    photo = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    poses = PoseEstimator(num_threads=1)(read_image(photo))

    assert len(poses), "nobody was found"
    best = poses.scores.argmax()
    nose_xy = poses.keypoints_xy[best, poses.skeleton.index("nose")]
    # By eye it is at (265, 228); the face is 190 pixels wide.
    assert np.abs(nose_xy - (265, 228)).max() < 60, nose_xy


def test_the_shipped_pair_starts_in_a_second_without_tensorflow(ours):
    program = """
        import sys
        sys.modules["tensorflow"] = sys.modules["keras"] = None  # importing them fails
        import time
        import numpy as np
        from keras_pose import PoseEstimator

        estimator = PoseEstimator(num_threads=1)
        estimator(np.full((480, 640, 3), 90, np.uint8), [[100, 100, 300, 400]])
        estimator(np.full((480, 640, 3), 90, np.uint8))
        print(time.process_time())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 0, done.stderr
    # The processor's time, not the clock's: a busy machine must fail nobody.
    assert float(done.stdout) < 1
