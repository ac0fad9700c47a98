"""Nodes that ONNX Runtime's quantizer takes for one operator: a node, and the rectifier
that only it feeds, whose clipping the integers' range does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

_RECTIFIERS = ("Relu", "Clip")
# What ONNX Runtime makes integer where it stands between integers.
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm")


@dataclass(frozen=True)
class Unit:
    """Nodes that are quantized together, or not at all.

    Attributes:
        tensor: name of the tensor that they compute.
        nodes: `onnx.NodeProto`s in the order they run in.
        sources: computed tensors that they read.
    """

    tensor: str
    nodes: tuple[Any, ...]
    sources: tuple[str, ...]

    @property
    def kind(self) -> str:
        return self.nodes[0].op_type


def units_of(model, outputs: Collection[str]) -> list[Unit]:
    """Splits a float model into units, those that decode in its graph left out.

    Args:
        model: `onnx.ModelProto`, whose nodes stand in the order they run in.
        outputs: names of the network's own outputs.
    """
    behind = set(nodes_behind(model, outputs))
    nodes = [node for node in model.graph.node if node.name not in behind]
    readers = defaultdict(list)
    for node in nodes:
        for name in node.input:
            readers[name].append(node)
    computed = {name for node in nodes for name in node.output}
    computed |= {value.name for value in model.graph.input}
    taken: set[str] = set()
    units = []
    for node in nodes:
        if node.name in taken:
            continue
        chain = [node]
        result = node.output[0]
        is_alone = len(readers[result]) == 1 and result not in outputs
        if is_alone and readers[result][0].op_type in _RECTIFIERS:
            chain += readers[result]
        taken.update(each.name for each in chain)
        sources = tuple(name for name in node.input if name in computed)
        units.append(Unit(chain[-1].output[0], tuple(chain), sources))
    return units


def without_lone_products(units: Sequence[Unit], float_ops: Collection[str]) -> list[str]:
    """Leaves out the products that would be in float between integers.

    A tensor is integers for all that touch it where one of them computes in integers. A
    product that reads and gives such tensors is made one of integers by ONNX Runtime when
    it opens the file (1.31, `WeightBiasQuantization`), with one scale for all channels of
    its weights: with 21 operators in float the official RTMDet-nano lost more than with
    none (docs/results.md). In integers as we write them it loses no more than the rounding
    of its weights.

    Args:
        units: all units of a model.
        float_ops: units that are to stay float, by their tensors.
    """
    readers = defaultdict(set)
    for unit in units:
        for name in unit.sources:
            readers[name].add(unit.tensor)
    left = list(float_ops)
    while True:
        in_float = set(left)
        stay_float = {name for name in left if readers[name] <= in_float}
        lone = {
            unit.tensor
            for unit in units
            if unit.kind in _PRODUCTS
            and unit.tensor in in_float
            and not stay_float.intersection([unit.tensor, *unit.sources])
        }
        if not lone:
            return left
        left = [name for name in left if name not in lone]


def nodes_behind(model, outputs: Collection[str]) -> list[str]:
    """Returns the nodes that are not needed for some outputs, by name."""
    needed, behind = set(outputs), []
    for node in reversed(model.graph.node):  # they stand in the order they run in
        if needed.intersection(node.output):
            needed.update(node.input)
        else:
            behind.append(node.name)
    return behind


def nodes_of(model, outputs: Collection[str], float_ops: Collection[str]) -> list[str]:
    """Returns the names of the nodes of some units, which are called by their tensors.

    Raises:
        ValueError: for a name that no unit has.
    """
    units = {unit.tensor: unit for unit in units_of(model, outputs)}
    unknown = sorted(set(float_ops) - set(units))
    if unknown:
        raise ValueError(
            "float_ops must name tensors that units of the float file compute; these are "
            f"none: {unknown}. `onnx_units.units_of` lists them."
        )
    return [node.name for name in float_ops for node in units[name].nodes]
