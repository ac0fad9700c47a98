"""Core ML packages: what is written is run, without a Mac, and is what Keras computes."""

import functools
import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from exported_files import BGR, SKELETON, smooth_crops
from says import Says

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.entries import CONTRACT_NAME
from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.formats import coreml
from keras_pose.exporting.formats.coreml import METADATA_KEY, export_coreml
from keras_pose.models.vitpose import build_vitpose
from keras_pose.runtime import load_model, mil
from keras_pose.runtime.coreml_backend import CoreMLBackend
from keras_pose.runtime.detector_model import load_detector
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import file_contract_of

pytest.importorskip("coremltools", reason="pip install 'keras_pose[coreml]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="coremltools has no Windows"),
    # Of coremltools: versions it has not tested, and casts of its own.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def package(exported, tmp_path_factory):
    path = tmp_path_factory.mktemp("coreml") / "tiny.mlpackage"
    export_coreml(exported.model, exported.contract, path, exported.crops)
    return path


def test_a_package_gives_what_keras_gives(package, exported):
    model = load_model(package)
    crops = exported.crops[:3]

    heatmaps = model.predict(crops)

    expected = exported.heatmaps(crops)
    assert model.contract.quantization == "float16"
    assert model.contract.skeleton == exported.contract.skeleton
    np.testing.assert_allclose(heatmaps, expected, atol=5e-3 * expected.std())
    # Half precision it is: float32 would be a thousand times as near.
    assert np.abs(heatmaps - expected).max() > 1e-5 * expected.std()


def test_the_contract_is_in_the_package_too(package):
    backend = CoreMLBackend(package)
    inside = json.loads(backend._spec.description.metadata.userDefined[METADATA_KEY])
    beside = json.loads(package.with_name(CONTRACT_NAME).read_text())["models"]

    entry = beside["tiny.mlpackage"]
    assert inside.items() >= {k: v for k, v in entry.items() if k != "file"}.items()
    assert backend.input.dtype == "uint8"


def test_another_package_under_the_name_is_noticed(package):
    (manifest,) = package.glob("Manifest.json")
    content = manifest.read_bytes()
    manifest.write_bytes(content + b"\n")
    with pytest.raises(ValueError, match="is not the file its contract describes"):
        read_contract(package)
    manifest.write_bytes(content)
    read_contract(package)


def test_a_package_that_computes_otherwise_is_not_left_behind(
    package, exported, tmp_path, monkeypatch
):
    other = keras.models.clone_model(exported.model)
    monkeypatch.setattr(coreml, "in_float32", lambda model, replace: other)
    with Says(
        "The converted float32 file of ... gives other outputs than the Keras model",
        do="Report it: the converter made something else of this network.",
    ).refuses(ExportError):
        export_coreml(
            exported.model, exported.contract, tmp_path / "a.mlpackage", exported.crops,
            "float32",
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_the_program_writes_a_package_and_says_what_it_is(exported, tmp_path, capsys):
    script = Path(__file__).resolve().parents[4] / "export" / "to_coreml.py"
    main = runpy.run_path(str(script), run_name="to_coreml")["main"]
    path = tmp_path / "Pose.mlpackage"

    main(["--weights", str(exported.paths[".keras"]), "--output", str(path)])

    printed = capsys.readouterr().out
    assert f"written  {path}" in printed
    assert "checked  against Keras" in printed
    assert load_model(path).contract.quantization == "float16"
    with pytest.raises(SystemExit):
        main(["--output", "pose.tflite"])
    assert "--output must end in .mlpackage" in capsys.readouterr().err


@pytest.mark.very_slow
def test_weights_of_eight_bits_take_half_the_room(tmp_path):
    keras.utils.set_random_seed(0)
    model = create_model("pose_slim", input_hw=(64, 32))
    contract = file_contract_of(model)
    crops = np.random.default_rng(0).integers(0, 256, (1, 64, 32, 3), np.uint8)
    sizes = {}
    for kind in ("float16", "dynamic"):
        path = tmp_path / f"{kind}.mlpackage"
        error = export_coreml(model, contract, path, crops, kind).error
        assert error < (0.01 if kind == "float16" else 0.2)
        sizes[kind] = sum(x.stat().st_size for x in path.rglob("weight.bin"))

    assert sizes["dynamic"] < 0.6 * sizes["float16"]


@pytest.mark.very_slow
def test_a_detectors_outputs_keep_their_names(tmp_path):
    keras.utils.set_random_seed(0)
    model = create_model("testing_detector", 1)
    contract = file_contract_of(model)
    path = tmp_path / "boxes.mlpackage"
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)

    error = export_coreml(model, contract, path, crops, "float32").error

    assert error < 1e-4
    names = [spec.name for spec in CoreMLBackend(path).outputs]
    assert names == [spec.name for spec in contract.outputs]
    load_detector(path)(np.zeros((9, 9, 3), np.uint8))


def test_an_exact_gelu_becomes_one_and_not_its_approximation(tmp_path):
    # What Keras writes for it, coremltools 9.0 refuses: Erfc.
    keras.utils.set_random_seed(0)
    model = build_vitpose(3, (32, 32), channels=8, num_heads=2, num_blocks=1, head="simple")
    for name in ("layers-0-ffn-layers-0-0", "layers-0-ffn-layers-1"):
        layer = model.get_layer(name)  # untrained, it gives GELU nothing to bend
        layer.set_weights([50 * weights for weights in layer.get_weights()])
    codec = GaussianHeatmapCodec((32, 32), stride=4, sigma=1.0)
    contract = keras_contract(model, codec, SKELETON, BGR)
    crops = smooth_crops(2, (32, 32))
    expected = model(BGR(crops), training=False).numpy()

    path = tmp_path / "vitpose.mlpackage"
    export_coreml(model, contract, path, crops, "float32")

    gap = np.abs(load_model(path).predict(crops) - expected).max() / expected.std()
    approximate = functools.partial(keras.activations.gelu, approximate=True)
    model.get_layer("layers-0-ffn-layers-0-1").activation = approximate
    other = np.abs(model(BGR(crops), training=False).numpy() - expected).max()
    assert gap < 1e-5 < 0.1 * other / expected.std()


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("a.mlmodel", "float16", "must end in .mlpackage"),
        ("a.mlpackage", "int8", "quantization must be one of float16, float32, dynamic"),
    ],
)
def test_what_is_no_package_is_refused(exported, tmp_path, name, kind, message):
    with pytest.raises(ValueError, match=message):
        export_coreml(
            exported.model, exported.contract, tmp_path / name, exported.crops, kind
        )


def test_a_folder_that_is_no_package_is_refused(tmp_path):
    (tmp_path / "a.mlpackage").mkdir()
    with Says(
        "a.mlpackage is damaged or no Core ML package",
        do="Export it anew, and copy the folder whole.",
    ).refuses():
        CoreMLBackend(tmp_path / "a.mlpackage")


def test_operators_that_are_not_known_here_are_named():
    operations = [SimpleNamespace(op_type=name) for name in ("const", "gru", "conv")]
    main = SimpleNamespace(inputs={}, outputs=[], operations=operations)
    with Says(
        "needs operators that only Apple's runtime has: gru",
        do="Measure the package on a Mac.",
    ).refuses():
        mil.Program(SimpleNamespace(functions={"main": main}))


def _nchw(x):
    return np.transpose(x, (0, 3, 1, 2))


def _numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [1, 2])
def test_transposed_convolutions_are_those_of_keras(padding, strides):
    x = _numbers(1, 5, 4, 3)
    layer = keras.layers.Conv2DTranspose(2, 4, strides, padding)
    expected = layer(x).numpy()
    kernel, bias = layer.get_weights()

    y = mil.OPERATORS["conv_transpose"](
        _nchw(x), kernel.transpose(3, 2, 0, 1), bias, [strides] * 2, padding
    )

    np.testing.assert_allclose(y, _nchw(expected), atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolutions_in_groups_are_those_of_keras(groups):
    x = _numbers(1, 6, 5, 4)
    layer = keras.layers.DepthwiseConv2D(3) if groups == 4 else None
    layer = layer or keras.layers.Conv2D(6, 3, strides=2, groups=groups)
    expected = layer(x).numpy()
    kernel, bias = layer.get_weights()
    order = (2, 3, 0, 1) if groups == 4 else (3, 2, 0, 1)

    y = mil.OPERATORS["conv"](
        _nchw(x), kernel.transpose(order), bias, [1 if groups == 4 else 2] * 2, "valid",
        groups=groups,
    )  # fmt: skip

    np.testing.assert_allclose(y, _nchw(expected), atol=1e-5)


def test_averages_count_their_padding_or_are_refused():
    x = np.ones((1, 1, 3, 3), np.float32)
    average = mil.OPERATORS["avg_pool"]
    same = average(x, [2, 2], [2, 2], "same", exclude_padding_from_average=True)
    assert same[0, 0].tolist() == [[1, 1], [1, 1]]
    counted = average(x, [2, 2], [2, 2], "custom", [0, 1, 0, 1])
    assert counted[0, 0].tolist() == [[1, 0.5], [0.5, 0.25]]
    with pytest.raises(ValueError, match="this kind of padding"):
        average(x, [2, 2], [2, 2], "same")


def test_pixels_of_a_padded_convolution_lie_where_the_numbers_say():
    x, kernel = np.zeros((1, 1, 3, 3), np.float32), np.ones((1, 1, 2, 2), np.float32)
    x[0, 0, 0, 0] = 1
    y = mil.OPERATORS["conv"](x, kernel, pad_type="custom", pad=[1, 0, 0, 1])
    assert y[0, 0].tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_slices_are_numpys():
    x = np.arange(24).reshape(2, 3, 4)
    cut = mil.OPERATORS["slice_by_index"]
    y = cut(x, [0, 1, 0], [1, 3, 4], [1, 1, 2], end_mask=[True, False, False])
    np.testing.assert_array_equal(y, x[0:, 1:3, 0:4:2])
    y = cut(x, [1, 0, 0], [2, 3, 4], squeeze_mask=[True, False, False])
    np.testing.assert_array_equal(y, x[1])
    y = mil.OPERATORS["slice_by_size"](x, [0, 1, 2], [2, -1, 2])
    np.testing.assert_array_equal(y, x[:, 1:, 2:])
