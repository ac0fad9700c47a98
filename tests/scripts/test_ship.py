"""export/ship.py: which commands it runs, and what it makes of their answers."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from keras_pose import contract, measuring
from keras_pose.files import file_sha256
from keras_pose.measuring import finding
from keras_pose.shipped import shipped_file

SCRIPT = Path(__file__).resolve().parents[2] / "export" / "ship.py"
MODELS = {"p.keras": ("pose_slim", 256, 192), "d.keras": ("rtmdet_nano", 320, 320)}
PROTOCOL = {
    "dataset": "coco",
    "split": "val",
    "is_subset": True,
    "num_images": 9,
    "num_people": 20,
    "boxes": "ground truth",
    "boxes_threshold": 0.1,
    "flip_test": False,
    "nms": "hard",
}
FIGURES = {
    name: 0.4
    for name in ("AP", "AP50", "AP75", "APS", "APM", "APL", "AR", "AR100", "F1", "F1_score")
}


@pytest.fixture
def ship(tmp_path, monkeypatch):
    """The script, with scripts that only pretend to work; and their arguments."""
    spec = importlib.util.spec_from_file_location("ship_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.commands, script.measured = [], []
    for name in MODELS:
        (tmp_path / name).write_bytes(name.encode())

    def entry(path):
        model, height, width = MODELS[Path(path).name]
        return {"model": model, "input": {"shape": [1, height, width, 3]}}, path

    def run(name, *arguments):
        arguments = list(map(str, arguments))
        script.commands.append((name, arguments))
        output = Path(arguments[arguments.index("--output") + 1])
        if "--int8" in arguments and "rtmdet" in output.name and script.refuses:
            raise ValueError("too far off")
        output.write_bytes(output.name.encode())
        (output.parent / "pose_model.json").write_text("{}")

    def measure(path, settings, finder):
        script.measured.append((path, settings, finder))
        times = {f"milliseconds, {n} people": {"total": 5.0} for n in (1, 5, 20)}
        pipeline = {"pipeline": {"box": FIGURES, **times}} if finder else {}
        stamp = PROTOCOL | {"file_sha256": file_sha256(path)[:16]}
        values = FIGURES | pipeline | {"protocol": stamp}
        figures = SimpleNamespace(describe=lambda: "AP 0.4", to_dict=lambda: values)
        return SimpleNamespace(measurement=figures)

    monkeypatch.setattr(contract, "read_entry", entry)
    monkeypatch.setattr(measuring, "measure", measure)
    monkeypatch.setattr(finding, "open_finder", lambda path: path)
    monkeypatch.setattr(script, "run", run)
    script.refuses = False
    return script


def call(ship, folder, *more):
    ship.main([
        "--pose", str(folder / "p.keras"), "--detector", str(folder / "d.keras"),
        "--data-dir", "people", "--output", str(folder / "shipped"), *more,
    ])  # fmt: skip


def test_two_models_are_exported_measured_and_shipped(ship, tmp_path):
    call(ship, tmp_path, "--limit", "9", "--detector-int8-options=--max-drop 1")

    pose = shipped_file("pose", folder=tmp_path / "shipped")
    assert pose.name == "pose_slim_256x192_int8.tflite"
    exports = [a for name, a in ship.commands if name == "export/to_tflite.py"]
    assert [a[0] for a in exports] == ["--int8", "--float16"] * 2
    assert exports[0][-2:] == ["--calibration-images", "200"]
    assert exports[2][-2:] == ["--max-drop", "1"]
    assert "--data-dir" not in exports[1]
    finders = [each[2] for each in ship.measured]
    assert finders.count(None) == 2 * 3  # the Keras model, int8 and float16 of both
    pairs = [(path.name, finder.name) for path, _, finder in ship.measured if finder]
    assert len(pairs) == 2
    assert all(each[1].limit == 9 for each in ship.measured)
    index = json.loads((tmp_path / "shipped" / "shipped.json").read_text())
    assert set(index["detector"]["files"]) == {"int8", "float16"}


def test_a_file_that_the_exporter_refuses_is_done_without_and_told(ship, tmp_path):
    ship.refuses = True
    call(ship, tmp_path)

    detector = shipped_file("detector", folder=tmp_path / "shipped")
    assert detector.name == "rtmdet_nano_320x320_float16.tflite"
    card = (tmp_path / "shipped" / "detector.md").read_text()
    assert "No int8 file: too far off" in card


def test_a_script_that_fails_is_named(ship, tmp_path):
    spec = importlib.util.spec_from_file_location("ship_again", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    with pytest.raises(
        ValueError, match=r"export/to_tflite\.py: Model file no\.keras does"
    ):
        script.run("export/to_tflite.py", "--weights", "no.keras")
