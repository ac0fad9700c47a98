import dataclasses
import json
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from exported_files import INPUT_HW, SKELETON, export_tflite, smooth_crops, tiny_model
from says import Says

from keras_pose.contracts.entries import save_keras_model, write_contract
from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.exporting.comparison import relative_error
from keras_pose.exporting.formats.writing import MAX_ERROR
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.runtime import PoseModel, load_model
from keras_pose.runtime.keras_backend import load_network
from keras_pose.skeleton import COCO_17, MPII_16, plain_skeleton
from keras_pose.weights.creation import create_model
from keras_pose.zoo import build_model, get_spec

KINDS = (".keras", "onnx", "float32", "float16", "dynamic", "int8")
FILES = (".keras", "onnx", "int8")


@pytest.fixture
def copy_of(exported, tmp_path):
    """Returns a function that copies a file, with its contract, to be spoilt."""

    def copy(kind):
        path = exported.paths[kind]
        copied = tmp_path / path.name
        shutil.copy(path, copied)
        if kind != ".keras":
            write_contract(copied, read_contract(path))
        return copied

    return copy


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_predicts_the_last_stack_of_the_keras_model(exported, kind):
    model = load_model(exported.paths[kind])

    heatmaps = model.predict(exported.crops)

    assert heatmaps.shape == (len(exported.crops), 8, 6, SKELETON.num_keypoints)
    assert heatmaps.dtype == np.float32
    bound = MAX_ERROR[model.contract.quantization]
    assert relative_error(heatmaps, exported.heatmaps(exported.crops)) < bound


@pytest.mark.parametrize("kind", [".keras", "onnx", "float32"])
def test_float_files_differ_from_keras_by_rounding_only(exported, kind):
    heatmaps = load_model(exported.paths[kind]).predict(exported.crops)
    # Sums of 72 products in another order: a few units of float32's last place.
    np.testing.assert_allclose(heatmaps, exported.heatmaps(exported.crops), atol=1e-5)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("count", [0, 1, 33])
def test_any_number_of_crops_is_predicted_one_by_one(exported, kind, count):
    model = load_model(exported.paths[kind])
    crops = smooth_crops(count)

    heatmaps = model.predict(crops)

    assert len(heatmaps) == count
    singly = [model.predict(crops[i : i + 1]) for i in range(count)]
    if singly:
        np.testing.assert_allclose(heatmaps, np.concatenate(singly), atol=1e-5)


def test_last_batch_of_a_fixed_batch_file_is_padded(exported, tmp_path):
    path = tmp_path / "batch4.tflite"
    export_tflite(exported.model, exported.contract, path, exported.crops, batch=4)
    model = load_model(path)
    assert model.contract.input.shape == (4, *INPUT_HW, 3)

    heatmaps = model.predict(exported.crops[:6])

    np.testing.assert_allclose(heatmaps, exported.heatmaps(exported.crops[:6]), atol=1e-5)


@pytest.mark.parametrize(
    "crops",
    [
        pytest.param(np.zeros((1, *INPUT_HW, 3), np.float32), id="float"),
        pytest.param(np.zeros((1, *INPUT_HW[::-1], 3), np.uint8), id="swapped_sizes"),
        pytest.param(np.zeros((*INPUT_HW, 3), np.uint8), id="no_batch"),
    ],
)
def test_other_crops_are_refused(exported, crops):
    with pytest.raises(ValueError, match=r"takes crops of shape \(N, 32, 24, 3\)"):
        load_model(exported.paths["int8"]).predict(crops)


def test_model_in_memory_sees_later_changes_of_its_weights(exported):
    network = tiny_model(seed=1)
    model = PoseModel.from_keras(network, exported.contract)
    before = model.predict(exported.crops)

    network.get_layer("stack2").bias.assign_add([1.0, 1.0, 1.0])

    np.testing.assert_allclose(model.predict(exported.crops), before + 1, atol=1e-5)


def test_weights_file_has_the_zoo_contract_and_numbered_keypoints(tmp_path, capsys):
    network = create_model("testing_pose", input_hw=(64, 32))
    path = tmp_path / "slim.weights.h5"
    network.save_weights(path)

    said = Says(
        "does not say which 17 keypoints it predicts: they are numbered",
        do="Name them: `--skeleton coco_17`, or a file of your own (docs/skeletons.md).",
    )

    model = load_model(path, model="testing_pose", input_hw=(64, 32))

    assert said.is_in(capsys.readouterr().out)
    assert model.file_type == ".weights.h5"
    assert model.contract.skeleton.name == "plain_17"
    named = load_model(path, "testing_pose", input_hw=(64, 32), skeleton=COCO_17)
    assert named.contract.skeleton == COCO_17
    assert not capsys.readouterr().out
    with Says(
        "predicts 17 keypoints, the skeleton 'mpii_16' has 16",
        do="Bring the skeleton that the network was trained with.",
    ).refuses():
        load_model(path, "testing_pose", input_hw=(64, 32), skeleton=MPII_16)
    crops = smooth_crops(2, (64, 32))
    expected = network(model.contract.normalization(crops), training=False)
    np.testing.assert_allclose(model.predict(crops), expected, atol=1e-5)


def test_weights_file_needs_a_model_name(tmp_path):
    (tmp_path / "w.weights.h5").touch()
    with pytest.raises(ValueError, match="say of which model"):
        load_model(tmp_path / "w.weights.h5")


def test_weights_file_of_a_misspelt_model_suggests_names(tmp_path):
    (tmp_path / "w.weights.h5").touch()
    with pytest.raises(ValueError, match="Did you mean pose_slim"):
        load_model(tmp_path / "w.weights.h5", model="poseslim")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("pose.tfilte", r"Did you mean \.tflite"),
        ("pose.onxx", r"Did you mean \.onnx"),
        ("pose.h5", r"Did you mean \.weights\.h5"),
        ("pose", r"\.keras, \.weights\.h5, \.tflite, \.onnx"),
    ],
)
def test_unknown_file_types_suggest_near_ones(name, hint):
    with pytest.raises(ValueError, match=hint):
        load_model(name)


@pytest.mark.parametrize("name", ["a.keras", "a.weights.h5", "a.tflite", "a.onnx"])
def test_missing_files_are_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        load_model(tmp_path / name, model="testing_pose")


@pytest.mark.parametrize("kind", FILES)
def test_arguments_that_contradict_the_contract_are_refused(exported, kind):
    path = exported.paths[kind]
    with pytest.raises(ValueError, match="its contract says 'tiny'"):
        load_model(path, model="hrnet_w32")
    with pytest.raises(ValueError, match="its contract says 3"):
        load_model(path, num_keypoints=17)


def test_files_of_another_keras_name_both_versions(tmp_path):
    path = tmp_path / "newer.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.99.0"}))
        archive.writestr("config.json", json.dumps({"class_name": "Unknown", "config": {}}))
        archive.writestr("model.weights.h5", b"")
    says = Says(
        "Keras 3.99.0 wrote it (pip install keras==3.99.0)",
        do="Install the Keras that wrote the file, or save it anew with the one you have.",
    )
    with says.refuses():
        load_network(path)


def test_a_network_of_another_keras_is_built_by_its_row(tmp_path, capsys):
    network = build_model("testing_pose", 5, (64, 64))
    codec = get_spec("testing_pose").make_codec((64, 64))
    skeleton = plain_skeleton(5)
    contract = keras_contract(network, codec, skeleton, IMAGENET)
    save_keras_model(network, tmp_path / "here.keras", contract)
    newer = tmp_path / "newer.keras"
    changes = {"metadata.json": {"keras_version": "3.99.0"},
               "config.json": {"class_name": "Unknown", "config": {}}}  # fmt: skip
    with (
        zipfile.ZipFile(tmp_path / "here.keras") as file,
        zipfile.ZipFile(newer, "w") as other,
    ):
        for name in file.namelist():
            changed = json.dumps(changes[name]) if name in changes else file.read(name)
            other.writestr(name, changed)
    model = load_model(newer)
    assert "built by its name, testing_pose" in capsys.readouterr().out
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    expected = load_model(tmp_path / "here.keras").predict(crops)
    np.testing.assert_array_equal(model.predict(crops), expected)
    assert model.contract.skeleton == skeleton


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("part", [0.0, 0.1, 0.9])
def test_truncated_files_are_named(copy_of, kind, part):
    path = copy_of(kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    if kind != ".keras":  # past the check of the hash, to the runtime itself
        write_contract(path, read_contract_of(path))

    with pytest.raises(ValueError, match=path.name.replace(".", r"\.")):
        load_model(path)


def read_contract_of(path):
    """Reads a contract though the file was changed."""
    from keras_pose.contracts.entries import contracts_beside
    from keras_pose.contracts.pose import Contract

    return Contract.from_dict(contracts_beside(path)[path.name])


def test_keras_file_with_spoilt_weights_is_named(exported, tmp_path):
    import zipfile

    path = tmp_path / "spoilt.keras"
    with (
        zipfile.ZipFile(exported.paths[".keras"]) as old,
        zipfile.ZipFile(path, "w") as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content[:100] if name.endswith(".h5") else content)

    with pytest.raises(ValueError, match=r"spoilt\.keras cannot be loaded"):
        load_model(path)


@pytest.mark.parametrize("kind", ["onnx", "int8"])
def test_changed_file_is_not_the_one_of_its_contract(copy_of, kind):
    path = copy_of(kind)
    with path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match="not the file its contract describes"):
        load_model(path)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        pytest.param("int8", {"scale": 0.5}, id="scale"),
        pytest.param("int8", {"dtype": "float32"}, id="dtype"),
        # The heatmaps that a network of stride 8 would give.
        pytest.param("float32", {"shape": (1, 4, 3, 3)}, id="shape"),
        pytest.param("onnx", {"shape": (1, 4, 3, 3)}, id="onnx_shape"),
    ],
)
def test_contract_that_does_not_fit_the_file_is_refused(copy_of, kind, changes):
    path = copy_of(kind)
    contract = read_contract(path)
    wrong = dataclasses.replace(contract.output, **changes)
    stride = INPUT_HW[0] // wrong.shape[1]
    codec = dataclasses.replace(contract.codec, stride=stride)
    write_contract(path, dataclasses.replace(contract, output=wrong, codec=codec))

    with pytest.raises(ValueError, match="the contract's output is"):
        load_model(path)


def test_keras_file_that_does_not_fit_its_contract_is_refused(exported, tmp_path):
    slim = create_model("testing_pose", num_keypoints=3, input_hw=(64, 32))
    path = save_keras_model(slim, tmp_path / "a.keras", exported.contract)
    with pytest.raises(ValueError, match="does not fit its contract"):
        load_model(path)


@pytest.mark.parametrize(
    ("kind", "module", "package"),
    [
        ("int8", "ai_edge_litert.interpreter", "ai-edge-litert"),
        ("onnx", "onnxruntime", "onnxruntime"),
        (".keras", "tensorflow", "tensorflow"),
    ],
)
def test_missing_runtime_names_the_package(exported, monkeypatch, kind, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        load_model(exported.paths[kind])


def test_num_threads_must_be_positive(exported):
    with pytest.raises(ValueError, match="num_threads must be at least 1, got 0"):
        load_model(exported.paths["int8"], num_threads=0)


WITHOUT_TENSORFLOW = """
import sys
for name in ("tensorflow", "keras", *{blocked!r}):
    sys.modules[name] = None  # makes `import name` fail
import numpy as np
from keras_pose.runtime import load_model
model = load_model({path!r})
print(model.predict(np.zeros((2, 32, 24, 3), np.uint8)).shape)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "blocked"), [("int8", ["onnxruntime"]), ("onnx", ["ai_edge_litert"])]
)
def test_phone_files_run_where_nothing_else_is_installed(
    exported, kind, blocked, pytestconfig
):
    code = WITHOUT_TENSORFLOW.format(blocked=blocked, path=str(exported.paths[kind]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=pytestconfig.rootpath,
        check=False,
    )
    assert done.stdout.strip() == "(2, 8, 6, 3)", done.stderr


def test_keras_contract_describes_the_last_stack(exported):
    contract = keras_contract(
        exported.model, exported.contract.codec, SKELETON, exported.contract.normalization
    )
    assert contract.output.shape == (1, 8, 6, 3)
