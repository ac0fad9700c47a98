import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from exported_files import BGR, CODEC, SKELETON, smooth_crops
from imbalanced_model import imbalanced_model
from light_model import make_model

from keras_pose.contracts.pose import (
    keras_contract,
    read_contract,
    save_keras_model,
    write_contract,
)
from keras_pose.exporting.accuracy.validation import Validation
from keras_pose.exporting.comparison import relative_error
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.families import family_files, family_jobs, family_making
from keras_pose.exporting.families.cases import (
    Case,
    lightest_models,
    random_cases,
    trained_cases,
)
from keras_pose.exporting.families.family_making import make_families
from keras_pose.exporting.families.family_settings import FamiliesSettings
from keras_pose.exporting.inspection.audit import Audit, DelegateAudit
from keras_pose.exporting.inspection.profiling import OperatorTime
from keras_pose.exporting.ledger.rows import Ledger, LedgerRow
from keras_pose.exporting.quantization.measured_ranges import RangeRule
from keras_pose.runtime.loading import open_model
from keras_pose.zoo import ZOO, get_spec

AP = {"keras": 0.5, "float32": 0.5, "int8": 0.48, "mixed": 0.497}
CONV = OperatorTime("CONV_2D", "1x16x12x32 int8", 9, 1.0, 1000)


class World:
    """Stands for processes and the ledger: writes what they would, and remembers it."""

    def __init__(self):
        self.done = []
        self.fits = True
        self.float_operators = ()  # of int8 files, such as attention

    def child(self, target, *arguments):
        name = target.partition(":")[2]
        self.done.append(name)
        return getattr(self, name)(*arguments)

    def write_timing_files(self, model, input_hw, *paths):
        if model == "rtmpose_t":
            raise ValueError("rtmpose_t cannot be converted: it needs tf.Erfinv.")
        for path in paths:
            Path(path).write_text(f"{model} {Path(path).name}")
        return {}

    def write_mixed(self, source, crops, data, max_drop, rules, path):
        self.rules = rules
        if not self.fits:
            raise ExportError("the best of 4 files loses 0.9.")
        Path(path).write_text("some operators in float")
        rule = str(RangeRule(**rules[-1]))
        return {"num_float_ops": 3, "rule": rule, "said": ["3 in float, drop +0.30 points"]}

    def evaluate_file(self, path, data, keypoints):
        save_keypoints(keypoints, 10.3)
        return measurement("mixed")

    def time_files(self, float_path, int8_paths, threads, num_runs):
        rows = [
            {
                "num_threads": count,
                "num_bytes": 4_000_000 if path == float_path else 1_000_000,
                "milliseconds": (12.0 if path == float_path else 3.0) / count,
                "peak_share": 0.25,
            }
            for path in [float_path, *int8_paths]
            for count in threads
        ]
        peaks = {"float32 x 1 threads": 50e9, "int8 x 1 threads": 300e9}
        profile = {"times": [dataclasses.asdict(CONV)], "failure": None}
        return {
            "rows": rows,
            "peaks": peaks,
            "profiles": dict.fromkeys(int8_paths, profile),
        }

    def ledger(self, settings, say):
        self.done.append("ledger")
        rows = []
        for name in ("keras", *settings.formats):
            folder = Path(settings.output) / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "pose_model.tflite").write_text(name)
            describe(folder / "pose_model.tflite", self.float_operators)
            save_keypoints(folder / "keypoints.npz", 10.0)
            found = measurement(name) if settings.dataset else None
            rows.append(LedgerRow(name, measurement=found, shift={"mean": 0.4, "p95": 1.0}))
        return Ledger("pose_slim", "best.keras", "200 crops", {}, rows)


def measurement(name):
    return {
        "metric": "AP",
        "value": AP[name],
        "lower_is_better": False,
        "protocol": "coco val, 5 images | GT boxes",
    }


def describe(path, float_operators):
    contract = dataclasses.replace(make_model().contract, float_operators=float_operators)
    write_contract(path, contract)


def save_keypoints(path, x):
    points = np.full((2, 3, 2), x)
    np.savez(path, keypoints_xy=points, is_labelled=np.ones((2, 3), bool))


@pytest.fixture
def world(monkeypatch):
    fake = World()
    xnnpack = DelegateAudit("XNNPACK", 9, 9, 1, 9, {})
    audit = Audit({"CONV_2D": 9}, 1000, "int8", (xnnpack,))
    for module in (family_making, family_files):
        monkeypatch.setattr(module, "call_in_child", fake.child)
    monkeypatch.setattr(family_files, "make_ledger", fake.ledger)
    monkeypatch.setattr(family_files, "attention_ops", lambda content: fake.float_operators)
    monkeypatch.setattr(family_making, "audit_file", lambda path: audit)
    return fake


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

    assert world.done == ["write_timing_files", "time_files"]
    assert row.accuracy is None
    assert row.gains == {1: 4.0, 2: 4.0}
    assert row.num_bytes == (4_000_000, 1_000_000)
    assert row.peak_gain == 6.0
    assert row.profile == [CONV]


def test_a_trained_network_goes_through_the_ledger(world, case, tmp_path):
    (row,) = make_families([case], settings_of(tmp_path), silent)
    assert world.done == ["ledger", "time_files"]
    assert row.float_value == 0.5
    assert row.accuracy.drop == pytest.approx(2.0)  # 0.50 - 0.48, in points
    assert row.accuracy.shift == {"mean": 0.4, "p95": 1.0}


def test_operators_go_into_float_where_too_much_is_lost(world, case, tmp_path):
    int8, mixed = make_families([case], settings_of(tmp_path, max_drop=0.5), silent)

    assert world.done == ["ledger", "write_mixed", "evaluate_file", "time_files"]
    assert (int8.num_float_ops, mixed.num_float_ops) == (0, 3)
    assert (int8.rule, mixed.rule) == ("minmax", "percentile 99.5")
    assert [rule["method"] for rule in world.rules] == ["minmax", *["percentile"] * 3]
    assert mixed.accuracy.drop == pytest.approx(0.3)
    # 0.3 pixels in x and in y.
    assert mixed.accuracy.shift["mean"] == pytest.approx(0.3 * 2**0.5)

    world.done.clear()
    make_families([case], settings_of(tmp_path, max_drop=2.5), silent)
    assert "write_mixed" not in world.done


def test_operators_that_int8_leaves_in_float_are_counted(world, case, tmp_path):
    world.float_operators = ("a/MatMul", "a/Softmax", "a/MatMul_1")
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
    assert world.done == ["ledger"]  # which keeps books of its own

    world.done.clear()
    again = dataclasses.replace(settings, times_again=True)
    assert make_families(cases, again, silent) == first
    assert world.done == ["ledger", "time_files", "time_files"]


def test_a_network_that_fails_is_a_row_that_says_why(world, tmp_path):
    settings = FamiliesSettings(tmp_path / "families")
    failed, good = make_families(random_cases(["rtmpose_t", "cpm"]), settings, silent)
    assert failed.failure == "rtmpose_t cannot be converted: it needs tf.Erfinv."
    assert good.failure is None


def refuse(world, monkeypatch, refused):
    """Makes the ledger fail in one format."""

    def ledger(settings, say):
        whole = world.ledger(settings, say)
        rows = [
            LedgerRow(row.name, failure="it is wrong.") if row.name == refused else row
            for row in whole.rows
        ]
        return dataclasses.replace(whole, rows=rows)

    monkeypatch.setattr(family_files, "make_ledger", ledger)


@pytest.mark.parametrize("refused", ["float32", "int8"])
def test_a_format_that_fails_is_told_of(world, case, tmp_path, monkeypatch, refused):
    refuse(world, monkeypatch, refused)
    (row,) = make_families([case], settings_of(tmp_path), silent)
    assert row.failure == f"{refused}: it is wrong."
    assert world.done == ["ledger"]


def test_where_int8_is_refused_float_operators_are_tried(
    world, case, tmp_path, monkeypatch
):
    refuse(world, monkeypatch, "int8")
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "is_described"), [("pose_slim", True), ("openpose_light_1", False)]
)
def test_files_to_be_timed_hold_integers(tmp_path, name, is_described):
    paths = [str(tmp_path / f"{kind}.tflite") for kind in ("float32", "int8")]
    family_jobs.write_timing_files(name, [64, 64], *paths)

    found = family_jobs.time_files(paths[0], paths[1:], [1], 2)

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
        "keras_pose.exporting.formats.tflite_export.equalized", lambda model, *_: model
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

    found = family_jobs.write_mixed(
        str(tmp_path / "best.keras"),
        str(tmp_path / "crops.npy"),
        data,
        10.0,
        [{}],
        str(path),
    )

    assert found["num_float_ops"] == len(read_contract(path).float_operators) == 2
    assert any(line.startswith("  2 in float agreement") for line in found["said"])
