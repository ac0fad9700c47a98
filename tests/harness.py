"""What every model of the zoo must do; a new row of the table passes this and is in."""

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from weights_check import assert_same_weights

from keras_pose.exporting.float_graph.saved import builtin_converter
from keras_pose.exporting.float_graph.serving import with_constants
from keras_pose.models.complexity import count_macs, count_params
from keras_pose.weights.creation import create_model
from keras_pose.zoo import build_model, get_spec

# Float32 noise of TFLite's kernels against TensorFlow's, in standard deviations of the
# output; a wrong padding or resize rule lies at 1e-2 and more, and far above in networks
# that amplify.
TFLITE_TOLERANCE = 1e-3

# Random networks of 100 layers amplify noise thousandfold. What such a network makes of
# this share of its input, a few dozen roundings of float32, is noise there as well: the
# files of ResNet-101 and 152 differ by a fifth of it, that of RTMDet-m by three quarters.
INPUT_NOISE = 3e-6
# Samples of noise, the largest of which counts: one may happen to be small.
NUM_NOISES = 3


def small_input_hw(spec):
    """The smallest input that is not square, so that swapped sizes show."""
    return (2 * spec.input_multiple, spec.input_multiple)


def random_images(model, batch_size, seed):
    shape = (batch_size, *model.inputs[0].shape[1:])
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def outputs_of(model, images):
    """Returns all outputs as NumPy arrays, stage by stage."""
    outputs = keras.tree.flatten(model(images, training=False))
    return [np.asarray(output) for output in outputs]


def check_model(name, folder):
    """Runs all checks below at a small input; `folder` takes files."""
    check_table_row(name)
    check_tflite(check_network(name, folder))


def check_network(name, folder):
    """Runs all checks but the table's and TFLite's; returns the model."""
    spec = get_spec(name)
    # To build costs as much as a check: what was loaded is what is tried.
    model = check_weights_file(check_mixed_precision(name), spec, folder)
    check_interface(model, spec)
    check_gradients(model)
    check_batch_independence(model)
    return model


def check_table_row(name):
    """Runs the checks that only need the model built, and returns it."""
    spec = get_spec(name)
    model = build_model(name, input_hw=small_input_hw(spec))
    check_interface(model, spec)
    check_complexity(model, spec)
    return model


def check_interface(model, spec):
    """Names, shapes and types are what the rest of the package counts on."""
    assert model.name == spec.name
    assert model.inputs[0].name == "image"
    assert model.inputs[0].dtype == "float32"
    assert model.inputs[0].shape == (None, *small_input_hw(spec), 3)
    # PyTorch's modules refuse parameters with a dot in their name.
    assert not [layer.name for layer in model.layers if "." in layer.name]
    for output in model.outputs:
        assert output.shape[0] is None
        assert output.dtype == "float32"
    if spec.task == "top_down":
        codec = spec.make_codec(small_input_hw(spec))
        for output in model.outputs:
            assert output.shape[1:] == codec.output_shape(spec.num_keypoints)


def check_complexity(model, spec):
    """The table tells the truth, for the default input."""
    areas = [height * width for height, width in (spec.input_hw, small_input_hw(spec))]
    is_scaled = count_macs(model) * areas[0] == spec.macs * areas[1]
    if not (spec.is_convolutional and is_scaled):
        # Not all layers convolve: work does not grow with the area.
        model = build_model(spec.name)
        assert count_macs(model) == spec.macs
    assert count_params(model) == spec.params


def check_mixed_precision(name):
    """Half precision computes, but coordinates hang on the outputs: they stay float32.

    Returns the model.
    """
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = build_model(name, input_hw=small_input_hw(get_spec(name)))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert {layer.compute_dtype for layer in model.layers} == {"float16", "float32"}
    assert {output.dtype for output in model.outputs} == {"float32"}
    assert all(np.isfinite(x).all() for x in outputs_of(model, random_images(model, 1, 0)))
    return model


def check_gradients(model):
    """Every kernel moves the output; every other weight is at least connected."""
    with tf.GradientTape() as tape:
        outputs = keras.tree.flatten(model(random_images(model, 2, seed=0), training=True))
        loss = sum(keras.ops.mean((output - 1) ** 2) for output in outputs)
    weights = model.trainable_variables
    for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
        assert gradient is not None, weight.path
        # A bias before a batch norm is taken out again; a kernel is not.
        is_kernel = len(weight.shape) == 4
        assert not is_kernel or np.any(gradient.numpy() != 0), weight.path


def check_batch_independence(model):
    """What is seen of one image does not depend on the others in its batch."""
    images = random_images(model, 3, seed=2)
    together, alone = outputs_of(model, images), outputs_of(model, images[1:2])
    for batch, single in zip(together, alone, strict=True):
        scale = max(float(single.std()), 1e-6)
        # Other batch sizes take other kernels, which add up in another order.
        np.testing.assert_allclose(batch[1:2] / scale, single / scale, atol=1e-3)


def check_weights_file(model, spec, folder):
    """A weights file brings the same numbers back, into layers of the same names.

    Returns the model that was made of it.
    """
    path = folder / f"{spec.name}.weights.h5"
    model.save_weights(path)
    loaded = create_model(spec.name, input_hw=small_input_hw(spec), weights=path)
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert_same_weights(loaded, model)
    return loaded


def check_tflite(model):
    """TFLite takes every operator without TensorFlow's help, and computes the same."""
    _spread_activations(model)
    images = random_images(model, 1, seed=3)
    expected = outputs_of(model, images)
    runner = Interpreter(model_content=_to_tflite(model)).get_signature_runner()
    actual = runner(image=images)
    signs = [np.sign(random_images(model, 1, seed=5 + i)) for i in range(NUM_NOISES)]
    noisy = [outputs_of(model, images * (1 + INPUT_NOISE * each)) for each in signs]
    for i, output in enumerate(expected):
        measured = np.log if _is_exponential(output) else np.asarray
        output = measured(output)
        difference = _deviation(measured(actual[f"output_{i}"]), output)
        noise = max(_deviation(measured(each[i]), output) for each in noisy)
        tolerance = max(TFLITE_TOLERANCE, noise)
        assert tolerance <= 0.1, f"output {i} is too ill-conditioned to compare"
        assert difference <= tolerance, f"output {i} differs by {difference} std"


def _is_exponential(output) -> bool:
    """Returns True for values above 0 of many orders of magnitude.

    Distances of RTMDet are such with random weights: in their standard deviation, all but
    the largest would be nothing, and that one has the noise of its exponent, times it.
    """
    return bool(output.min() > 0 and output.max() > 1e3 * np.median(output))


def _deviation(actual, expected) -> float:
    """Returns the largest difference, in standard deviations of what is expected."""
    return float(np.abs(actual - expected).max() / max(float(expected.std()), 1e-6))


def _to_tflite(model) -> bytes:
    """Converts all outputs of a model, for one image at a time."""
    image_spec = tf.TensorSpec((1, *model.inputs[0].shape[1:]), tf.float32, name="image")

    network = with_constants(model)

    @tf.function(input_signature=[image_spec])
    def serve(image):
        outputs = keras.tree.flatten(network(image))
        return {f"output_{i}": output for i, output in enumerate(outputs)}

    with builtin_converter(serve) as converter:
        return converter.convert()


def _spread_activations(model):
    """Random weights start so small that outputs are constant; makes them vary.

    Kernels keep the variance of rectified signals (He et al. 2015, arXiv:1502.01852, sec.
    2.2), and batch norms take the statistics of random images. Without the latter, signals
    die out on the way through SiLU, and noise is all that is compared. The deepest maps are
    one or two pixels large: with few images, their statistics would be chance, and signals
    and noise grow from layer to layer.
    """
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        if len(weight.shape) >= 2:
            fan_in = np.prod(weight.shape[:-1])
            weight.assign(rng.standard_normal(weight.shape) * np.sqrt(2 / fan_in))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(random_images(model, 32, seed=4), training=True)
