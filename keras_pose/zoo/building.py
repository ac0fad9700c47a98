"""From a name to a model."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import import_module
from typing import Any

from keras_pose.zoo.rows import BUILDERS, HIDDEN_ROWS, ROWS
from keras_pose.zoo.spec import ModelSpec

ZOO: dict[str, ModelSpec] = {spec.name: spec for spec in ROWS}
# Known by name, but in no list and no table.
_HIDDEN: dict[str, ModelSpec] = {spec.name: spec for spec in HIDDEN_ROWS}


def list_models() -> list[str]:
    """Returns the names `create_model` knows."""
    return list(ZOO)


def get_spec(name: str) -> ModelSpec:
    """Looks a model up.

    Raises:
        ValueError: if there is none of that name; near names are suggested.
    """
    if name in _HIDDEN:
        return _HIDDEN[name]
    if name not in ZOO:
        near = difflib.get_close_matches(str(name), ZOO, n=3, cutoff=0.4)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"There is no model {name!r}.{hint} All models: {', '.join(ZOO)}.")
    return ZOO[name]


def build_model(
    name: str,
    num_keypoints: int | None = None,
    input_hw: tuple[int, int] | None = None,
):
    """Builds a model of the zoo with random weights.

    Args:
        name: one of `list_models()`.
        num_keypoints: number of keypoints to predict, K; classes, for a network that has
            those instead; None for the number in the zoo's row.
        input_hw: model input (height, width), pixels; None for the model's default.

    Returns:
        A `keras.Model` from a float32 (B, H, W, 3) tensor "image", normalised as
        `get_spec(name).normalization` says. A top-down model returns what its codec
        encodes, such as (B, H / 4, W / 4, K) heatmaps, or a list of that, one per
        stage, of which the last counts. Other tasks: see the family's builder.

    Raises:
        ValueError: if an argument is not valid.
    """
    spec = get_spec(name)
    if spec.needs_trunk:
        raise ValueError(
            f"{name} stands on a network from elsewhere: PoseTask.from_backbone builds it, "
            "and files of it are whole (.keras)."
        )
    counts = _counts(spec, num_keypoints)
    input_hw = spec.input_hw if input_hw is None else _checked_input_hw(spec, input_hw)
    build = _builder(spec)
    return build(input_hw=input_hw, name=spec.name, **counts, **spec.options)


def _counts(spec: ModelSpec, num_keypoints: int | None) -> dict[str, int]:
    """Returns the builder's argument that says how much there is to predict."""
    if spec.task == "features":
        if num_keypoints is not None:
            raise ValueError(
                f"{spec.name} gives features, not keypoints: num_keypoints must be None, "
                f"got {num_keypoints!r}."
            )
        return {}
    if num_keypoints is None:
        num_keypoints = spec.num_keypoints
    _check_num_keypoints(num_keypoints)
    return {spec.counts: num_keypoints}


def _builder(spec: ModelSpec) -> Callable[..., Any]:
    """Returns the function that builds networks of the row's family."""
    if spec.family not in BUILDERS:
        raise ValueError(
            f"{spec.name} is of the family {spec.family!r}, which no BUILDERS of "
            "keras_pose/zoo/rows names."
        )
    file, _, function = BUILDERS[spec.family].partition(".")
    # Imported here: Keras takes seconds, and `list_models()` must not.
    build: Callable[..., Any] = getattr(
        import_module(f"keras_pose.models.{file}"), function
    )
    return build


def _check_num_keypoints(num_keypoints: int) -> None:
    if isinstance(num_keypoints, bool) or int(num_keypoints) != num_keypoints:
        raise ValueError(f"num_keypoints must be a whole number, got {num_keypoints!r}.")
    if num_keypoints < 1:
        raise ValueError(f"num_keypoints must be at least 1, got {num_keypoints}.")


def _checked_input_hw(spec: ModelSpec, input_hw) -> tuple[int, int]:
    """Returns (height, width) as a tuple of ints."""
    rule = (
        f"input_hw of {spec.name} must be (height, width), "
        f"positive multiples of {spec.input_multiple}"
    )
    try:
        height, width = (int(size) for size in input_hw)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{rule}, got {input_hw!r}.") from error
    if (height, width) != tuple(input_hw) or min(height, width) < 1:
        raise ValueError(f"{rule}, got {input_hw!r}.")
    if height % spec.input_multiple or width % spec.input_multiple:
        raise ValueError(f"{rule}, got {(height, width)}.")
    return height, width
