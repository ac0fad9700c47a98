"""Core ML packages for Apple's devices: a picture in, a network's outputs out.

coremltools converts the Keras model. What it wrote is read back and run, by Core ML on
macOS and elsewhere operator by operator (`runtime.mil`), and compared with Keras before it
gets its name. Which operators the Neural Engine takes, and how it rounds, only a device
shows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_pose.commandline.packages import import_runtime
from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.contracts.detector import ModelContract
from keras_pose.contracts.entries import VERSION_FIELDS, contracts_beside, write_contract
from keras_pose.contracts.fields import INPUT_NAME, TensorSpec
from keras_pose.contracts.one_stage import OneStageContract
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.float_graph.layer_rewrites import onnx_replacement
from keras_pose.exporting.float_graph.serving import (
    counting_outputs,
    in_float32,
    normalization_kernel,
)
from keras_pose.exporting.formats.embedding import describe
from keras_pose.exporting.formats.table import COREML_FORMATS
from keras_pose.exporting.formats.writing import Draft, Export, Reference, check_written
from keras_pose.files import atomic_folder
from keras_pose.runtime.coreml_backend import PACKAGE, CoreMLBackend
from keras_pose.runtime.loading import COREML_TYPE

# Key of the contract among the package's metadata, which apps can read.
METADATA_KEY = "keras_pose_contract"


def export_coreml(
    model, contract: ModelContract, path, crops, quantization: str = "float16"
) -> Export:
    """Writes a `.mlpackage` and its contract.

    Args:
        model: Keras model of normalised images.
        contract: contract of the model, with its normalisation.
        path: path of the folder to write; ends in `.mlpackage`.
        crops: (N, H, W, 3) uint8; the first few check the package.
        quantization: key of `COREML_FORMATS`.

    Raises:
        ValueError: for another quantization or suffix, and for a one-stage network.
        ImportError: without the package coremltools.
        ExportError: if the model cannot be converted, or the package does not do what
            the model does. What stood at `path` then stays.
    """
    path = Path(path)
    if quantization not in COREML_FORMATS:
        raise ValueError(
            f"quantization must be one of {', '.join(COREML_FORMATS)}; got "
            f"{quantization!r}."
        )
    if isinstance(contract, OneStageContract):
        raise ValueError(
            f"Core ML packages hold no one-stage networks, such as {contract.model}: what "
            "Core ML makes of the choice of cells in their graph was not tried. A .tflite "
            "or .onnx file runs on Apple's devices, too."
        )
    if path.suffix != COREML_TYPE:
        raise ValueError(f"A Core ML package must end in {COREML_TYPE}, got {path}.")
    contracts_beside(path)
    with atomic_folder(path) as temporary:
        package = _converted(model, contract, quantization)
        _name_outputs(package, [spec.name for spec in contract.outputs])
        described = _describe(package, contract, quantization)
        package = _with_metadata(package, described)
        package.save(str(temporary))
        # Read back: what is checked is what was written.
        backend = CoreMLBackend(temporary)
        _check_tensors(backend, described)
        reference = Reference(model, contract, crops)
        error = check_written(temporary, Draft(described), reference)
    write_contract(path, described)
    return Export(path, described, error)


def _converted(model, contract: ModelContract, quantization: str):
    """Returns coremltools' model of uint8 pictures."""
    with quiet_stderr():
        tools = import_runtime(PACKAGE, PACKAGE, COREML_TYPE)
        half, full = tools.precision.FLOAT16, tools.precision.FLOAT32
        function = whole_function(model, contract)
        image = function.inputs[0]  # captured weights follow
        try:
            package = tools.convert(
                [function],
                source="tensorflow",
                convert_to="mlprogram",
                inputs=[
                    tools.ImageType(
                        name=INPUT_NAME,
                        shape=tuple(image.shape),
                        color_layout=tools.colorlayout.RGB,
                    )
                ],
                outputs=[
                    tools.TensorType(name, dtype=np.float32)
                    for name in (x.name.partition(":")[0] for x in function.outputs)
                ],
                minimum_deployment_target=tools.target.iOS16,
                compute_precision=full if quantization == "float32" else half,
            )
        except Exception as error:  # whatever its parts raise
            raise ExportError(
                f"{contract.model} cannot be converted to Core ML: {error}"
            ) from error
        if quantization == "dynamic":
            coreml = tools.optimize.coreml
            settings = coreml.OpLinearQuantizerConfig(
                mode="linear_symmetric", weight_threshold=512
            )
            package = coreml.linear_quantize_weights(
                package, coreml.OptimizationConfig(global_config=settings)
            )
    return package


def whole_function(model, contract: ModelContract):
    """Returns the concrete function of one picture's pixels, 0 to 255, as float32.

    A function, since coremltools 9 keeps, without a word, the last output alone of a Keras
    model whose outputs come out of another model within it.

    Raises:
        ValueError: if the contract does not say how to normalise.
    """
    if contract.normalization is None:
        raise ValueError(f"The contract of {contract.model!r} lacks a normalization.")
    network = in_float32(model, onnx_replacement)
    kernel, bias = normalization_kernel(contract.normalization)
    shape = (1, *network.inputs[0].shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name=INPUT_NAME)])
    def serve(image):
        x = tf.nn.conv2d(image, kernel, strides=1, padding="VALID") + bias
        outputs = network(x, training=False)
        return counting_outputs(outputs, contract)

    return serve.get_concrete_function()


def _name_outputs(package, names: list[str]) -> None:
    """Gives the outputs the contract's names, in place; converters call them Identity."""
    from coremltools.models.utils import rename_feature

    spec = package.get_spec()
    given = [output.name for output in spec.description.output]
    for old, new in zip(given, names, strict=True):
        if old != new:
            rename_feature(spec, old, new, rename_inputs=False)
    package._spec.CopyFrom(spec)


def _describe(package, contract: ModelContract, quantization: str) -> ModelContract:
    """Returns the contract of the package."""
    spec = package.get_spec()
    image = spec.description.input[0]
    height, width = image.type.imageType.height, image.type.imageType.width
    shapes = {output.name: output.shape for output in contract.outputs}
    outputs = tuple(
        TensorSpec(output.name, (1, *shapes[output.name][1:]), "float32")
        for output in spec.description.output
    )
    return contract.with_tensors(
        TensorSpec(image.name, (1, height, width, 3), "uint8"),
        outputs,
        normalization=None,
        quantization=quantization,
    )


def _with_metadata(package: Any, contract: ModelContract):
    """Returns the package with the contract, and notes that Xcode shows, inside."""
    import coremltools as tools

    note = describe(contract)
    spec = package.get_spec()
    meta = spec.description.metadata
    meta.shortDescription = note.text.replace("KERAS_POSE_CONTRACT", METADATA_KEY)
    meta.userDefined[METADATA_KEY] = json.dumps({**VERSION_FIELDS, **contract.to_dict()})
    spec.description.input[0].shortDescription = note.image.text
    outputs = zip(spec.description.output, contract.outputs, note.outputs, strict=True)
    for output, tensor, text in outputs:
        output.shortDescription = text.text
        kind = output.type.multiArrayType
        del kind.shape[:]
        kind.shape.extend(size or 1 for size in tensor.shape)
    return tools.models.MLModel(spec, weights_dir=package.weights_dir, skip_model_load=True)


def _check_tensors(backend: CoreMLBackend, contract: ModelContract) -> None:
    """Raises ExportError unless the package has the contract's tensors."""
    found = [backend.input, *backend.outputs]
    wanted = [contract.input, *contract.outputs]
    for actual, promised in zip(found, wanted, strict=True):
        if (actual.name, actual.shape) != (promised.name, promised.shape):
            raise ExportError(
                f"The Core ML package of {contract.model} has the tensor {actual.name} "
                f"{actual.shape}, its contract says {promised.name} {promised.shape}."
            )
