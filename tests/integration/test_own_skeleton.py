"""Five keypoints of somebody's own: from the annotations to the phone and back."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from keras_pose.contracts.pose import read_contract
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.inference import PoseEstimator
from keras_pose.pictures.drawing import draw_poses
from keras_pose.skeleton import COCO_17, Skeleton
from keras_pose.skeleton.files import write_skeleton

ROOT = Path(__file__).resolve().parents[2]
# Not in COCO's order, so that a forgotten skeleton shows; without OKS sigmas.
STAR_5 = Skeleton(
    name="star_5",
    names=("right_wrist", "left_wrist", "nose", "left_ankle", "right_ankle"),
    mirrored=(("left_wrist", "right_wrist"), ("left_ankle", "right_ankle")),
    limbs=(("nose", "left_wrist"), ("nose", "right_ankle")),
)


def run_script(path, *arguments):
    """Runs a script of the project in this process, which has TensorFlow loaded."""
    module_spec = importlib.util.spec_from_file_location(path.stem, path)
    script = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(script)
    return script.main([str(argument) for argument in arguments])


def write_star_dataset(folder):
    """Writes synthetic people of whom only five keypoints are known."""
    columns = [COCO_17.index(name) for name in STAR_5.names]
    for split, num_images in (("train", 4), ("val", 3)):
        source = write_coco_dataset(folder / "drawn", num_images, split=split)
        values = json.loads(source.read_text())
        values["categories"][0]["keypoints"] = list(STAR_5.names)
        values["categories"][0]["skeleton"] = []
        for annotation in values["annotations"]:
            keypoints = np.reshape(annotation["keypoints"], (17, 3))[columns]
            annotation["keypoints"] = keypoints.ravel().tolist()
            annotation["num_keypoints"] = int((keypoints[:, 2] > 0).sum())
        (folder / "annotations").mkdir(exist_ok=True)
        name = f"person_keypoints_{split}2017.json"
        (folder / "annotations" / name).write_text(json.dumps(values))
        (folder / f"{split}2017").symlink_to(folder / "drawn" / f"{split}2017")


@pytest.mark.slow
def test_own_keypoints_go_through_training_evaluation_export_and_drawing(tmp_path, capsys):
    write_star_dataset(tmp_path)
    skeleton_file = write_skeleton(tmp_path / "star.json", STAR_5)
    data = ("--data-dir", tmp_path, "--skeleton", skeleton_file)
    run = tmp_path / "run"

    run_script(
        ROOT / "training" / "train.py",
        *("--model", "testing_pose", "--dataset", "coco", *data, "--run-dir", run),
        *("--input-hw", 64, 64, "--batch-size", 2, "--max-steps", 2),
    )
    best = run / "best.keras"
    assert read_contract(best).skeleton == STAR_5

    run_script(ROOT / "training" / "evaluate.py", "--weights", best, *data[:2])
    measured = json.loads(next(run.glob("metrics_*.json")).read_text())
    assert measured["protocol"]["metrics"] == ["pck_box"]

    run_script(ROOT / "export" / "to_tflite.py", "--weights", best, "--int8")
    assert "the train split of coco" in capsys.readouterr().out
    exported = run / "export" / "int8" / "pose_model.tflite"
    assert read_contract(exported).skeleton == STAR_5

    image = np.full((80, 60, 3), 127, np.uint8)
    poses = PoseEstimator(exported, "whole image")(image)
    assert poses.keypoints_xy.shape == (1, 5, 2)
    assert poses.skeleton == STAR_5
    assert draw_poses(image, poses, threshold=-1.0).shape == image.shape
    sheet = tmp_path / "sheet.png"
    run_script(
        ROOT / "training" / "browse.py",
        *("--weights", exported, *data[:2], "--images", 1, "--output", sheet),
    )
    assert sheet.is_file()


@pytest.mark.slow
def test_annotations_of_other_keypoints_are_refused(tmp_path):
    write_star_dataset(tmp_path)
    # Another order is no matter: keypoints are found by name.
    strange = Skeleton(name="strange", names=("hook", "cabin"))
    skeleton_file = write_skeleton(tmp_path / "strange.json", strange)
    with pytest.raises(SystemExit, match="of 'strange'"):
        run_script(
            ROOT / "training" / "train.py",
            *("--model", "testing_pose", "--dataset", "coco", "--data-dir", tmp_path),
            *("--skeleton", skeleton_file, "--run-dir", tmp_path / "run"),
        )
