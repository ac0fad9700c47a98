import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from exported_files import BGR, CODEC, SKELETON, smooth_crops
from imbalanced_model import imbalanced_model
from light_model import make_model

from keras_pose.contracts.entries import save_keras_model
from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.exporting.accuracy.validation import Validation
from keras_pose.exporting.comparison import relative_error
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.inspection.audit import Audit, DelegateAudit
from keras_pose.exporting.inspection.profiling import OperatorTime
from keras_pose.exporting.ledger import (
    int8_jobs,
    jobs,
    ledger_files,
    measured_rows,
    mixed_files,
)
from keras_pose.exporting.ledger.cases import (
    Case,
    lightest_models,
    random_cases,
    trained_cases,
)
from keras_pose.exporting.ledger.families import FamiliesSettings, make_families
from keras_pose.exporting.ledger.ledger_settings import LedgerSettings
from keras_pose.exporting.quantization.measured_ranges import RangeRule
from keras_pose.files import write_json
from keras_pose.runtime.loading import open_model
from keras_pose.zoo import ZOO, get_spec

AP = {"keras": 0.5, "float32": 0.5, "int8": 0.48, "mixed": 0.497, "float16": 0.501}
# Where the predictions of each stand, pixels.
X = {"keras": 10.0, "float32": 10.0, "int8": 10.4, "mixed": 10.3, "float16": 10.0}
CONV = OperatorTime("CONV_2D", "1x16x12x32 int8", 9, 1.0, 1000)


class World:
    """Stands for the processes: writes what they would, and remembers what they did."""

    def __init__(self):
        self.done = []
        self.fits = True
        self.num_float_ops = 0  # of int8 files, such as those of attention
        self.refused = ""  # format that cannot be written

    def __call__(self, target, *arguments):
        name = target.partition(":")[2]
        self.done.append(name)
        return getattr(self, name)(*arguments)

    def cut_calibration(self, source, recipe, data, count, path):
        np.save(path, np.zeros((count, 4, 4, 3), np.uint8))
        return {"count": count, "description": "the train split"}

    def write_formats(self, source, paths, crops, range_rule, results):
        found = {}
        for name, path in paths.items():
            if name == self.refused:
                found[name] = {"failure": "it is wrong."}
                continue
            found[name] = {"num_float_ops": self.num_float_ops if name == "int8" else 0}
            write_file(path, name)
        write_json(results, found)
        return found

    def write_noise_files(self, model, input_hw, *paths):
        if model == "rtmpose_t":
            raise ValueError("rtmpose_t cannot be converted: it needs tf.Erfinv.")
        for path in paths:
            write_file(path, Path(path).parent.name)
        return {"num_float_ops": self.num_float_ops}

    def write_mixed(self, source, crops, data, max_drop, rules, path):
        self.rules = rules
        if not self.fits:
            raise ExportError("the best of 4 files loses 0.9.")
        write_file(path, "mixed")
        rule = str(RangeRule(**rules[-1]))
        return {"num_float_ops": 3, "rule": rule, "said": ["3 in float, drop +0.30 points"]}

    def evaluate_file(self, path, data, keypoints):
        name = Path(keypoints).parent.name
        points = np.full((2, 3, 2), X[name])
        np.savez(keypoints, keypoints_xy=points, is_labelled=np.ones((2, 3), bool))
        return {
            "metric": "AP",
            "value": AP[name],
            "lower_is_better": False,
            "protocol": "coco val, 5 images | GT boxes",
        }

    def benchmark(self, paths, threads, num_runs, profiled):
        rows = [
            {
                "file": path,
                "num_threads": count,
                "milliseconds": (12.0 if "float32" in path else 3.0) / count,
                "peak_share": 0.25,
            }
            for path in paths
            for count in threads
        ]
        peaks = {"float32 x 1 threads": 50e9, "int8 x 1 threads": 300e9}
        profile = {"times": [dataclasses.asdict(CONV)], "failure": None}
        return {"rows": rows, "peaks": peaks, "profiles": dict.fromkeys(profiled, profile)}


def write_file(path, name):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(4000 if name == "float32" else 1000))
    write_json(path.with_name("pose_model.json"), {})


@pytest.fixture
def world(monkeypatch):
    fake = World()
    xnnpack = DelegateAudit("XNNPACK", 9, 9, 1, 9, {})
    audit = Audit({"CONV_2D": 9}, 1000, "int8", (xnnpack,))
    for module in (ledger_files, measured_rows, mixed_files):
        monkeypatch.setattr(module, "call_in_child", fake)
    monkeypatch.setattr(measured_rows, "audit_file", lambda path: audit)
    return fake


# What a network's ledger does: three files are measured, the float model among them.
LEDGER = ["cut_calibration", "write_formats", *["evaluate_file"] * 3]


def silent(text):
    pass


def trained(folder):
    """Writes a run's checkpoint as far as it is read here."""
    folder.mkdir(parents=True)
    contract = dataclasses.replace(make_model().contract, model="pose_slim")
    with zipfile.ZipFile(folder / "best.keras", "w") as archive:
        archive.writestr("pose_model.json", json.dumps(contract.to_dict()))
    return folder / "best.keras"


@pytest.fixture
def case(tmp_path):
    (found,) = trained_cases([trained(tmp_path / "run")])
    return found


def settings_of(folder, **values):
    return FamiliesSettings(folder / "families", dataset="coco", **values)


def test_every_family_has_its_lightest_network_timed():
    names = lightest_models()
    trunks = {
        "hrnet_classification", "hrnet_v2_segmentation", "hrnet_v2p", "efficientnet_lite",
    }  # fmt: skip
    families = {spec.family for spec in ZOO.values()}
    assert {get_spec(name).family for name in names} == families - trunks
    assert len(names) == len({get_spec(name).family for name in names})
    assert "hrnet_w18" in names
    assert "hrnet_w32" not in names


def test_what_takes_seconds_in_float_is_timed_at_half_the_size():
    small, large = random_cases(["pose_slim", "cpm"])
    assert small == Case("pose_slim", (256, 192))
    assert large == Case("cpm", (128, 96))
    for case in random_cases(lightest_models()):
        multiple = get_spec(case.model).input_multiple
        assert [size % multiple for size in case.input_hw] == [0, 0]


def test_runs_are_found_alone_and_in_folders(tmp_path):
    file = trained(tmp_path / "runs" / "a")
    trained(tmp_path / "runs" / "b")

    assert trained_cases([file]) == [Case("pose_slim", (128, 96), file)]
    assert trained_cases([file.parent]) == trained_cases([file])
    names = [case.weights.parent.name for case in trained_cases([tmp_path / "runs"])]
    assert names == ["a", "b"]
    with pytest.raises(FileNotFoundError, match="or a folder of runs with a best"):
        trained_cases([tmp_path])


def test_random_weights_are_timed_and_no_more(world, tmp_path):
    settings = FamiliesSettings(tmp_path / "families")
    (row,) = make_families(random_cases(["pose_slim"]), settings, silent)

    assert world.done == ["write_noise_files", "benchmark"]
    assert row.accuracy is None
    assert row.gains == {1: 4.0, 2: 4.0}
    assert row.num_bytes == (4000, 1000)
    assert (row.rule, row.peak_gain) == ("", 6.0)
    assert row.profile == [CONV]


def test_a_trained_network_has_a_ledger(world, case, tmp_path):
    (row,) = make_families([case], settings_of(tmp_path), silent)
    assert world.done == [*LEDGER, "benchmark"]
    assert row.float_value == 0.5
    assert row.accuracy.drop == pytest.approx(2.0)  # 0.50 - 0.48, in points
    # 0.4 pixels in x and in y.
    assert row.accuracy.shift["mean"] == pytest.approx(0.4 * 2**0.5)


def test_other_formats_are_set_against_float32_too(world, case, tmp_path):
    settings = settings_of(tmp_path, formats=("int8", "float16"), max_drop=0.5)
    int8, float16, mixed = make_families([case], settings, silent)

    assert [row.file_format for row in (int8, float16, mixed)] == [
        "int8",
        "float16",
        "int8",
    ]
    assert float16.accuracy.drop == pytest.approx(-0.1)
    assert (float16.rule, float16.peak_gain) == ("", None)  # bytes are not multiplied
    assert int8.peak_gain == 6.0
    with pytest.raises(ValueError, match="limit of int8, which is not one of float16"):
        settings_of(tmp_path, formats=("float16",), max_drop=0.5)


def test_operators_go_into_float_where_too_much_is_lost(world, case, tmp_path):
    int8, mixed = make_families([case], settings_of(tmp_path, max_drop=0.5), silent)

    assert world.done == [*LEDGER, "write_mixed", "evaluate_file", "benchmark"]
    assert (int8.num_float_ops, mixed.num_float_ops) == (0, 3)
    assert (int8.rule, mixed.rule) == ("minmax", "percentile 99.5")
    assert [rule["method"] for rule in world.rules] == ["minmax", *["percentile"] * 4]
    assert mixed.accuracy.drop == pytest.approx(0.3)
    assert mixed.accuracy.shift["mean"] == pytest.approx(0.3 * 2**0.5)

    world.done.clear()
    make_families([case], settings_of(tmp_path, max_drop=2.5), silent)
    assert "write_mixed" not in world.done


def test_operators_that_int8_leaves_in_float_are_counted(world, case, tmp_path):
    world.num_float_ops = 3
    cases = [case, *random_cases(["vitpose_s_simple"])]
    rows = make_families(cases, settings_of(tmp_path), silent)
    assert [row.num_float_ops for row in rows] == [3, 3]


def test_a_drop_that_nothing_mends_is_told(world, case, tmp_path):
    world.fits = False
    int8, refused = make_families([case], settings_of(tmp_path, max_drop=0.5), silent)
    assert int8.accuracy.drop == pytest.approx(2.0)
    assert refused.failure == "the best of 4 files loses 0.9."


def test_what_is_finished_is_not_done_again(world, case, tmp_path):
    cases = [case, *random_cases(["hrnet_w18"])]
    settings = settings_of(tmp_path, max_drop=0.5)
    first = make_families(cases, settings, silent)
    world.done.clear()

    assert make_families(cases, settings, silent) == first
    assert world.done == []

    again = dataclasses.replace(settings, times_again=True)
    assert make_families(cases, again, silent) == first
    assert world.done == ["benchmark", "benchmark"]


def test_a_network_that_fails_is_a_row_that_says_why(world, tmp_path):
    settings = FamiliesSettings(tmp_path / "families")
    failed, good = make_families(random_cases(["rtmpose_t", "cpm"]), settings, silent)
    assert failed.failure == "rtmpose_t cannot be converted: it needs tf.Erfinv."
    assert good.failure is None


@pytest.mark.parametrize("refused", ["float32", "int8"])
def test_a_format_that_fails_is_told_of(world, case, tmp_path, refused):
    world.refused = refused
    (row,) = make_families([case], settings_of(tmp_path), silent)
    assert row.failure == f"{refused}: it is wrong."


def test_where_int8_is_refused_float_operators_are_tried(world, case, tmp_path):
    world.refused = "int8"
    settings = settings_of(tmp_path, max_drop=0.5)
    mixed, told = make_families([case], settings, silent)
    assert (mixed.num_float_ops, mixed.accuracy.value) == (3, AP["mixed"])
    assert told.failure == "int8: it is wrong."

    world.fits = False
    other = dataclasses.replace(settings, output=tmp_path / "other")
    (told,) = make_families([case], other, silent)
    assert told.failure == "int8: it is wrong. the best of 4 files loses 0.9."


def test_a_negative_drop_is_refused(tmp_path):
    with pytest.raises(ValueError, match="max_drop must be at least 0, got -1"):
        FamiliesSettings(tmp_path, max_drop=-1)
    with pytest.raises(ValueError, match="max_drop must be at least 0, got -2"):
        LedgerSettings("best.keras", tmp_path, max_drop=-2)


def test_files_of_noise_are_of_random_weights(tmp_path):
    with pytest.raises(ValueError, match=r"float32 and int8 of random.* not int8 of cpm"):
        LedgerSettings(None, tmp_path, model="cpm", formats=("int8",), of_noise=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "is_described"), [("pose_slim", True), ("openpose_light_1", False)]
)
def test_files_to_be_timed_hold_integers(tmp_path, name, is_described):
    paths = [str(tmp_path / f"{kind}.tflite") for kind in ("float32", "int8")]
    int8_jobs.write_noise_files(name, [64, 64], *paths)

    found = jobs.benchmark(paths, [1], 2, paths[1:])

    large, small = (row["num_bytes"] for row in found["rows"])
    # Weights of a quarter the size, and what stands beside them.
    assert large / 4 < small < large / 2
    results = {
        (each["kind"].rpartition("+")[2], each["shape"].rpartition(" ")[2])
        for each in found["profiles"][paths[1]]["times"]
    }
    assert ("CONV_2D", "int8") in results
    assert ("CONV_2D", "float32") not in results
    if is_described:
        assert {dtype for _, dtype in results} == {"int8"}


@pytest.mark.slow
def test_operators_are_put_into_float_until_the_drop_fits(tmp_path, monkeypatch):
    # Its channels could be equalized; what is tried here is what to do when they cannot.
    monkeypatch.setattr(
        "keras_pose.exporting.formats.conversion.equalized_weights", lambda *_: None
    )
    network, crops = imbalanced_model(), smooth_crops(12)
    expected = np.asarray(network(BGR(crops)))
    save_keras_model(
        network, tmp_path / "best.keras", keras_contract(network, CODEC, SKELETON, BGR)
    )
    np.save(tmp_path / "crops.npy", crops)

    def agreement(path, contract):
        return 1 - relative_error(open_model(path, contract).predict(crops), expected)

    monkeypatch.setattr(
        "keras_pose.exporting.accuracy.validation.open_validation",
        lambda *_: Validation("agreement", "crops", agreement),
    )
    path = tmp_path / "mixed.tflite"
    data = {"dataset": "coco", "data_dir": None, "limit": None}

    found = int8_jobs.write_mixed(
        str(tmp_path / "best.keras"),
        str(tmp_path / "crops.npy"),
        data,
        10.0,
        [{}],
        str(path),
    )

    assert found["num_float_ops"] == len(read_contract(path).float_operators) == 2
    assert any(line.startswith("  2 in float agreement") for line in found["said"])
