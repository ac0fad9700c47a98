"""Simple Baselines on trunks from elsewhere: any Keras model, and KerasHub's backbones."""

import importlib.util
import json
import sys
import types

import keras
import numpy as np
import pytest
from keras import layers
from says import Says

from keras_pose import PoseTask
from keras_pose.models.trunks import build_on_trunk
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.skeleton import COCO_17, Skeleton
from keras_pose.tasks.backbones import converter_normalization
from keras_pose.weights.creation import create_model

INPUT_HW = (64, 32)


def small_trunk(strides=(2, 2, 2), size=(None, None), name="small"):
    """Returns a few convolutions with batch norm, whose features have their stride."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*size, 3))
    x = image
    for i, stride in enumerate(strides):
        x = layers.Conv2D(4, 3, strides=stride, padding="same", name=f"conv{i}")(x)
        x = layers.BatchNormalization(name=f"bn{i}")(x)
    return keras.Model(image, x, name=name)


@pytest.mark.parametrize("num_halvings", [2, 3, 5])
def test_the_head_enlarges_to_a_quarter_whatever_the_stride(num_halvings):
    trunk = small_trunk((2,) * num_halvings)
    model = build_on_trunk(trunk, 5, INPUT_HW, head_channels=8)
    assert model.output.shape == (None, 16, 8, 5)
    deconvs = [x for x in model.layers if isinstance(x, layers.Conv2DTranspose)]
    assert len(deconvs) == num_halvings - 2


def test_the_features_are_the_trunks_and_its_weights_are_copied():
    trunk = small_trunk((2, 2))
    model = build_on_trunk(trunk, 5, INPUT_HW)
    picture = np.random.default_rng(0).normal(size=(1, *INPUT_HW, 3)).astype("float32")
    ours = keras.Model(model.input, model.get_layer("final_layer").input)
    np.testing.assert_array_equal(ours(picture), trunk(picture))
    model.get_layer("conv0").set_weights(
        [np.zeros_like(w) for w in model.get_layer("conv0").get_weights()]
    )
    assert np.any(trunk.get_layer("conv0").get_weights()[0])


def test_of_a_pyramid_the_smallest_is_taken():
    trunk = small_trunk((2, 2, 2))
    trunk.pyramid_outputs = {
        "P2": trunk.get_layer("bn1").output,
        "P10": trunk.get_layer("bn2").output,
        "P1": trunk.get_layer("bn0").output,
    }
    model = build_on_trunk(trunk, 5, INPUT_HW)
    assert model.get_layer("deconv_layers-0").input.shape == (None, 8, 4, 4)


def pooled():
    trunk = small_trunk()
    return keras.Model(trunk.inputs, layers.GlobalAveragePooling2D()(trunk.outputs[0]))


def two_inputs():
    first, second = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    return keras.Model([first, second], layers.Add()([first, second]))


@pytest.mark.parametrize(
    ("trunk", "message"),
    [
        pytest.param(lambda: "resnet", "A trunk is a functional Keras model", id="word"),
        pytest.param(pooled, r"gives features \(B, h, w, C\); those", id="pooled"),
        pytest.param(two_inputs, "takes pictures", id="two_inputs"),
        pytest.param(
            lambda: small_trunk((3, 2)), "The stride of a trunk must be one of", id="stride"
        ),
    ],
)
def test_trunks_without_a_map_of_features_are_refused(trunk, message):
    with pytest.raises(ValueError, match=message):
        build_on_trunk(trunk(), 5, INPUT_HW)


def trunk_task():
    return PoseTask.from_backbone(
        small_trunk(), "coco_17", input_hw=(64, 64), head_channels=8, detector="whole image"
    )


def test_a_head_at_random_is_nothing_to_run(tmp_path):
    task = trunk_task()
    assert task.skeleton == COCO_17
    assert task.contract.normalization == IMAGENET
    for use in (task.export, lambda: task.predict(np.zeros((9, 9, 3), np.uint8))):
        with Says(
            "its head starts at random, so there is nothing to run before fit",
            do="Train the task first: `task.fit(folder)`.",
        ).refuses():
            use()


@pytest.mark.slow
@pytest.mark.very_slow
def test_a_task_on_a_trunk_is_trained_saved_and_trained_on(tmp_path):
    task = trunk_task()
    run = task.fit(
        "synthetic", run_dir=tmp_path / "run", batch_size=4, max_steps=1, synthetic_images=4
    )
    recipe = json.loads((run / "recipe.json").read_text())
    assert recipe["model"] == "simple_baseline_trunk"
    photo = np.random.default_rng(0).integers(0, 256, (80, 60, 3), np.uint8)
    poses = task.predict(photo)

    saved = task.save_to_preset(tmp_path / "preset")
    assert (saved / "model.keras").exists()
    back = PoseTask.from_preset(saved, detector="whole image")
    np.testing.assert_array_equal(poses.keypoints_xy, back.predict(photo).keypoints_xy)

    # Other keypoints: a new head on the same body.
    pair = Skeleton("pair", ("left_wrist", "nose"))
    other = PoseTask.from_preset(saved, skeleton=pair)
    assert other.network.output.shape == (None, 16, 16, 2)
    rows = [COCO_17.index(name) for name in pair.names]
    kernel, _ = back.network.get_layer("final_layer").get_weights()
    moved, _ = other.network.get_layer("final_layer").get_weights()
    np.testing.assert_array_equal(moved, kernel[..., rows])
    # Its own file is what a run starts from.
    again = create_model("simple_baseline_trunk", 17, weights=run / "best.keras")
    for ours, theirs in zip(again.get_weights(), back.network.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_zoo_does_not_build_it_alone():
    with pytest.raises(ValueError, match=r"PoseTask\.from_backbone builds it"):
        create_model("simple_baseline_trunk")


def test_a_missing_kerashub_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with Says(
        "Backbones of KerasHub need the package keras-hub",
        do="`pip install keras_pose[keras-hub]`",
    ).refuses(ImportError):
        PoseTask.from_backbone("resnet_18_imagenet")


def test_scale_and_offset_of_kerashub_become_mean_and_deviation():
    # KerasHub's own numbers of ImageNet presets: pixels * scale + offset.
    std = np.array(IMAGENET.std)
    converter = types.SimpleNamespace(
        scale=(1 / 255 / std).tolist(), offset=(-np.array(IMAGENET.mean) / std).tolist()
    )
    pixels = np.random.default_rng(0).integers(0, 256, (2, 2, 3))
    found = converter_normalization(converter)
    np.testing.assert_allclose(found(pixels), IMAGENET(pixels), rtol=0, atol=1e-6)
    # From 0 to 1, as vision presets without statistics have it.
    plain = converter_normalization(types.SimpleNamespace(scale=1 / 255, offset=None))
    np.testing.assert_allclose(plain(pixels), pixels / 255, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("keras_hub") is None,
    reason="keras-hub is not installed (pip install keras_pose[keras-hub])",
)
def test_a_backbone_of_kerashub_is_a_trunk(tmp_path):
    import keras_hub

    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64, 64, 64],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
    )
    task = PoseTask.from_backbone(
        backbone, input_hw=(64, 64), head_channels=8, detector="whole image"
    )
    assert task.network.output.shape == (None, 16, 16, 17)
    run = task.fit(
        "synthetic", run_dir=tmp_path / "run", batch_size=4, max_steps=1, synthetic_images=4
    )
    assert (run / "best.keras").exists()
    saved = task.save_to_preset(tmp_path / "preset")
    back = PoseTask.from_preset(saved, detector="whole image")
    photo = np.random.default_rng(0).integers(0, 256, (80, 60, 3), np.uint8)
    np.testing.assert_array_equal(
        task.predict(photo).keypoints_xy, back.predict(photo).keypoints_xy
    )
