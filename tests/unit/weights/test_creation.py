"""Official weights in one word, by way of a server on this machine."""

import dataclasses
import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from file_server import serving
from parity_check import check_outputs, load_reference
from says import Says
from torch_files import write_torch_zip
from weights_check import assert_same_weights, reference_tensors

from keras_pose.contracts.pose import read_contract
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.inference import PoseEstimator
from keras_pose.models.checkpoint import read_layers
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.runtime import load_model
from keras_pose.runtime.detector_model import load_detector
from keras_pose.shipped import network_of_model
from keras_pose.skeleton import COCO_17
from keras_pose.weights import catalog, download
from keras_pose.weights.catalog import get_entry
from keras_pose.weights.creation import create_model
from keras_pose.weights.download import DownloadError
from keras_pose.weights.provenance import contract_of, normalization_of, provenance_of
from keras_pose.zoo import build_model, get_spec

ROOT = Path(__file__).resolve().parents[3]
INPUT_HW = (64, 64)


def publish(monkeypatch, tmp_path, server, entry, tensors, input_hw=INPUT_HW):
    """Puts a checkpoint on the server, and its hash and address into the catalogue."""
    write_torch_zip(tmp_path / "made.pth", tensors)
    content = (tmp_path / "made.pth").read_bytes()
    server.files[entry.file_name] = content
    published = dataclasses.replace(
        entry,
        url=f"{server.url}/{entry.file_name}",
        sha256=(hashlib.sha256(content).hexdigest()[:8],),
        input_hw=input_hw,
    )
    others = [e for e in catalog.all_entries() if e != entry]
    monkeypatch.setattr(catalog, "all_entries", lambda: (published, *others))
    return published


@pytest.fixture
def server():
    with serving({}) as server:
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(download.HOME_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def run_script(path, *arguments):
    """Runs a script of the project in this process, which has TensorFlow loaded."""
    module_spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    script = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(script)
    script.main(list(arguments))


def mmpose_tensors(model):
    """The model's weights under mmpose's names."""
    return {
        ("head." if name.startswith(("final", "deconv")) else "backbone.") + name: array
        for name, array in reference_tensors(model).items()
        if array.ndim
    }


# Builds in a second, and has no official weights of its own.
SMALL = "simple_baseline_resnet18"


@pytest.fixture(scope="module")
def network():
    return build_model(SMALL, input_hw=INPUT_HW)


@pytest.fixture
def published(monkeypatch, tmp_path, server, network):
    entry = get_entry("simple_baseline_resnet50", "coco")
    entry = dataclasses.replace(entry, model=SMALL)
    return publish(monkeypatch, tmp_path, server, entry, mmpose_tensors(network))


@pytest.mark.slow
def test_a_word_becomes_a_model_and_the_second_time_nobody_is_asked(
    published, server, network, capsys
):
    first = create_model(SMALL, weights="coco")
    assert len(server.requests) == 1
    server.files.clear()
    again = create_model(SMALL, weights="coco")

    assert_same_weights(first, network)
    assert_same_weights(again, network)
    assert len(server.requests) == 1
    assert capsys.readouterr().out.count("Converting") == 1
    contract = contract_of(again)
    assert contract.skeleton == COCO_17
    assert contract.normalization == IMAGENET
    assert contract.codec.input_hw == INPUT_HW


@pytest.mark.slow
def test_other_keypoints_keep_the_body_and_say_so(published, network, capsys):
    model = create_model(SMALL, num_keypoints=5, weights="coco")

    assert model.output_shape[-1] == 5
    assert "so for 5 these layers start at random: final_layer." in capsys.readouterr().out
    for layer in model.layers:
        if layer.name != "final_layer":
            pairs = zip(
                layer.weights, network.get_layer(layer.name).get_weights(), strict=True
            )
            assert all(np.array_equal(new, old) for new, old in pairs)
    assert contract_of(model).skeleton.num_keypoints == 5
    assert normalization_of(model) == published.normalization


@pytest.mark.slow
def test_another_input_size_takes_the_same_weights(published, network):
    model = create_model(SMALL, input_hw=(64, 32), weights="coco")
    assert model.input_shape == (None, 64, 32, 3)
    assert_same_weights(model, network)


@pytest.mark.slow
def test_broken_download_is_resumed(published, server, network):
    server.break_after = 5_000_000
    assert_same_weights(create_model(SMALL, weights="coco"), network)
    assert [asked for _, asked in server.requests] == [None, "bytes=5000000-"]


def test_wrong_hash_is_refused(published, server, cache):
    server.files[published.file_name] += b" "
    with Says(
        "not the file that was published",
        do="Try again; from a mirror (KERAS_POSE_MIRROR), ask who keeps it.",
    ).refuses():
        create_model(SMALL, weights="coco")
    assert not list(cache.glob("*/*.pth")) + list(cache.glob("converted/*"))


def test_offline_is_told_with_what_to_do(published, server, cache):
    server.files.clear()
    with pytest.raises(DownloadError) as caught:
        create_model(SMALL, weights="coco")
    for part in (published.url, str(cache), "KERAS_POSE_HOME"):
        assert part in str(caught.value)


@pytest.mark.slow
def test_programs_take_the_word_too(published, tmp_path):
    pose_model = load_model("coco", model=SMALL)
    estimator = PoseEstimator(SMALL, "whole image", weights="coco")
    converted = next((tmp_path / "cache" / "converted").iterdir())

    assert pose_model.contract == read_contract(converted)
    assert estimator.pose_model.contract == pose_model.contract
    image = np.zeros((40, 30, 3), np.uint8)
    assert estimator(image).keypoints_xy.shape == (1, 17, 2)


@pytest.mark.very_slow
def test_scripts_take_the_word_and_write_here(published, tmp_path, monkeypatch, capsys):
    write_coco_dataset(tmp_path / "people", 2, split="val")
    monkeypatch.chdir(tmp_path)
    weights = ("--weights", "coco", "--model", SMALL)

    data = ("--dataset", "synthetic", "--data-dir", "people")
    run_script("training/evaluate.py", *weights, *data)
    run_script("export/to_tflite.py", *weights, "--float16")

    assert list(tmp_path.glob("results/metrics_*.json"))
    exported = tmp_path / "export" / "float16" / "pose_model.tflite"
    assert read_contract(exported).skeleton == COCO_17
    cached = [path.suffix for path in (tmp_path / "cache" / "converted").iterdir()]
    assert cached == [".keras"]
    with Says(
        "need a model: add --model NAME", do="Name the network whose weights they are."
    ).refuses():
        run_script("training/evaluate.py", *weights[:2], *data)


def test_words_need_a_model():
    with pytest.raises(ValueError, match="say of which model"):
        load_model("coco")
    with pytest.raises(ValueError, match="with which weights"):
        PoseEstimator(SMALL)


def test_backbones_are_nothing_to_run():
    with Says(
        "are those of a backbone: nothing to run before it is trained",
        do="Start a training from them: training/train.py --weights imagenet.",
    ).refuses():
        load_model("imagenet", model=SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".pth", ".pt", ".pth.tar"])
def test_checkpoints_of_papers_bring_their_order_of_channels(ending, tmp_path):
    model = build_model("simple_baseline_resnet18", input_hw=INPUT_HW)
    tensors = {k: v for k, v in reference_tensors(model).items() if v.ndim}
    write_torch_zip(tmp_path / f"pose{ending}", tensors)

    loaded = create_model(model.name, None, INPUT_HW, tmp_path / f"pose{ending}")

    assert_same_weights(loaded, model)
    assert normalization_of(loaded).channel_order == "bgr"
    # COCO has 17, too, and so have animals.
    assert contract_of(loaded).skeleton.name == "plain_17"


@pytest.mark.slow
def test_a_file_of_the_catalogue_is_known_by_its_hash(published, server, tmp_path):
    (tmp_path / "mine.pth").write_bytes(server.files[published.file_name])
    contract = contract_of(create_model(SMALL, None, INPUT_HW, tmp_path / "mine.pth"))
    assert contract.skeleton == COCO_17
    assert contract.normalization == published.normalization


@pytest.mark.slow
def test_rtmpose_by_its_word_computes_what_mmpose_does(monkeypatch, tmp_path, server):
    reference = load_reference("rtmpose_t_256x192")
    entry = get_entry("rtmpose_t", "coco")
    tensors = {name: array for name, array in reference.weights.items() if array.ndim}
    publish(monkeypatch, tmp_path, server, entry, tensors, entry.input_hw)

    model = create_model("rtmpose_t", weights="coco")
    five = create_model("rtmpose_t", num_keypoints=5, weights="coco")

    simcc = np.asarray(model(reference.image, training=False))
    check_outputs(np.split(simcc, [2 * 192], axis=-1), reference)
    contract = contract_of(model)
    assert contract.codec.kind == "simcc"
    assert contract.skeleton == COCO_17
    assert contract_of(five).skeleton.num_keypoints == 5
    stem = five.get_layer("stem-0-conv").get_weights()
    np.testing.assert_array_equal(stem, model.get_layer("stem-0-conv").get_weights())


@pytest.mark.very_slow
def test_detectors_by_their_word_carry_blue_first(monkeypatch, tmp_path, server):
    reference = load_reference("rtmdet_nano_person_320")
    entry = get_entry("rtmdet_nano", "person")
    tensors = {name: array for name, array in reference.weights.items() if array.ndim}
    publish(monkeypatch, tmp_path, server, entry, tensors, entry.input_hw)

    first = create_model("rtmdet_nano", weights="person")
    again = create_model("rtmdet_nano", weights="person")

    assert_same_weights(first, again)
    assert normalization_of(again).channel_order == "bgr"
    assert len(server.requests) == 1
    assert load_detector("person", model="rtmdet_nano").contract.class_names == ("person",)
    check_outputs(again(reference.image, training=False), reference)


@pytest.mark.slow
def test_a_network_starts_from_another_ones_trunk(tmp_path, capsys):
    path = network_of_model("pose_lite")

    model = create_model("openpose_lite", 17, (64, 64), path)

    assert "holds pose_lite, so these layers start at random" in capsys.readouterr().out
    stored = read_layers(path)
    for name in ("conv_stem", "blocks-15-bn2", "pyramid0-smooth-conv"):
        pairs = zip(model.get_layer(name).get_weights(), stored[name], strict=True)
        assert all(np.array_equal(new, old) for new, old in pairs)
    assert normalization_of(model) == get_spec("pose_lite").normalization
    assert provenance_of(model).is_backbone
    with Says(
        "whose trunk is not that of pose_lite_1: layer blocks-3",
        do="Start from a network on the trunk of the same size.",
    ).refuses():
        create_model("pose_lite_1", 17, (64, 64), path)


@pytest.mark.slow
def test_imagenet_fills_the_backbone_and_leaves_the_head_at_random(
    monkeypatch, tmp_path, server, network
):
    body = {
        name: array
        for name, array in reference_tensors(network).items()
        if array.ndim and not name.startswith(("final_layer", "deconv"))
    }
    classifier = {"fc.weight": np.zeros((1000, 512)), "fc.bias": np.zeros(1000)}
    entry = get_entry(SMALL, "imagenet")
    publish(monkeypatch, tmp_path, server, entry, body | classifier)

    model = create_model(SMALL, num_keypoints=4, input_hw=(64, 32), weights="imagenet")

    assert model.output_shape[-1] == 4
    for layer in model.layers:
        if not layer.name.startswith(("final_layer", "deconv")):
            pairs = zip(
                layer.weights, network.get_layer(layer.name).get_weights(), strict=True
            )
            assert all(np.array_equal(new, old) for new, old in pairs)
    assert normalization_of(model) == entry.normalization
