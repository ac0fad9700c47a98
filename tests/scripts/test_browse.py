"""Contact sheets of predictions, of the worst and the best, and of training data."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from own_keypoints import ToyModel, write_toys
from PIL import Image

from keras_pose import runtime
from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.skeleton import COCO_17

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "browse.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("browse_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    for split in ("train", "val"):
        write_coco_dataset(folder, 2, split=split)
    return folder


class CenterModel:
    """Stands in for a model file: every keypoint is in the middle of the crop."""

    contract = Contract(
        model="center",
        input=TensorSpec("image", (1, 64, 48, 3), "uint8"),
        output=TensorSpec("heatmaps", (1, 16, 12, 17), "float32"),
        codec=GaussianHeatmapCodec((64, 48)),
        skeleton=COCO_17,
    )

    def predict(self, crops):
        heatmaps = np.zeros((len(crops), 16, 12, 17), np.float32)
        heatmaps[:, 8, 6] = 1
        return heatmaps


def draw(script, data_dir, path, *options):
    data = ["--dataset", "synthetic", "--data-dir", str(data_dir)]
    script.main([*data, "--output", str(path), *options])
    return np.asarray(Image.open(path))


@pytest.mark.slow
def test_training_samples_are_drawn_with_their_heatmaps(script, data_dir, tmp_path):
    options = ["--training", "--model", "testing_pose", "--images", "2", "--columns", "2"]
    sheet = draw(script, data_dir, tmp_path / "a.png", *options, "--input-hw", "64", "64")
    # Crop and maps of 64 x 128 are fitted into cells of 360, a row of 180.
    assert sheet.shape == (10 + 180 + 10, 2 * (360 + 10) + 10, 3)
    again = draw(script, data_dir, tmp_path / "b.png", *options, "--input-hw", "64", "64")
    np.testing.assert_array_equal(sheet, again)


@pytest.mark.parametrize("place", ["--worst", "--median", "--best"])
def test_one_place_of_the_ranking(script, data_dir, tmp_path, monkeypatch, place):
    monkeypatch.setattr(runtime, "load_model", lambda *_, **__: CenterModel())
    sheet = draw(script, data_dir, tmp_path / "a.png", "--weights", "a.keras", place, "1")
    assert sheet.shape[1] == 360 + 20
    assert sheet.std() > 10


def test_own_keypoints_are_opened_by_the_model(script, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "load_model", lambda *_, **__: ToyModel())
    data = ["--data-dir", str(write_toys(tmp_path / "toys"))]
    script.main(
        [*data, "--weights", "a.keras", "--worst", "1", "--output", str(tmp_path / "a.png")]
    )
    assert (tmp_path / "a.png").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--training"], "add --model NAME"),
        ([], "add --weights FILE"),
        (["--weights", "a.keras", "--worst", "2", "--best", "2"], "not allowed with"),
        (["--weights", "a.keras", "--worst", "0"], "at least 1"),
    ],
)
def test_options_that_do_not_go_together(script, options, message, capsys):
    with pytest.raises(SystemExit):
        script.main(options)
    assert message in capsys.readouterr().err
