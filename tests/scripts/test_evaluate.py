import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from own_keypoints import ToyModel, write_toys
from says import Says

from keras_pose import data
from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.detector import DetectorFacts
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.files import file_sha256
from keras_pose.inference import detectors
from keras_pose.measuring import tasks
from keras_pose.metrics.protocol import read_measurement
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.pictures.structures import Detections
from keras_pose.skeleton import COCO_17, Skeleton, plain_skeleton

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
    monkeypatch.setattr(tasks, "load_model", lambda *_, **__: CenterModel())
    # The files hold no contract to tell by.
    monkeypatch.setattr(tasks, "is_detector", lambda *_: False)
    monkeypatch.setattr(tasks, "is_of_crowd", lambda *_: False)
    paths = [tmp_path / "float.tflite", tmp_path / "int8.tflite"]
    for path in paths:
        path.write_bytes(b"a model")
    (tmp_path / "recipe.json").write_text("{}")  # a run, where figures stay beside files
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
    assert (protocol["metrics"], protocol["nms"]) == (["coco_ap"], "hard")
    assert protocol["file_type"] == ".tflite"
    assert protocol["codec"] == {**CODEC.to_dict(), "input_hw": [64, 48]}
    printed = capsys.readouterr().out
    assert f"AP {metrics['AP']:.3f} | synthetic val, 2 images" in printed
    assert protocol["file_sha256"][:8] in printed


def test_crops_other_than_the_models_are_measured_and_said(
    script, weights, data_dir, tmp_path, capsys
):
    found = {}
    for padding, name in ((1.25, ""), (0.8, "_box-x0.8")):
        file = tmp_path / f"{padding}.json"
        more = ["--box-padding", str(padding)] if name else []
        words = options(data_dir, "--predictions", str(file), *more)
        script.main(["--weights", weights[0], *words])
        kept = tmp_path / f"metrics_float_tflite_synthetic_val{name}.json"
        assert json.loads(kept.read_text())["protocol"]["box_padding"] == padding
        found[padding] = json.loads(file.read_text())[0]["keypoints"]
    assert found[1.25] != found[0.8]
    assert " of 0.8 x box | " in capsys.readouterr().out


def test_a_data_set_is_measured_by_its_official_metrics(
    script, weights, data_dir, tmp_path, capsys, monkeypatch
):
    opened = data.open_dataset("synthetic", data_dir)
    # As if it were MPII, with its head sizes.
    people = [dataclasses.replace(record, head_size=20.0) for record in opened.records]
    as_mpii = dataclasses.replace(opened, metrics=("pckh",), records=people)
    monkeypatch.setattr(data.mixing, "open_for_skeleton", lambda *_: as_mpii)

    script.main(["--weights", weights[0], *options(data_dir)])

    metrics = json.loads(next(tmp_path.glob("metrics_*.json")).read_text())
    assert metrics["protocol"]["metrics"] == ["pckh"]
    assert metrics["protocol"]["nms"] == "off"
    printed = capsys.readouterr().out
    assert f"PCKh@0.5 {metrics['PCKh@0.5']:.3f} | synthetic val" in printed
    assert (
        f'PCKh@0.11 ("Mean@0.1" in published tables) {metrics["PCKh@0.11"]:.3f}' in printed
    )
    assert "PCKh@0.5 by part: nose" in printed


class UnionModel(CenterModel):
    """As `CenterModel`, with keypoints that COCO has not, and in another order."""

    skeleton = Skeleton("union", ("head_top", *COCO_17.names[::-1]))
    contract = dataclasses.replace(
        CenterModel.contract,
        output=TensorSpec("heatmaps", (1, 16, 12, 18), "float32"),
        skeleton=skeleton,
    )

    def predict(self, crops):
        heatmaps = super().predict(crops)
        return np.concatenate([0 * heatmaps[..., :1], heatmaps], axis=-1)


class FaceModel(CenterModel):
    """Predicts five of COCO's keypoints, and has sigmas for none of them."""

    contract = dataclasses.replace(
        CenterModel.contract,
        output=TensorSpec("heatmaps", (1, 16, 12, 5), "float32"),
        skeleton=Skeleton("face", COCO_17.names[:5]),
    )

    def predict(self, crops):
        return super().predict(crops)[..., :5]


def test_a_model_of_a_union_is_measured_by_the_sets_own_keypoints(
    script, weights, data_dir, tmp_path, capsys, monkeypatch
):
    script.main(["--weights", weights[0], *options(data_dir)])
    path = next(tmp_path.glob("metrics_*.json"))
    expected = json.loads(path.read_text())
    monkeypatch.setattr(tasks, "load_model", lambda *_, **__: UnionModel())
    script.main(["--weights", weights[0], *options(data_dir)])
    assert json.loads(path.read_text())["AP"] == expected["AP"]
    assert "1 of the model's are not in synthetic: unused" in capsys.readouterr().out


def test_a_model_of_fewer_keypoints_is_measured_on_those_and_says_so(
    script, weights, data_dir, tmp_path, capsys, monkeypatch
):
    script.main(["--weights", weights[1], *options(data_dir)])
    monkeypatch.setattr(tasks, "load_model", lambda *_, **__: FaceModel())
    script.main(["--weights", weights[0], *options(data_dir)])
    printed = capsys.readouterr().out
    assert "measured on synthetic (5 of 17 keypoints)" in printed
    path = next(tmp_path.glob("metrics_float*.json"))
    protocol = json.loads(path.read_text())["protocol"]
    # Without sigmas there is no AP; and it is not the number of the whole set.
    assert protocol["metrics"] == ["pck_box"]
    assert protocol["dataset"] == "synthetic (5 of 17 keypoints)"
    with pytest.raises(SystemExit, match="dataset differs"):
        script.main(["--compare", *map(str, sorted(tmp_path.glob("metrics_*.json")))])


@pytest.fixture
def toys(tmp_path, weights, monkeypatch):
    monkeypatch.setattr(tasks, "load_model", lambda *_, **__: ToyModel())
    return ["--weights", weights[0], "--data-dir", str(write_toys(tmp_path / "toys"))]


def test_own_keypoints_are_opened_by_the_model_and_measured_by_pck(
    script, toys, tmp_path, capsys
):
    script.main(toys)
    metrics = json.loads(next(tmp_path.glob("metrics_*.json")).read_text())
    assert metrics["protocol"]["metrics"] == ["pck_box"]
    assert metrics["tables"]["PCK_box@0.1"].keys() == set(
        ToyModel().contract.skeleton.names
    )
    reason = "pck_box: the skeleton 'toy' has no OKS sigmas, which coco_ap needs"
    assert reason in capsys.readouterr().out


def test_own_data_goes_by_its_name_and_folder(script, toys, tmp_path):
    script.main([*toys[:2], "--dataset", f"mine={toys[3]}"])
    metrics = json.loads(next(tmp_path.glob("metrics_*_mine_val.json")).read_text())
    assert metrics["protocol"]["dataset"] == "mine"
    assert metrics["protocol"]["metrics"] == ["pck_box"]


def test_one_set_is_measured_at_a_time(script, toys):
    with pytest.raises(SystemExit, match="one data set at a time, got mine, coco"):
        script.main([*toys[:2], "--dataset", f"mine={toys[3]},coco"])


def test_numbered_keypoints_are_asked_for(script, toys, monkeypatch):
    numbered = ToyModel(plain_skeleton(5))
    monkeypatch.setattr(tasks, "load_model", lambda *_, **__: numbered)
    with Says(
        "does not say which 5 keypoints it predicts; coco has top, left_hand, ... "
        "Say it with --skeleton",
        do="Name them: `--skeleton coco_17`, or a file of your own (docs/skeletons.md).",
    ).refuses():
        script.main(toys)


@pytest.mark.parametrize("file", ["w.pth", "w.weights.h5"])
def test_a_bare_file_is_of_the_kind_that_the_model_is(file, tmp_path):
    (tmp_path / file).touch()
    assert tasks.task_of(tmp_path / file, "rtmdet_nano") is tasks.DETECTOR
    assert tasks.task_of(tmp_path / file, "testing_pose") is tasks.POSE


def test_uniform_sigmas_give_ap_that_is_not_compared_with_other_ap(
    script, toys, tmp_path, monkeypatch
):
    script.main([*toys, "--sigmas", "uniform"])
    monkeypatch.setattr(
        tasks,
        "load_model",
        lambda *_, **__: ToyModel(ToyModel().contract.skeleton.with_uniform_sigmas()),
    )
    weights = str(tmp_path / "int8.tflite")
    script.main(["--weights", weights, *toys[2:]])
    paths = sorted(tmp_path.glob("metrics_*.json"))
    uniform, own = (json.loads(path.read_text()) for path in paths)
    assert uniform["AP"] == own["AP"]
    assert uniform["protocol"]["dataset"] == "coco (sigmas of 0.067)"
    with pytest.raises(SystemExit, match="dataset differs"):
        script.main(["--compare", *map(str, paths)])
    with pytest.raises(SystemExit, match="'toy' has"):
        script.main(["--weights", weights, *toys[2:], "--sigmas", "uniform"])


def test_several_files_make_one_table(script, weights, data_dir, capsys):
    script.main(["--weights", *weights, *options(data_dir)])

    table = capsys.readouterr().out.splitlines()[-5:]
    assert table[0].endswith("| GT boxes | no flip | hard NMS")
    assert [line.split()[0] for line in table[1:]] == [
        "file",
        "float.tflite",
        "int8.tflite",
        "machine",
    ]


def test_limit_evaluates_the_first_images_only(script, weights, data_dir, tmp_path):
    script.main(["--weights", weights[0], *options(data_dir, "--limit", "1")])

    metrics = json.loads(next(tmp_path.glob("metrics_*_first1.json")).read_text())
    assert metrics["protocol"]["num_images"] == 1
    assert metrics["protocol"]["is_subset"]


def test_files_of_one_name_get_numbers_of_their_own(script, weights, data_dir, tmp_path):
    same_names = []
    for kind in ("float16", "int8"):
        path = tmp_path / kind / "pose_model.tflite"
        path.parent.mkdir()
        path.write_bytes(kind.encode())
        same_names.append(str(path))

    output = tmp_path / "numbers"
    for path in same_names:  # two runs, so neither knows of the other
        script.main(
            ["--weights", path, *options(data_dir, "--limit", "1"), "--output", str(output)]
        )

    assert len(list(output.glob("metrics_*.json"))) == 2
    assert len(list(output.glob("metrics_int8_pose_model_tflite_*.json"))) == 1


def test_compare_prints_saved_numbers_as_one_table(
    script, weights, data_dir, tmp_path, capsys
):
    script.main(["--weights", *weights, *options(data_dir, "--limit", "1")])
    expected = capsys.readouterr().out.splitlines()[-5:]

    script.main(["--compare", *map(str, sorted(tmp_path.glob("metrics_*.json")))])

    # All but the last column, the time, which is rounded to milliseconds when saved.
    printed = capsys.readouterr().out.splitlines()[-5:]
    assert [line.split()[:-1] for line in printed] == [
        line.split()[:-1] for line in expected
    ]


@pytest.mark.parametrize(
    ("options_of_second", "field"),
    [
        pytest.param(["--flip-test"], "flip_test differs", id="flip"),
        pytest.param(["--nms", "off"], "nms differs", id="nms"),
        pytest.param(["--metrics", "single_ap"], "metrics differs", id="metric"),
        pytest.param(["--limit", "1"], "is_subset differs", id="subset"),
    ],
)
def test_compare_refuses_two_protocols(
    script, weights, data_dir, tmp_path, options_of_second, field
):
    script.main(["--weights", weights[0], *options(data_dir)])
    script.main(["--weights", weights[0], *options(data_dir, *options_of_second)])

    with pytest.raises(SystemExit, match=field):
        script.main(["--compare", *map(str, sorted(tmp_path.glob("metrics_*.json")))])


def test_compare_refuses_numbers_without_a_protocol(script, tmp_path):
    (tmp_path / "bare.json").write_text('{"AP": 0.99}')
    with pytest.raises(SystemExit, match=r"bare\.json holds no figures with a protocol"):
        script.main(["--compare", str(tmp_path / "bare.json")])


def detections(data_dir, scores):
    """Boxes of the ground truth, once per score."""
    truth = json.loads(next(data_dir.glob("annotations/*.json")).read_text())
    return [
        {name: annotation[name] for name in ("image_id", "category_id", "bbox")}
        | {"score": score}
        for annotation in truth["annotations"]
        for score in scores
    ]


def test_boxes_of_a_detector(script, weights, data_dir, tmp_path, capsys):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps(detections(data_dir, (0.9, 0.1))))
    num_people = len(json.loads(boxes.read_text())) // 2

    script.main(
        [
            "--weights",
            weights[0],
            *options(data_dir, "--boxes", str(boxes), "--box-threshold", "0.5"),
        ]
    )

    path = tmp_path / "metrics_float_tflite_synthetic_val_boxes_from0.5.json"
    protocol = json.loads(path.read_text())["protocol"]
    assert (protocol["boxes"], protocol["boxes_threshold"]) == ("boxes.json", 0.5)
    assert len(protocol["boxes_sha256"]) == 16
    assert protocol["num_people"] == num_people
    assert "boxes of boxes.json" in capsys.readouterr().out


def test_figures_of_files_outside_a_run_go_into_the_working_folder(
    script, weights, data_dir, tmp_path, capsys, monkeypatch
):
    (tmp_path / "recipe.json").unlink()
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    script.main(["--weights", weights[0], *options(data_dir, "--limit", "1")])
    (path,) = working.rglob("metrics_*.json")
    assert path.parent == working / "results"
    assert f"written     {path.relative_to(working)}" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.json"))


def test_one_of_several_tables_of_a_file_has_figures_of_its_own(script, tmp_path):
    (tmp_path / "x.pth").write_bytes(b"two tables")
    names = [f"{tmp_path}/x.pth#{table}" for table in ("model", "ema")]
    given = script.parse_args(["--weights", *names, "--model", "testing_pose"])
    paths = [script.metrics_path(each, given) for each in given.weights]
    assert ["x_pth_model" in paths[0].name, "x_pth_ema" in paths[1].name] == [True, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"image_id": 999}, "not in the ground truth: 999", id="unknown_image"),
        pytest.param({"image_id": "1"}, "these ids as text", id="image_as_text"),
        pytest.param({"image_id": [1]}, "entry 0: the image_id must be", id="no_id"),
        pytest.param({"bbox": "none"}, "entry 0 needs a bbox", id="no_numbers"),
        pytest.param({"bbox": [1, 2, 0, 5]}, "entry 0 needs a bbox", id="empty_box"),
        pytest.param({"score": float("nan")}, "entry 0 needs a bbox", id="no_score"),
        pytest.param({"category_id": 2}, "are of category 1, .* of 2", id="no_person"),
    ],
)
def test_bad_boxes_are_named(script, weights, data_dir, tmp_path, change, message):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([detections(data_dir, (0.9,))[0] | change]))
    with pytest.raises(SystemExit, match=message):
        script.main(["--weights", weights[0], *options(data_dir, "--boxes", str(boxes))])


@pytest.fixture
def detector(data_dir, tmp_path, monkeypatch):
    """A detector that says the true boxes, and of each an unsure copy; and its file."""
    truth = json.loads(next(data_dir.glob("annotations/*.json")).read_text())
    boxes = {image["id"]: [] for image in truth["images"]}
    for annotation in truth["annotations"]:
        x, y, width, height = annotation["bbox"]
        boxes[annotation["image_id"]].append([x, y, x + width, y + height])
    in_order = iter([boxes[image["id"]] for image in truth["images"]] * 50)

    def detect(image):
        found = next(in_order) * 2
        half = len(found) // 2
        return Detections(found, [0.9] * half + [0.3] * half, [0] * len(found))

    detect.facts = DetectorFacts("stub", (64, 64), "float32", BoxSettings(0.25))
    monkeypatch.setattr(detectors, "open_detector", lambda _: detect)
    path = tmp_path / "person.tflite"
    path.write_bytes(b"a detector")
    return path


def test_a_detector_is_run_and_measured(
    script, weights, data_dir, detector, tmp_path, capsys
):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps(detections(data_dir, (0.9, 0.3))))
    script.main(["--weights", weights[0], *options(data_dir, "--boxes", str(boxes))])
    by_boxes = json.loads(next(tmp_path.glob("metrics_*_boxes.json")).read_text())
    capsys.readouterr()

    script.main(["--weights", weights[0], *options(data_dir, "--detector", str(detector))])

    measured = json.loads(next(tmp_path.glob("metrics_*_by-person-*.json")).read_text())
    assert measured["AP"] == by_boxes["AP"]
    assert measured["pipeline"]["box"]["AP50"] == 1
    times = measured["pipeline"]["milliseconds, 20 people"]
    assert set(times) == {"detector", "crop", "pose", "decode", "total"}
    protocol = measured["protocol"]
    assert (protocol["boxes"], protocol["boxes_threshold"]) == ("person.tflite", 0.25)
    assert protocol["boxes_sha256"] == file_sha256(detector)[:16]
    printed = capsys.readouterr().out
    assert "boxes of person.tflite" in printed
    assert "box AP      AP" in printed
    assert "20 people" in printed
    # And it is read again like any other measurement.
    assert read_measurement(next(tmp_path.glob("*_by-*.json"))).pipeline["box"]["AP50"] == 1


def test_a_detectors_unsure_boxes_can_be_left_out(
    script, weights, data_dir, detector, tmp_path
):
    threshold = ("--detector", str(detector), "--box-threshold", "0.5")
    script.main(["--weights", weights[0], *options(data_dir, *threshold)])
    protocol = json.loads(next(tmp_path.glob("metrics_*_by-*.json")).read_text())[
        "protocol"
    ]
    assert protocol["boxes_threshold"] == 0.5
    assert protocol["num_people"] == len(detections(data_dir, (1,)))


def test_files_of_boxes_are_no_detectors(script, weights, data_dir, tmp_path):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps(detections(data_dir, (0.9,))))
    with pytest.raises(SystemExit, match=r"holds boxes, and is no detector: --boxes"):
        script.main(["--weights", weights[0], *options(data_dir, "--detector", str(boxes))])


def test_one_to_one_metrics_refuse_a_detectors_boxes(script, weights, data_dir, tmp_path):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps(detections(data_dir, (0.9,))))
    with pytest.raises(SystemExit, match="Measure COCO AP"):
        script.main(
            [
                "--weights",
                weights[0],
                *options(data_dir, "--boxes", str(boxes), "--metrics", "pixel_error"),
            ]
        )


def test_a_metric_without_what_it_needs_says_so(script, weights, data_dir):
    with pytest.raises(SystemExit, match="PCKh needs the field 'head_size'"):
        script.main(["--weights", weights[0], *options(data_dir, "--metrics", "pckh")])


@pytest.mark.slow
def test_plots_are_pictures(script, weights, data_dir, tmp_path):
    folder = tmp_path / "charts"
    script.main(["--weights", *weights, *options(data_dir, "--plots", str(folder))])
    assert {path.name for path in folder.iterdir()} == {
        "AP_by_OKS_threshold.png",
        "recall_by_OKS_threshold.png",
        "keypoint_similarity.png",
    }


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
        (["--weights", "a.keras", "--box-padding", "-1"], "a number above 0"),
        (["--weights", "a.keras", "--compare", "a.json"], "not allowed with"),
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
