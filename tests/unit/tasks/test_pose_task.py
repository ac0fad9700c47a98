"""A task of a tiny network: photos, presets, training, figures, files."""

import importlib.util
import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from says import Says

import keras_pose
from keras_pose import PoseTask
from keras_pose.contracts.detector import read_detector_contract
from keras_pose.contracts.entries import save_keras_model
from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.files.runs import RECIPE_NAME
from keras_pose.pictures.normalization import Normalization
from keras_pose.pictures.structures import Poses
from keras_pose.shipped import DETECTOR, POSE, shipped_file
from keras_pose.skeleton import COCO_17, Skeleton
from keras_pose.weights.creation import create_model

ROOT = Path(__file__).resolve().parents[3]
OWN = Skeleton("own", ("nose", "left_wrist", "tail"))
ODD = Normalization((0.1, 0.2, 0.3), (0.5, 0.6, 0.7), channel_order="bgr")


def tiny_task(detector="whole image", seed=0):
    """Returns a task of random weights, whose contract is not the zoo's in any part."""
    keras.utils.set_random_seed(seed)
    network = create_model("testing_pose", 3, (64, 64))
    codec = keras_pose.zoo.get_spec("testing_pose").make_codec((64, 64))
    facts = {"licence": "Apache-2.0 (of the test)", "trained_on": "nothing"}
    return PoseTask(network, keras_contract(network, codec, OWN, ODD), detector, facts)


def coco_task(seed=0):
    keras.utils.set_random_seed(seed)
    return PoseTask(create_model("testing_pose", 17, (64, 64)), detector="whole image")


@pytest.fixture(scope="module")
def task():
    return tiny_task()


@pytest.fixture(scope="module")
def coco_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    write_coco_dataset(folder, 3, split="train")
    write_coco_dataset(folder, 2, split="val")
    return folder


@pytest.fixture(scope="module")
def saved(task, tmp_path_factory):
    return task.save_to_preset(tmp_path_factory.mktemp("preset") / "new" / "folder")


def photo(seed=0, shape=(80, 60, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def same_poses(first, second):
    np.testing.assert_array_equal(first.keypoints_xy, second.keypoints_xy)
    np.testing.assert_array_equal(first.keypoint_scores, second.keypoint_scores)


def test_a_photo_gives_poses_whatever_stands_for_it(task, tmp_path):
    pixels = photo()
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)

    poses = task.predict(pixels)

    assert isinstance(poses, Poses)
    assert poses.skeleton == OWN
    assert poses.keypoints_xy.shape == (1, 3, 2)
    for other in (path, str(path), Image.fromarray(pixels), path.read_bytes()):
        same_poses(poses, task.predict(other))
    several = task.predict([path, pixels])
    assert isinstance(several, list)
    for other in (*several, *task.predict(np.stack([pixels, pixels]))):
        same_poses(poses, other)


def test_predictions_are_those_of_the_estimator_with_the_same_file(task, tmp_path):
    path = save_keras_model(task.network, tmp_path / "tiny.keras", task.contract)
    estimator = keras_pose.PoseEstimator(path, detector="whole image")
    same_poses(task.predict(photo(1)), estimator(photo(1)))


def test_what_is_no_photo_is_refused(task, tmp_path):
    with Says(
        "Photos are a path, an array of pixels, an image of Pillow's, or a list of "
        "these; got dict",
        do="Give paths, arrays or images of Pillow's.",
    ).refuses():
        task.predict({"photo": 1})
    with pytest.raises(ValueError, match=r"Photo 1 of 2: It is of the type dict"):
        task.predict([photo(), {}])
    with pytest.raises(ValueError, match=r"Photo 1 of 2: There is no image, but None"):
        task.predict([photo(), None])
    with pytest.raises(ValueError, match="There are no photos"):
        task.predict([])
    with pytest.raises(ValueError, match="is a folder: give its pictures"):
        task.predict(tmp_path)


def test_a_preset_comes_back_as_it_was_saved(task, saved):
    names = {path.name for path in saved.iterdir()}
    assert names == {"config.json", "metadata.json", "model.weights.h5", "README.md"}

    back = PoseTask.from_preset(saved, detector="whole image")

    assert back.contract == task.contract
    assert back.facts == task.facts
    same_poses(task.predict(photo(2)), back.predict(photo(2)))


def test_the_config_says_row_codec_keypoints_and_normalization(saved):
    config = json.loads((saved / "config.json").read_text())
    assert config["class_name"] == "PoseTask"
    assert config["network"]["model"] == "testing_pose"
    assert config["network"]["input_hw"] == [64, 64]
    assert config["contract"]["skeleton"]["names"] == list(OWN.names)
    assert config["contract"]["codec"]["kind"] == "dark"
    assert config["contract"]["input"]["normalization"] == ODD.to_dict()
    metadata = json.loads((saved / "metadata.json").read_text())
    assert metadata["keras_pose_version"] == keras_pose.__version__


def test_the_card_is_read_by_hubs_and_people(saved):
    card = (saved / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: keras_pose\n")
    assert "license: apache-2.0" in card
    assert "nose, left_wrist, tail" in card


def test_a_preset_can_be_trained_on_other_keypoints(saved, capsys):
    other = Skeleton("other", ("left_wrist", "right_wrist"))
    back = PoseTask.from_preset(saved, skeleton=other)
    assert back.skeleton == other
    assert (
        "at random but for the rows of the 1 that share a name" in capsys.readouterr().out
    )
    assert back.contract.normalization == ODD


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(None, None, id="those_of_the_set"),
        pytest.param("coco_17", None, id="the_same"),
        pytest.param("mpii_16", "mpii_16", id="built_in"),
        pytest.param(OWN, {"name": "own"}, id="ones_own"),
    ],
)
def test_keypoints_that_are_named_are_trained_on(
    saved, coco_folder, tmp_path, monkeypatch, asked, expected
):
    from keras_pose.tasks import training

    recipes = []

    def fit(recipe, *_):
        recipes.append(recipe)
        raise InterruptedError

    monkeypatch.setattr(training, "fit", fit)
    task = PoseTask.from_preset(saved, skeleton=asked)
    with pytest.raises(InterruptedError):
        task.fit(coco_folder, run_dir=tmp_path)
    skeleton = recipes[0].skeleton
    if isinstance(expected, dict):
        assert skeleton["name"] == "own"
        assert skeleton["names"] == list(OWN.names)
    else:
        assert skeleton == expected


def copied(saved, tmp_path, **changes):
    """Copies a preset with other entries of its config; None leaves a file out."""
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((saved / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    return tmp_path


def test_a_folder_that_is_no_preset_is_refused(tmp_path):
    with Says(
        "is no preset: it has no config.json",
        do="Name a folder that `save_to_preset` wrote.",
    ).refuses():
        PoseTask.from_preset(tmp_path)


def test_a_folder_that_is_not_there_is_refused():
    with pytest.raises(FileNotFoundError, match=r"'no/where' is neither a folder nor a"):
        PoseTask.from_preset("no/where")


def test_a_preset_of_another_library_is_refused(saved, tmp_path):
    folder = copied(saved, tmp_path, format=None, class_name="ResNetBackbone")
    with pytest.raises(ValueError, match=r"not of a preset of keras_pose.*ResNetBackbone"):
        PoseTask.from_preset(folder)


def test_a_preset_of_a_newer_version_is_refused(saved, tmp_path):
    folder = copied(saved, tmp_path, format_version=2)
    with Says(
        "has format_version 2; this version of keras_pose reads 1. A newer keras_pose",
        do="Update keras_pose.",
    ).refuses():
        PoseTask.from_preset(folder)


def test_weights_that_are_not_the_presets_are_refused(saved, tmp_path):
    folder = copied(saved, tmp_path)
    other = create_model("testing_stacks", 3, (64, 64))
    other.save_weights(folder / "model.weights.h5")
    with Says(
        "is not the file that the preset was saved with",
        do="Copy the preset's whole folder anew.",
    ).refuses():
        PoseTask.from_preset(folder)
    (folder / "metadata.json").unlink()
    with Says(
        "does not fit testing_pose: it lacks",
        do="Take the weights of the network that config.json names.",
    ).refuses():
        PoseTask.from_preset(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"weights": "../other.h5"}, "weights must be", id="path_outside"),
        pytest.param({"network": {}}, "lacks the field 'model'", id="no_model"),
        pytest.param({"network": 3}, "a field has another type", id="no_object"),
        pytest.param({"contract": {}}, "schema_version None", id="no_contract"),
        pytest.param(
            {"network": {"model": "testing_pose", "num_outputs": -1}},
            "num_outputs must be",
            id="no_count",
        ),
        pytest.param(
            {"network": {"model": "testing_pose", "num_outputs": 3, "options": {"a": 1}}},
            r"saved with the options \{'a': 1\}",
            id="other_row",
        ),
    ],
)
def test_a_damaged_config_is_refused(saved, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        PoseTask.from_preset(copied(saved, tmp_path, **changes))


def test_a_preset_without_its_weights_is_refused(saved, tmp_path):
    folder = copied(saved, tmp_path)
    (folder / "model.weights.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks its weights, model\.weights\.h5"):
        PoseTask.from_preset(folder)


def test_the_shipped_model_is_a_preset():
    shipped = PoseTask.from_preset("shipped", detector="whole image")
    assert shipped.contract == read_contract(shipped_file(POSE))
    assert shipped.predict(photo(3)).keypoints_xy.shape == (1, 17, 2)


def test_a_file_for_phones_is_run_only():
    shipped = PoseTask.from_file(shipped_file(POSE))
    with Says(
        "is a file to run: it cannot be trained",
        do="Start from the preset of a network, such as `rtmpose_s_coco`.",
    ).refuses():
        shipped.fit("synthetic")
    with pytest.raises(ValueError, match="is exported already"):
        shipped.export("tflite")
    with pytest.raises(ValueError, match="is a file for phones, which is no preset"):
        shipped.save_to_preset("nowhere")


@pytest.mark.slow
def test_a_labelled_folder_trains_by_the_recipe_and_the_best_is_kept(coco_folder, tmp_path):
    task = coco_task()
    before = task.network.get_weights()

    run = task.fit(coco_folder, run_dir=tmp_path / "run", batch_size=4, max_steps=1)

    recipe = json.loads((run / RECIPE_NAME).read_text())
    assert recipe["dataset"] == "coco"
    assert recipe["data_dir"] == str(coco_folder)
    assert (recipe["optimizer"], recipe["codec"]) == ("adamw", "dark")  # the family's
    assert recipe["weights"] == str(run / "start.keras")
    start = keras.models.load_model(run / "start.keras", compile=False)
    for value, old in zip(start.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)
    best = keras.models.load_model(run / "best.keras", compile=False)
    for value, new in zip(best.get_weights(), task.network.get_weights(), strict=True):
        np.testing.assert_array_equal(value, new)
    assert not all(map(np.array_equal, before, task.network.get_weights()))
    assert task.predict(photo(4)).skeleton == COCO_17


@pytest.mark.slow
def test_figures_are_those_of_the_evaluation_program(coco_folder, tmp_path, capsys):
    task = coco_task()
    path = save_keras_model(task.network, tmp_path / "tiny.keras", task.contract)
    spec = importlib.util.spec_from_file_location(
        "evaluate_of_task", ROOT / "training" / "evaluate.py"
    )
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(
        [
            *("--weights", str(path), "--dataset", "coco", "--data-dir", str(coco_folder)),
            *("--flip-test", "--output", str(tmp_path / "figures.json")),
        ]
    )
    expected = json.loads((tmp_path / "figures.json").read_text())
    capsys.readouterr()

    measured = task.evaluate(coco_folder, flip_test=True)

    figures = measured.to_dict()
    assert figures["AP"] == expected["AP"]
    assert figures["tables"] == expected["tables"]
    ours = json.loads(json.dumps(figures["protocol"]))
    of_file = {name for name in ours if name.startswith("file_")}
    for name in set(ours) - of_file:
        assert ours[name] == expected["protocol"][name], name
    assert "coco val, 2 images" in capsys.readouterr().out
    card = task.save_to_preset(tmp_path / "preset") / "README.md"
    assert "- AP 0." in card.read_text()


def batches(task, count=8, dtype="uint8"):
    """Draws crops with targets of the task's codec."""
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (count, 64, 64, 3)).astype(dtype)
    points = rng.uniform(8, 56, (count, 17, 2)).astype("float32")
    codec = task.contract.codec
    targets, weights = codec.encode_tf(tf.constant(points), tf.fill([count, 17], 2))
    return tf.data.Dataset.from_tensor_slices((crops, targets, weights)).batch(4)


@pytest.mark.slow
def test_batches_of_ones_own_are_trained_on_by_keras():
    task = coco_task()
    before = task.network.get_weights()
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)

    history = task.fit(
        batches(task), epochs=1, validation_data=batches(task), callbacks=[Watch()]
    )

    assert len(seen) == 2
    assert len(history.history["val_loss"]) == 1
    assert task.network.loss[0].name == "joints_mse"  # the recipe's
    assert type(task.network.optimizer).__name__ == "AdamW"
    assert not all(map(np.array_equal, before, task.network.get_weights()))


def test_pixels_are_normalised_and_floats_are_not():
    from keras_pose.tasks.training import _prepared

    task = coco_task()
    pixels = next(iter(batches(task)))[0].numpy()
    as_pixels = next(iter(_prepared(batches(task), task.contract, 1)))[0]
    as_floats = next(iter(_prepared(batches(task, dtype="float32"), task.contract, 1)))[0]
    np.testing.assert_allclose(
        as_pixels, task.contract.normalization(pixels), rtol=0, atol=1e-5
    )
    np.testing.assert_array_equal(as_floats, pixels.astype("float32"))


def test_batches_that_do_not_fit_are_refused():
    task = coco_task()
    good = batches(task)
    cases = {
        "A batch must be (crops, targets, weights)": good.map(lambda c, t, w: (c, t)),
        "The crops of a batch must be (B, 64, 64, 3)": good.map(
            lambda c, t, w: (c[:, :32], t, w)
        ),
        "The targets of a batch must be (B, 16, 16, 17)": good.map(
            lambda c, t, w: (c, t[..., :5], w)
        ),
        "The weights of a batch must be (B, 17)": good.map(
            lambda c, t, w: (c, t, w[:, :5])
        ),
        "Crops must be uint8 RGB, or float32": good.map(
            lambda c, t, w: (tf.cast(c, tf.int32), t, w)
        ),
        "These batches never end": good.repeat(),
        "Batches are a tf.data.Dataset": [1, 2],
    }
    for message, data in cases.items():
        with pytest.raises(ValueError, match=re.escape(message)):
            task.fit(data, epochs=1)


def test_arguments_without_an_effect_are_refused(coco_folder, tmp_path):
    task = coco_task()
    with pytest.raises(ValueError, match="steps_per_epoch goes with a"):
        task.fit(coco_folder, steps_per_epoch=3)
    with pytest.raises(ValueError, match="run_dir goes with a labelled set"):
        task.fit(batches(task), run_dir=tmp_path)
    with pytest.raises(ValueError, match=r"has no entry 'learning_rat'.*learning_rate"):
        task.fit(coco_folder, learning_rat=1, run_dir=tmp_path / "run")


def test_sets_that_are_none_are_refused(tmp_path):
    task = coco_task()
    with Says(
        "The folder ... of a labelled set does not exist",
        do="Name a folder that is there.",
    ).refuses():
        task.fit(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="No annotation file in COCO's format"):
        task.fit(tmp_path, run_dir=tmp_path / "run")
    with pytest.raises(ValueError, match="one data set at a time"):
        task.evaluate("coco,mpii")


@pytest.mark.slow
def test_an_int8_file_is_calibrated_on_the_set_that_is_named(coco_folder, tmp_path, capsys):
    task = coco_task()
    with pytest.warns(UserWarning, match="Calibrating on 4 crops only"):
        export = task.export(
            "tflite",
            tmp_path / "pose.tflite",
            int8=True,
            data=coco_folder,
            calibration_images=4,
        )
    assert read_contract(export.path).quantization == "int8"
    assert "of the train split of coco" in capsys.readouterr().out
    file = PoseTask.from_file(export.path, detector="whole image")
    assert file.predict(photo(5)).keypoints_xy.shape == (1, 17, 2)


def test_exports_that_make_no_sense_are_refused(task, tmp_path):
    for arguments, message in (
        ({"kind": "coreml"}, "The kind of a file must be tflite, onnx"),
        ({"int8": True, "float16": True}, "Choose int8 or float16"),
        ({"kind": "onnx_int8", "int8": True}, "says its precision itself"),
        ({"data": tmp_path}, "data is to calibrate on, which float32 does not do"),
        ({"path": tmp_path / "pose.onnx"}, "A float32 file must end in .tflite"),
    ):
        with pytest.raises(ValueError, match=message):
            task.export(**arguments)


def test_kinds_of_files_have_the_names_of_the_formats():
    from keras_pose.tasks.exports import format_name

    assert format_name("tflite", int8=True) == "int8"
    assert format_name("onnx") == "onnx_float32"
    assert format_name("onnx", int8=True) == "onnx_int8"
    assert format_name("tflite", float16=True) == "float16"
    assert format_name("int16x8") == "int16x8"


def test_a_detector_is_no_task():
    contract = read_detector_contract(shipped_file(DETECTOR))
    with pytest.raises(ValueError, match="testing_pose finds boxes"):
        PoseTask(create_model("testing_pose"), contract)
