"""The operator audit: what is in a model file, and what would run it on a phone.

XNNPACK, which runs `.tflite` files on every phone's CPU, is asked: the interpreter says
what it handed over. For GPU, NPU and Core ML the rules of `delegates` answer.

Files are opened in a process of their own, within limits of time and memory. A file that
was damaged, or made to do harm, is an error there and takes nothing else down.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_pose.contracts.detector import ModelContract
from keras_pose.contracts.operator_audit import LeftOperators, OperatorShare
from keras_pose.exporting.inspection.delegates import (
    DELEGATES,
    fallen_operators,
    is_unpacking,
    partitions,
)
from keras_pose.exporting.subprocesses import call_in_child
from keras_pose.modelfiles.graph import Graph, count_graph_macs, weight_type
from keras_pose.modelfiles.reading import read_graph

XNNPACK = "XNNPACK"
# Delegates that apps for phones ask, and of which contracts say what is expected.
OF_PHONES = ("GPU", "Core ML")
TIMEOUT_SECONDS = 120.0
# Address space for a runtime (2 GiB are reserved by threads and libraries) and a file.
BASE_MEMORY_BYTES = 6 << 30
MEMORY_PER_FILE_BYTE = 30


@dataclass(frozen=True)
class DelegateAudit:
    """Verdict of one delegate on a file.

    Attributes:
        name: name, such as "GPU".
        num_operators: operators that compute; unpacking of constants is left out.
        num_taken: number of them that it takes.
        num_partitions: stretches of the graph on it; each but one costs copies to and
            fro, and a GPU delegate takes only the largest by default.
        largest_partition: operators in the largest of them.
        fallen: "KIND: reason" -> how many operators stay on the CPU for it.
    """

    name: str
    num_operators: int
    num_taken: int
    num_partitions: int
    largest_partition: int
    fallen: dict[str, int]

    @property
    def share(self) -> float:
        """Share of the operators that it takes, in [0, 1]."""
        return self.num_taken / max(self.num_operators, 1)


@dataclass(frozen=True)
class Audit:
    """Operators, work and delegates of a file.

    Attributes:
        operators: kind -> number of operators.
        macs: multiply-accumulates of one run.
        weight_type: type of the weights that most of the work is done with.
        delegates: the verdicts, XNNPACK's first for `.tflite`.
    """

    operators: dict[str, int]
    macs: int
    weight_type: str
    delegates: tuple[DelegateAudit, ...]

    def delegate(self, name: str) -> DelegateAudit | None:
        return next((each for each in self.delegates if each.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Audit:
        delegates = tuple(DelegateAudit(**each) for each in values["delegates"])
        return cls(**{**values, "delegates": delegates})


def audit_file(path, timeout_seconds: float = TIMEOUT_SECONDS) -> Audit:
    """Audits a `.tflite` or `.onnx` file of any maker, in a process of its own.

    Raises:
        FileNotFoundError: for a file that is not there.
        ValueError: for another type of file, and for one that is damaged, takes the
            runtime down, or takes more time or memory than it may.
    """
    path = Path(path)
    size = path.stat().st_size if path.is_file() else 0
    memory_bytes = BASE_MEMORY_BYTES + MEMORY_PER_FILE_BYTE * size
    try:
        values = call_in_child(
            f"{__name__}:audit_here",
            str(path),
            timeout_seconds=timeout_seconds,
            memory_bytes=memory_bytes,
        )
    except FileNotFoundError:
        raise
    except ValueError as error:
        raise ValueError(f"{path} cannot be audited: {error}") from error
    return Audit.from_dict(values)


def audit_here(path: str) -> dict[str, Any]:
    """Audits a file in this process, which must be one that may die; see `audit_file`."""
    graph = read_graph(path)
    delegates = [
        _audit_delegate(name, graph, fallen_operators(graph, rule))
        for name, rule in DELEGATES[graph.file_type].items()
    ]
    if graph.file_type == ".tflite":
        fallen = left_by_xnnpack(path, graph)
        delegates.insert(0, _audit_delegate(XNNPACK, graph, fallen))
    counts = dict(graph.counts().most_common())
    audit = Audit(counts, count_graph_macs(graph), weight_type(graph), tuple(delegates))
    return audit.to_dict()


def with_audit(contract: ModelContract, path) -> ModelContract:
    """Returns a file's contract with what accelerators of phones take by their rules.

    In this process, without a runtime: for files that were written here. Of other files
    than `.tflite` nothing is said.

    Raises:
        ValueError: for a file that is damaged.
    """
    is_for_phones = Path(path).suffix == ".tflite"
    shares = _expected_shares(path) if is_for_phones else ()
    return dataclasses.replace(contract, operator_audit=shares)


def _expected_shares(path) -> tuple[OperatorShare, ...]:
    graph = read_graph(path)
    shares = []
    for name in OF_PHONES:
        fallen = fallen_operators(graph, DELEGATES[graph.file_type][name])
        counts = Counter((graph.operators[i].kind, why) for i, why in fallen.items())
        found = _audit_delegate(name, graph, fallen)
        left = tuple(LeftOperators(*which, count) for which, count in counts.most_common())
        shares.append(
            OperatorShare(
                name, found.num_operators, found.num_taken, found.num_partitions, left
            )
        )
    return tuple(shares)


def left_by_xnnpack(path, graph: Graph) -> dict[int, str]:
    """Returns index -> types of the operators that the interpreter kept from XNNPACK.

    Told by an interpreter that must give every operator a delegate node of its own: what
    XNNPACK runs is what such nodes write.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(
            str(path), num_threads=1, experimental_disable_delegate_node_fusion=True
        )
        interpreter.allocate_tensors()
        nodes = interpreter._get_ops_details()  # no public function has it
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be opened by LiteRT: {error}") from error
    written = {
        int(key) for n in nodes if n["op_name"] == "DELEGATE" for key in n["outputs"]
    }
    return {
        index: f"on {_types(graph, operator)}"
        for index, operator in enumerate(graph.operators)
        if not is_unpacking(graph, operator) and not written & set(operator.outputs)
    }


def _types(graph, operator) -> str:
    """Returns an operator's types, such as "uint8 to float32"."""
    source = graph.tensors[operator.inputs[0]].dtype if operator.inputs else "nothing"
    result = graph.tensors[operator.outputs[0]].dtype
    return source if source == result else f"{source} to {result}"


def _audit_delegate(name: str, graph: Graph, fallen: dict[int, str]) -> DelegateAudit:
    computing = [not is_unpacking(graph, operator) for operator in graph.operators]
    taken = [index not in fallen for index in range(len(graph.operators))]
    # Unpacking of constants is part of whatever needs it, not a stretch of its own.
    sizes = [sum(computing[i] for i in part) for part in partitions(graph, taken)]
    sizes = [size for size in sizes if size]
    reasons = Counter(f"{graph.operators[i].kind}: {why}" for i, why in fallen.items())
    return DelegateAudit(
        name=name,
        num_operators=sum(computing),
        num_taken=sum(computing) - len(fallen),
        num_partitions=len(sizes),
        largest_partition=max(sizes, default=0),
        fallen=dict(reasons.most_common()),
    )


def describe_audit(audit: Audit) -> str:
    """Returns operators and verdicts, a line each."""
    counts = ", ".join(f"{count} {kind}" for kind, count in audit.operators.items())
    lines = [
        f"operators   {sum(audit.operators.values())}: {counts}",
        f"work        {audit.macs / 1e6:.1f} million MACs, {audit.weight_type} weights",
        *(f"{each.name:<11} {describe_delegate(each)}" for each in audit.delegates),
    ]
    return "\n".join(lines)


def describe_delegate(audit: DelegateAudit) -> str:
    """Returns one verdict in one line."""
    text = f"takes {audit.num_taken} of {audit.num_operators} operators"
    if audit.num_partitions > 1:
        text += (
            f" in {audit.num_partitions} partitions, the largest of "
            f"{audit.largest_partition}"
        )
    if not audit.fallen:
        return text
    reasons = ", ".join(f"{count} {reason}" for reason, count in audit.fallen.items())
    return f"{text}; left to the CPU: {reasons}"


def fallen_kinds(audit: DelegateAudit) -> str:
    """Names the operators left to the CPU, such as "CAST, 4 RESHAPE"."""
    counts: Counter = Counter()
    for reason, count in audit.fallen.items():
        counts[reason.rpartition(": ")[0]] += count
    names: Sequence[str] = [
        kind if count == 1 else f"{count} {kind}" for kind, count in counts.most_common()
    ]
    return ", ".join(names)
