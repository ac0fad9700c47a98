"""Compares a network with the stored outputs of its reference, weight for weight."""

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_pose.models.complexity import count_macs, count_params
from keras_pose.weights.importer import fill
from keras_pose.weights.layouts import recognize

GOLDEN_DIR = Path(__file__).resolve().parent / "golden"
# Largest |difference| in standard deviations of the reference's output. Float32 noise
# lies at 3e-6, a wrong epsilon or padding at 1e-2 and more.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Reference:
    """What the reference computed for seeded weights; the README of `golden` tells how.

    Attributes:
        name: of the two files in `tests/golden`.
        description: the json file.
        weights: tensors under the reference's names, in PyTorch's axis order.
        image: (1, H, W, C) float32 network input.
        stored: output name -> its numbers, all of them or every `flat_step`-th.
    """

    name: str
    description: dict
    weights: dict[str, np.ndarray]
    image: np.ndarray
    stored: dict[str, np.ndarray]

    @property
    def input_hw(self):
        return self.image.shape[1:3]

    @property
    def num_channels(self):
        """Channels of the last output: keypoints of a network with plain heatmaps."""
        return self.description["outputs"][-1]["shape"][1]


@functools.cache
def _make_weights():
    """The script that makes the reference's weights and input from their names."""
    path = GOLDEN_DIR / "make_weights.py"
    module_spec = importlib.util.spec_from_file_location("make_weights", path)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


def load_reference(name) -> Reference:
    """Draws the weights and the input again, and checks that they are the reference's."""
    script = _make_weights()
    description = script.load_spec(GOLDEN_DIR / f"{name}.json")
    weights = dict(script.make_weights(description))
    if "weights_crc32" in description:
        assert script.checksum(weights.values()) == description["weights_crc32"]
    for alias, tensor_name in description.get("aliases", {}).items():
        weights[alias] = weights[tensor_name]
    image = script.make_input(description)
    if description["input"]["layout"] == "NCHW":
        image = image.transpose(0, 2, 3, 1)
    with np.load(GOLDEN_DIR / f"{name}.npz") as archive:
        return Reference(name, description, weights, image, dict(archive))


def check_parity(model, reference, tolerance=TOLERANCE):
    """Fills the model with the reference's weights and compares size, work and outputs.

    Args:
        model: network whose layers bear the reference's names.
        reference: see `load_reference`.
        tolerance: largest difference, in standard deviations of each output.

    Returns:
        The layout that the tensor names were recognised as.
    """
    layout, tensors = recognize(reference.weights)
    fill(model, tensors, reference.name)
    check_counts(model, reference)
    check_outputs(model(reference.image, training=False), reference, tolerance)
    return layout


def check_counts(model, reference):
    """Parameters and multiply-accumulates are those that PyTorch's hooks counted."""
    assert count_params(model) == reference.description["param_count"]
    assert count_macs(model) == reference.description["macs"]["total"]


def check_outputs(outputs, reference, tolerance=TOLERANCE):
    """Every output equals the reference's of the same place.

    Args:
        outputs: one or a list of arrays; images as (B, H, W, C), the rest as stored.
        reference: see `load_reference`.
        tolerance: largest difference, in standard deviations of each output.
    """
    entries = reference.description["outputs"]
    for output, entry in zip(keras.tree.flatten(outputs), entries, strict=True):
        output = np.asarray(output)
        if output.ndim == 4:
            output = output.transpose(0, 3, 1, 2)
        assert output.shape == tuple(entry["shape"]), entry["name"]
        stored = reference.stored[entry["name"]].reshape(-1)
        differences = output.reshape(-1)[:: entry["flat_step"]] - stored
        difference = np.abs(differences).max() / entry["std"]
        # `pytest tests/parity -s | grep parity:` gives the table of docs/results.md.
        print(f"parity: {reference.name} {entry['name']} {difference:.1e}")
        assert difference <= tolerance, f"{entry['name']} differs by {difference} std"
