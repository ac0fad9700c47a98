import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_pose import runtime
from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contract import Contract, TensorSpec
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.skeleton import COCO_17

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "evaluate.py"
CODEC = GaussianHeatmapCodec((64, 48))


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("evaluate_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    write_coco_dataset(folder, 2, split="val")
    return folder


class CenterModel:
    """Stands in for a model file: every keypoint is in the middle of the crop."""

    contract = Contract(
        model="center",
        input=TensorSpec("image", (1, 64, 48, 3), "uint8"),
        output=TensorSpec("heatmaps", (1, 16, 12, 17), "float32"),
        codec=CODEC,
        skeleton=COCO_17,
    )

    def predict(self, crops):
        heatmaps = np.zeros((len(crops), 16, 12, 17), np.float32)
        heatmaps[:, 8, 6] = 1
        return heatmaps


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "load_model", lambda *_: CenterModel())
    paths = [tmp_path / "float.tflite", tmp_path / "int8.tflite"]
    for path in paths:
        path.write_bytes(b"a model")
    return list(map(str, paths))


def options(data_dir, *more):
    return ["--dataset", "synthetic", "--data-dir", str(data_dir), *more]


def test_metrics_are_stamped_with_the_protocol(script, weights, data_dir, tmp_path, capsys):
    script.main(["--weights", weights[0], *options(data_dir, "--flip-test")])

    path = tmp_path / "metrics_float_tflite_synthetic_val_flip.json"
    metrics = json.loads(path.read_text())
    assert 0 <= metrics["AP"] < 0.5
    protocol = metrics["protocol"]
    assert protocol["num_images"] == 2
    assert protocol["flip_test"]
    assert protocol["boxes"] == "ground truth"
    assert protocol["codec"] == {**CODEC.to_dict(), "input_hw": [64, 48]}
    assert f"AP {metrics['AP']:.3f} | synthetic val, 2 images" in capsys.readouterr().out


def test_several_files_make_one_table(script, weights, data_dir, capsys):
    script.main(["--weights", *weights, *options(data_dir)])

    table = capsys.readouterr().out.splitlines()[-4:]
    assert table[0].endswith("| GT boxes | no flip")
    assert [line.split()[0] for line in table[1:]] == [
        "file",
        "float.tflite",
        "int8.tflite",
    ]


def test_limit_evaluates_the_first_images_only(script, weights, data_dir, tmp_path):
    script.main(["--weights", weights[0], *options(data_dir, "--limit", "1")])

    metrics = json.loads(next(tmp_path.glob("metrics_*_first1.json")).read_text())
    assert metrics["protocol"]["num_images"] == 1
    assert metrics["protocol"]["is_subset"]


def test_predictions_are_coco_results(script, weights, data_dir, tmp_path):
    path = tmp_path / "results.json"

    script.main(["--weights", weights[0], *options(data_dir, "--predictions", str(path))])

    result = json.loads(path.read_text())[0]
    assert set(result) == {"image_id", "category_id", "keypoints", "score"}
    assert len(result["keypoints"]) == 51


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--weights", "nowhere.keras"], "nowhere.keras", id="no_file"),
        pytest.param(["--weights", __file__], "must end in one of", id="not_a_model"),
    ],
)
def test_errors_are_one_line_that_names_the_cause(script, arguments, message):
    with pytest.raises(SystemExit, match=message) as caught:
        script.main(arguments)
    assert str(caught.value).startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "a.keras", "b.keras", "--output", "m.json"], "take a folder"),
        (["--weights", "a.weights.h5"], "add --model NAME"),
        (["--weights", "a.keras", "--limit", "0"], "at least 1"),
    ],
)
def test_options_that_do_not_go_together(script, arguments, message, capsys):
    with pytest.raises(SystemExit):
        script.main(arguments)
    assert message in capsys.readouterr().err


def test_help_does_not_import_tensorflow():
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{str(SCRIPT)!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit as exit:\n"
        "    assert exit.code == 0\n"
        "assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
