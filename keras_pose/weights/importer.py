"""Puts a reference checkpoint into the zoo's model, every tensor exactly once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from keras import layers

from keras_pose.commandline import some_of
from keras_pose.contracts.entries import save_keras_model
from keras_pose.files import atomic_path
from keras_pose.weights.file_kinds import TORCH, kind_of, split_table
from keras_pose.weights.input_size import (
    PLACE_LAYERS,
    POSITIONS,
    check_places,
    fit_positions,
)
from keras_pose.weights.layouts import (
    COUNTER,
    EXPORTED,
    Layout,
    count_keypoints,
    final_layer,
    is_idle,
    module_name,
    recognize,
)
from keras_pose.weights.network_files import is_network_file, read_network
from keras_pose.weights.npz_reader import read_npz
from keras_pose.weights.paddle_reader import read_pdparams
from keras_pose.weights.provenance import (
    Provenance,
    file_contract_of,
    runnable_network,
    set_provenance,
)
from keras_pose.weights.safetensors_reader import read_safetensors
from keras_pose.weights.structure import num_outputs, tensors_by_structure
from keras_pose.weights.torch_reader import read_state_dict
from keras_pose.zoo import ModelSpec, build_model, get_spec

NUM_NAMES_SHOWN = 5
BATCH_NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


def import_weights(name, source, num_keypoints=None, input_hw=None):
    """Builds a model with the weights of a reference checkpoint.

    Known are the checkpoints that `layouts` recognizes, and networks as files of operators
    with any names, see `structure`. A Simple Baseline in Caffe style
    (stride on a bottleneck's first convolution) has the names and shapes of the other
    style and another function. Nothing in the file says so: bring each to its own model.

    Args:
        name: one of `zoo.list_models()`.
        source: `.npz` or `.pdparams` file, `.onnx` file, `.xml` of OpenVINO with its `.bin`
            beside it, or PyTorch file under any other ending.
        num_keypoints: None, or what the checkpoint must have.
        input_hw: model input (height, width), pixels; None for that of a file of operators,
            if it is fixed there, or the model's default. The positions of a ViTPose are
            interpolated for it, with a printed line.

    Returns:
        The `keras.Model`; `provenance.normalization_of` gives what it was trained with.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read, or its tensors are not exactly those of
            the model; batch norm's batch counters may be there and are ignored.
    """
    spec = get_spec(name)
    final_layer(spec)  # refuses models without a reference before the file is read
    if is_network_file(source):
        return _import_network(spec, source, num_keypoints, input_hw)
    layout, tensors = recognize(read_checkpoint(source))
    return from_tensors(spec, layout, tensors, source, num_keypoints, input_hw)


def from_tensors(
    spec: ModelSpec,
    layout: Layout,
    tensors: Mapping[str, np.ndarray],
    source,
    num_keypoints: int | None = None,
    input_hw=None,
):
    """Builds a model with the tensors of a checkpoint; see `import_weights`."""
    final_layer(spec)
    found = _num_keypoints(spec, tensors, source)
    _check_keypoints(found, num_keypoints, source)
    model = build_model(spec.name, num_keypoints=found, input_hw=input_hw)
    fill(model, at_size_of(model, tensors, source), source)
    return set_provenance(
        model, Provenance(str(source), layout.normalizations.get(spec.family))
    )


def _import_network(spec: ModelSpec, source, num_keypoints, input_hw):
    """Builds a model with the weights of a file of operators."""
    network = read_network(source)
    found = count_keypoints(spec, num_outputs(network, source))
    _check_keypoints(found, num_keypoints, source)
    model = build_model(spec.name, found, input_hw or network.input_hw)
    fill(model, tensors_by_structure(model, network, source), source)
    return set_provenance(
        model, Provenance(str(source), EXPORTED.normalizations.get(spec.family))
    )


def _check_keypoints(found: int, num_keypoints: int | None, source) -> None:
    if num_keypoints is not None and num_keypoints != found:
        raise ValueError(
            f"{source} predicts {found} keypoints, but {num_keypoints} were asked for. "
            "Leave the number out, or bring another file."
        )


def at_size_of(model, tensors, source) -> dict[str, np.ndarray]:
    """Brings tensors to the model's input size; see `input_size` for what has one."""
    spec, tensors = get_spec(model.name), dict(tensors)
    if spec.family == "vitpose" and POSITIONS in tensors:
        input_hw = model.inputs[0].shape[1:3]
        tensors[POSITIONS] = fit_positions(
            spec, tensors[POSITIONS], spec.input_hw, input_hw, source
        )
    shapes = {
        layer: tensors[key].shape[::-1]
        for layer in PLACE_LAYERS.get(spec.family, ())
        if (key := f"{module_name(layer)}.weight") in tensors
    }
    check_places(spec, model, shapes, source)
    return tensors


def fill(
    model,
    tensors: Mapping[str, np.ndarray],
    source,
    modules: Collection[str] | None = None,
) -> None:
    """Sets the weights of a model from tensors under the reference's names.

    Args:
        model: model of the zoo.
        tensors: name -> array in PyTorch's axis order; each must be used once.
        source: origin of the tensors, for messages.
        modules: the reference's names of the layers to set; None for all.

    Raises:
        ValueError: lists what is missing, left over or of another shape.
    """
    places = {
        layer.name: tensor_names(layer)
        for layer in model.layers
        if layer.weights and (modules is None or module_name(layer.name) in modules)
    }
    _check_names(model, places, tensors, source)
    filled = {}
    for layer_name, names in places.items():
        layer = model.get_layer(layer_name)
        filled[layer_name] = [_to_keras(layer, tensors[name]) for name in names]
        for name, value, weight in zip(
            names, filled[layer_name], layer.weights, strict=True
        ):
            _check_tensor(name, value, weight.shape, source)
    # Nothing is changed before all is known to fit.
    for layer_name, values in filled.items():
        model.get_layer(layer_name).set_weights(values)


def save(model, output) -> Path:
    """Writes a model as `.keras`, with its contract, or its weights as `.weights.h5`.

    Raises:
        ValueError: if `output` has neither ending.
    """
    output = check_output(output)
    if output.suffix == ".keras":
        network = runnable_network(model)
        return save_keras_model(network, output, file_contract_of(network))
    return save_weights(model, output)


def save_weights(model, output) -> Path:
    """Writes a model's weights as `.weights.h5`, whole or not at all."""
    output = Path(output)
    with atomic_path(output) as temporary:
        # Keras insists on the double ending, which the temporary name may not have.
        weights = temporary.with_name(f"{temporary.name}.weights.h5")
        model.save_weights(weights)
        weights.rename(temporary)
    return output


def check_output(output) -> Path:
    """Returns the path, once its ending is known to be one that `save` writes."""
    output = Path(output)
    if output.suffix != ".keras" and not output.name.endswith(".weights.h5"):
        raise ValueError(f"The output must end in .keras or .weights.h5, got {output}.")
    return output


def read_checkpoint(source) -> dict[str, np.ndarray]:
    """Reads the tensors of a file of another framework; its content says which.

    Args:
        source: a PyTorch file (`.pth`, `.pt`, `.ckpt`, `.bin`), `.npz`, `.safetensors` or
            `.pdparams`; "FILE#NAME" reads one of several dicts in a PyTorch file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, or holds no tensors under names.
    """
    path, table = split_table(source)
    kind = kind_of(path)
    if path.suffix == ".pdparams":  # a pickle, too
        return read_pdparams(path)
    if table is not None and kind != TORCH:
        raise ValueError(f"{path} is no PyTorch file, so there is no {table!r} in it.")
    match kind:
        case "NumPy":
            return read_npz(path)
        case "safetensors":
            return read_safetensors(path)
        case "Keras" | "Keras weights" | "TFLite":
            raise ValueError(
                f"{path} is a {kind} file under another name, and no checkpoint of another "
                "framework: give it its own ending (.keras, .weights.h5, .tflite)."
            )
        case _:  # also what is damaged: the reader says what is wrong
            return read_state_dict(path, table)


def _num_keypoints(spec: ModelSpec, tensors, source) -> int:
    """Reads the number of keypoints off the last layer."""
    key = f"{final_layer(spec)}.weight"
    if key not in tensors or tensors[key].ndim not in (2, 4):
        raise ValueError(
            f"{source} is not a checkpoint of {spec.name}: it has no tensor {key} of two "
            f"or four dimensions. Its {len(tensors)} tensors begin with "
            f"{_some(list(tensors))}."
        )
    return count_keypoints(spec, tensors[key].shape[0])


def tensor_names(layer) -> list[str]:
    """Names a layer's tensors in the reference, in the order of `layer.weights`."""
    module = module_name(layer.name)
    if hasattr(layer, "torch_names"):  # a layer of ours, which knows its reference
        return [f"{module}.{name}" if name else module for name in layer.torch_names()]
    match layer:
        case layers.BatchNormalization():
            return [f"{module}.{tensor}" for tensor in BATCH_NORM_TENSORS]
        case (
            layers.Conv2D()
            | layers.Conv2DTranspose()
            | layers.DepthwiseConv2D()
            | layers.Dense()
        ):
            bias = [f"{module}.bias"] if layer.use_bias else []
            return [f"{module}.weight", *bias]
        case layers.LayerNormalization():
            return [f"{module}.weight", f"{module}.bias"]
        case layers.PReLU():
            return [f"{module}.weight"]
        case _:
            raise ValueError(f"Layer {layer.name} is of a kind that is not converted.")


def _to_keras(layer, tensor: np.ndarray) -> np.ndarray:
    """Reorders axes: (out, in, H, W) to (H, W, in, out), and (out, in) to (in, out).

    A transposed convolution comes as (in, out, H, W) and goes to (H, W, out, in): the
    same move. A depthwise one comes as (channels, multiplier, H, W) and keeps that order.
    """
    if isinstance(layer, layers.PReLU):
        return tensor[None, None]  # a slope per channel, the same at every place
    if tensor.ndim == 2:
        return tensor.transpose()
    if tensor.ndim == 4:
        is_depthwise = isinstance(layer, layers.DepthwiseConv2D)
        return tensor.transpose((2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))
    return tensor


def _check_names(model, places, tensors, source) -> None:
    wanted = {name for names in places.values() for name in names}
    # A counter belongs to a batch norm of ours, or it is as unknown as any other tensor.
    counters = {
        f"{module_name(layer)}.{COUNTER}"
        for layer, names in places.items()
        if len(names) == len(BATCH_NORM_TENSORS)
    }
    missing = [name for name in sorted(wanted) if name not in tensors]
    modules = {module_name(layer) for layer in places}
    unused = [
        name
        for name in tensors
        if name not in wanted | counters and not is_idle(name, modules)
    ]
    if missing or unused:
        raise ValueError(
            f"{source} does not fit {model.name}: {len(missing)} tensors are missing "
            f"({_some(missing)}), {len(unused)} would not be used ({_some(unused)})."
        )


def _check_tensor(name, value: np.ndarray, shape, source) -> None:
    if value.shape != tuple(shape):
        raise ValueError(
            f"{source}: tensor {name} should become {tuple(shape)} in Keras' axis order, "
            f"it has {value.shape}."
        )
    if value.dtype.kind != "f":
        raise ValueError(f"{source}: tensor {name} holds {value.dtype}, not real numbers.")
    if not np.isfinite(value).all():
        raise ValueError(f"{source}: tensor {name} holds infinite or undefined numbers.")


def _some(names: list[str]) -> str:
    """Lists the first few names, or says that there are none."""
    return some_of(names, NUM_NAMES_SHOWN) or "none"
