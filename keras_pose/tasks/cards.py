"""Model cards: the README.md of a preset, with what hubs read at its head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras_pose
from keras_pose.metrics.protocol import Measurement, describe

# Beginnings of licences, and what Hugging Face calls them.
LICENCES = {"Apache-2.0": "apache-2.0", "MIT": "mit", "BSD-3-Clause": "bsd-3-clause"}
# And Kaggle.
KAGGLE_LICENCES = {"Apache-2.0": "Apache 2.0", "MIT": "MIT"}


def known_licence(facts: dict[str, Any], names: dict[str, str]) -> str | None:
    """Returns what a hub calls the licence; None where it is not stated, or another."""
    stated = str(facts.get("licence") or "")
    return next((names[start] for start in names if stated.startswith(start)), None)


def make_card(
    contract, num_params: int, facts: dict[str, Any], measured: Sequence[Measurement]
) -> str:
    """Returns the text of a model card.

    Args:
        contract: contract of the network.
        num_params: parameters of the network.
        facts: source of the weights, as in `PoseTask.facts`.
        measured: figures with their protocols.
    """
    height, width = contract.input_hw
    names = contract.skeleton.names
    parts = [
        _front_matter(facts),
        f"# {contract.model}, {len(names)} keypoints",
        f"A network for 2D human pose, saved by keras_pose {keras_pose.__version__}.",
        "```python\nimport keras_pose\n\n"
        'task = keras_pose.PoseTask.from_preset("hf://OWNER/REPO")  # or this folder\n'
        'poses = task.predict("photo.jpg")\n```',
        _table(
            [
                ("input", f"{height} x {width} pixels (height x width)"),
                ("parameters", f"{num_params:,}"),
                ("codec", contract.codec.kind),
                ("skeleton", contract.skeleton.name),
                ("keypoints", ", ".join(names)),
                *((name.replace("_", " "), value) for name, value in facts.items()),
            ]
        ),
        _figures(measured),
    ]
    if not facts.get("licence"):
        parts.append("No licence is stated: add one before you give it to others.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(facts) -> str:
    licence = known_licence(facts, LICENCES)
    lines = [
        "---",
        "library_name: keras_pose",
        "pipeline_tag: keypoint-detection",
        *([f"license: {licence}"] if licence else []),
        "tags: [keras, pose-estimation]",
        "---",
    ]
    return "\n".join(lines)


def _table(rows) -> str:
    lines = [f"| {name} | {value} |" for name, value in rows if value is not None]
    return "\n".join(["| | |", "|---|---|", *lines])


def _figures(measured) -> str:
    if not measured:
        return ""
    lines = [describe(each.stats, each.protocol) for each in measured]
    return "## Measured\n\n" + "\n".join(f"- {line}" for line in lines)
