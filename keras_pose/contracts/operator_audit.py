"""Field of a contract about where the file's operators are expected to run on a phone.

It is what the operator audit (`exporting.inspection.audit`) makes of the rules that
accelerators publish when the file is written: a prediction, for people. Runtimes do not say
how many operators they left to the CPU, nor why, so apps show this beside what they do say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FIELD = "operator_audit"


@dataclass(frozen=True)
class LeftOperators:
    """Operators that an accelerator is expected to leave to the CPU.

    Attributes:
        operator: kind, such as "TOPK_V2".
        reason: reason in a few words, such as "no such operator".
        count: number of them.
    """

    operator: str
    reason: str
    count: int


@dataclass(frozen=True)
class OperatorShare:
    """What one accelerator is expected to take of a file.

    Attributes:
        accelerator: name, "GPU" or "Core ML".
        num_operators: operators that compute; unpacking of constants is left out.
        num_taken: number of them that it takes.
        num_partitions: stretches of the graph on it; each but one costs copies to and fro.
        left: the others, the most frequent first.
    """

    accelerator: str
    num_operators: int
    num_taken: int
    num_partitions: int
    left: tuple[LeftOperators, ...] = ()


def audit_to_dict(shares: Sequence[OperatorShare]) -> dict[str, Any]:
    """Describes the audit of a file, if there is one, as a field of a contract."""
    if not shares:
        return {}
    described = {
        share.accelerator: {
            "operators": share.num_operators,
            "taken": share.num_taken,
            "partitions": share.num_partitions,
            "left": [
                {"operator": each.operator, "reason": each.reason, "count": each.count}
                for each in share.left
            ],
        }
        for share in shares
    }
    return {FIELD: described}


def audit_of(values: dict[str, Any]) -> tuple[OperatorShare, ...]:
    """Reads what `audit_to_dict` wrote; of a contract without that, nothing."""
    said = values.get(FIELD, {})
    return tuple(_share(name, share) for name, share in said.items())


def _share(name: str, values: dict[str, Any]) -> OperatorShare:
    left = tuple(map(_left, values["left"]))
    counts = (values["operators"], values["taken"], values["partitions"])
    return OperatorShare(name, *counts, left)


def _left(values: dict[str, Any]) -> LeftOperators:
    return LeftOperators(values["operator"], values["reason"], values["count"])
