"""What workers must have in common, compared before they train."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_pose.trainer.cluster_steps import Team
from keras_pose.trainer.run_recipe import RunRecipe
from keras_pose.trainer.run_state import Progress

_PACKAGE = Path(__file__).parents[1]


def code_facts(recipe: RunRecipe, team: Team) -> dict[str, str]:
    """Returns what must agree before any data is read."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    python = ".".join(map(str, sys.version_info[:2]))
    versions = f"TensorFlow {tf.__version__}, Keras {keras.__version__}, Python {python}"
    return {
        "code of keras_pose": digest.hexdigest()[:12],
        "set of versions": versions,
        "recipe": json.dumps(recipe.to_dict(), sort_keys=True),
        "number of devices": str(team.part.replicas),
    }


def data_facts(sources: Mapping, progress: Progress) -> dict[str, str]:
    """Returns what must agree before the first step.

    Args:
        sources: name of a split -> its `PersonSource` or the like, tables of arrays.
        progress: position of the run.
    """
    facts = {f"{name} split": _digest(source) for name, source in sources.items()}
    where = f"epoch {progress.epochs_done + 1}, step {progress.steps_done}"
    return facts | {"saved run (all must read one folder)": where}


def _digest(source) -> str:
    digest = hashlib.sha256()
    for values in vars(source).values():
        if isinstance(values, np.ndarray):
            digest.update(np.ascontiguousarray(values).tobytes())
    return f"{len(source)} samples, {digest.hexdigest()[:12]}"


def compare(team: Team, facts: Mapping[str, str]) -> None:
    """Compares what workers must have in common; all of them call it at one point.

    Args:
        team: the workers.
        facts: names, the same for all workers -> values as text.

    Raises:
        ValueError: names the workers that differ from the chief, and in what.
    """
    own = np.array([[_number_of(value) for value in facts.values()]], np.int64)
    found = team.strategy.gather(tf.constant(own), axis=0).numpy()
    differing = {
        i: [name for name, is_other in zip(facts, row != found[0], strict=True) if is_other]
        for i, row in enumerate(found)
    }
    lines = [
        f"worker {i} ({team.cluster.addresses[i]}) has another {' and '.join(names)}"
        for i, names in differing.items()
        if names
    ]
    if not lines:
        return
    names = [name for name in facts if any(name in each for each in differing.values())]
    values = "; ".join(f"{name}: {facts[name]}" for name in names)
    raise ValueError(
        f"Workers train one model only if they agree: {', '.join(lines)} than worker 0. "
        f"Here, on worker {team.cluster.index}, {values}."
    )


def _number_of(text: str) -> int:
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)
