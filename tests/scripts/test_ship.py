"""export/ship.py: what it exports and measures, and what it makes of the answers."""

import importlib.util
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from keras_pose import measuring
from keras_pose.contracts import entries
from keras_pose.exporting.commands import max_drop
from keras_pose.exporting.shipping import BoxThreshold
from keras_pose.files import file_sha256
from keras_pose.measuring import finding
from keras_pose.shipped import network_of_model, shipped_file

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


def load_script():
    spec = importlib.util.spec_from_file_location("ship_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.fixture
def ship(tmp_path, monkeypatch):
    """The script, with exports and measures that only pretend to work."""
    script = load_script()
    script.commands, script.measured = [], []
    for name in MODELS:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("metadata.json", name)

    def entry(path):
        model, height, width = MODELS[Path(path).name]
        return {"model": model, "input": {"shape": [1, height, width, 3]}}, path

    def run_command(options):
        script.commands.append(options)
        output = Path(options.output)
        if options.formats == ["int8"] and "rtmdet" in output.name and script.refuses:
            raise ValueError("too far off\nby much")
        output.write_bytes(output.name.encode())
        contracts = output.parent / "pose_model.json"
        if not contracts.exists():  # those of other files stay
            contracts.write_text('{"models": {}}')

    def measure(path, settings, finder):
        script.measured.append((path, settings, finder))
        times = {f"milliseconds, {n} people": {"total": 5.0} for n in (1, 5, 20)}
        pipeline = {"pipeline": {"box": FIGURES, **times}} if finder else {}
        stamp = PROTOCOL | {"file_sha256": file_sha256(path)[:16]}
        values = FIGURES | pipeline | {"protocol": stamp}
        figures = SimpleNamespace(describe=lambda: "AP 0.4", to_dict=lambda: values)
        return SimpleNamespace(measurement=figures)

    monkeypatch.setattr(entries, "read_entry", entry)
    monkeypatch.setattr(measuring, "measure", measure)
    monkeypatch.setattr(finding, "open_finder", lambda path: path)
    monkeypatch.setattr(max_drop, "run_command", run_command)
    script.refuses = False
    script.choose_box_threshold = lambda pose, detector, args: BoxThreshold(0.45, "Above.")
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
    exports = ship.commands
    assert [each.formats for each in exports] == [["int8"], ["float16"]] * 2
    assert exports[0].calibration_images == 200
    assert [each.max_drop for each in exports] == [None, None, 1, None]
    assert [each.data_dir for each in exports] == ["people", None] * 2
    finders = [each[2] for each in ship.measured]
    assert (
        finders.count(None) == 2 * 4
    )  # the Keras model, as it is shipped, int8 and float16 of both
    pairs = [(path.name, finder.name) for path, _, finder in ship.measured if finder]
    assert len(pairs) == 2
    assert all(each[1].limit == 9 for each in ship.measured)
    index = json.loads((tmp_path / "shipped" / "shipped.json").read_text())
    assert set(index["detector"]["files"]) == {"int8", "float16"}
    network = tmp_path / "shipped" / index["detector"]["network"]
    assert network.name == "rtmdet_nano_320x320.keras"
    assert zipfile.ZipFile(network).read("metadata.json") == b"d.keras"


def test_a_model_that_is_not_named_stays_and_is_measured_with_the_other(ship, tmp_path):
    call(ship, tmp_path)
    shipped = tmp_path / "shipped"
    names = ("pose_slim_256x192_int8.tflite", "pose_slim_256x192_float16.tflite")
    entry = {"model": "pose_slim", "input": {"shape": [1, 256, 192, 3]}}
    models = {"models": {name: entry for name in names}}
    (shipped / "pose_model.json").write_text(json.dumps(models))
    before = (shipped / "pose.md").read_text()
    ship.measured.clear()

    ship.main([
        "--detector", str(tmp_path / "d.keras"), "--data-dir", "people",
        "--output", str(shipped),
    ])  # fmt: skip

    assert {path.name for path in shipped.glob("pose_slim*.tflite")} == set(names)
    contracts = json.loads((shipped / "pose_model.json").read_text())["models"]
    assert {name: contracts[name] for name in names} == models["models"]
    measured = [path.name for path, _, finder in ship.measured if not finder]
    new = [
        f"rtmdet_nano_320x320{end}" for end in (".keras", "_int8.tflite", "_float16.tflite")
    ]
    assert measured == [*names, "d.keras", *new]
    assert (shipped / "pose.md").read_text() == before  # with the same figures of both
    assert shipped_file("pose", folder=shipped).name == names[0]


def test_nothing_to_ship_is_said(ship, tmp_path, capsys):
    with pytest.raises(SystemExit):
        ship.main(["--data-dir", "people"])
    assert "nothing to ship: name --pose, --detector, or both" in capsys.readouterr().err


def test_a_file_that_the_exporter_refuses_is_done_without_and_told(ship, tmp_path):
    ship.refuses = True
    call(ship, tmp_path)

    detector = shipped_file("detector", folder=tmp_path / "shipped")
    assert detector.name == "rtmdet_nano_320x320_float16.tflite"
    card = (tmp_path / "shipped" / "detector.md").read_text()
    assert "No int8 file: export/to_tflite.py: too far off\n" in card


def test_wrong_options_end_it_before_anything_is_exported(ship, tmp_path, capsys):
    with pytest.raises(SystemExit):
        call(ship, tmp_path, "--detector-int8-options=--rnge percentile")
    assert "unrecognized arguments: --rnge percentile" in capsys.readouterr().err
    assert not ship.commands


@pytest.mark.very_slow
def test_tiny_networks_go_all_the_way(tmp_path):
    from keras_pose.contracts.entries import save_keras_model
    from keras_pose.data.synthetic import write_coco_dataset
    from keras_pose.weights.creation import create_model
    from keras_pose.weights.provenance import file_contract_of

    people, output = tmp_path / "people", tmp_path / "shipped"
    for split in ("train", "val"):
        write_coco_dataset(people, 2, split=split)
    words = ["--data-dir", str(people), "--output", str(output)]
    for kind, name in (("pose", "testing_pose"), ("detector", "testing_detector")):
        network = create_model(name)
        for layer in network.layers:
            # A detector that has learned nothing finds nothing. This one finds people
            # everywhere, a few pixels wide.
            if layer.name.startswith("bbox_head-rtm_cls"):
                layer.bias.assign(layer.bias * 0)
            if layer.name.startswith("bbox_head-rtm_reg"):
                layer.bias.assign(layer.bias + 1)
        path = tmp_path / f"{name}.keras"
        save_keras_model(network, path, file_contract_of(network))
        words += [f"--{kind}", str(path)]

    load_script().main([*words, "--calibration-images", "5", "--limit", "1"])

    index = json.loads((output / "shipped.json").read_text())
    for kind, name in (("pose", "testing_pose"), ("detector", "testing_detector")):
        network = create_model(name, weights=network_of_model(name, output))
        assert network.name == name
        path = shipped_file(kind, folder=output)
        assert entries.read_entry(path)[0]["model"] == name
        card = (output / f"{kind}.md").read_text()
        for file in index[kind]["files"].values():
            assert f"| {file} |" in card
            assert (output / file).is_file()
