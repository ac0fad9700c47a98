"""Networks as operators and constants: what files of all formats have in common.

Exporters fold batch norms into convolutions and give tensors names of their own, so what
identifies a convolution is its place in the network, see `structure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Operator:
    """One step of a network.

    Attributes:
        kind: type, by the format's own word, in lower case.
        name: name for messages.
        inputs: names of tensors; constants among them.
        outputs: names of tensors.
        strides: (vertical, horizontal), of a convolution.
        epsilon: added to the variance, of a batch norm.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    strides: tuple[int, int] = (1, 1)
    epsilon: float = 1e-5


@dataclass(frozen=True)
class NetworkFile:
    """A network of operators.

    Attributes:
        operators: operators in any order.
        constants: name of a tensor -> its values; kernels as (out, in, H, W).
        inputs: name -> shape; a size that is not fixed is None.
        outputs: names of tensors.
    """

    operators: Sequence[Operator]
    constants: Mapping[str, np.ndarray]
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: Sequence[str]

    @property
    def input_hw(self) -> tuple[int, int] | None:
        """Size of the input picture, pixels; None if the file leaves it open."""
        for shape in self.inputs.values():
            if len(shape) == 4:
                height, width = shape[1:3] if shape[3] == 3 else shape[2:]
                if height is not None and width is not None:
                    return height, width
        return None
