"""The export programs, from a run folder to files that answer as the model does."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from exported_files import smooth_crops

from keras_pose.contracts.entries import save_keras_model
from keras_pose.contracts.pose import keras_contract
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.exporting.comparison import relative_error
from keras_pose.pictures.images import read_image
from keras_pose.runtime import load_model
from keras_pose.runtime.instructions import instructions
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import contract_of

EXPORT_DIR = Path(__file__).resolve().parents[2] / "export"
INPUT_HW = (64, 32)

pytestmark = pytest.mark.slow


def load_script(name):
    spec = importlib.util.spec_from_file_location(f"{name}_script", EXPORT_DIR / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TO_TFLITE, TO_ONNX, BENCHMARK = map(
    load_script, ("to_tflite.py", "to_onnx.py", "benchmark.py")
)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with one run in `runs/`, its training set, and a weights file."""
    folder = tmp_path_factory.mktemp("workplace")
    write_coco_dataset(folder / "people", 3, split="train")
    model = create_model("testing_pose", input_hw=INPUT_HW)
    run = folder / "runs" / "testing_pose_synthetic_20260101-120000"
    run.mkdir(parents=True)
    save_keras_model(model, run / "best.keras", contract_of(model))
    recipe = {
        "model": "testing_pose",
        "dataset": "synthetic",
        "data_dir": "people",
        "seed": 0,
    }
    (run / "recipe.json").write_text(json.dumps(recipe))
    model.save_weights(folder / "slim.weights.h5")
    return folder


@pytest.fixture
def run_dir(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    return next(Path("runs").iterdir())


def test_newest_run_becomes_an_int8_file_calibrated_on_its_training_set(run_dir, capsys):
    TO_TFLITE.main(["--int8", "--calibration-images", "3"])

    out = capsys.readouterr().out
    path = run_dir / "export" / "int8" / "pose_model.tflite"
    assert re.search(r"folded   (\d+) of \1 batch norms\n", out)
    assert f"Exporting {run_dir / 'best.keras'}, of the newest run in runs" in out
    assert "Calibrating on 3 crops of the train split of synthetic in people" in out
    assert str(path) in out
    assert str(path.with_name("pose_model.json")) in out
    crops = smooth_crops(3, INPUT_HW)
    expected = load_model(run_dir / "best.keras").predict(crops)
    # Calibrated on three crops of other pictures; trained networks do better.
    assert relative_error(load_model(path).predict(crops), expected) < 0.5


def test_weights_file_becomes_a_float16_file_where_it_was_asked_for(run_dir, tmp_path):
    output = tmp_path / "new folder" / "slim.tflite"
    weights = ["--weights", "slim.weights.h5", "--model", "testing_pose"]
    size = ["--input-hw", *map(str, INPUT_HW)]
    TO_TFLITE.main(["--float16", *weights, *size, "--output", str(output)])
    model = load_model(output)
    assert model.contract.quantization == "float16"
    assert model.contract.model == "testing_pose"


def test_newest_run_becomes_an_onnx_file(run_dir):
    TO_ONNX.main([])

    crops = smooth_crops(3, INPUT_HW)
    path = run_dir / "export" / "onnx" / "pose_model.onnx"
    expected = load_model(run_dir / "best.keras").predict(crops)
    assert relative_error(load_model(path).predict(crops), expected) < 1e-4


def test_several_formats_at_once_decode_in_their_graphs(run_dir, capsys):
    TO_TFLITE.main(
        ["--format", "float32", "int8", "--with-decode", "--calibration-images", "3"]
    )

    assert "Calibrating on 3 crops" in capsys.readouterr().out
    crops = smooth_crops(2, INPUT_HW)
    for name in ("float32", "int8"):
        model = load_model(run_dir / "export" / name / "pose_model.tflite")
        assert model.contract.codec.kind == "decoded"
        assert model.predict(crops).shape == (2, 17, 3)


def test_benchmark_prints_a_row_per_file_and_thread_count(exported, capsys):
    files = [str(exported.paths[kind]) for kind in ("int8", "onnx")]
    words = ["--threads", "1", "--runs", "2", "--runtimes", "onnxruntime,litert"]
    BENCHMARK.main([*files, *words, "--cpu-time"])
    header, *rows, peak, advice = capsys.readouterr().out.splitlines()[1:]
    assert header.split()[4:6] == ["CPU", "ms"]
    ways = [row.split()[:2] for row in rows]
    assert ways == [[files[0], "litert"], [files[1], "onnxruntime"]]
    assert peak.startswith(f"Peak of this machine ({instructions()}), GMAC/s: ")
    assert advice.startswith("Fastest here for tiny 32x24: ")


def test_benchmark_draws_accuracy_against_time(exported, tmp_path, capsys):
    ours, other = (str(exported.paths[kind]) for kind in ("int8", "onnx"))
    write_coco_dataset(tmp_path, 2, split="val")
    words = ["--dataset", "coco", "--data-dir", str(tmp_path)]
    words += ["--known", f"{other}=0.9", "--plot", str(tmp_path / "a.png")]
    BENCHMARK.main([ours, other, "--threads", "1", "--runs", "2", *words])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    (known,) = (row for row in rows if row[:2] == [other, "0.900"])
    (measured,) = (
        row for row in rows if row[0:1] == [ours] and row[-2:] == ["this", "one"]
    )
    assert known[3:] == ["yes", "another", "program"]
    assert 0 <= float(measured[1]) <= 1
    assert read_image(tmp_path / "a.png").std() > 10


def test_benchmark_times_pictures_of_more_and_more_people(exported, tmp_path, capsys):
    files = [str(exported.paths[kind]) for kind in ("int8", "onnx")]
    written = [tmp_path / name for name in ("a.png", "a.json", "r.json")]
    words = ["--people", "1,3", "--runs", "1", "--threads", "1", "--plot", written[0]]
    BENCHMARK.main([*files, *map(str, words), "--output", str(written[1])])
    header, *rows = capsys.readouterr().out.splitlines()[1:]
    assert header.split() == ["people", *(Path(file).name for file in files)]
    assert [(row.split()[0], row.split()[3]) for row in rows[:2]] == [
        ("1", "(1)"),
        ("3", "(3)"),
    ]
    assert read_image(written[0]).std() > 10
    found = json.loads(written[1].read_text())["ways"]
    assert [[count for _, count in way] for way in found.values()] == [[1, 3], [1, 3]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--detector", "a.tflite"], "--detector finds the people of whole pictures"),
        (["--people", "1", "--profile"], "--profile is for files by themselves"),
        (["--people", "1", "--output", "a.csv"], "written as .json, got a.csv"),
        (["--known", "b.tflite=0.9", "--dataset", "coco"], "not among the files: a.tflite"),
        (["--known", "a.tflite=0.9", "--dataset", "coco"], "Nothing to measure"),
        (["--known", "a.tflite=high"], "must be FILE=FIGURE, got 'a.tflite=high'"),
        (["--plot", "a.png"], "--plot needs a data set"),
        (["--cpu-time"], "add --threads 1 (got 1,2)"),
        (["--runtimes", "litert,tvm"], "must be different ones of litert, onnxruntime"),
    ],
)
def test_wrong_figures_are_refused(words, message, capsys):
    with pytest.raises(SystemExit) as error:
        BENCHMARK.main(["a.tflite", *words])
    assert message in f"{error.value}{capsys.readouterr().err}"


@pytest.mark.parametrize("script", [TO_TFLITE, TO_ONNX], ids=["tflite", "onnx"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runs-dir", "nowhere"], "There is no run in"),
        (["--weights", "gone.keras"], r"gone\.keras does not exist"),
        (["--weights", "best.kera"], r"Did you mean \.keras"),
        (["--weights", "slim.weights.h5"], "say of which model they are"),
        (
            ["--weights", "slim.weights.h5", "--model", "rtmpose_t"],
            "does not fit rtmpose_t: it lacks",
        ),
        (["--int8", "--calibration-data", "gone"], "gone does not exist"),
        (["--int8", "--calibration-data", "people"], "must hold pictures"),
    ],
)
def test_bad_input_ends_in_one_line(run_dir, script, arguments, message):
    with pytest.raises(SystemExit, match=message):
        script.main(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--int8", "--float16"], id="two_kinds"),
        pytest.param(["--output", "pose.onnx"], id="other_suffix"),
        pytest.param(["--batch", "0"], id="no_batch"),
        pytest.param(["--float16", "--dataset", "coco"], id="nothing_to_calibrate"),
        pytest.param(["--float16", "--integers-only"], id="no_integers"),
        pytest.param(
            ["--int8", "--dataset", "coco", "--calibration-data", "a"], id="two_sets"
        ),
        pytest.param(
            ["--format", "int8", "float16", "--output", "a.tflite"], id="one_name_for_two"
        ),
    ],
)
def test_options_that_cannot_be_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        TO_TFLITE.main(arguments)
    assert "error" in capsys.readouterr().err


def test_drop_of_onnx_files_is_of_int8_alone(capsys):
    assert TO_ONNX.parse_args(["--int8", "--max-drop", "0.5"]).max_drop == 0.5
    with pytest.raises(SystemExit):
        TO_ONNX.parse_args(["--float16", "--max-drop", "0.5"])
    assert "--max-drop is for one of int8" in capsys.readouterr().err


def test_folder_that_takes_no_files_is_named(run_dir, tmp_path):
    blocked = tmp_path / "a file, not a folder"
    blocked.touch()
    with pytest.raises(SystemExit, match="Cannot write into"):
        TO_TFLITE.main(["--output", str(blocked / "a.tflite")])


def test_model_trained_with_a_contract_of_its_own_keeps_it(tmp_path):
    """The contract of the file counts, not the zoo's."""
    model = create_model("testing_pose", num_keypoints=16, input_hw=INPUT_HW)
    contract = contract_of(model)
    assert contract.skeleton.name == "mpii_16"
    narrow = keras_contract(
        model,
        type(contract.codec)(INPUT_HW, 4, sigma=1.5),
        contract.skeleton,
        contract.normalization,
    )
    path = save_keras_model(model, tmp_path / "best.keras", narrow)

    TO_TFLITE.main(["--weights", str(path)])

    exported = load_model(tmp_path / "export" / "float32" / "pose_model.tflite")
    assert exported.contract.codec.sigma == 1.5
    assert exported.contract.skeleton.name == "mpii_16"
    assert np.isfinite(exported.predict(smooth_crops(1, INPUT_HW))).all()
