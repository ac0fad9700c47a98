"""Errors of an export."""

import re


class ExportError(ValueError):
    """A model that cannot be converted, or a converted file that is not the model."""


def layer_of_scope(scope: str) -> str:
    """Finds the layer in an op's name, such as "model_1/layer_1/part/Op".

    Keras numbers layers as it calls them.
    """
    parts = [part for part in scope.split("/") if not part.endswith("PartitionedCall")]
    inner = parts[1:-1] or parts[-1:]
    return re.sub(r"_\d+$", "", inner[0])
