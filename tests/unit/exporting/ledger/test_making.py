import csv
import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from keras_pose.exporting.inspection.audit import Audit, DelegateAudit
from keras_pose.exporting.ledger import ledger_files, measured_rows
from keras_pose.exporting.ledger.jobs import keypoint_shift
from keras_pose.exporting.ledger.ledger_settings import LedgerSettings
from keras_pose.exporting.ledger.ledger_table import as_markdown, write_ledger
from keras_pose.exporting.ledger.making import make_ledger
from keras_pose.exporting.quantization.measured_ranges import RangeRule
from keras_pose.exporting.subprocesses import ChildFailedError
from keras_pose.files import write_json

AP = {"keras": 0.70, "float32": 0.70, "int8": 0.68, "onnx_float32": 0.70}
MILLISECONDS = {"keras": 40.0, "float32": 8.0, "int8": 2.0, "onnx_float32": 6.0}


class Children:
    """Stands for the processes: writes what they would, and remembers what they did."""

    def __init__(self):
        self.done = []
        self.fails = set()  # formats that end in an error
        self.kills = set()  # formats that take the process down

    def __call__(self, target, *arguments):
        name = target.partition(":")[2]
        return getattr(self, name)(*arguments)

    def prepare(self, weights, model, num_keypoints, input_hw, output, skeleton=None):
        self.done.append(f"build {model}")
        Path(output).write_bytes(b"a network")
        return {"model": model}

    def cut_calibration(self, source, recipe, data, count, path):
        np.save(path, np.zeros((count, 4, 4, 3), np.uint8))
        return {"count": count, "description": "the train split"}

    def write_formats(self, source, paths, crops, range_rule, results):
        found = {}
        self.range_rule = range_rule
        for name, path in paths.items():
            self.done.append(f"write {name}")
            if name in self.kills:
                raise ChildFailedError("write formats took its process down (SIGSEGV).")
            found[name] = {"num_float_ops": 0}
            if name in self.fails:
                found[name] = {"failure": "it needs tf.Erfinv"}
            if name not in self.fails:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                Path(path).write_bytes(name.encode())
                write_json(Path(path).with_name("pose_model.json"), {})
            write_json(results, found)
        return found

    def evaluate_file(self, path, data, keypoints_path):
        name = Path(keypoints_path).parent.name
        self.done.append(f"evaluate {name}")
        shift = 0.5 if name == "int8" else 0.0
        np.savez(
            keypoints_path,
            keypoints_xy=np.full((2, 3, 2), 10 + shift),
            is_labelled=np.ones((2, 3), bool),
        )
        return {
            "metric": "AP",
            "value": AP[name],
            "lower_is_better": False,
            "protocol": "coco val, 5 images | GT boxes",
            "measurement": {},
        }

    def benchmark(self, paths, threads, num_runs, profiled):
        self.done.append("time")
        rows = []
        for path in paths:
            name = Path(path).parent.name if "pose_model" in path else "keras"
            for count in [None] if name == "keras" else threads:
                rows.append(
                    {
                        "file": path,
                        "num_threads": count,
                        "milliseconds": MILLISECONDS[name] / (count or 1),
                        "peak_share": None if name == "keras" else 0.5,
                        "load_milliseconds": 10.0,
                        "memory_bytes": 30_000_000,
                    }
                )
        return {"rows": rows, "peaks": {"float32 x 1 threads": 60e9}}


@pytest.fixture
def children(monkeypatch):
    fake = Children()
    xnnpack = DelegateAudit("XNNPACK", 20, 19, 1, 19, {"CAST: on uint8 to float32": 1})
    audit = Audit({"CONV_2D": 19, "CAST": 1}, 1000, "float32", (xnnpack,))
    for module in (measured_rows, ledger_files):
        monkeypatch.setattr(module, "call_in_child", fake)
    monkeypatch.setattr(measured_rows, "audit_file", lambda path: audit)
    return fake


@pytest.fixture
def settings(tmp_path):
    weights = tmp_path / "best.keras"
    with zipfile.ZipFile(weights, "w") as archive:
        archive.writestr("pose_model.json", json.dumps({"model": "pose_slim"}))
    return LedgerSettings(
        weights=str(weights),
        output=tmp_path / "ledger",
        dataset="coco",
        formats=("float32", "int8", "onnx_float32"),
    )


def silent(text):
    pass


def test_every_format_is_a_row_with_its_drop_and_shift(children, settings, tmp_path):
    text = as_markdown(make_ledger(settings, silent))
    assert "| keras | 0.00 | 0.7000 | +0.0000 | - | 40.00 | 40.00 |" in text
    # Half a pixel in x and in y.
    assert "| int8 | 0.00 | 0.6800 | +0.0200 | 0.707 | 2.00 | 1.00 | 50% |" in text
    assert "coco val, 5 images | GT boxes" in text
    assert "| int8 | CAST |" in text


def test_what_is_finished_is_not_done_again(children, settings):
    first = make_ledger(settings, silent)
    children.done.clear()
    assert make_ledger(settings, silent) == first
    assert children.done == []


def test_another_format_costs_its_own_steps_and_the_times_of_all(children, settings):
    make_ledger(dataclasses.replace(settings, formats=("float32", "int8")), silent)
    children.done.clear()

    make_ledger(settings, silent)

    # Times are of one run, so that they can be compared.
    assert children.done == ["write onnx_float32", "evaluate onnx_float32", "time"]


def test_random_weights_are_measured_by_size_and_time_only(children, tmp_path):
    settings = LedgerSettings(
        None, tmp_path / "ledger", model="hrnet_w32", formats=("float32",)
    )
    text = as_markdown(make_ledger(settings, silent))
    assert children.done == ["build hrnet_w32", "write float32", "time"]
    assert "| format | MB | ms, 1 threads | ms, 2 threads |" in text
    assert "| float32 | 0.00 | 8.00 | 4.00 |" in text

    children.done.clear()
    make_ledger(settings, silent)
    assert children.done == []


def test_times_can_be_left_out(children, settings):
    ledger = make_ledger(dataclasses.replace(settings, num_runs=0), silent)
    assert "time" not in children.done
    assert "ms, " not in as_markdown(ledger)
    assert all(row.times == {} for row in ledger.rows)


def test_a_detector_has_boxes_to_lose_and_no_keypoints_to_shift(
    children, settings, monkeypatch
):
    def evaluate_file(path, data, keypoints_path):
        value = 0.30 if "int8" in keypoints_path else 0.31
        found = {"metric": "box AP", "value": value, "lower_is_better": False}
        return {**found, "protocol": "coco val, 5 images", "measurement": {}}

    monkeypatch.setattr(children, "evaluate_file", evaluate_file)
    text = as_markdown(make_ledger(settings, silent))
    assert "| format | MB | box AP | drop | ms, 1 threads |" in text
    assert "| int8 | 0.00 | 0.3000 | +0.0100 | 2.00 |" in text


@pytest.mark.parametrize("change", ["weights", "file"])
def test_a_change_is_seen(children, settings, change):
    make_ledger(settings, silent)
    children.done.clear()
    changed = Path(settings.weights if change == "weights" else settings.path_of("int8"))
    with zipfile.ZipFile(changed, "a") as archive:
        archive.writestr("more", "")

    make_ledger(settings, silent)

    written = [step for step in children.done if step.startswith("write")]
    expected = settings.formats if change == "weights" else ["int8"]
    assert written == [f"write {name}" for name in expected]


@pytest.mark.parametrize(
    ("way", "reason"),
    [("fails", "it needs tf.Erfinv"), ("kills", "took its process down")],
)
def test_a_format_that_fails_is_a_row_that_says_why(children, settings, way, reason):
    getattr(children, way).add("float32")

    ledger = make_ledger(settings, silent)

    assert [row.failure is None for row in ledger.rows] == [True, False, True, True]
    text = as_markdown(ledger)
    assert f"- **float32**: {'write formats ' if way == 'kills' else ''}{reason}" in text
    assert "| float32 | - | - | - | - |" in text


def test_the_ledger_is_written_in_four_forms(children, settings):
    ledger = make_ledger(settings, silent)
    markdown, table, values, picture = write_ledger(settings.output, ledger)

    assert markdown.read_text() == as_markdown(ledger)
    with table.open() as file:
        rows = {row["format"]: row for row in csv.DictReader(file)}
    assert float(rows["int8"]["drop"]) == pytest.approx(0.02)
    assert rows["int8"]["XNNPACK_left_to_cpu"] == "CAST"
    assert [row["name"] for row in json.loads(values.read_text())["rows"]] == list(rows)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_random_weights_have_no_accuracy(tmp_path, children):
    with pytest.raises(ValueError, match="have no accuracy to measure on coco"):
        LedgerSettings(None, tmp_path, model="hrnet_w32", dataset="coco")
    with pytest.raises(ValueError, match="of weights, or of a model"):
        LedgerSettings(None, tmp_path)
    with pytest.raises(ValueError, match=r"format must be one of .*; got 'int7'"):
        LedgerSettings("best.keras", tmp_path, formats=("int7",))


def test_shift_is_over_labelled_keypoints(tmp_path):
    labelled = np.array([[True, True], [True, False]])
    points = np.zeros((2, 2, 2))
    moved = points.copy()
    moved[0, 0] = (3, 4)
    moved[1, 1] = (100, 100)  # nobody labelled it
    for name, values in (("a", points), ("b", moved)):
        np.savez(tmp_path / f"{name}.npz", keypoints_xy=values, is_labelled=labelled)

    shift = keypoint_shift(tmp_path / "a.npz", tmp_path / "b.npz")

    assert shift == pytest.approx({"mean": 5 / 3, "median": 0.0, "p95": 4.5})
    np.savez(tmp_path / "c.npz", keypoints_xy=points, is_labelled=~labelled)
    with pytest.raises(ValueError, match="holds other people than"):
        keypoint_shift(tmp_path / "a.npz", tmp_path / "c.npz")


def test_other_ranges_are_other_files(children, settings):
    rule = RangeRule("percentile", 99.9)
    make_ledger(settings, silent)
    assert children.range_rule["method"] == "minmax"
    children.done.clear()
    make_ledger(dataclasses.replace(settings, range_rule=rule), silent)
    assert "write int8" in children.done
    assert children.range_rule == {"method": "percentile", "percentile": 99.9}
