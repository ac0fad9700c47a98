"""Batch norms vanish in the convolutions before them, where there is one."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from exported_files import export_onnx, smooth_crops
from harness import small_input_hw
from keras import layers
from shallow import shallow

from keras_pose.exporting.formats.tflite_export import TFLiteConversion
from keras_pose.modelfiles.batch_norms import batch_norm_names, unfolded_batch_norms
from keras_pose.modelfiles.layer_names import find_layers
from keras_pose.modelfiles.reading import read_graph
from keras_pose.weights.provenance import contract_of, file_contract_of
from keras_pose.zoo import ZOO, build_model

CONVOLUTIONS = {
    # layer -> (axes of its kernel that make the file's, the file's axis of channels)
    "Conv2D": ((3, 0, 1, 2), 0),
    "DepthwiseConv2D": ((3, 0, 1, 2), 3),
    "Conv2DTranspose": ((2, 0, 1, 3), 0),
}
# Larger ones take minutes to convert.
MOST_PARAMS = 35e6
# Of a float file's outputs, in their standard deviation.
MOST_FLOAT_ERROR = 1e-4
WITHOUT_NORMS = ("cpm", "cpm_mpii", "deep_pose_alexnet")
# RTMPose's backbone and RTMDet's neck, which are tried, with norms behind convolutions.
MADE_OF_OTHERS = ("rtmw", "rtmdet_lite")
TFLITE_KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")


def smallest_of_each_family():
    """Names the smallest network of every family that can be exported and has norms."""
    smallest = {}
    for spec in sorted(ZOO.values(), key=lambda spec: spec.params):
        if spec.task in ("top_down", "detection") and spec.params < MOST_PARAMS:
            smallest.setdefault(spec.family, spec.name)
    left_out = (*WITHOUT_NORMS, *MADE_OF_OTHERS)
    return [name for family, name in smallest.items() if family not in left_out]


def norms_that_matter(model, seed=0):
    """Gives batch norms factors, offsets and statistics that would be missed."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.gamma.shape
            layer.gamma.assign(rng.uniform(0.8, 1.25, size))
            layer.beta.assign(rng.normal(0, 0.2, size))
            layer.moving_mean.assign(rng.normal(0, 0.2, size))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, size))
    return model


def unfoldable(model):
    """Names the norms that no convolution feeds, or one whose result others read as well.

    Networks of pre-activation blocks (hourglass) have them behind sums and poolings.
    """
    return {
        norm.name
        for norm in model.layers
        if isinstance(norm, layers.BatchNormalization)
        and not (
            type(before := norm.input._keras_history.operation).__name__ in CONVOLUTIONS
            and len(before._outbound_nodes) == 1
        )
    }


def folded_pairs(model, unfolded):
    """Yields (convolution, its batch norm) of all norms that ought to be folded."""
    for norm in model.layers:
        if isinstance(norm, layers.BatchNormalization) and norm.name not in unfolded:
            before = norm.input._keras_history.operation
            if type(before).__name__ in CONVOLUTIONS:
                yield before, norm


def folded_kernel(convolution, norm):
    """Returns the kernel times the norm's factors, as a file has it, and its channels.

    The independent implementation: Jacob et al. 2018 (arXiv:1712.05877), sec. 3.2.
    """
    axes, channel_axis = CONVOLUTIONS[type(convolution).__name__]
    kernel = np.transpose(np.asarray(convolution.kernel, np.float64), axes)
    if type(convolution).__name__ == "DepthwiseConv2D":
        kernel = np.moveaxis(kernel, 0, -1).reshape(1, *kernel.shape[1:3], -1)
    variance = np.asarray(norm.moving_variance, np.float64)
    factors = np.asarray(norm.gamma) / np.sqrt(variance + norm.epsilon)
    shape = [1, 1, 1, 1]
    shape[channel_axis] = -1
    return kernel * factors.reshape(shape), channel_axis


class Kernels:
    """The kernels of a `.tflite` file, by the names of the layers that they belong to."""

    def __init__(self, path, layer_names):
        self._interpreter = Interpreter(str(path))
        self._interpreter.allocate_tensors()
        self._details = {
            each["index"]: each for each in self._interpreter.get_tensor_details()
        }
        graph = read_graph(path)
        self._keys = {}
        for operator in graph.operators:
            if operator.kind in TFLITE_KINDS:
                constants = [
                    key
                    for key in operator.inputs
                    if graph.tensors[key].is_constant and len(graph.tensors[key].shape) == 4
                ]
                (output,) = graph.outputs_of(operator)
                for layer in find_layers(output.name, layer_names):
                    self._keys[layer] = constants[0]

    def __getitem__(self, layer):
        """Returns values, and what one integer step is worth by channel, 0 for floats."""
        key = self._keys[layer]
        scales = self._details[key]["quantization_parameters"]["scales"]
        values = self._interpreter.get_tensor(key)
        return values, scales if values.dtype == np.int8 else np.zeros(1)


def check_kernels(path, model, unfolded):
    """Compares a file's kernels with the folded ones; returns how many there were."""
    pairs = list(folded_pairs(model, unfolded))
    kernels = Kernels(path, [convolution.name for convolution, _ in pairs])
    for convolution, norm in pairs:
        expected, channel_axis = folded_kernel(convolution, norm)
        values, scales = kernels[convolution.name]
        shape = [1, 1, 1, 1]
        shape[channel_axis] = -1
        steps = np.asarray(scales, np.float64).reshape(shape)
        actual = values * steps if steps.any() else values
        # Half a step of rounding, and what float32 loses in the factors.
        bound = 0.5 * steps + 1e-5 * np.abs(expected).max()
        assert actual.shape == expected.shape, convolution.name
        assert np.all(np.abs(actual - expected) <= bound), convolution.name
    return len(pairs)


def conversion_of(model, contract):
    """Converts a network with its kernels as they are, which are compared."""
    crops = smooth_crops(4, contract.input_hw)
    as_they_are = {"equalizes": False, "rounds_adaptively": False}
    return TFLiteConversion(model, contract, crops, **as_they_are)


def converted(model, contract, folder, quantization):
    conversion = conversion_of(model, contract)
    path = folder / f"{quantization}.tflite"
    path.write_bytes(conversion.quantized(quantization))
    return path


def small_network(before_norm):
    """Builds convolution, norm, and what else is asked for between the two."""
    keras.utils.set_random_seed(0)
    image = keras.Input((64, 48, 3), name="image")
    x = layers.Conv2D(8, 3, strides=4, padding="same", name="first")(image)
    x = before_norm(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.Conv2D(17, 1, name="last")(x)
    return norms_that_matter(keras.Model(image, x, name="pose_slim"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before_norm", "unfolded"),
    [
        pytest.param(lambda x: x, {}, id="behind_a_convolution"),
        pytest.param(
            layers.DepthwiseConv2D(3, padding="same"), {}, id="behind_a_depthwise"
        ),
        pytest.param(
            layers.Conv2DTranspose(8, 3, padding="same"), {}, id="behind_a_transposed"
        ),
        pytest.param(
            lambda x: layers.Add(name="sum")([x, layers.ReLU()(x)]),
            {"norm": ("DEPTHWISE_CONV_2D",)},
            id="behind_a_sum_there_is_no_kernel_to_take_it",
        ),
    ],
)
def test_norm_is_folded_behind_a_convolution(before_norm, unfolded, tmp_path):
    model = small_network(before_norm)
    path = converted(model, contract_of(model), tmp_path, "int8")
    assert batch_norm_names(model) == ["norm"]
    assert unfolded_batch_norms(read_graph(path), ["norm"]) == unfolded
    assert check_kernels(path, model, unfolded) == (0 if unfolded else 1)


@pytest.mark.very_slow
@pytest.mark.parametrize("name", smallest_of_each_family())
def test_batch_norms_of_a_family(name, tmp_path):
    with shallow(name) as spec:
        model = norms_that_matter(build_model(name, input_hw=small_input_hw(spec)))
    contract = file_contract_of(model)
    conversion = conversion_of(model, contract)
    for quantization in ("float32", "int8"):
        path = tmp_path / f"{quantization}.tflite"
        path.write_bytes(conversion.quantized(quantization))
        left = unfolded_batch_norms(read_graph(path), batch_norm_names(model))
        # Those that nothing can be done about, and no others.
        assert left.keys() == unfoldable(model)
        check_kernels(path, model, left)

    path = tmp_path / "a.onnx"
    export = export_onnx(model, contract, path, smooth_crops(2, contract.input_hw))
    assert export.error < MOST_FLOAT_ERROR
    left = unfolded_batch_norms(read_graph(path), batch_norm_names(model))
    assert left.keys() == unfoldable(model)
