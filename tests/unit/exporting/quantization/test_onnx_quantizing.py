"""int8 `.onnx` files give the same on processors whose sums of products saturate."""

import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from exported_files import BGR, CODEC, INPUT_HW, SKELETON, smooth_crops
from onnx import helper, numpy_helper
from saturating_products import run_in_numpy, saturating_sums

from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.exporting.comparison import relative_error
from keras_pose.exporting.formats.onnx_export import OnnxConversion
from keras_pose.exporting.quantization import onnx_quantizing
from keras_pose.exporting.quantization.onnx_quantizing import open_onnx
from keras_pose.exporting.quantization.onnx_sums import (
    MAX_SUM,
    SummedKernel,
    summed_kernels,
    sums_fit,
)
from keras_pose.models.own_layers import ResizeAlignedCorners
from keras_pose.runtime.instructions import saturates
from keras_pose.runtime.onnx_backend import OnnxBackend
from keras_pose.weights.provenance import file_contract_of
from keras_pose.zoo import build_model

NUM_IMAGES = 2
# Runs a file in a process of its own: of the emulator, a processor without VNNI.
RUN_FILE = """
import sys
import numpy as np
import onnxruntime
path, images, results = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.log_severity_level = 1, 3
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
np.save(results, [session.run(None, {"image": i[None]})[0][0] for i in np.load(images)])
"""


class Files:
    """A network's int8 file, and the one with weights of 8 bits throughout."""

    def __init__(self, name, input_hw, monkeypatch):
        keras.utils.set_random_seed(0)
        model = build_model(name, input_hw=input_hw)
        self.crops = smooth_crops(12, input_hw)
        self.conversion = OnnxConversion(model, file_contract_of(model), self.crops)
        self.exact = self.here(self.conversion.quantized("float32"))
        self.safe = self.conversion.quantized("int8")
        with monkeypatch.context() as patch:
            patch.setattr(onnx_quantizing, "summed_kernels", lambda model: [])
            self.full = self.conversion.quantized("int8")

    def here(self, content):
        """Runs a file on this machine."""
        session = open_onnx(content)
        images = self.crops[:NUM_IMAGES]
        return np.concatenate([session.run(None, {"image": x[None]})[0] for x in images])

    def emulated(self, content, saturates):
        """Runs a file in NumPy, as on a machine whose sums saturate or do not."""
        (name,) = (value.name for value in onnx.load_from_string(content).graph.output)
        images = self.crops[:NUM_IMAGES]
        return np.concatenate(
            [run_in_numpy(content, x[None], saturates)[name] for x in images]
        )


@pytest.fixture(scope="module")
def files():
    with pytest.MonkeyPatch.context() as patch:
        yield Files("testing_pose", (64, 48), patch)


def test_pairs_of_products_saturate_by_hand():
    x = np.array([[255, 255, 255, 200, 10]], np.uint8)
    w = np.array([[100, 100, -127, -127, 3], [100, -100, 64, 64, 3]], np.int8).T
    # 25500 + 25500, -32385 - 25400, and the fifth without a partner.
    assert saturating_sums(x, w)[0].tolist() == [32767 - 32768 + 30, 0 + 29120 + 30]


def test_two_products_fit_into_16_bits_up_to_the_largest_sum():
    x = np.full((1, 2), 255, np.uint8)
    for total, fits in ((MAX_SUM, True), (-MAX_SUM, True), (MAX_SUM + 1, False)):
        w = np.array([[total // 2], [total - total // 2]], np.int8)
        assert (saturating_sums(x, w)[0, 0] == 255 * total) == fits


def test_a_channel_is_as_coarse_as_its_neighbours_take():
    rows = np.array([[1.0, -1, 2, 0, 0], [1, 2, 3, 0, 4], [-1, -1, 0, 0, 3]])
    expected = [2.0, 5.0, 3.0]
    assert SummedKernel("w", 0, rows).limits().tolist() == expected
    assert SummedKernel("w", 1, rows.T).limits().tolist() == expected
    # Of a convolution the input channels stand next to each other.
    kernel = np.array([1.0, 9, 2, -9]).reshape(1, 2, 1, 2)
    assert SummedKernel("w", 0, kernel).rows.tolist() == [[1, 2, 9, -9]]


def test_rounded_neighbours_never_exceed_the_largest_sum():
    rows = np.random.default_rng(0).normal(size=(500, 64))
    step = SummedKernel("w", 0, rows).limits() / 127
    rounded = np.rint(rows / step[:, None]).astype(int)
    sums = np.abs(rounded[:, 1:] + rounded[:, :-1]).max(axis=1)
    assert (sums <= MAX_SUM).all()
    assert (sums >= 100).all()  # else bits are given away


def check_same_everywhere(files):
    """The file gives the same with sums that saturate; one of 8 bits would not."""
    safe, full = (
        [files.emulated(content, saturates) for saturates in (False, True)]
        for content in (files.safe, files.full)
    )
    np.testing.assert_array_equal(*safe)
    errors = [relative_error(x, files.exact) for x in (safe[1], full[0], full[1])]
    # Coarser weights cost little; saturating costs several times as much.
    assert errors[0] < 1.5 * errors[1]
    assert errors[2] > 2 * errors[0]


def test_a_file_gives_the_same_where_sums_saturate(files):
    check_same_everywhere(files)


@pytest.mark.very_slow
def test_a_file_with_attention_gives_the_same_where_sums_saturate(monkeypatch):
    check_same_everywhere(Files("rtmpose_t", (64, 64), monkeypatch))


@pytest.mark.skipif(
    onnxruntime.__version__.startswith("1.20."),
    reason="ONNX Runtime 1.20 is off by up to two steps of an output from later ones",
)
def test_emulation_is_what_onnx_runtime_computes_here(files):
    for content in (files.safe, files.full):
        found, expected = files.emulated(content, saturates()), files.here(content)
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.very_slow
def test_onnx_runtime_without_vnni_computes_what_is_emulated(files, tmp_path):
    """The real runtime, on an emulated processor that has AVX2 and no VNNI."""
    emulator = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("needs an emulator of x86: apt-get install qemu-user-static")
    np.save(tmp_path / "images.npy", files.crops[:NUM_IMAGES])
    packages = os.pathsep.join(path for path in sys.path if path)
    for content in (files.safe, files.full):
        (tmp_path / "a.onnx").write_bytes(content)
        names = ("a.onnx", "images.npy", "results.npy")
        python = [emulator, "-cpu", "Haswell", os.path.realpath(sys.executable)]
        subprocess.run(
            [*python, "-c", RUN_FILE, *(str(tmp_path / name) for name in names)],
            check=True,
            env=os.environ | {"PYTHONPATH": packages},
        )
        expected = files.emulated(content, saturates=True)
        found = np.load(tmp_path / "results.npy")
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_the_contract_says_whether_all_processors_compute_the_same(files, tmp_path):
    path = tmp_path / "pose.onnx"
    files.conversion.write(path, "int8")
    assert read_contract(path).sums_fit_16_bits is True
    assert sums_fit(onnx.load_from_string(files.full)) is False
    assert files.conversion.draft(path, "float32").contract.sums_fit_16_bits is None


@pytest.mark.parametrize(
    ("kind", "shape", "options", "axis"),
    [
        pytest.param("Conv", (4, 3, 3, 3), {}, 0, id="convolution"),
        pytest.param("Conv", (4, 2, 3, 3), {"group": 2}, 0, id="grouped"),
        pytest.param("Conv", (4, 1, 3, 3), {}, 0, id="of_one_channel"),
        pytest.param("Conv", (4, 1, 3, 3), {"group": 4}, None, id="depthwise"),
        pytest.param("ConvTranspose", (4, 4, 3, 3), {}, None, id="transposed"),
        pytest.param("MatMul", (3, 4), {}, 1, id="product"),
        pytest.param("Gemm", (3, 4), {}, 1, id="dense"),
        pytest.param("Gemm", (4, 3), {"transB": 1}, 0, id="dense_turned"),
        pytest.param("Add", (4,), {}, None, id="sum"),
    ],
)
def test_kernels_are_those_whose_products_are_summed(kind, shape, options, axis):
    kernel = numpy_helper.from_array(np.ones(shape, np.float32), "kernel")
    node = helper.make_node(kind, ["x", "kernel"], ["y"], **options)
    model = helper.make_model(helper.make_graph([node], "one", [], [], [kernel]))
    found = [(each.name, each.axis) for each in summed_kernels(model)]
    assert found == ([] if axis is None else [("kernel", axis)])
    assert sums_fit(model) is None


def error_as_opened(model, path):
    """Writes an int8 file; returns the error of what it gives, opened as the package does:
    ONNX Runtime is asked for exact sums."""
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    conversion = OnnxConversion(model, contract, smooth_crops(8))
    path.write_bytes(conversion.quantized_model("int8").SerializeToString())
    crops = conversion.crops[:1]
    session = open_onnx(conversion.float_model.SerializeToString())
    (expected,) = session.run(None, {"image": crops})
    return relative_error(OnnxBackend(path).run(crops), expected)


def test_a_constant_times_what_is_computed_stays_float_and_runs(tmp_path):
    # So PP-TinyPose's maps are resized; ONNX Runtime refused to run it in integers.
    keras.utils.set_random_seed(0)
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.Conv2D(4, 3, strides=8, padding="same", name="small")(image)
    x = ResizeAlignedCorners(CODEC.heatmap_hw, name="resize")(x)
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="last")(x))
    assert error_as_opened(model, tmp_path / "int8.onnx") < 0.1


def test_convolutions_that_share_weights_run(tmp_path):
    # As RTMDet's heads do on all levels; ONNX Runtime refused the file.
    keras.utils.set_random_seed(0)
    image = keras.Input((*INPUT_HW, 3), name="image")
    shared = keras.layers.Conv2D(4, 3, padding="same", name="shared")
    first = keras.layers.Conv2D(4, 3, strides=4, padding="same", name="first")(image)
    x = keras.layers.Add(name="sum")([shared(first), shared(keras.layers.ReLU()(first))])
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="last")(x))
    assert error_as_opened(model, tmp_path / "int8.onnx") < 0.1
