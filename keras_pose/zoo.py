"""The model zoo: one row per network, and the door through which they are made."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_pose.normalization import IMAGENET, Normalization

SLIM_PAPER = "our own design, see keras_pose/models/slim.py"


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a network before it is built.

    Attributes:
        name: name in the zoo, also the Keras model's.
        family: which builder makes it, see `create_model`.
        options: what distinguishes it within its family, passed to the builder.
        input_hw: default model input (height, width), pixels.
        params: weights and biases, those of batch norm included and its running
            statistics not, for 17 keypoints.
        macs: multiply-accumulates of the convolutions for one `input_hw` image and 17
            keypoints; a transposed convolution is counted at its input positions.
        paper: where the network is described.
        num_keypoints: keypoints of the reference's own checkpoints.
        stride: input pixels per heatmap pixel.
        input_multiple: height and width of the input must be multiples of it, pixels.
        normalization: what training from scratch uses. Converted weights bring their
            own, see `keras_pose.weights`.
    """

    name: str
    family: str
    input_hw: tuple[int, int]
    params: int
    macs: int
    paper: str
    options: Mapping[str, Any] = field(default_factory=dict)
    num_keypoints: int = 17
    stride: int = 4
    input_multiple: int = 32
    normalization: Normalization = IMAGENET


_SPECS = (
    ModelSpec(
        name="pose_slim",
        family="slim",
        input_hw=(256, 192),
        params=1_841_729,
        macs=403_243_008,
        paper=SLIM_PAPER,
    ),
)
ZOO: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}


def list_models() -> list[str]:
    """Returns the names `create_model` knows."""
    return list(ZOO)


def get_spec(name: str) -> ModelSpec:
    """Looks a model up.

    Raises:
        ValueError: if there is none of that name; near names are suggested.
    """
    if name not in ZOO:
        near = difflib.get_close_matches(str(name), ZOO, n=3, cutoff=0.4)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"There is no model {name!r}.{hint} All models: {', '.join(ZOO)}.")
    return ZOO[name]


def create_model(
    name: str,
    num_keypoints: int = 17,
    input_hw: tuple[int, int] | None = None,
    weights: str | Path | None = None,
):
    """Builds a model of the zoo.

    Args:
        name: one of `list_models()`.
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels; None for the model's default.
        weights: `.keras` or `.weights.h5` file of this model with the same
            `num_keypoints`, at any input size; None for a random start.

    Returns:
        A `keras.Model` from a float32 (B, H, W, 3) tensor "image", normalised as
        `get_spec(name).normalization` says, to (B, H / 4, W / 4, K) heatmaps, or to a
        list of them, one per stack, for a network of several stacks.

    Raises:
        ValueError: if an argument is not valid, or the file does not fit the model.
        FileNotFoundError: if `weights` does not exist.
    """
    spec = get_spec(name)
    _check_num_keypoints(num_keypoints)
    input_hw = spec.input_hw if input_hw is None else _checked_input_hw(spec, input_hw)
    model = _build(spec, num_keypoints, input_hw)
    if weights is not None:
        from keras_pose.models.checkpoint import load_weights

        load_weights(model, weights)
    return model


def _build(spec: ModelSpec, num_keypoints: int, input_hw: tuple[int, int]):
    # Imported here: Keras takes seconds, and `list_models()` must not.
    match spec.family:
        case "slim":
            from keras_pose.models.slim import build_slim as build
        case _:
            raise ValueError(f"{spec.name} is of an unknown family {spec.family!r}.")
    return build(
        num_keypoints=num_keypoints,
        input_hw=input_hw,
        name=spec.name,
        **spec.options,
    )


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
