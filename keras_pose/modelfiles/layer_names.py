"""Keras layers in the names of a file's tensors."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

_SEPARATORS = re.compile("[;/]")
# Scopes that are entered again get a number, as in "stem-relu_1".
_REPEATED = re.compile(r"_\d+$")


@dataclass(frozen=True)
class LayerNames:
    """The names of a Keras model's layers, to be found in a file.

    Attributes:
        known: all of them.
        of_outputs: the file's name of an output -> the layer that gives it. Converters
            call such tensors by no layer's name.
    """

    known: frozenset[str] = frozenset()
    of_outputs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, model, output_names: Sequence[str], outputs: Sequence) -> LayerNames:
        """Reads them off the model that files were made of.

        Args:
            model: Keras model.
            output_names: names of the file's outputs.
            outputs: the model's outputs that they are, in the same order.
        """
        makers = [output._keras_history.operation.name for output in outputs]
        pairs = zip(output_names, makers, strict=True)
        known = frozenset(layer.name for layer in model.layers)
        return cls(known, dict(pairs))


def find_layers(tensor: str, layer_names: Collection[str]) -> tuple[str, ...]:
    """Finds the names of Keras layers in the name of a tensor, in the order they compute.

    TensorFlow joins the names of fused operators by semicolons, the last one first; each
    is a path of scopes, of which one is the layer.
    """
    known = set(layer_names)
    found = []
    for part in _SEPARATORS.split(tensor):
        for name in (part, _REPEATED.sub("", part)):
            if name in known:
                found.append(name)
                break
    return tuple(dict.fromkeys(reversed(found)))


class LayerFinder:
    """Finds the layers that a tensor comes from."""

    def __init__(self, names: LayerNames, outputs: Mapping[str, str]):
        self._known = names.known
        self._of_outputs = {
            outputs[name]: (layer,)
            for name, layer in names.of_outputs.items()
            if name in outputs
        }

    def __call__(self, tensor: str) -> tuple[str, ...]:
        return find_layers(tensor, self._known) or self._of_outputs.get(tensor, ())
