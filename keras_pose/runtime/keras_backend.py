"""Runs Keras models: `.keras` files, `.weights.h5` files, and models in memory."""

from __future__ import annotations

import dataclasses
import json
import zipfile

import numpy as np

from keras_pose.commandline.packages import import_runtime
from keras_pose.contracts.fields import INPUT_NAME, TensorSpec
from keras_pose.contracts.pose import read_contract
from keras_pose.skeleton import plain_skeleton
from keras_pose.zoo import build_model, get_spec


class KerasBackend:
    """A Keras model of normalised images, of which the last output counts.

    That of a head for visibility, the first, is run only where it is asked for.

    A graph function of its own, not `model.predict`: that would make every replica
    of a distributed model answer, in the middle of training.
    """

    def __init__(self, model, output_name: str, visibility_name: str | None = None):
        tf = import_runtime("tensorflow", "tensorflow", ".keras")
        self.input = TensorSpec(INPUT_NAME, (None, *model.inputs[0].shape[1:]), "float32")
        kept = {output_name: model.outputs[-1]}
        if visibility_name is not None:
            kept[visibility_name] = model.outputs[0]
        self.outputs = tuple(
            TensorSpec(name, (None, *output.shape[1:]), "float32")
            for name, output in kept.items()
        )
        self.output = self.outputs[0]
        signature = [tf.TensorSpec(self.input.shape, tf.float32)]

        @tf.function(input_signature=signature)
        def run(images):
            return tf.cast(last_output(model(images, training=False)), tf.float32)

        @tf.function(input_signature=signature)
        def run_all(images):
            outputs = model(images, training=False)
            counting = [last_output(outputs)]
            if visibility_name is not None:
                counting.append(outputs[0])
            return [tf.cast(x, tf.float32) for x in counting]

        self._tensor = tf.constant
        # Traced here: TensorFlow warns of functions that are made and traced in turn.
        self._run = run.get_concrete_function()
        self._run_all = run_all.get_concrete_function() if visibility_name else None

    def run(self, images: np.ndarray) -> np.ndarray:
        return self._run(self._tensor(images)).numpy()

    def run_all(self, images: np.ndarray) -> dict[str, np.ndarray]:
        if self._run_all is None:
            return {self.output.name: self.run(images)}
        values = self._run_all(self._tensor(images))
        return {
            spec.name: value.numpy()
            for spec, value in zip(self.outputs, values, strict=True)
        }


class KerasOutputs:
    """A Keras model of normalised images, of which every output counts."""

    def __init__(self, model, output_names):
        tf = import_runtime("tensorflow", "tensorflow", ".keras")
        self.input = TensorSpec(INPUT_NAME, (None, *model.inputs[0].shape[1:]), "float32")
        self.outputs = tuple(
            TensorSpec(name, (None, *output.shape[1:]), "float32")
            for name, output in zip(output_names, model.outputs, strict=True)
        )

        @tf.function(input_signature=[tf.TensorSpec(self.input.shape, tf.float32)])
        def run(images):
            return [tf.cast(x, tf.float32) for x in model(images, training=False)]

        self._tensor = tf.constant
        self._run = run.get_concrete_function()

    def run_all(self, images: np.ndarray) -> dict[str, np.ndarray]:
        values = self._run(self._tensor(images))
        return {
            spec.name: value.numpy()
            for spec, value in zip(self.outputs, values, strict=True)
        }


def last_output(outputs):
    """Returns the output of the last stack, of networks with one stack or several."""
    return outputs[-1] if isinstance(outputs, list | tuple) else outputs


def read_keras_file(path):
    """Loads a `.keras` file that `contracts.save_keras_model` wrote.

    Returns:
        The model, not compiled, and its `Contract`.

    Raises:
        FileNotFoundError: if there is no such file, or no contract in it.
        ValueError: if the file is damaged or does not fit its contract.
    """
    contract = read_contract(path)
    return load_network(path), contract


def load_network(path):
    """Loads the model of a `.keras` file, not compiled.

    Where another Keras wrote the file, and this one cannot read its description of the
    layers, a network of the zoo is built by its row and takes the file's weights.

    Raises:
        ValueError: if the file is damaged.
    """
    import_runtime("tensorflow", "tensorflow", ".keras")
    keras = import_runtime("keras", "keras", ".keras")
    # Makes their layers known to Keras, and so those that they import.
    import keras_pose.models.fake_quantization  # noqa: F401

    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras lets through whatever its parts raise
        versions = _versions(path, keras)
        network = _network_of_row(path) if versions else None
        if network is not None:
            print(
                f"{path} cannot be loaded by Keras{versions}: it is built by its name, "
                f"{network.name}, and has the file's weights"
            )
            return network
        raise ValueError(f"{path} cannot be loaded by Keras{versions}: {error}") from error


def _network_of_row(path):
    """Builds the network of a file by its row of the zoo; None where that is not it."""
    from keras_pose.models.checkpoint import load_weights
    from keras_pose.models.visibility import with_visibility

    try:
        contract = read_contract(path)
        usual = get_spec(contract.model).make_codec(contract.input_hw)
        factor = contract.codec.channels_per_keypoint // usual.channels_per_keypoint
        count = factor * contract.skeleton.num_keypoints
        network = build_model(contract.model, count, contract.input_hw)
        if contract.visibility is not None:
            network = with_visibility(network, contract.skeleton.num_keypoints)
        load_weights(network, path)
    except (ValueError, OSError):
        return None
    return network


def _versions(path, keras) -> str:
    """Returns a note on the Keras that wrote a file, if another one is installed."""
    try:
        with zipfile.ZipFile(path) as archive:
            written = json.loads(archive.read("metadata.json"))["keras_version"]
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        return ""  # damaged, which the error itself says
    if written == keras.__version__:
        return ""
    return f" {keras.__version__}; Keras {written} wrote it (pip install keras=={written})"


def read_weights_file(path, model_name, num_keypoints=None, input_hw=None):
    """Builds a model of the zoo and fills it from a `.weights.h5` file.

    Such a file knows nothing but tensors, so the contract is that of the zoo: its
    normalisation and the usual codec. The keypoints are numbered.

    Returns:
        The model and its `Contract`.

    Raises:
        ValueError: if there is no such model, or the file is not of it.
        FileNotFoundError: if there is no such file.
    """
    get_spec(model_name)  # an unknown name is the first error to report
    import_runtime("tensorflow", "tensorflow", ".weights.h5")
    from keras_pose.models.checkpoint import fill_layers, read_layers
    from keras_pose.models.visibility import is_of_head, with_visibility
    from keras_pose.weights.provenance import contract_of

    model, stored = build_model(model_name, num_keypoints, input_hw), read_layers(path)
    if any(map(is_of_head, stored)):
        model = with_visibility(model, contract_of(model).skeleton.num_keypoints)
    fill_layers(model, stored, path)
    contract = contract_of(model)
    numbered = plain_skeleton(contract.skeleton.num_keypoints)
    return model, dataclasses.replace(contract, skeleton=numbered)
