"""Reports on a pack, and on a replay of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_pose.parity.packs import Pack, read_pack
from keras_pose.parity.replay import Result

MEGABYTE = 1e6


def describe_pack(folder) -> str:
    """Returns a pack's contents and size in words."""
    pack = read_pack(folder)
    kinds = Counter(case.kind for case in pack.cases)
    size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    models = ", ".join(model["file"] for model in pack.models.values())
    return (
        f"{len(pack.cases)} cases ({counts}), {size / MEGABYTE:.2f} MB, in {folder}; "
        f"models: {models or 'none'}{_whole_way(pack)}"
    )


def _whole_way(pack: Pack) -> str:
    """Returns the number of keypoints steady enough to compare between pictures."""
    poses = [
        case.expected["keypoints_xy"]
        for case in pack.cases
        if case.kind in ("pose", "crowd")
    ]
    if not poses:
        return ""
    compared = sum(int(np.sum(field["where"])) for field in poses)
    total = sum(np.size(field["where"]) for field in poses)
    return f"; compared on the whole way: {compared} of {total} keypoints"


def describe_results(results: Sequence[Result]) -> str:
    """Returns the largest differences by kind and field, and all that are too large."""
    largest: dict[tuple[str, str], tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for result in results:
        key = (result.case.partition("/")[0], result.field.rpartition(".")[2])
        worst, tolerance = largest[key]
        largest[key] = max(worst, result.difference), max(tolerance, result.tolerance)
    lines = [
        f"{kind:14}{field:22}{worst:10.3g}  of {tolerance:.3g}"
        for (kind, field), (worst, tolerance) in largest.items()
    ]
    wrong = [result for result in results if not result.is_within]
    lines += [
        f"DIFFERS {result.case} {result.field}: {result.difference:.4g}, "
        f"allowed {result.tolerance:.4g}"
        for result in wrong
    ]
    cases = len({result.case for result in results})
    return "\n".join([*lines, f"{cases} cases replayed, {len(wrong)} fields differ"])
